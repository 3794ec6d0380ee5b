"""
The page of two systems that differ: what each says, the difference by class in words and as a picture, its records.

Comes in: a metric, a period, perhaps a catalogue or currency. Goes out: what the template shows. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import altair as alt

from metabase.charts import INK, PALETTE, TONES, svg_of
from metabase.formats import MISSING, write, write_date, write_period
from panpan.settings import Settings
from panpan.web.receipts import Row, Table
from transforms.periods import business_today
from transforms.reconcile import CLASSES, RESIDUAL, Pair, Reconciliation, discrepancies, examine

MEANINGS = {
    "timing": "the same record, on another day",
    "definition": "one side counts otherwise",
    "scope": "one side never tells of it",
    "missing": "one side lacks the record",
    "duplicate": "one side has it twice",
    "error": "the same record, another amount",
    RESIDUAL: "no record says why",
}
COLOURS = dict(zip(CLASSES, (PALETTE[2], PALETTE[0], PALETTE[9], PALETTE[1], PALETTE[4], TONES["bad"]), strict=True))
ROOM_FOR_WORDS = 1.2
NAMES_WIDTH = 110  # left of the bars: the picture is as wide as asked with them, so that letters are not drawn small
SHOWN_RECORDS = 3  # links of a finding: the first records of each side


@dataclass(frozen=True)
class PairView:
    """One pair of systems: a sentence, the classes as rows, their reasons, the picture."""

    title: str
    sentence: str
    classes: Table
    reasons: Table
    wide: str
    narrow: str
    residual: str
    is_explained: bool


@dataclass(frozen=True)
class Finding:
    """A record that differs, and where to look at it on either side."""

    cells: tuple[str, ...]
    amount: str
    records: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class View:
    """What the page shows."""

    title: str
    definition: str
    reference_only: str
    pairs: tuple[PairView, ...]
    findings: tuple[Finding, ...]
    register: Table


def view(settings: Settings, metric: str, period: str, asked: Mapping[str, str]) -> View:
    """The page of a metric's period. Errors: UsageError for a metric only one system reports, or a wrong period."""
    today = business_today(settings)
    found, largest = examine(
        settings, metric, period, today, asked.get("catalogue") or None, asked.get("currency") or None
    )
    words = metric.replace("_", " ")
    return View(
        title=f"Two systems on {words}, {write_period(found.first_day, found.last_day)}",
        definition=found.metric.definition,
        reference_only=f"What counts: {found.comparison.ours}. For reference only: "
        f"{'; '.join([found.comparison.theirs, *found.metric.reference_only])}.",
        pairs=tuple(_pair(found, pair) for pair in found.pairs),
        findings=tuple(_finding(found, row) for row in largest),
        register=_register(settings, metric),
    )


def _pair(found: Reconciliation, pair: Pair) -> PairView:
    def amount(value: Decimal) -> str:
        return write(value, "money" if pair.currency else "quantity", pair.currency)

    ours, theirs = found.comparison.ours, found.comparison.theirs
    more = "more" if pair.difference > 0 else "less"
    said = f"{amount(abs(pair.difference))} {more}" if pair.difference else "the same"
    residual = sum((reason.gross for reason in pair.reasons if reason.kind == RESIDUAL), Decimal(0))
    rows = [(kind, pair.classes[kind], pair.gross[kind]) for kind in CLASSES if pair.gross[kind]]
    rows += [(RESIDUAL, pair.residual, residual)] if residual or pair.residual else []
    counts = {kind: sum(r.records for r in pair.reasons if r.kind == kind) for kind, _, _ in rows}
    return PairView(
        title=" and ".join(dict.fromkeys(("/".join(pair.our_sources), "/".join(pair.their_sources)))),
        sentence=f"{ours.capitalize()} say {amount(pair.ours)}, {theirs} {amount(pair.theirs)}: {said}.",
        classes=Table(
            ("Class", "Meaning", "Adds", "Moves", "Records"),
            tuple(
                Row(None, (kind.capitalize(), MEANINGS[kind], amount(added), amount(gross), f"{counts[kind]:,}"))
                for kind, added, gross in rows
            ),
            (False, False, True, True, True),
        ),
        reasons=Table(
            ("Why", "Class", "Adds", "Records"),
            tuple(Row(None, (r.reason, r.kind, amount(r.amount), f"{r.records:,}")) for r in pair.reasons),
            (False, False, True, True),
        ),
        wide=_picture(found, pair, 700, amount),
        narrow=_picture(found, pair, 330, amount),
        residual=amount(residual),
        is_explained=not residual and not pair.residual,
    )


def _picture(found: Reconciliation, pair: Pair, width: int, amount: Any) -> str:
    """From what one side says to what the other says, class by class, as floating bars."""
    steps = [(found.comparison.ours, Decimal(0), pair.ours, INK, amount(pair.ours))]
    reached = pair.ours
    for kind in (*CLASSES, RESIDUAL):
        added = pair.residual if kind == RESIDUAL else pair.classes[kind]
        if added:
            colour = COLOURS.get(kind, TONES["warn"])
            steps.append((kind, reached, reached + added, colour, amount(added)))
            reached += added
    steps.append((found.comparison.theirs, Decimal(0), pair.theirs, INK, amount(pair.theirs)))
    values = [  # a picture is drawn with floats; no figure is read from it
        {"step": step, "from": float(start), "to": float(end), "colour": colour, "label": label}
        for step, start, end, colour, label in steps
    ]
    ends = [value[name] for value in values for name in ("from", "to")]
    domain = [min(0, *ends), max(0, *ends) * ROOM_FOR_WORDS or 1]
    order = [value["step"] for value in values]
    base = alt.Chart(alt.InlineData(values=values), width=width - NAMES_WIDTH, height=40 * len(values))
    axis = alt.Axis(labelLimit=150, domain=False, ticks=False)
    bars = base.mark_bar(height=20, cornerRadius=3).encode(
        y=alt.Y("step:N", sort=order, title=None, axis=axis),
        x=alt.X("from:Q", title=None, axis=alt.Axis(tickCount=4), scale=alt.Scale(domain=domain)),
        x2="to:Q",
        color=alt.Color("colour:N", scale=None),
    )
    labels = base.mark_text(align="left", dx=6, color=INK, fontSize=12).encode(
        y=alt.Y("step:N", sort=order), x=alt.X("upper:Q"), text="label:N"
    )
    labels = labels.transform_calculate(upper="max(datum.from, datum.to)")
    return svg_of(bars + labels, None, f"reconcile/{found.metric.name}/{pair.catalogue}/{width}")


def _finding(found: Reconciliation, row: Mapping[str, Any]) -> Finding:
    currency = found.pairs[0].currency
    records = [
        (f"/receipts/raw/{raw_id}", f"{side} {place}")
        for side, name in ((found.comparison.ours, "our_raw_ids"), (found.comparison.theirs, "their_raw_ids"))
        for place, raw_id in enumerate((row[name] or [])[:SHOWN_RECORDS], start=1)
    ]
    day = write_date(row["business_date"]) if row["business_date"] else MISSING
    return Finding(
        cells=(day, row["store_name"] or MISSING, row["product_name"] or MISSING, row["class"], row["reason"]),
        amount=write(row["amount"], "money" if currency else "quantity", currency),
        records=tuple(records),
    )


def _register(settings: Settings, metric: str) -> Table:
    """What was decided about the metric's discrepancies."""
    rows = tuple(
        Row(None, (row["reason"], row["class"], row["status"], row["canonical"] or MISSING))
        for row in discrepancies(settings, role="web")
        if row["metric"] == metric
    )
    return Table(("Why", "Class", "Status", "What counts"), rows, (False, False, False, False))
