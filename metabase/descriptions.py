"""
What tables and columns mean, as Metabase shall say it: the comments of the database, and which metrics they make.

Comes in: the database as role bi, the metric catalogue. Goes out: words per table, none for what has no comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from db.connection import connect
from metabase.answers import STATE
from panpan.settings import Settings
from transforms.metrics import Metric, load_metrics

STATEMENT = STATE / "descriptions.sql"
WORD = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class TableWords:
    """What a table means, and each of its columns by name."""

    description: str
    columns: Mapping[str, str] = field(default_factory=dict)


def read_descriptions(settings: Settings) -> dict[str, TableWords]:
    """
    The words of every mart that role bi may read.

    Errors: DatabaseError when there is no server.
    """
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(STATEMENT.read_text(encoding="utf-8"))
        return described(cursor.fetchall(), load_metrics().values())


def described(rows: Iterable[tuple[str, str | None, str | None]], metrics: Iterable[Metric]) -> dict[str, TableWords]:
    """Words from (table, column or None, comment) and from the metrics that read the table."""
    comments = {(table, column): meaning for table, column, meaning in rows if meaning}
    made = made_of(metrics)
    words = {each: _joined(comment, made.get(each, [])) for each, comment in comments.items()}
    return {
        table: TableWords(text, {name: words[of, name] for of, name in words if of == table and name is not None})
        for (table, column), text in words.items()
        if column is None
    }


def made_of(metrics: Iterable[Metric]) -> dict[tuple[str, str | None], list[str]]:
    """(mart, column) -> the metrics whose expression has it; (mart, None) -> the metrics that read the mart."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for metric in metrics:
        places = {
            (reading.mart, word) for reading in metric.readings for word in (None, *WORD.findall(reading.expression))
        }
        for place in places:
            found.setdefault(place, []).append(metric.name)
    return found


def _joined(comment: str, metrics: list[str]) -> str:
    return f"{comment} Metrics: {', '.join(sorted(metrics))}." if metrics else comment
