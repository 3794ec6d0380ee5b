"""Workflow files have one canonical text, and nothing in them that may not be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from panpan.errors import ServerError
from panpan.local.n8n import EXCLUDED_NODES
from panpan.local.workflows import FOLDER, Workflow, normalise, read_workflows

FILES = sorted(FOLDER.glob("*.json"))


def exported(**changes: Any) -> dict[str, Any]:
    """A small workflow as n8n exports it, with keys of its own memory."""
    node = {
        "parameters": {"path": "pos"},
        "webhookId": "w",
        "type": "n8n-nodes-base.webhook",
        "typeVersion": 2.1,
        "position": [0, 0],
        "id": "1",
        "name": "Called",
    }
    return {
        "updatedAt": "2026-01-01",
        "versionId": "v",
        "active": True,
        "shared": [{"project": "owner"}],
        "staticData": None,
        "settings": {"executionOrder": "v1"},
        "connections": {},
        "nodes": [node],
        "name": "pos",
        "id": "posFiles00000001",
        **changes,
    }


def test_canonical_text_keeps_the_source_and_drops_n8ns_memory() -> None:
    text = normalise(exported())

    kept = json.loads(text)
    assert list(kept) == ["id", "name", "active", "nodes", "connections", "settings"]
    assert list(kept["nodes"][0]) == [
        "id",
        "name",
        "type",
        "typeVersion",
        "position",
        "parameters",
        "webhookId",
    ]
    assert kept["active"] is False
    assert text.endswith("}\n")


def test_canonical_text_is_its_own_canonical_text() -> None:
    text = normalise(exported())

    assert normalise(json.loads(text)) == text


def test_there_are_workflow_files() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_workflow_file_is_canonical(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert normalise(json.loads(text)) == text


@pytest.mark.parametrize("workflow", read_workflows(), ids=lambda workflow: workflow.file.name)
def test_workflow_uses_no_excluded_node(workflow: Workflow) -> None:
    assert not {node["type"] for node in workflow.content["nodes"]} & set(EXCLUDED_NODES)


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(exported()))

    with pytest.raises(ServerError) as caught:
        read_workflows(tmp_path)

    assert caught.value.cause == "a.json and b.json"


@pytest.mark.parametrize("text", ["{", "{}", "[]", "3"])
def test_file_that_is_no_workflow_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)

    with pytest.raises(ServerError, match=r"odd\.json is no workflow"):
        read_workflows(tmp_path)


@pytest.mark.parametrize(
    ("types", "published"),
    [
        (["n8n-nodes-base.webhook", "n8n-nodes-base.set"], True),
        (["n8n-nodes-base.scheduleTrigger"], True),
        (["n8n-nodes-base.errorTrigger"], True),
        (["n8n-nodes-base.manualTrigger", "n8n-nodes-base.set"], False),
    ],
)
def test_only_a_workflow_with_a_trigger_is_published(types: list[str], published: bool) -> None:
    workflow = Workflow(Path("w.json"), exported(nodes=[{"type": name} for name in types]))

    assert workflow.starts_by_itself is published
