"""
How long customers stay known by name: who is past the period of db/pii.yaml, and their anonymisation.

Comes in: the model, a moment. Goes out: the persons nobody has heard of for longer than that, erased as if they had
asked for it (transforms/erasure.py): figures stay, and a source that sends them again finds them emptied.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.extensions import cursor as PgCursor  # the driver's own name is too plain

from db.connection import connect
from db.pii import load_catalogue
from panpan.errors import PanpanError
from panpan.settings import Settings
from transforms.erasure import ATTRIBUTES, Erasure, Person, erase_persons, person_of, same_persons

# Who is new to us may have bought: the past of the tills is often loaded after the list of customers.
SETTLING = timedelta(days=30)
MOST_AT_ONCE = 100  # persons erased in one transaction, by one look through everything received
LAST_HEARD = """
    with bought as (
        select customer_id, max(sold_at) as sold_at
        from core.sales
        where customer_id is not null
        group by customer_id
    )

    select
        crosswalk.customer_id::text,
        coalesce(bool_or(fact.attribute = any (%(attributes)s)), false) as is_named,
        coalesce(
            greatest(
                max(bought.sold_at),
                max(fact.told_at) filter (where fact.told_at > '-infinity'),
                max(case when fact.attribute = 'customer_since' then fact.value::date end)::timestamptz
            ),
            min(crosswalk.known_from)
        ) as last_heard_at,
        min(crosswalk.known_from) as known_from
    from core_history.customer_sources as crosswalk
    left join core_history.customer_facts as fact
        on crosswalk.source = fact.source and crosswalk.source_customer_id = fact.source_customer_id
    left join bought on crosswalk.customer_id = bought.customer_id
    group by crosswalk.customer_id
"""


@dataclass(frozen=True)
class Due:
    """Whose time is over. days: the period, None for no end; cutoff: who was heard of since stays; persons: ids."""

    days: int | None
    cutoff: datetime | None
    persons: list[list[str]]


def find_due(settings: Settings, now: datetime) -> Due:
    """Who would be anonymised now."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        return _due(cursor, now)


def anonymise_due(settings: Settings, now: datetime, *, by: str) -> list[Erasure]:
    """
    Erase everybody whose time is over, some at a time; each has a receipt in ops.erasures. Again it changes nothing.

    Errors: PanpanError while loads wait: one of them may tell of a purchase.
    """
    due = find_due(settings, now)
    reason = f"not heard of for {due.days} days: db/pii.yaml"

    def find(cursor: PgCursor) -> list[Person]:
        _refuse_waiting(cursor)
        return [person_of(cursor, ids) for ids in _due(cursor, now).persons[:MOST_AT_ONCE]]

    done = []
    for _ in range(0, len(due.persons), MOST_AT_ONCE):
        done.append(erase_persons(settings, find, by=by, reason=reason))
    return done


def _due(cursor: PgCursor, now: datetime) -> Due:
    days = load_catalogue().retention.direct
    if days is None:
        return Due(None, None, [])
    cutoff = now - timedelta(days=days)
    cursor.execute(LAST_HEARD, {"attributes": list(ATTRIBUTES)})
    over, named = set(), set()
    for customer_id, is_named, last_heard_at, known_from in cursor.fetchall():
        if is_named:
            named.add(customer_id)
        if last_heard_at < cutoff and known_from < now - SETTLING:
            over.add(customer_id)
    # One of several ids that was heard of keeps the whole person: what it is known by is known of all of them.
    persons = [sorted(group) for group in same_persons(cursor) if group & named and group <= over]
    return Due(days, cutoff, sorted(persons))


def _refuse_waiting(cursor: PgCursor) -> None:
    cursor.execute("select count(*) from ops.loads where status = 'received'")
    [(waiting,)] = cursor.fetchall()
    if waiting:
        raise PanpanError(
            "nobody is anonymised while loads wait",
            cause=f"{waiting} are received and not in the model yet; they may tell of purchases",
            next="bin/panpan transform run, then again",
        )
