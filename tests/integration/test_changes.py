"""The change log: what is noted, who may approve, and that nothing can be altered, moved or cut off unnoticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from psycopg2 import sql

from db.connection import connect
from panpan.errors import UsageError
from panpan.governance import approval, definitions, log
from panpan.governance.impact import impact
from panpan.governance.log import Change
from panpan.governance.score import score, timed
from panpan.settings import CHECKOUT, Settings
from transforms.metrics import REVIEWED_EVERY

TODAY = date(2026, 11, 21)
FOUR = [Change("rule", f"rule {number}", "old", "new") for number in range(1, 5)]


@pytest.fixture
def four_entries(warehouse: Settings) -> Settings:
    """A log of four entries."""
    log.append(warehouse, FOUR, "Ana", "a test")
    return warehouse


def tamper(settings: Settings, statement: str, *values: Any) -> None:
    """Change the log as somebody would who owns the table and switches its guard off."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("alter table ops.change_log disable trigger user")
        cursor.execute(sql.SQL(statement), values)
        cursor.execute("alter table ops.change_log enable trigger user")


def test_untouched_log_is_well(four_entries: Settings) -> None:
    assert log.verify(four_entries) == []
    assert [entry.change_id for entry in log.entries(four_entries)] == [1, 2, 3, 4]
    assert (four_entries.home / log.HEAD_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("update ops.change_log set reason = 'another' where change_id = 2", 2),
        ("update ops.change_log set changed_by = 'Luis' where change_id = 3", 3),
        ("update ops.change_log set after = null where change_id = 1", 1),
        ("update ops.change_log set changed_at = changed_at + interval '1 second' where change_id = 4", 4),
        ("delete from ops.change_log where change_id = 2", 2),
        ("delete from ops.change_log where change_id = 1", 1),
        ("delete from ops.change_log where change_id >= 3", 3),  # the tail is cut off
        ("delete from ops.change_log", 1),
        (
            "update ops.change_log set change_id = case change_id when 2 then 30 else 2 end where change_id in (2, 30)",
            2,
        ),
    ],
)
def test_log_that_was_touched_is_broken_there(four_entries: Settings, statement: str, broken_at: int) -> None:
    tamper(four_entries, statement)

    assert log.verify(four_entries)[0].change_id == broken_at


def test_two_entries_that_changed_places_are_found(four_entries: Settings) -> None:
    tamper(four_entries, "update ops.change_log set change_id = -change_id where change_id in (2, 3)")
    tamper(four_entries, "update ops.change_log set change_id = 5 + change_id where change_id < 0")

    assert log.verify(four_entries)[0].change_id == 2


def test_entry_altered_with_a_fitting_hash_breaks_the_next(four_entries: Settings) -> None:
    [_, second, *_] = log.entries(four_entries)
    forged = log.Entry(**{**vars(second), "reason": "another"})
    tamper(
        four_entries,
        "update ops.change_log set reason = %s, entry_hash = %s where change_id = 2",
        "another",
        forged.expected_hash(),
    )

    assert log.verify(four_entries)[0].change_id == 3


def test_last_entry_altered_with_a_fitting_hash_is_not_the_one_the_home_knows(four_entries: Settings) -> None:
    last = log.entries(four_entries)[-1]
    forged = log.Entry(**{**vars(last), "after": "forged"})
    tamper(
        four_entries,
        "update ops.change_log set after = 'forged', entry_hash = %s where change_id = 4",
        forged.expected_hash(),
    )

    assert [fault.change_id for fault in log.verify(four_entries)] == [4]


def test_without_the_head_the_end_is_not_proven(four_entries: Settings) -> None:
    (four_entries.home / log.HEAD_FILE).unlink()

    assert [fault.change_id for fault in log.verify(four_entries)] == [4]


@pytest.mark.parametrize("role", ["transformer", "owner"])
@pytest.mark.parametrize(
    "statement", ["update ops.change_log set reason = ''", "delete from ops.change_log", "truncate ops.change_log"]
)
def test_nobody_may_change_the_log(four_entries: Settings, role: Any, statement: str) -> None:
    with pytest.raises(psycopg2.Error), connect(four_entries, role) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL(statement))


def test_first_run_notes_every_definition_and_the_second_none(warehouse: Settings) -> None:
    added = definitions.record(warehouse)

    assert {entry.kind for entry in added} >= {"metric", "contract", "rule", "alert", "role", "vocabulary", "dashboard"}
    assert definitions.record(warehouse) == []


def test_changed_contract_of_the_home_is_noted_with_its_difference(warehouse: Settings) -> None:
    warehouse.own_contracts.mkdir()
    own = warehouse.own_contracts / "kiosk.toml"
    own.write_text("warn_after_hours = 24\n", encoding="utf-8")
    definitions.record(warehouse)
    own.write_text("warn_after_hours = 48\n", encoding="utf-8")

    [changed] = definitions.record(warehouse, "Ana", "the kiosk is closed on Sundays")
    own.unlink()
    [gone] = definitions.record(warehouse, "Ana", "the kiosk is closed")

    assert (changed.kind, changed.subject, changed.changed_by) == ("contract", "home/sources/kiosk.toml", "Ana")
    assert "-warn_after_hours = 24\n+warn_after_hours = 48" in definitions.difference(changed)
    assert (gone.before, gone.after) == ("warn_after_hours = 48\n", None)


def tips(folder: Path, **other: Any) -> Path:
    """A metric of the owner's own, made from one that was shipped."""
    facts = yaml.safe_load((CHECKOUT / "transforms/metrics/tickets.yaml").read_text(encoding="utf-8"))
    path = folder / "tips.yaml"
    path.write_text(yaml.safe_dump({**facts, "name": "tips", **other}), encoding="utf-8")
    return path


@pytest.fixture
def own_home(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A warehouse whose home is the one the program runs in."""
    monkeypatch.setenv("PANPAN_HOME", str(warehouse.home))
    return warehouse


def test_proposed_metric_is_a_draft_until_another_person_approves_it(own_home: Settings, tmp_path: Path) -> None:
    proposed = approval.propose(own_home, str(tips(tmp_path)), "Ana", "we share tips")

    assert (proposed.state, proposed.proposed_by) == ("draft", "Ana")
    assert approval.drafts(own_home) == {"tips"}
    with pytest.raises(UsageError, match="proposed"):
        approval.approve(own_home, "tips", " ana ", "mine")
    approved = approval.approve(own_home, "tips", "Luis", "as agreed")
    assert (approved.state, approved.approved_by) == ("approved", "Luis")
    assert approved.review_due == approved.approved_on + REVIEWED_EVERY
    assert approval.drafts(own_home) == set()
    assert log.verify(own_home) == []


def test_approved_metric_that_is_changed_is_a_draft_again(own_home: Settings, tmp_path: Path) -> None:
    approval.propose(own_home, str(tips(tmp_path)), "Ana", "we share tips")
    approval.approve(own_home, "tips", "Luis", "as agreed")

    tips(own_home.home / "metrics", question="Who gets the tips?")

    assert approval.drafts(own_home) == {"tips"}
    with pytest.raises(UsageError, match="not proposed"):
        approval.approve(own_home, "tips", "Luis", "again")


def test_name_of_a_shipped_metric_is_taken(own_home: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="revenue"):
        approval.propose(own_home, str(tips(tmp_path, name="revenue")), "Ana", "mine is better")


def test_shipped_metrics_are_approved_as_their_files_say(warehouse: Settings) -> None:
    definitions.record(warehouse)

    assert {standing.state for standing in approval.standings(warehouse).values()} == {"approved"}


def test_overdue_review_is_amber_until_it_is_done(warehouse: Settings) -> None:
    definitions.record(warehouse)
    revenue = approval.standings(warehouse)["revenue"]
    assert revenue.review_due is not None
    late = revenue.review_due + timedelta(days=1)

    assert (revenue.word(revenue.review_due), revenue.word(late)) == ("approved", "review overdue")
    reviewed = approval.review(warehouse, "revenue", "Ana", "still true")
    assert reviewed.review_due is not None
    assert reviewed.review_due >= date.today() + REVIEWED_EVERY - timedelta(days=1)


def test_impact_of_a_source_goes_down_to_dashboards_and_alerts(warehouse: Settings, tmp_path: Path) -> None:
    becomes = tmp_path / "pos.toml"
    text = (CHECKOUT / "transforms/sources/pos.toml").read_text(encoding="utf-8")
    becomes.write_text(text.replace('from = "Net Sales"', 'from = "Net Sales (EUR)"'), encoding="utf-8")

    found = impact(warehouse, "pos", becomes)

    assert found.columns == ["sale_lines.net_amount"]
    assert {"sales", "sale_lines", "payments", "customers"} <= set(found.core)
    assert "daily_store_sales" in found.marts
    assert {"revenue", "tickets"} <= set(found.metrics)
    assert "sales_per_store_by_day" in found.questions
    assert "sales" in found.dashboards
    assert {"no_sales", "metabase.store_without_sales"} <= set(found.alerts)


def test_impact_of_the_inventory_leaves_customers_alone(warehouse: Settings) -> None:
    found = impact(warehouse, "inventory")

    assert "inventory_value" in found.metrics
    assert {"customers", "customer_sources", "sales"} & set(found.core) == set()
    assert {"daily_customers", "customer_activity"} & set(found.marts) == set()
    assert "low_stock" in found.alerts


def test_score_counts_what_was_measured_and_keeps_a_trend(warehouse: Settings, ask: Callable[..., Any]) -> None:
    definitions.record(warehouse)
    with timed(warehouse, "ask") as answer:
        answer.is_answered = True
    ask(
        "insert into ops.truth_scores (scored_on, measures) values (%s, %s)",
        TODAY - timedelta(days=1),
        json.dumps([{"name": "coverage", "good": 1, "of": 2, "says": ""}]),
    )

    found = score(warehouse, TODAY)
    again = score(warehouse, TODAY)

    measures = {each.name: each for each in found.measures}
    assert set(measures) == {"consistency", "discrepancies", "coverage", "freshness", "time_to_answer"}
    assert measures["freshness"].share is None, "what was never measured is not counted as good"
    assert measures["time_to_answer"].share == 1
    assert 0 < (measures["coverage"].share or 0) <= 1
    assert found.trend == again.trend == [(TODAY - timedelta(days=1), 50.0), (TODAY, found.percent)]


def test_a_draft_covers_no_question_and_what_asks_about_the_data_is_not_counted(
    warehouse: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = (each for each in score(warehouse, TODAY).measures if each.name == "coverage")
    monkeypatch.setattr("panpan.governance.score.drafts", lambda _: {"revenue"})
    (after,) = (each for each in score(warehouse, TODAY).measures if each.name == "coverage")

    assert (after.good or 0) < (before.good or 0)
    assert after.of == before.of
    assert (before.of or 0) < len(list((CHECKOUT / "metabase" / "questions").glob("*.yaml")))
