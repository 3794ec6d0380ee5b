"""A customer is erased from everything that is kept, figures stay, and no source brings the person back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from panpan.cli.app import app
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.erasure import erase, places_of
from transforms.rebuild import rebuild
from transforms.run import run

Ask = Callable[..., list[tuple[Any, ...]]]

NAME, EMAIL, PHONE = "Quetzalina Brambleworth", "quetzalina@canary-post.example", "+34 611 22 33 44"
VALUES = {
    NAME,
    "Quetzalina",
    "Brambleworth",
    EMAIL,
    PHONE,
    "+34611223344",
    "611223344",
    "CARD-77001",
    "Calle Canario 9",
}
OTHER = "other.person@canary-post.example"


def contact(
    number: str, name: str, email: str, phone: str | None = None, updated: str = "2026-05-01"
) -> dict[str, Any]:
    first, _, last = name.partition(" ")
    return {
        "id": number,
        "createdAt": "2025-01-02T10:00:00Z",
        "updatedAt": f"{updated}T10:00:00Z",
        "archived": False,
        "properties": {"firstname": first, "lastname": last, "email": email, "phone": phone, "zip": "28001",
                       "loyalty_card": "CARD-77001" if email == EMAIL else None},
    }  # fmt: skip


def order(number: str, name: str, email: str, amount: int) -> dict[str, Any]:
    money = {"amount": amount, "currency": "EUR"}
    recipient = {
        "display_name": name,
        "email_address": email,
        "phone_number": PHONE if email == EMAIL else "+34699887766",
        "address": {"postal_code": "28001", "address_line_1": "Calle Canario 9" if email == EMAIL else "Calle 1"},
    }
    return {
        "id": number,
        "state": "COMPLETED",
        "created_at": "2026-05-02T10:00:00Z",
        "updated_at": "2026-05-02T10:00:00Z",
        "location_id": "L-DELIVERY",
        "customer_id": f"C-{email[:3]}",
        "fulfillments": [{"delivery_details": {"recipient": recipient}}],
        "line_items": [
            {"name": "Baguette", "quantity": "1", "base_price_money": money, "gross_sales_money": money,
             "total_money": money, "total_discount_money": {"amount": 0, "currency": "EUR"},
             "total_tax_money": {"amount": 0, "currency": "EUR"}, "metadata": {"sku": "B1"}}
        ],
        "total_tip_money": {"amount": 0, "currency": "EUR"},
        "tenders": [{"id": f"T-{number}", "type": "CARD"}],
    }  # fmt: skip


def contacts(updated: str = "2026-05-01") -> str:
    return json.dumps({"results": [contact("501", NAME, EMAIL, PHONE, updated), contact("502", "Otto Other", OTHER)]})


def orders() -> str:
    return json.dumps({"orders": [order("O-1", NAME, EMAIL, 1250), order("O-2", "Otto Other", OTHER, 990)]})


CUSTOMERS_CSV = (
    "customer_id,home_store,customer_first-name,customer_email,customer_since,loyalty_card_number,birthdate,gender,"
    "birth_year\r\n"
    '9,3,"Other, Otto",otto@shop.example,2026-01-01,X-1,1980-02-02,M,1980\r\n'
    f'7,3,"{NAME}",{EMAIL},2026-01-02,CARD-77001,1990-03-03,F,1990\r\n'
)


@pytest.fixture
def shop(warehouse: Settings, deliver: Any) -> Settings:
    """A CRM, delivery orders and a till's list that know the same person, all taken."""
    deliver("crm", contacts(), "contacts")
    deliver("pos_api", orders(), "orders")
    deliver("coffee_chain", CUSTOMERS_CSV)
    run(warehouse)
    return warehouse


def figures(ask: Ask) -> list[tuple[Any, ...]]:
    return ask(
        "select business_date, store_id, net_amount, ticket_count, customer_count from marts.daily_store_sales"
        " order by 1, 2"
    ) + ask("select count(*), sum(net_amount) from core.sales")


def test_nothing_of_the_person_is_left_and_every_figure_stays(shop: Settings, ask: Ask) -> None:
    before = figures(ask)
    assert places_of(shop, {EMAIL}), "the scan must be able to see"
    [(others_before,)] = ask("select count(*) from core.customers where email = %s", OTHER)
    assert others_before == 1

    done = erase(shop, "crm:501", by="Ada", reason="asked to be forgotten")

    assert done.places == []
    assert done.records == ["coffee_chain:7", "crm:501", "pos_api:C-que"]
    assert places_of(shop, VALUES) == []
    assert figures(ask) == before
    assert ask("select count(*) from core.customers where email = %s", OTHER) == [(1,)]
    [(content,)] = ask("select content from raw_pos.documents where name = 'made by a test' and entity is null")
    lines = bytes(content).decode().split("\r\n")
    assert lines[1] == CUSTOMERS_CSV.split("\r\n")[1], "another row was touched"
    assert lines[2] == "7,,,,,,,,", "what no contract reads of a person goes too"
    assert ask("select places_left, erased_by, reason from ops.erasures order by 1") == [
        (0, "Ada", "asked to be forgotten")
    ]
    [(receipts,)] = ask("select string_agg(e::text, ' ') from ops.erasures as e")
    assert not [value for value in VALUES if value in receipts]


def test_neither_a_pull_nor_a_replay_nor_a_rebuild_brings_the_person_back(
    shop: Settings, ask: Ask, deliver: Any
) -> None:
    before = figures(ask)
    erase(shop, "crm:501", by="Ada", reason="asked to be forgotten")

    deliver("crm", contacts("2026-06-01"), "contacts")
    deliver("pos_api", orders().replace("2026-05-02T10:00:00Z", "2026-05-02T11:00:00Z"), "orders")
    run(shop)
    ask("update ops.loads set status = 'received'")
    run(shop)
    rebuild(shop, compare_only=False)

    assert places_of(shop, VALUES) == []
    assert figures(ask) == before
    assert ask("select count(distinct customer_id) from core.customers where email = %s", OTHER) == [(1,)]


def test_an_erasure_that_was_killed_is_done_by_the_next_one(shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("transforms.erasure._erase_core", killed)
        with pytest.raises(Killed):
            erase(shop, "crm:501", by="Ada", reason="asked")

    assert erase(shop, "crm:501", by="Ada", reason="asked").places == []


def test_a_dry_run_changes_nothing_and_the_reason_may_not_name_the_person(shop: Settings, contents: Any) -> None:
    schemas = ("raw_pos", "raw_crm", "core", "core_history", "ops")
    before = contents(*schemas, settings=shop)
    parquet = {file: file.read_bytes() for file in Path(shop.formatted).rglob("*.parquet")}

    done = erase(shop, "crm:501", by="Ada", reason="asked", dry_run=True)
    with pytest.raises(UsageError, match="names the customer"):
        erase(shop, "crm:501", by="Ada", reason=f"{NAME.upper()} asked")
    with pytest.raises(UsageError, match="no customer"):
        erase(shop, "crm:9999", by="Ada", reason="asked")

    assert done.counts["records"] == 3
    assert contents(*schemas, settings=shop) == before
    assert {file: file.read_bytes() for file in parquet} == parquet


def test_the_command_reports_the_receipt_and_only_the_owner_could(shop: Settings, ask: Ask) -> None:
    words = ["pii", "erase", "customer:crm:501", "--why", "asked", "--who", "Ada", "--json", "--home", str(shop.home)]

    answer = json.loads(CliRunner().invoke(app, words).stdout)

    assert (answer["ok"], answer["places_left"], answer["erased"]) == (True, [], True)
    assert answer["backups_until"]
    assert not [value for value in VALUES if value in json.dumps(answer)]
    for role in ("transformer", "web", "bi", "loader"):
        assert ask("select has_table_privilege(%s, 'raw_crm.documents', 'update')", role) == [(False,)]
        assert ask("select has_table_privilege(%s, 'ops.erasures', 'insert')", role) == [(False,)]
