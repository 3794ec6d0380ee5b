"""
The step of a run that says which customers of the sources are one person. Its parts in their order:

what the batch tells -> facts -> records whose person may change -> persons -> core, and the sales that move.
The cost follows what the batch changes: records that nothing new connects are not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from psycopg2 import extras, sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

from transforms.contract import Contract
from transforms.matching.keys import KEYS, region_of_zone
from transforms.matching.persons import Assignment, Decided, Known, Pair, Record, Refusal, find_persons
from transforms.matching.rules import CRM_MERGE, MOST_IDS, MOST_NAMES, NAME, POS_ID
from transforms.merge import create_result, merge, remove, set_column
from transforms.tables import CUSTOMER_FACTS, CUSTOMER_MATCH_CANDIDATES, CUSTOMER_SOURCES, CUSTOMERS, SALES

FOLDER = "matching"
OWN_ID_RULES = {"pos": POS_ID, "crm": CRM_MERGE}
PAGE = 1_000

# A list describes people on purpose, a delivery order names whom to ring, a receipt is typed in a hurry.
CRM_LIST, OTHER_LIST, API, FILE = 1, 2, 3, 4


def match_customers(connection: PgConnection, contract: Contract, parameters: Mapping[str, Any]) -> bool:
    """
    Bring what the stages tell of customers into core: facts, persons, crosswalk, candidates; move the sales of
    customers that became another person's. A second call changes nothing.

    Gives whether sales moved: their days and customers, as before and as now, stand in the temporary tables
    repointed_days (business_date, store_id, source) and repointed_customers (customer_id, source), else empty.
    """
    with connection.cursor() as cursor:
        _create_working_tables(cursor)
        if not _is_anybody_named(cursor):
            return False
        _describe_source(cursor, contract)
        _keep_facts(connection, cursor, contract, parameters)
        cursor.execute(
            "insert into affected_records (source, source_customer_id, round) "
            "select distinct source, source_customer_id, 0 from changed_facts"
        )
        return _match_affected(connection, cursor, parameters)


def start_affected(connection: PgConnection) -> None:
    """affected_days and affected_customers (temporary tables) with what the moved sales touch; more may be added."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            create temporary table affected_days on commit drop as select * from repointed_days;
            create temporary table affected_customers on commit drop as select * from repointed_customers
            """
        )


def rematch(connection: PgConnection, catalogue: str, records: Iterable[Record], parameters: Mapping[str, Any]) -> bool:
    """Find the persons of these records anew, after a decision about them; else as match_customers."""
    with connection.cursor() as cursor:
        _create_working_tables(cursor)
        cursor.execute(
            """
            create temporary table changed_facts (
                source text, source_customer_id text, match_on text, match_key text
            ) on commit drop
            """
        )
        extras.execute_values(
            cursor,
            "insert into affected_records (source, source_customer_id, round) values %s on conflict do nothing",
            [(*record, 0) for record in records],
        )
        return _match_affected(connection, cursor, {**parameters, "catalogue": catalogue})


def _create_working_tables(cursor: PgCursor) -> None:
    cursor.execute(
        """
        create temporary table affected_records (
            source text, source_customer_id text, round integer, primary key (source, source_customer_id)
        ) on commit drop;
        create temporary table repointed_days (business_date date, store_id text, source text) on commit drop;
        create temporary table repointed_customers (customer_id uuid, source text) on commit drop;
        create temporary table repointed_subjects (subject_id uuid) on commit drop;
        create temporary table matching_limits on commit drop as select %s as most_names, %s as most_ids
        """,
        (MOST_NAMES, MOST_IDS),
    )


def _is_anybody_named(cursor: PgCursor) -> bool:
    cursor.execute(
        """
        select exists (select from stage_customers)
            or exists (select from stage_sale_lines where customer is not null)
        """
    )
    [(is_there,)] = cursor.fetchall()
    return bool(is_there)


def _describe_source(cursor: PgCursor, contract: Contract) -> None:
    cursor.execute(
        """
        create temporary table matching_source on commit drop as
        select %s::text as source, %s::text as catalogue, %s::text as own_id_rule,
            %s::smallint as list_precedence, %s::smallint as receipt_precedence
        """,
        (
            contract.source,
            contract.catalogue,
            OWN_ID_RULES.get(contract.system),
            CRM_LIST if contract.system == "crm" else OTHER_LIST,
            API if contract.api else FILE,
        ),
    )


# --- facts -------------------------------------------------------------------------------------------------


def _keep_facts(connection: PgConnection, cursor: PgCursor, contract: Contract, parameters: Mapping[str, Any]) -> None:
    create_result(cursor, "told_facts", FOLDER, parameters)
    _key_values(cursor, contract)
    create_result(cursor, "next_facts", FOLDER, parameters)
    create_result(cursor, "changed_facts", FOLDER, parameters)
    merge(connection, CUSTOMER_FACTS, parameters, sql.SQL("select * from next_facts"))


def _key_values(cursor: PgCursor, contract: Contract) -> None:
    """told_keys: what of each told value tells persons apart; values told before keep the key they have."""
    cursor.execute(
        """
        create temporary table told_keys on commit drop as
        select distinct on (told.attribute, told.value)
            told.attribute, told.value, known.match_on as rule, known.match_key
        from told_facts as told
        inner join core.customer_facts as known
            on known.source = %s and told.source_customer_id = known.source_customer_id
            and told.origin = known.origin and told.attribute = known.attribute and told.part = known.part
            and told.value = known.value
        where told.attribute = any (%s) and told.attribute <> 'merged_customer'
        """,
        (contract.source, list(KEYS)),
    )
    cursor.execute(
        """
        select distinct attribute, value from told_facts as told
        where attribute = any (%s)
        and not exists (
            select from told_keys as known where known.attribute = told.attribute and known.value = told.value
        )
        """,
        (list(KEYS),),
    )
    region = contract.country or region_of_zone(contract.time_zone)
    rows = [(attribute, value, KEYS[attribute][0], KEYS[attribute][1](value, region)) for attribute, value in cursor]
    extras.execute_values(cursor, "insert into told_keys values %s", rows, page_size=PAGE)
    cursor.execute("analyze told_keys")


# --- persons -----------------------------------------------------------------------------------------------


def _match_affected(connection: PgConnection, cursor: PgCursor, parameters: Mapping[str, Any]) -> bool:
    """From the affected records of round 0 to core; whether sales moved."""
    if not _reach_neighbours(cursor, parameters):
        return False
    create_result(cursor, "shared_keys", FOLDER, parameters)
    create_result(cursor, "candidate_pairs", FOLDER, parameters)
    assignments, refusals = find_persons(_known(cursor), _pairs(cursor), active_decisions(cursor))
    _stage_result(cursor, assignments, refusals)
    return _publish(connection, cursor, parameters)


def _reach_neighbours(cursor: PgCursor, parameters: Mapping[str, Any]) -> int:
    """Add to the affected records all that may belong to their persons, until none is new; gives their number."""
    cursor.execute("select count(*) from affected_records")
    [(total,)] = cursor.fetchall()
    reached, round_ = total, 0
    while reached > 0:
        cursor.execute("analyze affected_records")
        create_result(cursor, "neighbours", FOLDER, {**parameters, "round": round_})
        round_ += 1
        cursor.execute(
            "insert into affected_records select source, source_customer_id, %s from neighbours on conflict do nothing",
            (round_,),
        )
        reached = cursor.rowcount
        total += reached
    return int(total)


def _known(cursor: PgCursor) -> dict[Record, Known]:
    """What is known of each affected record. A value that many bear neither joins nor contradicts."""
    cursor.execute(
        """
        select fact.source, fact.source_customer_id,
            case when fact.attribute = 'full_name' then %s else fact.match_on end, fact.match_key,
            fact.origin = 'mention', fact.raw_id, fact.told_at = 'infinity'
        from core.customer_facts as fact
        inner join affected_records using (source, source_customer_id)
        left join shared_keys as shared on fact.match_on = shared.match_on and fact.match_key = shared.match_key
        where fact.match_key is not null and (shared.match_key is null or fact.origin = 'mention')
        """,
        (NAME,),
    )
    ages: dict[Record, tuple[int, int]] = {}
    values: dict[Record, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for source, source_customer_id, name, key, is_mention, raw_id, is_merged_one in cursor:
        record = Record(source, source_customer_id)
        if is_mention:
            ages[record] = (raw_id, int(is_merged_one))
        if name is not None:
            values[record][name].add(key)
    return {
        record: Known(age, {name: frozenset(keys) for name, keys in values[record].items()})
        for record, age in ages.items()
    }


def _pairs(cursor: PgCursor) -> list[Pair]:
    cursor.execute(
        """
        select source, source_customer_id, other_source, other_source_customer_id, match_on, is_sure
        from candidate_pairs
        """
    )
    return [Pair(Record(*row[:2]), Record(*row[2:4]), row[4], row[5]) for row in cursor]


def active_decisions(cursor: PgCursor) -> list[Decided]:
    """The decisions that hold; of all catalogues, there are few."""
    cursor.execute(
        """
        select decision_id, is_same, record, others from core.customer_match_decisions
        where undone_at is null order by decision_id
        """
    )
    return [
        Decided(decision_id, is_same, record_of(record), tuple(map(record_of, others)))
        for decision_id, is_same, record, others in cursor
    ]


def record_of(label: str) -> Record:
    """A record by the label it has in decisions and on the command line: source:id."""
    source, _, source_customer_id = label.partition(":")
    return Record(source, source_customer_id)


def _stage_result(cursor: PgCursor, assignments: Iterable[Assignment], refusals: Iterable[Refusal]) -> None:
    cursor.execute(
        """
        create temporary table found_persons (
            source text, source_customer_id text, person_source text, person_customer_id text,
            matching_rule text, matching_score numeric(4, 3), evidence jsonb
        ) on commit drop;
        create temporary table refused_pairs (
            source text, source_customer_id text, other_source text, other_source_customer_id text,
            matching_rule text, matching_score numeric(4, 3), reason text
        ) on commit drop
        """
    )
    extras.execute_values(
        cursor,
        "insert into found_persons values %s",
        [(*each.record, *each.person, each.rule, each.score, extras.Json(each.evidence)) for each in assignments],
        page_size=PAGE,
    )
    extras.execute_values(
        cursor,
        "insert into refused_pairs values %s",
        [(*each.left, *each.right, each.rule, each.score, each.reason) for each in refusals],
        page_size=PAGE,
    )
    cursor.execute("analyze found_persons; analyze refused_pairs")


# --- core --------------------------------------------------------------------------------------------------


def _publish(connection: PgConnection, cursor: PgCursor, parameters: Mapping[str, Any]) -> bool:
    """Customers first, then who is which, then the sales, then the customers nobody is any more."""
    merging = {**parameters, "cause": "merge"}
    create_result(cursor, "matched_records", FOLDER, parameters)
    merge(connection, CUSTOMERS, parameters)
    merge(connection, CUSTOMER_SOURCES, parameters)
    merge(connection, CUSTOMER_MATCH_CANDIDATES, parameters, sql.SQL("select * from refused_pairs"))
    create_result(cursor, "repointed_sales", FOLDER, parameters)
    cursor.execute(
        """
        insert into repointed_days select distinct business_date, store_id, source from repointed_sales;
        insert into repointed_customers
        select customer_id, source from repointed_sales union select old_customer_id, source from repointed_sales;
        insert into repointed_subjects
        select customer_id from matched_records where old_customer_id <> customer_id
        union select old_customer_id from matched_records where old_customer_id <> customer_id
        union select sale_id from repointed_sales;
        select
            exists (select from repointed_sales),
            exists (select from matched_records where old_customer_id <> customer_id)
        """
    )
    [(do_sales_move, do_persons_move)] = cursor.fetchall()
    if do_sales_move:
        cursor.execute(
            "alter table repointed_sales drop business_date, drop store_id, drop source, drop old_customer_id"
        )
        set_column(connection, SALES[0], "customer_id", "repointed_sales", merging)
    if do_persons_move:
        create_result(cursor, "gone_customers", FOLDER, parameters)
        remove(connection, CUSTOMERS, "gone_customers", merging)
    return bool(do_sales_move)
