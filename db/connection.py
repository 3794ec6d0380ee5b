"""
Connections to the warehouse, one engine per role.

Comes in: settings. Goes out: SQLAlchemy engines; `raw_connection` for COPY.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import psycopg2
import sqlalchemy
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from pydantic import SecretStr
from sqlalchemy.pool import NullPool

from panpan.errors import DatabaseError
from panpan.settings import Settings

Role = Literal["postgres", "owner", "loader", "transformer", "bi", "backup", "auditor", "web", "n8n"]


def database_url(settings: Settings, role: Role, database: str | None = None) -> sqlalchemy.URL:
    """Where and as whom to connect. The password hides itself when the URL is printed."""
    password: SecretStr = getattr(settings, password_field(role))
    return sqlalchemy.URL.create(
        "postgresql+psycopg2",
        username=role,
        password=password.get_secret_value(),
        host=settings.database_host,
        port=settings.postgres_port,
        database=database or settings.database_name,
    )


def password_field(role: Role) -> str:
    """The setting that holds a role's password."""
    return "n8n_database_password" if role == "n8n" else f"{role}_password"


def create_engine(settings: Settings, role: Role, database: str | None = None) -> sqlalchemy.Engine:
    """An engine without a pool: our processes hold few, long connections, and a dead server leaves none behind."""
    return sqlalchemy.create_engine(
        database_url(settings, role, database),
        poolclass=NullPool,
        pool_reset_on_return=None,
        connect_args={"connect_timeout": 10, "application_name": f"panpan {role}"},
    )


@contextmanager
def connect(
    settings: Settings, role: Role, database: str | None = None, *, autocommit: bool = False
) -> Iterator[PgConnection]:
    """
    A psycopg2 connection in one transaction: committed at the end, rolled back on any error.

    Errors: DatabaseError when the server can't be reached or refuses; what the caller raises passes.
    """
    engine = create_engine(settings, role, database)
    try:
        pooled = engine.raw_connection()
    except psycopg2.OperationalError as error:
        raise DatabaseError(
            f"can't connect to database {engine.url.database!r} at {engine.url.host}:{engine.url.port} as {role}",
            cause=str(error).strip(),
            next="bin/panpan up",
        ) from None
    opened = cast(PgConnection, pooled.driver_connection)
    opened.autocommit = autocommit
    try:
        yield opened
        if not autocommit:
            opened.commit()
    finally:
        pooled.close()  # an open transaction is rolled back by the server
