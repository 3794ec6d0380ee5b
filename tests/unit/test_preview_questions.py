"""The question and dashboard files: each is valid, reads marts only, and is shown somewhere."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlfluff.core import FluffConfig, Linter

from metabase.catalogue import FOLDER, Catalogue, Question, load_catalogue, load_question
from metabase.parameters import KNOWN, NOT_CODE, compile_sql, template_tags
from panpan.errors import ContractError
from transforms.compiler import Query, compile_query
from transforms.metrics import find_metric

CATALOGUE = load_catalogue()
QUESTIONS = list(CATALOGUE.questions.values())
ALL_FILTERS = {"source": "pos", "currency": "EUR", "date_from": "2026-01-01", "date_to": "2026-12-31"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the files that a test may spoil."""
    for folder in ("questions", "dashboards"):
        shutil.copytree(FOLDER / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_question_says_what_it_is(question: Question) -> None:
    assert question.question.endswith("?")
    assert len(question.definition) > 40
    assert question.owner in ("Owner", "Shop manager", "Stock manager")
    assert question.sql.splitlines()[0].startswith("-- One row")
    assert question.cells or max(map(len, question.sql.splitlines())) <= 110  # the compiler's lines are its own
    code = NOT_CODE.sub("", question.sql)
    assert code == code.lower()
    assert "select *" not in code
    assert not re.search(r"\.\*", code)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_money_comes_with_its_currency_and_its_meaning(question: Question) -> None:
    if any(column.format == "money" for column in question.columns):
        assert "currency_code" in {column.name for column in question.columns}
        if question.cells:  # the catalogue's words
            assert find_metric(str(question.metric)).definition.strip() in question.definition
        else:
            assert "net of discounts and refunds" in question.definition
            assert "tax excluded" in question.definition


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_periods_end_with_the_data_not_with_the_clock(question: Question) -> None:
    clock = re.findall(r"now\(\)|current_date|current_timestamp", question.sql)

    assert not clock or question.reads in (("marts.data_freshness",), ("marts.backup_proofs",))


COMPILED = [question for question in QUESTIONS if question.cells]


@pytest.mark.parametrize("question", COMPILED, ids=lambda q: q.name)
def test_compiled_figures_are_the_compilers_own_select(question: Question) -> None:
    """Without its filters and days the statement holds the compiler's text for the same query, word for word."""
    cells, metric = question.cells, str(question.metric)
    assert cells is not None
    where = {"currency": "EUR"} if find_metric(metric).unit == "currency" else {}
    months = "2026-01-01..2026-06-30" if cells.newest_months else "2026-06-02..2026-06-30"
    period = "all" if not cells.has_days else "2026-06-30" if cells.newest_days == 1 else months
    plan = compile_query(Query(metric, cells.by, where, period, cells.compare), date(2026, 6, 30))

    plain = re.sub(r"\[\[\(source\).*? and \]\]", "", question.sql)
    plain = re.sub(r"\(select scope\.currency_code from scope\)", "?", plain)
    plain = re.sub(r"\(select scope\.\w+(?: - 7)? from scope\)", "?", plain)
    wanted = re.sub(r"%\(\w+\)s", "?", plan.sql)
    assert " ".join(wanted.split()) in " ".join(plain.split())


WRONG_CELLS = [
    ({"by": ["weather"], "newest_days": 1}, "no dimension 'weather'"),
    ({"by": ["day"], "newest_days": 1, "newest_months": 1}, "not both"),
    ({"by": ["store"], "filters": ["source"]}, "need newest_days"),
    ({"by": ["store"]}, "must say how many"),
]


@pytest.mark.parametrize(("cells", "reason"), WRONG_CELLS)
def test_cells_the_catalogue_can_not_say_are_refused(files: Path, cells: dict[str, Any], reason: str) -> None:
    path = files / "questions" / "sales_per_store_by_day.yaml"
    words = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(words | {"cells": cells}), encoding="utf-8")

    with pytest.raises(ContractError) as failure:
        load_question(path)
    assert reason in str(failure.value.cause)


def test_a_question_with_cells_leaves_the_meaning_to_the_catalogue(files: Path) -> None:
    path = files / "questions" / "sales_per_store_by_day.yaml"
    path.write_text(f"{path.read_text(encoding='utf-8')}owner: Somebody\n", encoding="utf-8")

    with pytest.raises(ContractError) as failure:
        load_question(path)
    assert "the catalogue says owner" in str(failure.value.cause)


def test_no_question_names_a_person() -> None:
    for question in QUESTIONS:
        shown = {column.name for column in question.columns}
        assert not shown & {"customer_id", "full_name", "email", "phone"}


def test_every_question_is_on_a_dashboard() -> None:
    shown = {name for dashboard in CATALOGUE.dashboards.values() for name in dashboard.question_names()}

    assert shown == set(CATALOGUE.questions)
    assert list(CATALOGUE.dashboards) == ["sales", "customers", "inventory", "goals", "trust"]


def test_dashboard_filters_reach_every_question_that_has_them() -> None:
    for dashboard in CATALOGUE.dashboards.values():
        offered = {f.name for f in dashboard.filters}
        wanted = {p for name in dashboard.question_names() for p in CATALOGUE.questions[name].parameters}
        assert wanted <= offered


@pytest.mark.parametrize("filters", [{}, ALL_FILTERS], ids=["no filter", "all filters"])
def test_questions_are_clean_sql_with_and_without_their_filters(filters: dict[str, str]) -> None:
    """What Metabase and we really send, linted; metabase/sqlfluff.cfg lints the files as they are."""
    overrides = {"dialect": "postgres", "max_line_length": 110, "exclude_rules": "structure.column_order"}
    linter = Linter(config=FluffConfig(overrides=overrides))
    for question in QUESTIONS:
        text, values = compile_sql(question.sql, filters)
        for name in values:
            text = text.replace(f"%({name})s", f"'{values[name]}'")
        text = "\n".join(line.rstrip() for line in text.replace("%%", "%").splitlines() if line.strip()) + "\n"
        # Only faults that could change an answer; indentation is judged in the files.
        found = [v for v in linter.lint_string(text).get_violations() if v.rule_code() in ("PRS", "AM02", "AM08")]
        assert found == [], question.name


def test_template_tags_are_the_same_every_time() -> None:
    sql = CATALOGUE.questions["sales_per_store_by_day"].sql

    tags = template_tags("sales_per_store_by_day", sql)

    assert tags == template_tags("sales_per_store_by_day", sql)
    assert set(tags) == set(KNOWN)
    assert tags["date_from"]["type"] == "date"
    assert len({tag["id"] for tag in tags.values()}) == len(tags)


SPOILED_SQL = [
    ("select a from core.sales", "only marts may be read"),
    ("select a from marts.sales_of_core join core.sales using (a)", "only marts may be read"),
    ("select 1; drop table marts.data_freshness", "one select"),
    ("delete from marts.inventory_status", "one select"),
    ("select a from marts.inventory_status /* hidden */", "one select"),
    ("select a from marts.inventory_status where a = {{nobody}}", "unknown filter"),
]


@pytest.mark.parametrize(("sql", "reason"), SPOILED_SQL)
def test_wrong_sql_is_refused_with_its_reason(files: Path, sql: str, reason: str) -> None:
    (files / "questions" / "low_stock_count.sql").write_text(f"-- One row\n{sql}")

    with pytest.raises(ContractError, match="low_stock_count") as refused:
        load_catalogue(files)
    assert reason in (refused.value.cause or "")


SPOILED_YAML = [
    ("questions/low_stock_count.yaml", "owner: Stock manager\n", "", "owner: Field required"),
    ("questions/low_stock_count.yaml", "kind: scalar", "kind: pie", "display.kind"),
    ("questions/low_stock_count.yaml", "y: low_stock_count", "y: nothing", "unlisted columns"),
    ("questions/low_stock_count.yaml", "unit:", "unitt: x\nunit:", "unitt: Extra inputs"),
    ("dashboards/trust.yaml", "question: rejected_records", "question: lost_records", "unknown question"),
    ("dashboards/trust.yaml", "col: 12, size_x: 12", "col: 13, size_x: 12", "leaves the grid"),
    ("dashboards/trust.yaml", "row: 5, col: 0", "row: 2, col: 0", "overlap"),
    ("dashboards/sales.yaml", "name: source, title", "name: nobody, title", "unknown filter"),
]


@pytest.mark.parametrize(("name", "old", "new", "reason"), SPOILED_YAML)
def test_wrong_files_are_refused_with_their_reason(files: Path, name: str, old: str, new: str, reason: str) -> None:
    text = (files / name).read_text()
    assert old in text
    (files / name).write_text(text.replace(old, new, 1))

    with pytest.raises(ContractError, match=Path(name).name) as refused:
        load_catalogue(files)
    assert reason in (refused.value.cause or "")


def test_a_question_without_words_is_noticed(files: Path) -> None:
    (files / "questions" / "low_stock_count.yaml").unlink()

    with pytest.raises(ContractError, match="low_stock_count"):
        load_catalogue(files)


def test_the_catalogue_is_plain_data() -> None:
    assert isinstance(CATALOGUE, Catalogue)
    assert CATALOGUE.questions["tickets_per_store"].column("net_amount").format == "money"
