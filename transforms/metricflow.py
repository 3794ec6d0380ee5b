"""
The metric catalogue as MetricFlow YAML, the form dbt's semantic layer reads (dbt-semantic-interfaces).

Comes in: metrics. Goes out: documents, each one semantic model (a mart), metric or project configuration. An expression
is taken apart into its aggregates: one aggregate alone is a measure and a simple metric, several are a derived metric
over simple ones. What MetricFlow has no word for stands in `config.meta`; what it can't keep, in docs/governance.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from transforms.metrics import Metric, Reading

SCHEMA = "marts"
NOW = "as_of"  # a level as it is now has no day of its own, and MetricFlow wants one
_AGGREGATE = re.compile(r"\b(sum|count|min|max)\(")
_CONDITION = re.compile(r" filter \(where ")

Document = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """One aggregate over a mart's rows; last_of: the time dimension of which only the last value counts."""

    mart: str
    agg: str
    expression: str
    last_of: str | None


@dataclass
class _Catalogue:
    """Measures by the simple metric each one is, and what is written of metrics so far."""

    measures: dict[Measure, str] = field(default_factory=dict)
    metrics: list[Document] = field(default_factory=list)


def to_metricflow(metrics: Iterable[Metric]) -> list[Document]:
    """The catalogue as documents; a metric read from several marts is named metric_in_mart beside the first."""
    known = list(metrics)
    found = _Catalogue()
    read = [
        (_name(metric, place), metric, reading) for metric in known for place, reading in enumerate(metric.readings)
    ]
    parts = {name: _taken_apart(reading) for name, _, reading in read}
    for name, _, _ in read:  # first those that are one aggregate: others are made of them
        if parts[name].is_one:
            found.measures.setdefault(parts[name].measures[0], name)
    for name, metric, reading in read:
        found.metrics += _metrics(name, metric, reading, parts[name], found.measures)
    marts = {reading.mart: reading for _, _, reading in read}
    models = [_semantic_model(mart, known, found.measures) for mart in sorted(marts)]
    return [
        {"project_configuration": {"time_spines": []}},
        *({"semantic_model": model} for model in models),
        *({"metric": metric} for metric in found.metrics),
    ]


# --- expressions taken apart ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Parts:
    """An expression as text between aggregates: texts has one entry more than measures."""

    texts: tuple[str, ...]
    measures: tuple[Measure, ...]

    @property
    def is_one(self) -> bool:
        """Whether it is one aggregate and nothing else."""
        return self.texts == ("", "")


def _taken_apart(reading: Reading) -> _Parts:
    texts, measures, place = [], [], 0
    while found := _AGGREGATE.search(reading.expression, place):
        texts.append(reading.expression[place : found.start()])
        place = _closed(reading.expression, found.end())
        argument, condition = reading.expression[found.end() : place - 1], None
        if filtered := _CONDITION.match(reading.expression, place):
            place = _closed(reading.expression, filtered.end())
            condition = reading.expression[filtered.end() : place - 1]
        measures.append(_measure(reading, found[1], argument, condition))
    return _Parts((*texts, reading.expression[place:]), tuple(measures))


def _closed(text: str, start: int) -> int:
    """The place behind the bracket that closes the one opened before `start`."""
    depth = 1
    while depth:
        depth += {"(": 1, ")": -1}.get(text[start], 0)
        start += 1
    return start


def _measure(reading: Reading, function: str, argument: str, condition: str | None) -> Measure:
    value = argument.removeprefix("distinct ").replace("*", "1") if function == "count" else argument
    agg = "count_distinct" if argument.startswith("distinct ") else function
    expression = f"case when {condition} then {value} end" if condition else value
    return Measure(reading.mart, agg, expression, _time(reading) if reading.takes_last else None)


# --- what is written --------------------------------------------------------------------------------------


def _name(metric: Metric, place: int) -> str:
    return metric.name if place == 0 else f"{metric.name}_in_{metric.readings[place].mart}"


def _time(reading: Reading) -> str:
    """The time dimension's name; day and month are words of MetricFlow's own."""
    return {None: NOW, "month": "month_begin"}.get(reading.day_column, reading.day_column or NOW)


def _metrics(
    name: str, metric: Metric, reading: Reading, parts: _Parts, measures: dict[Measure, str]
) -> Iterator[Document]:
    """The metric, before it the simple ones that are nothing but its parts."""
    if parts.is_one and measures[parts.measures[0]] == name:
        yield _metric(name, metric, reading, "simple", {"measure": name})
        return
    used = []
    for place, measure in enumerate(parts.measures, start=1):
        if measure not in measures:
            measures[measure] = part = _part(f"{name}_part_{place}", measure, measures)
            yield {
                "name": part,
                "type": "simple",
                "type_params": {"measure": part},
                "description": f"A part of {name}.",
            }
        used.append(measures[measure])
    expression = parts.texts[0] + "".join(f"{part}{text}" for part, text in zip(used, parts.texts[1:], strict=True))
    inputs = [{"name": part} for part in dict.fromkeys(used)]
    yield _metric(name, metric, reading, "derived", {"expr": expression, "metrics": inputs})


def _part(otherwise: str, measure: Measure, measures: dict[Measure, str]) -> str:
    """The column's own name for its sum, where nothing is called so yet."""
    is_free = measure.expression.isidentifier() and measure.expression not in measures.values()
    return measure.expression if measure.agg == "sum" and is_free and not measure.last_of else otherwise


def _metric(name: str, metric: Metric, reading: Reading, kind: str, params: Document) -> Document:
    own = {
        "metric": metric.name,
        "question": metric.question,
        "unit": metric.unit,
        "version": metric.version,
        "owner": metric.owner,
        "system_of_record": metric.system_of_record,
        "adds_up": metric.additive.model_dump(),
        "split_by": list(reading.dimensions),
        "synonyms": metric.other_names,
    }
    return {
        "name": name,
        "label": name.replace("_", " "),
        "description": " ".join(metric.definition.split()),
        "type": kind,
        "type_params": params,
        "config": {"meta": own},
    }


def _semantic_model(mart: str, metrics: list[Metric], measures: dict[Measure, str]) -> Document:
    """A mart with every dimension and measure that some metric has of it."""
    readings = [reading for metric in metrics for reading in metric.readings if reading.mart == mart]
    dimensions = {name: text for reading in readings for name, text in reading.split_by.items()}
    time, grain = _time(readings[0]), readings[0].time_grain
    moment = {
        "name": time,
        "type": "time",
        "expr": readings[0].day_column or "current_date",
        "type_params": {"time_granularity": grain},
    }
    return {
        "name": mart,
        "node_relation": {"schema_name": SCHEMA, "alias": mart},
        "defaults": {"agg_time_dimension": time},
        "primary_entity": f"{mart}_row",
        "dimensions": [moment, *({"name": n, "type": "categorical", "expr": e} for n, e in dimensions.items())],
        "measures": [_written(name, measure) for measure, name in measures.items() if measure.mart == mart],
    }


def _written(name: str, measure: Measure) -> Document:
    written: Document = {"name": name, "agg": measure.agg, "expr": measure.expression}
    if measure.last_of:
        written["non_additive_dimension"] = {"name": measure.last_of, "window_choice": "max"}
    return written
