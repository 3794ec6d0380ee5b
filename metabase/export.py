"""
An answer as a file: XLSX and CSV for spreadsheet programs, JSON for others. All rows, all columns, exact values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from metabase.answers import Answer, SourceState, as_of
from panpan.errors import UsageError

# A spreadsheet program runs a cell that begins with one of these.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
MOST_SHEET_ROWS = 1_048_575  # and one of titles
SHEET_TITLE = 31  # the longest name of a sheet
NUMBER_FORMATS = {
    "money": "#,##0.00",
    "count": "#,##0",
    "quantity": "#,##0.####",
    **dict.fromkeys(("days", "hours", "minutes"), "#,##0.0"),
    "share": "0.0%",
    "date": "yyyy-mm-dd",
    "month": "mmm yyyy",
    "moment": "yyyy-mm-dd hh:mm:ss",
}


def to_csv(answer: Answer) -> str:
    """With a byte order mark, which spreadsheet programs need to read names as UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(answer.columns)
    writer.writerows([safe_cell(value) for value in row] for row in answer.rows)
    return "\ufeff" + text.getvalue()


def to_xlsx(answers: Sequence[tuple[Answer, list[SourceState]]]) -> bytes:
    """
    A workbook: what each sheet means, then one sheet per answer.

    Numbers are numbers, days are days, moments are in UTC (a sheet knows no zones).
    Errors: UsageError when an answer has more rows than a sheet holds.
    """
    book = Workbook(write_only=True)
    about = book.create_sheet("About")
    for letter, width in zip("ABCDEFG", (28, 34, 90, 18, 26, 22, 40), strict=True):
        about.column_dimensions[letter].width = width
    titles = ["Sheet", "Question", "Definition", "Owner", "System of record", "Data as of (UTC)", "Filters"]
    about.append([_titled(about, title) for title in titles])
    taken: set[str] = {"about"}
    for answer, sources in answers:
        name = _sheet_name(answer.question.name, taken)
        moment, question = as_of(sources), answer.question
        filters = ", ".join(f"{key} = {value}" for key, value in answer.filters.given().items())
        facts = [name, question.question, question.definition, question.owner, question.system_of_record]
        cells = [_sheet_cell(about, fact, "text") for fact in facts]
        about.append([*cells, _sheet_cell(about, moment, "moment"), _sheet_cell(about, filters, "text")])
        _fill(book.create_sheet(name), answer)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _fill(sheet: Any, answer: Answer) -> None:
    if len(answer.rows) > MOST_SHEET_ROWS:
        raise UsageError(
            f"{answer.question.title} has {len(answer.rows):,} rows, more than a sheet holds",
            next="take the CSV, or choose a shorter period",
        )
    columns = [answer.question.column(name) for name in answer.columns]
    for place, column in enumerate(columns, start=1):
        sheet.column_dimensions[get_column_letter(place)].width = max(12, len(column.title) + 4)
    sheet.freeze_panes = "A2"
    sheet.append([_titled(sheet, f"{c.title} (UTC)" if c.format == "moment" else c.title) for c in columns])
    formats = [column.format for column in columns]
    for row in answer.rows:
        sheet.append([_sheet_cell(sheet, value, kind) for value, kind in zip(row, formats, strict=True)])


def _titled(sheet: Any, title: str) -> Any:
    cell = WriteOnlyCell(sheet, value=title)
    cell.font = Font(bold=True)
    return cell


def _sheet_cell(sheet: Any, value: Any, kind: str) -> Any:
    """A cell of the value's own type. Texts are never read as formulas, not even when somebody edits them."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if value is None or isinstance(value, bool | int | Decimal | date):
        cell = WriteOnlyCell(sheet, value=value)
        if value is not None and kind in NUMBER_FORMATS:
            cell.number_format = NUMBER_FORMATS[kind]
        return cell
    words = ILLEGAL_CHARACTERS_RE.sub("", str(value))
    cell = WriteOnlyCell(sheet, value=words)
    cell.data_type = "s"
    cell.quotePrefix = words.lstrip(" ").startswith(FORMULA_STARTS)
    return cell


def _sheet_name(name: str, taken: set[str]) -> str:
    """A name of at most 31 letters that no other sheet has."""
    title, number = name[:SHEET_TITLE], 2
    while title.lower() in taken:
        title, number = f"{name[: SHEET_TITLE - 3]}_{number}", number + 1
    taken.add(title.lower())
    return title


def safe_cell(value: Any) -> str:
    """Texts a spreadsheet program would run get an apostrophe in front; numbers and dates stay."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip(" ").startswith(FORMULA_STARTS) else value
    return _plain(value)


def to_json(answer: Answer, sources: list[SourceState]) -> dict[str, Any]:
    """One object with `ok`; amounts as decimal strings, counts as numbers, moments in ISO 8601."""
    moment = as_of(sources)
    return {
        "ok": answer.failure is None,
        "name": answer.question.name,
        "title": answer.question.title,
        "unit": answer.question.unit,
        "as_of": moment.isoformat() if moment else None,
        "filters": {name: str(value) for name, value in answer.filters.given().items()},
        "columns": list(answer.columns),
        "rows": [
            {name: value if isinstance(value, int | str | None) else _plain(value) for name, value in record.items()}
            for record in answer.records()
        ],
        **({"error": answer.failure} if answer.failure else {}),
    }


def _plain(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
