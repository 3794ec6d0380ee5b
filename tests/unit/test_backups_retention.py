"""Which backups stay: proven ones only count, and the last proven one always stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backups.retention import PERIODS, UNPROVEN_FOR, Kept, kept_sets

START = datetime(2023, 1, 1, 3, 30, tzinfo=UTC)
RULE = Kept(daily=7, weekly=5, monthly=12, yearly=10)

rules = st.builds(
    Kept, daily=st.integers(1, 8), weekly=st.integers(0, 5), monthly=st.integers(0, 13), yearly=st.integers(0, 4)
)
# Hours from one backup to the next (several a day, gaps of months), and whether each was proven.
histories = st.lists(
    st.tuples(st.sampled_from((1, 6, 24, 24, 24, 49, 24 * 9, 24 * 70)), st.booleans()), min_size=1, max_size=40
)


def history(steps: list[tuple[int, bool]]) -> tuple[dict[str, datetime], set[str]]:
    made, proven, moment = {}, set(), START
    for number, (hours, is_proven) in enumerate(steps):
        moment += timedelta(hours=hours)
        made[f"set-{number:03}"] = moment
        if is_proven:
            proven.add(f"set-{number:03}")
    return made, proven


@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories, rules)
def test_no_history_loses_its_last_proven_backup_or_a_promised_place(steps: list[tuple[int, bool]], rule: Kept) -> None:
    made, proven = history(steps)
    now = max(made.values()) + timedelta(minutes=5)

    kept = kept_sets(made, proven, rule, now)

    good = sorted(proven, key=lambda name: made[name], reverse=True)
    assert not good or good[0] in kept
    for period, of in PERIODS.items():
        newest = {of(made[name]): name for name in reversed(good)}
        promised = list({of(made[name]): None for name in good})[: getattr(rule, period)]
        assert all(newest[place] in kept for place in promised)
    assert len(proven & set(kept)) <= max(1, rule.daily + rule.weekly + rule.monthly + rule.yearly)
    assert {name: why for name, why in kept.items() if name in proven} == kept_sets(
        {name: made[name] for name in proven}, proven, rule, now
    ), "what was not proven takes no place"
    rest = {name: made[name] for name in kept}
    assert set(kept_sets(rest, proven & set(rest), rule, now)) == set(kept), "a second time nothing goes"


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories, rules)
def test_pruning_after_each_backup_keeps_the_same_as_pruning_once(steps: list[tuple[int, bool]], rule: Kept) -> None:
    made, proven = history(steps)
    alive: dict[str, datetime] = {}
    for name, moment in made.items():
        alive[name] = moment
        kept = kept_sets(alive, proven & set(alive), rule, moment)
        alive = {each: alive[each] for each in kept}

        good = [each for each in made if each in proven and made[each] <= moment]
        assert not good or good[-1] in alive

    once = kept_sets(made, proven, rule, max(made.values()))
    assert set(alive) & proven == set(once) & proven


def test_without_a_proven_backup_nothing_goes() -> None:
    made, _ = history([(24, False)] * 100)

    assert set(kept_sets(made, set(), RULE, START + timedelta(days=1000))) == set(made)


def test_unproven_backups_go_two_days_after_a_newer_one_was_proven() -> None:
    made, _ = history([(24, False), (24, True)])

    assert set(kept_sets(made, {"set-001"}, RULE, made["set-001"])) == {"set-000", "set-001"}
    assert set(kept_sets(made, {"set-001"}, RULE, made["set-000"] + UNPROVEN_FOR)) == {"set-001"}


def test_three_years_of_daily_backups_become_a_few() -> None:
    made, proven = history([(24, True)] * 1000)

    kept = kept_sets(made, proven, RULE, max(made.values()))

    assert 7 + 3 <= len(kept) <= 7 + 5 + 12 + 10
    assert min(made[name] for name in kept) < START + timedelta(days=366)
