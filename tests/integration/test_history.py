"""History and published figures: what was known when, why it changed, and that nothing is left unexplained."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.connection import connect
from panpan.settings import Settings
from transforms.published import evolve
from transforms.run import run

HEADER = (
    "Date,Time,Time Zone,Category,Item,Qty,Price Point Name,SKU,Modifiers Applied,Gross Sales,Discounts,Net Sales,Tax,"
    "Transaction ID,Payment ID,Event Type,Location,Dining Option,Customer ID,Customer Name,Customer Reference ID,"
    "Employee,Card Brand,PAN Suffix,Notes\n"
)
DAY = date(2026, 5, 4)
TABLES = ("stores", "products", "customers", "customer_sources", "employees", "sales", "sale_lines", "payments")


def line(number: str, item: str, euros: str, *, day: date = DAY, event: str = "Payment", payment: str = "") -> str:
    sign, amount = ("-", euros[1:]) if euros.startswith("-") else ("", euros)
    quantity = "-1.0" if sign else "1.0"
    return (
        f'{day},12:00:00,Madrid,Bread,{item},{quantity},Regular,{item[:3].upper()}-01,"",{sign}€{amount},€0.00,'
        f"{sign}€{amount},{sign}€0.10,{number},{payment or 'P' + number},{event},PanPan Centro,To Go,,,,,Visa,1234,\n"
    )


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Any:
    def put(*lines: str) -> None:
        deliver("pos", HEADER + "".join(lines), settings=warehouse)
        run(warehouse)

    return put


def test_day_that_changed_four_times_is_explained_to_the_cent(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"), line("T2", "Croissant", "3.00"))
    load(line("T3", "Focaccia", "5.00"))
    load(line("T1", "Baguette", "2.50"))
    load(line("R1", "Croissant", "-3.00", event="Refund", payment="PT2"))

    found = evolve(warehouse, "revenue", DAY, {}, None)

    assert [(step.cause, step.delta, step.value) for step in found.steps] == [
        ("new", Decimal("5.00"), Decimal("5.00")),
        ("late", Decimal("5.00"), Decimal("10.00")),
        ("correction", Decimal("0.50"), Decimal("10.50")),
        ("refund", Decimal("-3.00"), Decimal("7.50")),
    ]
    assert found.unexplained == 0
    assert ask("select net_amount, closed_cause from core_history.sales_versions") == [(Decimal("2.00"), "correction")]


def test_second_delivery_of_the_same_receipts_makes_no_version(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"))
    load(line("T1", "Baguette", "2.00"), line("T9", "Baguette", "2.00", day=DAY + timedelta(days=1)))

    closed = [ask(f"select count(*) from core_history.{table}_versions") for table in TABLES]  # noqa: S608  # our own names
    assert closed == [[(0,)]] * len(TABLES)


def test_line_that_left_its_receipt_is_kept_as_a_closed_version(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"), line("T1", "Croissant", "3.00"))
    load(line("T1", "Baguette", "2.00"))

    closed = ask("select product_name, closed_cause, known_to > known_from from core_history.sale_lines_versions")

    assert closed == [("Croissant", "correction", True)]
    assert ask("select count(*) from core_history.sale_lines where known_to is null") == [(1,)]


def test_rows_as_known_at_a_past_moment(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"))
    [(then,)] = ask("select max(known_at) from ops.runs")
    load(line("T1", "Baguette", "9.00"), line("T2", "Croissant", "3.00"))

    with connect(warehouse, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select set_config('panpan.as_of', %s, true)", (then.isoformat(),))
        cursor.execute("select receipt_number, net_amount from core_asof.sales")
        known = cursor.fetchall()

    assert known == [("T1", Decimal("2.00"))]


def test_clock_set_back_by_a_day_still_orders_the_runs(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"))
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        # As if the run before had happened while the clock was a day ahead.
        cursor.execute("update ops.runs set known_at = known_at + interval '1 day'")
        cursor.execute("update core.sales set known_from = known_from + interval '1 day'")
    load(line("T1", "Baguette", "3.00"))

    assert ask("select known_from < known_to from core_history.sales_versions") == [(True,)]
    assert evolve(warehouse, "revenue", DAY, {}, None).steps[-1].value == Decimal("3.00")


def test_refund_that_came_before_its_sale_is_tied_by_a_version_of_its_own(
    warehouse: Settings, load: Any, ask: Any
) -> None:
    load(line("R1", "Baguette", "-2.00", event="Refund", payment="PT1"))
    load(line("T1", "Baguette", "2.00", payment="PT1"))

    versions = ask(
        "select reverses_sale_id is null, known_to is null from core_history.sales "
        "where receipt_number = 'R1' order by 2"
    )

    assert versions == [(True, False), (False, True)]


def test_overlapping_versions_are_impossible(warehouse: Settings, load: Any) -> None:
    load(line("T1", "Baguette", "2.00"))
    load(line("T1", "Baguette", "3.00"))

    with (
        pytest.raises(Exception, match="conflicting key value"),
        connect(warehouse, "transformer") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("create temporary table again as select * from core_history.sales_versions")
        cursor.execute("alter table again drop column known_during")
        cursor.execute("update again set known_to = known_to + interval '1 hour'")
        cursor.execute(
            "select string_agg(quote_ident(attname), ', ') from pg_attribute where attrelid = 'again'::regclass "
            "and attnum > 0 and not attisdropped"
        )
        [(columns,)] = cursor.fetchall()
        again = f"insert into core_history.sales_versions ({columns}) select {columns} from again"  # noqa: S608  # columns of the table itself
        cursor.execute(again)


def test_worker_can_add_versions_and_change_none(warehouse: Settings, load: Any) -> None:
    load(line("T1", "Baguette", "2.00"))

    for statement in (
        "update core_history.sales_versions set net_amount = 0",
        "delete from core_history.sales_versions",
    ):
        with (
            pytest.raises(Exception, match="permission denied"),
            connect(warehouse, "transformer") as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


DELIVERY = st.lists(
    st.tuples(st.sampled_from(["T1", "T2", "T3"]), st.integers(1, 4), st.sampled_from([0, 1])), min_size=1, max_size=4
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(DELIVERY, min_size=1, max_size=5))
def test_any_sequence_of_loads_is_explained_and_never_overlaps(
    new_warehouse: Any, deliver: Any, loads: list[list[tuple[str, int, int]]]
) -> None:
    with new_warehouse() as fresh:
        for number, lines in enumerate(loads):
            days = {receipt: shift for receipt, _, shift in lines}  # one receipt is of one day
            text = "".join(
                line(r, "Baguette", f"{euros}.00", day=DAY + timedelta(days=days[r])) for r, euros, _ in lines
            )
            # The same lines may come again as another file, which tells the bytes apart.
            deliver("pos", HEADER + text + "\n" * number, settings=fresh)
            run(fresh)

        for day in (DAY, DAY + timedelta(days=1)):
            assert evolve(fresh, "revenue", day, {}, None).unexplained == 0
        with connect(fresh, "owner") as connection, connection.cursor() as cursor:
            cursor.execute(
                "select count(*) from core_history.sales as a join core_history.sales as b using (sale_id) "
                "where a.known_from < b.known_from and (a.known_to is null or a.known_to > b.known_from)"
            )
            assert cursor.fetchone() == (0,)
            cursor.execute(
                "select coalesce(sum(value), 0) from (select distinct on (store_id, source, channel, currency_code, "
                "business_date) value from marts.published_figures where metric = 'revenue' "
                "order by store_id, source, channel, currency_code, business_date, known_at desc) as last"
            )
            published = cursor.fetchone()
            cursor.execute("select coalesce(sum(net_amount), 0) from core.sales")
            assert published == cursor.fetchone()


def test_moments_are_in_utc_and_never_in_the_future(warehouse: Settings, load: Any, ask: Any) -> None:
    load(line("T1", "Baguette", "2.00"))

    [(known,)] = ask("select max(known_from) from core.sales")

    assert known <= datetime.now(UTC)
