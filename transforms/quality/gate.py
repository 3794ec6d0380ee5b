"""
What must hold before a run's results are shown: the checks that block, over the days and receipts the run touched.

Comes in: the run's connection before its commit; affected_days, where it touched sales. Goes out: nothing, or HeldBack,
and with it nothing of the run is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime

from psycopg2.extensions import connection as PgConnection

from db.connection import connect
from panpan.errors import CheckFailed, UsageError
from panpan.settings import Settings
from transforms.quality.checks import load_checks
from transforms.quality.judge import create_checked, make, parameters_of


class HeldBack(CheckFailed):
    """What a run made was not shown, because a check found it wrong."""

    def __init__(self, check_id: str, found: str) -> None:
        self.check_id = check_id
        super().__init__(f"held back by check {check_id}: {found}")


def refuse_wrong_figures(connection: PgConnection, known_at: datetime) -> None:
    """
    Make the checks that block over what the run at known_at changed. A check that can't be made blocks nothing.

    Errors: HeldBack naming the first check that fails.
    """
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass('pg_temp.affected_days') is not null")
        [(has_touched_sales,)] = cursor.fetchall()
        if not has_touched_sales:
            return
        cursor.execute(
            "create temporary table checked_days on commit drop as"
            " select distinct business_date, store_id, source from affected_days; analyze checked_days"
        )
        create_checked(cursor)
    parameters = parameters_of(datetime.now(UTC), known_at=known_at)
    for check in load_checks().values():
        if check.blocks:
            verdict = make(connection, check, {}, parameters)
            if verdict.state == "failed":
                raise HeldBack(check.id, str(verdict.found))


def release(settings: Settings, load_id: int, by: str) -> str:
    """
    Let a load in that a check held back: the next run takes it whatever the checks say. Gives the check.

    Errors: UsageError when no check holds the load back.
    """
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update ops.loads set status = 'received', released_at = clock_timestamp(), released_by = %s"
            " where load_id = %s and status = 'refused' and held_by is not null returning held_by",
            (by, load_id),
        )
        row = cursor.fetchone()
        if row is None:
            raise UsageError(
                f"no check holds load {load_id} back", next="bin/panpan quality show raw_loads_are_not_held"
            )
        cursor.execute("select pg_notify('load_received', %s)", (str(load_id),))
        return str(row[0])
