"""Contracts in ODCS and metrics in OSI: valid against what is published, and nothing of the definitions lost."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from transforms.contract import SHIPPED, load_contracts
from transforms.metrics import load_metrics
from transforms.odcs import to_odcs
from transforms.semantics import to_osi

SOURCES = sorted(path.stem for path in SHIPPED.glob("*.toml"))
# What OSI's core specification (Apache Ossie 0.2.0.dev0) asks of the parts we write, in our own words.
TEXT: dict[str, Any] = {"type": "string", "minLength": 1}


def strict(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object with these keys and no other."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


DIALECT = strict({"dialect": {"const": "ANSI_SQL"}, "expression": TEXT})
EXPRESSION = strict({"dialects": {"type": "array", "minItems": 1, "items": DIALECT}})
EXTENSIONS = {"type": "array", "items": strict({"vendor_name": TEXT, "data": TEXT})}
FIELD = strict({"name": TEXT, "expression": EXPRESSION}, {"dimension": strict({}, {"is_time": {"type": "boolean"}})})
DATASET = strict({"name": TEXT, "source": TEXT}, {"fields": {"type": "array", "items": FIELD}})
METRIC = strict(
    {"name": TEXT, "expression": EXPRESSION},
    {"description": TEXT, "ai_context": {"type": "object"}, "custom_extensions": EXTENSIONS},
)
MODEL = strict(
    {"name": TEXT, "datasets": {"type": "array", "minItems": 1, "items": DATASET}},
    {"description": TEXT, "metrics": {"type": "array", "items": METRIC}},
)
OSI = strict({"version": {"const": "0.2.0.dev0"}, "semantic_model": {"type": "array", "items": MODEL}})


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The published JSON schema of ODCS, from the standard's own package."""
    text = (resources.files("open_data_contract_standard") / "schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@pytest.mark.parametrize("source", SOURCES)
def test_contract_is_valid_odcs(source: str, schema: dict[str, Any]) -> None:
    written = yaml.safe_load(yaml.safe_dump(to_odcs(load_contracts()[source]), allow_unicode=True))

    jsonschema.Draft201909Validator(schema).validate(written)
    assert written["apiVersion"] == "v3.1.0"
    assert OpenDataContractStandard.model_validate(written).id == f"panpan.{source}"


def test_published_schema_refuses_a_contract_with_a_wrong_key(schema: dict[str, Any]) -> None:
    wrong = {**to_odcs(load_contracts()["pos"]), "columns": []}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft201909Validator(schema).validate(wrong)


@pytest.mark.parametrize("source", SOURCES)
def test_every_column_of_a_contract_is_in_it(source: str) -> None:
    contract = load_contracts()[source]

    written = {part["name"]: {p["name"] for p in part["properties"]} for part in to_odcs(contract)["schema"]}

    assert written == {entity.entity: set(entity.columns) for entity in contract.entities}


def test_metrics_are_what_osi_asks_for() -> None:
    jsonschema.Draft202012Validator(OSI).validate(to_osi(load_metrics().values()))


def test_every_reading_of_every_metric_is_in_it_with_its_expression() -> None:
    [model] = to_osi(load_metrics().values())["semantic_model"]

    written = {
        (own["metric"], own["dataset"], metric["expression"]["dialects"][0]["expression"])
        for metric in model["metrics"]
        for own in [json.loads(metric["custom_extensions"][0]["data"])]
    }

    assert written == {(m.name, r.mart, r.expression) for m in load_metrics().values() for r in m.readings}
    assert len({metric["name"] for metric in model["metrics"]}) == len(model["metrics"])
