"""
Rights that follow from what the columns tell of people: readers' grants by column, and masked views for employees.

Comes in: db/access.yaml, db/pii.yaml, a migrated database. Goes out: grants of the readers, the views of schema masked.
Both are made anew after each migration, so a new table is closed until its columns are classified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from psycopg2 import sql
from psycopg2.extensions import cursor as PgCursor  # the driver's own name is too plain
from pydantic import BaseModel, ConfigDict

from db.pii import FILE as PII_FILE
from db.pii import UNREADABLE, Catalogue, PiiClass, Relation, load_catalogue, masked_sql, read_relations

FILE = Path(__file__).with_name("access.yaml")
MASKED = "masked"
COMMENT = "The tables of core as employees may see them. Made by db/access.py, version"


class Right(BaseModel):
    """What a role may do with a relation; nothing when empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read: Literal["all"] | tuple[PiiClass, ...] = ()
    write: tuple[Literal["insert", "update", "delete"], ...] = ()


class Access(BaseModel):
    """The file, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    readers: tuple[str, ...]
    relations: Mapping[str, Mapping[str, Right]]
    exceptions: Mapping[str, Mapping[str, Right]]
    functions: Mapping[str, tuple[str, ...]]
    sequences: Mapping[str, tuple[str, ...]]
    databases: Mapping[str, tuple[str, ...]]
    acts: Mapping[str, tuple[str, ...]]

    def right(self, role: str, relation: Relation) -> Right:
        """What a role other than owner may do with a relation; owner's exceptions count too."""
        full = f"{relation.schema}.{relation.name}"
        groups = (
            *(roles for name, roles in self.exceptions.items() if fnmatchcase(full, name)),
            *(roles for name, roles in self.relations.items() if fnmatchcase(relation.schema, name)),
        )
        return next((roles[role] for roles in groups if role in roles), Right())

    def readable(self, role: str, relation: Relation, catalogue: Catalogue) -> tuple[str, ...]:
        """The columns a role may read."""
        read = self.right(role, relation).read
        return relation.columns if read == "all" else catalogue.readable(relation, read)


@cache
def load_access(file: Path = FILE) -> Access:
    """The file's content."""
    return Access(**yaml.safe_load(file.read_text(encoding="utf-8")))


def drop_masked_views(cursor: PgCursor) -> None:
    """Take the masked views away before a migration, which couldn't change a column they show."""
    cursor.execute(sql.SQL("drop schema if exists {} cascade").format(sql.Identifier(MASKED)))


def apply_access(cursor: PgCursor) -> None:
    """
    Make the masked views and the readers' grants what the files say; what a reader had beyond that is taken away.

    Nothing happens while the files are as they were; a migration has dropped the views, so after one it all is made.
    """
    version = f"{COMMENT} {_version()}"
    cursor.execute("select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = %s", (MASKED,))
    if cursor.fetchall() == [(version,)]:
        return
    catalogue, access = load_catalogue(), load_access()
    drop_masked_views(cursor)
    _create_masked_views(cursor, catalogue)
    for role in access.readers:
        _grant(cursor, role, access, catalogue)
    cursor.execute(sql.SQL("comment on schema {} is {}").format(sql.Identifier(MASKED), sql.Literal(version)))


def _version() -> str:
    texts = (file.read_bytes() for file in (FILE, PII_FILE, Path(__file__)))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def _create_masked_views(cursor: PgCursor, catalogue: Catalogue) -> None:
    schema = sql.Identifier(MASKED)
    cursor.execute(sql.SQL("create schema {}").format(schema))
    cursor.execute(sql.SQL("grant usage on schema {} to bi").format(schema))
    for relation in read_relations(cursor):
        if relation.schema == "core" and catalogue.readable(relation, UNREADABLE):
            cursor.execute(_masked_view(relation, catalogue))


def _masked_view(relation: Relation, catalogue: Catalogue) -> sql.Composed:
    """The view of a table of core with its direct columns masked; a column nobody classified is left out."""
    shown = [
        sql.SQL("{} as {}").format(masked_sql(column, catalogue.mask_of(column)), sql.Identifier(column))
        if found in UNREADABLE
        else sql.Identifier(column)
        for column in relation.columns
        if (found := catalogue.class_of(relation.schema, relation.name, column))
    ]
    view = sql.Identifier(MASKED, relation.name)
    return sql.SQL("create view {} as select {} from {}; comment on view {} is {}; grant select on {} to bi").format(
        view,
        sql.SQL(", ").join(shown),
        relation.identifier,
        view,
        sql.Literal(f"The rows of core.{relation.name}, with what names a person masked. Made from db/pii.yaml."),
        view,
    )


def _grant(cursor: PgCursor, role: str, access: Access, catalogue: Catalogue) -> None:
    reader = sql.Identifier(role)
    relations = read_relations(cursor)
    statements = [
        sql.SQL("revoke all on schema {0} from {1}; revoke all on all tables in schema {0} from {1}").format(
            sql.Identifier(schema), reader
        )
        for schema in sorted({relation.schema for relation in relations})
    ]
    opened = set()
    for relation in relations:
        columns = access.readable(role, relation, catalogue)
        if not columns:
            continue
        opened.add(relation.schema)
        is_whole = columns == relation.columns
        what = sql.SQL("select") if is_whole else sql.SQL("select ({})").format(_names(columns))
        statements.append(sql.SQL("grant {} on {} to {}").format(what, relation.identifier, reader))
    statements += [
        sql.SQL("grant usage on schema {} to {}").format(sql.Identifier(schema), reader) for schema in sorted(opened)
    ]
    cursor.execute(sql.SQL("; ").join(statements))


def _names(columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
