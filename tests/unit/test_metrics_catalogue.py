"""The metric catalogue: each definition says how it may be used, and compiles for everything it offers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panpan.errors import UsageError
from transforms.metrics import CURRENCY, Metric, compile_metric, load_metrics

MIGRATIONS = Path(__file__).resolve().parents[2] / "db" / "migrations"
METRICS = load_metrics()
each_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
# Told from the expression: a count of different ones, a ratio, or a smallest one is worked out anew for each asking.
NOT_ADDITIVE = {
    "average_ticket",
    "items_per_ticket",
    "customers",
    "returning_customers",
    "days_of_cover",
    "data_freshness",
}


def mart_columns(mart: str) -> set[str]:
    """The columns the migrations give a mart."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(MIGRATIONS.glob("*.sql")))
    created = re.search(rf"create table marts\.{mart} \((.*?)\n\);", text, re.DOTALL)
    assert created, mart
    columns = set(re.findall(r"^    (\w+) ", created[1], re.MULTILINE)) - {"primary", "constraint"}
    for altered in re.findall(rf"alter table marts\.{mart} (.*?);", text, re.DOTALL):
        columns |= set(re.findall(r"add column (\w+)", altered))
    return columns


@each_metric
def test_a_metric_reads_columns_its_mart_has(metric: Metric) -> None:
    words = " ".join([metric.expression, *metric.dimensions.values(), metric.day_column or ""])
    names = set(re.findall(r"\b[a-z]\w*_\w+\b", re.sub(r"'[^']*'|date_trunc", "", words)))

    assert names <= mart_columns(metric.mart)
    if metric.unit == "currency":
        assert CURRENCY in mart_columns(metric.mart)


@each_metric
def test_a_metric_compiles_for_every_dimension_it_offers(metric: Metric) -> None:
    for dimension in metric.dimensions:
        statement = compile_metric(metric, [dimension], [dimension])
        assert f"from marts.{metric.mart}" in statement
        assert statement.count("group by") == 1
    with pytest.raises(UsageError, match="no dimension"):
        compile_metric(metric, ["moon_phase"], [])


@each_metric
def test_a_metric_that_does_not_add_up_is_no_plain_sum_and_says_so(metric: Metric) -> None:
    assert metric.question.endswith("?")
    assert len(metric.definition) > 30
    if metric.name in NOT_ADDITIVE:
        assert not re.fullmatch(r"sum\(\w+\)", metric.expression)
    if "distinct customer_id" in metric.expression and "first_purchase_on" not in metric.expression:
        assert "never sum or average" in metric.definition


@each_metric
def test_amounts_of_several_currencies_are_never_one_row(metric: Metric) -> None:
    names_money = re.search(r"_amount|_value|cost", metric.expression)

    assert bool(names_money) == (metric.unit == "currency")


@each_metric
def test_a_metric_asked_by_day_has_days_in_its_mart(metric: Metric) -> None:
    """A mart of whole months can't answer for a week: such a metric waits until a period can be refused."""
    assert metric.day_column in (None, "business_date")
