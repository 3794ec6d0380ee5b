"""
Whether the backups keep their promise, judged from the ledger and the disk, never from the scheduler.

Comes in: the ledger, the names of the sets on disk, the time. Goes out: findings, each well or not, and the measured
loss (RPO: longest time without a proven snapshot) and restore time (RTO) of the last 30 days. Pure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

from backups import offsite
from backups.ledger import Check, Entry, proven_sets

PROMISED = timedelta(hours=26)  # one a day, two hours to make and prove it
WINDOW = timedelta(days=30)
CLOCK = timedelta(minutes=5)
RETRY = timedelta(hours=1)


@dataclass(frozen=True)
class Status:
    """How it stands; rpo_hours and rto_seconds are None while there is nothing to measure."""

    checks: dict[str, Check]
    rpo_hours: float | None
    rto_seconds: float | None

    @property
    def is_well(self) -> bool:
        return all(check.ok for check in self.checks.values())

    @property
    def sentences(self) -> list[str]:
        """What to read first: everything that is not well, else one sentence that all is."""
        bad = [check.found for check in self.checks.values() if not check.ok]
        return bad or [f"Backups are well: {self.checks['proven'].found}."]


def status(known: list[Entry], on_disk: Collection[str], now: datetime, *, has_offsite: bool) -> Status:
    """Judge the ledger."""
    moments = proven_moments(known)
    checks = {
        "clock": _clock(known, now),
        "proven": _proven(moments, now),
        "schedule": _schedule(known, now),
        "last": _last(known),
        "on_disk": _on_disk(known, on_disk),
    }
    if has_offsite:
        checks["offsite"] = _offsite(known, now)
    return Status(checks, rpo_hours(moments, now), rto_seconds(known, now))


def is_due(known: list[Entry], now: datetime, at: str) -> bool:
    """
    Whether today's backup (or one missed while the machine was off) is still to be made; a failed one after an hour.

    at: "03:30", UTC. A first backup is due at once.
    """
    hour, minute = map(int, at.split(":"))
    wanted = datetime.combine(now.date(), time(hour, minute), UTC)
    if wanted > now:
        wanted -= timedelta(days=1)
    proven = proven_sets(known)
    # A moment later than now is no reason to wait: the clock was wrong then.
    done = [e.recorded_at for e in known if e.event == "created" and e.set_name in proven and e.recorded_at]
    tried = [e.recorded_at for e in known if e.event in ("created", "drilled") and e.recorded_at]
    if any(wanted <= moment <= now for moment in done):
        return False
    return not any(now - RETRY < moment <= now for moment in tried)


def proven_moments(known: list[Entry]) -> list[datetime]:
    """The snapshots of all sets ever proven and not found bad since, oldest first."""
    proven = proven_sets(known)
    return sorted(
        e.snapshot_at for e in known if e.event == "created" and e.set_name in proven and e.snapshot_at is not None
    )


def rpo_hours(moments: list[datetime], now: datetime) -> float | None:
    """The longest time of the last 30 days that a loss would have cost."""
    if not moments:
        return None
    start = max(now - WINDOW, moments[0])
    inside = [start if moment < start else moment for moment in moments if moment <= now]
    edges = sorted({*inside, now})
    return max((b - a for a, b in pairwise(edges)), default=timedelta()).total_seconds() / 3600


def rto_seconds(known: list[Entry], now: datetime) -> float | None:
    """The slowest proven restore of the last 30 days."""
    seconds = [
        e.seconds
        for e in known
        if e.event in ("drilled", "restored") and e.is_good and e.recorded_at and e.recorded_at > now - WINDOW
    ]
    return max(seconds, default=None)


def _proven(moments: list[datetime], now: datetime) -> Check:
    if not moments:
        return Check(ok=False, found="There is no proven backup.")
    age = now - moments[-1]
    return Check(ok=age <= PROMISED, found=f"the newest proven backup is {_hours(age)} old")


def _schedule(known: list[Entry], now: datetime) -> Check:
    tried = [e.recorded_at for e in known if e.event == "created" and e.recorded_at]
    if not tried:
        return Check(ok=False, found="no backup was ever tried")
    age = now - max(tried)
    return Check(ok=age <= PROMISED, found=f"the last try was {_hours(age)} ago")


def _last(known: list[Entry]) -> Check:
    acts = [e for e in known if e.event in ("created", "drilled")]
    if not acts or acts[-1].is_good:
        return Check(ok=True, found="the last act was good")
    return Check(ok=False, found=f"set {acts[-1].set_name} failed when {acts[-1].event}: {acts[-1].reason}")


def _on_disk(known: list[Entry], on_disk: Collection[str]) -> Check:
    removed = {e.set_name for e in known if e.event == "removed"}
    missing = sorted(proven_sets(known) - removed - set(on_disk))
    return Check(ok=not missing, found=f"missing on disk: {', '.join(missing)}" if missing else "all sets are there")


def _offsite(known: list[Entry], now: datetime) -> Check:
    acts = [e for e in known if e.event in ("copied", "checked_copy")]
    latest = {e.set_name: e for e in acts}
    removed = {e.set_name for e in known if e.event == "removed"}
    bad = [e for name, e in latest.items() if not e.is_good and name not in removed]
    if bad:
        return Check(ok=False, found=f"the copy of {bad[-1].set_name} is bad: {bad[-1].reason}")
    hours = offsite.age(known, now)
    if hours is None:
        return Check(ok=False, found="there is no copy elsewhere")
    return Check(
        ok=hours * 3600 <= PROMISED.total_seconds(), found=f"the newest copy elsewhere is {hours:.1f} hours old"
    )


def _clock(known: list[Entry], now: datetime) -> Check:
    moments = [e.recorded_at for e in known if e.recorded_at]
    if any(moment > now + CLOCK for moment in moments):
        return Check(ok=False, found="the ledger has entries of the future: the clock jumped, ages can't be trusted")
    if any(later < earlier - CLOCK for earlier, later in pairwise(moments)):
        return Check(ok=False, found="the ledger's moments go backwards: the clock was set back")
    return Check(ok=True, found="the clock goes forward")


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
