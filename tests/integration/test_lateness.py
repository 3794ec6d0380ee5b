"""What came late and what was changed afterwards, against figures worked out by hand; first known and moved are now."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from db.connection import connect
from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.lateness import Group, Source, lateness
from transforms.merge import remove
from transforms.run import run
from transforms.tables import SALES

Ask = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., None]

# A Monday. In Madrid it is over on Tuesday at 4:00, which is 2:00 UTC; the tills have 36 hours, the orders 24.
DAY = date(2026, 5, 4)
TODAY = date(2026, 6, 1)
OPENING = datetime(2026, 5, 4, 21, tzinfo=UTC)
TILLS_PROMISE = datetime(2026, 5, 6, 14, tzinfo=UTC)
TILL = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID"


def euros(text: str) -> Decimal:
    return Decimal(text)


def receipt(number: str, amount: str, *, day: date = DAY, store: str = "Centro", refunds: str = "") -> str:
    """A line of the tills' export; a refund names the receipt whose payment it shares."""
    event, money = ("Refund", f"-€{amount[1:]}") if refunds else ("Payment", f"€{amount}")
    quantity = "-1" if refunds else "1"
    return (
        f"{number},{event},{day},09:00:00,PanPan {store},B,Bun,{quantity},{money},€0.00,{money},€0.00,"
        f"P{refunds or number}\n"
    )


def order(number: str, cents: int, currency: str = "EUR", *, state: str = "COMPLETED", updated: str = "12") -> Any:
    """An order of the delivery API, of Monday; updated is an hour of that day."""
    return {
        "id": number,
        "state": state,
        "created_at": "2026-05-04T10:00:00Z",
        "updated_at": f"2026-05-04T{updated}:00:00Z",
        "location_id": "L-DELIVERY",
        "line_items": [
            {
                "name": "Pizza",
                "quantity": "1",
                "metadata": {"sku": "PIZZA"},
                "gross_sales_money": {"amount": cents},
                "total_money": {"currency": currency},
            }
        ],
    }


def as_if_run_at(target: Settings, moment: datetime) -> None:
    """Let what the last run made known have become known at a moment of the past."""
    with connect(target, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            with last as (select max(known_at) as known_at from ops.runs),
            opened as (update core.sales set known_from = %(moment)s from last where known_from = known_at),
            closed as (
                update core_history.sales_versions set known_to = %(moment)s from last where known_to = known_at
            )
            update ops.runs as run set known_at = %(moment)s from last where run.known_at = last.known_at
            """,
            {"moment": moment},
        )


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Load:
    """Loads lines of the tills' export, or orders, as if the worker had taken them at a moment."""

    def put(moment: datetime, *records: Any) -> None:
        if isinstance(records[0], str):
            deliver("pos", f"{TILL}\n{''.join(records)}")
        else:
            deliver("pos_api", json.dumps({"orders": records}), "orders")
        run(warehouse)
        as_if_run_at(warehouse, moment)

    return put


@pytest.fixture
def typed(warehouse: Settings) -> Callable[..., str]:
    """What `panpan ingest late` prints; its error is raised."""

    def call(*words: str) -> str:
        result = CliRunner().invoke(
            assembled("ingest"), ["ingest", "late", *words, "--home", str(warehouse.home)], env={"COLUMNS": "300"}
        )
        if result.exception is not None:
            raise result.exception
        return result.stdout

    return call


def found_of(target: Settings, first: date = DAY, last: date = DAY) -> Source:
    """The only source with receipts of the days."""
    [found] = lateness(target, first, last, TODAY)
    return found


def whole(found: Source) -> Group:
    """All stores of a source whose receipts are in one currency."""
    [group] = [group for group in found.groups if group.store_id is None]
    return group


def test_a_receipt_is_late_when_it_became_known_after_what_its_source_promises(warehouse: Settings, load: Load) -> None:
    load(OPENING, receipt("T1", "2.00"), receipt("T2", "3.00"))
    load(TILLS_PROMISE, receipt("T3", "5.00"))
    load(TILLS_PROMISE + timedelta(hours=5.5), receipt("T4", "4.00"))
    load(TILLS_PROMISE + timedelta(hours=24), receipt("T5", "1.50"))

    found = found_of(warehouse)

    counts, amounts = found.counts, whole(found).amounts
    assert (counts.receipts, counts.late, counts.backfilled, counts.share_late) == (5, 2, 0, Decimal("0.4"))
    assert (counts.median_delay_hours, counts.longest_delay_hours) == (14.75, 24)
    assert (amounts.first_known, amounts.late, amounts.moved, amounts.now) == (
        euros("15.50"),
        euros("5.50"),
        0,
        euros("15.50"),
    )
    assert found.sentence == (
        "pos: 2 of 5 receipts came late (5.50 EUR), half of them by 14 h or more, the last by 24 h; "
        "nothing was changed afterwards."
    )


def test_a_receipt_that_came_again_is_known_since_it_came_first(warehouse: Settings, load: Load) -> None:
    load(OPENING, receipt("T1", "2.00"))
    load(TILLS_PROMISE + timedelta(days=9), receipt("T1", "2.00"), receipt("T2", "3.00"))

    found = found_of(warehouse)

    assert (found.counts.receipts, found.counts.late, found.counts.changed) == (2, 1, {})
    assert found.sentence == ("pos: 1 of 2 receipts came late (3.00 EUR), by 9 days; nothing was changed afterwards.")


def test_corrections_and_later_refunds_are_told_by_cause_with_what_they_moved(warehouse: Settings, load: Load) -> None:
    load(OPENING, receipt("T1", "2.00"), receipt("T2", "3.00"), receipt("T3", "9.00"))
    load(OPENING + timedelta(hours=1), receipt("T1", "2.50"), receipt("T3", "8.00"))
    load(TILLS_PROMISE + timedelta(days=1), receipt("T3", "7.90"))
    load(TILLS_PROMISE + timedelta(days=3), receipt("R1", "-3.00", refunds="T2"))

    found = found_of(warehouse)

    counts, amounts = found.counts, whole(found).amounts
    assert (counts.receipts, counts.late, counts.changed) == (3, 0, {"correction": 2, "refund": 1})
    assert amounts.first_known == euros("14.00")
    assert amounts.moved_by == {"correction": euros("-0.60"), "refund": euros("-3.00")}
    assert (amounts.moved, amounts.now) == (euros("-3.60"), euros("10.40"))
    assert found.sentence == (
        "pos: none of 3 receipts came late; 2 corrections and 1 refund afterwards moved -3.60 EUR."
    )


def test_a_refund_that_came_with_its_sale_or_before_it_is_a_receipt_like_others(
    warehouse: Settings, load: Load
) -> None:
    load(OPENING, receipt("T1", "2.00"), receipt("R1", "-2.00", refunds="T1"), receipt("R2", "-3.00", refunds="T2"))
    load(TILLS_PROMISE + timedelta(hours=2), receipt("T2", "3.00"))

    found = found_of(warehouse)

    assert (found.counts.receipts, found.counts.late) == (4, 1)
    assert whole(found).amounts.first_known == whole(found).amounts.now == 0
    assert found.counts.changed == {"correction": 1}, "the refund is tied to its sale"
    assert whole(found).amounts.moved == 0


def test_a_cancelled_order_is_a_refund_of_what_was_known(warehouse: Settings, load: Load) -> None:
    load(OPENING, order("O1", 900), order("O2", 200), order("O3", 400, state="CANCELED"))
    load(OPENING + timedelta(hours=3), order("O1", 900, state="CANCELED", updated="14"))

    found = found_of(warehouse)

    assert found.counts.receipts == 4, "a cancelled order and what takes it back came together"
    assert found.counts.changed == {"correction": 1, "refund": 1}
    assert whole(found).amounts.moved_by == {"correction": 0, "refund": euros("-9.00")}
    assert (whole(found).amounts.first_known, whole(found).amounts.now) == (euros("11.00"), euros("2.00"))


def test_a_void_that_was_taken_back_and_made_again_is_first_known_once(warehouse: Settings, load: Load) -> None:
    load(OPENING, order("O1", 900, state="CANCELED"))
    load(OPENING + timedelta(hours=1), order("O1", 900, updated="13"))
    load(OPENING + timedelta(hours=2), order("O1", 900, state="CANCELED", updated="14"))

    found = found_of(warehouse)

    assert found.counts.receipts == 2
    assert whole(found).amounts.first_known == 0
    assert whole(found).amounts.moved_by == {"correction": euros("9.00"), "refund": euros("-9.00")}


def test_a_receipt_that_was_deleted_and_is_there_again_is_told_as_both(
    warehouse: Settings, load: Load, ask: Ask
) -> None:
    load(OPENING, receipt("T1", "2.00"), receipt("T2", "3.00"), receipt("T3", "4.00"))
    delete(warehouse, "T1", "T2")
    as_if_run_at(warehouse, OPENING + timedelta(hours=1))
    load(OPENING + timedelta(hours=2), receipt("T1", "2.10"))

    found = found_of(warehouse)

    assert ask("select count(*) from core.sales") == [(2,)]
    assert (found.counts.receipts, found.counts.changed) == (3, {"delete": 2, "return": 1})
    assert whole(found).amounts.moved_by == {"delete": euros("-5.00"), "return": euros("2.10")}
    assert (whole(found).amounts.first_known, whole(found).amounts.now) == (euros("9.00"), euros("6.10"))
    assert found.sentence.endswith("2 deletions and 1 return of a deleted receipt afterwards moved -2.90 EUR.")


def delete(target: Settings, *receipts: str) -> None:
    """Delete receipts in a run of its own."""
    with connect(target, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "create temporary table gone on commit drop as"
            " select sale_id from core.sales where receipt_number = any(%s)",
            (list(receipts),),
        )
        cursor.execute(
            "insert into ops.runs (step, status, known_at) values ('delete', 'done', now()) returning known_at"
        )
        [(known_at,)] = cursor.fetchall()
        # Lines and payments refer to their receipt.
        for table in reversed(SALES):
            remove(connection, table, "gone", {"known_at": known_at, "cause": "delete"})


def test_a_receipt_moved_to_another_day_left_one_and_is_a_correction_of_the_other(
    warehouse: Settings, load: Load
) -> None:
    load(OPENING, receipt("T1", "2.00"), receipt("T2", "3.00"))
    load(TILLS_PROMISE + timedelta(days=9), receipt("T2", "3.50", day=DAY + timedelta(days=1)))

    monday, tuesday = (found_of(warehouse, day, day) for day in (DAY, DAY + timedelta(days=1)))
    both = found_of(warehouse, DAY, DAY + timedelta(days=1))

    assert (monday.counts.receipts, monday.counts.changed) == (2, {"correction": 1})
    assert (whole(monday).amounts.moved, whole(monday).amounts.now) == (euros("-3.00"), euros("2.00"))
    assert (tuesday.counts.receipts, tuesday.counts.late, tuesday.counts.changed) == (0, 0, {"correction": 1})
    assert (whole(tuesday).amounts.first_known, whole(tuesday).amounts.now) == (0, euros("3.50"))
    assert tuesday.sentence == (
        "pos: no receipt was first known on these days; 1 correction afterwards moved 3.50 EUR."
    )
    assert whole(both).amounts.moved == euros("0.50")


def test_what_was_over_before_the_source_was_first_loaded_is_backfilled_and_not_late(
    warehouse: Settings, load: Load
) -> None:
    """The promise for Friday had run out one hour before the first load, that for Saturday has not."""
    friday, saturday = date(2026, 5, 1), date(2026, 5, 2)
    first_load = datetime(2026, 5, 3, 15, tzinfo=UTC)
    load(first_load, receipt("F1", "1.00", day=friday), receipt("S1", "2.00", day=saturday))
    load(first_load + timedelta(days=2), receipt("F2", "4.00", day=friday), receipt("S2", "8.00", day=saturday))

    both = found_of(warehouse, friday, saturday)

    assert (both.counts.receipts, both.counts.backfilled, both.counts.late) == (4, 2, 1)
    assert both.counts.share_late == Decimal("0.5")
    assert (whole(both).amounts.backfilled, whole(both).amounts.late) == (euros("5.00"), euros("8.00"))
    assert both.first_loaded_at == first_load
    assert both.sentence == (
        "pos: 1 of 2 receipts came late (8.00 EUR), by 25 h; 2 more are backfilled, of days that were over before it "
        "was first loaded (2026-05-03); nothing was changed afterwards."
    )
    alone = found_of(warehouse, friday, friday)
    assert alone.counts.share_late is None
    assert alone.sentence == (
        "pos: 2 receipts of days that were over before it was first loaded (2026-05-03), backfilled and not late; "
        "nothing was changed afterwards."
    )


def test_another_source_that_was_there_before_makes_no_day_judged(warehouse: Settings, load: Load) -> None:
    load(OPENING, order("O1", 900))
    load(OPENING + timedelta(days=20), receipt("T1", "2.00"))

    counts = {found.source: found.counts for found in lateness(warehouse, DAY, DAY, TODAY)}

    assert (counts["pos_api"].backfilled, counts["pos_api"].late) == (0, 0)
    assert (counts["pos"].backfilled, counts["pos"].late) == (1, 0)


def test_currencies_are_never_added(warehouse: Settings, load: Load) -> None:
    load(OPENING, order("O1", 900), order("O2", 500, "USD"), order("O3", 600, "USD"))
    # The orders' promise runs out twelve hours before that of the tills.
    load(TILLS_PROMISE - timedelta(hours=9), order("O4", 100), order("O5", 50, "USD"))
    load(TILLS_PROMISE, order("O1", 800, updated="13"), order("O2", 575, "USD", updated="13"))

    found = found_of(warehouse)

    assert (found.counts.receipts, found.counts.late, found.counts.changed) == (5, 2, {"correction": 2})
    said = {group.currency_code: (group.counts.receipts, group.amounts) for group in found.groups}
    assert {currency: receipts for currency, (receipts, _) in said.items()} == {"EUR": 2, "USD": 3}
    amounts = {currency: (each.first_known, each.late, each.moved, each.now) for currency, (_, each) in said.items()}
    assert amounts == {
        "EUR": (euros("10.00"), euros("1.00"), euros("-1.00"), euros("9.00")),
        "USD": (euros("11.50"), euros("0.50"), euros("0.75"), euros("12.25")),
    }
    assert found.sentence == (
        "pos_api: 2 of 5 receipts came late (1.00 EUR and 0.50 USD), half of them by 3 h or more, the last by 3 h; "
        "2 corrections afterwards moved -1.00 EUR and 0.75 USD."
    )


def test_stores_are_told_where_a_source_has_several(warehouse: Settings, load: Load) -> None:
    load(OPENING, receipt("T1", "2.00"))
    assert [group.store_id for group in found_of(warehouse).groups] == [None]

    load(TILLS_PROMISE + timedelta(hours=1), receipt("T2", "3.00", store="Norte"), receipt("T3", "1.00", store="Norte"))
    load(TILLS_PROMISE + timedelta(hours=2), receipt("T3", "1.00"))

    groups = found_of(warehouse).groups
    assert [(group.store_id, group.counts.receipts, group.counts.late) for group in groups] == [
        (None, 3, 2),
        ("centro", 1, 0),
        ("norte", 2, 2),
    ]
    assert [group.counts.changed for group in groups] == [{"correction": 1}] * 3
    assert [(group.amounts.moved, group.amounts.now) for group in groups] == [
        (0, euros("6.00")),
        (euros("1.00"), euros("3.00")),
        (euros("-1.00"), euros("3.00")),
    ]


def test_only_the_source_asked_for_is_told(warehouse: Settings, load: Load) -> None:
    load(OPENING, order("O1", 900))
    load(OPENING, receipt("T1", "2.00"))

    assert [found.source for found in lateness(warehouse, DAY, DAY, TODAY)] == ["pos", "pos_api"]
    assert [found.source for found in lateness(warehouse, DAY, DAY, TODAY, "pos_api")] == ["pos_api"]


DELIVERIES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["T1", "T2", "T3"]),
            st.integers(1, 4),
            st.sampled_from([0, 1]),
            st.sampled_from(["Centro", "Norte"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=DELIVERIES)
def test_first_known_and_moved_are_what_core_says_now(
    new_warehouse: Any, deliver: Any, ask: Ask, deliveries: list[list[tuple[str, int, int, str, bool]]]
) -> None:
    """Whatever was loaded in whatever order, receipts that change amount, day and store and refunds included."""
    with new_warehouse() as fresh:
        for number, records in enumerate(deliveries):
            last = {record[0]: record for record in records}  # of a receipt one version per file
            lines = [
                receipt(f"R{name}", f"-{amount}.00", refunds=name, day=DAY + timedelta(days=shift), store=store)
                if is_refund
                else receipt(name, f"{amount}.10", day=DAY + timedelta(days=shift), store=store)
                for name, amount, shift, store, is_refund in last.values()
            ]
            # The same lines may come again as another file, which tells the bytes apart.
            deliver("pos", f"{TILL}\n{''.join(lines)}" + "\n" * number, settings=fresh)
            run(fresh)

        for days in ((0, 0), (1, 1), (0, 1)):
            first, last_day = (DAY + timedelta(days=shift) for shift in days)
            now = ask(
                "select store_id, sum(net_amount) from core.sales where business_date between %s and %s"
                " group by rollup (store_id)",
                first,
                last_day,
                settings=fresh,
            )
            ever = "select count(*) from core_history.sales where business_date between %s and %s"
            if ask(ever, first, last_day, settings=fresh) == [(0,)]:
                continue
            found = found_of(fresh, first, last_day)
            said = {group.store_id: group.amounts.first_known + group.amounts.moved for group in found.groups}
            expected = {store: amount or Decimal(0) for store, amount in now}
            assert {store: said.get(store, said[None]) for store in expected} == expected


def test_people_read_a_table_and_a_sentence_and_programs_one_object(load: Load, typed: Callable[..., str]) -> None:
    load(OPENING, receipt("T1", "2.00"))
    load(TILLS_PROMISE + timedelta(hours=5), receipt("T2", "3.00"))
    load(TILLS_PROMISE + timedelta(hours=6), receipt("T1", "2.50"))

    printed = typed("--period", "2026-05-04..2026-05-10")
    answer = json.loads(typed("--period", "2026-05-04", "--source", "pos", "--json"))

    assert "receipts of 2026-05-04..2026-05-10" in printed
    assert " 50.0 " in printed and "correction 1 (0.50)" in printed
    assert printed.splitlines()[-1] == (
        "pos: 1 of 2 receipts came late (3.00 EUR), by 5 h; 1 correction afterwards moved 0.50 EUR."
    )
    assert (answer["ok"], answer["first_day"], answer["last_day"]) == (True, "2026-05-04", "2026-05-04")
    [source] = answer["sources"]
    assert source["sentence"] == printed.splitlines()[-1]
    assert (source["source"], source["warn_after_hours"], source["share_late"]) == ("pos", 36, "0.5000")
    assert (source["counts"]["late"], source["counts"]["longest_delay_hours"]) == (1, 5)
    [group] = source["groups"]
    assert (group["currency_code"], group["moved"], group["now"]) == ("EUR", "0.50", "5.50")
    assert group["amounts"]["moved_by"] == {"correction": "0.50"}


def test_a_source_whose_contract_is_gone_is_told_and_not_judged(warehouse: Settings, load: Load) -> None:
    load(OPENING, receipt("T1", "2.00"))
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update core.sales set source = 'old_till'")

    found = found_of(warehouse)

    assert (found.warn_after_hours, found.counts.receipts, found.counts.late) == (None, 1, 0)
    assert found.sentence == (
        "old_till: 1 receipt, and no contract that says by when they should have come; nothing was changed afterwards."
    )


@pytest.mark.parametrize(
    ("words", "message", "cause"),
    [
        (("--source", "nobody"), "there is no source 'nobody'", "sources that send receipts: bread_basket, "),
        (("--source", "crm"), "source crm sends no receipts", "sources that send receipts: bread_basket, "),
        (("--period", "2999-05"), "2999-05-01..2999-05-31 is still to come", "today is "),
        (
            ("--period", "2026-04"),
            "no receipts of 2026-04-01..2026-04-30 are known",
            "the newest receipts are of 2026-05-04",
        ),
        (
            ("--period", "2026-05", "--source", "pos_api"),
            "no receipts of 2026-05-01..2026-05-31 are known",
            "no receipts of pos_api are known",
        ),
    ],
)
def test_what_can_not_be_told_is_said(
    load: Load, typed: Callable[..., str], words: tuple[str, str], message: str, cause: str
) -> None:
    load(OPENING, receipt("T1", "2.00"))

    with pytest.raises(UsageError) as told:
        typed(*words)

    assert told.value.message == message
    assert (told.value.cause or "").startswith(cause)
