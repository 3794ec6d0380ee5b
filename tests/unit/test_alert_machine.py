"""The alert's state machine against what is promised of it: 100,000 random steps, flapping, silences, stale data."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from panpan.alerting.machine import COVERS, ERROR_PATIENCE, PHASES, Kind, Seen, State, Timing, step

START = datetime(2026, 5, 4, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SEEN: tuple[Seen, ...] = ("breach", "between", "clear", "stale", "error")
# Written down from the design, not from the code: where each phase may go in one step.
LEGAL = {
    "ok": {"ok", "pending", "firing"},
    "pending": {"pending", "ok", "firing"},
    "firing": {"firing", "recovering", "ok"},
    "recovering": {"recovering", "firing", "ok"},
}
TIMINGS = [
    Timing(pending=timedelta(minutes=pending), steady=timedelta(minutes=steady), remind=timedelta(minutes=remind))
    for pending in (0, 7)
    for steady in (0, 5, 60)
    for remind in (30, 1440)
] + [Timing(timedelta(0), timedelta(minutes=5), timedelta(minutes=60), tells_end=False)]


@dataclass
class Witness:
    """Remembers, in its own way, what an alert has seen, and says what of a step is against the promises."""

    timing: Timing
    state: State
    breach_since: datetime | None = None
    clear_since: datetime | None = None
    error_since: datetime | None = None
    is_up: bool = False
    last_told: datetime | None = None
    told: Counter[Kind] = field(default_factory=Counter)

    def look(self, seen: Seen, now: datetime, silenced: bool) -> list[str]:
        before = self.state
        self.state, notice = step(self.timing, before, seen, now, silenced=silenced)
        self.breach_since = (self.breach_since or now) if seen == "breach" else None
        self.clear_since = (self.clear_since or now) if seen == "clear" else None
        is_error = seen == "error" and not silenced
        self.error_since = (self.error_since or now) if is_error else None
        faults = self._moves(before, seen, now, silenced) + self._words(notice, now)
        if notice:
            self.told[notice] += 1
        return faults

    def _moves(self, before: State, seen: Seen, now: datetime, silenced: bool) -> list[str]:
        after = self.state
        cover = "silenced" if silenced else seen if seen in ("stale", "error") else None
        began_firing = after.phase == "firing" and before.phase in ("ok", "pending")
        ended = after.phase == "ok" and before.phase in ("firing", "recovering")
        wrong = {
            "illegal move": after.phase not in LEGAL[before.phase],
            "moved by what nobody saw": seen in ("stale", "error") and after.phase != before.phase,
            "wrong cover": after.cover != cover,
            "wrong name": after.name != (cover or after.phase),
            "since of another state": (after.since != now)
            if after.name != before.name
            else after.since != before.since,
            "fires too soon": began_firing and not lasts(self.breach_since, now, self.timing.pending),
            "over too soon": ended and not lasts(self.clear_since, now, self.timing.steady),
            "fires without a breach": began_firing and seen != "breach",
            "over without being clear": ended and seen != "clear",
        }
        return [fault for fault, is_so in wrong.items() if is_so]

    def _words(self, notice: Kind | None, now: datetime) -> list[str]:
        after, timing = self.state, self.timing
        wrong = {
            "told under a cover": after.cover is not None and notice not in (None, "broken"),
            "fired twice": notice == "fired" and self.is_up,
            "fired while not firing": notice == "fired" and after.phase != "firing",
            "not told": after.cover is None and after.phase == "firing" and not self.is_up and notice != "fired",
            "recovered without a beginning": notice == "recovered" and not self.is_up,
            "recovered while not ok": notice == "recovered" and after.phase != "ok",
            "end not told": after.name == "ok" and self.is_up and timing.tells_end and notice != "recovered",
            "reminder too soon": notice == "reminder" and not lasts(self.last_told, now, timing.remind),
            "reminder of nothing": notice == "reminder" and not (self.is_up and after.phase == "firing"),
            "broken too soon": notice == "broken" and not lasts(self.error_since, now, ERROR_PATIENCE),
        }
        if notice in ("fired", "reminder"):
            self.last_told = now
        self.is_up = (self.is_up or notice == "fired") and after.name != "ok"
        return [fault for fault, is_so in wrong.items() if is_so]


def lasts(since: datetime | None, now: datetime, wanted: timedelta) -> bool:
    return since is not None and now - since >= wanted


def test_a_hundred_thousand_random_steps_break_no_promise() -> None:
    chance = random.Random(4)
    witnesses = [Witness(timing, State.new(START)) for timing in TIMINGS]
    faults: Counter[str] = Counter()
    reached: Counter[str] = Counter()
    steps = 0
    now, mood, silenced_until = START, "clear", START
    while steps < 100_000:
        now += timedelta(seconds=chance.choice((0, 60, 60, 60, 300, 3600)))
        if chance.random() < 0.2:
            mood = chance.choices(SEEN, (4, 2, 4, 1, 1))[0]
        if chance.random() < 0.01:
            silenced_until = now + timedelta(minutes=chance.randrange(1, 240))
        for witness in witnesses:
            faults.update(witness.look(mood, now, now < silenced_until))
            reached[witness.state.name] += 1
            steps += 1

    assert dict(faults) == {}
    assert {*PHASES, *COVERS} == set(reached), "every state was reached"
    told = sum((witness.told for witness in witnesses), Counter[Kind]())
    assert all(told[kind] > 100 for kind in ("fired", "reminder", "recovered", "broken")), told


def run(timing: Timing, seen: list[Seen], *, silenced: set[int] = frozenset()) -> list[tuple[int, str, Kind]]:
    """Minute, state and notice wherever something is told."""
    state, told = State.new(START), []
    for minute, each in enumerate(seen):
        state, notice = step(timing, state, each, START + minute * MINUTE, silenced=minute in silenced)
        if notice:
            told.append((minute, state.name, notice))
    return told


QUICK = Timing(pending=timedelta(0), steady=timedelta(minutes=10), remind=timedelta(days=1))


@pytest.mark.parametrize("period", [1, 2, 3, 5, 9])
def test_a_flapping_series_is_told_once_up_and_once_down(period: int) -> None:
    """However it flaps within the time it must be over, one mail says it begins and one that it is over."""
    flapping: list[Seen] = [("breach" if (minute // period) % 2 == 0 else "clear") for minute in range(600)]

    told = run(QUICK, [*flapping, *["clear"] * 20])

    assert [notice for _, _, notice in told] == ["fired", "recovered"]


def test_between_the_levels_it_is_not_over() -> None:
    told = run(QUICK, ["breach", *["between"] * 100])

    assert told == [(0, "firing", "fired")]


def test_a_breach_shorter_than_pending_is_no_news() -> None:
    patient = Timing(pending=timedelta(minutes=5), steady=timedelta(minutes=10), remind=timedelta(days=1))

    assert run(patient, ["breach"] * 5 + ["clear"] + ["breach"] * 5) == []
    assert run(patient, ["breach"] * 6) == [(5, "firing", "fired")]


def test_stale_data_neither_begin_nor_end_an_alert() -> None:
    assert run(QUICK, ["stale"] * 100) == []
    assert run(QUICK, ["breach", *["stale"] * 3000]) == [(0, "firing", "fired")]


def test_what_lasted_unseen_is_not_counted() -> None:
    """Pending before a gap and a breach after it need not be one breach."""
    patient = Timing(pending=timedelta(minutes=5), steady=timedelta(minutes=5), remind=timedelta(days=1))

    told = run(patient, ["breach", "breach", *["stale"] * 60, *["breach"] * 6])

    assert told == [(67, "firing", "fired")]


def test_what_began_in_a_silence_is_told_when_it_ends() -> None:
    told = run(QUICK, ["clear", *["breach"] * 100], silenced=set(range(0, 50)))

    assert told == [(50, "firing", "fired")]


def test_what_came_and_went_in_a_silence_is_never_told() -> None:
    told = run(QUICK, ["breach"] * 5 + ["clear"] * 45, silenced=set(range(0, 30)))

    assert told == []


def test_what_ended_in_a_silence_is_told_when_it_ends() -> None:
    told = run(QUICK, ["breach"] * 5 + ["clear"] * 45, silenced=set(range(3, 30)))

    assert told == [(0, "firing", "fired"), (30, "ok", "recovered")]


def test_reminders_come_at_their_interval() -> None:
    hourly = Timing(pending=timedelta(0), steady=MINUTE, remind=timedelta(hours=1))

    assert [minute for minute, _, _ in run(hourly, ["breach"] * 150)] == [0, 60, 120]


def test_a_clock_set_back_ends_nothing() -> None:
    state, _ = step(QUICK, State.new(START), "breach", START, silenced=False)
    state, _ = step(QUICK, state, "clear", START + MINUTE, silenced=False)

    state, notice = step(QUICK, state, "clear", START - timedelta(hours=2), silenced=False)

    assert (state.name, notice) == ("recovering", None)


def test_a_failing_rule_is_told_once_and_only_when_it_lasts() -> None:
    told = run(QUICK, ["clear", *["error"] * 100, "clear", *["error"] * 10])

    assert told == [(16, "error", "broken")]
