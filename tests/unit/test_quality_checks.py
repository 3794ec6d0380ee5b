"""The checks as data: each says what it means and finds offenders with one select; the page lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from panpan.errors import UsageError
from transforms.contract import load_contracts
from transforms.quality.checks import FOLDER, Check, find_check, load_checks
from transforms.quality.page import page
from transforms.quality.received import FUNCTIONS

CHECKOUT = Path(__file__).resolve().parents[2]
CHECKS = load_checks()
SELECTS = sorted(FOLDER.glob("*.sql"))
each_check = pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.id)
each_select = pytest.mark.parametrize("path", SELECTS, ids=lambda path: path.stem)


def test_there_are_at_least_sixty_of_every_layer() -> None:
    assert len(CHECKS) >= 60
    assert {check.layer for check in CHECKS.values()} == {"raw", "formatted", "core", "marts", "ops"}


@each_check
def test_check_says_what_it_means_and_who_answers(check: Check) -> None:
    assert check.id.startswith(f"{check.layer}_")
    assert check.meaning.endswith(".")
    assert len(check.meaning.split()) >= 6
    assert check.owner in {contract.owner for contract in load_contracts().values()} | {"Administrator"}
    assert check.fixture.strip()


@each_check
def test_check_has_a_select_or_a_function_and_not_both(check: Check) -> None:
    if check.function:
        assert check.sql is None
        assert check.function in FUNCTIONS
    else:
        assert check.statement


def test_only_errors_block() -> None:
    assert {check.severity for check in CHECKS.values() if check.blocks} == {"error"}


def test_what_blocks_reads_only_the_days_a_run_touched() -> None:
    """Otherwise each load would cost as much as the whole history."""
    assert [check.id for check in CHECKS.values() if check.blocks and " checked_" not in check.statement] == []


def test_no_two_checks_are_the_same() -> None:
    said = [(check.sql or check.id, check.function, tuple(check.parameters.items())) for check in CHECKS.values()]

    assert len(set(said)) == len(said)


@each_select
def test_select_says_its_grain_and_gives_key_and_found(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    body = re.sub(r"--.*", "", text)

    assert text.startswith("-- One row ")
    assert re.match(r"\s*(with|select)\b", body)
    assert ";" not in re.sub(r"'[^']*'", "", body)
    assert re.search(r"\bas key\b", body)
    assert re.search(r"\bas found\b", body)
    assert "%" not in re.sub(r"%%|%\(\w+\)s", "", text)


def test_every_select_belongs_to_a_check() -> None:
    used = {check.sql or check.id for check in CHECKS.values() if not check.function}

    assert {path.stem for path in SELECTS} == used


def test_unknown_check_is_refused_with_the_way_to_the_list() -> None:
    with pytest.raises(UsageError, match="there is no check"):
        find_check("nothing")


def test_page_is_what_the_checks_say() -> None:
    assert (CHECKOUT / "docs" / "quality.md").read_text(encoding="utf-8") == page(), (
        "run: python -m panpan.documentation"
    )
