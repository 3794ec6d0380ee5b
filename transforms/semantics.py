"""
The metric catalogue in an open semantic format: OSI, the Open Semantic Interchange (Apache Ossie 0.2.0.dev0).

Comes in: metrics. Goes out: one semantic model: a data set per mart that metrics read, its dimensions as fields, and
each reading of a metric with its exact expression. PostgreSQL's expressions are given as ANSI_SQL, the nearest dialect.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from transforms.metrics import TIME_DIMENSIONS, Metric

VERSION = "0.2.0.dev0"
VENDOR = "PANPAN"


def to_osi(metrics: Iterable[Metric]) -> dict[str, Any]:
    """The catalogue as one semantic model; a metric read from several marts is named metric__mart beside the first."""
    known = list(metrics)
    model = {
        "name": "panpan",
        "description": "The metric catalogue: each metric is defined once.",
        "datasets": [_dataset(mart, known) for mart in sorted({r.mart for m in known for r in m.readings})],
        "metrics": [each for metric in known for each in _metrics(metric)],
    }
    return {"version": VERSION, "semantic_model": [model]}


def _dataset(mart: str, metrics: list[Metric]) -> dict[str, Any]:
    dimensions: dict[str, str] = {}
    for metric in metrics:
        for reading in metric.readings:
            if reading.mart == mart:
                dimensions |= reading.dimensions
    fields = [
        {
            "name": name,
            "expression": _sql(expression),
            "dimension": {"is_time": name in TIME_DIMENSIONS},
        }
        for name, expression in dimensions.items()
    ]
    return {"name": mart, "source": f"warehouse.marts.{mart}", "fields": fields}


def _metrics(metric: Metric) -> list[dict[str, Any]]:
    return [
        {
            "name": metric.name if place == 0 else f"{metric.name}__{reading.mart}",
            "description": " ".join(metric.definition.split()),
            "expression": _sql(reading.expression),
            "ai_context": {"synonyms": metric.other_names, "examples": [metric.question]},
            "custom_extensions": [{"vendor_name": VENDOR, "data": json.dumps(_own(metric, reading.mart))}],
        }
        for place, reading in enumerate(metric.readings)
    ]


def _own(metric: Metric, mart: str) -> dict[str, Any]:
    """What the format has no word for."""
    return {
        "metric": metric.name,
        "dataset": mart,
        "unit": metric.unit,
        "version": metric.version,
        "owner": metric.owner,
        "system_of_record": metric.system_of_record,
        "adds_up": metric.additive.model_dump(),
    }


def _sql(expression: str) -> dict[str, Any]:
    return {"dialects": [{"dialect": "ANSI_SQL", "expression": expression}]}
