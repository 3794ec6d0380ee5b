"""Contracts in ODCS, metrics in OSI and MetricFlow: valid by what is published, nothing of the definitions lost."""

from __future__ import annotations

import importlib
import json
import re
from importlib import resources
from typing import Any

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from transforms.contract import SHIPPED, load_contracts
from transforms.metricflow import to_metricflow
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


@pytest.fixture(scope="module")
def metricflow() -> dict[str, dict[str, Any]]:
    """The catalogue's documents by kind and name."""
    found: dict[str, dict[str, Any]] = {"semantic_model": {}, "metric": {}, "project_configuration": {}}
    for document in yaml.safe_load_all(yaml.safe_dump_all(to_metricflow(load_metrics().values()), sort_keys=False)):
        [(kind, body)] = document.items()
        assert body.get("name") not in found[kind]
        found[kind][body.get("name")] = body
    return found


def test_metrics_are_what_metricflow_asks_for() -> None:
    """By the parser and the validations dbt's semantic layer itself uses."""
    # Not among the test requirements: it wants click < 8.4, distributed 8.5.1.
    reason = "pip install dbt-semantic-interfaces (0.10) into another environment to have dbt's own rules validate them"
    parsing = pytest.importorskip("dbt_semantic_interfaces.parsing.dir_to_model", reason=reason)
    objects = importlib.import_module("dbt_semantic_interfaces.parsing.objects")
    validator = importlib.import_module("dbt_semantic_interfaces.validations.semantic_manifest_validator")
    written = yaml.safe_dump_all(to_metricflow(load_metrics().values()), sort_keys=False)

    file = objects.YamlConfigFile(filepath="metrics.yaml", contents=written)
    built = parsing.parse_yaml_files_to_validation_ready_semantic_manifest([file], raise_issues_as_exceptions=False)
    found = validator.SemanticManifestValidator().validate_semantic_manifest(built.semantic_manifest)

    assert list(built.issues.all_issues) == []
    assert [issue.message for issue in found.all_issues] == []


def test_every_metric_is_a_metricflow_metric_of_its_own_expression(metricflow: dict[str, dict[str, Any]]) -> None:
    """Put together again from its measures, each reading's expression is the one in the catalogue."""
    measures = {m["name"]: m for model in metricflow["semantic_model"].values() for m in model["measures"]}

    def aggregate(name: str) -> str:
        measure = measures[name]
        found = re.fullmatch(r"case when (.*) then (.*) end", measure["expr"])
        value, condition = (found[2], f" filter (where {found[1]})") if found else (measure["expr"], "")
        value = {"count_distinct": f"distinct {value}", "count": "*"}.get(measure["agg"], value)
        return f"{measure['agg'].removesuffix('_distinct')}({value}){condition}"

    for metric in load_metrics().values():
        for place, reading in enumerate(metric.readings):
            written = metricflow["metric"][metric.name if place == 0 else f"{metric.name}_in_{reading.mart}"]
            params = written["type_params"]
            parts = {each["name"] for each in params.get("metrics", [])}
            text = params.get("expr", params.get("measure"))
            for name in sorted(parts or {params.get("measure")}, key=len, reverse=True):
                text = re.sub(rf"\b{name}\b(?!\()", lambda _, name=name: aggregate(name), text)

            assert text == reading.expression, written["name"]


def test_a_ratio_of_metricflow_is_made_of_the_metrics_themselves(metricflow: dict[str, dict[str, Any]]) -> None:
    params = metricflow["metric"]["average_ticket"]["type_params"]

    assert params == {
        "expr": "round(revenue / nullif(tickets, 0), 2)",
        "metrics": [{"name": "revenue"}, {"name": "tickets"}],
    }


def test_a_level_keeps_that_only_its_last_month_counts(metricflow: dict[str, dict[str, Any]]) -> None:
    measures = {m["name"]: m for m in metricflow["semantic_model"]["inventory_turnover"]["measures"]}

    assert measures["inventory_value_in_inventory_turnover"]["non_additive_dimension"] == {
        "name": "month_begin",
        "window_choice": "max",
    }
    assert "non_additive_dimension" not in measures["average_amount"]
