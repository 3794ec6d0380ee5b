"""
From a file to a proposed contract, as one flow: read, give meanings, write, prove that it loads.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from zoneinfo import available_timezones

from panpan.errors import ContractError, UsageError
from transforms.contract import Contract
from transforms.infer.board import Board
from transforms.infer.decisions import Draft, Proposal, counted
from transforms.infer.masters import draft_masters
from transforms.infer.options import Options
from transforms.infer.reading import DELIMITER_NAMES, ReceivedTable, read_table
from transforms.infer.sales import draft_sales
from transforms.infer.writing import settle_missing, telling_columns, write_contract

SOURCE_NAME = r"[a-z][a-z0-9_]*"


def propose(path: Path, name: str, options: Options | None = None) -> Proposal:
    """
    A contract for one file, from the file alone. Nothing is written; the same file gives the same text.

    Errors: ContractError when the file is no table of records with a header, or lacks what its kind needs;
        UsageError when the name or an option is none.
    """
    options = options or Options()
    _refuse_wrong_use(name, options)
    table = read_table(path)
    board = Board(table)
    draft = (draft_sales if options.system == "pos" else draft_masters)(board, options)
    settle_missing(board, draft)
    _tell_file(table, draft)
    text = write_contract(name, path.name, board, draft, options)
    Contract.model_validate(tomllib.loads(text))
    return Proposal(name, text, draft.decisions, table.row_count, table.sampled)


def _refuse_wrong_use(name: str, options: Options) -> None:
    if not re.fullmatch(SOURCE_NAME, name):
        raise UsageError(
            f"{name!r} can't name a source",
            cause="a name is lower-case letters, digits and _, a letter first",
        )
    if options.time_zone and options.time_zone not in available_timezones():
        raise UsageError(f"{options.time_zone!r} is no IANA time zone", next="give one such as Europe/Madrid")
    if options.currency and not re.fullmatch("[A-Z]{3}", options.currency):
        raise UsageError(f"{options.currency!r} is no currency code", next="give one such as EUR")


def _tell_file(table: ReceivedTable, draft: Draft) -> None:
    """The decisions about the file itself, before all others."""
    about_columns, draft.decisions = draft.decisions, []
    told = (
        "the mark at its beginning says so"
        if table.has_bom
        else "all its bytes read so"
        if not table.sampled
        else "the bytes looked at read so"
    )
    odd = f", for instance {table.odd_text!r}" if table.odd_text else ""
    draft.decide("encodings", table.encoding, f"{told}{odd}", "proven" if table.has_bom else "likely")
    width = len(table.bare_header)
    draft.decide(
        "delimiter",
        DELIMITER_NAMES[table.delimiter],
        f"it divides the header and the rows into {width} cells each",
        "proven",
    )
    if table.titles:
        evidence = f"{counted(len(table.titles), 'line')} above it name no columns: {'; '.join(table.titles)[:120]}"
        draft.decide("header", ", ".join(table.bare_header)[:60], evidence, "proven")
    if table.sampled:
        draft.decide(
            "sample",
            f"{table.row_count:,} rows",
            "the file is large, so its beginning and blocks spread over the rest were read",
            "warning",
        )
    if table.other_length_rows:
        evidence = (
            f"{counted(table.other_length_rows, 'row')} with another number of cells than the header; such a file is"
            " refused when it is loaded: take them out, a note at the end for instance"
        )
        draft.decide("rows", "of another length", evidence, "warning")
    _tell_odd_names(table, draft)
    draft.decisions += about_columns
    if not telling_columns(draft):
        raise ContractError("no named column tells this file from others", next="give the columns names")


def _tell_odd_names(table: ReceivedTable, draft: Draft) -> None:
    names = [name.strip() for name in table.bare_header]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    for name in repeated[:5]:
        later = [c.name for c in table.columns if c.name.startswith(f"{name}#")]
        evidence = (
            f"{name!r} stands {names.count(name)} times in the header; later ones are called "
            f"{', '.join(later)} by their place"
        )
        draft.decide("header", f"{name} repeats", evidence, "warning")
    unnamed = [c.name for c in table.columns if re.fullmatch(r"#\d+", c.name)]
    if unnamed:
        draft.decide(
            "header",
            f"{len(unnamed)} unnamed column(s)",
            f"they are called {', '.join(unnamed[:5])} by their place",
            "likely",
        )
