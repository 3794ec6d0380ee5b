"""What programs read: one JSON object on stdout, whatever happened."""

from __future__ import annotations

import json

import pytest

from panpan.cli import output
from panpan.errors import CheckFailed


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
