"""The command line is assembled of the modules a call needs, and every command has help that can be read."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest
import typer
from typer.testing import CliRunner

from panpan import cli, documentation
from panpan.cli.app import CONCERNS, assembled

HEAVY = {"pandas", "altair", "statsmodels", "scipy", "dask", "distributed", "starlette", "sklearn"}


def words_of(app: typer.Typer) -> list[str]:
    return list(typer.main.get_group(app).commands)


def test_every_module_with_commands_is_in_the_table_under_the_words_it_makes() -> None:
    modules = [name for _, name, _ in pkgutil.iter_modules(cli.__path__)]
    making = {name for name in modules if hasattr(import_module(f"panpan.cli.{name}"), "register")}

    assert {name for names in CONCERNS.values() for name in names} == making
    assert sorted(words_of(assembled())) == sorted(CONCERNS)


@pytest.mark.parametrize("word", CONCERNS)
def test_what_is_loaded_for_a_word_has_all_of_its_commands(word: str) -> None:
    alone, whole = (typer.main.get_group(assembled(each)).commands[word] for each in (word, ""))

    assert list(getattr(alone, "commands", ())) == list(getattr(whole, "commands", ()))


@pytest.mark.parametrize("command", documentation.commands(), ids=lambda command: command.name)
def test_help_shows_every_word_of_every_option(command: documentation.Command) -> None:
    """Words in brackets were taken for styles once, left out or ended in a traceback."""
    answer = CliRunner().invoke(assembled(), [*command.name.split()[1:], "--help"], env={"COLUMNS": "400"})

    assert answer.exit_code == 0, answer.output
    for parameter in command.parameters:
        [last] = parameter.meaning.partition(" (")[0].split()[-1:] or [""]
        assert last.rstrip(".") in answer.output, parameter


@pytest.mark.parametrize("word", ["value", "ask", "ingest", "roles"])
def test_a_quick_command_loads_no_heavy_library(word: str) -> None:
    script = f"import sys; from panpan.cli.app import assembled; assembled({word!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert HEAVY & set(loaded) == set()
