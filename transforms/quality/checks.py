"""
The checks as data: transforms/checks/<id>.yaml says what one means, a select of its name or a function finds offenders.

Comes in: the files. Goes out: frozen Check objects. Nothing here reads data.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from panpan.errors import ContractError, UsageError

FOLDER = Path(__file__).parents[1] / "checks"

Layer = Literal["raw", "formatted", "core", "marts", "ops"]
Severity = Literal["warn", "error"]


class Check(BaseModel):
    """
    One check. Its select or function gives one row per offender: key, found.

    blocks: made inside a run too, over the days it touched; a load that offends is held back. fixture: statements that
    make a sound business fail it, which a test does. sql: name of a select that several checks share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    layer: Layer
    severity: Severity
    owner: str
    meaning: str
    blocks: bool = False
    sql: str | None = None
    function: str | None = None
    parameters: dict[str, str] = {}
    fixture: str

    @property
    def statement(self) -> str:
        """The text of its select."""
        return (FOLDER / f"{self.sql or self.id}.sql").read_text(encoding="utf-8")


@cache
def load_checks() -> dict[str, Check]:
    """All checks by id. Errors: ContractError naming the file and the fault."""
    checks = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        try:
            check = Check.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (ValidationError, yaml.YAMLError) as error:
            raise ContractError(f"check {path.name} is wrong", next=f"correct {path}") from error
        if check.id != path.stem:
            raise ContractError(f"check {path.name} calls itself {check.id}", next=f"correct {path}")
        checks[check.id] = check
    return checks


def find_check(check_id: str) -> Check:
    """A check by its id. Errors: UsageError naming the way to the list."""
    checks = load_checks()
    if check_id not in checks:
        raise UsageError(f"there is no check {check_id!r}", next="bin/panpan quality list")
    return checks[check_id]
