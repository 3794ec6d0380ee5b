"""
What many tests stand on: a real PostgreSQL, migrated databases cloned from one template, the shared data.

`PANPAN_*` variables of the machine are cleared first, so no setting of its owner reaches a test.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest
from psycopg2 import sql

from db.connection import connect
from db.migrate import create_database, migrate
from panpan.local import postgres
from panpan.local.initialise import initialise
from panpan.settings import HOME_FILE, Settings, load_settings
from transforms.contract import load_contracts

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATE = "template_warehouse"
OF_TESTS = {"PANPAN_SHARED_DATA", "PANPAN_SCREENSHOTS", "PANPAN_OTHER_N8N"}

for _name in [name for name in os.environ if name.startswith("PANPAN_") and name not in OF_TESTS]:
    del os.environ[_name]

Row = tuple[Any, ...]
NewServer = Callable[[], AbstractContextManager[Settings]]
NewWarehouse = Callable[[], AbstractContextManager[Settings]]
Ask = Callable[..., list[Row]]
Contents = Callable[..., dict[str, list[str]]]


class Deliver(Protocol):
    """Puts a load with one document into raw, as n8n would; gives its load_id."""

    def __call__(
        self,
        source: str,
        content: bytes | str,
        entity: str | None = None,
        *,
        settings: Settings | None = None,
        status: str = "received",
        load_id: int | None = None,
    ) -> int: ...


@pytest.fixture(scope="session")
def new_server() -> NewServer:
    """Makes a home with a running PostgreSQL; nothing of it is left afterwards, also when a test failed."""

    @contextmanager
    def make() -> Iterator[Settings]:
        folder = Path(tempfile.mkdtemp(prefix="panpan-test-", dir="/tmp"))  # a place the server's account can enter
        folder.chmod(0o755)
        settings = initialise(folder / "home")
        try:
            postgres.start(settings)
            yield settings
        finally:
            postgres.destroy(settings)
            shutil.rmtree(folder, ignore_errors=True)

    return make


@pytest.fixture(scope="session")
def server(new_server: NewServer) -> Iterator[Settings]:
    """One PostgreSQL for the session. Killed processes it survives; that the machine stays up is taken for granted."""
    with new_server() as settings:
        with (
            connect(settings, "postgres", "postgres", autocommit=True) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("alter system set fsync = off")
            cursor.execute("select pg_reload_conf()")
        yield settings


@pytest.fixture(scope="session")
def template(server: Settings) -> str:
    """Name of a migrated, empty database nobody is connected to."""
    migrate(server, TEMPLATE)
    return TEMPLATE


@pytest.fixture(scope="session")
def new_warehouse(server: Settings, template: str) -> NewWarehouse:
    """Makes a home with a migrated, empty warehouse of its own in the session's server."""
    numbers = count(1)

    @contextmanager
    def make() -> Iterator[Settings]:
        with cloned(server, template, f"warehouse_{next(numbers)}") as settings:
            yield settings

    return make


@contextmanager
def cloned(server: Settings, template: str, name: str) -> Iterator[Settings]:
    """A database cloned from the template, and a home whose settings file names it."""
    home = Path(tempfile.mkdtemp(prefix="panpan-home-"))
    given = (server.home / HOME_FILE).read_text(encoding="utf-8")
    (home / HOME_FILE).write_text(f"{given}PANPAN_DATABASE_NAME={name}\n", encoding="utf-8")
    clone = sql.SQL("create database {} template {} owner owner")
    try:
        _administer(server, clone.format(sql.Identifier(name), sql.Identifier(template)))
        create_database(server, name)  # a clone has the rows and rights inside, not those of the database itself
        yield load_settings(home=home)
    finally:
        with suppress(Exception):  # a server that a test left dead has been reported by that test
            _administer(server, sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        shutil.rmtree(home, ignore_errors=True)


def _administer(server: Settings, statement: sql.Composed) -> None:
    with connect(server, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def warehouse(new_warehouse: NewWarehouse) -> Iterator[Settings]:
    """Settings of a migrated, empty warehouse that only this test uses."""
    with new_warehouse() as settings:
        yield settings


@pytest.fixture(scope="session")
def deliver_into() -> Callable[..., int]:
    """Delivers a document into the warehouse given: (settings, source, content, entity=None, status, load_id)."""
    return put_document


def put_document(
    target: Settings,
    source: str,
    content: bytes | str,
    entity: str | None = None,
    *,
    status: str = "received",
    load_id: int | None = None,
) -> int:
    """Put a load with one document into raw, as n8n would; gives its load_id."""
    received = content.encode() if isinstance(content, str) else content
    system = load_contracts(target.own_contracts)[source].system
    with connect(target, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.loads
                (load_id, source, entity, run_key, file_name, status, reason, document_count, byte_count, received_at)
            overriding system value
            values (coalesce(%s, nextval(pg_get_serial_sequence('ops.loads', 'load_id'))),
                %s, %s, 'test', 'made by a test', %s, %s, 1, %s, now())
            returning load_id
            """,
            (load_id, source, entity, status, "a test" if status == "failed" else None, len(received)),
        )
        (number,) = cursor.fetchone()
        cursor.execute(
            sql.SQL(
                "insert into {} (document_id, load_id, entity, name, content, byte_count, sha256) "
                "values (nextval('ops.document_ids'), %s, %s, 'made by a test', %s, %s, %s)"
            ).format(sql.Identifier(f"raw_{system}", "documents")),
            (number, entity, received, len(received), hashlib.sha256(received).digest()),
        )
    return int(number)


@pytest.fixture
def deliver(request: pytest.FixtureRequest) -> Deliver:
    """Delivers a document into this test's warehouse, or into the one given."""

    def put(
        source: str,
        content: bytes | str,
        entity: str | None = None,
        *,
        settings: Settings | None = None,
        status: str = "received",
        load_id: int | None = None,
    ) -> int:
        target = settings or request.getfixturevalue("warehouse")
        return put_document(target, source, content, entity, status=status, load_id=load_id)

    return put


@pytest.fixture
def ask(request: pytest.FixtureRequest) -> Ask:
    """Asks this test's warehouse, or the one given, as its owner; gives all rows."""

    def answer(statement: str, *values: Any, settings: Settings | None = None) -> list[Row]:
        with (
            connect(settings or request.getfixturevalue("warehouse"), "owner") as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    return answer


@pytest.fixture
def contents(ask: Ask) -> Contents:
    """
    All rows of all tables of some schemas, as sorted texts by table.

    Without lineage the ids that say when a row came are left out: equal models may have come in another order.
    """

    def read(
        *schemas: str, settings: Settings | None = None, lineage: bool = True, without: tuple[str, ...] = ()
    ) -> dict[str, list[str]]:
        hidden = [*without, *(() if lineage else ("raw_id", "load_id", "document_id", "last_load_at"))]
        tables = ask(
            """
            select format('%%I.%%I', table_schema, table_name), string_agg(quote_ident(column_name), ',
                ' order by ordinal_position)
            from information_schema.columns where table_schema = any (%s) and not column_name = any (%s)
            group by table_schema, table_name order by 1
            """,
            list(schemas),
            hidden,
            settings=settings,
        )
        return {
            table: [
                text
                for (text,) in ask(f"select row({columns})::text from {table} order by 1", settings=settings)  # noqa: S608  # names of our own tables
            ]
            for table, columns in tables
        }

    return read


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real and public sample files beside the checkout; tests that need them are skipped where there are none."""
    folder = Path(os.environ.get("PANPAN_SHARED_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; PANPAN_SHARED_DATA may name another folder")
    return folder
