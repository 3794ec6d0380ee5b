"""
States, events and the outbox in PostgreSQL.

A rule's round is one transaction: what was read, how it moved, what is to be told. A kill leaves all of it or nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extras import Json, RealDictCursor, execute_values

from panpan.alerting.machine import Kind, State
from panpan.alerting.observe import Observation, label_key
from panpan.alerting.people import Person
from panpan.alerting.rules import Rule

UPSERT = """
insert into ops.alert_states as known (
    rule, labels, title, phase, cover, since, phase_since, announced, told_at, is_broken_told, is_blind, value, level,
    unit, currency_code, source, reason, plan_id
)
values %s
on conflict (rule, labels) do update set
    title = excluded.title, phase = excluded.phase, cover = excluded.cover, since = excluded.since,
    phase_since = excluded.phase_since, announced = excluded.announced, told_at = excluded.told_at,
    is_broken_told = excluded.is_broken_told, is_blind = excluded.is_blind, value = excluded.value,
    level = excluded.level, unit = excluded.unit, currency_code = excluded.currency_code, source = excluded.source,
    reason = excluded.reason, plan_id = excluded.plan_id
where (
    known.title, known.phase, known.cover, known.since, known.phase_since, known.announced, known.told_at,
    known.is_broken_told, known.is_blind, known.value, known.level, known.unit, known.currency_code, known.source,
    known.reason, known.plan_id
) is distinct from (
    excluded.title, excluded.phase, excluded.cover, excluded.since, excluded.phase_since, excluded.announced,
    excluded.told_at, excluded.is_broken_told, excluded.is_blind, excluded.value, excluded.level, excluded.unit,
    excluded.currency_code, excluded.source, excluded.reason, excluded.plan_id
)
"""
QUEUE = """
insert into ops.mails (
    notice_id, report_id, topic, recipient, language, time_zone, message_id, unsubscribe_token, created_at, status,
    next_try_at, settled_at, reply
)
values %s
returning mail_id
"""


@dataclass(frozen=True)
class Known:
    """An alert as it is kept: its labels and words, its state."""

    labels: Mapping[str, str]
    title: str
    state: State
    last: Observation


@dataclass(frozen=True)
class Moved:
    """One alert's step: before, after, what was seen, what is to be told; is_past: gone and over, to be forgotten."""

    before: State
    after: State
    seen: Observation
    notice: Kind | None
    is_past: bool = False

    @property
    def is_news(self) -> bool:
        """Whether something happened."""
        return self.notice is not None or self.before.name != self.after.name


@dataclass(frozen=True)
class Silence:
    """A silence that holds now; labels {} mean the whole rule."""

    silence_id: int
    rule: str
    labels: Mapping[str, str]
    ends_at: datetime
    reason: str
    person: str

    def covers(self, labels: Mapping[str, str]) -> bool:
        return all(labels.get(name) == value for name, value in self.labels.items())


def read_states(connection: PgConnection, rule: str) -> dict[str, Known]:
    """The alerts of a rule by label key."""
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute("select * from ops.alert_states where rule = %s", (rule,))
        return {label_key(row["labels"]): _known(row) for row in cursor.fetchall()}


def _known(row: Mapping[str, Any]) -> Known:
    state = State(
        since=row["since"],
        phase_since=row["phase_since"],
        phase=row["phase"],
        cover=row["cover"],
        announced=row["announced"],
        told_at=row["told_at"],
        is_broken_told=row["is_broken_told"],
        is_blind=row["is_blind"],
    )
    last = Observation(
        labels=row["labels"],
        title=row["title"],
        seen="between",
        value=row["value"],
        level=row["level"],
        unit=row["unit"],
        currency_code=row["currency_code"],
        source=row["source"],
        reason=row["reason"],
        plan_id=row["plan_id"],
    )
    return Known(row["labels"], row["title"], state, last)


def write_states(connection: PgConnection, rule: str, moved: Sequence[Moved]) -> None:
    """Keep the new states; rows in which nothing changed are not written."""
    rows = [
        (
            rule,
            Json(dict(each.seen.labels)),
            each.seen.title,
            each.after.phase,
            each.after.cover,
            each.after.since,
            each.after.phase_since,
            each.after.announced,
            each.after.told_at,
            each.after.is_broken_told,
            each.after.is_blind,
            each.seen.value,
            each.seen.level,
            each.seen.unit,
            each.seen.currency_code,
            each.seen.source,
            each.seen.reason,
            each.seen.plan_id,
        )
        for each in moved
    ]
    with connection.cursor() as cursor:
        execute_values(cursor, UPSERT, rows, page_size=1000)


def remove_states(connection: PgConnection, rule: str, labels: Sequence[Mapping[str, str]]) -> None:
    """Forget alerts whose thing is gone from the data, once they are over."""
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from ops.alert_states where rule = %s and labels = any(%s::jsonb[])",
            (rule, [json.dumps(dict(each)) for each in labels]),
        )


def add_events(connection: PgConnection, rule: str, moved: Sequence[Moved], now: datetime) -> None:
    """Keep what happened."""
    rows = [
        (
            now,
            rule,
            Json(dict(each.seen.labels)),
            each.seen.title,
            each.before.name,
            each.after.name,
            each.seen.value,
            each.seen.level,
            each.notice,
            each.seen.reason,
            each.seen.plan_id,
        )
        for each in moved
        if each.is_news
    ]
    with connection.cursor() as cursor:
        execute_values(
            cursor,
            "insert into ops.alert_events"
            " (happened_at, rule, labels, title, from_state, to_state, value, level, notice, reason, plan_id)"
            " values %s",
            rows,
        )


def add_notice(
    connection: PgConnection, rule: Rule, kind: Kind, moved: Sequence[Moved], people: Sequence[Person], now: datetime
) -> int:
    """Queue one notice about all these alerts, and a mail of it for each person."""
    items = [_item(each) for each in moved]
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.alert_notices (created_at, rule, kind, items) values (%s, %s, %s, %s) returning notice_id",
            (now, rule.name, kind, Json(items)),
        )
        [(notice_id,)] = cursor.fetchall()
    queue_mails(connection, rule.name, people, now, notice_id=int(notice_id))
    return int(notice_id)


def _item(each: Moved) -> dict[str, Any]:
    """An alert as it is told; since: when it began, or when what is over was over."""
    began = each.before if each.notice == "recovered" else each.after
    return {
        "labels": dict(each.seen.labels),
        "title": each.seen.title,
        "value": None if each.seen.value is None else str(each.seen.value),
        "level": None if each.seen.level is None else str(each.seen.level),
        "unit": each.seen.unit,
        "currency_code": each.seen.currency_code,
        "since": began.phase_since.isoformat(),
        "reason": each.seen.reason,
        "plan_id": each.seen.plan_id,
    }


def queue_mails(
    connection: PgConnection,
    topic: str,
    people: Sequence[Person],
    now: datetime,
    *,
    notice_id: int | None = None,
    report_id: int | None = None,
) -> list[int]:
    """
    A mail for each person, with a Message-ID and an unsubscribe word that stay the same at every try.

    Who wants none of the topic, or can't be reached, gets a row that says so and no mail.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select address, reason from ops.mail_stops where topic in (%s, '*') and ended_at is null", (topic,)
        )
        stopped = dict(cursor.fetchall())
        rows = []
        for person in people:
            reason = stopped.get(person.address.lower())
            rows.append(
                (
                    notice_id,
                    report_id,
                    topic,
                    person.address,
                    person.language,
                    person.time_zone,
                    f"<{secrets.token_hex(16)}@panpan.local>",
                    secrets.token_urlsafe(24),
                    now,
                    reason or "waiting",
                    now,
                    now if reason else None,
                    f"not sent: the address {reason} before" if reason else None,
                )
            )
        return [int(mail_id) for (mail_id,) in execute_values(cursor, QUEUE, rows, fetch=True)]


def silences(connection: PgConnection, now: datetime, rule: str | None = None) -> list[Silence]:
    """The silences that hold now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select silence_id, rule, labels, ends_at, reason, person from ops.alert_silences"
            " where starts_at <= %(now)s and ends_at > %(now)s and ended_at is null"
            " and (%(rule)s::text is null or rule = %(rule)s) order by silence_id",
            {"now": now, "rule": rule},
        )
        return [Silence(*row) for row in cursor.fetchall()]


def add_silence(
    connection: PgConnection,
    rule: str,
    labels: Mapping[str, str],
    now: datetime,
    ends_at: datetime,
    reason: str,
    person: str,
) -> int:
    """Keep quiet about a rule, or some of its alerts, for a while; gives the silence's number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.alert_silences (rule, labels, starts_at, ends_at, reason, person)"
            " values (%s, %s, %s, %s, %s, %s) returning silence_id",
            (rule, Json(dict(labels)), now, ends_at, reason, person),
        )
        [(silence_id,)] = cursor.fetchall()
    return int(silence_id)


def end_silences(connection: PgConnection, rule: str, now: datetime, person: str) -> int:
    """End every silence of a rule; gives how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update ops.alert_silences set ended_at = %s, ended_by = %s"
            " where rule = %s and ended_at is null and ends_at > %s",
            (now, person, rule, now),
        )
        return int(cursor.rowcount)


def forget_rules_but(connection: PgConnection, kept: Sequence[str]) -> None:
    """Alerts of rules that are no more go; what happened to them stays in the events."""
    with connection.cursor() as cursor:
        cursor.execute("delete from ops.alert_states where not rule = any(%s)", (list(kept),))
