"""
A customer is erased from everything that is kept, figures stay, and no source brings the person back: on request, or
when nobody has heard of the customer for longer than db/pii.yaml allows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import PanpanError, UsageError
from panpan.scheduler import Worker
from panpan.settings import Settings
from transforms.erasure import erase, places_of
from transforms.rebuild import rebuild
from transforms.retention import SETTLING, anonymise_due, find_due
from transforms.run import run

app = assembled()

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


# --- retention ----------------------------------------------------------------------------------------------

STALE, RECENT = "2021-03-04", "2026-05-02"


def in_five_weeks() -> datetime:
    """Late enough for who came today to have settled."""
    return datetime.now(UTC) + SETTLING + timedelta(days=5)


def dated(text: str, day: str) -> str:
    """A made-up document whose every moment is of one day."""
    for each in ("2025-01-02", "2026-01-02", "2026-05-01", "2026-05-02"):
        text = text.replace(each, day)
    return text


@pytest.fixture
def old_shop(warehouse: Settings, deliver: Any) -> Settings:
    """The shop, years ago; only Otto bought again since."""
    deliver("crm", dated(contacts(), STALE), "contacts")
    deliver("pos_api", dated(orders(), STALE), "orders")
    deliver("coffee_chain", dated(CUSTOMERS_CSV, STALE).replace("2026-01-01", STALE))
    deliver("pos_api", json.dumps({"orders": [order("O-3", "Otto Other", OTHER, 500)]}), "orders")
    run(warehouse)
    return warehouse


def named(settings: Settings, now: datetime) -> set[str]:
    return {customer_id for ids in find_due(settings, now).persons for customer_id in ids}


def ids_of(ask: Ask, *records: str) -> set[str]:
    rows = ask(
        "select customer_id::text from core.customer_sources where source || ':' || source_customer_id = any (%s)",
        list(records),
    )
    return {customer_id for (customer_id,) in rows}


def test_who_was_not_heard_of_for_the_period_goes_and_who_bought_since_stays(old_shop: Settings, ask: Ask) -> None:
    before = figures(ask)
    silent = ids_of(ask, "crm:501", "coffee_chain:7", "pos_api:C-que")
    assert places_of(old_shop, {EMAIL}), "the scan must be able to see"
    assert named(old_shop, in_five_weeks()) == silent | ids_of(ask, "coffee_chain:9")

    done = anonymise_due(old_shop, in_five_weeks(), by="retention")

    assert [each.places for each in done] == [[]]
    assert places_of(old_shop, VALUES | {"otto@shop.example"}) == []
    assert figures(ask) == before
    assert ask("select full_name, email from core.customers where email = %s", OTHER) == [("Otto Other", OTHER)]
    receipts = ask("select erased_by, reason, places_left from ops.erasures order by 1")
    assert receipts == [("retention", "not heard of for 1096 days: db/pii.yaml", 0)] * 2


def test_the_next_run_changes_nothing_and_no_source_brings_anybody_back(
    old_shop: Settings, ask: Ask, deliver: Any, contents: Any
) -> None:
    anonymise_due(old_shop, in_five_weeks(), by="retention")
    before, everything = figures(ask), contents("raw_pos", "raw_crm", "core", "core_history", "ops", settings=old_shop)

    assert anonymise_due(old_shop, in_five_weeks(), by="retention") == []
    assert contents("raw_pos", "raw_crm", "core", "core_history", "ops", settings=old_shop) == everything
    deliver("crm", dated(contacts(), STALE).replace(f"{STALE}T10", f"{STALE}T11"), "contacts")
    deliver("pos_api", dated(orders(), STALE).replace(f"{STALE}T10", f"{STALE}T11"), "orders")
    run(old_shop)
    rebuild(old_shop, compare_only=False)

    assert places_of(old_shop, VALUES) == []
    assert figures(ask) == before
    assert named(old_shop, in_five_weeks()) == set()


def test_a_word_of_any_source_or_a_kept_mail_keeps_the_whole_person(old_shop: Settings, ask: Ask, deliver: Any) -> None:
    """What the stale record is known by is borne by a lively one, if only by way of a third: both stay."""
    bridge = contact("601", "Another Name", "bridge@canary-post.example", PHONE)
    lively = contact("602", "Third Name", "bridge@canary-post.example", None, RECENT)
    deliver("crm", dated(json.dumps({"results": [bridge]}), STALE), "contacts")
    deliver("crm", json.dumps({"results": [lively]}), "contacts")
    run(old_shop)

    assert named(old_shop, in_five_weeks()) == ids_of(ask, "coffee_chain:9")


def test_who_came_only_now_is_left_until_the_past_of_the_tills_may_be_there(old_shop: Settings) -> None:
    assert named(old_shop, datetime.now(UTC)) == set()
    assert anonymise_due(old_shop, datetime.now(UTC), by="retention") == []


def test_a_load_that_waits_may_tell_of_a_purchase_so_nobody_goes(old_shop: Settings, ask: Ask, deliver: Any) -> None:
    deliver("pos_api", json.dumps({"orders": [order("O-4", NAME, EMAIL, 700)]}), "orders")

    with pytest.raises(PanpanError, match="while loads wait"):
        anonymise_due(old_shop, in_five_weeks(), by="retention")
    run(old_shop)

    assert named(old_shop, in_five_weeks()) == ids_of(ask, "coffee_chain:9")


def test_retention_is_told_by_default_and_applied_when_asked_for(
    old_shop: Settings, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return in_five_weeks()

    monkeypatch.setattr("panpan.cli.pii.datetime", Later)
    monkeypatch.setattr("panpan.scheduler.datetime", Later)
    words = ["pii", "retention", "--json", "--home", str(old_shop.home)]

    told = json.loads(CliRunner().invoke(app, words).stdout)
    unsigned = CliRunner().invoke(app, [*words, "--apply"])
    assert ask("select count(*) from ops.erasures") == [(0,)]
    Worker(old_shop)._anonymise()
    applied = json.loads(CliRunner().invoke(app, [*words, "--apply", "--who", "Ada"]).stdout)

    assert (told["days"]["direct"], told["days"]["indirect"], len(told["due"]), told["worker"]) == (
        1096,
        None,
        2,
        False,
    )
    assert not [value for value in VALUES if value in json.dumps(told)]
    assert unsigned.exit_code == 2
    assert (applied["due"], applied["erasures"], applied["ok"]) == ([], [], True)
    assert ask("select erased_by, count(*) from ops.erasures group by 1") == [("retention", 2)]
