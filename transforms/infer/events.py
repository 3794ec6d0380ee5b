"""
How refunds and cancelled sales show: an event column, a flag, or negative quantities.
"""

from __future__ import annotations

import numpy as np

from transforms.infer.amounts import Money
from transforms.infer.columns import Column
from transforms.infer.decisions import DraftValue, counted
from transforms.infer.meanings import EVENT_WORDS, FALSE_WORDS, STATE_WORDS, TRUE_WORDS, VOID
from transforms.infer.naming import Candidate, words_of
from transforms.infer.numbers import Floats

EVENTS = ["sale", "refund", "void"]
# A file without a refund says nothing of how the next one will call it; these are the usual words.
USUAL_REVERSALS = {"Refund": "refund", "Return": "refund", "Void": "void"}


def folded(text: str) -> str:
    """A value as the word tables spell it."""
    return " ".join(words_of(text))


_EVENTS = {folded(word): event for word, event in EVENT_WORDS.items()}
_STATES = {folded(word) for word in STATE_WORDS}
_TRUE, _FALSE = ({folded(word) or word for word in words} for words in (TRUE_WORDS, FALSE_WORDS))


def tells_events(candidate: Candidate) -> bool:
    """Whether a column's values say sale, refund or void row by row (an order's state does not)."""
    column = candidate.column
    if column.distinct_count > 12 or not column.values:
        return False
    known = {_EVENTS.get(folded(value)) for value in column.values}
    reverses = bool(known & {"refund", "void"})
    if {folded(value) for value in column.values} & _STATES:
        return False
    return None not in known and (reverses or not candidate.is_weak)


def decide_events(money: Money) -> None:
    """Write the event column and the entity's refund rule."""
    column = money.board.taken.get("event")
    quantity = money.numbers("quantity")
    negative = 0 if quantity is None else int((quantity < 0).sum())
    refunds = 0
    if column:
        refunds = _write_event_column(money, column)
    else:
        _write_void_flag(money)
    if refunds:
        money.draft.entity["refunds"] = "event"
        money.draft.decide("refunds", "event", f"{column.name if column else ''} says which rows are refunds", "proven")
    elif negative:
        money.draft.entity["refunds"] = "negative_quantity"
        money.draft.decide(
            "refunds", "negative_quantity", f"{counted(negative, 'row')} with a negative quantity", "proven"
        )
    else:
        money.draft.entity["refunds"] = "event" if column else "none"
        _tell_no_refunds(money, column)
    _tell_order_states(money)


def _write_event_column(money: Money, column: Column) -> int:
    meanings = _reversals_as_refunds(money, column, {value: _EVENTS[folded(value)] for value in column.values})
    if not {"refund", "void"} & set(meanings.values()):
        meanings |= USUAL_REVERSALS
    default = next((value for value, event in meanings.items() if event == "sale"), "sale")
    money.draft.columns["event"] = DraftValue(column.name, map=meanings, only=EVENTS, default=default)
    counts = {event: sum(column.value_counts[v] for v, e in meanings.items() if e == event) for event in EVENTS}
    shown = ", ".join(f"{counts[event]:,} {event}" for event in EVENTS if counts[event])
    money.draft.decide("event", column.name, f"its words mean {shown} rows", "proven")
    _tell_positive_refunds(money, column, meanings)
    return counts["refund"]


def _reversals_as_refunds(money: Money, column: Column, meanings: dict[str, str]) -> dict[str, str]:
    """A cancelled sale that keeps its amounts is a void; a row of its own with negative ones is a refund."""
    net = _net(money)
    if net is None:
        return meanings
    texts = np.array(column.stripped, dtype=object)[column.codes]
    return {
        value: "refund" if event == "void" and (net[texts == value] < 0).mean() > 0.5 else event
        for value, event in meanings.items()
    }


def _net(money: Money) -> Floats | None:
    """The amount per row as far as it is known here."""
    return money.numbers("net_amount") if "net_amount" in money.board.taken else money.times


def _tell_positive_refunds(money: Money, column: Column, meanings: dict[str, str]) -> None:
    net = _net(money)
    if net is None:
        return
    refunds = np.array([meanings.get(text) == "refund" for text in column.stripped], dtype=bool)[column.codes]
    above = int((net[refunds] > 0).sum())
    if above:
        evidence = (
            f"{counted(above, 'refund row')} have an amount above 0, and the contract can't turn "
            f"signs, so revenue would be too high"
        )
        money.draft.decide("refunds", "refund rows with positive amounts", evidence, "warning")


def _write_void_flag(money: Money) -> None:
    flag = next((c.column for c in money.board.candidates(VOID) if _is_flag(c.column)), None)
    if flag is None:
        return
    money.board.take("event", flag)
    meanings = {value: "void" if folded(value) in _TRUE else "sale" for value in flag.values}
    money.draft.columns["event"] = DraftValue(
        flag.name,
        map=meanings,
        only=EVENTS,
        default=next((v for v, e in meanings.items() if e == "sale"), "sale"),
    )
    voided = sum(flag.value_counts[value] for value, event in meanings.items() if event == "void")
    money.draft.decide(
        "event",
        flag.name,
        f"it marks {voided:,} rows as cancelled; they stay in the file with their amounts",
        "likely",
    )


def _is_flag(column: Column) -> bool:
    return bool(column.values) and {folded(v) for v in column.values} <= _TRUE | _FALSE


def _tell_no_refunds(money: Money, column: Column | None) -> None:
    if column:
        return
    net = _net(money)
    below = 0 if net is None else _below_zero(net)
    if below:
        money.draft.entity["refunds"] = "negative_quantity"
        evidence = (
            f"{counted(below, 'row')} have a negative amount and no negative quantity; the rule takes both for refunds"
        )
        money.draft.decide("refunds", "negative_quantity", evidence)
    else:
        money.draft.decide(
            "refunds",
            "none",
            "no row has a word for refund, a negative quantity or a negative amount",
            "assumed",
        )


def _below_zero(net: Floats) -> int:
    return int((net < 0).sum())


def _tell_order_states(money: Money) -> None:
    for column in money.board.free:
        states = [value for value in column.values if folded(value) in _STATES] if column.distinct_count <= 12 else []
        if states:
            rows = sum(column.value_counts[value] for value in states)
            evidence = (
                f"{column.name} says {' and '.join(states)} on {rows:,} rows whose amounts are those of "
                f"the sale; the contract has no rule for an order's state, so these refunds are not taken "
                f"off"
            )
            money.draft.decide("refunds", "orders marked as refunded stay sales", evidence, "warning")
