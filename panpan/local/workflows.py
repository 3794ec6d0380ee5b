"""
The workflow files of n8n_workflows: which there are, and the one text each of them may have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panpan.errors import ServerError
from panpan.settings import CHECKOUT

FOLDER = CHECKOUT / "n8n_workflows"

# What belongs to the source. All else an export holds is n8n's own memory: versions, owners, schedule state.
WORKFLOW_KEYS = ("id", "name", "description", "active", "nodes", "connections", "settings", "pinData", "tags")
NODE_KEYS = ("id", "name", "type", "typeVersion", "position", "parameters", "credentials")


@dataclass(frozen=True)
class Workflow:
    """One workflow file."""

    file: Path
    content: dict[str, Any]

    @property
    def workflow_id(self) -> str:
        return str(self.content["id"])

    @property
    def name(self) -> str:
        return str(self.content["name"])

    @property
    def starts_by_itself(self) -> bool:
        """Whether it has a trigger besides the editor's button; n8n refuses to publish any other."""
        types = [str(node["type"]).lower() for node in self.content["nodes"]]
        return any(t.endswith(("trigger", ".webhook")) and not t.endswith(".manualtrigger") for t in types)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(normalise(self.content).encode()).hexdigest()


def normalise(workflow: Mapping[str, Any]) -> str:
    """
    The canonical text of a workflow, for git: kept keys only, in a fixed order, never active.

    Publishing is a step of deployment and no part of the source. A second pass changes nothing.
    """
    kept = {key: workflow[key] for key in WORKFLOW_KEYS if key in workflow}
    kept["active"] = False
    kept["nodes"] = [_normalise_node(node) for node in workflow["nodes"]]
    ordered = {key: kept[key] for key in WORKFLOW_KEYS if key in kept}
    return json.dumps(ordered, indent=2, ensure_ascii=False) + "\n"


def _normalise_node(node: Mapping[str, Any]) -> dict[str, Any]:
    first = {key: node[key] for key in NODE_KEYS if key in node}
    rest = {key: node[key] for key in sorted(node) if key not in NODE_KEYS}
    return {**first, **rest}


def read_workflows(folder: Path = FOLDER) -> list[Workflow]:
    """
    Every workflow file of a folder, by name; empty when there is none.

    Errors: ServerError naming the file that is no workflow, or the id that two files share.
    """
    workflows = [_read(file) for file in sorted(folder.glob("*.json"))]
    by_id: dict[str, Path] = {}
    for workflow in workflows:
        other = by_id.setdefault(workflow.workflow_id, workflow.file)
        if other != workflow.file:
            raise ServerError(
                f"two workflow files have the id {workflow.workflow_id}",
                cause=f"{other.name} and {workflow.file.name}",
                next="give one of them an id of its own",
            )
    return workflows


def _read(file: Path) -> Workflow:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        missing = [key for key in ("id", "name", "nodes", "connections", "settings") if key not in content]
    except (ValueError, TypeError) as error:
        raise ServerError(f"{file.name} is no workflow", cause=str(error)) from error
    if missing:
        raise ServerError(f"{file.name} is no workflow", cause=f"it lacks {', '.join(missing)}")
    return Workflow(file, content)
