"""
All checks together: look at everything at once, then judge. Nothing is changed.

Comes in: settings. Goes out: one result per check. What can't be looked at makes its checks neither well nor bad;
that the server behind it is down is a check of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from panpan.doctor import access, automation, database, floors, loads, machine, pages, private, reports, saved, servers
from panpan.doctor.check import Check, Checks, NotSeen, Result, Verdict, ask, bad, well
from panpan.errors import PanpanError
from panpan.settings import Settings

OLD_FLOORS = timedelta(days=90)

own = Checks()


@dataclass(frozen=True)
class Knowledge:
    """How old what we know of holes is."""

    stated_on: date
    today: date


@own.add("floors-recent", "note", Knowledge, security=True)
def floors_recent(knowledge: Knowledge) -> Verdict:
    """Holes are found every month."""
    age = knowledge.today - knowledge.stated_on
    stated = f"the list of known holes is of {knowledge.stated_on}"
    return well(stated) if age <= OLD_FLOORS else bad(f"{stated}, {age.days} days ago", "update panpan")


LOOKS: dict[type, Callable[[Settings], Any]] = {
    machine.Machine: machine.look,
    private.Private: private.look,
    servers.Servers: servers.look,
    database.Database: database.look,
    access.Access: access.look,
    loads.Loads: loads.look,
    saved.Saved: saved.look,
    automation.Automation: automation.look,
    pages.Pages: pages.look,
    reports.Reports: reports.look,
    Knowledge: lambda _: Knowledge(floors.stated_on(), datetime.now(UTC).date()),
}
MODULES = (machine, private, servers, database, loads, saved, automation, reports, access, pages)
CHECKS: tuple[Check, ...] = (*(check for module in MODULES for check in module.checks.known), *own.known)


def examine(settings: Settings, *, security: bool = False) -> list[Result]:
    """
    Every check, or those that aren't about security alone; in containers none of those about one machine. What they
    need is looked at at the same time.
    """
    wanted = [
        check
        for check in CHECKS
        if (security or not check.is_security) and not (settings.in_containers and check.is_of_machine)
    ]
    return judge(wanted, seen(settings, {need for check in wanted for need in check.needs}))


def judge(wanted: list[Check], facts: Mapping[type, Any]) -> list[Result]:
    """Judge what was seen."""
    return [ask(check, facts) for check in wanted]


def seen(settings: Settings, needs: set[type]) -> dict[type, Any]:
    """What was seen of each kind of facts, or why it was not."""
    with ThreadPoolExecutor(max_workers=len(LOOKS)) as pool:
        looking = {need: pool.submit(_look, look, settings) for need, look in LOOKS.items() if need in needs}
        return {need: each.result() for need, each in looking.items()}


def _look(look: Callable[[Settings], Any], settings: Settings) -> Any:
    try:
        return look(settings)
    except PanpanError as error:
        return NotSeen(error.message)
    except Exception as error:  # a check must not end the examination; what it could not see, it says
        return NotSeen(f"{type(error).__name__}: {error}".strip())
