"""
How the alerts stand, for people and programs: each alert, the outbox, the sign of life.

Comes in: the database. Goes out: rows and sentences; nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.alerting.rules import Rule, load_rules
from panpan.settings import Settings

ALIVE_WITHIN = timedelta(minutes=15)
ORDER = ("firing", "error", "stale", "pending", "recovering", "silenced", "ok")


@dataclass(frozen=True)
class Overview:
    """
    alerts: rule, labels, title, state, since, value, level, unit, currency_code, reason; worst first. mails: count by
    status. sentences: what to read first.
    """

    alerts: list[dict[str, Any]]
    mails: dict[str, int]
    heartbeat: dict[str, Any] | None
    sentences: list[str]


def overview(settings: Settings, now: datetime) -> Overview:
    """Everything at one moment; a rule that was never judged stands as ok since never."""
    rules = load_rules(settings)
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select rule, labels, title, state, since, value, level, unit, currency_code, reason, plan_id"
            " from ops.alert_states"
        )
        alerts = [dict(row) for row in cursor.fetchall()]
        cursor.execute("select status, count(*) as count from ops.mails group by status order by status")
        mails = {row["status"]: row["count"] for row in cursor.fetchall()}
        cursor.execute(
            "select last_evaluated_at, tried_at, rule_count, failed_rule_count, undelivered_count, reason"
            " from marts.alert_heartbeat"
        )
        heartbeat = cursor.fetchone()
    alerts += [_unjudged(rule) for name, rule in rules.items() if name not in {alert["rule"] for alert in alerts}]
    alerts.sort(key=lambda alert: (ORDER.index(alert["state"]), alert["rule"], alert["title"]))
    beat = dict(heartbeat) if heartbeat else None
    return Overview(alerts, mails, beat, _sentences(rules, alerts, mails, beat, now))


def _unjudged(rule: Rule) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "labels": {},
        "title": rule.title["en"],
        "state": "ok",
        "since": None,
        "value": None,
        "level": rule.level,
        "unit": None,
        "currency_code": None,
        "reason": None,
        "plan_id": None,
    }


def _sentences(
    rules: dict[str, Rule],
    alerts: list[dict[str, Any]],
    mails: dict[str, int],
    beat: dict[str, Any] | None,
    now: datetime,
) -> list[str]:
    said = []
    if beat is None:
        said.append("The alert rules have never been judged.")
    elif now - beat["tried_at"] > ALIVE_WITHIN:
        said.append(
            f"The alert rules were last judged at {beat['tried_at']:%Y-%m-%d %H:%M} UTC: is the worker running?"
        )
    if beat and beat["reason"]:
        said.append(f"Alerts can't be relied on: {beat['reason']}.")
    if mails.get("uncertain"):
        said.append(f"{mails['uncertain']} mails may or may not have arrived; they are not repeated.")
    for state, words in (("firing", "firing"), ("error", "failing"), ("stale", "waiting for fresh data")):
        counts: dict[str, int] = {}
        for alert in alerts:
            if alert["state"] == state:
                title = rules[alert["rule"]].title["en"] if alert["rule"] in rules else alert["rule"]
                counts[title] = counts.get(title, 0) + 1
        if counts:
            said.append(f"Alerts {words}: {', '.join(f'{title} ({count})' for title, count in counts.items())}.")
    return said or ["No alert is firing."]
