"""
A point-of-sale file: which columns say when, where, who, what, how many and how much.

Comes in: the table and what the person asked for. Goes out: a Draft of kind sale_lines; reads as the flow.
"""

from __future__ import annotations

from zoneinfo import available_timezones

from panpan.errors import ContractError
from transforms.infer.amounts import Mask, Money, choose_amounts, decide_currency, decide_writing, words_of_subtotals
from transforms.infer.board import Board, Fits
from transforms.infer.clock import decide_zone, find_clock
from transforms.infer.columns import Column
from transforms.infer.decisions import Draft, DraftValue, counted
from transforms.infer.events import decide_events, folded, tells_events
from transforms.infer.meanings import CHANNEL_WORDS, FALSE_WORDS, SALES, TRUE_WORDS, WALK_INS, ZONE_NAMES
from transforms.infer.naming import Candidate, words_of
from transforms.infer.options import Options
from transforms.infer.receipts import find_receipt

UNKNOWN_KEY, UNKNOWN_NAME = "unknown item", "Unknown item"
_CHANNELS = {folded(word): channel for word, channel in CHANNEL_WORDS.items()}
_YES, _NO = ({folded(word) or word for word in words} for words in (TRUE_WORDS, FALSE_WORDS))
_ZONES = set(ZONE_NAMES) | available_timezones()
PLAIN_TEXTS = (
    "customer_name", "loyalty_card", "employee", "employee_name", "category", "variation", "modifiers",
    "payment_method", "payment_reference", "card_brand", "card_last_digits", "note",
)  # fmt: skip


def draft_sales(board: Board, options: Options) -> Draft:
    """The draft. Errors: ContractError when the file has no dates."""
    draft = Draft("sale_lines")
    clock = find_clock(board, draft, prefer_month_first=_looks_american(board, options))
    board.assign(SALES, FITS)
    draft.time_zone = decide_zone(board, clock, draft, options.time_zone)
    receipt = find_receipt(board, clock, draft)
    writing = decide_writing(board, draft)
    draft.currency_code = decide_currency(board, draft, options.currency)
    money = Money(board, writing, receipt, draft, clock.row_moments.notna().to_numpy())
    _check_quantity(money)
    choose_amounts(money)
    decide_events(money)
    _write_product(money)
    _refuse_what_is_no_sale(board, draft)
    _write_customer(board, draft)
    _write_store(board, draft)
    _write_channel(board, draft)
    _write_plain_texts(board, draft)
    return draft


def _looks_american(board: Board, options: Options) -> bool:
    halves = any(
        c.time_share + c.moment_share > 0.8 and c.share(lambda t: t[-1:] in "mM") > 0.5 for c in board.table.columns
    )
    dollars = any(c.number_share > 0.8 and c.share(lambda t: "$" in t) > 0.5 for c in board.table.columns)
    zoned = (options.time_zone or "").startswith("America/")
    return halves or dollars or options.currency == "USD" or zoned


# --- which values a meaning accepts ------------------------------------------------------------------------


def _is_words(candidate: Candidate) -> bool:
    column = candidate.column
    return column.number_share < 0.5 and column.share(lambda t: t[:1] in "{[") < 0.5


def _is_empty_or(fits: Fits) -> Fits:
    """A strongly named column may be empty in this file and filled in the next."""
    return lambda candidate: (
        (candidate.column.is_empty and not candidate.is_weak) or (not candidate.column.is_empty and fits(candidate))
    )


def _is_product_name(candidate: Candidate) -> bool:
    column = candidate.column
    like_numbers = column.share(lambda t: t.lstrip("#").replace("-", "").isdigit())
    flags = {folded(value) for value in column.values[:5]} <= _YES | _NO
    return not (column.is_empty or flags) and _is_words(candidate) and like_numbers < 0.5 and column.date_share < 0.5


def _is_channel(candidate: Candidate) -> bool:
    column = candidate.column
    known = column.share(lambda t: folded(t) in _CHANNELS)
    flag = _is_in_store_flag(column)
    few = 2 <= column.distinct_count <= 20 and _is_words(candidate)
    return flag or known >= 0.5 or (few and not candidate.is_weak)


def _is_in_store_flag(column: Column) -> bool:
    named = {"instore", "store"} & set(words_of(column.name))
    return bool(named and column.values) and {folded(v) for v in column.values} <= _YES | _NO


def _is_store(candidate: Candidate) -> bool:
    column = candidate.column
    known_channels = column.share(lambda t: folded(t) in _CHANNELS)
    return 0 < column.distinct_count <= 1000 and known_channels < 0.5 and column.share(_has_fraction) < 0.5


def _has_fraction(text: str) -> bool:
    return "." in text and text.replace(".", "").isdigit() and text.rpartition(".")[2].strip("0") != ""


FITS: dict[str, Fits] = {
    "time_zone": lambda c: c.column.share(lambda t: t in _ZONES) >= 0.8,
    "store": _is_store,
    "customer": lambda c: not c.is_weak and c.column.date_share < 0.5 and c.column.share(_has_fraction) < 0.5,
    "channel": _is_channel,
    "event": tells_events,
    "product_id": lambda c: c.column.filled_share > 0.9 and c.column.share(_has_fraction) < 0.5,
    "product_name": _is_product_name,
    "category": _is_empty_or(lambda c: _is_words(c) and c.column.distinct_count <= 500),
    "variation": _is_empty_or(lambda c: c.column.distinct_count <= 500 and c.column.share(_has_fraction) < 0.5),
    "quantity": lambda c: c.column.number_share >= 0.8 and c.column.date_share < 0.5,
    "currency_code": lambda c: c.column.share(lambda t: len(t) == 3 and t.isalpha()) >= 0.95,
    "payment_method": _is_empty_or(lambda c: _is_words(c) and c.column.distinct_count <= 50),
    "customer_name": _is_empty_or(_is_words),
    "modifiers": _is_empty_or(_is_words),
    "employee": _is_empty_or(lambda c: c.column.distinct_count <= 2000 and c.column.share(_has_fraction) < 0.5),
    "note": _is_empty_or(_is_words),
}


def _check_quantity(money: Money) -> None:
    """A quantity of 0 throughout is none."""
    column = money.board.taken.get("quantity")
    if column and column.share(lambda t: t.strip("0.,") == "") == 1.0:
        money.board.taken.pop("quantity")
        money.draft.decide("quantity", f"{column.name} is not used", "it is 0 on every row", "warning")


# --- into the draft ----------------------------------------------------------------------------------------


def _write_product(money: Money) -> None:
    board, draft = money.board, money.draft
    number, name = board.taken.get("product_id"), board.taken.get("product_name") or _product_by_values(money)
    key, shown = number or name, name or number
    if key is None or shown is None:
        draft.columns["product_key"] = DraftValue(default=UNKNOWN_KEY)
        draft.columns["product_name"] = DraftValue(default=UNKNOWN_NAME)
        draft.decide("product_key", "none", "no column names products, so all lines are of one unknown item", "warning")
        return
    subtotals = words_of_subtotals(money, shown)
    known_amounts = "unknown_amounts" not in draft.entity and not subtotals
    whole = key.filled_share == 1.0 or not known_amounts
    draft.columns["product_key"] = DraftValue(
        key.name, missing=[*subtotals], required=whole, fold=number is None, default=None if whole else UNKNOWN_KEY
    )
    draft.columns["product_name"] = DraftValue(
        shown.name, missing=[*subtotals], required=shown.filled_share == 1.0 or not known_amounts,
        default=None if shown.filled_share == 1.0 or not known_amounts else UNKNOWN_NAME,
    )  # fmt: skip
    _tell_product(draft, key, number is None, board.taken.get("variation"), money.dated)
    for words in subtotals:
        evidence = (
            f"{shown.name} is {words!r} on {counted(shown.value_counts[words], 'row')} which add up those above; they"
            " are rejected when the file is loaded and count nowhere, which is right"
        )
        draft.decide("rows", "rows of totals", evidence, "proven")


def _tell_product(draft: Draft, key: Column, is_name: bool, variation: Column | None, dated: Mask) -> None:
    evidence = f"it holds {key.distinct_count:,} products such as {key.value_counts.most_common(1)[0][0]!r}"
    if is_name:
        evidence += "; letter case and blanks are not told apart"
    if variation is not None and variation.values:
        evidence += f"; sizes stay variations (a product per size would be from = [{key.name}, {variation.name}])"
    draft.decide("product_key", key.name, evidence)
    empty = int((~key.present_rows & dated).sum())
    if empty and draft.columns["product_key"].default:
        says = f"{counted(empty, 'row')} without a product; their amounts still count"
        draft.decide("product_key", UNKNOWN_NAME, says)
    elif empty:
        says = f"{counted(empty, 'row')} without a product and without an amount"
        draft.decide("product_key", "rejected rows", says, "warning")


def _product_by_values(money: Money) -> Column | None:
    """Beside prices or quantities, the free column with the most different words names what was sold."""
    if not {"unit_price", "quantity"} & set(money.board.taken) or len(money.board.table.columns) > 15:
        return None
    rows = money.board.table.row_count
    texts = [
        c for c in money.board.free if _is_product_name(Candidate(c, 0, "", True)) and 2 < c.distinct_count < 0.5 * rows
    ]
    if not texts:
        return None
    chosen = max(texts, key=lambda column: column.distinct_count)
    money.board.take("product_name", chosen)
    evidence = (
        f"no column is called product; {chosen.name} holds words that return, {chosen.distinct_count:,} different ones"
    )
    money.draft.decide("product_key", chosen.name, evidence, "assumed")
    return chosen


def _refuse_what_is_no_sale(board: Board, draft: Draft) -> None:
    """A row with a date and neither amount, product nor quantity is no sale."""
    if {"net_amount", "unit_price", "quantity", "product_id", "product_name"} & set(board.taken):
        return
    raise ContractError(
        "the file has dates but neither amounts nor products",
        cause=f"columns: {', '.join(column.name for column in board.table.columns[:10])}",
        next="give --system crm or --system inventory if it holds no sales",
    )


def _write_customer(board: Board, draft: Draft) -> None:
    column = board.taken.get("customer")
    if column is None:
        return
    walk_ins = [v for v in column.values if folded(v) in WALK_INS or v in WALK_INS]
    draft.columns["customer"] = DraftValue(column.name, missing=walk_ins)
    if not draft.remarks("customer"):
        known = f"{column.distinct_count:,} customers on {column.filled_share:.0%} of rows"
        draft.decide("customer", column.name, f"its name says so; {known}")
    for value in walk_ins:
        draft.decide(
            "customer",
            f"{value} is nobody",
            f"{value!r} stands on {column.value_counts[value]:,} rows, as for people who just walk in",
        )


def _write_store(board: Board, draft: Draft) -> None:
    column = board.taken.get("store")
    if column is None:
        draft.decide("default_store", "one store", "no column names stores", "assumed")
        return
    draft.columns["store"] = DraftValue(column.name, required=column.filled_share == 1.0)
    shown = ", ".join(value for value, _ in column.value_counts.most_common(4))
    draft.decide("store", column.name, f"it holds {counted(column.distinct_count, 'place')}: {shown}")


def _write_channel(board: Board, draft: Draft) -> None:
    column = board.taken.get("channel")
    if column is None:
        return
    if _is_in_store_flag(column):
        meanings = {v: "store" if folded(v) in _YES else "takeaway" for v in column.values}
    else:
        meanings = {v: _CHANNELS[folded(v)] for v in column.values if _CHANNELS.get(folded(v), v) != v}
    draft.columns["channel"] = DraftValue(column.name, map=meanings)
    draft.decide("channel", column.name, f"it holds {', '.join(column.values[:5])}")


def _write_plain_texts(board: Board, draft: Draft) -> None:
    for meaning in PLAIN_TEXTS:
        column = board.taken.get(meaning)
        if column is not None:
            draft.columns[meaning] = DraftValue(column.name)
            shown = (
                f"it holds {counted(column.distinct_count, 'text')} such as {column.values[0]!r}"
                if column.values
                else "it is empty in this file; its name says so"
            )
            draft.decide(meaning, column.name, shown)
    if "reverses" in board.taken:
        draft.columns["reverses_receipt_number"] = DraftValue(board.taken["reverses"].name)
        draft.decide(
            "reverses_receipt_number",
            board.taken["reverses"].name,
            "its name says which sale a refund reverses",
        )
