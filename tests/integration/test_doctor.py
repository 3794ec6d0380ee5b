"""The doctor's looks at a real PostgreSQL and at real processes: breaking the thing itself is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from db.connection import connect
from panpan.cli.app import assembled
from panpan.doctor import access, database, loads, machine, private, saved, servers
from panpan.doctor.check import Check, NotSeen
from panpan.doctor.examine import CHECKS, examine, judge, seen
from panpan.settings import Settings

app = assembled()

CHECK_FAILED = 3
AT_THE_DATABASE = (access.Access, database.Database, loads.Loads, saved.Saved)


def of(*kinds: type) -> list[Check]:
    return [check for check in CHECKS if set(check.needs) <= set(kinds)]


@pytest.fixture(autouse=True)
def closed_server(server: Settings) -> None:
    """As `panpan up` leaves it when it makes n8n's database."""
    with connect(server, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("revoke all on database postgres from public")


@pytest.fixture
def broken(warehouse: Settings) -> Iterator[Settings]:
    """A warehouse in which rights were given by hand; roles belong to the whole server, so they are put back."""
    with connect(warehouse, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute(
            "create role intern login; alter role bi createdb; grant owner to loader;"
            "grant select on core.customers to bi; grant usage on schema core to bi;"
            "grant create on schema public to public; grant insert on marts.waste to backup;"
            "create function ops.open_door() returns int language sql security definer as 'select 1'"
        )
    yield warehouse
    with connect(warehouse, "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("drop role intern; alter role bi nocreatedb; revoke owner from loader")


def test_migrated_warehouse_is_well(warehouse: Settings) -> None:
    facts = {access.Access: access.look(warehouse), loads.Loads: loads.look(warehouse)}

    assert [result for result in judge(of(*facts), facts) if not result.ok] == []


def test_rights_given_by_hand_are_found(broken: Settings) -> None:
    facts = {access.Access: access.look(broken)}

    found = {result.id for result in judge(of(*facts), facts) if not result.ok}

    assert found == {
        "roles-known",
        "roles-powers",
        "roles-passwords",
        "roles-memberships",
        "grants-schemas",
        "grants-functions",
        "functions-search-path",
        "grants-reached",
        "grants-written",
        "grants-created",
    }


def test_settings_and_migrations_are_read_from_the_server(warehouse: Settings) -> None:
    """The tests' own server runs without fsync, which is just what must be found."""
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update ops.applied_migrations set sha256 = 'x' where name like '0001%'")
        cursor.execute("delete from ops.applied_migrations where name like '0002%'")
    facts = {database.Database: database.look(warehouse)}

    results = {result.id: result for result in judge(of(*facts), facts)}

    assert "fsync = off" in results["postgres-durable"].finding
    assert "0002" in results["migrations-applied"].finding
    assert "0001" in results["migrations-unchanged"].finding
    assert results["postgres-version"].ok and results["clock"].ok and results["postgres-logins"].ok


def test_trouble_of_the_last_day_is_found(warehouse: Settings) -> None:
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.loads (source, run_key, status, reason, row_count, reject_count, finished_at, received_at)
            values ('pos', 'a', 'failed', 'broken pipe', 90, 10, now(), null),
                ('crm', 'b', 'received', null, null, null, null, now() - interval '1 hour');
            insert into ops.runs (step, status, error) values ('core', 'failed', 'boom');
            insert into ops.workflow_errors (workflow, message) values ('crm', 'timeout');
            insert into ops.inbox_files (source, path, name, byte_count, modified_at, sha256, found_at)
            values ('pos', 'inbox/pos/a.csv', 'a.csv', 1, now(), '\\x00', now() - interval '1 hour');
            insert into ops.inbox_files (source, path, name, byte_count, modified_at, sha256, is_by_reference,
                archived_at, state)
            values ('pos', 'archive/pos/b.csv', 'b.csv', 1, now(), '\\x01', true, now(), 'taken');
            insert into marts.data_freshness values
                ('pos', 'Point of sale', now(), now() - interval '9 days', 24, 48, 1, 0)
            """
        )
    facts = {loads.Loads: loads.look(warehouse)}

    found = {result.id: result.finding for result in judge(of(*facts), facts) if not result.ok}

    assert set(found) == {check.id for check in of(loads.Loads)} - {"schedules-kept"}
    assert found["rejects-share"] == "above 5% rejected: pos 10 %"


def test_home_without_backups_is_told_so(warehouse: Settings) -> None:
    facts = {saved.Saved: saved.look(warehouse)}

    found = {result.id for result in judge(of(*facts), facts) if not result.ok}

    assert found == {"backup-proven", "backup-schedule", "backup-elsewhere"}


def test_dump_that_is_not_encrypted_is_found(tmp_path: Path) -> None:
    (tmp_path / "warehouse.age").write_bytes(b"-- PostgreSQL dump")
    (tmp_path / "n8n.age").write_bytes(b"age-encryption.org/v1\n")

    assert saved.plain_files(tmp_path) == [f"{tmp_path.name}/warehouse.age"]


def test_machine_processes_and_files_can_be_looked_at(server: Settings) -> None:
    assert machine.look(server).free_bytes > 0
    assert private.look(server).weak == []
    assert private.look(server).open_files == []
    found = servers.look(server)
    assert found.running == {"postgres"}
    assert found.open_binds == [] and found.leftovers == []


def test_what_is_down_is_one_error_and_the_rest_unknown(server: Settings) -> None:
    nowhere = server.model_copy(update={"postgres_port": 1})

    results = {result.id: result for result in examine(nowhere, security=True)}

    assert results["n8n-runs"].ok is False
    assert results["postgres-version"].ok is None
    assert results["roles-known"].ok is None
    assert {result.ok for result in results.values()} == {True, False, None}


def test_command_prints_the_checks_and_ends_with_three(warehouse: Settings) -> None:
    answer = CliRunner().invoke(app, ["doctor", "--home", str(warehouse.home), "--json"])

    printed = json.loads(answer.stdout)

    assert answer.exit_code == CHECK_FAILED
    assert len(printed["checks"]) >= 25
    assert set(printed["checks"][0]) == {"id", "severity", "ok", "finding", "fix"}
    assert printed["ok"] is False


def test_a_look_that_breaks_ends_nothing(warehouse: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr("panpan.doctor.examine.LOOKS", {kind: broken for kind in AT_THE_DATABASE})

    found = seen(warehouse, set(AT_THE_DATABASE))

    assert set(found.values()) == {NotSeen("RuntimeError: no such thing")}
