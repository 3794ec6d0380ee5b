"""
How much of some days' figures came late, and how much was changed afterwards, per source, currency and store.

Comes in: days; contracts, which say by when a day is promised; the history of core.sales. Goes out: counts, delays and
amounts, and a sentence per source; nothing is changed.

A receipt is late when it became known later than the end of its business day plus the source's warn_after_hours, by
which freshness is judged too. Where that had passed before the source was first loaded it could not come in time: such
receipts are backfilled, not late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from psycopg2.extras import RealDictCursor

from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.contract import Contract, load_contracts
from transforms.periods import spelled

SELECT = Path(__file__).with_suffix(".sql")
FIRST_KNOWN = "first known"  # the step of the select that is no cause
# One and several of what happened to receipts, by the causes of the history.
NOUNS = {
    "correction": ("correction", "corrections"),
    "refund": ("refund", "refunds"),
    "delete": ("deletion", "deletions"),
    "return": ("return of a deleted receipt", "returns of deleted receipts"),
    "rule change": ("change by other rules", "changes by other rules"),
    "merge": ("merge of customers", "merges of customers"),
}


@dataclass(frozen=True)
class Counts:
    """
    Receipts first known on the days, the late and the backfilled among them; delays are those of the late ones.

    changed: receipts that were changed afterwards, by cause.
    """

    receipts: int
    late: int
    backfilled: int
    median_delay_hours: float | None
    longest_delay_hours: float | None
    changed: dict[str, int]

    @property
    def share_late(self) -> Decimal | None:
        """Late ones among those that could come in time; None where there are none."""
        judged = self.receipts - self.backfilled
        return round(Decimal(self.late) / judged, 4) if judged else None


@dataclass(frozen=True)
class Amounts:
    """Net amounts in one currency: as first known, of that late and backfilled, and what changes moved, by cause."""

    first_known: Decimal
    late: Decimal
    backfilled: Decimal
    moved_by: dict[str, Decimal]

    @property
    def moved(self) -> Decimal:
        return sum(self.moved_by.values(), Decimal("0.00"))

    @property
    def now(self) -> Decimal:
        """What core says now."""
        return self.first_known + self.moved


@dataclass(frozen=True)
class Group:
    """A source's receipts in one currency: of one store, or (store_id None) of all."""

    store_id: str | None
    currency_code: str
    counts: Counts
    amounts: Amounts


@dataclass(frozen=True)
class Source:
    """
    One source: counts over all currencies, and a group per currency, followed by its stores where there are several.

    warn_after_hours is None where there is no contract any more; nothing is late then.
    """

    source: str
    warn_after_hours: int | None
    first_loaded_at: datetime | None
    counts: Counts
    groups: list[Group]

    @property
    def sentence(self) -> str:
        """In plain words: what came late, and what was changed afterwards."""
        return f"{self.source}: {_arrival(self)}; {_changes(self)}."


def lateness(settings: Settings, first: date, last: date, today: date, source: str | None = None) -> list[Source]:
    """
    What came late and was changed, per source with receipts of the days.

    Errors: UsageError for days to come or without receipts, and for a source that is unknown or sends none.
    """
    if first > today:
        raise UsageError(f"{spelled(first, last)} is still to come", cause=f"today is {today}")
    contracts = load_contracts(settings.own_contracts)
    promises = _promises(contracts.values())
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute("set transaction read only")
        cursor.execute(
            SELECT.read_text(encoding="utf-8"),
            {
                "first_day": first,
                "last_day": last,
                "source": source,
                "sources": list(promises),
                "time_zones": [contract.time_zone for contract, _ in promises.values()],
                "closing_times": [contract.closing_time for contract, _ in promises.values()],
                "hours": [hours for _, hours in promises.values()],
            },
        )
        rows = [dict(row) for row in cursor.fetchall()]
        if source is not None and not rows and source not in promises:
            sends = f"source {source} sends no receipts" if source in contracts else f"there is no source {source!r}"
            raise UsageError(sends, cause=f"sources that send receipts: {', '.join(promises)}")
        if not rows:
            raise UsageError(f"no receipts of {spelled(first, last)} are known", cause=_newest(cursor, source))
    return [
        _source(name, promises[name][1] if name in promises else None, list(own))
        for name, own in groupby(rows, key=lambda row: str(row["source"]))
    ]


def _promises(contracts: Iterable[Contract]) -> dict[str, tuple[Contract, int]]:
    """The contracts of sources that send receipts, and after how many hours these are late."""
    return {
        contract.source: (contract, entity.warn_after_hours or contract.warn_after_hours)
        for contract in contracts
        for entity in contract.entities
        if entity.kind == "sale_lines"
    }


def _newest(cursor: RealDictCursor, source: str | None) -> str:
    cursor.execute(
        "select max(business_date) as day from marts.daily_store_sales"
        " where %(source)s::text is null or source = %(source)s",
        {"source": source},
    )
    [newest] = cursor.fetchall()
    whose = f" of {source}" if source else ""
    return f"the newest receipts{whose} are of {newest['day']}" if newest["day"] else f"no receipts{whose} are known"


def _source(name: str, hours: int | None, rows: list[dict[str, Any]]) -> Source:
    """The rows of one source: first those over all currencies, then per currency all stores and each store."""
    parts = [
        (key, {row["step"]: row for row in steps})
        for key, steps in groupby(rows, key=lambda row: (row["currency_code"], row["store_id"]))
    ]
    (_, whole), *cells = parts
    has_stores = len({store for (_, store), _ in cells if store is not None}) > 1
    return Source(
        name,
        hours,
        rows[0]["first_loaded_at"],
        _counts(whole),
        [
            Group(store, currency, _counts(steps), _amounts(steps))
            for (currency, store), steps in cells
            if store is None or has_stores
        ],
    )


def _counts(steps: Mapping[str, Mapping[str, Any]]) -> Counts:
    first = steps.get(FIRST_KNOWN, {})
    return Counts(
        first.get("receipts", 0),
        first.get("late", 0),
        first.get("backfilled", 0),
        _hours(first.get("median_delay")),
        _hours(first.get("longest_delay")),
        {cause: row["receipts"] for cause, row in steps.items() if cause != FIRST_KNOWN},
    )


def _amounts(steps: Mapping[str, Mapping[str, Any]]) -> Amounts:
    first = steps.get(FIRST_KNOWN, {})
    nothing = Decimal("0.00")
    return Amounts(
        first.get("net_amount", nothing),
        first.get("late_amount", nothing),
        first.get("backfilled_amount", nothing),
        {cause: row["net_amount"] for cause, row in steps.items() if cause != FIRST_KNOWN},
    )


def _hours(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 3600, 2)


# --- in words ----------------------------------------------------------------------------------------------


def _arrival(source: Source) -> str:
    counts = source.counts
    judged = counts.receipts - counts.backfilled
    if not counts.receipts:
        return "no receipt was first known on these days"
    if source.warn_after_hours is None:
        return f"{_receipts(counts.receipts)}, and no contract that says by when they should have come"
    since = f"of days that were over before it was first loaded ({source.first_loaded_at:%Y-%m-%d})"
    if not judged:
        return f"{_receipts(counts.receipts)} {since}, backfilled and not late"
    text = f"{counts.late or 'none'} of {_receipts(judged)} came late"
    if counts.late:
        text += f" ({_money(source, 'late')}), {_delay(counts)}"
    return f"{text}; {counts.backfilled} more are backfilled, {since}" if counts.backfilled else text


def _delay(counts: Counts) -> str:
    longest = f"by {_span(counts.longest_delay_hours or 0)}"
    if counts.late == 1:
        return longest
    return f"half of them by {_span(counts.median_delay_hours or 0)} or more, the last {longest}"


def _changes(source: Source) -> str:
    if not source.counts.changed:
        return "nothing was changed afterwards"
    counted = [
        f"{count} {NOUNS.get(cause, (cause, cause))[count != 1]}" for cause, count in source.counts.changed.items()
    ]
    return f"{_listed(counted)} afterwards moved {_money(source, 'moved')}"


def _money(source: Source, what: str) -> str:
    """One of the amounts, in each currency."""
    return _listed(
        [f"{getattr(group.amounts, what)} {group.currency_code}" for group in source.groups if group.store_id is None]
    )


def _receipts(count: int) -> str:
    return f"{count} receipt{'' if count == 1 else 's'}"


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _span(hours: float) -> str:
    """Whole minutes, hours or days that have passed."""
    if hours < 2:
        return f"{int(hours * 60)} min"
    return f"{int(hours)} h" if hours < 48 else f"{int(hours / 24)} days"
