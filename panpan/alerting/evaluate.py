"""
One round: every rule looked at, its alerts moved, what is to be told queued, a sign of life left.

One round at a time in all processes (advisory lock). Again at the same moment it tells nothing new.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from db.connection import connect
from panpan.alerting import store
from panpan.alerting.machine import Kind, State, step
from panpan.alerting.observe import Observation, Seeing, observe
from panpan.alerting.people import Person, load_people, recipients
from panpan.alerting.rules import Rule, load_rules
from panpan.settings import Settings

LOCK_KEY = 7_265_731  # one round at a time; any fixed number of our own
KINDS: tuple[Kind, ...] = ("fired", "recovered", "reminder", "broken")
# A mail that waits longer than this is no hiccup any more: the second path takes the word.
PATIENCE = timedelta(minutes=30)
LOOK_BACK = timedelta(days=1)


@dataclass
class Round:
    """What one round did; busy: another process was at it, nothing was done."""

    rules: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    notices: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    busy: bool = False


def evaluate(settings: Settings, now: datetime, rules: Sequence[Rule] | None = None) -> Round:
    """
    Judge the rules (all by default) at a moment.

    Errors: ContractError when a rule or the list of people is wrong; DatabaseError when the database can't be reached.
    """
    known = load_rules(settings)
    with only_one(settings, LOCK_KEY) as is_ours:
        if not is_ours:
            return Round(busy=True)
        done = judge(settings, now, list(known.values()) if rules is None else rules)
        if rules is None:
            with connect(settings, "transformer") as connection:
                store.forget_rules_but(connection, list(known))
    return done


def judge(settings: Settings, now: datetime, rules: Sequence[Rule]) -> Round:
    """One round of these rules, for a caller that holds the lock."""
    people = load_people(settings)
    done = Round()
    for rule in rules:
        seeing = observe(settings, rule, now)
        with connect(settings, "transformer") as connection:
            told = take(connection, rule, seeing, recipients(people, rule.to))
        done.rules += 1
        for kind in told:
            done.notices[kind] += 1
        if seeing.failure:
            done.failed[rule.name] = seeing.failure
    return done


@contextmanager
def only_one(settings: Settings, key: int) -> Iterator[bool]:
    """Whether this process may; given back with the connection, so a dead process keeps nobody waiting."""
    with connect(settings, "transformer", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", (key,))
        [(is_ours,)] = cursor.fetchall()
        yield bool(is_ours)


def take(connection: PgConnection, rule: Rule, seeing: Seeing, people: Sequence[Person]) -> list[Kind]:
    """Move a rule's alerts by what was seen and queue what is to be told, in the caller's transaction."""
    known = store.read_states(connection, rule.name)
    moved = moves(rule, seeing, known, store.silences(connection, seeing.moment, rule.name))
    store.write_states(connection, rule.name, moved)
    store.add_events(connection, rule.name, moved, seeing.moment)
    store.remove_states(connection, rule.name, [each.seen.labels for each in moved if each.is_past])
    told = [kind for kind in KINDS if any(each.notice == kind for each in moved)]
    for kind in told:
        chosen = [each for each in moved if each.notice == kind]
        store.add_notice(connection, rule, kind, chosen, people, seeing.moment)
    return told


def moves(
    rule: Rule, seeing: Seeing, known: Mapping[str, store.Known], quiet: Sequence[store.Silence] = ()
) -> list[store.Moved]:
    """
    The step of every alert of a rule. Pure: the same for a round as for a backtest.

    An alert whose thing is gone from the data is over; when the rule fails, every alert there is fails, or the rule
    as a whole.
    """
    now = seeing.moment
    if seeing.failure is None:
        present = {each.key: each for each in seeing.observations}
        gone = [Observation(each.labels, each.title, "clear") for key, each in known.items() if key not in present]
    else:
        last = [each.last for each in known.values()] or [Observation({}, "", "error")]
        present = {each.key: replace(each, seen="error", reason=seeing.failure) for each in last}
        gone = []
    moved = []
    for seen in (*present.values(), *gone):
        before = known[seen.key].state if seen.key in known else State.new(now)
        silenced = any(silence.covers(seen.labels) for silence in quiet)
        after, notice = step(rule.timing, before, seen.seen, now, silenced=silenced)
        is_past = seen.key not in present and after.phase == "ok" and not after.announced
        moved.append(store.Moved(before, after, seen, notice, is_past))
    return moved


def leave_heartbeat(settings: Settings, done: Round, now: datetime) -> str | None:
    """
    Say that the engine lives, and why not where a mail could not be delivered; gives that reason.

    last_evaluated_at moves only while everything told has arrived: else a dead mail server would silence both paths.
    """
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        undelivered = count_undelivered(connection, now)
        reason = (
            f"{undelivered} notices have reached nobody"
            if undelivered
            else f"rules that fail: {', '.join(sorted(done.failed))}"
            if done.failed
            else None
        )
        cursor.execute(
            """
            insert into marts.alert_heartbeat as known
                (last_evaluated_at, tried_at, rule_count, failed_rule_count, undelivered_count, reason)
            values (%(alive)s, %(now)s, %(rules)s, %(failed)s, %(undelivered)s, %(reason)s)
            on conflict (engine) do update set
                last_evaluated_at = coalesce(excluded.last_evaluated_at, known.last_evaluated_at),
                tried_at = excluded.tried_at,
                rule_count = excluded.rule_count,
                failed_rule_count = excluded.failed_rule_count,
                undelivered_count = excluded.undelivered_count,
                reason = excluded.reason
            """,
            {
                "alive": None if reason else now,
                "now": now,
                "rules": done.rules,
                "failed": len(done.failed),
                "undelivered": undelivered,
                "reason": reason,
            },
        )
    return reason


def count_undelivered(connection: PgConnection, now: datetime) -> int:
    """
    Notices that reached nobody: still waiting after a while, or settled within the last day without one mail sent.

    A notice everybody unsubscribed from is not waiting for anything; one without recipients is.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select count(*) from ops.alert_notices as notice
            where
                not exists (
                    select from ops.mails as mail
                    where mail.notice_id = notice.notice_id and mail.status in ('sent', 'unsubscribed')
                )
                and case
                    when exists (
                        select from ops.mails as mail
                        where mail.notice_id = notice.notice_id and mail.settled_at is null
                    ) then notice.created_at < %(now)s - %(patience)s
                    else notice.created_at > %(now)s - %(back)s
                end
            """,
            {"now": now, "patience": PATIENCE, "back": LOOK_BACK},
        )
        [(count,)] = cursor.fetchall()
    return int(count)
