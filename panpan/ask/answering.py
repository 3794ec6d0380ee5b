"""
From a question to its figure, with everything that is needed to check it; or to a refusal, with what could be asked.

Comes in: settings, a question, what day it is. Goes out: a reply. The figure comes from the compiler's plan alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor

from db.connection import connect
from metabase.formats import write, write_date, write_period
from panpan.ask import rewriter
from panpan.ask.grammar import Ranking, Reading, Refused, Understood, parse
from panpan.ask.lexicon import Known, Lexicon, build
from panpan.ask.phrasing import question_of
from panpan.governance.approval import standings
from panpan.governance.score import timed
from panpan.settings import Settings
from transforms.compiler import Answer, Plan, evaluate
from transforms.metrics import CURRENCY, load_metrics
from transforms.periods import compared_days

FOLDER = Path(__file__).parent
KINDS = {"currency": "money", "share": "share", "moment": "moment", "days": "days"}
FIRST_STEPS = ("revenue", "tickets", "average_ticket", "low_stock_products")
MOST_SUGGESTIONS = 6


@dataclass(frozen=True)
class Reply:
    """
    What a question gave.

    Answered: reading, plan, rows (each with value) and what they rest on. Not answered: why, and `suggestions`, each a
    question that would be answered. value: the figure when there is exactly one. read_as: the rewriter's words, if any.
    """

    question: str
    reading: Reading | None = None
    plan: Plan | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    citations: list[dict[str, Any]] = field(default_factory=list)
    suggestions: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusal: Refused | None = None
    read_as: str | None = None
    labels: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (dimension, value) -> as people write it

    @property
    def is_answered(self) -> bool:
        return self.plan is not None

    @property
    def value(self) -> Any:
        return self.rows[0]["value"] if len(self.rows) == 1 else None

    @property
    def says(self) -> str | None:
        """The reading in words: what, of what, of which days."""
        return describe(self.reading, self.plan) if self.reading and self.plan else None

    def write(self, value: Any, row: Mapping[str, Any]) -> str:
        """A figure of the reply as readers see it, with its unit."""
        if self.plan is None:
            return ""
        unit = self.plan.metric.unit
        text = write(value, KINDS.get(unit, "quantity"), row.get(CURRENCY))
        return text if unit in ("currency", "share", "moment") or value is None else f"{text} {unit}"


def ask(settings: Settings, question: str, today: date) -> Reply:
    """
    Answer a question, or say why not.

    A question the grammar doesn't know goes to the rewriter where one is set; what comes back is a question to the
    same grammar. How long it took is kept, not what was asked. Errors: DatabaseError.
    """
    with timed(settings, "ask") as answer:
        reply = _ask(settings, question, today)
        answer.is_answered = reply.is_answered
    return reply


def _ask(settings: Settings, question: str, today: date) -> Reply:
    with connect(settings, "bi") as connection:
        lexicon = build(load_metrics(), read_known(connection, today))
    parsed, read_as = parse(question, lexicon, today), None
    if isinstance(parsed, Refused) and parsed.kind in ("unknown", "no_metric"):
        read_as = rewriter.rewrite(settings, question, lexicon)
        if read_as:
            parsed = parse(read_as, lexicon, today)
    if isinstance(parsed, Refused):
        return Reply(question, refusal=parsed, suggestions=_nearest(parsed, lexicon, today), read_as=read_as)
    if len(parsed.readings) > 1:
        return _ask_back(question, parsed, lexicon, read_as)
    [(reading, plan)] = parsed.readings
    return _answer(settings, question, reading, plan, lexicon, read_as)


def read_known(connection: PgConnection, today: date) -> Known:
    """What may be named, as the data are now."""
    with connection.cursor() as cursor:
        cursor.execute(_sql("values"))
        values = frozenset(cursor.fetchall())
        cursor.execute(_sql("known_days"))
        [(first, last)] = cursor.fetchall()
    return Known(values, first or today, last or today)


def _sql(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def _answer(
    settings: Settings, question: str, reading: Reading, plan: Plan, lexicon: Lexicon, read_as: str | None
) -> Reply:
    known = lexicon.known
    is_by_day = "first_day" in plan.parameters
    if is_by_day and reading.period and (plan.first_day > known.last_day or plan.last_day < known.first_day):
        return _no_data(question, reading, plan, lexicon, read_as)
    answer = evaluate(settings, plan)
    rows = _ranked(answer.rows, reading.rank)
    if all(row["value"] is None for row in rows):
        return _no_data(question, reading, plan, lexicon, read_as)
    notes = []
    if is_by_day and reading.period and plan.last_day > known.last_day:
        notes.append(f"The data end on {write_date(known.last_day)}.")
    if is_by_day and reading.period and plan.first_day < known.first_day:
        notes.append(f"The data begin on {write_date(known.first_day)}.")
    if len({row.get(CURRENCY) for row in rows}) > 1:
        notes.append("Amounts in different currencies are never added.")
    labels = {(dimension, value): label for dimension, value, label in known.values}
    return Reply(
        question, reading, plan, rows, [_citation(settings, answer)], notes=notes, read_as=read_as, labels=labels
    )


def _no_data(question: str, reading: Reading, plan: Plan, lexicon: Lexicon, read_as: str | None) -> Reply:
    known = lexicon.known
    reason = (
        f"Nothing is known of this: {describe(reading, plan)}. "
        f"Sales are known from {write_date(known.first_day)} to {write_date(known.last_day)}."
    )
    refusal = Refused("no_data", reason, metrics=(reading.metric,))
    return Reply(question, refusal=refusal, suggestions=_nearest(refusal, lexicon, plan.asked_on), read_as=read_as)


def _ask_back(question: str, parsed: Understood, lexicon: Lexicon, read_as: str | None) -> Reply:
    choices = [question_of(reading, lexicon) for reading, _ in parsed.readings]
    refusal = Refused("ambiguous", "This can be read in several ways. Which one is meant?")
    return Reply(question, refusal=refusal, suggestions=choices, read_as=read_as)


def _ranked(rows: list[dict[str, Any]], rank: Ranking | None) -> list[dict[str, Any]]:
    """The first rows of each currency by value; rows as good as the last one stay in."""
    if rank is None:
        return rows
    by_currency: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["value"] is not None:
            by_currency[row.get(CURRENCY)].append(row)
    kept = []
    for each in by_currency.values():
        ordered = sorted(each, key=lambda row: row["value"], reverse=rank.descending)
        last = ordered[min(rank.limit, len(ordered)) - 1]["value"]
        kept += [row for place, row in enumerate(ordered) if place < rank.limit or row["value"] == last]
    return kept


def describe(reading: Reading, plan: Plan) -> str:
    """'revenue by month, store PanPan Centro, 1 May 2026 to 31 May 2026'."""
    parts = [reading.metric.replace("_", " ")]
    if reading.rank:
        many = "categories" if reading.by == ("category",) else f"{reading.by[0].replace('_', ' ')}s"
        parts[0] = f"{'top' if reading.rank.descending else 'lowest'} {reading.rank.limit} {many}: {parts[0]}"
    elif reading.by:
        parts[0] += f" by {' and '.join(name.replace('_', ' ') for name in reading.by)}"
    parts += [f"{name.replace('_', ' ')} {label}" for name, _, label in reading.where]
    if "first_day" not in plan.parameters:
        parts.append("as it is now")
    elif reading.period is None or reading.period.unit == "all":
        parts.append("all days known")
    else:
        parts.append(write_period(plan.first_day, plan.last_day))
    if reading.compare:
        days, _ = compared_days(reading.compare, plan.first_day, plan.last_day)
        parts.append(f"compared with {write_period(*days)}")
    return ", ".join(parts)


def _citation(settings: Settings, answer: Answer) -> dict[str, Any]:
    """What the figure rests on: definition, owner, source of record, age of the data, checks, statement, receipts."""
    plan = answer.plan
    metric = plan.metric
    return {
        "metric": metric.name,
        "question": metric.question,
        "definition": metric.definition,
        "version": metric.version,
        "state": standings(settings)[metric.name].word(plan.asked_on),
        "unit": metric.unit,
        "owner": metric.owner,
        "system_of_record": metric.system_of_record,
        "as_of": answer.as_of,
        "freshness": read_freshness(settings),
        "quality": read_quality(settings),
        "plan_id": plan.plan_id,
        "sql": plan.sql,
        "parameters": {name: str(value) for name, value in plan.parameters.items()},
        "receipts": receipts_link(plan),
    }


def receipts_link(plan: Plan) -> str | None:
    """Where the records behind the figure are shown; None for a metric that isn't made of receipts."""
    return f"/receipts/plan/{plan.plan_id}" if plan.metric.receipt_expression else None


def read_freshness(settings: Settings) -> list[dict[str, Any]]:
    """Each source with its newest record and one word: fresh, late, silent."""
    statement = (FOLDER.parents[1] / "metabase" / "state" / "freshness.sql").read_text(encoding="utf-8")
    with connect(settings, "bi") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(statement)
        return [
            {
                "source": row["source"],
                "title": row["title"],
                "newest_record_at": row["last_record_at"],
                "state": row["freshness_state"],
            }
            for row in cursor.fetchall()
        ]


def read_quality(settings: Settings) -> str:
    """What the checks of the data say, in one sentence."""
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute(_sql("checks"))
        [(failed, warned, unknown, count)] = cursor.fetchall()
    if not count:
        return "no check has been made yet"
    found = [f"{failed} failed", *([f"{warned} warn"] if warned else []), *([f"{unknown} unknown"] if unknown else [])]
    return f"all {count} checks passed" if not failed + warned + unknown else f"of {count} checks {', '.join(found)}"


def _nearest(refused: Refused, lexicon: Lexicon, today: date) -> list[str]:
    """Questions near the one that was refused; each is one the grammar answers."""
    names = [*refused.metrics, *(name for name in FIRST_STEPS if name not in refused.metrics)]
    stores = [text for text in refused.near if text in _labels(lexicon)]
    questions = [question_of(Reading(name), lexicon) for name in names if name in lexicon.metrics]
    tries = [*([refused.corrected] if refused.corrected else []), *(f"revenue, {text}" for text in stores), *questions]
    answered = [
        each
        for each in tries
        if isinstance(found := parse(each, lexicon, today), Understood) and len(found.readings) == 1
    ]
    return answered[:MOST_SUGGESTIONS]


def _labels(lexicon: Lexicon) -> set[str]:
    return {label.casefold() for _, _, label in lexicon.known.values}
