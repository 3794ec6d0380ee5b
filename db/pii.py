"""
What each column tells of a person, and how such a value is shown to those who may not read it.

Comes in: db/pii.yaml. Goes out: the class of any column of our schemas, masks in SQL and in Python that say the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from psycopg2 import sql
from psycopg2.extensions import cursor as PgCursor  # the driver's own name is too plain
from pydantic import BaseModel, ConfigDict, PositiveInt

from panpan.errors import SettingsError

FILE = Path(__file__).with_name("pii.yaml")
HIDDEN = "***"

PiiClass = Literal["none", "indirect", "direct", "secret"]
Mask = Literal["name", "email", "digits", "hidden"]
CLASSES: tuple[PiiClass, ...] = ("none", "indirect", "direct", "secret")
UNREADABLE: tuple[PiiClass, ...] = ("direct", "secret")

# These mean by a column what the table of core means that they are made from.
MADE_FROM_CORE = ("core_history", "core_asof", "masked")

RELATIONS = r"""
select n.nspname, c.relname, c.relkind in ('v', 'm'),
    array_agg(a.attname::text order by a.attnum), array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum),
    array_agg(a.attgenerated::text order by a.attnum)
from pg_class as c
inner join pg_namespace as n on n.oid = c.relnamespace
inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relkind in ('r', 'p', 'v', 'm') and (
    n.nspname in ('core', 'core_history', 'core_asof', 'marts', 'masked', 'ops') or n.nspname like 'raw\_%'
)
group by 1, 2, 3 order by 1, 2
"""


@dataclass(frozen=True)
class Relation:
    """A table or view of ours as the database has it; types and generated go with columns."""

    schema: str
    name: str
    is_view: bool
    columns: tuple[str, ...]
    types: tuple[str, ...]
    generated: tuple[str, ...]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


class Retention(BaseModel):
    """Days each class is kept; None: without end. Only what names a customer can be taken away and figures stay."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    none: None
    indirect: None
    direct: PositiveInt | None
    secret: None


class Catalogue(BaseModel):
    """The file: days each class is kept, classes by column name, exceptions by table, masks by column name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retention: Retention
    masks: Mapping[str, Mask]
    columns: Mapping[PiiClass, Sequence[str]]
    tables: Mapping[str, Mapping[str, PiiClass]]

    def class_of(self, schema: str, table: str, column: str) -> PiiClass | None:
        """The class of a column; None when nobody said."""
        place = f"core.{table.removesuffix('_versions')}" if schema in MADE_FROM_CORE else f"{schema}.{table}"
        return self.tables.get(place, {}).get(column) or _by_name(self).get(column)

    def mask_of(self, column: str) -> Mask:
        """How a direct column's values are shown."""
        return self.masks.get(column, "hidden")

    def readable(self, relation: Relation, classes: Sequence[PiiClass]) -> tuple[str, ...]:
        """The columns of a relation that are of some classes."""
        return tuple(c for c in relation.columns if self.class_of(relation.schema, relation.name, c) in classes)


@cache
def load_catalogue(file: Path = FILE) -> Catalogue:
    """
    The catalogue of the file.

    Errors: SettingsError when a column has two classes or the file is of another form.
    """
    try:
        catalogue = Catalogue(**yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise SettingsError(f"{file.name} is wrong", cause=str(error)) from None
    names = [name for columns in catalogue.columns.values() for name in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{file.name} is wrong", cause=f"classified twice: {', '.join(twice)}")
    return catalogue


def _by_name(catalogue: Catalogue) -> dict[str, PiiClass]:
    return {name: pii_class for pii_class, names in catalogue.columns.items() for name in names}


def read_relations(cursor: PgCursor) -> list[Relation]:
    """Every table and view of our schemas, by schema and name."""
    cursor.execute(RELATIONS)
    return [
        Relation(schema, name, is_view, tuple(columns), tuple(types), tuple(generated))
        for schema, name, is_view, columns, types, generated in cursor.fetchall()
    ]


def classified(cursor: PgCursor) -> list[dict[str, Any]]:
    """One row per column of our schemas: schema, table, column, class (None: nobody said), mask of direct ones."""
    catalogue = load_catalogue()
    rows = []
    for relation in read_relations(cursor):
        for column in relation.columns:
            found = catalogue.class_of(relation.schema, relation.name, column)
            mask_name = catalogue.mask_of(column) if found in UNREADABLE else None
            rows.append(
                {
                    "schema": relation.schema,
                    "table": relation.name,
                    "column": column,
                    "class": found,
                    "mask": mask_name,
                }
            )
    return rows


def masked_sql(column: str, mask_name: Mask) -> sql.Composed:
    """A column's value, masked, as SQL; null stays null. The same as `masked`."""
    patterns = {
        "name": "regexp_replace({0}::text, '(\\w)\\w*', '\\1.', 'g')",
        "email": "case when {0} is not null then coalesce(substring({0} from '^\\s*(.)[^@]*@'), '') || '***@***' end",
        "digits": "'***' || right({0}::text, case when length({0}::text) > 4 then 2 else 0 end)",
        "hidden": "case when {0} is not null then '***' end",
    }
    return sql.SQL(patterns[mask_name]).format(sql.Identifier(column))


def masked(value: Any, mask_name: Mask = "hidden") -> Any:
    """A value, masked: initials of a name, first letter of an address, last two signs of a number; None stays None."""
    if value is None:
        return None
    text = str(value)
    if mask_name == "name":
        return re.sub(r"(\w)\w*", r"\1.", text)
    if mask_name == "email":
        found = re.match(r"\s*(.)[^@]*@", text)
        return f"{found[1] if found else ''}***@***"
    if mask_name == "digits":
        return HIDDEN + (text[-2:] if len(text) > 4 else "")
    return HIDDEN


def masked_column(column: str | None, value: Any) -> Any:
    """A value as shown to those who may not read it, by the class of its column; hidden where that has none."""
    catalogue = load_catalogue()
    if column and _by_name(catalogue).get(column) in ("none", "indirect"):
        return value
    return masked(value, catalogue.mask_of(column or ""))
