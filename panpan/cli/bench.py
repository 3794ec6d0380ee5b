"""
Commands that measure speed and memory: bench load, refresh, memory, backups, trace, ask, quality.

The work is in benchmarks/.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson
from panpan.errors import CheckFailed, PanpanError
from panpan.settings import CHECKOUT

commands = typer.Typer(
    name="bench",
    help="Speed and memory, measured on a scratch server; each figure beside its peers of the same run.",
    no_args_is_help=True,
)
Lines = Annotated[int, typer.Option("--lines", min=1000, help="Sale lines in the file.")]
Sizes = Annotated[list[int], typer.Option("--lines", min=1000, help="Sale lines; may be given several times.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="How often; the median counts.")]
Days = Annotated[int, typer.Option("--days", min=1, help="Days of the simulated business.")]
Lengths = Annotated[
    list[int], typer.Option("--days", min=1, help="Days of the simulated business; may be given several times.")
]
Ways = Annotated[
    list[str] | None, typer.Option("--way", help="Only these: ours (always needed), limit, dlt, dlt arrow, to_sql.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `bench`."""
    app.add_typer(commands, name="bench")


@commands.command("load")
def load(lines: Lines = 1_000_000, rounds: Rounds = 1, way: Ways = None, as_json: AsJson = False) -> None:
    """
    A file to marts: ours, a hand-written limit, dlt, pandas to_sql. All must agree on each store's net total.

    Installs dlt into .tools the first time.  Example: panpan bench load --lines 1000000
    """
    words = [word for name in way or [] for word in ("--way", name)]
    found = _measured("load", [lines], ["--rounds", str(rounds), *words])
    if as_json:
        output.print_json(found)
        return
    columns = ["way", "seconds", "lines/s", "ours takes times", "processor s", "ours uses times", "peak MiB", "load"]
    keys = ["way", "seconds", "lines_per_second", "ours_takes_times", "processor_seconds", "ours_uses_times"]
    rows = [[each[key] for key in (*keys, "peak_mib", "load")] for each in found["ways"]]
    output.print_table(f"{lines} sale lines, file to marts; net totals agree", columns, rows)
    _explain([f"{each['way']}: {each['does']}" for each in found["ways"]] + found["notes"], found)


@commands.command("refresh")
def refresh(lines: Sizes = [1_000_000, 10_000_000], rounds: Rounds = 5, as_json: AsJson = False) -> None:  # noqa: B006  # Typer reads it, nobody changes it
    """
    What 1,000 new lines cost on histories of these lengths.

    Takes some minutes and 10 GB of disk for 10 million.  Example: panpan bench refresh --lines 1000000 --lines 10000000
    """
    found = _measured("refresh", lines, ["--rounds", str(rounds)])
    if as_json:
        output.print_json(found)
        return
    keys = ["history_lines", "history_receipts", "seconds", "times_the_shortest", "processor_seconds"]
    keys += ["processor_times_the_shortest", "load"]
    rows = [[each[key] for key in keys] for each in found["histories"]]
    columns = [key.replace("_", " ") for key in keys]
    output.print_table(f"a refresh of {found['new_lines']} new lines", columns, rows)
    _explain(["the history is made of shifted copies of ten loaded days; see benchmarks/refresh.py"], found)


@commands.command("memory")
def memory(lines: Sizes = [1_000_000, 2_000_000], as_json: AsJson = False) -> None:  # noqa: B006  # as in refresh
    """
    The most memory a transform ever holds, by the size of the file.

    Example: panpan bench memory --lines 1000000
    """
    found = _measured("memory", lines, [])
    if as_json:
        output.print_json(found, ok=all(each["is_within_limit"] for each in found["sizes"]))
    else:
        keys = ["lines", "file_mib", "peak_mib", "seconds", "load"]
        rows = [[each[key] for key in keys] for each in found["sizes"]]
        output.print_table(
            f"peak memory; the limit is {found['limit_mib']} MiB", [k.replace("_", " ") for k in keys], rows
        )
        _explain([], found)
    if not all(each["is_within_limit"] for each in found["sizes"]):
        raise typer.Exit(CheckFailed.exit_code)


@commands.command("backups")
def backups(lines: Lines = 1_000_000, rounds: Rounds = 1, as_json: AsJson = False) -> None:
    """
    A backup set and its drill beside bare pg_dump and pg_restore of the same database.

    Example: panpan bench backups --lines 1000000
    """
    found = _measured("backups", [lines], ["--rounds", str(rounds)])
    if as_json:
        output.print_json(found)
        return
    rows = [[each[key] for key in ("way", "seconds", "times_bare", "load")] for each in found["ways"]]
    title = f"a database of {found['database_mib']} MiB, {lines} sale lines"
    output.print_table(title, ["way", "seconds", "times bare", "load"], rows)
    _explain([], found)


@commands.command("trace")
def trace(lines: Lines = 290_000, rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """
    How long it takes to lead a month's figures to their receipts, and to reconcile it; a trace may take two seconds.

    290,000 lines are some thirty days of the dense export.  Example: panpan bench trace --lines 290000
    """
    found = _measured("trace", [lines], ["--rounds", str(rounds)])
    traces = [each for each in found["questions"] if each["records"] is not None]
    is_within = all(each["seconds"] <= found["limit_seconds"] for each in traces)
    if as_json:
        output.print_json(found, ok=is_within)
    else:
        rows = [
            [each[key] for key in ("question", "records", "seconds", "processor_seconds", "load")]
            for each in found["questions"]
        ]
        title = f"{lines} sale lines of {found['days']} days"
        output.print_table(title, ["question", "records", "seconds", "processor s", "load"], rows)
        _explain([], found)
    if not is_within:
        raise typer.Exit(CheckFailed.exit_code)


@commands.command("ask")
def ask(days: Days = 420, rounds: Rounds = 3, as_json: AsJson = False) -> None:
    """
    What an answer costs: all questions of the suite, asked of the simulated business; the median may be 300 ms.

    A question asked a hundred times must have one answer.  Example: panpan bench ask --days 420
    """
    found = _measured("ask", [], ["--days", str(days), "--rounds", str(rounds)])
    is_within = found["different_answers"] == 1 and all(
        each["median_ms"] <= found["limit_ms"] for each in found["outcomes"]
    )
    if as_json:
        output.print_json(found, ok=is_within)
    else:
        keys = ["outcome", "questions", "median_ms", "p95_ms", "longest_ms"]
        rows = [[each[key] for key in keys] for each in found["outcomes"]]
        title = f"{found['questions']} questions, {days} days of the simulated business"
        output.print_table(title, [key.replace("_", " ") for key in keys], rows)
        said = f"processor time per question {found['processor_ms']} ms, load {found['load']}"
        same = f"asked {found['repeats']} times, a question had {found['different_answers']} answer"
        _explain([said, same], found)
    if not is_within:
        raise typer.Exit(CheckFailed.exit_code)


@commands.command("quality")
def quality(days: Lengths = [140, 420], rounds: Rounds = 3, as_json: AsJson = False) -> None:  # noqa: B006  # as in refresh
    """
    What all checks cost on the simulated business, by the length of its history; the longest may take five seconds.

    Example: panpan bench quality --days 140 --days 420
    """
    words = [word for length in days for word in ("--days", str(length))]
    found = _measured("quality", [], ["--rounds", str(rounds), *words])
    is_within = found["lengths"][-1]["seconds"] <= found["limit_seconds"]
    if as_json:
        output.print_json(found, ok=is_within)
    else:
        keys = ["days", "receipts", "checks", "seconds", "recent_seconds", "slowest", "slowest_seconds", "load"]
        rows = [[each[key] for key in keys] for each in found["lengths"]]
        output.print_table(
            "all checks, over all days and over the newest 62", [k.replace("_", " ") for k in keys], rows
        )
        _explain([], found)
    if not is_within:
        raise typer.Exit(CheckFailed.exit_code)


def _measured(name: str, lines: list[int], words: list[str]) -> dict[str, Any]:
    """
    Run a benchmark as a process of its own, from the checkout: it is no part of what is installed.

    Errors: PanpanError where there is no checkout, or with what the benchmark said.
    """
    if not (CHECKOUT / "benchmarks" / "__main__.py").is_file():
        raise PanpanError(
            "the benchmarks are not here", cause=f"{CHECKOUT} is no checkout", next="run it in a checkout"
        )
    sizes = [word for size in lines for word in ("--lines", str(size))]
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, *sizes, *words], cwd=CHECKOUT, stdout=subprocess.PIPE, check=False
    )
    try:
        found: dict[str, Any] = json.loads(answer.stdout)
    except ValueError:
        raise PanpanError(f"bench {name} failed", cause="what it wrote stands above") from None
    if "error" in found:
        kind = CheckFailed if answer.returncode == CheckFailed.exit_code else PanpanError
        raise kind(found["error"], cause=found["cause"], next=found["next"])
    return found


def _explain(sentences: list[str], found: dict[str, Any]) -> None:
    """What a table's figures stand on: load is processes that wanted a core, over the minute before each."""
    for sentence in sentences:
        output.results.print(sentence, markup=False, highlight=False)
    facts = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    output.results.print(facts, markup=False, highlight=False)
