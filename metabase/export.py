"""
An answer as a file: CSV for spreadsheet programs, JSON for others. All rows, all columns, exact values.
"""

from __future__ import annotations

import csv
import io
from typing import Any

from metabase.answers import Answer, SourceState, as_of

# A spreadsheet program runs a cell that begins with one of these.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def to_csv(answer: Answer) -> str:
    """With a byte order mark, which spreadsheet programs need to read names as UTF-8."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(answer.columns)
    writer.writerows([safe_cell(value) for value in row] for row in answer.rows)
    return "\ufeff" + text.getvalue()


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
