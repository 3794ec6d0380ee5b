"""A file far larger than memory is meant to hold: every line counted, every cent there, memory bounded."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db.connection import connect
from panpan.settings import Settings
from panpan.simulate.big_export import big_export

CHECKOUT = Path(__file__).resolve().parents[2]
Ask = Callable[..., list[tuple[Any, ...]]]
LINES = 150_000
PROGRAM = """
import json, resource, sys
from pathlib import Path
from panpan.settings import load_settings
from transforms.run import run
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = run(load_settings(home=Path(sys.argv[1]), batch_rows=20_000))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rows": report.rows, "seconds": report.seconds, "mebibytes": (peak - before) // 1024}))
"""


def register(settings: Settings, path: Path) -> None:
    """A load whose document lies in the archive, as for files above the size n8n carries."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").digest()
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            with load as (
                insert into ops.loads (source, run_key, file_name, status, document_count, byte_count, received_at)
                values ('pos', 'test', %(name)s, 'received', 1, %(size)s, now()) returning load_id
            )
            insert into raw_pos.documents (document_id, load_id, name, stored_path, byte_count, sha256)
            select nextval('ops.document_ids'), load_id, %(name)s, %(path)s, %(size)s, %(digest)s from load
            """,
            {
                "name": path.name,
                "size": path.stat().st_size,
                "path": str(path.relative_to(settings.home)),
                "digest": digest,
            },
        )


def test_a_file_of_150_000_lines_is_whole_to_the_cent_in_bounded_memory(
    warehouse: Settings, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse.archive.mkdir()
    path = warehouse.archive / "big.csv"
    totals = big_export(path, LINES)
    register(warehouse, path)

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(warehouse.home)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )

    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout)
    with capsys.disabled():
        size = path.stat().st_size / 2**20
        speed = LINES / measured["seconds"]
        print(  # noqa: T201  # the measurement is what a reader of the log wants
            f"\n{LINES} lines ({size:.0f} MiB) in {measured['seconds']:.1f} s, {speed:.0f} lines/s, "
            f"+{measured['mebibytes']} MiB"
        )
    assert measured["rows"] == totals.lines == LINES
    assert ask("select count(*) from raw_pos.sale_lines") == [(LINES,)]
    assert ask("select count(*), sum(net_amount), sum(tax_amount), sum(discount_amount) from core.sales") == [
        (totals.receipts, cents(totals.net), cents(totals.tax), abs(cents(totals.discounts)))
    ]
    assert ask("select sum(net_amount), sum(ticket_count) from marts.monthly_store_sales") == [
        (cents(totals.net), totals.receipts)
    ]
    assert measured["mebibytes"] < 700


def cents(amount: int) -> Decimal:
    return Decimal(amount) / 100
