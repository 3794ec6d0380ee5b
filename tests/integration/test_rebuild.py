"""A rebuild from raw gives the same bytes; under changed rules it tells the difference, and history says why."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.connection import connect
from panpan.settings import CHECKOUT, Settings
from panpan.simulate import pos
from panpan.simulate.world import World
from transforms.published import evolve
from transforms.rebuild import rebuild
from transforms.run import run

SHEET = (
    "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
    "T1,Tea,1,2.0,2.0,Cash,In-store,2026-03-01\n"
    "T2,Cake,2,3.0,6.0,Cash,In-store,2026-03-01\n"
)


@pytest.fixture
def month_of_exports(warehouse: Settings, deliver: Any) -> Settings:
    """Three weeks of the simulated tills, one file a day, overlapping windows, late files and refunds among them."""
    world = World()
    for day in (date(2025, 10, 1) + timedelta(days=n) for n in range(21)):
        deliver("pos", pos.export_text(world, day), settings=warehouse)
        if day.day % 5 == 0:
            run(warehouse)
    run(warehouse)
    return warehouse


def test_rebuild_from_raw_gives_the_same_bytes(month_of_exports: Settings) -> None:
    found = rebuild(month_of_exports, compare_only=True)

    assert [table.table for table in found.comparisons if not table.is_equal] == []
    assert next(table.rows for table in found.comparisons if table.table == "core.sale_lines") > 4000
    assert found.changed == 0


def test_rebuild_leaves_no_scratch_database_and_no_files(month_of_exports: Settings) -> None:
    before = sorted(path.name for path in month_of_exports.home.iterdir())

    rebuild(month_of_exports, compare_only=True)

    with connect(month_of_exports, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from pg_database where datname like %s", (f"{month_of_exports.database_name}_%",)
        )
        assert cursor.fetchone() == (0,)
    assert sorted(set(before) | {"archive", "sources"}) == sorted(path.name for path in month_of_exports.home.iterdir())


@pytest.fixture
def changed_rule(warehouse: Settings, deliver: Any) -> Settings:
    """A sheet loaded by the shipped contract, and a contract of the owner's in which amounts come in another column."""
    deliver("dirty_cafe", SHEET, settings=warehouse)
    run(warehouse)
    contract = (CHECKOUT / "transforms" / "sources" / "dirty_cafe.toml").read_text(encoding="utf-8")
    warehouse.own_contracts.mkdir(exist_ok=True)
    own = Path(warehouse.own_contracts) / "dirty_cafe.toml"
    own.write_text(contract.replace('from = "Total Spent", type = "money"', 'from = "Price Per Unit", type = "money"'))
    return warehouse


def test_comparison_under_changed_rules_names_the_tables_and_changes_nothing(changed_rule: Settings, ask: Any) -> None:
    found = rebuild(changed_rule, compare_only=True)

    different = {table.table for table in found.comparisons if not table.is_equal}
    assert {"core.sales", "core.sale_lines", "marts.daily_store_sales"} <= different
    assert ask("select sum(net_amount) from core.sales") == [(Decimal("8.00"),)]


def test_rebuild_under_changed_rules_is_a_version_with_that_cause(changed_rule: Settings, ask: Any) -> None:
    found = rebuild(changed_rule, compare_only=False)

    assert found.changed > 0
    assert ask("select sum(net_amount) from core.sales") == [(Decimal("5.00"),)]
    assert ask("select distinct closed_cause from core_history.sales_versions") == [("rule change",)]
    steps = evolve(changed_rule, "revenue", date(2026, 3, 1), {}, None)
    assert [(step.cause, step.value) for step in steps.steps] == [
        ("new", Decimal("8.00")),
        ("rule change", Decimal("5.00")),
    ]
    assert steps.unexplained == 0
    assert rebuild(changed_rule, compare_only=True).is_equal


def test_second_rebuild_changes_nothing(changed_rule: Settings) -> None:
    rebuild(changed_rule, compare_only=False)

    assert rebuild(changed_rule, compare_only=False).changed == 0
