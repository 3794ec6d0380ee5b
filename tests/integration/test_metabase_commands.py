"""`panpan metabase plan | apply | audit | preview` as typed, with a real PostgreSQL behind and the double in front."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from psycopg2 import sql
from typer.testing import CliRunner, Result

from db.connection import connect
from metabase import kinds_words
from metabase.alert_files import HEARTBEAT, alert_sql, load_mails
from metabase.catalogue import load_catalogue
from metabase.client import MetabaseError
from panpan import dashboards
from panpan.cli import metabase as commands
from panpan.errors import PanpanError
from panpan.settings import HOME_FILE, Settings, load_settings

FOLDER = Path(__file__).resolve().parents[1] / "metabase_double"
MAILS = load_mails(load_catalogue())
APP = typer.Typer()
commands.register(APP)


@pytest.fixture(scope="module")
def double_module() -> Any:
    """The double's files as one module; folders of tests are no packages."""
    if "metabase_double" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "metabase_double", FOLDER / "entry.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec and spec.loader
        sys.modules["metabase_double"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["metabase_double"]


@pytest.fixture
def double(double_module: Any) -> Iterator[Any]:
    with double_module.serve(double_module.Metabase()) as running:
        yield running
        assert running.m.violations == []


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The double knows some of our tables only, so each first apply looks for the others until it gives up."""
    monkeypatch.setattr(kinds_words, "PAUSE_SECONDS", 0)


@pytest.fixture
def home(warehouse: Settings, double: Any) -> Path:
    """A home whose Metabase is the double, which nobody has claimed."""
    (warehouse.home / "run").mkdir(exist_ok=True)
    file = warehouse.home / HOME_FILE
    file.write_text(f"{file.read_text(encoding='utf-8')}PANPAN_METABASE_URL={double.url}\n", encoding="utf-8")
    return warehouse.home


def typed(*words: str, home: Path) -> Result:
    """A command, as a person types it."""
    return CliRunner().invoke(APP, ["metabase", *words, "--home", str(home)])


def object_of(*words: str, home: Path) -> dict[str, Any]:
    """What a command prints with --json."""
    result = typed(*words, "--json", home=home)
    if isinstance(result.exception, PanpanError):
        raise result.exception
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_plan_apply_apply(home: Path, double: Any) -> None:
    """The whole way: nothing is written by a plan, everything by the first apply, nothing by the second."""
    planned = object_of("plan", home=home)
    assert double.m.writes == 0
    applied = object_of("apply", home=home)
    written = double.m.writes
    again = object_of("apply", home=home)
    quiet = object_of("plan", home=home)

    assert {"ok", "adds", "changes", "removals", "drift", "writes", "url", "version", "notes"} == set(applied)
    assert {each["key"] for each in planned["adds"]} >= {
        "administrator/first",
        "dashboard/sales",
        "question/stock_levels",
    }
    sales = next(each for each in planned["adds"] if each["key"] == "dashboard/sales")
    assert "filters: source, currency, date_from, date_to" in sales["content"]
    assert sales in applied["adds"]
    assert written == applied["writes"]
    assert "dashboard/sales" in {each["key"] for each in applied["adds"]}
    for report in (again, quiet):
        assert tuple(report[k] for k in ("adds", "changes", "removals", "drift", "writes")) == ([], [], [], [], 0)
    assert written == double.m.writes


def test_the_secrets_are_kept_in_the_private_file_and_said_nowhere(home: Path, double: Any) -> None:
    result = typed("apply", home=home)

    settings = load_settings(home=home)
    assert settings.metabase_admin_password and settings.metabase_api_key
    for secret in (settings.metabase_admin_password, settings.metabase_api_key, settings.bi_password):
        assert secret.get_secret_value() not in result.stdout + result.stderr
        assert secret.get_secret_value() not in (home / dashboards.MEMORY_FILE).read_text(encoding="utf-8")
    assert (home / HOME_FILE).stat().st_mode & 0o777 == 0o600
    assert (home / dashboards.MEMORY_FILE).stat().st_mode & 0o777 == 0o600
    database = next(iter(double.m.databases.values()))["details"]
    assert ("bi", settings.bi_password.get_secret_value()) == (database["user"], database["password"])


def test_drift_is_told_to_people_and_put_right(home: Path, double: Any) -> None:
    typed("apply", home=home)
    card = next(card for card in double.m.cards.values() if card["name"] == "Stock levels")
    card["name"] = "Mine"

    told = typed("plan", home=home).stdout
    done = typed("apply", home=home).stdout

    assert '! changed by hand, put right question Mine: name ("Mine" -> "Stock levels")' in told.replace(
        "put right question Stock levels", "put right question Mine"
    )
    assert "0 added, 0 changed, 0 removed, 1 by hand; 1 write requests" in done
    assert card["name"] == "Stock levels"


def test_audit_ends_with_3_and_names_the_author(home: Path, double: Any) -> None:
    typed("apply", home=home)
    clean = typed("audit", home=home)
    user = double.m.add_user("spy@shop.example", first="Sam", last="Spy")["id"]
    card = next(iter(double.m.cards.values()))
    number = double.m.new_id()
    stage = card["dataset_query"]["stages"][0] | {"native": "select full_name from core.customers"}
    double.m.cards[number] = card | {
        "id": number, "name": "Names", "description": None, "collection_id": None, "creator_id": user,
        "dataset_query": card["dataset_query"] | {"stages": [stage]},
    }  # fmt: skip

    found = typed("audit", home=home)

    assert (clean.exit_code, found.exit_code) == (0, 3)
    assert "Sam Spy <spy@shop.example>" in found.stdout
    assert "core.customers" in found.stdout


def test_without_an_address_the_way_out_is_named(warehouse: Settings) -> None:
    with pytest.raises(MetabaseError, match="no Metabase") as failure:
        object_of("plan", home=warehouse.home)

    assert "preview" in (failure.value.next or "")


def test_an_old_version_is_refused_with_its_reason(home: Path, double: Any) -> None:
    double.m.tag = "v0.63.1"

    with pytest.raises(MetabaseError, match="refused") as failure:
        object_of("apply", home=home)

    assert "0.63.5" in (failure.value.cause or "")
    assert double.m.writes == 0


def test_the_preview_shows_the_same_dashboards_without_a_metabase(warehouse: Settings) -> None:
    pages = object_of("preview", "sales", "inventory", home=warehouse.home)["dashboards"]

    assert [page["name"] for page in pages] == ["sales", "inventory"]
    assert f"http://127.0.0.1:{warehouse.web_port}/dashboards/sales" == pages[0]["url"]
    assert all(card["says"] for card in pages[0]["cards"] if not card["rows"])


FILES = {
    "html": (["trust.html"], b"<!doctype html>"),
    "pdf": (["trust.pdf"], b"%PDF-"),
    "png": (["trust.png"], b"\x89PNG"),
    "xlsx": (["trust.xlsx"], b"PK"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_preview_writes_files(kind: str, warehouse: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    written = object_of("preview", "trust", "--format", kind, "--to", str(folder), home=warehouse.home)["files"]
    names, start = FILES[kind]

    assert [Path(file).name for file in written] == names == [file.name for file in folder.iterdir()]
    assert (folder / names[0]).read_bytes().startswith(start)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_the_preview_writes_a_file_for_each_question(kind: str, warehouse: Settings, tmp_path: Path) -> None:
    object_of("preview", "trust", "--format", kind, "--to", str(tmp_path), home=warehouse.home)

    named = load_catalogue().dashboards["trust"].question_names()
    assert {file.name for file in tmp_path.glob(f"*.{kind}")} == {f"{name}.{kind}" for name in named}


def test_a_page_as_a_file_needs_no_server(warehouse: Settings, tmp_path: Path) -> None:
    object_of("preview", "sales", "--format", "html", "--to", str(tmp_path), home=warehouse.home)
    page = (tmp_path / "sales.html").read_text(encoding="utf-8")

    assert 'href="/' not in page
    assert 'src="/' not in page
    assert "<style>" in page
    assert f'href="http://127.0.0.1:{warehouse.web_port}/questions/' in page


# --- the alerts' statements ----------------------------------------------------------------------------


FLOUR, SALT = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
MADE_UP = {
    "text": "x",
    "date": "2026-05-01",
    "timestamp with time zone": "2026-05-01T06:00:00Z",
    "boolean": False,
    "uuid": FLOUR,
}


def insert(settings: Settings, table: str, **row: Any) -> None:
    """One row of a mart; what is not given and may not be empty gets a value of its type."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'marts' and table_name = %s and is_nullable = 'NO' and column_default is null",
            (table,),
        )
        whole = {name: MADE_UP.get(kind, 1) for name, kind in cursor.fetchall()} | row
        statement = sql.SQL("insert into marts.{} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, whole)),
            sql.SQL(", ").join(sql.Placeholder() * len(whole)),
        )
        cursor.execute(statement, list(whole.values()))


def rows_of(settings: Settings, name: str, *, engine_is_known: bool = False) -> list[tuple[Any, ...]]:
    """An alert's rows, asked as Metabase asks: as role bi."""
    text = alert_sql(MAILS.questions[name], MAILS.alerts[name], engine_is_known=engine_is_known)
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(text)
        return list(cursor.fetchall())


@pytest.mark.parametrize("name", MAILS.alerts)
def test_no_alert_on_an_empty_warehouse(name: str, warehouse: Settings) -> None:
    assert rows_of(warehouse, name) == []


def test_low_stock_has_a_row_per_low_product(warehouse: Settings) -> None:
    level = {"store_id": "s1", "unit": "kg", "counted_at": "2026-05-01T06:00:00Z"}
    flour = {"product_id": FLOUR, "product_name": "Flour", "on_hand_quantity": 3, "reorder_level": 10, "is_low": True}
    salt = {"product_id": SALT, "product_name": "Salt", "on_hand_quantity": 30, "reorder_level": 1, "is_low": False}
    insert(warehouse, "inventory_status", **level, **flour)
    insert(warehouse, "inventory_status", **level, **salt)

    assert [row[0] for row in rows_of(warehouse, "low_stock")] == ["Flour"]


def test_a_silent_source_has_a_row(warehouse: Settings) -> None:
    limits = {"warn_after_hours": 24, "error_after_hours": 48, "row_count": 1, "reject_count": 0}
    for source, moment in (("old", "2026-01-01T00:00:00Z"), ("fresh", "2200-01-01T00:00:00Z")):
        moments = {"last_record_at": moment, "last_load_at": moment}
        insert(warehouse, "data_freshness", source=source, title=source.title(), **moments, **limits)

    assert [row[0] for row in rows_of(warehouse, "source_silent")] == ["Old"]


def test_a_store_that_stopped_selling_has_a_row_and_one_closed_for_a_day_has_none(warehouse: Settings) -> None:
    days = {"open": "2026-05-20", "closed today": "2026-05-19", "stopped": "2026-05-18", "long gone": "2026-04-01"}
    for store, day in days.items():
        insert(warehouse, "daily_store_sales", business_date=day, store_id=store, store_name=store, ticket_count=5,
               source="pos", channel="store", currency_code="EUR")  # fmt: skip

    assert [row[0] for row in rows_of(warehouse, "store_without_sales")] == ["stopped"]


def test_an_alert_is_quiet_while_our_engine_lives_and_loud_when_it_is_dead(warehouse: Settings) -> None:
    """No double mail in normal operation, and the mail of the second path when the first is gone."""
    insert(warehouse, "inventory_status", product_id=FLOUR, product_name="Flour", store_id="s1", is_low=True)
    heartbeat(warehouse, "now()")
    alive = rows_of(warehouse, "low_stock", engine_is_known=True)
    heartbeat(warehouse, "now() - interval '4 hours'")
    dead = rows_of(warehouse, "low_stock", engine_is_known=True)
    heartbeat(warehouse, None)
    never = rows_of(warehouse, "low_stock", engine_is_known=True)

    assert (len(alive), len(dead), len(never)) == (0, 1, 1)


def heartbeat(settings: Settings, moment: str | None) -> None:
    """Our engine's last sign of life; None: it never gave one."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(f"delete from {HEARTBEAT}")  # noqa: S608  # a name of our own
        if moment:
            columns = "last_evaluated_at, tried_at, rule_count, failed_rule_count, undelivered_count"
            cursor.execute(f"insert into {HEARTBEAT} ({columns}) values ({moment}, now(), 1, 0, 0)")  # noqa: S608


def test_apply_sees_whether_there_is_an_engine(home: Path, double: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that was not migrated yet has none, and its alerts must not ask for it."""
    assert dashboards.engine_is_known(load_settings(home=home))
    monkeypatch.setattr(dashboards, "HEARTBEAT", "marts.no_heartbeat")
    typed("apply", home=home)
    assert not any(HEARTBEAT in str(card["dataset_query"]) for card in double.m.cards.values())
    monkeypatch.undo()

    changed = object_of("apply", home=home)

    assert {f"question/alert-{name}" for name in MAILS.alerts} == {each["key"] for each in changed["changes"]}
    assert object_of("plan", home=home)["changes"] == []
