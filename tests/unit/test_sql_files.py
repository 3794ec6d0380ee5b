"""The SQL of the model: one select per file, opened by a comment that says the grain, its columns named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SELECTS = sorted(
    path
    for folder in ("core", "marts", "receipts", "comparisons")
    for path in (CHECKOUT / "transforms" / folder).glob("*.sql")
)
RUN_PARAMETERS = {"source", "catalogue", "currency_code", "known_at", "time_zone", "raw_ids_per_document"}
each_select = pytest.mark.parametrize("path", SELECTS, ids=lambda path: f"{path.parent.name}/{path.stem}")


def statement(path: Path) -> str:
    """The text without comments."""
    return re.sub(r"--.*", "", path.read_text(encoding="utf-8")).strip()


def last_select(path: Path) -> str:
    """The select outside all parentheses: what the statement gives."""
    depth, outer = 0, []
    for sign in re.sub(r"'[^']*'", "''", statement(path)):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        outer.append(sign if depth == 0 else " ")
    return "".join(outer)


def test_there_are_selects() -> None:
    assert len(SELECTS) >= 20


@each_select
def test_select_opens_with_its_grain(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]

    assert first.startswith("-- One row per ")


@each_select
def test_select_says_what_it_reads_when_that_is_not_only_its_own_stage(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    comment = " ".join(line.removeprefix("--") for line in text.splitlines() if line.startswith("--"))
    read = set(re.findall(r"\b(?:from|join)\s+((?:core|marts|ops)\.\w+)", statement(path)))

    own = f"{path.parent.name}.{path.stem}"
    unsaid = [name for name in sorted(read - {own}) if name not in comment and name.split(".")[1] not in comment]

    assert unsaid == []


@each_select
def test_file_is_one_select(path: Path) -> None:
    text = statement(path)

    assert ";" not in re.sub(r"'[^']*'", "", text)
    assert re.match(r"(with|select)\b", text)
    assert not re.search(r"\b(insert|update|delete|truncate|drop|create|alter)\b", last_select(path))


@each_select
def test_last_select_names_its_columns(path: Path) -> None:
    given = last_select(path).rpartition("select")[2]

    assert not re.search(r"(^|,|\.)\s*\*", given.split("from")[0])


@each_select
def test_parameters_are_those_the_run_gives(path: Path) -> None:
    used = set(re.findall(r"%\((\w+)\)s", path.read_text(encoding="utf-8")))

    given = {
        "receipts": {"first_day", "last_day", "currencies", "with_use"},
        "comparisons": {"first_day", "last_day", "window_days", "ours", "theirs", "currency"},
    }.get(path.parent.name, RUN_PARAMETERS)
    assert used <= given
    assert not re.search(r"%(?!\(\w+\)s|%)", statement(path)), "a percent sign of its own is written twice"
