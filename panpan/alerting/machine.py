"""
How one alert moves: a pure function from (timing, state, what was seen, now) to the next state and perhaps a notice.

Underneath, an alert is in a phase: ok -> pending -> firing -> recovering -> ok. A cover may lie over it while it can't
or must not be told: silenced by a person, stale data, a rule that fails. Its state is the cover, else the phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Phase = Literal["ok", "pending", "firing", "recovering"]
Cover = Literal["silenced", "stale", "error"]
Seen = Literal["breach", "between", "clear", "stale", "error"]
Kind = Literal["fired", "reminder", "recovered", "broken"]

PHASES: tuple[Phase, ...] = ("ok", "pending", "firing", "recovering")
COVERS: tuple[Cover, ...] = ("silenced", "stale", "error")
# A rule that fails is told after this long: a database that restarts is no news.
ERROR_PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True)
class Timing:
    """How patient a rule is: how long a breach must last, how long it must be over, how often it is said again."""

    pending: timedelta
    steady: timedelta
    remind: timedelta
    tells_end: bool = True


@dataclass(frozen=True)
class State:
    """
    One alert. `announced`: its beginning was told and its end was not, so that ups and downs always alternate.

    told_at: last beginning or reminder; is_broken_told: that the rule fails was told; is_blind: nothing could be seen
    the last time, also under a silence.
    """

    since: datetime
    phase_since: datetime
    phase: Phase = "ok"
    cover: Cover | None = None
    announced: bool = False
    told_at: datetime | None = None
    is_broken_told: bool = False
    is_blind: bool = False

    @property
    def name(self) -> str:
        return self.cover or self.phase

    @staticmethod
    def new(now: datetime) -> State:
        return State(since=now, phase_since=now)


def step(timing: Timing, state: State, seen: Seen, now: datetime, *, silenced: bool) -> tuple[State, Kind | None]:
    """
    The next state, and what is to be told of it.

    Nothing is told under a cover. What began under one is told when it lifts, if it still lasts; so is what ended.
    """
    is_blind = seen in ("stale", "error")
    judged = state if is_blind else _advance(timing, _woken(state, now), seen, now)
    cover: Cover | None = "silenced" if silenced else seen if seen in ("stale", "error") else None
    is_broken_told = state.is_broken_told and cover == "error"
    following = replace(judged, cover=cover, is_blind=is_blind, is_broken_told=is_broken_told)
    if following.name != state.name:
        following = replace(following, since=now)
    return _telling(timing, following, now)


def _woken(state: State, now: datetime) -> State:
    """What is counted in time starts anew after a time nobody could see: it may not have lasted."""
    if state.is_blind and state.phase in ("pending", "recovering"):
        return replace(state, phase_since=now)
    return state


def _advance(timing: Timing, state: State, seen: Seen, now: datetime) -> State:
    phase = _next_phase(timing, state, seen, now)
    return state if phase == state.phase else replace(state, phase=phase, phase_since=now)


def _next_phase(timing: Timing, state: State, seen: Seen, now: datetime) -> Phase:
    lasted = now - state.phase_since  # negative when the clock was set back: then nothing is over yet
    if state.phase == "ok":
        return "ok" if seen != "breach" else "pending" if timing.pending else "firing"
    if state.phase == "pending":
        return "ok" if seen != "breach" else "firing" if lasted >= timing.pending else "pending"
    if seen != "clear":  # between the two levels it is not over
        return "firing"
    if state.phase == "firing":
        return "recovering" if timing.steady else "ok"
    return "ok" if lasted >= timing.steady else "recovering"


def _telling(timing: Timing, state: State, now: datetime) -> tuple[State, Kind | None]:
    if state.cover == "error" and not state.is_broken_told and now - state.since >= ERROR_PATIENCE:
        return replace(state, is_broken_told=True), "broken"
    if state.cover:
        return state, None
    if state.phase == "firing" and not state.announced:
        return replace(state, announced=True, told_at=now), "fired"
    if state.phase == "firing" and state.told_at and now - state.told_at >= timing.remind:
        return replace(state, told_at=now), "reminder"
    if state.phase == "ok" and state.announced:
        return replace(state, announced=False, told_at=None), "recovered" if timing.tells_end else None
    return state, None
