"""The roles of the warehouse: the whole matrix, that it notices a right too many or too few, that it leaves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from typer.testing import CliRunner

from db.access import apply_access
from db.connection import connect
from db.matrix import Cell, try_roles, unexpected
from db.migrate import Migration, apply_pending, create_roles, migrations, open_to_backup
from db.schema import schema_text
from panpan.cli.app import assembled
from panpan.errors import DatabaseError
from panpan.local.postgres import create_n8n_database
from panpan.settings import Settings

app = assembled()

Ask = Callable[..., list[tuple[Any, ...]]]

# Each row: done as superuser in the warehouse, undone where it outlives the warehouse, and the sentence it must give.
MISTAKES: dict[str, tuple[str, str, str]] = {
    "a table open to dashboards": (
        "grant usage on schema core to bi; grant select on core.customers to bi",
        "",
        "bi may select core.customers.email",
    ),
    "one column too many": (
        "grant select (phone) on core.customers to web",
        "",
        "web may select core.customers.phone",
    ),
    "names for the auditor": (
        "grant select (received_value) on ops.rejects to auditor",
        "",
        "auditor may select ops.rejects.received_value",
    ),
    "raw made editable": (
        "grant update on raw_crm.contacts to transformer",
        "",
        "transformer may update raw_crm.contacts",
    ),
    "raw made deletable": ("grant truncate on raw_pos.orders to loader; grant usage on schema raw_pos to loader", "",
                           "loader may truncate raw_pos.orders"),
    "dashboards writing": ("grant insert on marts.waste to bi", "", "bi may insert marts.waste"),
    "a guard taken off": (
        "alter table ops.backup_ledger disable trigger backup_ledger_is_append_only",
        "",
        "owner may delete ops.backup_ledger",
    ),
    "a function open to all": (
        "grant execute on function ops.mark_failed to public",
        "",
        "loader may call ops.mark_failed",
    ),
    "schema public open again": (
        "grant create, usage on schema public to bi",
        "",
        "bi may create a table in public",
    ),
    "a missing right": (
        "revoke insert on ops.rejects from transformer",
        "",
        "transformer may not insert ops.rejects",
    ),
    "a dashboard that can't be read": (
        "revoke select on marts.waste from bi",
        "",
        "bi may not select marts.waste.cost_amount",
    ),
    "one column missing": (
        "revoke select on marts.waste from auditor; grant select (store_id) on marts.waste to auditor",
        "",
        "auditor may not select marts.waste.cost_amount",
    ),
    "a role that makes roles": ("alter role bi createrole", "alter role bi nocreaterole", "bi may create a role"),
    "a role that makes databases": (
        "alter role web createdb",
        "alter role web nocreatedb",
        "web may create a database",
    ),
    "a member of owner": (
        "grant owner to auditor",
        "revoke owner from auditor",
        "auditor may become another role owner",
    ),
    "files of the server": (
        "grant pg_read_server_files to transformer with inherit true",
        "revoke pg_read_server_files from transformer",
        "transformer may read a file by COPY",
    ),
    "programs of the server": (
        "grant pg_execute_server_program to bi with inherit true",
        "revoke pg_execute_server_program from bi",
        "bi may run a program by COPY",
    ),
    "statements of others": (
        "grant pg_read_all_stats to auditor with inherit true",
        "revoke pg_read_all_stats from auditor",
        "auditor may see statements of others",
    ),
    "n8n's own database": (
        "grant connect on database n8n to bi",
        "revoke connect on database n8n from bi",
        "bi may connect to database n8n",
    ),
    "n8n in the warehouse": ("grant connect on database {warehouse} to n8n", "", "n8n may connect to the warehouse"),
    "large objects": (
        "grant execute on function lo_creat to public",
        "",
        "bi may keep a large object",
    ),
}  # fmt: skip


@pytest.fixture
def with_n8n(server: Settings) -> None:
    create_n8n_database(server)
    open_to_backup(server)


@contextmanager
def mistakes_made(settings: Settings) -> Iterator[None]:
    """Every mistake at once; those of roles are undone, since the server is shared by all tests."""
    try:
        administer(settings, [mistake for mistake, _, _ in MISTAKES.values()])
        yield
    finally:
        administer(settings, [undo for _, undo, _ in MISTAKES.values() if undo])


def administer(settings: Settings, statements: list[str]) -> None:
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(warehouse=settings.database_name))


def sentences(cells: list[Cell]) -> set[str]:
    return {cell.sentence().partition(" (")[0] for cell in unexpected(cells)}


def test_every_role_may_do_what_it_must_and_nothing_else(warehouse: Settings, with_n8n: None) -> None:
    cells = try_roles(warehouse)

    assert sentences(cells) == set()
    assert {cell.role for cell in cells} == {
        "owner", "loader", "transformer", "bi", "backup", "auditor", "web", "n8n",
    }  # fmt: skip
    assert len(cells) > 5000
    for role in ("owner", "loader", "transformer", "bi", "auditor", "web"):
        own = [cell for cell in cells if cell.role == role]
        assert any(cell.allowed for cell in own)
        assert any(not cell.allowed for cell in own)


def test_every_mistake_is_noticed_and_nothing_stays_of_the_tries(warehouse: Settings, with_n8n: None) -> None:
    with mistakes_made(warehouse):
        before = schema_text(warehouse)

        found = sentences(try_roles(warehouse))

        assert {name: said for name, (_, _, said) in MISTAKES.items() if said not in found} == {}
        assert schema_text(warehouse) == before


def test_the_readers_rights_are_made_anew_with_the_next_migration(warehouse: Settings, ask: Ask) -> None:
    ask("grant select on ops.rejects to auditor; grant insert on core.sales to web")
    new = Migration("9000_add_notes.sql", "create table ops.notes (note text); create table marts.notes (note text);")

    with connect(warehouse, "owner") as connection:
        apply_pending(connection, [*migrations(), new])

    assert ask("select has_table_privilege('auditor', 'ops.rejects', 'select')") == [(False,)]
    assert ask("select has_table_privilege('web', 'core.sales', 'insert')") == [(False,)]
    assert ask("select has_column_privilege('auditor', 'ops.rejects', 'reason', 'select')") == [(True,)]


def test_a_table_of_a_later_migration_is_closed_until_its_columns_are_classified(warehouse: Settings, ask: Ask) -> None:
    ask("create table core.secrets_of_love (nickname text); create table marts.hobbies (hobby text)")
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("comment on schema masked is null")
        apply_access(cursor)

    for role, table in (
        ("auditor", "marts.hobbies"),
        ("auditor", "core.secrets_of_love"),
        ("web", "core.secrets_of_love"),
        ("bi", "core.secrets_of_love"),
        ("loader", "marts.hobbies"),
    ):
        assert ask(f"select has_any_column_privilege('{role}', '{table}', 'select')") == [(False,)], (role, table)


def test_employees_see_masked_customers_and_the_owner_sees_them_clear(warehouse: Settings, ask: Ask) -> None:
    ask(
        "insert into core.customers (customer_id, full_name, email, phone, loyalty_card, source) values"
        " (core.key('a'), 'Ana María López', ' ana.lopez@example.org', '+34600111222', 'LC-4', 'crm'),"
        " (core.key('b'), null, 'no address', null, null, 'crm')"
    )
    with connect(warehouse, "bi") as connection, connection.cursor() as cursor:
        cursor.execute("select full_name, email, phone, loyalty_card from masked.customers order by full_name")
        seen = cursor.fetchall()

    assert seen == [("A. M. L.", "a***@***", "***22", "***"), (None, "***@***", None, None)]
    assert ask("select email, phone from core.customers where email like '%@%'") == [
        (" ana.lopez@example.org", "+34600111222")
    ]
    for role in ("bi", "web", "auditor", "loader"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), connect(warehouse, role) as connection:
            connection.cursor().execute("select email from core.customers")


def test_passwords_are_kept_as_scram_and_no_line_lets_anybody_in_without(server: Settings) -> None:
    with connect(server, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("show password_encryption")
        assert cursor.fetchone() == ("scram-sha-256",)
        cursor.execute("select distinct auth_method from pg_hba_file_rules")
        assert cursor.fetchall() == [("scram-sha-256",)]


def test_the_roles_limits_and_defaults(server: Settings) -> None:
    create_roles(server)
    with connect(server, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select rolname, array_to_string(rolconfig, ' '), rolconnlimit from pg_roles where rolname = any (%s)",
            (["owner", "loader", "transformer", "bi", "backup", "auditor", "web"],),
        )
        settings = {name: (config, limit) for name, config, limit in cursor.fetchall()}
    assert all("idle_in_transaction_session_timeout" in config and limit > 0 for config, limit in settings.values())
    for reader in ("bi", "backup", "auditor"):
        assert "default_transaction_read_only=on" in settings[reader][0]
    for short in ("bi", "auditor", "web", "loader"):
        assert "statement_timeout" in settings[short][0]
        assert "lock_timeout" in settings[short][0]


def test_functions_that_run_as_their_owner_have_a_fixed_search_path(ask: Ask) -> None:
    open_ones = ask(
        "select proname from pg_proc where prosecdef and pronamespace::regnamespace::text = any"
        " (array['ops', 'core', 'core_history']) and coalesce(proconfig::text, '') not like '%search_path=pg_catalog%'"
    )

    assert open_ones == []


def test_the_command_reports_cells_and_ends_with_3_when_something_is_unexpected(warehouse: Settings, ask: Ask) -> None:
    words = ["roles", "test", "--json", "--home", str(warehouse.home)]
    well = CliRunner().invoke(app, words)
    ask("grant delete on core.sales to bi; grant usage on schema core to bi")
    ill = CliRunner().invoke(app, words)

    assert (well.exit_code, json.loads(well.stdout)["unexpected"]) == (0, [])
    answer = json.loads(ill.stdout)
    assert (ill.exit_code, answer["ok"]) == (3, False)
    assert [cell["sentence"].partition(" (")[0] for cell in answer["unexpected"]] == ["bi may delete core.sales"]
    assert answer["cells"] > 5000


def test_an_unreachable_server_is_an_error_and_no_empty_matrix(server: Settings) -> None:
    with pytest.raises(DatabaseError, match="can't connect"):
        try_roles(server.model_copy(update={"postgres_port": 1}))
