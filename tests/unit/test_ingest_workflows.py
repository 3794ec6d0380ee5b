"""The workflow files: what n8n is told to do, checked without n8n."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from panpan.local.n8n import EXCLUDED_NODES
from panpan.local.n8n_credentials import credentials
from panpan.local.workflows import FOLDER, Workflow, normalise, read_workflows
from panpan.settings import Settings

WORKFLOWS = read_workflows()
ERROR_WORKFLOW = "reportFailure0001"
LOADERS = [workflow for workflow in WORKFLOWS if workflow.workflow_id != ERROR_WORKFLOW]
PATHS = {
    "pos_files_to_raw": "pos-files",
    "pos_api_orders_to_raw": "pos-api",
    "crm_contacts_to_raw": "crm",
    "inventory_stock_to_raw": "inventory",
}
ALLOWED_NODES = {
    "errorTrigger",
    "executeWorkflow",
    "executeWorkflowTrigger",
    "extractFromFile",
    "httpRequest",
    "if",
    "manualTrigger",
    "noOp",
    "postgres",
    "readWriteFile",
    "scheduleTrigger",
    "set",
    "stopAndError",
    "wait",
    "webhook",
}

every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=[w.file.stem for w in WORKFLOWS])
every_loader = pytest.mark.parametrize("workflow", LOADERS, ids=[w.file.stem for w in LOADERS])


def nodes(workflow: Workflow, kind: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow.content["nodes"]
    return [node for node in found if kind is None or node["type"] == f"n8n-nodes-base.{kind}"]


def reached_from(workflow: Workflow, name: str) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        seen.add(here := waiting.pop())
        outputs = workflow.content["connections"].get(here, {"main": []})["main"]
        waiting += [to["node"] for output in outputs for to in output if to["node"] not in seen]
    return seen


def test_there_is_a_workflow_per_way_in() -> None:
    assert {workflow.file.stem for workflow in WORKFLOWS} == {*PATHS, "report_failure"}


@every_workflow
def test_text_is_canonical_and_named_like_its_file(workflow: Workflow) -> None:
    assert workflow.file.read_text(encoding="utf-8") == normalise(workflow.content)
    assert workflow.content["name"] == workflow.file.stem
    assert len(workflow.workflow_id) <= 21


@every_workflow
def test_node_ids_and_names_are_unique_and_connections_lead_somewhere(workflow: Workflow) -> None:
    names = [node["name"] for node in nodes(workflow)]
    assert len(set(names)) == len(names)
    assert len({node["id"] for node in nodes(workflow)}) == len(names)
    triggers = [node["name"] for node in nodes(workflow) if "rigger" in node["type"] or "webhook" in node["type"]]
    assert set.union(*(reached_from(workflow, name) for name in triggers)) == set(names)


@every_workflow
def test_no_node_runs_code_or_reaches_further_than_needed(workflow: Workflow) -> None:
    types = {node["type"] for node in nodes(workflow)}
    assert types <= {f"n8n-nodes-base.{name}" for name in ALLOWED_NODES}
    assert not types & set(EXCLUDED_NODES)


@every_workflow
def test_credentials_are_known_by_id_and_name_and_hold_no_secret(workflow: Workflow) -> None:
    known = {(c["type"], c["id"], c["name"]) for c in credentials(settings())}
    for node in nodes(workflow):
        for kind, used in node.get("credentials", {}).items():
            assert (kind, used["id"], used["name"]) in known
            assert set(used) == {"id", "name"}


@every_workflow
def test_addresses_and_paths_are_not_in_the_file(workflow: Workflow) -> None:
    text = workflow.file.read_text(encoding="utf-8")
    assert not re.search(r"https?://|\$env|\$vars|localhost|127\.0\.0\.1", text)


@every_workflow
def test_statements_take_values_as_parameters_in_an_array(workflow: Workflow) -> None:
    for node in nodes(workflow, "postgres"):
        query, values = node["parameters"]["query"], node["parameters"]["options"]["queryReplacement"]
        assert "{{" not in query
        assert re.fullmatch(r"=\{\{ \[.*\] \}\}", values)
        assert node["parameters"]["options"]["queryBatching"] == "independently"
        assert not re.search(r"\b(insert|update|delete|truncate|from (raw|core|marts))", query)


@every_loader
def test_loader_has_three_triggers_and_a_static_guarded_webhook(workflow: Workflow) -> None:
    (webhook,) = nodes(workflow, "webhook")
    assert webhook["parameters"]["path"] == PATHS[workflow.file.stem]
    assert re.fullmatch(r"[a-z-]+", webhook["parameters"]["path"])
    assert webhook["parameters"]["httpMethod"] == "POST"
    assert webhook["parameters"]["authentication"] == "headerAuth"
    assert webhook["credentials"]["httpHeaderAuth"]["id"] == "webhookToken0001"
    assert webhook["parameters"]["responseMode"] == "lastNode"
    assert webhook["webhookId"]
    assert len(nodes(workflow, "scheduleTrigger")) == len(nodes(workflow, "manualTrigger")) == 1


@every_loader
def test_loader_reports_failures_and_keeps_no_data_of_runs_that_went_well(workflow: Workflow) -> None:
    kept = workflow.content["settings"]
    assert kept["errorWorkflow"] == ERROR_WORKFLOW
    assert kept["saveDataSuccessExecution"] == "none"
    assert kept["saveDataErrorExecution"] == "all"
    assert kept["executionOrder"] == "v1"
    assert kept["timezone"] == "Etc/UTC"
    assert kept["executionTimeout"] > 0
    (stop,) = nodes(workflow, "stopAndError")
    assert stop["name"] in reached_from(workflow, "Finish run")


def test_schedules_do_not_meet() -> None:
    schedules = [
        node["parameters"]["rule"]["interval"][0]["expression"]
        for workflow in LOADERS
        for node in nodes(workflow, "scheduleTrigger")
    ]
    assert sorted(schedules) == ["*/5 * * * *", "22 * * * *", "37 * * * *", "7 * * * *"]


@every_loader
def test_requests_never_stop_a_run_follow_no_redirect_and_are_not_repeated_by_n8n(workflow: Workflow) -> None:
    for node in nodes(workflow, "httpRequest"):
        options = node["parameters"]["options"]
        assert node["onError"] == "continueRegularOutput"
        assert "retryOnFail" not in node  # attempts are counted in the database
        assert options["response"]["response"]["neverError"]
        assert options["response"]["response"]["fullResponse"]
        assert options["response"]["response"]["responseFormat"] == "file"
        assert options["redirect"]["redirect"]["followRedirects"] is False
        assert options["timeout"] <= 60_000


@every_loader
def test_leg_calls_its_own_workflow(workflow: Workflow) -> None:
    for node in nodes(workflow, "executeWorkflow"):
        assert node["parameters"]["workflowId"]["value"] == workflow.workflow_id
        assert node["parameters"]["options"]["waitForSubWorkflow"] is True


def test_readme_names_every_workflow_with_its_webhook() -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for workflow in WORKFLOWS:
        (line,) = [line for line in readme.splitlines() if line.startswith(f"| `{workflow.file.stem}`")]
        if workflow.file.stem in PATHS:
            assert f"| `{PATHS[workflow.file.stem]}` |" in line


def test_files_are_valid_json_without_pinned_data() -> None:
    for workflow in WORKFLOWS:
        assert json.loads(workflow.file.read_text(encoding="utf-8"))["pinData"] == {}


def settings() -> Settings:
    ports = {name: 1 for name in Settings.model_fields if name.endswith("_port")}
    secrets = {
        name: "secret" for name, field in Settings.model_fields.items() if field.is_required() and name not in ports
    }
    return Settings(_env_file=None, **ports, **secrets)  # type: ignore[call-arg,arg-type]
