"""
Why records are one customer, which others were refused and why; values are masked, so that an answer can be shown.

Comes in: a customer or a record. Goes out: plain rows for the command line.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from psycopg2.extensions import cursor as PgCursor
from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.settings import Settings
from transforms.matching.decisions import customer_of, find_record
from transforms.matching.rules import MOST_IDS, MOST_NAMES

SHOWN_SIGNS = 3


def explain(settings: Settings, named: str) -> dict[str, Any]:
    """
    A customer's records with their rules and masked facts, its refused candidates, the values that do not count
    because many bear them, and the decisions about its records.

    Errors: UsageError when there is no such customer or record.
    """
    with connect(settings, "transformer") as connection:
        with connection.cursor() as cursor:
            customer_id = customer_of(cursor, find_record(cursor, named))
        with connection.cursor(cursor_factory=RealDictCursor) as cursor:
            return {
                "customer_id": customer_id,
                "records": _records(cursor, customer_id),
                "refused": _rows(cursor, _REFUSED, customer_id),
                "shared": _shared(cursor, customer_id),
                "decisions": _rows(cursor, _DECISIONS, customer_id),
            }


def candidates(settings: Settings, limit: int) -> dict[str, Any]:
    """Refused pairs, the likeliest first, and the decisions that hold."""
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(_CANDIDATES, (limit,))
        found = [dict(row) for row in cursor.fetchall()]
        cursor.execute(_ALL_DECISIONS)
        return {"candidates": found, "decisions": [dict(row) for row in cursor.fetchall()]}


def mask(attribute: str, value: str) -> str:
    """`m***@hotmail.example`, `***475`, `M*** G***`; what tells nobody apart stays as it is."""
    if attribute in ("customer", "pos_customer", "merged_customer", "is_deleted", "customer_since"):
        return value
    if attribute == "email" and "@" in value:
        name, _, host = value.rpartition("@")
        return f"{name[:1]}***@{host}"
    if attribute in ("phone", "loyalty_card", "postal_code", "email"):
        return f"***{value[-SHOWN_SIGNS:]}" if len(value) > 2 * SHOWN_SIGNS else "***"
    return re.sub(r"[^\s,]+", lambda word: f"{word.group()[0]}***", value)


_ATTRIBUTE_OF_RULE = {"e-mail": "email", "phone": "phone", "loyalty card": "loyalty_card", "pos id": "pos_customer"}

_RECORDS = """
select concat(source, ':', source_customer_id) as record, source, source_customer_id,
    matching_rule as rule, matching_score as score, evidence
from core.customer_sources where customer_id = %s
order by matching_rule <> 'own record', source, source_customer_id
"""
_FACTS = """
select concat(fact.source, ':', fact.source_customer_id) as record, fact.attribute, fact.value, fact.origin,
    nullif(fact.told_at, '-infinity') as told_at, fact.raw_id
from core.customer_facts as fact
inner join core.customer_sources as member using (source, source_customer_id)
where member.customer_id = %s and fact.origin <> 'mention' and fact.attribute <> 'name_and_postcode'
order by fact.attribute, fact.part, fact.origin
"""
_PAIR = """
select concat(pair.source, ':', pair.source_customer_id) as record,
    concat(pair.other_source, ':', pair.other_source_customer_id) as other,
    pair.matching_rule as rule, pair.matching_score as score, pair.reason,
    one.customer_id::text as customer_id, other.customer_id::text as other_customer_id
from core.customer_match_candidates as pair
inner join core.customer_sources as one
    on pair.source = one.source and pair.source_customer_id = one.source_customer_id
inner join core.customer_sources as other
    on pair.other_source = other.source and pair.other_source_customer_id = other.source_customer_id
"""
_REFUSED = f"{_PAIR} where %s in (one.customer_id::text, other.customer_id::text) order by score desc, record, other"
_CANDIDATES = f"{_PAIR} order by score desc, record, other limit %s"
_ALL_DECISIONS = """
select decision_id, case when is_same then 'merge' else 'split' end as decision, record, others, reason, decided_by,
    decided_at
from core.customer_match_decisions where undone_at is null order by decision_id
"""
_DECISIONS = """
select distinct decision_id, case when is_same then 'merge' else 'split' end as decision, record, others, reason,
    decided_by, decided_at, undone_by, undone_at
from core.customer_match_decisions
inner join core.customer_sources as member
    on concat(member.source, ':', member.source_customer_id) = any (others || record)
where member.customer_id = %s
order by decision_id
"""
_SHARED = """
select own.match_on as rule, own.value, count(distinct name.match_key)::integer as names,
    count(distinct fact.source_customer_id)::integer as ids
from (
    select distinct on (match_on, match_key) catalogue, match_on, match_key, value
    from core.customer_facts inner join core.customer_sources as member using (source, source_customer_id)
    where member.customer_id = %s and match_on <> 'crm merge'
    order by match_on, match_key, value
) as own
inner join core.customer_facts as fact using (catalogue, match_on, match_key)
left join core.customer_facts as name
    on fact.source = name.source and fact.source_customer_id = name.source_customer_id
    and name.attribute = 'full_name' and name.match_key like '%% %%'
group by own.match_on, own.match_key, own.value
having count(distinct name.match_key) > %s or count(distinct fact.source_customer_id) > %s
order by own.match_on, own.value
"""


def _records(cursor: PgCursor, customer_id: str) -> list[dict[str, Any]]:
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fact in _rows(cursor, _FACTS, customer_id):
        told[fact.pop("record")].append({**fact, "value": mask(fact["attribute"], fact["value"])})
    return [{**record, "facts": told[record["record"]]} for record in _rows(cursor, _RECORDS, customer_id)]


def _shared(cursor: PgCursor, customer_id: str) -> list[dict[str, Any]]:
    cursor.execute(_SHARED, (customer_id, MOST_NAMES, MOST_IDS))
    rows = [dict(row) for row in cursor.fetchall()]
    return [{**row, "value": mask(_ATTRIBUTE_OF_RULE.get(row["rule"], "full_name"), row["value"])} for row in rows]


def _rows(cursor: PgCursor, statement: str, customer_id: str) -> list[dict[str, Any]]:
    cursor.execute(statement, (customer_id,))
    return [dict(row) for row in cursor.fetchall()]
