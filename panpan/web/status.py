"""
The status page: what panpan.status found, as texts for the template.

Comes in: a Status. Goes out: tables of texts with a tone, all of it readable without script.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from metabase.catalogue import Tone
from metabase.formats import MISSING, write_moment, write_quantity
from panpan.status import Row, Status

TONES: dict[str, Tone] = {
    "fresh": "good",
    "late": "warn",
    "silent": "bad",
    "loaded": "good",
    "waiting": "warn",
    "duplicate": "good",
    "refused": "bad",
    "failed": "bad",
    "held back": "bad",
    "ok": "good",
    "pending": "warn",
    "recovering": "warn",
    "stale": "warn",
    "silenced": "warn",
    "firing": "bad",
    "error": "bad",
    "warn": "warn",
}


@dataclass(frozen=True)
class Line:
    """One row of a table: a word with its tone, and the other cells."""

    word: str
    tone: Tone
    cells: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """What the template shows; a section without lines says so."""

    sentences: list[tuple[Tone, str]]
    as_of: str
    is_reachable: bool
    evolve: str | None
    sources: list[Line]
    loads: list[Line]
    checks: list[Line]
    checks_said: str
    incidents: list[Line]
    backups: list[Line]
    backups_said: str
    alerts: list[Line]
    alerts_said: str


def view(status: Status) -> View:
    """The page of a status."""
    day = status.day
    return View(
        sentences=_toned(status),
        as_of=write_moment(status.as_of),
        is_reachable=status.failure is None,
        evolve=f"/evolve/revenue/{day.day}" if day and day.revenue is not None else None,
        sources=[
            Line(
                each.level,
                TONES[each.level],
                (
                    each.title,
                    each.table,
                    _moment(each.last_record_at),
                    _moment(each.last_load_at),
                    _hours(each.age_hours),
                ),
            )
            for each in status.sources
        ],
        loads=[
            Line(
                load["state"],
                TONES.get(load["state"], "warn"),
                (
                    load["source"],
                    f"{load['count']:,}",
                    f"{load['rows']:,}",
                    _moment(load["last_at"]),
                    load["reason"] or "",
                ),
            )
            for load in status.loads
        ],
        checks=[_check(row) for row in status.checks if row["state"] != "passed"],
        checks_said=_checks_said(status),
        incidents=[_incident(row, status.as_of) for row in status.incidents],
        backups=_backups(status),
        backups_said=_backups_said(status),
        alerts=[_alert(row) for row in status.alerts if row["state"] != "ok"],
        alerts_said=_alerts_said(status),
    )


def _toned(status: Status) -> list[tuple[Tone, str]]:
    """The sentences with the tone of what they say: worse than good as soon as something is missing."""
    if status.failure or status.day is None:
        return [("bad", status.sentences[0]), *(("warn", sentence) for sentence in status.sentences[1:])]
    levels = {each.level for each in status.sources}
    reported: Tone = "good" if status.day.expected and not status.day.missing else "warn"
    late: Tone = "bad" if "silent" in levels else "warn" if "late" in levels or not levels else "good"
    final: Tone = "good" if status.sentences[2].endswith("is final.") else "warn"
    return list(zip((reported, late, final), status.sentences, strict=True))


def _check(row: Row) -> Line:
    word = row["severity"] if row["state"] == "failed" else "unknown"
    since = _moment(row["failing_since"])
    return Line(word, TONES.get(word, "warn"), (row["meaning"], row["found"] or "", since, row["owner"]))


def _checks_said(status: Status) -> str:
    if not status.checks:
        return "No check was made yet; the worker makes them after each run."
    passed = sum(row["state"] == "passed" for row in status.checks)
    made_at = max(row["checked_at"] for row in status.checks)
    return f"{passed} of {len(status.checks)} checks passed, made {write_moment(made_at)}."


def _incident(row: Row, now: datetime) -> Line:
    is_open = row["closed_at"] is None
    lasted = _span((row["closed_at"] or now) - row["opened_at"])
    state = "over" if not is_open else "taken on" if row["acknowledged_at"] else "open"
    tone: Tone = "good" if not is_open else TONES[row["severity"]]
    span = f"for {lasted}" if is_open else lasted
    return Line(state, tone, (row["meaning"], row["found"], _moment(row["opened_at"]), span, row["owner"]))


def _backups(status: Status) -> list[Line]:
    if status.backups is None:
        return []
    return [
        Line("good" if check.ok else "bad", "good" if check.ok else "bad", (name.replace("_", " "), check.found))
        for name, check in status.backups.checks.items()
    ]


def _backups_said(status: Status) -> str:
    if status.backups is None:
        return "Nothing is known of the backups without the database."
    found = status.backups
    loss = "none proven yet" if found.rpo_hours is None else f"{found.rpo_hours:.1f} hours"
    back = "not measured yet" if found.rto_seconds is None else f"{found.rto_seconds:.0f} seconds"
    return f"Of the last 30 days: most that a loss would have cost (RPO): {loss}; slowest proven restore (RTO): {back}."


def _alert(row: Row) -> Line:
    value = (
        f"{_number(row['value'])} (level {_number(row['level'])})" if row["value"] is not None else row["reason"] or ""
    )
    return Line(row["state"], TONES.get(row["state"], "warn"), (row["title"], value, _moment(row["since"])))


def _alerts_said(status: Status) -> str:
    if not status.alerts:
        return "No alert rule was evaluated yet."
    quiet = sum(row["state"] == "ok" for row in status.alerts)
    return f"{quiet} of {len(status.alerts)} watched things are as they should be."


def _number(value: Any) -> str:
    return MISSING if value is None else write_quantity(Decimal(value))


def _moment(moment: datetime | None) -> str:
    return write_moment(moment) if moment else MISSING


def _hours(hours: Decimal | None) -> str:
    return MISSING if hours is None else _span(timedelta(hours=float(hours)))


def _span(span: timedelta) -> str:
    """A length of time in the unit one would say it in."""
    minutes = max(0, round(span.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"
