"""
What a backup set and its proof cost beside PostgreSQL's own programs on the same database.

Comes in: a size in sale lines. Goes out: seconds of a bare `pg_dump -Fd -j2`, of making a set (dump, checksums,
figures, encryption), of a bare `pg_restore -j2`, and of the drill (restore, comparison, figures), and their ratios.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from collections.abc import Sequence
from typing import Any

from backups import create as creating
from backups import drill as drilling
from backups.programs import environment, program
from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import Steps, load_average, machine
from benchmarks.ours import run_ours
from db.connection import connect
from panpan.cli.backups import ingredients
from panpan.cli.backups import scratch as drill_server
from panpan.settings import Settings
from panpan.simulate.big_export import big_export

DUMP, SET, RESTORE, DRILL = "bare pg_dump -Fd -j2", "a set", "bare pg_restore -j2", "a drill"
PEERS = {SET: DUMP, DRILL: RESTORE}


def bench_backups(lines: int, rounds: int, talk: Talk) -> dict[str, Any]:
    """Load a file of this size, then each way in turn, as often as there are rounds; medians count."""
    with scratch.scratch_server() as server:
        settings = scratch.fresh_database(server)
        talk(f"loading {lines} lines")
        file = settings.archive / "pos" / f"items-{lines}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        big_export(file, lines)
        scratch.register_file(settings, file)
        run_ours(settings)
        taken = [_round(settings, talk) for _ in range(rounds)]
        return {
            "lines": lines,
            "database_mib": _database_bytes(settings) // 2**20,
            "ways": _ratios(taken),
            "machine": machine(server),
        }


def _round(settings: Settings, talk: Talk) -> dict[str, float]:
    steps = Steps()
    bare = settings.home / "bare"
    scratch.checkpoint(settings)
    talk(DUMP)
    with steps.step(DUMP):
        _run(
            settings, "pg_dump", "backup", ["--format=directory", "--jobs=2", f"--file={bare}", settings.database_name]
        )
    talk(SET)
    with steps.step(SET):
        folder = creating.create(settings, ingredients(settings))
    with drill_server(settings)(_database_bytes(settings)) as other:
        scratch.fresh_database(other, "roles_only")
        with connect(other, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("create database bare")
        talk(RESTORE)
        with steps.step(RESTORE):
            _run(other, "pg_restore", "postgres", ["--jobs=2", "--dbname=bare", str(bare)])
    talk(DRILL)
    with steps.step(DRILL):
        verdict = drilling.drill(settings, folder, drill_server(settings))
    if not verdict.is_good:
        raise RuntimeError(f"the drill is bad: {[name for name, check in verdict.checks.items() if not check.ok]}")
    for made in (bare, folder):
        shutil.rmtree(made)
    return steps.seconds


def _run(settings: Settings, name: str, role: Any, words: Sequence[str]) -> None:
    with environment(settings, role) as variables:
        subprocess.run([*program(settings, name, role), *words], env=variables, check=True)


def _database_bytes(settings: Settings) -> int:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("select pg_database_size(current_database())")
        [(size,)] = cursor.fetchall()
    return int(size)


def _ratios(rounds: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    median = {way: statistics.median(each[way] for each in rounds) for way in rounds[0]}
    return [
        {
            "way": way,
            "seconds": round(seconds, 2),
            "times_bare": round(seconds / median[PEERS[way]], 2) if way in PEERS else None,
            "load": load_average(),
        }
        for way, seconds in median.items()
    ]
