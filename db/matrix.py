"""
Who can do what, tried for real: a connection as each role, each object and act, compared with db/access.yaml.

Comes in: a running server. Goes out: one cell per role, object and act, and those that are not as expected. Every
try is rolled back, so nothing of it stays; nothing waits for a lock longer than LOCK_TIMEOUT.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import psycopg2
from psycopg2 import errors, sql
from psycopg2.extensions import connection as PgConnection  # the driver's own names are too plain
from psycopg2.extensions import cursor as PgCursor

from db.access import Access, Right, load_access
from db.connection import Role, connect
from db.pii import Catalogue, Relation, load_catalogue, read_relations
from panpan.errors import DatabaseError
from panpan.settings import Settings

ROLES: tuple[Role, ...] = ("owner", "loader", "transformer", "bi", "backup", "auditor", "web", "n8n")
LOCK_TIMEOUT = "2s"
WRITES: tuple[Literal["insert", "update", "delete"], ...] = ("insert", "update", "delete")

# What PostgreSQL checks only after it found the right to be there: reaching one of these means the act was allowed.
AFTER_THE_RIGHT = (
    errors.LockNotAvailable,
    errors.InvalidCatalogName,  # create database: its template is looked up last
    errors.UndefinedObject,  # alter system: the parameter is looked up last
    errors.FeatureNotSupported,  # truncate: who refers to the table is looked up last
)
REFUSALS = (
    errors.InsufficientPrivilege,
    errors.RaiseException,  # a trigger of ours that keeps a table append-only
)


@dataclass(frozen=True)
class Cell:
    """One try: who, with what, doing what; whether it was expected to be allowed, and whether it was."""

    role: str
    object: str
    act: str
    expected: bool
    allowed: bool | None  # None: neither allowed nor refused, it failed for another reason
    said: str = ""

    @property
    def is_expected(self) -> bool:
        return self.expected == self.allowed

    def sentence(self) -> str:
        """What is wrong with it, in words."""
        verb = {True: "may", False: "may not", None: "could not try to"}[self.allowed]
        return f"{self.role} {verb} {self.act} {self.object}".strip() + (f" ({self.said})" if self.said else "")


@dataclass(frozen=True)
class Function:
    """A function of ours: full name and the types of what it takes."""

    schema: str
    name: str
    types: tuple[str, ...]
    is_variadic: bool


@dataclass(frozen=True)
class Facts:
    """What there is to try, read once as superuser."""

    relations: list[Relation]
    functions: list[Function]
    sequences: list[tuple[str, str]]
    databases: list[str]
    roles: list[Role]
    superuser_pid: int  # of an idle session whose last statement reads pg_roles


def try_roles(settings: Settings) -> list[Cell]:
    """
    Try everything as every role.

    Errors: DatabaseError when the server can't be reached.
    """
    access, catalogue = load_access(), load_catalogue()
    cells: list[Cell] = []
    with connect(settings, "postgres") as watched, watched.cursor() as cursor:
        facts = _read_facts(cursor)  # stays open: the session others must not see into
        for role in facts.roles:
            cells += _cells_of(settings, role, facts, access, catalogue)
    return cells


def unexpected(cells: Iterable[Cell]) -> list[Cell]:
    """The cells that are not as db/access.yaml says: rights too many and rights that are missing."""
    return [cell for cell in cells if not cell.is_expected]


def _read_facts(cursor: PgCursor) -> Facts:
    relations = read_relations(cursor)
    schemas = sorted({relation.schema for relation in relations})
    cursor.execute(
        "select n.nspname, p.proname, array(select format_type(t, null) from unnest(p.proargtypes) as t),"
        " p.provariadic <> 0"
        " from pg_proc as p inner join pg_namespace as n on n.oid = p.pronamespace"
        " where n.nspname = any (%s) and p.prorettype <> 'trigger'::regtype and p.prokind = 'f' order by 1, 2, 3",
        (schemas,),
    )
    functions = [Function(schema, name, tuple(types), many) for schema, name, types, many in cursor.fetchall()]
    cursor.execute(
        "select schemaname, sequencename from pg_sequences where schemaname = any (%s) order by 1, 2", (schemas,)
    )
    sequences = list(cursor.fetchall())
    cursor.execute("select datname from pg_database where datname in ('n8n', 'metabase', 'postgres', 'template1')")
    databases = sorted(name for (name,) in cursor.fetchall())
    cursor.execute("select rolname from pg_roles")
    present = {name for (name,) in cursor.fetchall()}
    roles = [role for role in ROLES if role in present]
    return Facts(relations, functions, sequences, databases, roles, cursor.connection.info.backend_pid)


def _cells_of(settings: Settings, role: Role, facts: Facts, access: Access, catalogue: Catalogue) -> Iterator[Cell]:
    is_let_in = role in access.acts[ENTRY]
    try:
        with connect(settings, role) as connection:
            yield Cell(role, "", ENTRY, expected=is_let_in, allowed=True)
            try:
                attempt = Attempt(connection)
                for relation in facts.relations:
                    yield from _relation_cells(attempt, role, relation, access, catalogue)
                yield from _function_cells(attempt, role, facts.functions, access)
                yield from _sequence_cells(attempt, role, facts.sequences, access)
                yield from _act_cells(attempt, role, facts, access)
            finally:
                connection.rollback()
        yield from _outside_cells(settings, role, access)
    except DatabaseError as error:
        yield Cell(role, "", ENTRY, expected=is_let_in, allowed=False, said=_first_line(error))
    yield from _database_cells(settings, role, facts, access)


class Attempt:
    """Tries statements of one connection, each undone at once."""

    def __init__(self, connection: PgConnection) -> None:
        self._cursor = connection.cursor()
        self._is_open = False

    def __call__(self, statement: sql.Composable | str, *, needs_rows: bool = False) -> tuple[bool | None, str]:
        """Whether a statement is allowed (and, if asked, gives any row), and what the server said when not."""
        self._begin()
        try:
            self._cursor.execute(statement)
            return not needs_rows or bool(self._cursor.fetchall()), ""
        except AFTER_THE_RIGHT:
            return True, ""
        except REFUSALS as error:
            return False, _first_line(error)
        except psycopg2.Error as error:
            return None, _first_line(error)
        finally:
            self._cursor.execute("rollback to savepoint before")

    def _begin(self) -> None:
        """Read-only is a setting anybody may turn off: rights must hold without it."""
        if not self._is_open:
            self._cursor.execute("set transaction read write")
            self._cursor.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
            self._cursor.execute("set local panpan.as_of = '2000-01-01Z'")  # views of core_asof can't be read without
            self._is_open = True
        self._cursor.execute("savepoint before")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


# --- tables and views --------------------------------------------------------------------------------------


def _relation_cells(
    attempt: Attempt, role: Role, relation: Relation, access: Access, catalogue: Catalogue
) -> Iterator[Cell]:
    right = access.right(role, relation)
    if role == "owner" and right == Right():
        right = Right(read="all", write=WRITES)
    name = f"{relation.schema}.{relation.name}"
    readable = set(relation.columns if right.read == "all" else catalogue.readable(relation, right.read))
    for column, allowed, said in _reading(attempt, relation):
        yield Cell(role, f"{name}.{column}", "select", expected=column in readable, allowed=allowed, said=said)
    if relation.is_view:
        return  # a write through it needs the rights on what it shows, which are tried there
    for act in WRITES:
        allowed, said = attempt(_write(act, relation))
        yield Cell(role, name, act, expected=act in right.write, allowed=allowed, said=said)
    if role != "owner":  # owner's is tried on a table of its own: a truncate locks
        allowed, said = attempt(sql.SQL("truncate {}").format(relation.identifier))
        yield Cell(role, name, "truncate", expected=False, allowed=allowed, said=said)


def _reading(attempt: Attempt, relation: Relation) -> Iterator[tuple[str, bool | None, str]]:
    """Column, whether it can be read, what was said; column by column only where all and none both fail."""
    all_allowed, said = attempt(_select(relation, relation.columns))
    if all_allowed or not attempt(_select(relation, ()))[0]:
        for column in relation.columns:
            yield column, all_allowed, said
        return
    for column in relation.columns:
        allowed, said = attempt(_select(relation, (column,)))
        yield column, allowed, said


def _select(relation: Relation, columns: Sequence[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("select {} from {} limit 0").format(names, relation.identifier)


def _write(act: str, relation: Relation) -> sql.Composed:
    """A statement that asks for the right to insert, update or delete and touches no row."""
    plain = [
        (name, kind) for name, kind, made in zip(relation.columns, relation.types, relation.generated, strict=True)
        if not made
    ]  # fmt: skip
    if act == "delete":
        return sql.SQL("delete from {} where false").format(relation.identifier)
    if act == "update":
        places = sql.SQL(", ").join(sql.SQL("{} = default").format(sql.Identifier(name)) for name, _ in plain)
        return sql.SQL("update {} set {} where false").format(relation.identifier, places)
    return sql.SQL("insert into {} ({}) overriding system value select {} where false").format(
        relation.identifier,
        sql.SQL(", ").join(sql.Identifier(name) for name, _ in plain),
        sql.SQL(", ").join(sql.SQL("null::{}").format(sql.SQL(kind)) for _, kind in plain),
    )


# --- functions, sequences, databases -----------------------------------------------------------------------


def _function_cells(attempt: Attempt, role: Role, functions: list[Function], access: Access) -> Iterator[Cell]:
    for function in functions:
        name = f"{function.schema}.{function.name}"
        arguments = [sql.Identifier(f"a{place}") for place in range(len(function.types))]
        # The values come out of a subquery, so that the call is neither left out nor worked out by the planner.
        given = [
            sql.SQL("null::{} as {}").format(sql.SQL(kind), argument)
            for kind, argument in zip(function.types, arguments, strict=True)
        ]
        allowed, said = attempt(
            sql.SQL("select {}({}{}) from (select {} offset 0) as given where false").format(
                sql.Identifier(function.schema, function.name),
                sql.SQL("variadic " if function.is_variadic else ""),
                sql.SQL(", ").join(arguments),
                sql.SQL(", ").join(given or [sql.SQL("1")]),
            )
        )
        expected = role == "owner" or role in _named(access.functions, name)
        yield Cell(role, name, "call", expected=expected, allowed=allowed, said=said)


def _sequence_cells(attempt: Attempt, role: Role, sequences: list[tuple[str, str]], access: Access) -> Iterator[Cell]:
    """Asked of the catalogue, the only cells that are: a number once taken is not given back by a rollback."""
    for schema, name in sequences:
        full = f"{schema}.{name}"
        allowed, said = attempt(
            sql.SQL(
                "select from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
                " where n.nspname = {} and c.relname = {}"
                " and has_schema_privilege(n.oid, 'usage') and has_sequence_privilege(c.oid, 'usage')"
            ).format(sql.Literal(schema), sql.Literal(name)),
            needs_rows=True,
        )
        expected = role == "owner" or role in _named(access.sequences, full)
        yield Cell(role, full, "take a number of", expected=expected, allowed=allowed, said=said)


def _database_cells(settings: Settings, role: Role, facts: Facts, access: Access) -> Iterator[Cell]:
    for name in facts.databases:
        said = ""
        try:
            with connect(settings, role, name):
                allowed = True
        except DatabaseError as error:
            allowed, said = False, _first_line(error)
        expected = role in access.databases.get(name, ())
        yield Cell(role, name, "connect to database", expected=expected, allowed=allowed, said=said)


def _named(roles_by_name: Mapping[str, tuple[str, ...]], full: str) -> tuple[str, ...]:
    return next((roles for name, roles in roles_by_name.items() if fnmatchcase(full, name)), ())


# --- everything else a role might try ----------------------------------------------------------------------

ENTRY = "connect to the warehouse"
SCRATCH = "roles_test"
# What each act of db/access.yaml is tried with. {table}: a table of ours, for owner an empty one made for the try.
ACTS: dict[str, str] = {
    "create a temporary table": "create temporary table {scratch} ()",
    **{
        f"create a table in {schema}": f"create table {schema}.{{scratch}} ()"
        for schema in ("core", "core_history", "marts", "ops", "raw_pos", "masked", "public")
    },
    "create a schema": "create schema {scratch}",
    "create a trusted extension": "create extension fuzzystrmatch schema core",
    "create an untrusted extension": "create extension dblink schema core",
    "create a function in an untrusted language": "create function pg_temp.f() returns integer"
    " language c as 'libc', 'f'",
    "alter a table": "alter table {table} add column {scratch} integer",
    "drop a table": "drop table {table}",
    "truncate a table": "truncate {table}",
    "add a trigger": "create trigger t before delete on {table} for each row execute function"
    " suppress_redundant_updates_trigger()",
    # Who holds a right but may not pass it on gets a warning, no error: what counts is whether bi can read now.
    "grant rights on a table": "grant select on {table} to bi;"
    " select where has_table_privilege('bi', '{table}', 'select')",
    "create a role": "create role {scratch}",
    "alter another role": "alter role {other} set work_mem = '1MB'",
    "become another role": "set role {other}",
    "become the superuser": "set session authorization postgres",
    "change the own password": "alter role {role} password null",
    "run a program by COPY": "copy (select 1) to program 'cat >/dev/null'",
    "write a file by COPY": "copy (select 1) to '/dev/null'",
    "read a file by COPY": "copy {table} from '/dev/null'",
    "read a file of the server": "select pg_read_file('PG_VERSION')",
    "list files of the server": "select pg_ls_dir('.')",
    "read a file as large object": "select lo_import('/dev/null')",
    "keep a large object": "select lo_creat(-1)",
    "read password hashes": "select rolpassword from pg_authid",
    "see statements of others": "select from pg_stat_activity where pid = {pid} and query like '%pg_roles%'",
    "cancel statements of others": "select pg_cancel_backend({pid})",
    "switch triggers off": "set session_replication_role = replica",
    "reload the server": "select pg_reload_conf()",
}
ASKING = ("grant rights on a table", "see statements of others")  # allowed when a row comes
# Not possible within a transaction, so they name what can't be: with the right they fail, and leave nothing.
OUTSIDE: dict[str, str] = {
    "create a database": f"create database {SCRATCH} template {SCRATCH}_missing",
    "change settings of the server": f"alter system set {SCRATCH}_missing = 1",
}


def _act_cells(attempt: Attempt, role: Role, facts: Facts, access: Access) -> Iterator[Cell]:
    for act, text in ACTS.items():
        for other in [name for name in facts.roles if name != role] if "{other}" in text else [""]:
            allowed, said = attempt(_statement(text, role, other, facts), needs_rows=act in ASKING)
            yield Cell(role, other, act, expected=role in access.acts[act], allowed=allowed, said=said)


def _statement(text: str, role: Role, other: str, facts: Facts) -> str:
    """The words of a try; all that is put in are names of our own."""
    table = f"core.{SCRATCH}" if role == "owner" else "core.stores"
    made = f"create table {table} (); " if role == "owner" and "{table}" in text else ""
    return made + text.format(table=table, scratch=SCRATCH, role=role, other=other, pid=facts.superuser_pid)


def _outside_cells(settings: Settings, role: Role, access: Access) -> Iterator[Cell]:
    with connect(settings, role, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("set default_transaction_read_only = off")
        for act, statement in OUTSIDE.items():
            allowed, said = True, ""
            try:
                cursor.execute(statement)
            except AFTER_THE_RIGHT:
                pass
            except REFUSALS as error:
                allowed, said = False, _first_line(error)
            yield Cell(role, "", act, expected=role in access.acts[act], allowed=allowed, said=said)
