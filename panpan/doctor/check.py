"""
What a check is: facts in, verdict out. Looking at the world and judging what was seen are two functions.

A module of this package holds one concern: a frozen class of facts, `look` that fills it, and its checks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Verdict:
    """
    What was found, and how to mend it. ok is None for what can't be looked at; severity is given where it differs from
    the check's own.
    """

    ok: bool | None
    finding: str
    fix: str | None = None
    severity: Severity | None = None


@dataclass(frozen=True)
class Check:
    """
    One thing that must hold; `needs` are the classes of the facts it judges. is_of_machine: about processes, ports and
    programs of one machine, which containers have each for themselves.
    """

    id: str
    severity: Severity
    is_security: bool
    needs: tuple[type, ...]
    judge: Callable[..., Verdict]
    is_of_machine: bool = False


@dataclass(frozen=True)
class NotSeen:
    """Facts that could not be looked at, and why."""

    why: str


@dataclass(frozen=True)
class Result:
    """One line of the report; ok is None for what could not be looked at."""

    id: str
    severity: Severity
    ok: bool | None
    finding: str
    fix: str | None


@dataclass
class Checks:
    """The checks of one module, in their order."""

    known: list[Check] = field(default_factory=list)

    def add(
        self, check_id: str, severity: Severity, *needs: type, security: bool = False, machine: bool = False
    ) -> Callable[[Callable[..., Verdict]], Callable[..., Verdict]]:
        """Register a function as a check; security ones are asked with --security only, machine's not in containers."""

        def register(judge: Callable[..., Verdict]) -> Callable[..., Verdict]:
            self.known.append(Check(check_id, severity, security, needs, judge, machine))
            return judge

        return register


def well(finding: str) -> Verdict:
    """Nothing to do."""
    return Verdict(ok=True, finding=finding)


def unseen(why: str) -> Verdict:
    """Neither well nor bad."""
    return Verdict(ok=None, finding=f"not looked at: {why}")


def bad(finding: str, fix: str, severity: Severity | None = None) -> Verdict:
    """Something to mend, and the command or act that does."""
    return Verdict(ok=False, finding=finding, fix=fix, severity=severity)


def none_of(found: list[str], all_well: str, what: str, fix: str) -> Verdict:
    """Well when nothing was found, else the first of what was found."""
    if not found:
        return well(all_well)
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return bad(f"{what}: {', '.join(found[:5])}{more}", fix)


def ask(check: Check, facts: Mapping[type, Any]) -> Result:
    """Judge one check; what it needs and could not be seen makes it neither well nor bad."""
    seen = [facts[need] for need in check.needs]
    missing = next((each for each in seen if isinstance(each, NotSeen)), None)
    verdict = unseen(missing.why) if missing else check.judge(*seen)
    return Result(check.id, verdict.severity or check.severity, verdict.ok, verdict.finding, verdict.fix)
