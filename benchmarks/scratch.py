"""
A PostgreSQL of its own for one benchmark, configured as `panpan up` configures it, and loads put into it.

Comes in: nothing. Goes out: settings of a home under /tmp that is gone afterwards, databases made fresh in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2 import sql

from db.connection import connect
from db.migrate import migrate
from panpan.local import postgres
from panpan.local.initialise import initialise
from panpan.settings import PREFIX, Settings


@contextmanager
def scratch_server() -> Iterator[Settings]:
    """A running server in a new home; nothing of it is left afterwards."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="panpan-bench-", dir="/tmp"))  # a place the server's account can enter
    folder.chmod(0o755)
    settings = initialise(folder / "home")
    try:
        postgres.start(settings)
        yield settings
    finally:
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


def fresh_database(settings: Settings, name: str = "warehouse") -> Settings:
    """A migrated, empty database of this name; one that was there is dropped. The server starts from a checkpoint."""
    drop_database(settings, name)
    own = settings.model_copy(update={"database_name": name})
    migrate(own)
    checkpoint(settings)
    return own


def drop_database(settings: Settings, name: str) -> None:
    """Drop a database if it is there; its files are gone when this returns."""
    with connect(settings, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def checkpoint(settings: Settings) -> None:
    """Write out what earlier steps left in memory, so that the next one does not pay for it."""
    with connect(settings, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("checkpoint")


def register_file(settings: Settings, file: Path, source: str = "pos") -> int:
    """A received load of one archived file, as n8n registers a large one; gives its load_id."""
    folder = settings.archive / source
    folder.mkdir(parents=True, exist_ok=True)
    archived = folder / file.name
    if not archived.exists():
        shutil.copyfile(file, archived)
    with archived.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").digest()
    size = archived.stat().st_size
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            insert into ops.loads
                (source, run_key, file_name, sha256, status, document_count, byte_count, received_at)
            values (%s, 'bench', %s, %s, 'received', 1, %s, now())
            returning load_id
            """,
            (source, file.name, sha256, size),
        )
        [(load_id,)] = cursor.fetchall()
        cursor.execute(
            """
            insert into raw_pos.documents (document_id, load_id, name, stored_path, byte_count, sha256)
            values (nextval('ops.document_ids'), %s, %s, %s, %s, %s)
            """,
            (load_id, file.name, str(archived.relative_to(settings.home)), size, sha256),
        )
    return int(load_id)


def net_by_store(settings: Settings, schema: str = "marts") -> dict[str, str]:
    """The net total of each store by the mart of days: what every way of loading must agree on, to the cent."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("select store_name, sum(net_amount) from {}.daily_store_sales group by 1 order by 1").format(
                sql.Identifier(schema)
            )
        )
        return {name: str(total) for name, total in cursor.fetchall()}
