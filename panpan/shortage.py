"""
A shortage and its end, as the demo shows them: the sources as they were on an earlier day, then as they are now.

The rule is judged at the midnights the data go up to. So both mails come from the data alone: something was below its
reorder level, and a supplier's delivery that n8n brought lifted it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import requests

from db.connection import connect
from panpan.alerting import courier
from panpan.alerting.evaluate import LOCK_KEY, judge, leave_heartbeat, only_one
from panpan.alerting.rules import find_rule, load_rules
from panpan.errors import ServerError
from panpan.local.n8n_api import loopback_session
from panpan.reports import keep
from panpan.settings import Settings
from panpan.simulate.catalogue import reorder_level
from panpan.simulate.chance import midnight_after
from panpan.simulate.world import World

RULE = "low_stock"
LONGEST_AGO = timedelta(days=90)
DELIVERY_SECONDS = 60
ANSWER_SECONDS = 60


def shortage_day(world: World) -> date | None:
    """The last day at whose end something was short that is there again by the world's last day; None without one."""
    levels = dict(world.stock.levels)
    well = [place for place, level in levels.items() if level >= reorder_level(*place) * 1.1 > 0]
    newest_first = iter(reversed(world.stock.movements))
    movement = next(newest_first, None)
    for days in range(1, LONGEST_AGO.days + 1):
        day = world.until - timedelta(days=days)
        while movement is not None and movement.modified_at >= midnight_after(day):
            levels[movement.sku, movement.location] -= movement.quantity
            movement = next(newest_first, None)
        if any(levels[place] < reorder_level(*place) for place in well):
            return day
    return None


def is_untouched(settings: Settings) -> bool:
    """Whether no stock was ever loaded: only then can it be shown as it was."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select not exists (select from ops.loads where source = 'inventory')")
        return bool(cursor.fetchone() == (True,))


def show_sources_until(settings: Settings, day: date) -> None:
    """
    Let the simulated systems tell what was known at the end of a day.

    Errors: ServerError when they do not.
    """
    url = f"http://127.0.0.1:{settings.simulate_port}/control/until"
    with loopback_session() as session:
        try:
            session.post(url, json={"until": day.isoformat()}, timeout=ANSWER_SECONDS).raise_for_status()
        except requests.RequestException as error:
            raise ServerError(f"the simulated systems can't show {day}", cause=str(error)) from error


@contextmanager
def alerts_held(settings: Settings) -> Iterator[None]:
    """The worker judges nothing meanwhile: its clock is not that of the data."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while time.monotonic() < deadline:
        with only_one(settings, LOCK_KEY) as is_ours:
            if is_ours:
                yield
                return
        time.sleep(0.2)
    raise ServerError("the worker judges alerts without an end", next=f"see {settings.logs / 'worker.log'}")


def judge_at_the_end_of(settings: Settings, day: date) -> None:
    """Judge the rule at a day's midnight, and once more when what is over has been so for long enough."""
    rule = find_rule(settings, RULE)
    midnight = datetime.fromtimestamp(midnight_after(day), UTC)
    for moment in (midnight, midnight + rule.steady):
        if moment <= datetime.now(UTC):
            leave_heartbeat(settings, judge(settings, moment, [rule]), moment)


def judge_now(settings: Settings) -> None:
    """Judge all rules by what is known now."""
    with alerts_held(settings):
        now = datetime.now(UTC)
        leave_heartbeat(settings, judge(settings, now, list(load_rules(settings).values())), now)


def send_weekly_report(settings: Settings) -> None:
    """Last week's report to the owners, once."""
    keep.send(settings, "weekly", datetime.now(UTC))


def deliver(settings: Settings) -> list[str]:
    """Hand all mails over, by us or by the worker; gives the subjects of those sent, the oldest first."""
    deadline = time.monotonic() + DELIVERY_SECONDS
    while courier.deliver(settings, datetime.now(UTC)).busy and time.monotonic() < deadline:
        time.sleep(0.2)
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select subject from ops.mails where status = 'sent' order by mail_id")
        return [str(subject) for (subject,) in cursor.fetchall()]
