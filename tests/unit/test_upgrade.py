"""`panpan upgrade check`: what runs against pins and floors, judged without the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.cli.upgrade import judgement
from panpan.doctor import upgrades
from panpan.doctor.floors import products
from panpan.doctor.upgrades import standing
from panpan.local.initialise import initialise
from panpan.settings import Settings

app = assembled()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return initialise(tmp_path / "home")


@pytest.mark.parametrize(
    ("program", "version", "below", "word"),
    [
        ("n8n", "2.43.3", False, "well"),
        ("n8n", "2.40.7", True, "CVE-2026-119408"),
        ("n8n", "1.115.3", True, "CVE-2025-68613"),
        ("metabase", "0.58.20", True, "CVE-2026-72898"),
        ("metabase", "0.64.6", False, "well"),
        ("postgresql", "18.3", True, "CVE-2026-6473"),
        ("python", "3.10.1", True, "below the floor"),
        ("metabase", "", False, "not seen"),
    ],
)
def test_program_is_judged_by_its_floor(program: str, version: str, below: bool, word: str) -> None:
    found = standing(products()[program], version)

    assert found.is_below is below
    assert word in judgement(found)


def test_table_has_every_program_and_ends_with_three_when_one_is_below(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades.n8n, "version", lambda _: "2.40.7")

    answer = CliRunner().invoke(app, ["upgrade", "check", "--json", "--home", str(settings.home)])
    printed = json.loads(answer.stdout)

    assert answer.exit_code == 3
    assert [each["program"] for each in printed["programs"]] == ["python", "node", "postgresql", "n8n", "metabase"]
    by_name = {each["program"]: each for each in printed["programs"]}
    assert by_name["postgresql"]["current"] == ""  # nothing runs here
    assert set(by_name["n8n"]) >= {"current", "pinned", "floor", "tested", "container", "holes"}
    assert "CVE-2026-119408" in by_name["n8n"]["holes"]


def test_in_containers_n8n_is_asked_itself_and_the_image_needs_no_node(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrades.automation, "running_version", lambda _: "2.43.3")
    monkeypatch.setattr(upgrades, "version_of", lambda _: "")

    found = {each.program: each for each in upgrades.standings(settings.model_copy(update={"in_containers": True}))}

    assert (found["n8n"].current, found["n8n"].is_below) == ("2.43.3", False)
    assert (found["node"].current, found["node"].is_below) == ("", False)
