"""
What a rule would have told in the past: the same select over many moments at once, the same steps.

Comes in: a rule and days. Goes out: its would-be events. Judged by what is known today, every source taken as fresh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from panpan.alerting.evaluate import moves
from panpan.alerting.machine import Kind
from panpan.alerting.observe import Seeing, observe_history
from panpan.alerting.rules import Rule
from panpan.alerting.store import Known
from panpan.errors import UsageError
from panpan.settings import Settings

STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


@dataclass(frozen=True)
class Event:
    """One change of one alert, or one notice about it."""

    at: datetime
    labels: Mapping[str, str]
    title: str
    from_state: str
    to_state: str
    value: Decimal | None
    level: Decimal | None
    notice: Kind | None


@dataclass(frozen=True)
class Backtest:
    """The events, oldest first; mails: how many would have been sent to each recipient."""

    rule: Rule
    moments: list[datetime]
    events: list[Event]

    @property
    def mails(self) -> int:
        return len({(event.at, event.notice) for event in self.events if event.notice})


def backtest(settings: Settings, rule: Rule, days: int, now: datetime) -> Backtest:
    """
    Judge a rule at every step of the last days.

    Errors: UsageError for a rule whose past nobody kept (probes, freshness).
    """
    if rule.backtest is None:
        raise UsageError(f"{rule.name} can't be tried on the past", cause="what it looks at is known for now only")
    step = STEPS[rule.backtest]
    moments = [now - step * number for number in range(timedelta(days=days) // step, -1, -1)]
    return Backtest(rule, moments, replay(rule, observe_history(settings, rule, moments)))


def replay(rule: Rule, seeings: list[Seeing]) -> list[Event]:
    """The events of one seeing after the other, from nothing."""
    known: dict[str, Known] = {}
    events = []
    for seeing in seeings:
        moved = moves(rule, seeing, known)
        known = {
            each.seen.key: Known(each.seen.labels, each.seen.title, each.after, each.seen)
            for each in moved
            if not each.is_past
        }
        events += [
            Event(
                seeing.moment,
                each.seen.labels,
                each.seen.title,
                each.before.name,
                each.after.name,
                each.seen.value,
                each.seen.level,
                each.notice,
            )
            for each in moved
            if each.is_news
        ]
    return events
