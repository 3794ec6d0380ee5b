"""The pages that are made are what they would be if made now; links and examples in the written ones hold."""

from __future__ import annotations

import io
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
from defusedxml import ElementTree

from panpan import documentation
from panpan.documentation import (
    PLACES,
    Command,
    boxes,
    command_line_page,
    commands,
    diagram,
    dictionary_page,
    env_example,
    metrics_page,
    missing_comments,
    tables,
)
from panpan.governance.graph import load_graph
from panpan.governance.picture import draw
from panpan.settings import PREFIX, Settings
from transforms.contract import COLUMNS, Contract, Entity, Store, Unpivot, Value
from transforms.documents import open_document
from transforms.formatted.records import format_records

CHECKOUT = Path(__file__).resolve().parents[2]
AGAIN = "run: python -m panpan.documentation"
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
KNOWN = commands()
each_command = pytest.mark.parametrize("command", KNOWN, ids=lambda command: command.name)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))


def test_command_line_page_is_what_the_commands_say() -> None:
    assert documentation.COMMAND_LINE.read_text(encoding="utf-8") == command_line_page(), AGAIN


def test_metrics_page_is_what_the_definitions_say() -> None:
    assert documentation.METRICS.read_text(encoding="utf-8") == metrics_page(), AGAIN


def test_env_example_is_what_the_settings_say() -> None:
    assert documentation.ENV_EXAMPLE.read_text(encoding="utf-8") == env_example(), AGAIN


def test_env_example_names_every_setting_and_gives_no_value_to_a_secret() -> None:
    text = env_example()

    for name, field in Settings.model_fields.items():
        line = next(line for line in text.splitlines() if line.startswith(f"# {PREFIX}{name.upper()}="))
        assert field.description, f"setting {name} has no meaning"
        assert not field.is_required() or line.endswith("="), line


def test_env_example_sets_nothing_when_copied_as_it_is() -> None:
    """An empty value would count as given, and an empty password is no password."""
    assert [line for line in env_example().splitlines() if line and not line.startswith("#")] == []


def test_data_dictionary_is_what_the_database_says(warehouse: Settings) -> None:
    assert documentation.DICTIONARY.read_text(encoding="utf-8") == dictionary_page(warehouse), AGAIN


def test_every_table_and_column_has_a_comment(warehouse: Settings) -> None:
    assert missing_comments(warehouse) == [], "comment it in its migration"


def test_diagram_is_what_the_database_says(warehouse: Settings) -> None:
    text = diagram(tables(warehouse))

    assert documentation.DIAGRAM.read_text(encoding="utf-8") == text, AGAIN
    ElementTree.fromstring(text)


def test_data_flow_is_what_the_files_say(warehouse: Settings) -> None:
    assert documentation.FLOW.read_text(encoding="utf-8") == draw(load_graph(warehouse)), AGAIN


def test_diagram_has_a_place_for_every_table_of_core_and_none_lies_on_another(warehouse: Settings) -> None:
    known = tables(warehouse)
    placed = boxes(known)

    assert {name for column in PLACES for name in column} == {table.name for table in known if table.schema == "core"}
    for column in PLACES:
        for upper, lower in pairwise(column):
            assert placed[upper].bottom < placed[lower].y


@each_command
def test_command_says_what_it_does_and_gives_an_example(command: Command) -> None:
    assert command.sentences.endswith("."), command.sentences
    assert command.example.startswith(command.name), command.example
    assert [p.spelling for p in command.parameters if not p.meaning] == []


@each_page
def test_commands_named_in_a_page_exist(page: Path) -> None:
    names = {command.name for command in KNOWN}
    named = {
        match.group(1).strip()
        for match in re.finditer(
            r"(?:bin/)?(panpan [a-z]+(?: [a-z]+(?:-[a-z]+)*)?)", code_of(page.read_text(encoding="utf-8"))
        )
    }

    unknown = [name for name in named if name not in names and " ".join(name.split()[:2]) not in names]

    assert unknown == []


@each_page
def test_links_to_files_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    files = [target for target in targets if "://" not in target]

    assert [target for target in files if not (page.parent / target).exists()] == []


def test_sources_page_explains_every_key_of_a_contract() -> None:
    text = (CHECKOUT / "docs" / "sources.md").read_text(encoding="utf-8")
    keys = {
        field.alias or name
        for part in (Contract, Entity, Value, Store, Unpivot)
        for name, field in part.model_fields.items()
    }

    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


def test_sources_page_names_every_column_a_kind_may_fill() -> None:
    text = (CHECKOUT / "docs" / "sources.md").read_text(encoding="utf-8")

    missing = [f"{kind}.{name}" for kind, names in COLUMNS.items() for name in sorted(names) if f"`{name}`" not in text]

    assert missing == []


def test_the_example_of_the_sources_page_reads_a_file() -> None:
    text = (CHECKOUT / "docs" / "sources.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    contract = Contract.model_validate(tomllib.loads(example))
    file = 'Receipt,Date,Shop,Code,Item,Qty,Total\n1,31/05/2026 02:30,Main St,,Bread,2,"3,50"\n2,soon,,,Roll,1,1\n'

    opened = open_document(io.BytesIO(file.encode()), contract, None, 100)
    [chunk] = opened.chunks
    formatted = format_records(chunk.frame, contract, opened.entity)

    [row] = formatted.rows.to_pylist()
    assert (row["store_id"], row["product_key"], str(row["net_amount"])) == ("main", "Bread", "3.50")
    assert str(row["business_date"]) == "2026-05-30"  # before four in the morning
    assert list(formatted.rejects["reason"]) == ["Date can't be read as a moment"]


def test_decisions_are_numbered_in_one_row_and_say_what_was_given_up() -> None:
    pages = sorted((CHECKOUT / "docs" / "decisions").glob("*.md"))

    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert all(f"## {part}" in text for part in ("Question", "Chosen", "Given up")), page.name
        assert len(text.splitlines()) <= 40, page.name


def code_of(text: str) -> str:
    """What stands in code fences and between backticks."""
    fenced = re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))])
