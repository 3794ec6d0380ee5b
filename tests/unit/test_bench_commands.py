"""`panpan bench`: what the tables show, and how faults of the benchmark process are told."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from panpan.cli import bench
from panpan.errors import CheckFailed, PanpanError

MACHINE = {"cores": "2", "postgresql": "18.6"}
WAY = {
    "way": "ours",
    "does": "everything",
    "seconds": 2.0,
    "lines_per_second": 500,
    "ours_takes_times": 1.0,
    "processor_seconds": 1.5,
    "ours_uses_times": 1.0,
    "peak_mib": 400,
    "load": 0.5,
}
LOAD = {
    "lines": 1000,
    "ways": [WAY, {**WAY, "way": "limit", "seconds": 1.0, "ours_takes_times": 2.0, "peak_mib": None}],
    "notes": [],
    "machine": MACHINE,
}
MEMORY = {
    "limit_mib": 1024,
    "sizes": [
        {"lines": 1000, "file_mib": 1, "peak_mib": 300, "is_within_limit": True, "seconds": 1.0, "load": 0.5},
        {"lines": 2000, "file_mib": 1, "peak_mib": 1300, "is_within_limit": False, "seconds": 1.0, "load": 0.5},
    ],
    "machine": MACHINE,
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the benchmark process gives: its exit code and its JSON; `words` are those it was started with."""
    given: dict[str, Any] = {"code": 0, "said": {}}

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        given["words"] = words[3:]
        said = given["said"]
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        return subprocess.CompletedProcess(words, given["code"], text)

    monkeypatch.setattr(bench.subprocess, "run", run)
    return given


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    bench.register(made)
    return made


def test_the_table_of_a_load_names_every_way_and_its_ratio(app: typer.Typer, answers: dict[str, Any]) -> None:
    answers["said"] = LOAD

    shown = CliRunner().invoke(app, ["bench", "load", "--lines", "1000", "--way", "limit"])

    assert answers["words"] == ["load", "--lines", "1000", "--rounds", "1", "--way", "limit"]
    assert shown.exit_code == 0
    assert "limit" in shown.stdout
    assert "2.0" in shown.stdout
    assert "postgresql 18.6" in shown.stdout


def test_json_is_what_was_measured(app: typer.Typer, answers: dict[str, Any]) -> None:
    answers["said"] = LOAD

    shown = CliRunner().invoke(app, ["bench", "load", "--lines", "1000", "--json"])

    assert json.loads(shown.stdout) == {"ok": True, **LOAD}


def test_memory_beyond_the_limit_is_a_failed_check(app: typer.Typer, answers: dict[str, Any]) -> None:
    answers["said"] = MEMORY

    shown = CliRunner().invoke(app, ["bench", "memory", "--lines", "1000", "--lines", "2000"])

    assert answers["words"] == ["memory", "--lines", "1000", "--lines", "2000"]
    assert shown.exit_code == CheckFailed.exit_code
    assert "1300" in shown.stdout


def test_the_table_of_backups_shows_each_ratio(app: typer.Typer, answers: dict[str, Any]) -> None:
    ways = [{"way": "a set", "seconds": 2.0, "times_bare": 0.65, "load": 0.5}]
    answers["said"] = {"lines": 1000, "database_mib": 12, "ways": ways, "machine": MACHINE}

    shown = CliRunner().invoke(app, ["bench", "backups", "--lines", "1000"])

    assert answers["words"] == ["backups", "--lines", "1000", "--rounds", "1"]
    assert "0.65" in shown.stdout


def ask_figures(median_ms: int, different: int) -> dict[str, Any]:
    row = {"outcome": "answered", "questions": 200, "median_ms": median_ms, "p95_ms": 400, "longest_ms": 900}
    facts = {"days": 420, "questions": 200, "limit_ms": 300, "repeats": 100, "different_answers": different}
    facts |= {"processor_ms": 80}
    return {**facts, "outcomes": [row], "load": 0.5, "machine": MACHINE}


@pytest.mark.parametrize(("median_ms", "different", "code"), [(120, 1, 0), (301, 1, 3), (120, 2, 3)])
def test_slow_answers_and_changing_ones_are_a_failed_check(
    app: typer.Typer, answers: dict[str, Any], median_ms: int, different: int, code: int
) -> None:
    answers["said"] = ask_figures(median_ms, different)

    shown = CliRunner().invoke(app, ["bench", "ask"])

    assert answers["words"] == ["ask", "--days", "420", "--rounds", "3"]
    assert shown.exit_code == code
    assert str(median_ms) in shown.stdout


@pytest.mark.parametrize(("seconds", "code"), [(4.9, 0), (5.1, 3)])
def test_the_longest_business_has_a_limit_for_its_checks(
    app: typer.Typer, answers: dict[str, Any], seconds: float, code: int
) -> None:
    row = {"days": 420, "receipts": 70_000, "checks": 101, "seconds": seconds, "recent_seconds": 1.0}
    row |= {"slowest": "core_x", "slowest_seconds": 0.9, "load": 0.5}
    shorter = {**row, "days": 140, "seconds": 1.5}
    answers["said"] = {"limit_seconds": 5.0, "lengths": [shorter, row], "machine": MACHINE}

    shown = CliRunner().invoke(app, ["bench", "quality", "--days", "140", "--days", "420"])

    assert answers["words"] == ["quality", "--rounds", "3", "--days", "140", "--days", "420"]
    assert shown.exit_code == code
    assert str(seconds) in shown.stdout


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (3, {"error": "limit has other totals", "cause": "1.00", "next": None}, CheckFailed),
        (1, {"error": "no", "cause": None, "next": None}, PanpanError),
        (1, b"", PanpanError),
    ],
)
def test_a_fault_of_the_benchmark_is_ours(
    app: typer.Typer, answers: dict[str, Any], code: int, said: Any, kind: type[PanpanError]
) -> None:
    answers |= {"code": code, "said": said}

    shown = CliRunner().invoke(app, ["bench", "refresh", "--lines", "1000"])

    assert type(shown.exception) is kind
