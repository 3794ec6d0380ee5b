"""
Reports kept and sent: the stored bytes, and a mail of them for each owner through the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.alerting.people import load_people, recipients
from panpan.alerting.store import queue_mails
from panpan.reports.compose import NAMES, PERIODS, Name, Report, compose
from panpan.settings import Settings
from transforms.periods import business_today, days_of

OWNERS = ("owners",)


@dataclass(frozen=True)
class Sent:
    """A report that was kept, and how many mails of it were queued."""

    report_id: int
    report: Report
    mails: int


def due(settings: Settings, now: datetime) -> list[Name]:
    """
    The reports still to be sent for yesterday and last week: after their hour, once, when nothing waits to be loaded.

    One missed while the machine was off is due when it is on again; of several missed days only the last.
    """
    hour, minute = map(int, settings.reports_at.split(":"))
    if now.astimezone(ZoneInfo(settings.report_time_zone)).time() < time(hour, minute):
        return []
    today = business_today(settings, now)
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select exists (select from ops.loads where status in ('open', 'received'))")
        if cursor.fetchone() == (True,):
            return []
        found: list[Name] = []
        for name in NAMES:
            first, last = days_of(PERIODS[name][0], today)
            cursor.execute(
                """
                select not exists (select from ops.reports where name = %(name)s and last_day >= %(last)s)
                and exists (select from marts.daily_store_sales where business_date between %(first)s and %(last)s)
                """,
                {"name": name, "first": first, "last": last},
            )
            if name in settings.reports.split() and cursor.fetchone() == (True,):
                found.append(name)
    return found


def send(settings: Settings, name: Name, as_of: datetime) -> list[Sent]:
    """
    Make, keep and queue a report for the owners, once per language; nothing when there is no owner.

    Errors: those of compose; ContractError when the list of people is wrong.
    """
    owners = recipients(load_people(settings), OWNERS)
    sent = []
    for language in sorted({person.language for person in owners}):
        report = compose(settings, name, as_of, language)
        readers = [person for person in owners if person.language == language]
        with connect(settings, "transformer") as connection:
            report_id = keep(connection, report)
            mails = queue_mails(connection, f"{name}_report", readers, as_of, report_id=report_id)
        sent.append(Sent(report_id, report, len(mails)))
    return sent


def keep(connection: PgConnection, report: Report) -> int:
    """Store a report byte for byte; gives its number."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.reports
                (name, language, as_of, first_day, last_day, plan_ids, subject, body, text_body, sha256)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) returning report_id
            """,
            (
                report.name,
                report.language,
                report.as_of,
                report.first_day,
                report.last_day,
                list(report.plan_ids),
                report.subject,
                report.html,
                report.text,
                report.sha256,
            ),
        )
        [(report_id,)] = cursor.fetchall()
    return int(report_id)


def kept(settings: Settings, limit: int) -> list[dict[str, Any]]:
    """The reports that were kept, the newest first, without their bytes."""
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select report_id, name, language, as_of, first_day, last_day, subject, sha256, plan_ids from ops.reports"
            " order by report_id desc limit %s",
            (limit,),
        )
        return [dict(row) for row in cursor.fetchall()]
