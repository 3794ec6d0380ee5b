"""
The two peers that load with a library: dlt and pandas' to_sql; both then run the SQL of the limit.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from psycopg2 import sql

from benchmarks.limit import build_model, create_tables, header_of
from benchmarks.measure import Steps
from db.connection import connect, create_engine, database_url
from panpan.settings import CHECKOUT, Settings

DLT = "dlt[postgres]==1.31.0"
TOOLS = CHECKOUT / ".tools"
CHUNK_ROWS = 10_000


class PeerMissing(Exception):
    """A peer can't be installed here; the message says why."""


def dlt_python() -> Path:
    """
    The Python of an environment that has dlt and what it needs, made under .tools when it is missing.

    Errors: PeerMissing when the package index does not give it.
    """
    folder = TOOLS / f"bench-{DLT.replace('[postgres]==', '-')}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    words = [str(python), "-m", "pip", "install", "-q", DLT, "pandas", "pyarrow"]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise PeerMissing(f"{DLT} can't be installed: {answer.stderr.strip().splitlines()[-1]}")
    (folder / "complete").touch()
    return python


def run_dlt(settings: Settings, file: Path, way: str) -> Steps:
    """dlt's load as its documentation has it (`records`) or of Arrow tables (`arrow`), then the SQL of the peers."""
    steps = Steps()
    python = dlt_python()
    create_tables(settings)
    url = database_url(settings, "owner").set(drivername="postgresql").render_as_string(hide_password=False)
    script = Path(__file__).with_name("dlt_load.py")
    with tempfile.TemporaryDirectory(prefix="panpan-dlt-") as work, steps.step("load"):
        words = [str(python), str(script), way, str(file), url, work]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    with connect(settings, "owner") as connection:
        _see_as_items(settings, file)
        build_model(connection, steps)
    return steps


def _see_as_items(settings: Settings, file: Path) -> None:
    """dlt renames columns; a view gives them back, and the order in which the rows lie."""
    columns = sql.SQL(", ").join(
        sql.SQL("coalesce({}, '') as {}").format(sql.Identifier(name.lower().replace(" ", "_")), sql.Identifier(name))
        for name in header_of(file)
    )
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            sql.SQL(
                "analyze dlt_items.items; "
                "create view peer.items as select row_number() over () as ordinal, {} from dlt_items.items"
            ).format(columns)
        )


def run_to_sql(settings: Settings, file: Path, lines: int) -> Steps:
    """read_csv and to_sql as they come, of the file's first lines, then the SQL of the peers."""
    steps = Steps()
    create_tables(settings)
    engine = create_engine(settings, "owner")
    with steps.step("load"):
        for frame in pd.read_csv(file, dtype=str, keep_default_na=False, chunksize=CHUNK_ROWS, nrows=lines):
            frame.to_sql("items", engine, schema="peer", if_exists="append", index=False)
    with connect(settings, "owner") as connection:
        with connection.cursor() as cursor:
            cursor.execute("alter table peer.items add ordinal bigint generated always as identity")
        build_model(connection, steps)
    return steps
