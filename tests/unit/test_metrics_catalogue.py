"""The metric catalogue: each definition says how it may be used, and compiles for everything it offers."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import CheckFailed, UsageError
from transforms import metrics as metrics_module
from transforms.compiler import Query, compile_query
from transforms.metrics import CURRENCY, FOLDER, Metric, Reading, check_metrics, load_metrics

app = assembled()

MIGRATIONS = Path(__file__).resolve().parents[2] / "db" / "migrations"
METRICS = load_metrics()
TODAY = date(2026, 6, 15)
READINGS = [(metric, reading) for metric in METRICS.values() for reading in metric.readings]
each_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
each_reading = pytest.mark.parametrize(
    ("metric", "reading"), READINGS, ids=[f"{metric.name} {reading.mart}" for metric, reading in READINGS]
)


def mart_columns(mart: str) -> set[str]:
    """The columns the migrations give a mart."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql")))
    created = re.search(rf"create table marts\.{mart} \((.*?)\n\);", text, re.DOTALL)
    assert created, mart
    columns = set(re.findall(r"^    (\w+) ", created[1], re.MULTILINE)) - {"primary", "constraint"}
    for altered in re.findall(rf"alter table marts\.{mart} (.*?);", text, re.DOTALL):
        columns |= set(re.findall(r"add column (\w+)", altered))
    return columns


@each_reading
def test_a_metric_reads_columns_its_mart_has(metric: Metric, reading: Reading) -> None:
    words = " ".join([reading.expression, *reading.dimensions.values()])
    names = set(re.findall(r"\b[a-z]\w*_\w+\b", re.sub(r"'[^']*'|date_trunc", "", words)))

    assert names <= mart_columns(reading.mart)
    if metric.unit == "currency":
        assert CURRENCY in mart_columns(reading.mart)


@each_reading
def test_a_metric_compiles_for_every_dimension_it_offers(metric: Metric, reading: Reading) -> None:
    for dimension in reading.dimensions:
        by = tuple(dict.fromkeys([dimension, *metric.needs_one_of[:1]]))
        statement = compile_query(Query(metric.name, by, {dimension: "x"}), TODAY).sql
        assert statement.count("group by") == 1
    with pytest.raises(UsageError, match="no dimension"):
        compile_query(Query(metric.name, ("moon_phase",)), TODAY)


@each_metric
def test_a_metric_that_does_not_add_up_over_time_is_no_plain_sum_of_days(metric: Metric) -> None:
    assert metric.question.endswith("?")
    assert len(metric.definition) > 30
    for reading in metric.readings:
        is_sum_of_days = bool(re.fullmatch(r"sum\(\w+\)", reading.expression)) and bool(reading.day_column)
        assert not is_sum_of_days or reading.takes_last or metric.additive.time == "yes"
        assert "distinct customer_id" not in reading.expression or metric.additive.store == "no"


@each_reading
def test_amounts_of_several_currencies_are_never_one_row(metric: Metric, reading: Reading) -> None:
    names_money = re.search(r"_amount|_value|_cost", reading.expression)

    assert bool(names_money) == metric.is_by_currency


def test_catalogue_is_the_one_of_the_design_and_whole() -> None:
    first = (
        "revenue gross_sales refunds discounts tickets customers average_ticket items_per_ticket new_customers "
        "returning_customers retention_rate churn inventory_value inventory_cost stock_on_hand days_of_cover "
        "inventory_turnover waste low_stock_products data_freshness"
    )
    assert set(first.split()) <= set(METRICS)
    assert check_metrics(date(2026, 11, 2)) == ({}, {})


@pytest.mark.parametrize(
    ("field", "given", "fault"),
    [
        ("owner", None, "owner is missing"),
        ("examples", None, "examples is missing"),
        ("synonyms", None, "synonyms is missing"),
        ("approved_on", None, "approved_on is missing"),
        ("additive", {"time": "perhaps", "store": "yes", "product": "no"}, "additive.time"),
        ("review_due", date(2027, 6, 1), "more than 92 days"),
        ("name", "revenues", "name is revenues"),
        ("moon_phase", "full", "moon_phase"),
    ],
)
def test_check_names_what_is_missing_or_wrong(tmp_path: Path, field: str, given: Any, fault: str) -> None:
    definition = yaml.safe_load((FOLDER / "revenue.yaml").read_text(encoding="utf-8"))
    definition = {name: text for name, text in {**definition, field: given}.items() if text is not None}
    (tmp_path / "revenue.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")

    faults, _ = check_metrics(date(2026, 11, 2), tmp_path)
    assert len(faults["revenue"]) == 1
    assert fault in faults["revenue"][0]


def test_check_says_whose_review_is_overdue_without_failing() -> None:
    faults, overdue = check_metrics(date(2027, 3, 1))

    assert not faults
    assert overdue["revenue"] == METRICS["revenue"].review_due


def test_check_ends_with_3_when_a_field_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "check_metrics", lambda _: ({"revenue": ["owner is missing"]}, {}))

    told = CliRunner().invoke(app, ["metrics", "check"])
    assert isinstance(told.exception, CheckFailed)
    assert told.exception.cause == "revenue: owner is missing"
    as_json = CliRunner().invoke(app, ["metrics", "check", "--json"])
    assert (as_json.exit_code, json.loads(as_json.stdout)["faults"]) == (3, {"revenue": ["owner is missing"]})
