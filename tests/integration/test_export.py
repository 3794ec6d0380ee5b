"""Tables taken away as Parquet: the database's own rows, of one moment, whole or not there; and proven later."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from psycopg2 import sql
from psycopg2.extras import RealDictCursor
from pyarrow import parquet
from typer.testing import CliRunner

from db.connection import connect
from panpan.cli.app import assembled
from panpan.errors import CheckFailed, PanpanError, UsageError
from panpan.governance import export as exports
from panpan.governance import log
from panpan.governance.export import MANIFEST, Export, Finding, compare, export, findings, read_export
from panpan.settings import CHECKOUT, Settings
from transforms import columnar
from transforms.asof import MARTS
from transforms.metrics import load_metrics
from transforms.run import run

Ask = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., None]
Typed = Callable[..., tuple[BaseException | None, Any]]

CAFE = "Transaction ID,Item,Quantity,Price Per Unit,Total Spent,Payment Method,Location,Transaction Date\n"
TEA = "T1,Tea,1,2.00,2.00,Cash,Takeaway,2026-03-01\n"
CAKE = "T2,Cake,2,3.00,6.00,Cash,In-store,2026-03-02\n"
CHEAPER_CAKE = CAKE.replace("2,3.00,6.00", "2,2.50,5.00")
CUSTOMER = (
    "customer_id,home_store,customer_first-name,customer_email,customer_since,loyalty_card_number,birthdate,gender,"
    "birth_year\n7,3,Kelly Key,kelly@example.com,2017-01-04,908-424-2890,1950-05-29,M,1950\n"
)
# Kinds of values that no load of these tests brings: JSON, numbers of any length, moments of another zone, nulls.
ALERTS = """
insert into ops.alert_states (
    rule, labels, title, phase, since, phase_since, announced, is_broken_told, is_blind, value, level
) values
    ('low', '{"store": "Café"}', 'Low, "flour"', 'ok', '2026-03-01 00:30+05', now(), false, false, false, 12.125, 7),
    ('low', '{"store": "b"}', 'Low', 'ok', '2026-03-01 00:30+05', now(), false, false, false, -1e20, null)
"""


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Load:
    """Delivers a document and runs the transforms."""

    def put(source: str, content: str) -> None:
        deliver(source, content)
        run(warehouse)

    return put


@pytest.fixture
def figures(load: Load) -> None:
    load("dirty_cafe", CAFE + TEA + CAKE)


@pytest.fixture
def typed(warehouse: Settings) -> Typed:
    """What `panpan export ... --json` ended with and printed."""

    def call(*words: str) -> tuple[BaseException | None, Any]:
        answer = CliRunner().invoke(assembled("export"), ["export", *words, "--home", str(warehouse.home), "--json"])
        return answer.exception, json.loads(answer.stdout) if answer.stdout else None

    return call


def rows_in(taken: Export, table: str) -> list[dict[str, Any]]:
    return list(parquet.read_table(taken.folder / f"{table}.parquet").to_pylist())


def rows_of(settings: Settings, table: str) -> list[dict[str, Any]]:
    """As the database has them, ids and JSON as its own text."""
    place = sql.Identifier(*table.split("."))
    with connect(settings, "owner") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(sql.SQL("select * from {} limit 0").format(place))
        names = [(column.name, column.type_code in (2950, 3802)) for column in cursor.description or ()]
        shown = [sql.SQL("{}::text" if as_text else "{}").format(sql.Identifier(name)) for name, as_text in names]
        cursor.execute(sql.SQL("select {} from {}").format(sql.SQL(", ").join(shown), place))
        return [dict(row) for row in cursor.fetchall()]


def left_beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path != folder)


def test_every_mart_has_the_rows_and_values_of_the_database(
    warehouse: Settings, figures: None, load: Load, ask: Ask, tmp_path: Path
) -> None:
    load("coffee_chain", CUSTOMER)
    ask(ALERTS)

    taken = export(warehouse, tmp_path / "out")

    marts = [f"marts.{name}" for (name,) in ask(
        "select relname from pg_class where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v') order by 1"
    )]  # fmt: skip
    assert [each.table for each in taken.manifest.files] == marts
    filled = set()
    for each in taken.manifest.files:
        found, known = rows_in(taken, each.table), rows_of(warehouse, each.table)
        assert [row for row in known if row not in found] == [], each.table
        assert each.rows == len(found) == len(known)
        filled |= {each.table} if known else set()
    assert {"marts.daily_store_sales", "marts.hourly_store_sales", "marts.published_figures", "marts.alerts"} <= filled
    alerts = {row["labels"]: row for row in rows_in(taken, "marts.alerts")}
    cafe, other = alerts['{"store": "Café"}'], alerts['{"store": "b"}']
    assert (cafe["value"], cafe["level"], other["level"]) == (Decimal("12.125"), Decimal(7), None)
    assert other["value"] == Decimal("-100000000000000000000")
    assert cafe["since"] == datetime(2026, 2, 28, 19, 30, tzinfo=UTC)
    assert cafe["title"] == 'Low, "flour"'


def test_columns_are_typed_and_the_file_says_what_they_mean(warehouse: Settings, figures: None, tmp_path: Path) -> None:
    taken = export(warehouse, tmp_path / "out", ["daily_store_sales", "data_freshness", "hourly_store_sales"])

    sales = parquet.read_schema(taken.folder / "marts.daily_store_sales.parquet")
    assert sales.field("net_amount").type == pa.decimal128(16, 2)
    assert sales.field("item_quantity").type == pa.decimal128(16, 4)
    assert sales.field("business_date").type == pa.date32()
    assert sales.field("ticket_count").type == pa.int32()
    assert sales.field("store_id").type == pa.string()
    freshness = parquet.read_schema(taken.folder / "marts.data_freshness.parquet")
    assert freshness.field("last_load_at").type == pa.timestamp("us", tz="UTC")
    facts = {name.decode(): text.decode() for name, text in sales.metadata.items()}
    assert facts["table"] == "marts.daily_store_sales"
    assert facts["grain"].startswith("One row per business date")
    assert json.loads(facts["columns"])["net_amount"].startswith("Revenue")
    assert json.loads(facts["keys"]) == ["business_date", "store_id", "source", "channel", "currency_code"]
    select = CHECKOUT / "transforms" / "marts" / "daily_store_sales.sql"
    assert facts["definition"] == select.read_text(encoding="utf-8")
    view = parquet.read_schema(taken.folder / "marts.hourly_store_sales.parquet")
    assert "SELECT" in view.metadata[b"definition"].decode()
    file = parquet.ParquetFile(taken.folder / "marts.data_freshness.parquet")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_manifest_says_what_was_taken_and_what_it_stands_on(
    warehouse: Settings, figures: None, load: Load, ask: Ask, tmp_path: Path
) -> None:
    load("coffee_chain", CUSTOMER)
    [entry] = log.append(warehouse, [log.Change("rule", "a rule", "old", "new")], "Ana", "a test")
    [(known_at,)] = ask("select max(known_at) from ops.runs")

    manifest = export(warehouse, tmp_path / "out", ["daily_store_sales", "alert_heartbeat"]).manifest

    assert (manifest.as_of, manifest.read_as) == (known_at, "bi")
    assert timedelta() <= datetime.now(UTC) - manifest.taken_at < timedelta(minutes=1)
    assert manifest.change_log_head is not None
    assert (manifest.change_log_head.change_id, manifest.change_log_head.hash) == (entry.change_id, entry.entry_hash)
    sales, heartbeat = manifest.files
    assert sales.grain.startswith("One row per business date")
    [amount] = [column for column in sales.columns if column.name == "net_amount"]
    assert amount.type == "numeric(16,2)" and amount.comment.startswith("Revenue")
    assert sales.newest_load is not None and sales.newest_load.source == "coffee_chain"
    assert heartbeat.newest_load is None, "no source feeds it"
    revenue = load_metrics()["revenue"]
    assert ("revenue", revenue.version, revenue.owner) in [(m.name, m.version, m.owner) for m in sales.metrics]
    assert heartbeat.metrics == []


def test_the_same_data_gives_the_same_bytes_whatever_order_it_lies_in(
    warehouse: Settings, figures: None, ask: Ask, tmp_path: Path
) -> None:
    first = export(warehouse, tmp_path / "first")
    ask(
        """
        create temporary table aside as select * from marts.daily_product_sales;
        delete from marts.daily_product_sales;
        insert into marts.daily_product_sales select * from aside order by business_date desc
        """
    )

    second = export(warehouse, tmp_path / "second", ["daily_product_sales", "published_figures"])

    hashes = {each.table: each.sha256 for each in first.manifest.files}
    assert [each.sha256 for each in second.manifest.files] == [hashes[each.table] for each in second.manifest.files]
    keys = [(row["business_date"], row["store_id"]) for row in rows_in(second, "marts.daily_product_sales")]
    assert keys == sorted(keys) and len(keys) > 1


def test_more_rows_than_are_in_memory_at_once_are_all_written(
    warehouse: Settings, figures: None, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnar, "ROWS_AT_A_TIME", 3)

    taken = export(warehouse, tmp_path / "out", ["published_figures"])

    [(known,)] = ask("select count(*) from marts.published_figures")
    file = parquet.ParquetFile(taken.folder / "marts.published_figures.parquet")
    assert file.metadata.num_rows == known > 3
    assert file.metadata.num_row_groups == -(-known // 3)
    assert findings(taken) == []


def test_all_tables_are_of_one_moment_also_when_a_run_ends_between_two(
    warehouse: Settings, figures: None, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(warehouse, "marts.monthly_store_sales")
    late = iter([TEA.replace("T1", "T9")])

    def write(*given: Any) -> int:
        for line in late:
            load("dirty_cafe", CAFE + line)
        return columnar.write_parquet(*given)

    monkeypatch.setattr(exports, "write_parquet", write)

    taken = export(warehouse, tmp_path / "out", ["daily_store_sales", "monthly_store_sales"])

    assert rows_in(taken, "marts.monthly_store_sales") == before
    assert rows_of(warehouse, "marts.monthly_store_sales") != before
    assert [each.newest_load.load_id for each in taken.manifest.files if each.newest_load] == [1, 1]


def test_as_of_a_moment_before_a_correction_gives_the_bytes_of_then(
    warehouse: Settings, figures: None, load: Load, ask: Ask, tmp_path: Path
) -> None:
    then = export(warehouse, tmp_path / "then")
    load("dirty_cafe", CAFE + CHEAPER_CAKE)
    now = export(warehouse, tmp_path / "now")

    again = export(warehouse, tmp_path / "again", as_of=then.manifest.as_of)

    hashes = {each.table: each.sha256 for each in then.manifest.files}
    assert {each.table for each in again.manifest.files} == {f"marts.{name}" for name in MARTS}
    assert {each.table: each.sha256 for each in again.manifest.files}.items() <= hashes.items()
    assert hashes["marts.daily_store_sales"] not in {each.sha256 for each in now.manifest.files}
    assert (again.manifest.as_of, again.manifest.read_as) == (then.manifest.as_of, "transformer")
    newest = {each.newest_load.load_id for each in again.manifest.files if each.newest_load}
    assert newest == {1} and ask("select max(load_id) from ops.loads") == [(2,)]
    left_out = {each.table for each in again.manifest.left_out}
    assert left_out == set(hashes) - {each.table for each in again.manifest.files}
    assert "marts.data_freshness" in left_out


def test_what_can_t_be_given_as_of_a_moment_alone_is_refused_and_so_is_a_moment_ahead(
    warehouse: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="nothing of this can be given"):
        export(warehouse, tmp_path / "out", ["data_freshness"], datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="lies ahead"):
        export(warehouse, tmp_path / "out", as_of=datetime.now(UTC) + timedelta(hours=1))
    assert list(tmp_path.iterdir()) == []


def test_people_stay_masked_and_core_is_refused(warehouse: Settings, load: Load, tmp_path: Path) -> None:
    load("coffee_chain", CUSTOMER)

    taken = export(warehouse, tmp_path / "out", ["masked.customers", "masked.customer_facts"])

    [person] = rows_in(taken, "masked.customers")
    assert (person["full_name"], person["email"], person["phone"]) == ("K. K.", "k***@***", None)
    told = json.dumps([rows_in(taken, each.table) for each in taken.manifest.files], default=str).lower()
    assert "kelly" not in told and "908-424" not in told
    [of_people, _] = taken.manifest.files
    assert of_people.keys == ["customer_id"]
    assert all(column.comment for column in of_people.columns)
    assert of_people.newest_load is not None and of_people.newest_load.source == "coffee_chain"

    with pytest.raises(UsageError, match=r"core\.customers can't be exported") as refused:
        export(warehouse, tmp_path / "other", ["core.customers", "daily_store_sales"])
    assert refused.value.next == "with people's columns masked: masked.customers"
    assert not (tmp_path / "other").exists()


def test_an_unknown_table_is_refused_with_the_known_ones_named(warehouse: Settings, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no table marts\.daily_sails, ops\.loads to export") as refused:
        export(warehouse, tmp_path / "out", ["daily_sails", "ops.loads", "waste"])

    assert "marts.daily_store_sales, " in str(refused.value.cause)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_an_empty_one_taken(warehouse: Settings, tmp_path: Path) -> None:
    used, empty = tmp_path / "used", tmp_path / "empty"
    used.mkdir()
    empty.mkdir()
    (used / "mine.txt").write_text("mine")

    with pytest.raises(UsageError, match="is in use"):
        export(warehouse, used, ["waste"])
    with pytest.raises(UsageError, match="is in use"):
        export(warehouse, used / "mine.txt", ["waste"])
    export(warehouse, empty, ["waste"])

    assert [path.name for path in used.iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in empty.iterdir()) == [MANIFEST, "marts.waste.parquet"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "used"]


def test_a_full_disk_leaves_nothing(warehouse: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(connection: Any, described: Any, place: Any, file: Path) -> int:
        if described.name == "waste":
            raise OSError(28, "No space left on device")
        return columnar.write_parquet(connection, described, place, file)

    monkeypatch.setattr(exports, "write_parquet", write)

    with pytest.raises(OSError, match="No space left"):
        export(warehouse, tmp_path / "out", ["daily_store_sales", "waste"])

    assert list(tmp_path.iterdir()) == []


def test_a_value_that_parquet_can_t_hold_is_told_and_never_bent(
    warehouse: Settings, figures: None, ask: Ask, tmp_path: Path
) -> None:
    ask("update marts.published_figures set value = 'NaN' where metric = 'revenue'")

    with pytest.raises(PanpanError, match=r"marts\.published_figures can't be written as Parquet"):
        export(warehouse, tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_a_kill_in_the_middle_leaves_nothing_that_looks_whole(warehouse: Settings, tmp_path: Path) -> None:
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from panpan.governance import export as exports\n"
        "from panpan.settings import load_settings\n"
        "write = exports.write_parquet\n"
        "def killed(connection, described, place, file):\n"
        "    rows = write(connection, described, place, file)\n"
        "    if described.name == 'waste':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return rows\n"
        "exports.write_parquet = killed\n"
        f"exports.export(load_settings(home=Path({str(warehouse.home)!r})), Path({str(tmp_path / 'out')!r}))\n"
    )

    ended = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, check=False)

    assert ended.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    [part] = tmp_path.iterdir()
    assert part.name.startswith(".out.") and part.suffix == ".part"
    assert (part / "marts.waste.parquet").exists(), "it was under way"
    with pytest.raises(CheckFailed, match="is no whole export"):
        read_export(part)
    export(warehouse, tmp_path / "out", ["waste"])
    assert findings(read_export(tmp_path / "out")) == []


def test_verify_names_the_files_that_differ_are_missing_or_are_extra(
    warehouse: Settings, figures: None, tmp_path: Path, typed: Typed
) -> None:
    folder = tmp_path / "out"
    error, printed = typed("parquet", "daily_store_sales", "waste", "published_figures", "--to", str(folder))
    assert error is None and [each["rows"] for each in printed["files"]] == [2, 0, 10]
    error, checked = typed("verify", str(folder))
    assert error is None and checked["ok"] and checked["manifest_sha256"] == printed["manifest_sha256"]

    changed = folder / "marts.daily_store_sales.parquet"
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    (folder / "marts.waste.parquet").unlink()
    (folder / "notes.txt").write_text("mine")

    assert findings(read_export(folder)) == [
        Finding("marts.daily_store_sales.parquet", "was changed"),
        Finding("marts.waste.parquet", "is missing"),
        Finding("notes.txt", "does not belong to the export"),
    ]
    error, checked = typed("verify", str(folder))
    assert isinstance(error, CheckFailed) and error.exit_code == 3
    assert "marts.waste.parquet is missing" in str(error.cause)
    assert not checked["ok"] and len(checked["findings"]) == 3


def test_a_manifest_that_was_changed_is_noticed(warehouse: Settings, figures: None, tmp_path: Path) -> None:
    taken = export(warehouse, tmp_path / "out", ["daily_store_sales"])
    file = taken.folder / MANIFEST
    text = file.read_text(encoding="utf-8")

    file.write_text(text.replace('"rows": 2', '"rows": 3'), encoding="utf-8")
    assert findings(read_export(taken.folder)) == [
        Finding("marts.daily_store_sales.parquet", "has 2 rows, the manifest says 3")
    ]
    assert read_export(taken.folder).manifest_sha256 != taken.manifest_sha256

    for wrong in (text[:-20], text.replace("marts.daily_store_sales.parquet", "../../etc.passwd.parquet")):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(CheckFailed, match="can't be read"):
            read_export(taken.folder)


def test_rows_and_sums_are_compared_with_the_database_as_of_the_same_moment(
    warehouse: Settings, figures: None, load: Load, ask: Ask, tmp_path: Path, typed: Typed
) -> None:
    folder = tmp_path / "out"
    taken = export(warehouse, folder, ["daily_store_sales", "monthly_store_sales", "data_freshness"])
    load("dirty_cafe", CAFE + CHEAPER_CAKE)

    assert [each.outcome for each in compare(warehouse, taken)] == [
        "the same rows and sums",
        "the same rows and sums",
        "not compared: it can't be made again as of a moment",
    ]
    error, checked = typed("verify", str(folder), "--against-database")
    assert error is None and len(checked["compared"]) == 3

    ask("update core_history.sales_versions set net_amount = net_amount - 1")  # somebody rewrites the past
    error, checked = typed("verify", str(folder), "--against-database")
    assert isinstance(error, CheckFailed)
    assert not checked["ok"]
    assert checked["compared"][0]["differences"] == {"net_amount": ["8.00", "7.00"]}
