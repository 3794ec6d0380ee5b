"""Whether backups keep their promise, judged from the ledger alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backups.ledger import Entry
from backups.status import is_due, status

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)


def entry(event: str, name: str, hours_ago: float, verdict: str = "good", **more: Any) -> Entry:
    moment = NOW - timedelta(hours=hours_ago)
    reason = None if verdict == "good" else "a reason"
    return Entry(event, name, verdict, 20.0, recorded_at=moment, snapshot_at=moment, reason=reason, **more)


def day(name: str, hours_ago: float) -> list[Entry]:
    return [entry("created", name, hours_ago), entry("drilled", name, hours_ago - 0.1)]


def bad_checks(
    known: list[Entry], now: datetime = NOW, on_disk: tuple[str, ...] = ("a", "b"), **more: Any
) -> list[str]:
    found = status(known, on_disk, now, has_offsite=more.pop("has_offsite", False))
    return [name for name, check in found.checks.items() if not check.ok]


def test_a_backup_proven_today_is_well() -> None:
    found = status(day("a", 30) + day("b", 6), ["a", "b"], NOW, has_offsite=False)

    assert found.is_well
    assert found.sentences == ["Backups are well: the newest proven backup is 6.0 hours old."]
    assert found.rpo_hours == pytest.approx(24)
    assert found.rto_seconds == 20


def test_nothing_at_all_is_not_well() -> None:
    assert bad_checks([]) == ["proven", "schedule"]


def test_silence_is_noticed_without_asking_the_scheduler() -> None:
    assert bad_checks(day("a", 6), NOW + timedelta(hours=21)) == ["proven", "schedule"]


def test_a_backup_that_was_made_but_not_proven_does_not_count() -> None:
    assert bad_checks([*day("a", 30), entry("created", "b", 6)]) == ["proven"]


def test_a_failed_try_is_said_although_an_older_one_is_still_young_enough() -> None:
    known = [*day("a", 20), entry("created", "c", 1, "bad")]

    assert bad_checks(known) == ["last"]
    assert status(known, ["a"], NOW, has_offsite=False).sentences == ["set c failed when created: a reason"]


def test_a_set_found_bad_later_is_proven_no_more() -> None:
    assert bad_checks([*day("a", 30), *day("b", 6), entry("drilled", "b", 1, "bad")]) == ["proven", "last"]


def test_a_clock_that_jumped_is_noticed_in_both_directions() -> None:
    assert "clock" in bad_checks(day("a", 6), NOW - timedelta(days=1))
    assert "clock" in bad_checks([*day("a", 6), entry("created", "b", 20)])


def test_a_proven_set_missing_on_disk_is_noticed_unless_retention_removed_it() -> None:
    assert bad_checks(day("a", 30) + day("b", 6), on_disk=("b",)) == ["on_disk"]
    assert bad_checks([*day("a", 30), *day("b", 6), entry("removed", "a", 5)], on_disk=("b",)) == []


def test_copies_elsewhere_are_judged_by_their_last_reading() -> None:
    copied = [*day("a", 6), entry("copied", "a", 5)]

    assert bad_checks(day("a", 6), has_offsite=True, on_disk=("a",)) == ["offsite"]
    assert bad_checks(copied, has_offsite=True, on_disk=("a",)) == []
    assert bad_checks([*copied, entry("checked_copy", "a", 1, "bad")], has_offsite=True, on_disk=("a",)) == ["offsite"]
    assert "offsite" in bad_checks(copied, NOW + timedelta(hours=27), has_offsite=True, on_disk=("a",))


def test_the_worst_gap_of_thirty_days_is_measured() -> None:
    known = [each for hours in (24 * 40, 24 * 12, 24 * 9, 24) for each in day(f"s{hours}", hours)]

    found = status(known, [], NOW, has_offsite=False)

    assert found.rpo_hours == pytest.approx(24 * 18)


@pytest.mark.parametrize(
    ("known", "due"),
    [
        pytest.param([], True, id="a first backup is due at once"),
        pytest.param(day("a", 6), False, id="made and proven since 03:30"),
        pytest.param(day("a", 20), True, id="the last one was before 03:30"),
        pytest.param([entry("created", "a", 6), entry("drilled", "a", 5, "bad")], True, id="failed hours ago: again"),
        pytest.param([entry("created", "a", 0.5, "bad")], False, id="failed half an hour ago: wait"),
        pytest.param(day("a", -48), True, id="an entry of the future holds nothing up"),
    ],
)
def test_due_is_what_the_ledger_does_not_show(known: list[Entry], due: bool) -> None:
    assert is_due(known, NOW, "03:30") is due


def test_before_the_hour_yesterdays_backup_counts() -> None:
    early = NOW.replace(hour=2)

    assert not is_due(day("a", 6 + 20), early, "03:30")
    assert is_due(day("a", 6 + 30), early, "03:30")
