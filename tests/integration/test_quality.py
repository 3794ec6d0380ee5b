"""
The checks on a small whole business: sound as it is, each check failing on its fixture; results, incidents, freshness.

One database for all of it: what a test breaks it takes back with a savepoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection as PgConnection
from typer.testing import CliRunner

from db.connection import connect
from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.settings import Settings
from panpan.simulate.business import build
from transforms.contract import load_contracts
from transforms.quality import record
from transforms.quality.checks import Check, load_checks
from transforms.quality.freshness import create_freshness, read_freshness
from transforms.quality.judge import Verdict, judge
from transforms.quality.mutate import Mutation, load_mutations, mutate, never_failing
from transforms.quality.watch import check_all

app = assembled()

Making = Callable[[], AbstractContextManager[Settings]]
CONTRACTS = load_contracts()
DAYS = 42


@pytest.fixture(scope="module")
def business(new_warehouse: Making) -> Iterator[tuple[Settings, datetime]]:
    """Six weeks of the simulated business with a proven backup, and the morning after them."""
    with new_warehouse() as settings:
        yield settings, build(settings, DAYS)


@pytest.fixture(scope="module")
def shared(business: tuple[Settings, datetime]) -> Iterator[PgConnection]:
    with connect(business[0], "postgres", business[0].database_name) as connection:
        yield connection
        connection.rollback()


@contextmanager
def taken_back(connection: PgConnection) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("savepoint before_test")
        try:
            yield
        finally:
            cursor.execute("rollback to savepoint before_test")


@pytest.fixture
def scratch(shared: PgConnection) -> Iterator[PgConnection]:
    """The business, on which everything may be broken."""
    with taken_back(shared):
        yield shared


def execute(connection: PgConnection, statement: str, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def rows(connection: PgConnection, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def found_by(connection: PgConnection, check_id: str, now: datetime) -> Verdict:
    [verdict] = judge(connection, CONTRACTS, [load_checks()[check_id]], now)
    return verdict


def test_a_sound_business_passes_every_check(shared: PgConnection, business: tuple[Settings, datetime]) -> None:
    verdicts = judge(shared, CONTRACTS, load_checks().values(), business[1])

    assert [(v.check.id, v.state, v.found) for v in verdicts if v.state != "passed"] == []


@pytest.mark.parametrize("check", load_checks().values(), ids=lambda check: check.id)
def test_check_fails_on_its_fixture(scratch: PgConnection, business: tuple[Settings, datetime], check: Check) -> None:
    now = business[1]
    execute(scratch, check.fixture, now=now, last_day=now.date() - timedelta(days=1))

    verdict = found_by(scratch, check.id, now)

    assert verdict.state == "failed", verdict.reason
    assert verdict.count is not None
    assert verdict.count >= len(verdict.examples) >= 1
    assert all(example.key and example.found for example in verdict.examples)


def test_volume_is_explained_with_the_expected_range_and_the_days_it_is_from(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    execute(
        scratch, load_checks()["core_tickets_are_as_usual"].fixture, last_day=business[1].date() - timedelta(days=1)
    )

    [example] = found_by(scratch, "core_tickets_are_as_usual", business[1]).examples

    assert example.key == "pos centro 2025-11-11"
    assert "expected" in example.found
    assert example.found.count(",") == 5  # the five Tuesdays before


def test_a_check_that_breaks_is_unknown_and_spoils_no_other(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    execute(scratch, "alter table marts.waste rename to waste_of_before")

    verdicts = {v.check.id: v for v in judge(scratch, CONTRACTS, load_checks().values(), business[1])}

    unknown = [v.check.id for v in verdicts.values() if v.state == "unknown"]
    assert unknown == ["marts_waste_equals_movements"]
    assert "does not exist" in str(verdicts[unknown[0]].found)
    assert verdicts["marts_day_equals_receipts"].state == "passed"


def test_only_days_from_the_first_one_asked_for_are_looked_at(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    execute(scratch, "update marts.daily_store_sales set net_amount = 1 where business_date = '2025-10-03'")
    check = load_checks()["marts_day_equals_receipts"]

    [recent] = judge(scratch, CONTRACTS, [check], business[1], since=date(2025, 10, 4))
    [whole] = judge(scratch, CONTRACTS, [check], business[1])

    assert (recent.state, whole.state) == ("passed", "failed")


# --- freshness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "levels"),
    [
        (timedelta(0), {"fresh"}),
        (timedelta(hours=18), {"fresh", "late"}),  # the tills may be 36 hours old, the others 24
        (timedelta(hours=30), {"late"}),
        (timedelta(hours=40), {"late", "silent"}),
        (timedelta(hours=90), {"silent"}),
    ],
)
def test_freshness_follows_the_clock(
    scratch: PgConnection, business: tuple[Settings, datetime], later: timedelta, levels: set[str]
) -> None:
    create_freshness(scratch, CONTRACTS, business[1] + later)

    found = read_freshness(scratch)

    assert {each.level for each in found} == levels
    assert {each.source for each in found} == {"pos", "pos_api", "crm", "inventory"}


def test_a_source_that_answers_without_news_is_late_all_the_same(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    """The scheduler runs, loads arrive every hour, and the newest receipt is of the day before yesterday."""
    now = business[1] + timedelta(hours=30)
    execute(scratch, "update ops.loads set received_at = %(now)s where source = 'pos_api'", now=now)
    create_freshness(scratch, CONTRACTS, now)

    [found] = [each for each in read_freshness(scratch) if each.source == "pos_api"]

    assert found.level == "late"


def test_a_source_whose_loads_all_failed_is_silent(scratch: PgConnection, business: tuple[Settings, datetime]) -> None:
    execute(
        scratch, "insert into ops.loads (source, run_key, status, reason) values ('bread_basket', 'x', 'failed', 'y')"
    )
    create_freshness(scratch, CONTRACTS, business[1])

    [found] = [each for each in read_freshness(scratch) if each.source == "bread_basket"]

    assert (found.level, found.age_hours) == ("silent", None)


# --- results and incidents ---------------------------------------------------------------------------------


def keep(connection: PgConnection, now: datetime) -> None:
    record.record(connection, judge(connection, CONTRACTS, load_checks().values(), now), now)


def test_an_incident_opens_stays_one_and_is_closed_by_the_next_good_run(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    now = business[1]
    wrong = "update marts.daily_store_sales set net_amount = net_amount {} 1 where business_date = '2025-11-03'"
    execute(scratch, wrong.format("+"))
    for minutes in (0, 15):
        keep(scratch, now + timedelta(minutes=minutes))
    opened = record.read_incidents(scratch, only_open=True)
    execute(scratch, wrong.format("-"))
    keep(scratch, now + timedelta(minutes=30))
    closed = record.read_incidents(scratch)

    causes = ["marts_day_equals_receipts", "marts_month_equals_its_days", "marts_published_revenue_is_shown"]
    assert sorted(each.cause for each in opened) == causes
    assert {(each.opened_at, each.last_seen_at) for each in opened} == {(now, now + timedelta(minutes=15))}
    assert sorted(each.cause for each in closed) == causes
    assert {each.lasted for each in closed} == {timedelta(minutes=30)}


def test_what_comes_back_is_a_new_incident(scratch: PgConnection, business: tuple[Settings, datetime]) -> None:
    now = business[1]
    for hours, quantity in enumerate((-1, 1, -1)):
        execute(scratch, "update core.stock_levels set on_hand_quantity = %(q)s", q=quantity)
        keep(scratch, now + timedelta(hours=hours))

    found = [each for each in record.read_incidents(scratch) if each.cause == "core_stock_is_not_negative"]

    assert [each.closed_at for each in found] == [None, now + timedelta(hours=1)]


def test_a_check_that_could_not_be_made_closes_nothing(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    execute(scratch, "update marts.waste set waste_quantity = waste_quantity + 1")
    keep(scratch, business[1])
    execute(scratch, "alter table marts.waste rename to waste_of_before")
    keep(scratch, business[1] + timedelta(hours=1))

    [found] = record.read_incidents(scratch, only_open=True)

    assert (found.cause, found.last_seen_at) == ("marts_waste_equals_movements", business[1])


def test_results_are_kept_for_ninety_days_and_the_mart_says_the_last(
    scratch: PgConnection, business: tuple[Settings, datetime]
) -> None:
    now = business[1]
    execute(scratch, "update core.stock_levels set on_hand_quantity = -1")
    for days in (0, 91):
        keep(scratch, now + timedelta(days=days))

    assert rows(scratch, "select count(*), count(distinct checked_at) from ops.check_results") == [
        (len(load_checks()), 1)
    ]
    [(state, found, since)] = rows(
        scratch,
        "select state, found, failing_since from marts.check_results where check_id = 'core_stock_is_not_negative'",
    )
    assert (state, since) == ("failed", now)
    assert "in stock; 90 in all" in found


# --- commands ----------------------------------------------------------------------------------------------


@pytest.fixture
def called(warehouse: Settings) -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(app, ["quality", *words, "--home", str(warehouse.home)])


def test_commands_tell_of_a_warehouse_in_which_nothing_is_yet(warehouse: Settings, called: Callable[..., Any]) -> None:
    assert called("run").exit_code == 0
    assert called("freshness", "--json").exit_code == 0
    assert '"incidents": []' in called("incidents", "--json").stdout
    assert '"state": "passed"' in called("show", "marts_day_equals_receipts", "--json").stdout


def test_a_failed_run_ends_with_three_and_its_incident_can_be_taken_on(
    warehouse: Settings, called: Callable[..., Any], ask: Callable[..., Any]
) -> None:
    ask(
        "insert into ops.loads (source, run_key, status, started_at, received_at)"
        " values ('crm', 'x', 'received', now() - interval '5 hours', now() - interval '5 hours')"
    )

    failed = called("run")
    listed = record.incidents(warehouse, only_open=True)
    taken_on = called("ack", str(listed[0].incident_id), "--by", "Ana", "--note", "on it", "--json")

    assert (type(failed.exception).__name__, failed.exception.exit_code) == ("CheckFailed", 3)
    assert [each.cause for each in listed] == ["raw_loads_are_not_stuck"]
    assert '"acknowledged_by": "Ana"' in taken_on.stdout
    assert record.incidents(warehouse)[0].note == "on it"
    with pytest.raises(UsageError):
        record.acknowledge(warehouse, 99_999, "Ana", None)


def test_readers_of_dashboards_see_the_results(warehouse: Settings) -> None:
    check_all(warehouse, datetime.now(UTC))

    with connect(warehouse, "bi") as connection:
        assert rows(connection, "select count(*) from marts.check_results where state = 'passed'") == [
            (len(load_checks()),)
        ]


# --- what goes wrong in a business -------------------------------------------------------------------------


def test_what_goes_wrong_in_a_business_is_noticed(shared: PgConnection, business: tuple[Settings, datetime]) -> None:
    """Every mutation is done and taken back; what a source sent wrongly is in the marts as well."""
    mutations = load_mutations()
    with taken_back(shared):
        caught = list(mutate(shared, CONTRACTS, list(load_checks().values()), mutations, business[1]))

    assert len({each.id for each in mutations}) == len(mutations) >= 50
    assert [each.mutation.id for each in caught] == [each.id for each in mutations]
    assert [each.mutation.id for each in caught if not each.is_caught] == []
    assert [
        v.check.id for v in judge(shared, CONTRACTS, load_checks().values(), business[1]) if v.state != "passed"
    ] == []


def test_a_mutation_that_changes_nothing_is_refused(scratch: PgConnection, business: tuple[Settings, datetime]) -> None:
    """It would be counted as missed, or as caught, for nothing."""
    empty = Mutation(id="nothing", what="Nothing.", layer="core", sql="update core.sales set event = event where false")

    with pytest.raises(UsageError, match="changes nothing"):
        list(mutate(scratch, CONTRACTS, [], [empty], business[1]))


def test_a_check_whose_fixture_is_harmless_is_found(scratch: PgConnection, business: tuple[Settings, datetime]) -> None:
    sound = load_checks()["core_stock_is_not_negative"]
    lying = sound.model_copy(update={"fixture": "update core.stock_levels set on_hand_quantity = 1"})

    assert never_failing(scratch, CONTRACTS, [sound, lying], business[1]) == [lying.id]


def test_a_table_nothing_ever_came_for_is_told_without_gaps(warehouse: Settings) -> None:
    statement = load_checks()["raw_sources_are_not_silent"].statement
    with connect(warehouse, "transformer") as connection:
        execute(
            connection,
            "create temporary table freshness on commit drop as select 'crm' as source, 'core.customers' as table_name,"
            " null::timestamptz as known_until, null::numeric as age_hours, 48 as error_after_hours, 'silent' as level",
        )
        found = rows(connection, statement, now=datetime.now(UTC))

    assert found == [("crm core.customers", "nothing was ever received; silent after 48 hours")]
