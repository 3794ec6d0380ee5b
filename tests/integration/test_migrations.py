"""The road of migrations and where it leads: db/schema.sql; edited, removed, failing and simultaneous migrations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import psycopg2
import pytest
from psycopg2 import sql

from db import migrate as migrating
from db.connection import Role, connect
from db.migrate import Migration, apply_pending, migrate, migrations
from db.schema import FILE, migrated_schema, plain, schema_text
from panpan.errors import DatabaseError, MigrationError
from panpan.settings import Settings

NUMBERS = count(1)


@pytest.fixture
def empty_database(server: Settings) -> Iterator[Settings]:
    """Settings that name a database which does not exist yet."""
    settings = server.model_copy(update={"database_name": f"empty_{next(NUMBERS)}"})
    yield settings
    with connect(server, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(settings.database_name))
        )


def test_migrations_replayed_equal_the_schema_file(server: Settings) -> None:
    assert migrated_schema(server) == FILE.read_text(encoding="utf-8"), "run: python -m db.schema"


def test_a_cloned_warehouse_has_the_same_schema_and_lets_every_role_in(warehouse: Settings) -> None:
    assert schema_text(warehouse) == FILE.read_text(encoding="utf-8")

    for role in migrating.LOGIN_ROLES:
        with connect(warehouse, role) as connection, connection.cursor() as cursor:
            cursor.execute("select current_user")
            assert cursor.fetchone() == (role,)


def test_a_dump_keeps_comments_inside_functions_and_drops_those_of_the_program() -> None:
    dump = (
        "--\n-- Name: f(); Type: FUNCTION\n--\n\n\n\\restrict k3y\nSET lock_timeout = 0;\ncreate "
        "function f()\n-- why\nend\n"
    )

    assert plain(dump) == "create function f()\n-- why\nend\n"


def test_a_second_migrate_applies_nothing_and_changes_nothing(empty_database: Settings) -> None:
    applied = migrate(empty_database)
    before = schema_text(empty_database)

    again = migrate(empty_database)

    assert applied == [migration.name for migration in migrations()]
    assert again == []
    assert schema_text(empty_database) == before


def test_no_two_migrations_share_a_number() -> None:
    numbers = [int(migration.name[:4]) for migration in migrations()]

    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("found", ["was changed", "is missing"])
def test_an_applied_migration_must_stay_word_for_word(empty_database: Settings, found: str) -> None:
    migrate(empty_database)
    first, *rest = migrations()
    known = [Migration(first.name, first.text + "-- a touch"), *rest] if found == "was changed" else rest

    with pytest.raises(MigrationError, match=f"{first.name} {found}") as caught:
        apply(empty_database, known)

    assert first.name in str(caught.value.next)


def test_a_failing_migration_leaves_nothing_of_itself_nor_of_those_before_it(empty_database: Settings) -> None:
    migrate(empty_database)
    before = schema_text(empty_database)
    known = [
        *migrations(),
        Migration("9001_add_colour.sql", "create table core.colours (colour text)"),
        Migration("9002_add_shade.sql", "create table core.shades (shade text); select 1 / 0"),
    ]

    with pytest.raises(MigrationError, match=r"9002_add_shade\.sql failed; nothing of it was kept") as caught:
        apply(empty_database, known)

    assert "division by zero" in str(caught.value.cause)
    assert schema_text(empty_database) == before
    assert migrate(empty_database) == []


def test_two_migrates_at_once_apply_each_migration_once(empty_database: Settings) -> None:
    applied: list[list[str] | BaseException] = []
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        try:
            applied.append(migrate(empty_database))
        except BaseException as error:  # shown by the assertion below
            applied.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(applied, key=lambda each: len(str(each))) == [[], [migration.name for migration in migrations()]]


def test_the_server_never_sees_a_password_and_the_given_one_opens(empty_database: Settings) -> None:
    migrate(empty_database)

    with connect(empty_database, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("select rolpassword from pg_authid where rolname = any (%s)", (list(migrating.LOGIN_ROLES),))
        verifiers = [verifier for (verifier,) in cursor.fetchall()]
    with connect(empty_database, "bi"):
        pass

    assert len(verifiers) == len(migrating.LOGIN_ROLES)
    assert all(verifier.startswith("SCRAM-SHA-256$") for verifier in verifiers)


def test_a_server_out_of_reach_is_said_so_with_the_way_out(server: Settings) -> None:
    nowhere = server.model_copy(update={"postgres_port": 1})

    with pytest.raises(DatabaseError, match="can't connect") as caught:
        migrate(nowhere)

    assert caught.value.next == "bin/panpan up"
    assert server.postgres_password.get_secret_value() not in str(caught.value.cause)


def test_a_role_may_not_touch_what_is_not_its_own(warehouse: Settings) -> None:
    """One statement per role that must fail; `panpan roles test` tries the whole matrix."""
    forbidden: dict[Role, str] = {
        "loader": "select from core.sales",
        "bi": "select from core.sales",
        "transformer": "delete from raw_pos.documents",
    }
    for role, statement in forbidden.items():
        with pytest.raises(psycopg2.errors.InsufficientPrivilege), connect(warehouse, role) as connection:
            connection.cursor().execute(statement)


def apply(settings: Settings, known: list[Migration]) -> list[str]:
    with connect(settings, "owner") as connection:
        return apply_pending(connection, known)
