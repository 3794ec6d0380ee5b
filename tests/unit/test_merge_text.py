"""Which select fills which table: every declared table has its file, every file its table, columns agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from transforms import merge
from transforms.merge import FOLDER, Table, select_text
from transforms.tables import ALL_CORE, ALL_MARTS

TABLES: tuple[Table, ...] = (*ALL_CORE, *ALL_MARTS)
HELPERS = {
    ("core", "winning_receipts"),
    ("marts", "affected_cohort_months"),
    ("marts", "affected_items"),
    ("marts", "affected_kind_days"),
    ("marts", "affected_receipts"),
    ("marts", "affected_retention_months"),
    ("marts", "affected_stock_months"),
    ("marts", "moved_cohorts"),
    ("marts", "moved_customers"),
    ("core", "sale_reversals"),
    ("core", "withdrawn_voids"),
}  # results the run reads, not tables
# Filled by transforms/matching, whose selects are beside it.
MATCHED = {("core", "customer_facts"), ("core", "customer_match_candidates")}
CREATED = "".join(p.read_text(encoding="utf-8") for p in sorted((FOLDER.parent / "db/migrations").glob("*.sql")))
SELECTED = [table for table in TABLES if (table.schema, table.name) not in MATCHED]
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.schema}.{table.name}")


def columns_of(table: Table) -> list[str]:
    """Column names of the table as its migration creates it."""
    found = re.search(rf"create table {table.schema}\.{table.name} \((.*?)\n\);", CREATED, re.DOTALL)
    assert found, f"no migration creates {table.schema}.{table.name}"
    lines = [line.strip().split()[0] for line in found[1].splitlines() if re.match(r"    [a-z_]+ ", line)]
    return [name for name in lines if name not in ("primary", "unique", "constraint", "check", "foreign")]


def test_every_file_of_core_and_marts_fills_a_declared_table() -> None:
    declared = {(table.schema, table.name) for table in TABLES}
    files = {(path.parent.name, path.stem) for schema in ("core", "marts") for path in (FOLDER / schema).glob("*.sql")}

    assert files == declared - MATCHED | HELPERS


@each_table
def test_a_table_s_keys_are_columns_of_it(table: Table) -> None:
    assert {*table.keys, *table.replaced_by} <= set(columns_of(table))


@pytest.mark.parametrize("table", SELECTED, ids=lambda table: f"{table.schema}.{table.name}")
def test_a_select_gives_its_table_s_keys_and_columns(table: Table) -> None:
    words = set(re.findall(r"\w+", select_text(table.schema, table.name)))

    assert {*table.keys, *table.replaced_by} <= words
    assert len(words & set(columns_of(table))) > len(columns_of(table)) // 2


def test_a_text_is_read_once_and_a_missing_file_is_no_silent_nothing() -> None:
    assert select_text("core", "sales") is select_text("core", "sales")
    with pytest.raises(FileNotFoundError):
        select_text("core", "no_such_table")


def test_the_folder_is_the_package_s_own() -> None:
    assert Path(merge.__file__).parent == FOLDER
