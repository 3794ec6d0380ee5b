"""The receipts pages: every card leads somewhere, a wrong figure is said in red, nobody's name is shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from db.connection import connect
from metabase.catalogue import load_catalogue
from metabase.parameters import Filters
from metabase.preview import Preview
from panpan.errors import UsageError
from panpan.settings import Settings
from panpan.web import receipts
from panpan.web.app import Pages
from transforms.run import run

TILL = (
    "Date,Time,Time Zone,Item,Qty,SKU,Gross Sales,Discounts,Net Sales,Tax,Transaction ID,Payment ID,Event Type,"
    "Location,Customer ID,Customer Name,Customer Reference ID,Employee,PAN Suffix,Notes\n"
    "2026-03-02,10:00:00,Madrid,Bread,2,BREAD,€4.00,-€1.00,€3.00,€0.30,R1,P1,Payment,PanPan Centro,C1,Ana García,"
    'L-77,Julia Ferrer,1154,"Happy birthday, Ana"\n'
)
CONTACT = {
    "id": "9",
    "archived": False,
    "createdAt": "2026-03-01T10:00:00Z",
    "updatedAt": "2026-03-01T10:00:00Z",
    "properties": {"firstname": "Ana", "lastname": "García", "email": "ana@mail.example", "phone": "+34600111222",
                   "zip": "08040", "shoe_size": "39", "lifecyclestage": "lead"},
}  # fmt: skip
SECRETS = ("Ana", "García", "Julia", "Ferrer", "1154", "L-77", "birthday", "mail.example", "600111222", "39")


@pytest.fixture(scope="module")
def shop(new_warehouse: Any) -> Iterator[Settings]:
    with new_warehouse() as settings:
        yield settings


@pytest.fixture
def small_shop(shop: Settings, deliver: Any) -> Settings:
    """One receipt and one contact, with everything that says who somebody is."""
    with connect(shop, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ops.loads")
        [(loads,)] = cursor.fetchall()
    if not loads:
        deliver("pos", TILL, settings=shop)
        deliver("crm", json.dumps({"results": [CONTACT]}), "contacts", settings=shop)
        run(shop)
        with connect(shop, "owner") as connection, connection.cursor() as cursor:
            cursor.execute(
                "update ops.loads set workflow = 'pos_files_to_raw', execution_id = '7' where source = 'pos'"
            )
    return shop


def page(settings: Settings, path: str, **names: str) -> str:
    """The page's text, made without a server."""
    address, _, query = path.partition("?")
    scope = {"type": "http", "path": address, "query_string": query.encode(), "headers": [], "path_params": names}
    pages = Pages(settings, Preview(settings))
    made = {"raw_id": pages.raw_record, "metric": pages.receipts_of_metric, "kind": pages.receipts_of_thing}
    answer = next(make for name, make in made.items() if name in names)(Request(scope))
    return bytes(answer.body).decode()


def test_page_of_a_figure_leads_to_receipts_records_and_the_execution(small_shop: Settings) -> None:
    text = page(small_shop, "/receipts/metric/revenue/2026-03", metric="revenue", period="2026-03")

    assert "€3.00" in text
    assert "tone-good" in text
    assert "/receipts/sale/" in text
    assert "/receipts/raw/" in text
    assert f":{small_shop.n8n_port}/workflow/posFilesToRaw0001/executions/7" in text
    assert "<script" not in text


def test_figure_the_records_do_not_give_is_said_in_red(small_shop: Settings) -> None:
    with connect(small_shop, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update marts.daily_store_sales set net_amount = net_amount + 0.01")
    try:
        view = receipts.metric_view(small_shop, "revenue", "2026-03", {}, "/receipts/metric/revenue/2026-03")
        text = page(small_shop, "/receipts/metric/revenue/2026-03", metric="revenue", period="2026-03")
    finally:
        with connect(small_shop, "owner") as connection, connection.cursor() as cursor:
            cursor.execute("update marts.daily_store_sales set net_amount = net_amount - 0.01")

    assert not view.is_equal
    assert 'class="verdict tone-bad" role="alert"' in text
    assert "€3.00, not €3.01" in text


def test_record_stands_beside_what_was_read_and_names_nobody(small_shop: Settings, ask: Any) -> None:
    ids = ask(
        "select raw_id from raw_pos.sale_lines union all select raw_id from raw_crm.contacts", settings=small_shop
    )

    for (raw_id,) in ids:
        text = page(small_shop, f"/receipts/raw/{raw_id}", raw_id=str(raw_id))
        shown = text.partition('id="content"')[2]
        assert [word for word in SECRETS if f">{word}" in shown or f" {word}" in shown.replace("Load", "")] == []
        assert receipts.raw_view(small_shop, str(raw_id)).masked and 'class="masked"' in text
    view = receipts.raw_view(small_shop, str(ids[0][0]))
    assert ("Item", "Bread", False) in view.received
    assert ("net_amount", "3.00", False) in view.typed


def test_every_card_leads_to_receipts_or_to_its_loads(small_shop: Settings) -> None:
    preview = Preview(small_shop)

    for name, question in load_catalogue().questions.items():
        address = receipts.card_address(preview, name, Filters())
        assert (address is not None) == (question.metric is not None)
        if address:
            metric, period = address.partition("?")[0].split("/")[-2:]
            receipts.metric_view(small_shop, metric, period, {}, address)
        else:
            assert receipts.card_view(small_shop, preview, name, Filters()).title == question.title


@pytest.mark.parametrize("raw_id", ["x", "1", "9" * 30, "-1"])
def test_record_that_is_not_there_is_refused(small_shop: Settings, raw_id: str) -> None:
    with pytest.raises(UsageError):
        receipts.raw_view(small_shop, raw_id)
