"""What programs read: one JSON object on stdout, whatever happened."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from panpan.cli import output
from panpan.cli.app import main
from panpan.errors import CheckFailed, SettingsError
from panpan.settings import load_settings


@pytest.fixture(autouse=True)
def nothing_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_objects_printed", [])


def test_an_error_is_the_object_where_no_answer_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_error(CheckFailed("no", cause="why", next="do"), as_json=True)

    assert json.loads(capsys.readouterr().out) == {"ok": False, "error": "no", "cause": "why", "next": "do"}


def test_a_failed_check_adds_no_second_object_to_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"checks": []}, ok=False)
    output.print_error(CheckFailed("two checks did not pass"), as_json=True)

    said = capsys.readouterr()
    assert json.loads(said.out) == {"ok": False, "checks": []}
    assert "two checks did not pass" in said.err


def test_a_column_of_numbers_stays_to_the_right_where_a_cell_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table("rows", ["count"], [(1,), (None,), (22,)])

    assert "│     1 │" in capsys.readouterr().out


def test_what_the_system_refuses_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    in_the_way = tmp_path / "var"
    in_the_way.write_text("a file where the home should be")
    monkeypatch.delenv("PANPAN_DEBUG", raising=False)
    monkeypatch.setattr(sys, "argv", ["panpan", "init", "--home", str(in_the_way), "--json"])

    with pytest.raises(SystemExit) as ended:
        main()

    said = capsys.readouterr()
    assert ended.value.code == 1
    assert str(in_the_way) in json.loads(said.out)["cause"]
    assert "next:" in said.err and "Traceback" not in said.err


def test_a_place_where_nothing_was_set_up_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as told:
        load_settings(home=tmp_path / "new")

    assert "nothing at" in told.value.message
    assert "Field required" not in str(told.value.cause)
    assert "bin/panpan up" in str(told.value.next)
