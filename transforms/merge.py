"""
A select says what rows should now be; this makes a table say so, in set-based statements, and keeps what was.

Comes in: the name of a table and of its select (transforms/<schema>/<table>.sql). Goes out: how many rows changed.
Core tables have a history: this module alone opens and closes versions, for every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

FOLDER = Path(__file__).parent
# Where a row came from: it is kept up to date, but a row that differs in nothing else is the same version.
LINEAGE = ("raw_id", "load_id", "document_id")
HISTORY = ("valid_from", "known_from", "change_cause", "rule_version")
BULK_ROWS = 10_000  # from here on foreign keys are looked up together


@dataclass(frozen=True)
class Table:
    """A table a select fills: its columns' roles. A select may also give valid_from and change_cause."""

    schema: str
    name: str
    keys: tuple[str, ...]
    replaced_by: tuple[str, ...] = ()  # rows that share these columns are replaced as a set
    replaced_within: str | None = None  # a table that names the sets to replace, also the ones now empty
    is_full: bool = False  # the select gives every row there should be
    bookkeeping: tuple[str, ...] = ()  # columns that change without the row being another one

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    @property
    def versions(self) -> sql.Identifier:
        """The table of its closed versions."""
        return sql.Identifier("core_history", f"{self.name}_versions")

    @property
    def has_history(self) -> bool:
        return self.schema == "core"


@cache
def select_text(schema: str, name: str) -> str:
    """The text of transforms/<schema>/<name>.sql, read once."""
    return (FOLDER / schema / f"{name}.sql").read_text(encoding="utf-8")


def create_result(cursor: PgCursor, name: str, schema: str, parameters: Mapping[str, Any]) -> None:
    """Run a select into a temporary table of its name, which lives until the transaction ends."""
    _create_temporary(cursor, name, sql.SQL(select_text(schema, name)), parameters)


def merge(
    connection: PgConnection, table: Table, parameters: Mapping[str, Any], select: sql.Composable | None = None
) -> int:
    """
    Insert new rows, update changed ones, and remove what left a replaced set. A second call changes nothing.

    parameters: the select's, and for core tables known_at (when this run's changes became known) and rule_version.
    select: another select than the file's. Gives the number of rows inserted, updated or deleted.
    """
    with connection.cursor() as cursor:
        result = f"next_{table.name}"
        text = select or sql.SQL(select_text(table.schema, table.name))
        given = _create_temporary(cursor, result, text, parameters, joined_by=(*table.keys, *table.replaced_by))
        columns = _columns(cursor, result)
        if table.has_history:
            _give_history(cursor, result, columns, parameters)
            columns = [*(name for name in columns if name not in HISTORY), *HISTORY]
            _name_returns(cursor, table, result)
        types = _types(cursor, table)
        is_known = _is_any_known(cursor, table, result)
        if is_known and table.has_history:
            _close_changed(cursor, table, result, columns, types, parameters)
        changed = 0
        if table.replaced_by or table.is_full:
            changed += _delete_absent(cursor, table, result, parameters)
        if is_known:
            changed += _update(cursor, table, result, columns, types, parameters)
        if given < BULK_ROWS:
            changed += _insert(cursor, table, result, columns, beside_known=is_known)
        else:
            changed += _insert_in_bulk(cursor, table, result, columns)
        cursor.execute(sql.SQL("drop table {}").format(sql.Identifier(result)))
        _refresh_statistics(cursor, table, changed)
    return changed


def remove(connection: PgConnection, table: Table, named_by: str, parameters: Mapping[str, Any]) -> int:
    """Delete the rows whose first key column stands in a temporary table; gives their number."""
    key = sql.Identifier(table.keys[0])
    member = sql.SQL("kept.{0} in (select {0} from {1})").format(key, sql.Identifier(named_by))
    with connection.cursor() as cursor:
        return _delete(cursor, table, member, parameters.get("cause") or "correction", parameters)


def remove_absent(connection: PgConnection, table: Table, given: str, parameters: Mapping[str, Any]) -> int:
    """Delete the rows of a table whose key a temporary table of all its rows does not have; gives their number."""
    with connection.cursor() as cursor:
        return _delete_absent(cursor, replace(table, replaced_by=(), is_full=True), given, parameters)


def set_column(
    connection: PgConnection, table: Table, column: str, named_by: str, parameters: Mapping[str, Any]
) -> int:
    """Give one column the values of a temporary table of key and column; all else of the rows stays."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select * from {} limit 0").format(table.identifier))
        aside = {column, *HISTORY} - {"valid_from"}
        kept = [column.name for column in cursor.description or () if column.name not in aside]
    select = sql.SQL("select {kept}, given.{column} from {table} as kept inner join {given} as given on {same}").format(
        kept=_names(kept, "kept"),
        column=sql.Identifier(column),
        table=table.identifier,
        given=sql.Identifier(named_by),
        same=_same_key(table),
    )
    return merge(connection, replace(table, replaced_by=()), parameters, select)


def _create_temporary(
    cursor: PgCursor,
    name: str,
    select: sql.Composable,
    parameters: Mapping[str, Any],
    joined_by: Sequence[str] = (),
) -> int:
    """
    Gives the number of rows.

    joined_by: the columns the planner must know of; the texts of a wide result take longest to look at.
    """
    head = sql.SQL("drop table if exists pg_temp.{0}; create temporary table {0} on commit drop as ")
    cursor.execute(head.format(sql.Identifier(name)) + select, parameters)
    rows = int(cursor.rowcount)
    columns = sql.SQL("({})").format(_names(list(dict.fromkeys(joined_by)))) if joined_by else sql.SQL("")
    cursor.execute(sql.SQL("analyze {} {}").format(sql.Identifier(name), columns))
    return rows


def _columns(cursor: PgCursor, table: str) -> list[str]:
    cursor.execute(
        """
        select attname from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
        """,
        (table,),
    )
    return [name for (name,) in cursor.fetchall()]


def _types(cursor: PgCursor, table: Table) -> dict[str, sql.SQL]:
    """The table's columns with their types: a select's values are compared as the table will hold them."""
    cursor.execute(
        """
        select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped
        """,
        (f"{table.schema}.{table.name}",),
    )
    return {name: sql.SQL(kind) for name, kind in cursor.fetchall()}


def _is_any_known(cursor: PgCursor, table: Table, result: str) -> bool:
    """Whether the table has a row of any of the result's keys. A first load has none, and skips all comparing."""
    cursor.execute(
        sql.SQL("select exists (select from {} as given inner join {} as kept on {})").format(
            sql.Identifier(result), table.identifier, _same_key(table)
        )
    )
    [(is_there,)] = cursor.fetchall()
    return bool(is_there)


# --- history -----------------------------------------------------------------------------------------------


def _give_history(cursor: PgCursor, result: str, columns: Sequence[str], parameters: Mapping[str, Any]) -> None:
    """The result's rows with their history columns: what the select did not say is new, valid since it is known."""
    defaults = {
        "valid_from": sql.SQL("timestamptz default {}").format(sql.Placeholder("known_at")),
        "change_cause": sql.SQL("text default 'new'"),
        "known_from": sql.SQL("timestamptz default {}").format(sql.Placeholder("known_at")),
        "rule_version": sql.SQL("text default {}").format(sql.Placeholder("rule_version")),
    }
    missing = [(name, kind) for name, kind in defaults.items() if name not in columns]
    cursor.execute(
        sql.SQL("alter table {} {}").format(
            sql.Identifier(result),
            sql.SQL(", ").join(sql.SQL("add {} {}").format(sql.Identifier(name), kind) for name, kind in missing),
        ),
        parameters,
    )
    if cause := parameters.get("cause"):
        cursor.execute(sql.SQL("update {} set change_cause = %s").format(sql.Identifier(result)), (cause,))
    if "valid_from" in columns:
        cursor.execute(
            sql.SQL("update {} set valid_from = %(known_at)s where valid_from is null").format(sql.Identifier(result)),
            parameters,
        )


def _name_returns(cursor: PgCursor, table: Table, result: str) -> None:
    """A row that was deleted once and is there again is not new."""
    cursor.execute(sql.SQL("select exists (select from {} where closed_cause = 'delete')").format(table.versions))
    [(any_deleted,)] = cursor.fetchall()
    if any_deleted:
        cursor.execute(
            sql.SQL(
                """
                update {result} as given set change_cause = 'return'
                where exists (select from {versions} as kept where closed_cause = 'delete' and {same})
                and not exists (select from {table} as kept where {same})
                """
            ).format(
                result=sql.Identifier(result), versions=table.versions, table=table.identifier, same=_same_key(table)
            )
        )


def _close_changed(
    cursor: PgCursor,
    table: Table,
    result: str,
    columns: Sequence[str],
    types: Mapping[str, sql.SQL],
    parameters: Mapping[str, Any],
) -> None:
    """Keep the version a changed row had until now. One made by this same run was never seen and is not kept."""
    cursor.execute(
        sql.SQL(
            """
            insert into {versions} ({columns}, valid_to, known_to, closed_cause)
            select {kept},
                case when given.valid_from > kept.valid_from then given.valid_from end, %(known_at)s, {cause}
            from {table} as kept
            inner join {result} as given on {same}
            where kept.known_from < %(known_at)s and {differs}
            """
        ).format(
            versions=table.versions,
            columns=_names(columns),
            kept=_names(columns, "kept"),
            cause=_cause_of_change(columns, parameters),
            table=table.identifier,
            result=sql.Identifier(result),
            same=_same_key(table),
            differs=_differs(table, columns, types),
        ),
        parameters,
    )


def _delete(cursor: PgCursor, table: Table, member: sql.Composable, cause: str, parameters: Mapping[str, Any]) -> int:
    """Delete rows, and keep the versions they had; one made by this same run was never seen and is not kept."""
    if not table.has_history:
        cursor.execute(sql.SQL("delete from {} as kept where {}").format(table.identifier, member))
        return int(cursor.rowcount)
    cursor.execute(sql.SQL("select * from {} limit 0").format(table.identifier))
    columns = [column.name for column in cursor.description or ()]
    cursor.execute(
        sql.SQL(
            """
            with gone as (
                delete from {table} as kept where {member} returning {kept}
            ), closed as (
                insert into {versions} ({columns}, valid_to, known_to, closed_cause)
                select {columns}, null, %(known_at)s, {cause} from gone where known_from < %(known_at)s
            )
            select count(*) from gone
            """
        ).format(
            table=table.identifier,
            member=member,
            kept=_names(columns, "kept"),
            versions=table.versions,
            columns=_names(columns),
            cause=sql.Literal(cause),
        ),
        parameters,
    )
    [(deleted,)] = cursor.fetchall()
    return int(deleted)


def _cause_of_change(columns: Sequence[str], parameters: Mapping[str, Any]) -> sql.Composable:
    """Why a row that was known says something else now: the run's own cause, another rule, or a correction."""
    lineage = sql.SQL("kept.raw_id is not distinct from given.raw_id")
    # A row that several sources tell of (a customer) bears the rules of the one that told last; another source's
    # rules differ always, which is no change of rules.
    by_rule = sql.SQL(
        "{} and kept.rule_version <> given.rule_version and kept.rule_version in "
        "(select rule_version from ops.rule_versions where source = {})"
    ).format(lineage if "raw_id" in columns else sql.SQL("true"), sql.Literal(parameters.get("source")))
    return sql.SQL(
        "case when given.change_cause in ('merge', 'rule change') then given.change_cause "
        "when {by_rule} then 'rule change' else 'correction' end"
    ).format(by_rule=by_rule)


# --- rows --------------------------------------------------------------------------------------------------


def _insert(cursor: PgCursor, table: Table, result: str, columns: Sequence[str], *, beside_known: bool) -> int:
    """
    The rows whose key the table does not have.

    Not `on conflict`: one run at a time holds the lock, so no other can insert meanwhile, and a plain insert neither
    writes each row twice to the log nor locks the known ones.
    """
    absent = sql.SQL("where not exists (select from {} as kept where {})").format(table.identifier, _same_key(table))
    cursor.execute(
        sql.SQL("insert into {table} ({columns}) select {columns} from {result} as given {absent}").format(
            table=table.identifier,
            result=sql.Identifier(result),
            columns=_names(columns),
            absent=absent if beside_known else sql.SQL(""),
        )
    )
    return int(cursor.rowcount)


def _insert_in_bulk(cursor: PgCursor, table: Table, result: str, columns: Sequence[str]) -> int:
    """As _insert, with the foreign keys of all rows looked up together, which the owner does."""
    cursor.execute(sql.SQL("grant select on {} to owner").format(sql.Identifier("pg_temp", result)))
    cursor.execute(
        "select core.insert_in_bulk(%s, %s, %s, %s)",
        (f"pg_temp.{result}", f"{table.schema}.{table.name}", list(columns), list(table.keys)),
    )
    [(inserted,)] = cursor.fetchall()
    return int(inserted)


def _update(
    cursor: PgCursor,
    table: Table,
    result: str,
    columns: Sequence[str],
    types: Mapping[str, sql.SQL],
    parameters: Mapping[str, Any],
) -> int:
    """Changed rows; lineage and bookkeeping follow also where nothing else changed, as the same version."""
    updated = [name for name in columns if name not in table.keys]
    history = [name for name in updated if name in HISTORY and table.has_history]
    plain = [name for name in updated if name not in history]
    differs = _differs(table, columns, types)
    assignments = [sql.SQL("{0} = given.{0}").format(sql.Identifier(name)) for name in plain]
    for name in history:
        given: sql.Composable = sql.SQL("given.{}").format(sql.Identifier(name))
        if name == "change_cause":
            # Changed twice by one run: to everybody else it is one change, and its first cause is the reason.
            given = sql.SQL("case when kept.known_from = given.known_from then kept.change_cause else {} end").format(
                _cause_of_change(columns, parameters)
            )
        assignments.append(
            sql.SQL("{0} = case when {differs} then {given} else kept.{0} end").format(
                sql.Identifier(name), differs=differs, given=given
            )
        )
    cursor.execute(
        sql.SQL(
            "update {table} as kept set {assignments} from {result} as given "
            "where {same} and ({kept}) is distinct from ({given})"
        ).format(
            table=table.identifier,
            assignments=sql.SQL(", ").join(assignments),
            result=sql.Identifier(result),
            same=_same_key(table),
            kept=_names(plain, "kept"),
            given=_as_held(plain, types),
        )
    )
    return int(cursor.rowcount)


def _delete_absent(cursor: PgCursor, table: Table, result: str, parameters: Mapping[str, Any]) -> int:
    """Rows of a set that is replaced and that the select no longer gives."""
    member: sql.Composable
    if table.replaced_by:
        within = table.replaced_within or result
        member = sql.SQL("({}) in (select {} from {})").format(
            _names(table.replaced_by, "kept"), _names(table.replaced_by), sql.Identifier(within)
        )
    else:
        member = sql.SQL("true")
    absent = sql.SQL("not exists (select from {} as given where {})").format(sql.Identifier(result), _same_key(table))
    # What leaves a set that came again was corrected away; what leaves the full set has been deleted.
    cause = parameters.get("cause") or ("delete" if table.is_full else "correction")
    return _delete(cursor, table, sql.SQL("{} and {}").format(member, absent), cause, parameters)


def _differs(table: Table, columns: Sequence[str], types: Mapping[str, sql.SQL]) -> sql.Composable:
    """Whether a given row says something else than the one kept: lineage, bookkeeping and history aside."""
    aside = {*table.keys, *LINEAGE, *HISTORY, *table.bookkeeping}
    compared = [name for name in columns if name not in aside] or list(table.keys)
    return sql.SQL("({}) is distinct from ({})").format(_names(compared, "kept"), _as_held(compared, types))


def _as_held(columns: Sequence[str], types: Mapping[str, sql.SQL]) -> sql.Composed:
    """Given values as the table's columns hold them, so that rounding to a column's scale is no change."""
    return sql.SQL(", ").join(sql.SQL("given.{}::{}").format(sql.Identifier(n), types[n]) for n in columns)


def _same_key(table: Table) -> sql.Composable:
    return sql.SQL(" and ").join(sql.SQL("given.{0} = kept.{0}").format(sql.Identifier(name)) for name in table.keys)


def _refresh_statistics(cursor: PgCursor, table: Table, changed: int) -> None:
    """Tell the planner when a good part of the table is new; the selects that follow read it."""
    cursor.execute(
        """
        select ops.refresh_statistics(oid) from pg_class
        where oid = %s::regclass and %s > greatest(500, reltuples / 10)
        """,
        (f"{table.schema}.{table.name}", changed),
    )


def _names(columns: Sequence[str], alias: str | None = None) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in columns)
