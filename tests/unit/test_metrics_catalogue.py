"""The metric catalogue: each definition says how it may be used, and compiles for everything it offers."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from panpan.errors import UsageError
from transforms.compiler import Query, compile_query
from transforms.metrics import CURRENCY, Metric, Reading, load_metrics

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
    names_money = re.search(r"_amount|_value", reading.expression)

    assert bool(names_money) == (metric.unit == "currency")
