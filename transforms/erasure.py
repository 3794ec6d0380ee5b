"""
The right to be forgotten: one customer out of everything that is kept, with a receipt and a look whether it worked.

Comes in: a customer, who erases and why. Goes out: core, its history, raw records, documents, archived and typed files,
rejects and n8n's runs without the person's values; ids, amounts and counts stay, so every figure does. What the person
would be known by again is kept as salted hashes: a source that sends the record once more finds it emptied on arrival.
"""

from __future__ import annotations

import io
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import cursor as PgCursor  # the driver's own name is too plain
from psycopg2.extras import Json, execute_values
from pyarrow import parquet

from db.connection import connect
from panpan.errors import DatabaseError, UsageError
from panpan.settings import Settings
from transforms.contract import load_contracts
from transforms.personal import Keys, is_date, key_hash, plain_key
from transforms.redaction import redact_source
from transforms.run import LOCK_KEY

SHORTEST = 6  # a shorter value stands in too many other places to be looked for
GONE = "[erased]"
# Attributes of core.customer_facts, and columns of core.customers, that are personal.
ATTRIBUTES = ("full_name", "email", "phone", "postal_code", "loyalty_card", "customer_since")
KINDS = {"email": "email", "phone": "phone", "loyalty_card": "loyalty_card"}
# Texts in which a value may be quoted, beside those of the records themselves.
QUOTING = (("load_requests", "fault"), ("load_requests", "body"), ("workflow_errors", "message"), ("runs", "error"),
           ("loads", "reason"))  # fmt: skip


@dataclass
class Erasure:
    """
    What an erasure did, or would do: the receipts' facts. customers: one id per person; records: all theirs, as
    source:id; places: where a value was still found afterwards; receipts: numbers in ops.erasures.
    """

    customers: list[str]
    records: list[str]
    counts: Counter[str] = field(default_factory=Counter)
    places: list[str] = field(default_factory=list)
    receipts: list[int] = field(default_factory=list)
    backups_until: date | None = None


@dataclass(frozen=True)
class Person:
    """Whom the sources tell of: customer ids, records as (source, id), values, and keys the person is known by."""

    ids: list[str]
    records: list[tuple[str, str]]
    values: set[str]
    keys: set[tuple[str, str, str]]


# Gives the persons to erase, while no transform can change who is who.
FindPersons = Callable[[PgCursor], list[Person]]


def erase(settings: Settings, customer: str, *, by: str, reason: str, dry_run: bool = False) -> Erasure:
    """
    Erase a customer named by its id, or as source:id. Safe to repeat after an interruption.

    dry_run: only count. No transform runs meanwhile.
    Errors: UsageError when there is no such customer, or the reason names it.
    """

    def find(cursor: PgCursor) -> list[Person]:
        person = _find(cursor, customer)
        if any(value.casefold() in f"{reason} {by}".casefold() for value in person.values):
            raise UsageError("the reason names the customer", cause="the receipt is kept", next="say it without a name")
        return [person]

    return erase_persons(settings, find, by=by, reason=reason, dry_run=dry_run)


def erase_persons(settings: Settings, find: FindPersons, *, by: str, reason: str, dry_run: bool = False) -> Erasure:
    """Erase some persons together: everything received is read once, and each has a receipt of its own."""
    contracts = load_contracts(settings.own_contracts)
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
        persons = find(cursor)
        done = Erasure([each.ids[0] for each in persons], [name for each in persons for name in _named(each.records)])
        if not persons:
            return done
        salt = _salt(cursor)
        hashes = frozenset(key_hash(salt, *key) for person in persons for key in person.keys)
        values = {value for person in persons for value in person.values}
        for source, contract in contracts.items():
            found = redact_source(connection, settings, Keys(salt, hashes, source), contract, dry_run=dry_run)
            done.counts += found.counts
            values |= {value for value in found.values if len(value) >= SHORTEST and not is_date(value)}
        if dry_run:
            connection.rollback()
            return done
        _erase_core(cursor, persons, done)
        _erase_quotes(cursor, values, done)
        done.backups_until = _backups_until(settings)
        for person in persons:
            done.receipts.append(_write_receipt(cursor, person, done, by, reason, salt))
    _erase_runs_of_n8n(settings, values, done)
    done.places = places_of(settings, values - _values_of_others(settings, persons))
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update ops.erasures set places_left = %s, counts = %s where erasure_id = any (%s)",
            (len(done.places), Json(dict(done.counts)), done.receipts),
        )
    return done


# --- who it is ----------------------------------------------------------------------------------------------


def _find(cursor: PgCursor, customer: str) -> Person:
    source, _, number = customer.rpartition(":")
    cursor.execute(
        "select distinct customer_id::text from core_history.customer_sources"
        " where customer_id::text = %s or (source, source_customer_id) = (%s, %s)",
        (customer, source, number),
    )
    found = {customer_id for (customer_id,) in cursor.fetchall()}
    if not found:
        raise UsageError(f"there is no customer {customer!r}", next="name it by its id, or as source:id")
    ids = {each for group in same_persons(cursor) if found & group for each in group}
    return person_of(cursor, sorted(ids, key=lambda each: (each not in found, each)))


def same_persons(cursor: PgCursor) -> list[set[str]]:
    """
    All customer ids, those of one person together: they share a record, a mail, a phone or a card, if only by way of
    others. Sources may not be matched, and what one is known by again must not be another's.
    """
    cursor.execute(
        "select distinct crosswalk.customer_id::text, crosswalk.source, crosswalk.source_customer_id, fact.attribute,"
        " fact.value from core_history.customer_sources as crosswalk left join core_history.customer_facts as fact"
        " on crosswalk.source = fact.source and crosswalk.source_customer_id = fact.source_customer_id"
        " and fact.attribute = any (%s)",
        (list(KINDS),),
    )
    groups: dict[str, set[str]] = {}
    bearers: dict[tuple[str, str], str] = {}
    for customer_id, source, number, attribute, value in cursor.fetchall():
        keys = [("id", f"{source}:{number}")]
        if attribute and (plain := plain_key(KINDS[attribute], value)):
            keys.append((attribute, plain))
        for key in keys:
            _join(groups, customer_id, bearers.setdefault(key, customer_id))
    return list({id(group): group for group in groups.values()}.values())


def _join(groups: dict[str, set[str]], one: str, other: str) -> None:
    """Make the groups of two ids one; the smaller goes into the larger."""
    small, large = sorted((groups.setdefault(one, {one}), groups.setdefault(other, {other})), key=len)
    if small is not large:
        large |= small
        groups.update(dict.fromkeys(small, large))


def person_of(cursor: PgCursor, ids: list[str]) -> Person:
    """What is and was known of the person of some customer ids; the first is the one that is named."""
    cursor.execute(
        "select distinct source, source_customer_id from core_history.customer_sources"
        " where customer_id::text = any (%s)",
        (ids,),
    )
    records = sorted(cursor.fetchall())
    told = _told(cursor, ids)
    known_by = {(kind, "", plain_key(kind, value)) for kind, value in told if kind and plain_key(kind, value)}
    known_by |= {("id", source, number) for source, number in records}
    return Person(ids, records, {value for _, value in told if len(value) >= SHORTEST}, known_by)


def _named(records: list[tuple[str, str]]) -> list[str]:
    return [f"{source}:{number}" for source, number in records]


def _told(cursor: PgCursor, ids: list[str]) -> list[tuple[str, str]]:
    """What is and was known of some customers: kind of key (empty for a name) and value."""
    cursor.execute(
        "select attribute, value from core_history.customer_facts where attribute = any (%(attributes)s)"
        " and (source, source_customer_id) in (select source, source_customer_id from core_history.customer_sources"
        " where customer_id::text = any (%(ids)s))"
        " union select told.* from core_history.customers as person cross join lateral (values"
        " ('full_name', full_name), ('email', email), ('phone', phone), ('loyalty_card', loyalty_card)) as told"
        " where customer_id::text = any (%(ids)s) and told.column2 is not null",
        {"ids": ids, "attributes": [*KINDS, "full_name"]},
    )
    return [(KINDS.get(attribute, ""), value) for attribute, value in cursor.fetchall()]


def _salt(cursor: PgCursor) -> bytes:
    cursor.execute("select salt from ops.erased_keys limit 1")
    found = cursor.fetchall()
    return bytes(found[0][0]) if found else secrets.token_bytes(32)


# --- the model, and what quotes it --------------------------------------------------------------------------


def _erase_core(cursor: PgCursor, persons: list[Person], done: Erasure) -> None:
    found = [record for person in persons for record in person.records]
    records = {"sources": [source for source, _ in found], "numbers": [number for _, number in found]}
    theirs = "(source, source_customer_id) in (select * from unnest(%(sources)s::text[], %(numbers)s::text[]))"
    others = (
        "(other_source, other_source_customer_id) in (select * from unnest(%(sources)s::text[], %(numbers)s::text[]))"
    )
    ids = [each for person in persons for each in person.ids]
    values = {"ids": ids, "attributes": [*ATTRIBUTES, "name_and_postcode"], **records}
    sales = "sale_id in (select sale_id from core_history.sales where customer_id::text = any (%(ids)s))"
    statements = [
        (
            "customers",
            f"set {', '.join(f'{name} = null' for name in ATTRIBUTES)} where customer_id::text = any (%(ids)s)",
        ),
        ("customer_sources", f"set evidence = '{{}}' where {theirs}"),
        ("customer_match_candidates", f"set reason = '{GONE}' where {theirs} or {others}"),
        ("sale_lines", f"set note = null where note is not null and {sales}"),
        ("payments", f"set card_last_digits = null where card_last_digits is not null and {sales}"),
    ]
    for table, change in statements:
        for name in (f"core.{table}", f"core_history.{table}_versions"):
            cursor.execute(f"update {name} {change}", values)  # names of our own tables
            done.counts[f"rows of {name}"] += cursor.rowcount
    for name in ("core.customer_facts", "core_history.customer_facts_versions"):
        cursor.execute(f"delete from {name} where {theirs} and attribute = any (%(attributes)s)", values)  # noqa: S608
        done.counts[f"rows of {name}"] += cursor.rowcount
    cursor.execute(
        "update core.customer_match_decisions set reason = %s where record = any (%s) or others && %s",
        (GONE, done.records, done.records),
    )
    execute_values(  # nothing else would say any more that these are one person
        cursor,
        "insert into core.customer_match_decisions (is_same, record, others, reason, decided_by) values %s",
        [(first, rest) for first, *rest in (_named(person.records) for person in persons) if rest],
        "(true, %s, %s, 'as it was before the erasure', 'erasure')",
    )


def _erase_quotes(cursor: PgCursor, values: set[str], done: Erasure) -> None:
    for table, column in QUOTING:
        for value in values:
            cursor.execute(
                sql.SQL("update ops.{0} set {1} = replace({1}, %s, %s) where strpos({1}, %s) > 0").format(
                    sql.Identifier(table), sql.Identifier(column)
                ),
                (value, GONE, value),
            )
            done.counts[f"rows of ops.{table}"] += cursor.rowcount


def _erase_runs_of_n8n(settings: Settings, values: set[str], done: Erasure) -> None:
    """Runs of n8n whose kept data holds a value go as a whole."""
    try:
        with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
            cursor.execute("select to_regclass('public.execution_data') is not null")
            if cursor.fetchone() != (True,):
                return
            for value in values:
                cursor.execute(
                    "delete from public.execution_entity where id in"
                    ' (select "executionId" from public.execution_data where strpos(data, %s) > 0)',
                    (value,),
                )
                done.counts["runs of n8n"] += cursor.rowcount
    except DatabaseError:
        return  # there is no n8n here


def _backups_until(settings: Settings) -> date:
    """When the last set that may hold the person is gone, as sets are kept now."""
    today = datetime.now(UTC).date()
    if settings.backup_keep_yearly:
        return today.replace(year=today.year + settings.backup_keep_yearly + 1, day=min(today.day, 28))
    days = max(settings.backup_keep_daily, 7 * settings.backup_keep_weekly, 31 * settings.backup_keep_monthly)
    return date.fromordinal(today.toordinal() + days + 1)


def _write_receipt(cursor: PgCursor, person: Person, done: Erasure, by: str, reason: str, salt: bytes) -> int:
    cursor.execute(
        "insert into ops.erasures (customer_id, erased_by, reason, counts, places_left, backups_until)"
        " values (%s, %s, %s, %s, -1, %s) returning erasure_id",
        (person.ids[0], by, reason, Json(dict(done.counts)), done.backups_until),
    )
    [(erasure_id,)] = cursor.fetchall()
    execute_values(
        cursor,
        "insert into ops.erased_keys (source, kind, salt, key_hash, erasure_id) values %s on conflict do nothing",
        [(source, kind, salt, key_hash(salt, kind, source, value), erasure_id) for kind, source, value in person.keys],
    )
    return int(erasure_id)


# --- the proof ----------------------------------------------------------------------------------------------


def _values_of_others(settings: Settings, persons: list[Person]) -> set[str]:
    """What customers who stay are called and reached by; found again, it tells nothing of the erased."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select full_name, email, phone, loyalty_card from core_history.customers"
            " where not customer_id::text = any (%s)",
            ([each for person in persons for each in person.ids],),
        )
        return {value for row in cursor.fetchall() for value in row if value}


def places_of(settings: Settings, values: set[str]) -> list[str]:
    """Every table of the warehouse and of n8n, and every file of the home, that holds one of some values."""
    needles = [value.encode() for value in sorted(values)]
    found = []
    for database in (settings.database_name, "n8n"):
        found += [f"{database}: {name}" for name, text in _tables(settings, database) if _holds(text, needles)]
    return found + [f"file: {name}" for name, text in _files(settings) if _holds(text, needles)]


def _holds(text: bytes, needles: list[bytes]) -> bool:
    return any(needle in text for needle in needles)


def _tables(settings: Settings, database: str) -> Iterator[tuple[str, bytes]]:
    try:
        with connect(settings, "postgres", database) as connection, connection.cursor() as cursor:
            cursor.execute(
                "select schemaname, tablename from pg_tables"
                " where schemaname not in ('pg_catalog', 'information_schema')"
            )
            for schema, table in cursor.fetchall():
                rows = io.BytesIO()
                name = sql.Identifier(schema, table)
                is_document = table == "documents" and schema.startswith("raw_")
                what = sql.SQL("(select convert_from(content, 'latin1') from {} where content is not null)").format(
                    name
                )
                cursor.copy_expert(sql.SQL("copy {} to stdout").format(what if is_document else name), rows)
                text = rows.getvalue()
                yield f"{schema}.{table}", text.decode().encode("latin-1", "replace") if is_document else text
    except DatabaseError:
        if database == settings.database_name:
            raise  # there may be no n8n; without the warehouse nothing is proven


def _files(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Files of the home but for the database's own and the backups, which age out; typed ones as their texts."""
    aside = {settings.home / "postgres", settings.backup_sets, settings.home / "n8n" / ".cache"}
    for file in sorted(settings.home.rglob("*")):
        if not file.is_file() or file.is_symlink() or aside & {*file.parents}:
            continue
        if file.suffix == ".parquet":
            yield str(file), str(parquet.read_table(file).to_pydict()).encode()
        else:
            yield str(file), file.read_bytes()


def counts_in_words(counts: Mapping[str, Any]) -> list[str]:
    """What was changed, a line each."""
    return [f"{name}: {count}" for name, count in counts.items() if count]
