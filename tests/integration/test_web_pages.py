"""
The pages over a real PostgreSQL: figures equal the marts to the cent, names stay text, no more is readable.

One warehouse for the module; each test starts from empty marts and fills what it needs.
"""

from __future__ import annotations

import csv
import html
import io
import os
import re
import socket
import subprocess
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import psycopg2
import pytest
import requests
import uvicorn
from defusedxml import ElementTree
from openpyxl import load_workbook
from psycopg2 import sql
from psycopg2.extras import execute_values

from db.connection import connect
from metabase.answers import ask, snapshot
from metabase.catalogue import load_catalogue
from metabase.compiled import plan_of, receipts_address
from metabase.formats import write
from metabase.parameters import Filters
from metabase.preview import CardView, Preview
from metabase.sheets import blocks_of, page, paged
from panpan.settings import Settings
from panpan.web.app import build_app
from transforms.compiler import Query, compile_query, evaluate, read_plan

NEWEST = date(2026, 6, 29)
MARTS = (
    "daily_store_sales",
    "monthly_store_sales",
    "daily_product_sales",
    "customer_activity",
    "inventory_status",
    "data_freshness",
)
HOSTILE = {
    "script": "<script>alert('pwned')</script>",
    "quotes": "\"'> <img src=x onerror=alert(1)>",
    "comma": "Rye, dark; 50%",
    "emoji": "Brioche 🥐 ½ ₿",
    "long": "Pane" * 50,
    "formula": "=cmd|' /C calc'!A0",
}


@pytest.fixture(scope="module")
def marts(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> Iterator[Settings]:
    """A migrated warehouse for this module, without rows."""
    with new_warehouse() as settings:
        yield settings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def empty_marts(marts: Settings) -> Settings:
    with connect(marts, "owner") as connection, connection.cursor() as cursor:
        for table in MARTS:
            cursor.execute(sql.SQL("truncate marts.{}").format(sql.Identifier(table)))
    return marts


@pytest.fixture(scope="module")
def address(marts: Settings) -> Iterator[str]:
    yield from served(marts)


def served(settings: Settings) -> Iterator[str]:
    """The pages on a free port, as long as the caller needs them."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(build_app(settings), log_level="critical", lifespan="off")
    program = uvicorn.Server(config)
    thread = threading.Thread(target=program.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not program.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    program.should_exit = True
    thread.join(10)
    listener.close()


def insert(settings: Settings, table: str, rows: list[dict[str, Any]]) -> None:
    names = list(rows[0])
    values = [[row[name] for name in names] for row in rows]
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        statement = sql.SQL("insert into marts.{} ({}) values %s").format(sql.Identifier(table), columns)
        execute_values(cursor, statement, values)


def sale(day: date, store: str = "s1", net: str = "100.10", **other: Any) -> dict[str, Any]:
    facts = {
        "business_date": day,
        "store_id": store,
        "store_name": f"Store {store}",
        "source": "pos",
        "channel": "store",
        "currency_code": "EUR",
        "ticket_count": 10,
        "refund_count": 0,
        "customer_count": 3,
        "gross_amount": Decimal(net),
        "refund_amount": Decimal("0.00"),
        "net_amount": Decimal(net),
        "unknown_amount_line_count": 0,
    }
    return {**facts, **other}


def freshness(source: str, hours: float | None, **other: Any) -> dict[str, Any]:
    moment = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    facts = {
        "source": source,
        "title": f"The {source}",
        "last_load_at": moment,
        "last_record_at": moment,
        "warn_after_hours": 24,
        "error_after_hours": 48,
        "row_count": 1000,
        "reject_count": 3,
    }
    return {**facts, **other}


def stock(name: str, store: str = "s1", **other: Any) -> dict[str, Any]:
    facts = {
        "product_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "store_id": store,
        "sku": "SKU-1",
        "product_name": name,
        "kind": "ingredient",
        "store_name": f"Store {store}",
        "unit": "kg",
        "on_hand_quantity": Decimal("4.5"),
        "reorder_level": Decimal(5),
        "daily_use_quantity": Decimal(3),
        "days_of_cover": Decimal("1.5"),
        "is_low": True,
        "counted_at": datetime(2026, 6, 29, 18, tzinfo=UTC),
    }
    return {**facts, **other}


@pytest.fixture
def small_business(empty_marts: Settings) -> Settings:
    """Two stores for 100 days in EUR, a third source in USD, customers, stock, four sources."""
    days = [NEWEST - timedelta(days=back) for back in range(100)]
    sales = [
        sale(day, store, f"{200 + 7 * place + day.toordinal() % 37}.{place + 1}5")
        for day in days
        for place, store in enumerate(("s1", "s2"))
    ]
    dollars = [sale(day, "u1", "999.99", source="usd_shop", currency_code="USD", ticket_count=2) for day in days]
    insert(empty_marts, "daily_store_sales", sales + dollars)
    kept = ("month", "store_id", "store_name", "source", "currency_code")
    sums = ("ticket_count", "refund_count", "customer_count", "net_amount")
    months: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in sales + dollars:
        row = {**each, "month": each["business_date"].replace(day=1)}
        month = months.setdefault(
            tuple(row[name] for name in kept),
            {**{name: row[name] for name in kept}, **dict.fromkeys(sums, 0)},
        )
        for name in sums:
            month[name] += row[name]
    insert(empty_marts, "monthly_store_sales", list(months.values()))
    products = [
        {
            "business_date": NEWEST - timedelta(days=place),
            "store_id": "s1",
            "source": "pos",
            "product_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(place))),
            "product_name": f"Product {place % 7}",
            "currency_code": "EUR",
            "quantity": Decimal("1.5"),
            "net_amount": Decimal(place * 3) + Decimal("0.07"),
            "ticket_count": 1,
        }
        for place in range(20)
    ]
    insert(empty_marts, "daily_product_sales", products)
    customers = [
        {
            "month": month,
            "customer_id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(place))),
            "source": "pos",
            "currency_code": "EUR",
            "ticket_count": 1,
            "net_amount": Decimal(place),
            "first_purchase_on": date(2026, 4, 3),
            "last_purchase_on": month,
            "is_new": month.month == 4,
        }
        for month, count in ((date(2026, 4, 1), 10), (date(2026, 5, 1), 6))
        for place in range(count)
    ]
    insert(empty_marts, "customer_activity", customers)
    stocks = [
        stock("Flour"),
        stock("Sugar", is_low=False, days_of_cover=9),
        stock("Salt", days_of_cover=None),
    ]
    insert(empty_marts, "inventory_status", stocks)
    ages = {"pos": 2, "usd_shop": 1, "inventory": 30, "crm": None}
    insert(empty_marts, "data_freshness", [freshness(name, hours) for name, hours in ages.items()])
    return empty_marts


def cells_of(page: str) -> list[list[str]]:
    """The cells of a page's last table, as a reader sees them."""
    body = page.rsplit("<tbody>", 1)[1].split("</tbody>", 1)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    return [
        [html.unescape(re.sub(r"<[^>]*>", "", cell)).strip() for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]
        for row in rows
    ]


def sheet_of(content: bytes, name: str) -> list[list[Any]]:
    """The rows of a sheet below its titles, numbers as exact decimals."""
    rows = list(load_workbook(io.BytesIO(content))[name[:31]].values)[1:]
    return [[Decimal(str(v)) if isinstance(v, float | int) else v for v in row] for row in rows]


def as_in_a_sheet(value: Any) -> Any:
    """A value as a sheet holds it: moments in UTC without a zone, days as midnights, an empty text as nothing."""
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None)
        return moment.replace(microsecond=round(moment.microsecond, -3))
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # sheets know no zones
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


QUESTION_NAMES = sorted(path.stem for path in Path("metabase/questions").glob("*.yaml"))


@pytest.mark.parametrize("name", QUESTION_NAMES)
@pytest.mark.parametrize("query", ["", "?source=usd_shop", "?date_from=2026-05-15&date_to=2026-06-10"])
def test_page_and_downloads_show_what_the_marts_say(
    small_business: Settings, address: str, name: str, query: str
) -> None:
    """Cell by cell, for every question, with and without filters."""
    preview = Preview(small_business)
    question = preview.catalogue.questions[name]
    read = dict(pair.split("=") for pair in query.removeprefix("?").split("&") if pair)
    filters = Filters.from_query(read)
    if filters.currency is None:
        filters = Filters(filters.source, "USD" if filters.source else "EUR", filters.date_from, filters.date_to)
    with snapshot(small_business) as connection:
        answer = ask(connection, question, filters)

    page = requests.get(f"{address}/questions/{name}{query}", timeout=30)
    as_csv = requests.get(f"{address}/questions/{name}.csv{query}", timeout=30)
    as_json = requests.get(f"{address}/questions/{name}.json{query}", timeout=30).json()
    as_xlsx = requests.get(f"{address}/questions/{name}.xlsx{query}", timeout=30)

    assert page.status_code == 200
    assert answer.failure is None
    assert as_json["ok"]
    assert len(as_json["rows"]) == len(answer.rows)
    told = list(csv.reader(io.StringIO(as_csv.content.decode("utf-8-sig"))))
    assert told[0] == list(answer.columns)
    assert [[cell or None for cell in row] for row in told[1:]] == [
        [None if v is None else v.isoformat() if hasattr(v, "isoformat") else str(v) for v in row]
        for row in answer.rows
    ]
    assert sheet_of(as_xlsx.content, name) == [[as_in_a_sheet(value) for value in row] for row in answer.rows]
    if answer.rows and "<tbody>" in page.text:
        shown = [c for c in question.columns if not c.hidden]
        assert cells_of(page.text) == [
            [write(record[c.name], c.format, record.get("currency_code")) for c in shown] for record in answer.records()
        ]


def as_metabase_runs_it(statement: str, given: dict[str, str]) -> str:
    """The statement after Metabase's own substitution: values as literals, optional clauses without a value gone."""
    literals = {k: f"date '{v}'" if k.startswith("date") else f"'{v}'" for k, v in given.items()}
    kept = re.sub(
        r"\[\[(.*?)\]\]",
        lambda m: m[1] if all(name in given for name in re.findall(r"\{\{(\w+)\}\}", m[1])) else "",
        statement,
        flags=re.DOTALL,
    )
    return re.sub(r"\{\{(\w+)\}\}", lambda m: literals[m[1]], kept)


COMPILED = [name for name, question in load_catalogue().questions.items() if question.cells]
ASKED: list[dict[str, str]] = [
    {},
    {"source": "usd_shop"},
    {"date_from": "2026-05-15", "date_to": "2026-06-10"},
    {"source": "pos", "currency": "EUR", "date_to": "2026-06-20"},
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_one_figure_and_one_plan_through_every_door(
    small_business: Settings, address: str, asked: dict[str, str]
) -> None:
    """The page, the statement as Metabase runs it, and `panpan value` of each cell and of the whole."""
    preview = Preview(small_business)
    found = [is_one_through_every_door(small_business, preview, address, name, asked) for name in COMPILED]
    assert sum(found) > len(COMPILED) / 2


def is_one_through_every_door(
    settings: Settings, preview: Preview, address: str, name: str, asked: dict[str, str]
) -> bool:
    """Whether there was a figure to compare; one that differs fails."""
    card = preview.question(name, Filters.from_query(asked)).card
    question, rows = card.question, card.answer.records()
    cells = question.cells
    assert cells is not None
    if "currency" in question.parameters and "currency" not in asked:
        asked = {**asked, "currency": "USD" if "source" in asked else "EUR"}
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(as_metabase_runs_it(question.sql, asked))
        in_metabase = [
            dict(zip([c.name for c in cursor.description or ()], row, strict=True)) for row in cursor.fetchall()
        ]
    assert rows == in_metabase
    if not rows:
        assert card.plan_id is None
        return False
    plan = plan_of(str(question.metric), cells, rows, asked.get("source"))
    assert plan is not None
    whole = evaluate(settings, plan)
    assert card.plan_id == whole.plan.plan_id == read_plan(settings, plan.plan_id).plan_id
    assert sorted((row["value"] for row in whole.rows), key=str) == sorted(
        (row[cells.name("value")] for row in rows), key=str
    )
    page = requests.get(f"{address}/questions/{name}?{urlencode(asked)}", timeout=30).text
    assert plan.plan_id in page
    for row in rows[:: max(1, len(rows) // 3)]:
        link = receipts_address(plan, cells, row)
        period, _, query = link.removeprefix(f"/receipts/metric/{question.metric}/").partition("?")
        where = dict(parse_qsl(query))
        cell = evaluate(settings, compile_query(Query(str(question.metric), (), where, period), NEWEST))
        assert [each["value"] for each in cell.rows] == [row[cells.name("value")]]
        clicked = {cells.name(n): f"{row[cells.name(n)]}" for n in cells.by}
        if clicked:
            led = requests.get(
                f"{address}/receipts/question/{name}?{urlencode({**asked, **clicked})}",
                timeout=30,
                allow_redirects=False,
            )
            assert led.headers["location"] == link
    return True


DASHBOARD_NAMES = sorted(path.stem for path in Path("metabase/dashboards").glob("*.yaml"))


@pytest.mark.parametrize("name", DASHBOARD_NAMES)
def test_paper_shows_what_the_page_shows(small_business: Settings, address: str, name: str) -> None:
    """Every figure and cell of the page stands on the paper, in its order; both files are what they say."""
    view = Preview(small_business).dashboard(name, Filters())
    cards = [card for tab in view.tabs for band in tab.bands for card in band if isinstance(card, CardView)]
    drawn = ElementTree.fromstring(page(list(blocks_of(view)), 5000))
    words = iter("".join(text.itertext()) for text in drawn.iter("{http://www.w3.org/2000/svg}text"))
    pdf, png = (requests.get(f"{address}/dashboards/{name}.{kind}", timeout=60) for kind in ("pdf", "png"))

    for card in cards:
        assert card.question.title in words
        assert not card.figure or card.figure.text in words
        if card.figure is card.picture is card.message is None:
            columns = zip(*card.rows, strict=True)
            assert all(cell.text in words for column in columns for cell in column)
        assert any(line.startswith("Data as of ") for line in words)
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.content.count(b"/Type /Page\n") == len(paged(list(blocks_of(view))))
    assert png.content.startswith(b"\x89PNG")
    assert png.headers["content-disposition"] == f'attachment; filename="{name}.png"'


def test_a_dashboards_workbook_has_a_sheet_for_each_question(small_business: Settings, address: str) -> None:
    book = load_workbook(io.BytesIO(requests.get(f"{address}/dashboards/inventory.xlsx", timeout=60).content))
    questions = Preview(small_business).questions_of("inventory")

    assert book.sheetnames == ["About", *(question.name for question in questions)]
    meant = {row[0]: row for row in list(book["About"].values)[1:]}
    for question in questions:
        assert meant[question.name][1:5] == (
            question.question,
            question.definition,
            question.owner,
            question.system_of_record,
        )


def test_single_figures_add_up_to_the_cent(small_business: Settings, address: str) -> None:
    with connect(small_business, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select sum(net_amount) from marts.daily_store_sales where currency_code = 'EUR' and business_date > %s",
            (NEWEST - timedelta(days=30),),
        )
        (expected,) = cursor.fetchone() or (None,)

    page = requests.get(f"{address}/dashboards/sales", timeout=30).text

    assert write(expected, "money", "EUR") in page
    assert "31 May 2026 to 29 Jun 2026" in page


def test_currencies_are_never_added(small_business: Settings, address: str) -> None:
    page = requests.get(f"{address}/dashboards/sales", timeout=30).text
    dollars = requests.get(f"{address}/dashboards/sales?currency=USD", timeout=30).text

    assert "$" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    assert "Shown in EUR. Sales in USD are kept apart, never added." in page
    assert "$999.99" in dollars
    assert "€" not in re.sub(r"<pre.*?</pre>", "", dollars, flags=re.DOTALL)


def test_two_stores_of_one_name_stay_two(empty_marts: Settings, address: str) -> None:
    insert(
        empty_marts,
        "daily_store_sales",
        [sale(NEWEST, "s1", store_name="Main"), sale(NEWEST, "s2", store_name="Main")],
    )

    rows = requests.get(f"{address}/questions/tickets_per_store.json", timeout=30).json()["rows"]

    assert sorted(row["store_name"] for row in rows) == ["Main (s1)", "Main (s2)"]


def test_two_products_of_one_name_stay_two(small_business: Settings, address: str) -> None:
    rows = requests.get(f"{address}/questions/product_ranking.json", timeout=30).json()["rows"]

    amounts = {row["product_name"]: row["net_amount"] for row in rows}
    assert len(rows) == 15
    assert (amounts["Product 5"], amounts["Product 5 (2)"], amounts["Product 5 (3)"]) == (
        "57.07",
        "36.07",
        "15.07",
    )
    assert list(amounts.values()) == sorted(amounts.values(), key=Decimal, reverse=True)


def test_nothing_is_compared_with_days_that_are_not_there(empty_marts: Settings, address: str) -> None:
    insert(empty_marts, "daily_store_sales", [sale(NEWEST - timedelta(days=back)) for back in range(40)])

    row = requests.get(f"{address}/questions/sales_in_last_30_days.json", timeout=30).json()["rows"][0]

    assert row["net_amount"] == "3003.00"
    assert row["previous_net_amount"] is None


def test_unknown_amounts_are_not_shown_as_nought(empty_marts: Settings, address: str) -> None:
    insert(empty_marts, "daily_store_sales", [sale(NEWEST, net_amount=None, unknown_amount_line_count=4)])

    page = requests.get(f"{address}/dashboards/sales", timeout=30)

    assert page.status_code == 200
    assert "€0.00<" not in page.text.split("Tickets and average")[0]
    assert "No figure is known for this day." in page.text


PATHS = ["/", *(f"/dashboards/{name}" for name in ("sales", "customers", "inventory", "goals", "trust"))]


@pytest.mark.parametrize("path", PATHS)
def test_empty_marts_make_a_friendly_page(empty_marts: Settings, address: str, path: str) -> None:
    answer = requests.get(address + path, timeout=30)

    assert answer.status_code == 200
    assert "Nothing to show yet." in answer.text
    assert "<svg" not in answer.text
    assert "Nothing has arrived yet." in answer.text


@pytest.mark.parametrize("path", PATHS)
def test_full_pages_say_everything_a_card_owes(small_business: Settings, address: str, path: str) -> None:
    page = requests.get(address + path, timeout=30).text

    assert '<html lang="en">' in page
    assert re.search(r"<title>[^<]+ · PanPan</title>", page)
    assert page.count("Data as of ") >= 1
    assert "<script" not in page
    assert "on" + "click" not in page
    for label in re.findall(r'role="img" aria-label="([^"]*)"', page):
        assert len(label) > 30
    if path != "/":
        cards = page.count('<article class="card')
        assert cards == page.count(".csv") == page.count("<summary>SQL</summary>")
        assert cards == page.count("<summary>What this means</summary>")


def test_as_of_is_the_oldest_load_of_the_sources_shown(small_business: Settings, address: str) -> None:
    """Of the two selling sources only one is in EUR; inventory has a source of its own."""
    facts = {
        name: requests.get(f"{address}/questions/{name}.json", timeout=30).json()["as_of"]
        for name in ("sales_on_latest_day", "stock_levels")
    }
    ages = {
        name: (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds() / 3600 for name, text in facts.items()
    }

    assert ages["sales_on_latest_day"] == pytest.approx(2, abs=0.1)
    assert ages["stock_levels"] == pytest.approx(30, abs=0.1)


def test_backups_are_shown_with_what_they_prove(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> None:
    """The ledger can't be emptied, so this one has a warehouse of its own."""
    now = datetime.now(UTC)
    acts = [  # event, set, verdict, hours since the act and the snapshot, seconds, reason
        ("created", "a", "good", 50, 60, None),
        ("drilled", "a", "good", 50, 90, None),
        ("created", "b", "good", 20, 61, None),
        ("drilled", "b", "good", 20, 30, None),
        ("created", "c", "good", 3, 62, None),
        ("drilled", "c", "bad", 3, 300, "rows differ"),
        ("created", "d", "good", 1, 63, None),
    ]
    with new_warehouse() as settings:
        preview = Preview(settings)
        empty = preview.question("backup_loss", Filters())
        with connect(settings, "transformer") as connection, connection.cursor() as cursor:
            execute_values(
                cursor,
                "insert into ops.backup_ledger (event, set_name, verdict, recorded_at, snapshot_at, seconds, reason)"
                " values %s",
                [
                    (e, s, v, now - timedelta(hours=h), now - timedelta(hours=h), sec, why)
                    for e, s, v, h, sec, why in acts
                ],
            )
        loss, restore, drills = (
            preview.question(name, Filters()).card for name in ("backup_loss", "restore_time", "backup_drills")
        )

    assert empty.card.message
    assert [record["lost_hours"] for record in loss.answer.records()] == [Decimal("30.0")]
    assert loss.figure
    assert loss.figure.is_alarming
    assert [record["restore_minutes"] for record in restore.answer.records()] == [Decimal("1.5")]
    assert [(cells[0].text, cells[0].tone, cells[1].text) for cells in drills.rows] == [
        ("not proven", "warn", "d"),
        ("failed", "bad", "c"),
        ("proven", "good", "b"),
        ("proven", "good", "a"),
    ]


def test_a_day_stands_beside_what_is_usual_for_its_weekday(empty_marts: Settings, address: str) -> None:
    """A closed Monday is no reason to expect less of the next ones."""
    amounts = {0: "90.00", 7: "100.00", 21: "300.00", 28: "50.00", 35: "999.00"}
    insert(
        empty_marts,
        "daily_store_sales",
        [sale(NEWEST - timedelta(days=back), net=net) for back, net in amounts.items()],
    )

    rows = requests.get(f"{address}/questions/sales_against_same_weekday.json", timeout=30).json()["rows"]

    assert [(row["business_date"], row["usual_net_amount"]) for row in rows] == [
        ("2026-06-08", "524.50"),
        ("2026-06-22", "449.67"),
        ("2026-06-29", "150.00"),
    ]
    assert rows[-1]["difference_share"] == "-0.4000"


def test_freshness_has_a_plain_word(small_business: Settings, address: str) -> None:
    rows = requests.get(f"{address}/questions/data_freshness.json", timeout=30).json()["rows"]
    page = requests.get(address, timeout=30).text

    assert [(row["source"], row["freshness_state"]) for row in rows] == [
        ("crm", "silent"),
        ("inventory", "late"),
        ("pos", "fresh"),
        ("usd_shop", "fresh"),
    ]
    assert "The crm is silent: nothing has arrived yet." in page
    assert "The inventory is late: known only until " in page


def test_freshness_is_judged_by_the_newest_record(empty_marts: Settings, address: str) -> None:
    """A source that sends old rows again and again is silent; a record from the future makes nothing fresh."""
    now = datetime.now(UTC)
    rows = [
        freshness("repeats", 1, last_record_at=now - timedelta(days=9)),
        freshness("future", 99, last_record_at=now + timedelta(days=400)),
        freshness("no_moments", 1, last_record_at=None),
    ]
    insert(empty_marts, "data_freshness", rows)

    told = requests.get(f"{address}/questions/data_freshness.json", timeout=30).json()["rows"]
    late = requests.get(f"{address}/questions/sources_late_count.json", timeout=30).json()["rows"]

    assert {row["source"]: row["freshness_state"] for row in told} == {
        "repeats": "silent",
        "future": "silent",
        "no_moments": "fresh",
    }
    assert late == [{"late_source_count": 2, "source_count": 3}]


def test_a_customer_known_at_one_source_is_not_new_at_another(empty_marts: Settings, address: str) -> None:
    bought = [("pos", date(2026, 4, 1)), ("delivery", date(2026, 5, 1)), ("delivery", date(2026, 6, 1))]
    rows = [
        {
            "month": month,
            "customer_id": str(uuid.UUID(int=1)),
            "source": source,
            "currency_code": "EUR",
            "ticket_count": 1,
            "net_amount": 1,
            "first_purchase_on": date(2026, 4, 1) if source == "pos" else date(2026, 5, 1),
            "last_purchase_on": month,
            "is_new": month != date(2026, 6, 1),
        }
        for source, month in bought
    ]
    insert(empty_marts, "customer_activity", rows)
    insert(empty_marts, "daily_store_sales", [sale(date(2026, 5, 31)), sale(date(2026, 5, 31), source="delivery")])

    told = requests.get(f"{address}/questions/new_and_returning_customers.json", timeout=30).json()["rows"]
    delivery = requests.get(f"{address}/questions/new_and_returning_customers.json?source=delivery", timeout=30).json()[
        "rows"
    ]
    share = requests.get(f"{address}/questions/returning_customer_share.json", timeout=30).json()["rows"][0]

    assert [row["customer_kind"] for row in told] == ["New", "Returning", "Returning"]
    assert [row["customer_kind"] for row in delivery] == ["Returning", "Returning"]
    assert (share["returning_share"], share["previous_returning_share"]) == ("1.0000", "0.0000")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names_stay_names(empty_marts: Settings, address: str, kind: str) -> None:
    name = HOSTILE[kind]
    insert(empty_marts, "daily_store_sales", [sale(NEWEST, "s1", store_name=name), sale(NEWEST, "s2")])
    insert(
        empty_marts,
        "monthly_store_sales",
        [
            {
                "month": date(2026, 6, 1),
                "store_id": "s1",
                "store_name": name,
                "source": "pos",
                "currency_code": "EUR",
                "ticket_count": 1,
                "refund_count": 0,
                "customer_count": 0,
                "net_amount": 1,
            }
        ],
    )
    insert(
        empty_marts,
        "daily_product_sales",
        [
            {
                "business_date": NEWEST,
                "store_id": "s1",
                "source": "pos",
                "product_id": str(uuid.uuid4()),
                "product_name": name,
                "category": name,
                "currency_code": "EUR",
                "net_amount": 5,
                "ticket_count": 1,
            }
        ],
    )
    insert(empty_marts, "inventory_status", [stock(name, store_name=name, unit=name, sku=name, category=name)])
    insert(empty_marts, "data_freshness", [freshness("pos", 99, title=name)])
    pages = [*PATHS, "/questions/product_ranking", "/questions/stock_levels", "/questions/tickets_per_store"]

    for path in pages:
        page = requests.get(address + path, timeout=30)
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "<img src=x" not in page.text
        assert not re.search(r"<[^>]+\son\w+\s*=", re.sub(r'"[^"]*"', "", page.text))
    assert html.escape(name, quote=False) in page.text.replace("&#34;", '"').replace("&#39;", "'")
    cell = next(
        csv.DictReader(
            io.StringIO(
                requests.get(f"{address}/questions/product_ranking.csv", timeout=30).content.decode("utf-8-sig")
            )
        )
    )["product_name"]
    assert cell == (f"'{name}" if kind == "formula" else name)


INJECTIONS = ["' or 1=1 --", "pos'; drop table marts.data_freshness; --", "{{currency}}", "]] or true [["]


@pytest.mark.parametrize("attack", INJECTIONS)
def test_a_filter_is_a_value_and_nothing_else(small_business: Settings, address: str, attack: str) -> None:
    answer = requests.get(f"{address}/questions/sales_per_source.json", timeout=30)
    attacked = requests.get(f"{address}/dashboards/sales", params={"source": attack}, timeout=30)
    as_json = requests.get(f"{address}/questions/tickets_per_store.json", params={"source": attack}, timeout=30)

    assert attacked.status_code == 200
    assert "Nothing was found for what you chose." in attacked.text
    assert as_json.json()["rows"] == []
    assert requests.get(f"{address}/questions/sales_per_source.json", timeout=30).json() == answer.json()


@pytest.mark.parametrize("query", ["date_from=tomorrow", "date_from=2026-06-02&date_to=2026-06-01", "source=%00"])
def test_filters_that_make_no_sense_get_a_page_in_words(address: str, query: str) -> None:
    answer = requests.get(f"{address}/dashboards/sales?{query}", timeout=30)

    assert answer.status_code == 400
    assert "What to do" in answer.text
    assert "Traceback" not in answer.text


def test_all_cards_of_a_page_show_one_moment(small_business: Settings) -> None:
    """Rows that arrive while a page is made are on none of its cards."""
    with snapshot(small_business) as connection:
        question = Preview(small_business).catalogue.questions["sales_per_source"]
        before = ask(connection, question, Filters())
        insert(small_business, "daily_store_sales", [sale(NEWEST + timedelta(days=1))])
        assert ask(connection, question, Filters()) == before
    with snapshot(small_business) as connection:
        assert ask(connection, question, Filters()) != before


def test_a_page_is_kept_until_the_data_change(small_business: Settings) -> None:
    preview = Preview(small_business)
    started = time.perf_counter()
    first = preview.dashboard("sales", Filters())
    first_seconds = time.perf_counter() - started

    started = time.perf_counter()
    again = preview.dashboard("sales", Filters())
    seconds = time.perf_counter() - started
    insert(small_business, "daily_store_sales", [sale(NEWEST + timedelta(days=1), net="77.77")])
    changed = wait_for_other(preview, first)

    assert again is first
    assert seconds < 0.2
    assert first_seconds < 3
    assert any(
        "77.77" in card.figure.text
        for tab in changed.tabs
        for band in tab.bands
        for card in band
        if getattr(card, "figure", None)
    )


def wait_for_other(preview: Preview, old: Any) -> Any:
    """The server's counters may lag by a moment."""
    deadline = time.monotonic() + 15
    while (view := preview.dashboard("sales", Filters())) is old and time.monotonic() < deadline:
        time.sleep(0.1)
    return view


def test_truncated_marts_are_noticed(small_business: Settings) -> None:
    preview = Preview(small_business)
    first = preview.dashboard("sales", Filters())

    with connect(small_business, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("truncate marts.daily_store_sales")

    assert preview.dashboard("sales", Filters()) is not first


def test_a_question_that_fails_leaves_the_others(small_business: Settings) -> None:
    preview = Preview(small_business)
    good = preview.catalogue.questions["tickets_per_store"]
    bad = good.model_copy(update={"sql": "-- One row\nselect 1 / 0 as a from marts.daily_store_sales"})

    with snapshot(small_business) as connection:
        failed = ask(connection, bad, Filters())
        other = ask(connection, good, Filters())

    assert failed.failure == "division by zero"
    assert len(other.rows) == 2


FORBIDDEN = [
    "select * from core.customers",
    "select * from raw_pos.documents",
    "select * from ops.loads",
    "insert into marts.data_freshness (source) values ('x')",
    "create table marts.mine (a int)",
    "create temporary table mine (a int)",
    "copy marts.data_freshness to program 'id'",
    "select pg_read_file('/etc/passwd')",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_role_bi_reads_marts_and_nothing_else(marts: Settings, sql: str) -> None:
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
        connect(marts, "bi") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("set transaction read write")
        cursor.execute(sql)


def test_every_answer_carries_the_protective_headers(address: str, empty_marts: Settings) -> None:
    for path in (
        "/",
        "/dashboards/sales",
        "/questions/stock_levels.csv",
        "/health",
        "/nowhere",
        "/static/panpan.css",
    ):
        headers = requests.get(address + path, timeout=30).headers
        assert (
            "default-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src"
            in headers["content-security-policy"]
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""])
def test_foreign_host_names_are_refused(address: str, host: str) -> None:
    answer = requests.get(address, headers={"host": host}, timeout=30)

    assert answer.status_code == 400
    assert "PanPan" not in answer.text
    assert "nosniff" in answer.headers["x-content-type-options"]


def test_our_host_names_are_served(address: str, empty_marts: Settings) -> None:
    port = address.rsplit(":", 1)[1]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "localhost"):
        assert requests.get(f"{address}/health", headers={"host": host}, timeout=30).status_code == 200


MISSING = [
    "/nowhere",
    "/dashboards/nobody",
    "/questions/nobody",
    "/questions/nobody.csv",
    "/static/../app.py",
    "/static/%2e%2e/app.py",
    "/questions/..%2f..%2fetc",
    "/dashboards/<script>",
]


@pytest.mark.parametrize("path", MISSING)
def test_unknown_pages_say_so_in_words(address: str, path: str) -> None:
    answer = requests.get(address + path, timeout=30)

    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert "<script" not in answer.text
    assert "Traceback" not in answer.text


def test_every_entry_of_the_navigation_leads_to_its_page(address: str, empty_marts: Settings) -> None:
    entry = re.compile(r'<a href="([^"]+)" (aria-current="page")?>')
    entries = [link for link, _ in entry.findall(nav_of(f"{address}/"))]

    assert {"/", "/dashboards/sales", "/status", "/ask", "/catalogue", "/flow"} <= set(entries)
    for link in entries:
        assert [each for each, here in entry.findall(nav_of(address + link)) if here] == [link]


def nav_of(page: str) -> str:
    answer = requests.get(page, timeout=30)
    assert answer.status_code == 200, page
    [found] = re.findall(r"<nav.*?</nav>", answer.text, re.DOTALL)
    return str(found)


def test_pages_can_only_be_read(address: str) -> None:
    """The door (panpan/web/login.py) stops what no form of ours sent."""
    assert requests.post(address, timeout=30).status_code == 403
    assert requests.delete(f"{address}/dashboards/sales", timeout=30).status_code == 403


def test_health_says_yes(address: str, empty_marts: Settings) -> None:
    answer = requests.get(f"{address}/health", timeout=30)

    assert (answer.status_code, answer.json()["ok"]) == (200, True)


def test_without_a_database_pages_say_what_to_do(marts: Settings) -> None:
    pages = served(marts.model_copy(update={"postgres_port": free_port()}))
    address = next(pages)

    page = requests.get(f"{address}/dashboards/sales", timeout=30)
    health = requests.get(f"{address}/health", timeout=30)
    as_json = requests.get(f"{address}/questions/stock_levels.json", timeout=30)

    assert page.status_code == health.status_code == as_json.status_code == 503
    assert "bin/panpan up" in page.text
    assert "Traceback" not in page.text
    assert health.json() == {"ok": False, "database": "not reachable", "next": "bin/panpan up"}
    assert as_json.json()["ok"] is False
    next(pages, None)


def test_a_database_without_marts_is_explained(marts: Settings) -> None:
    pages = served(marts.model_copy(update={"database_name": "postgres"}))
    address = next(pages)

    page = requests.get(address, timeout=30)

    assert page.status_code == 503
    assert "bin/panpan up" in page.text
    next(pages, None)


def test_what_nobody_foresaw_gets_a_page_without_details(marts: Settings) -> None:
    preview = Preview(marts)
    preview.overview = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    program = uvicorn.Server(uvicorn.Config(build_app(marts, preview), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=program.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not program.started:
        time.sleep(0.02)

    answer = requests.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=30)

    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "ZeroDivisionError" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    program.should_exit = True
    thread.join(10)
    listener.close()


def test_many_readers_at_once_all_get_their_page(small_business: Settings, address: str) -> None:
    statuses: list[int] = []

    def read(path: str) -> None:
        statuses.append(requests.get(address + path, timeout=60).status_code)

    threads = [threading.Thread(target=read, args=(PATHS[place % len(PATHS)],)) for place in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200] * 40


def test_nothing_is_opened_when_the_module_is_imported() -> None:
    """Settings come from the caller; the app can be built while the database is down."""
    code = "import panpan.web.app, metabase.preview, sys; sys.exit('playwright' in sys.modules)"
    python = Path(sysconfig.get_path("scripts")) / "python"
    subprocess.run([python, "-c", code], check=True, env={"PATH": os.environ["PATH"]})
