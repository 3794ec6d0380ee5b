"""Many rows at once: foreign keys are looked up together, and hold as if each row had been looked up alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg2
import pytest

from db.connection import Role, connect
from panpan.settings import Settings
from transforms import merge
from transforms.run import run

MOMENTS = (
    "received_at",
    "last_load_at",
    "known_from",
    "known_to",
    "known_at",
    "known_during",
    "valid_from",
    "valid_to",
)
TILL = """Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID,\
Customer ID
R1,Payment,2026-06-01,09:00:00,PanPan Centro,B,Bun,1,€2.00,€0.00,€2.00,€0.20,P1,C1
R1,Payment,2026-06-01,09:00:00,PanPan Centro,T,Tea,2,€3.00,€0.00,€3.00,€0.30,P1,C1
R2,Refund,2026-06-02,09:00:00,PanPan Centro,B,Bun,-1,-€2.00,€0.00,-€2.00,-€0.20,P1,C1
"""
PAYMENT = (
    "create temporary table given as select gen_random_uuid() as sale_id, 1 as payment_number,"
    " 'EUR'::char(3) as currency_code, 1::bigint as raw_id, 1::bigint as load_id from (select) as one"
)
INSERT = (
    "select core.insert_in_bulk('given', 'core.payments',"
    " '{sale_id,payment_number,currency_code,raw_id,load_id}', '{sale_id}')"
)


def filled(settings: Settings, deliver: Callable[..., int]) -> None:
    """A till's export, another that overlaps it, and an order, a run each."""
    order = {
        "id": "O1",
        "state": "COMPLETED",
        "created_at": "2026-06-03T10:00:00Z",
        "location_id": "L-DELIVERY",
        "line_items": [
            {"name": "Pizza", "quantity": "1", "gross_sales_money": {"amount": 900}, "total_money": {"currency": "EUR"}}
        ],
    }
    changed = TILL.replace("Tea,2,€3.00,€0.00,€3.00", "Tea,2,€4.00,€0.00,€4.00") + TILL.splitlines()[1].replace(
        "R1", "R3"
    )
    deliver("pos", TILL, settings=settings)
    run(settings)
    deliver("pos", changed, settings=settings)
    run(settings)
    deliver("pos_api", json.dumps({"orders": [order]}), "orders", settings=settings)
    run(settings)


def test_rows_inserted_in_bulk_are_those_inserted_one_by_one(
    warehouse: Settings,
    new_warehouse: Callable[[], AbstractContextManager[Settings]],
    deliver: Callable[..., int],
    contents: Callable[..., dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    filled(warehouse, deliver)
    with new_warehouse() as other:
        with monkeypatch.context() as patch:
            patch.setattr(merge, "BULK_ROWS", 0)
            filled(other, deliver)
        found = contents("core", "core_history", "marts", settings=other, without=MOMENTS)

    assert found == contents("core", "core_history", "marts", without=MOMENTS)
    assert len(found["core.sale_lines"]) == 5


def insert_nowhere(settings: Settings, role: Role) -> None:
    """A payment of a receipt that is not there."""
    with connect(settings, role) as connection, connection.cursor() as cursor:
        cursor.execute(PAYMENT)
        cursor.execute("grant select on given to owner")
        cursor.execute(INSERT)


def test_a_row_that_refers_to_nothing_is_refused_in_bulk_too(warehouse: Settings) -> None:
    with pytest.raises(psycopg2.errors.ForeignKeyViolation, match="payments_sale_id_fkey"):
        insert_nowhere(warehouse, "transformer")


def test_a_row_that_refers_to_nothing_is_refused_where_triggers_cant_be_put_aside(warehouse: Settings) -> None:
    with connect(warehouse, "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("revoke set on parameter session_replication_role from owner")
        try:
            with pytest.raises(psycopg2.errors.ForeignKeyViolation, match="payments_sale_id_fkey"):
                insert_nowhere(warehouse, "transformer")
        finally:
            cursor.execute("grant set on parameter session_replication_role to owner")


def test_nobody_inserts_in_bulk_where_the_own_rights_end(warehouse: Settings) -> None:
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for table"),
        connect(warehouse, "transformer") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("create temporary table given as select 1::bigint as change_id")
        cursor.execute("select core.insert_in_bulk('given', 'ops.applied_migrations', '{change_id}', '{change_id}')")


def test_triggers_fire_again_after_a_bulk_insert(warehouse: Settings, deliver: Callable[..., int]) -> None:
    filled(warehouse, deliver)
    with connect(warehouse, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(PAYMENT)
        cursor.execute(
            "update given set payment_number = 2, sale_id = (select min(sale_id::text)::uuid from core.sales)"
        )
        cursor.execute("grant select on given to owner")
        cursor.execute(INSERT.replace("{sale_id}", "{sale_id,payment_number}"))
        cursor.execute("show session_replication_role")
        [(role,)] = cursor.fetchall()
        with pytest.raises(psycopg2.errors.ForeignKeyViolation):
            cursor.execute("update core.payments set sale_id = gen_random_uuid()")
        connection.rollback()

    assert role == "origin"


@pytest.mark.parametrize(
    "trap",
    [
        "create temporary view given as select pg_temp.spy() as sale_id, 1 as payment_number",
        "create domain pg_temp.spied as uuid check (pg_temp.spy() is null);"
        " create temporary table given (sale_id pg_temp.spied, payment_number integer)",
        "create temporary table given (sale_id uuid, payment_number integer);"
        " alter table given enable row level security;"
        " create policy spied on given using (pg_temp.spy() is null)",
    ],
    ids=["view", "type", "policy"],
)
def test_nothing_of_the_caller_runs_as_the_owner(warehouse: Settings, trap: str) -> None:
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="no plain temporary table"),
        connect(warehouse, "transformer") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "create function pg_temp.spy() returns uuid language plpgsql as"
            " $$ begin raise exception 'ran as %', current_user; end $$"
        )
        cursor.execute(f"{trap}; grant select on given to owner")
        cursor.execute("select core.insert_in_bulk('given', 'core.payments', '{sale_id,payment_number}', '{sale_id}')")


def test_rows_go_into_the_owners_tables_only(warehouse: Settings) -> None:
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege, match="no plain temporary table"),
        connect(warehouse, "transformer") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("create temporary table given as select 1 as number; grant select on given to owner")
        cursor.execute("create temporary table own (number integer); grant all on own to owner")
        cursor.execute("select core.insert_in_bulk('given', 'own', '{number}', '{number}')")
