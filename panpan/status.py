"""
How everything stands: three plain sentences, and what they are made of.

Comes in: settings, a moment. Goes out: a Status; of a database that can't be reached it says so and tells what is known
without it. Read as role web, which can write nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from backups import ledger
from backups.sets import set_folders
from backups.status import Status as BackupStatus
from backups.status import status as backup_status
from db.connection import connect
from metabase.formats import write_date, write_money
from panpan.errors import DatabaseError
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.quality.freshness import Freshness, create_freshness, read_freshness

EXPECTED_DAYS = 14  # a store that sold in so many days before is expected to have sold
HISTORY_DAYS = 30
NAMED = 2  # then they are counted

Row = dict[str, Any]


@dataclass(frozen=True)
class Day:
    """Yesterday: which stores were expected and which reported, and its revenue where it is in one currency."""

    day: date
    expected: tuple[str, ...]
    missing: tuple[str, ...]
    newest: date | None
    revenue: Decimal | None
    currency_code: str | None


@dataclass(frozen=True)
class Status:
    """All of it. failure says why the database could not be read; what follows it is empty then."""

    as_of: datetime
    sentences: list[str]
    failure: str | None = None
    day: Day | None = None
    sources: list[Freshness] = field(default_factory=list)
    loads: list[Row] = field(default_factory=list)
    checks: list[Row] = field(default_factory=list)
    incidents: list[Row] = field(default_factory=list)
    backups: BackupStatus | None = None
    alerts: list[Row] = field(default_factory=list)


def read_status(settings: Settings, now: datetime | None = None) -> Status:
    """Look at everything now. Raises nothing for a database that can't be reached: that is what it says then."""
    moment = now or datetime.now(UTC)
    try:
        known = ledger.entries(settings)
        with connect(settings, "web") as connection:
            found = _read(connection, settings, moment)
    except (DatabaseError, psycopg2.Error) as error:
        said = error.message if isinstance(error, DatabaseError) else "the database did not answer"
        return Status(moment, unreachable(settings), failure=said)
    names = [folder.name for folder in set_folders(settings.backup_sets)]
    backups = backup_status(known, names, moment, has_offsite=settings.offsite is not None)
    return Status(
        moment, sentences(found["day"], found["sources"], found["loads"], found["checks"]), backups=backups, **found
    )


def unreachable(settings: Settings) -> list[str]:
    """What is known without the database: that nothing else is, and which backups lie ready."""
    names = sorted(folder.name for folder in set_folders(settings.backup_sets))
    backup = f"The newest backup on this machine is {names[-1]}." if names else "There is no backup on this machine."
    return [
        "The database can't be reached, so no figure can be shown.",
        "Files and answers that arrive meanwhile are kept by their sources and taken when it is back.",
        backup,
    ]


def sentences(day: Day, sources: Sequence[Freshness], loads: Sequence[Row], checks: Sequence[Row]) -> list[str]:
    """Who reported, who is late, and whether yesterday's revenue may still change."""
    return [_reported(day), _late(sources), _final(day, sources, loads, checks)]


def _reported(day: Day) -> str:
    if not day.expected:
        newest = f"; the newest sales are of {write_date(day.newest)}" if day.newest else ""
        return f"No store has reported in the last two weeks{newest}."
    if not day.missing:
        number = {1: "The only store", 2: "Both stores"}.get(
            len(day.expected), f"All {_number(len(day.expected))} stores"
        )
        return f"{number} reported."
    if len(day.missing) == len(day.expected):
        return f"No store has reported {write_date(day.day)} yet."
    verb = "has" if len(day.missing) == 1 else "have"
    return f"{_named(day.missing)} {verb} not reported {write_date(day.day)}; {_others(day)}."


def _others(day: Day) -> str:
    reported = len(day.expected) - len(day.missing)
    return f"the other {_number(reported)} did"


def _late(sources: Sequence[Freshness]) -> str:
    if not sources:
        return "Nothing has arrived yet."
    worst: dict[str, Freshness] = {}  # of each source its oldest table, which comes first
    for each in sources:
        if each.level != "fresh":
            worst.setdefault(each.title, each)
    if not worst:
        return (
            "Every source is on time." if len({each.source for each in sources}) > 1 else "The only source is on time."
        )
    if len(worst) <= NAMED:
        return " ".join(f"{_short(title)} is {_how_late(each)}." for title, each in worst.items())
    names = _named([_short(title) for title in worst])
    word = "silent" if all(each.level == "silent" for each in worst.values()) else "late or silent"
    return f"{_number(len(worst)).capitalize()} sources are {word}: {names}."


def _how_late(each: Freshness) -> str:
    if each.age_hours is None or each.known_until is None:
        return "silent: nothing was ever loaded"
    if each.level == "silent":
        return f"silent since {write_date(each.known_until.date())}"
    return f"{max(1, round(each.age_hours - each.warn_after_hours))} h late"


def _final(day: Day, sources: Sequence[Freshness], loads: Sequence[Row], checks: Sequence[Row]) -> str:
    """Not final as long as something that belongs to the day is missing, waits, or is known to be wrong."""
    reasons = []
    if not day.expected:
        return "No revenue of yesterday is known."
    if len(day.missing) == len(day.expected):
        reasons.append("no store has reported")
    elif day.missing:
        reasons.append(f"{_named(day.missing)} {'is' if len(day.missing) == 1 else 'are'} missing")
    if waiting := sum(load["count"] for load in loads if load["state"] == "waiting"):
        reasons.append(f"{waiting} {'load waits' if waiting == 1 else 'loads wait'} to be taken")
    if held := sum(load["count"] for load in loads if load["state"] == "held back"):
        reasons.append(f"{held} {'load is' if held == 1 else 'loads are'} held back by a check")
    wrong = [
        c for c in checks if c["state"] == "failed" and c["severity"] == "error" and c["layer"] in ("core", "marts")
    ]
    if wrong:
        reasons.append(f"{len(wrong)} {'check' if len(wrong) == 1 else 'checks'} found wrong figures")
    amount = ""
    if day.revenue is not None and day.currency_code:
        amount = f" of {write_money(day.revenue, day.currency_code)}"
    if reasons:
        return f"Yesterday's revenue{amount} is not final: {', '.join(reasons)}."
    return f"Yesterday's revenue{amount} is final."


def _short(title: str) -> str:
    """The first part of a source's title: "POS API, delivery orders" is the POS API."""
    return re.split(r"[,(]", title, maxsplit=1)[0].strip()


def _named(names: Sequence[str]) -> str:
    if len(names) <= NAMED + 1:
        return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
    return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} others"


def _number(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[count] if count < len(words) else str(count)


# --- reading -----------------------------------------------------------------------------------------------


def _read(connection: PgConnection, settings: Settings, now: datetime) -> dict[str, Any]:
    yesterday = now.astimezone(ZoneInfo(settings.report_time_zone)).date() - timedelta(days=1)
    create_freshness(connection, load_contracts(settings.own_contracts), now)
    return {
        "day": _read_day(connection, yesterday),
        "sources": read_freshness(connection),
        "loads": _rows(connection, LOADS, {"since": now - timedelta(days=HISTORY_DAYS)}),
        "checks": _rows(connection, CHECKS, {}),
        "incidents": _rows(connection, INCIDENTS, {"since": now - timedelta(days=HISTORY_DAYS)}),
        "alerts": _rows(connection, ALERTS, {}) if _has_alerts(connection) else [],
    }


STORES = """
select store_id, min(store_name) as store_name, bool_or(business_date = %(day)s and ticket_count > 0) as has_reported
from marts.daily_store_sales
where business_date between %(day)s - %(expected_days)s and %(day)s
group by store_id order by 2, 1
"""
REVENUE = """
select currency_code, sum(net_amount) as revenue from marts.daily_store_sales
where business_date = %(day)s group by currency_code
"""
# One row per source and what became of its loads of the last days, the newest reason of those that came to nothing.
LOADS = """
select
    source,
    case
        when status in ('open', 'received') then 'waiting'
        when held_by is not null and status = 'refused' then 'held back'
        else status
    end as state,
    count(*)::integer as count,
    coalesce(sum(row_count), 0)::bigint as rows,
    max(coalesce(finished_at, received_at, started_at)) as last_at,
    (array_agg(reason order by load_id desc) filter (where status in ('refused', 'failed')))[1] as reason
from ops.loads
where coalesce(received_at, started_at) > %(since)s or status in ('open', 'received')
group by 1, 2 order by 1, 2
"""
CHECKS = """
select check_id, layer, severity, owner, meaning, state, offending_count, found, checked_at, failing_since
from marts.check_results
order by array_position(array['failed', 'unknown', 'passed'], state), severity, check_id
"""
INCIDENTS = """
select incident_id, cause, severity, owner, meaning, found, opened_at, last_seen_at, acknowledged_at, closed_at
from ops.incidents
where closed_at is null or closed_at > %(since)s
order by closed_at is not null, severity, opened_at desc, incident_id desc limit 60
"""
ALERTS = """
select rule, labels, title, state, since, value, level, reason
from ops.alert_states
order by
    array_position(array['firing', 'error', 'pending', 'recovering', 'stale', 'silenced', 'ok'], state), rule, title
limit 200
"""


def _read_day(connection: PgConnection, day: date) -> Day:
    stores = _rows(connection, STORES, {"day": day, "expected_days": EXPECTED_DAYS})
    amounts = _rows(connection, REVENUE, {"day": day})
    [newest] = _rows(connection, "select max(business_date) as day from marts.daily_store_sales", {})
    return Day(
        day,
        tuple(store["store_name"] for store in stores),
        tuple(store["store_name"] for store in stores if not store["has_reported"]),
        newest["day"],
        amounts[0]["revenue"] if len(amounts) == 1 else None,
        amounts[0]["currency_code"] if len(amounts) == 1 else None,
    )


def _has_alerts(connection: PgConnection) -> bool:
    [row] = _rows(connection, "select to_regclass('ops.alert_states') is not null as is_there", {})
    return bool(row["is_there"])


def _rows(connection: PgConnection, statement: str, parameters: Row) -> list[Row]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(statement, parameters)
        return [dict(row) for row in cursor.fetchall()]


# --- for programs ------------------------------------------------------------------------------------------


def as_json(status: Status) -> Row:
    """One object: sentences, sources, loads, checks, incidents, backups, alerts; what could not be read is empty."""
    backups = status.backups
    return {
        "as_of": status.as_of.isoformat(),
        "reachable": status.failure is None,
        "sentences": status.sentences,
        "sources": [
            {
                "source": each.source,
                "title": each.title,
                "table": each.table,
                "level": each.level,
                "age_hours": None if each.age_hours is None else round(float(each.age_hours), 2),
                "last_record_at": _iso(each.last_record_at),
                "last_load_at": _iso(each.last_load_at),
            }
            for each in status.sources
        ],
        "loads": _plain(status.loads),
        "checks": _plain(status.checks),
        "incidents": _plain(status.incidents),
        "backups": None
        if backups is None
        else {
            "well": backups.is_well,
            "sentences": backups.sentences,
            "rpo_hours": backups.rpo_hours,
            "rto_seconds": backups.rto_seconds,
            "checks": ledger.checks_as_json(backups.checks),
        },
        "alerts": _plain(status.alerts),
    }


def _plain(rows: Sequence[Row]) -> list[Row]:
    return [{name: _value(value) for name, value in row.items()} for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
