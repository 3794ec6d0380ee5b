"""
What a test starts in the place of `java -jar metabase.jar`: the double, as a process with Metabase's environment.

Its state lies in the database it is told (MB_DB_*), so that it lives on when the process is killed; it reads the
database it is given as that role, so that a wrong role, password or right is noticed.
"""

from __future__ import annotations

import importlib.util
import os
import pickle
import sys
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import uvicorn

FOLDER = Path(__file__).resolve().parent
JAVA = 'openjdk version "25.0.1" 2026-10-21'
COMMENTS = """
select tables.relname, columns.attname, obj_description(tables.oid, 'pg_class'), col_description(tables.oid, attnum)
from pg_class as tables inner join pg_attribute as columns on tables.oid = columns.attrelid
where relnamespace = 'marts'::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped
"""
NOT_KEPT = ("look_into", "ids", "environment")
FROM_ENVIRONMENT = {
    "MB_ANON_TRACKING_ENABLED": "anon-tracking-enabled",
    "MB_ENABLE_PUBLIC_SHARING": "enable-public-sharing",
}


def load_double() -> Any:
    """The double's files as one module; folders of tests are no packages."""
    spec = importlib.util.spec_from_file_location(
        "metabase_double", FOLDER / "entry.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec and spec.loader
    sys.modules["metabase_double"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_database() -> Any:
    """Metabase's own database; it ends with the driver's words when it can't be reached."""
    connection = psycopg2.connect(
        host=os.environ["MB_DB_HOST"],
        port=os.environ["MB_DB_PORT"],
        dbname=os.environ["MB_DB_DBNAME"],
        user=os.environ["MB_DB_USER"],
        password=os.environ["MB_DB_PASS"],
    )
    connection.autocommit = True
    return connection


def look_into(double: Any, details: dict[str, Any]) -> dict[str, Any]:
    """The tables of a database as its comments describe them; refuses a database that can't be reached."""
    names = ("host", "port", "dbname", "user", "password")
    try:
        connection = psycopg2.connect(**{name: details[name] for name in names})
    except psycopg2.OperationalError as error:
        raise double.Refuse(400, {"message": str(error)}) from error
    with connection, connection.cursor() as cursor:
        cursor.execute(COMMENTS)
        rows = cursor.fetchall()
    connection.close()
    found: dict[str, Any] = {}
    for table, column, comment, meaning in rows:
        found.setdefault(table, (comment, {}))[1][column] = meaning
    return found


def restored(double: Any, connection: Any) -> Any:
    """The memory of the process before this one, or a new one."""
    m = double.Metabase()
    with connection.cursor() as cursor:
        cursor.execute("create table if not exists memory (content bytea)")
        cursor.execute("select content from memory")
        for (content,) in cursor.fetchall():
            number, kept = pickle.loads(bytes(content))  # noqa: S301  # written by the process before this one
            m.__dict__.update(kept)
            m.ids = count(number)
    m.look_into = lambda details: look_into(double, details)
    m.environment = {
        setting: os.environ[name] == "true" for name, setting in FROM_ENVIRONMENT.items() if name in os.environ
    }
    return m


def main(words: list[str]) -> int:
    """`java -version`, or `java ... -jar FILE` with Metabase's environment."""
    if "-version" in words:
        sys.stderr.write(f"{JAVA}\n")
        return 0
    jar = Path(words[words.index("-jar") + 1])
    if jar.read_text(encoding="utf-8").startswith("broken"):
        sys.stderr.write("Error: Unable to access jarfile: it is broken\n")
        return 1
    double = load_double()
    connection = own_database()
    running = double.Double(restored(double, connection))
    answer = running.answer

    def answer_and_keep(method: str, *rest: Any) -> Any:
        response = answer(method, *rest)
        if method != "GET" and rest[0] != "/api/dataset":
            kept = {name: value for name, value in running.m.__dict__.items() if name not in NOT_KEPT}
            content = pickle.dumps((running.m.new_id(), kept))
            with connection.cursor() as cursor:
                cursor.execute("begin; delete from memory")
                cursor.execute("insert into memory values (%s); commit", (content,))
        return response

    running.answer = answer_and_keep
    uvicorn.run(
        double.build_app(running),
        host=os.environ["MB_JETTY_HOST"],
        port=int(os.environ["MB_JETTY_PORT"]),
        log_level="warning",
        ws="none",
        lifespan="off",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
