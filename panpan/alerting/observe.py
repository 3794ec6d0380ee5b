"""
What a rule sees: its select asked of the marts as role bi, or a probe of this machine.

Comes in: a rule and moments. Goes out: one observation per moment and label; none is ever made up. A source that is
silent makes its observations stale: an old figure is no reason to wake anybody, nor to calm anybody. A figure of a
metric is the compiler's, with the plan id `panpan value` gives the same figure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fnmatch import fnmatch
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg2
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extras import RealDictCursor, register_default_jsonb

from backups import status as backup_status
from backups.ledger import entries
from db.connection import connect
from panpan.alerting.machine import Seen
from panpan.alerting.rules import Rule
from panpan.errors import ContractError, PanpanError
from panpan.governance.approval import standings
from panpan.settings import Settings
from transforms.compiler import Plan, cell_query, compile_query, keep_plan
from transforms.metrics import TIME_DIMENSIONS, load_metrics

STATEMENT = """
with moments as (
    select moment, (moment at time zone %(zone)s)::date as day
    from unnest(%(moments)s::timestamptz[]) as moment
){figures}
select * from (
{asked}
) as asked
"""
FIGURES = """, figures as (
{}
)"""
SILENT = """
select source, title, least(last_record_at, last_load_at) as newest
from marts.data_freshness
where least(last_record_at, last_load_at) < %s - error_after_hours * interval '1 hour'
"""


@dataclass(frozen=True)
class Observation:
    """
    What was seen of one alert at one moment; reason says in words why it is stale, failed, or what was found.

    plan_id leads from the value to its receipts, where the metric compiler gave it.
    """

    labels: Mapping[str, str]
    title: str
    seen: Seen
    value: Decimal | None = None
    level: Decimal | None = None
    unit: str | None = None
    currency_code: str | None = None
    source: str | None = None
    reason: str | None = None
    plan_id: str | None = None

    @property
    def key(self) -> str:
        """The labels as one text, the same for the same labels."""
        return label_key(self.labels)


@dataclass(frozen=True)
class Seeing:
    """All that a rule saw at one moment; failure: nothing could be seen, and why."""

    moment: datetime
    observations: tuple[Observation, ...] = field(default=())
    failure: str | None = None


def label_key(labels: Mapping[str, str]) -> str:
    """Labels as one text, whatever their order."""
    return json.dumps(dict(labels), sort_keys=True, ensure_ascii=False)


def observe(settings: Settings, rule: Rule, now: datetime) -> Seeing:
    """Look once. What fails is said in the answer: one broken rule must not stop the others."""
    try:
        return Seeing(now, tuple(_probed(settings, rule, now) if rule.probe else _asked(settings, rule, now)))
    except (PanpanError, psycopg2.Error, OSError) as error:
        cause = error.explained_cause() if isinstance(error, PanpanError) else None
        return Seeing(now, failure=" ".join(f"{error}{f': {cause}' if cause else ''}".split())[:500])


def observe_history(settings: Settings, rule: Rule, moments: Sequence[datetime]) -> list[Seeing]:
    """What the rule would have seen at past moments, by one statement; with what is known today, all sources fresh."""
    with connect(settings, "bi") as connection:
        rows = _rows(connection, settings, rule, moments, _plan(settings, rule, moments))
    found: dict[datetime, list[Observation]] = {moment: [] for moment in moments}
    for row in rows:
        found[row["moment"]].append(_observation(rule, row, {}))
    return [Seeing(moment, tuple(each)) for moment, each in found.items()]


def _asked(settings: Settings, rule: Rule, now: datetime) -> list[Observation]:
    plan = _plan(settings, rule, [now])
    with connect(settings, "bi") as connection:
        rows = _rows(connection, settings, rule, [now], plan)
        silent = silent_sources(connection, now)
    if plan is not None:
        rows = [{**row, "plan_id": _cell_plan(settings, rule, plan, row).plan_id} for row in rows]
    return [_observation(rule, row, silent) for row in rows]


def _plan(settings: Settings, rule: Rule, moments: Sequence[datetime]) -> Plan | None:
    """The plan of the figures a rule reads; None for one that reads none."""
    if rule.figures is None:
        return None
    days = [moment.astimezone(ZoneInfo(settings.report_time_zone)).date() for moment in moments]
    return compile_query(rule.figures.query(min(days), max(days)), max(days))


def _cell_plan(settings: Settings, rule: Rule, plan: Plan, row: Mapping[str, Any]) -> Plan:
    """
    The plan of one figure alone, kept so that its id leads back.

    Errors: ContractError when the row's value is not the figure it says it is.
    """
    cell = row.get("cell") or {}
    if not cell or _decimal(row["value"]) != _decimal(cell["value"]):
        raise ContractError(f"alert rule {rule.name} tells {row['value']}, which is no figure of {plan.metric.name}")
    days = {name: date.fromisoformat(cell[name]) for name in TIME_DIMENSIONS if name in cell}
    asked = compile_query(cell_query(plan, {**cell, **days}), plan.asked_on)
    with suppress(OSError):  # the figure is one all the same; its plan leads nowhere
        keep_plan(settings, asked)
    return asked


def _rows(
    connection: PgConnection, settings: Settings, rule: Rule, moments: Sequence[datetime], plan: Plan | None
) -> list[dict[str, Any]]:
    statement = STATEMENT.format(figures=FIGURES.format(plan.sql) if plan else "", asked=rule.sql.replace("%", "%%"))
    given = {"moments": list(moments), "zone": settings.report_time_zone, **(plan.parameters if plan else {})}
    register_default_jsonb(connection, loads=partial(json.loads, parse_float=Decimal))
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(statement, given)
        rows = [dict(row) for row in cursor.fetchall()]
    missing = [name for name in ("moment", "title", "value", *rule.labels) if rows and name not in rows[0]]
    if missing:
        raise ContractError(f"the select of alert rule {rule.name} gives no {', '.join(missing)}")
    return rows


def silent_sources(connection: PgConnection, now: datetime) -> dict[str, str]:
    """Sources nothing new came of for longer than agreed: name -> the same in words."""
    with connection.cursor() as cursor:
        cursor.execute(SILENT, (now,))
        rows = cursor.fetchall()
    return {source: f"{title} has told nothing since {newest:%Y-%m-%d %H:%M} UTC" for source, title, newest in rows}


def _observation(rule: Rule, row: Mapping[str, Any], silent: Mapping[str, str]) -> Observation:
    source, sources = row.get("source"), row.get("sources") or ()
    patterns = [*rule.sources, *sources, *([source] if source else [])]
    behind = [name for name in silent if any(fnmatch(name, pattern) for pattern in patterns)]
    value = _decimal(row["value"])
    level = rule.level if rule.level is not None else _decimal(row.get("level"))
    return Observation(
        labels={name: str(row[name]) for name in rule.labels},
        title=str(row["title"]),
        seen="stale" if behind else rule.judge(value, level),
        value=value,
        level=level,
        unit=row.get("unit"),
        currency_code=row.get("currency_code"),
        source=source,
        reason="; ".join(silent[name] for name in behind) or None,
        plan_id=row.get("plan_id"),
    )


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _probed(settings: Settings, rule: Rule, now: datetime) -> list[Observation]:
    return PROBES[rule.probe or ""](settings, rule, now)


def _backups(settings: Settings, rule: Rule, now: datetime) -> list[Observation]:
    """One observation per check of the backup ledger: 1 when it is not well."""
    on_disk = [path.name for path in settings.backup_sets.iterdir()] if settings.backup_sets.is_dir() else []
    judged = backup_status.status(entries(settings), on_disk, now, has_offsite=bool(settings.offsite))
    return [
        _observation(rule, {"check": name, "title": check.found, "value": int(not check.ok)}, {})
        for name, check in judged.checks.items()
    ]


def _disk(settings: Settings, rule: Rule, now: datetime) -> list[Observation]:
    """The free share of the disk the home lies on."""
    usage = shutil.disk_usage(settings.home)
    share = (Decimal(usage.free) / Decimal(usage.total)).quantize(Decimal("0.0001"))
    title = f"{usage.free / 2**30:,.1f} of {usage.total / 2**30:,.1f} GB free"
    return [_observation(rule, {"title": title, "value": share}, {})]


def _reviews(settings: Settings, rule: Rule, now: datetime) -> list[Observation]:
    """One observation per metric that counts: 1 when its review should have been."""
    metrics, today = load_metrics(), now.astimezone(ZoneInfo(settings.report_time_zone)).date()
    return [
        _observation(
            rule,
            {
                "metric": name,
                "title": f"{name.replace('_', ' ')}, due since {standing.review_due} ({metrics[name].owner})",
                "value": int(standing.is_overdue(today)),
            },
            {},
        )
        for name, standing in standings(settings).items()
        if standing.review_due
    ]


PROBES: dict[str, Callable[[Settings, Rule, datetime], list[Observation]]] = {
    "backups": _backups,
    "disk": _disk,
    "reviews": _reviews,
}
