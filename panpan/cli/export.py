"""
Commands that take figures away and look at what was taken: export parquet, export verify.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home, parse_moment
from panpan.errors import CheckFailed
from panpan.governance import export as exports
from panpan.settings import load_settings

commands = typer.Typer(
    name="export", help="Figures as files, for who has no access to the database.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `export`."""
    app.add_typer(commands, name="export")


@commands.command("parquet")
def parquet(
    to: Annotated[Path, typer.Option("--to", help="Folder to make; one with something in it is refused.")],
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="daily_store_sales, masked.customers, ...; all marts when left out."),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="T", help="As known at a past moment, ISO 8601.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Write marts as Parquet files with a manifest that says what was taken, all of one moment.

    Example: panpan export parquet daily_store_sales --to figures --as-of 2026-10-05T12:00
    """
    with output.step(f"writing {to}"):
        taken = exports.export(load_settings(home=home), to, tables or [], parse_moment(as_of) if as_of else None)
    manifest = taken.manifest
    if as_json:
        facts = manifest.model_dump(mode="json")
        output.print_json({"folder": taken.folder, "manifest_sha256": taken.manifest_sha256, **facts})
        return
    output.print_table(
        f"as known at {manifest.as_of.isoformat()}",
        ["file", "rows", "columns", "bytes", "newest load"],
        [
            (
                each.file,
                each.rows,
                len(each.columns),
                each.bytes,
                each.newest_load.load_id if each.newest_load else None,
            )
            for each in manifest.files
        ],
    )
    for each in manifest.left_out:
        output.results.print(f"left out: {each.table}, {each.reason}", highlight=False, markup=False)
    output.results.print(
        f"{taken.folder}, sha256 of its manifest {taken.manifest_sha256}", highlight=False, markup=False
    )


@commands.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of an export.", exists=True, file_okay=False)],
    against_database: Annotated[
        bool,
        typer.Option("--against-database", help="Also compare rows and sums with the database as of the same moment."),
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Check that the files of an export are what its manifest says: hashes, rows, none missing, none added.

    Exit 3 when one is not, or when the database says something else.  Example: panpan export verify figures
    """
    taken = exports.read_export(folder)
    found = exports.findings(taken)
    compared = exports.compare(load_settings(home=home), taken) if against_database and not found else []
    wrong = [f"{each.file} {each.says}" for each in found]
    wrong += [f"{each.table}: {each.outcome}" for each in compared if each.differences]
    if as_json:
        facts = {
            "folder": folder,
            "as_of": taken.manifest.as_of,
            "files": len(taken.manifest.files),
            "manifest_sha256": taken.manifest_sha256,
            "findings": [asdict(each) for each in found],
            "compared": [asdict(each) for each in compared],
        }
        output.print_json(facts, ok=not wrong)
    elif compared:
        output.print_table("file and database", ["table", ""], [(each.table, each.outcome) for each in compared])
    if wrong:
        raise CheckFailed(f"{folder} is not what was taken", cause="; ".join(wrong))
    if not as_json:
        said = f"{len(taken.manifest.files)} files are as written, sha256 of the manifest {taken.manifest_sha256}"
        output.results.print(said, highlight=False)
