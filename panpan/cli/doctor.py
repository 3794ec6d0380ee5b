"""
Commands about the health of the installation: doctor.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.doctor.check import Result
from panpan.doctor.examine import examine
from panpan.settings import load_settings

BAD_FOUND = 3


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("doctor")(doctor)


def doctor(
    security: Annotated[bool, typer.Option("--security", help="Also look for open doors and known holes.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Look for what is wrong here and say how to mend it; changes nothing.

    Ends with 3 when an error is found; warnings and notes are only told.  Example: panpan doctor --security
    """
    settings = load_settings(home=home)
    with output.step("looking"):
        results = examine(settings, security=security)
    found = has_errors(results)
    if as_json:
        output.print_json({"checks": [asdict(result) for result in results]}, ok=not found)
    else:
        for line in lines(results):
            output.results.print(line, markup=False, highlight=False)
    if found:
        raise typer.Exit(BAD_FOUND)


def has_errors(results: list[Result]) -> bool:
    """Whether something must be mended now."""
    return any(result.ok is False and result.severity == "error" for result in results)


def lines(results: list[Result]) -> list[str]:
    """What is not well first, the worst above; then what could not be seen; then how many are well."""
    rank = ("error", "warning", "note")
    wrong = sorted((each for each in results if each.ok is False), key=lambda each: rank.index(each.severity))
    told = [text for each in wrong for text in (f"{each.severity} {each.id}: {each.finding}.", f"  fix: {each.fix}")]
    told += [f"unknown {each.id}: {each.finding}." for each in results if each.ok is None]
    return [*told, f"{sum(each.ok is True for each in results)} of {len(results)} checks are well."]
