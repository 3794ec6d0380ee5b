"""
Which columns are money and quantity, proven by arithmetic: price x quantity = total, gross - discount = net.

Comes in: the board with receipts found. Goes out: typed columns and settings of the draft, with decisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from transforms.infer.board import Board
from transforms.infer.columns import Column
from transforms.infer.decisions import Certainty, Draft, DraftValue, counted
from transforms.infer.meanings import DISCOUNT, GROSS, NET, TAX, TIP, UNIT_PRICE, Words
from transforms.infer.naming import Candidate
from transforms.infer.numbers import CURRENCY, SHARED_SIGNS, Floats, Mark, code_of
from transforms.infer.receipts import Keys, ReceiptKey, varied_share

CENT = 0.0101
PROVEN = 0.98
SUBTOTAL = re.compile(r"\W*(sub)?(total|suma|somme|summe|gesamt)", re.IGNORECASE)
MOST_MAPPED = 300
FEWEST_RECEIPTS = 5
ASSUMED_CURRENCY = "EUR"
Mask = npt.NDArray[np.bool_]


# --- how numbers are written -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Writing:
    """How the file writes numbers: one decimal mark for the contract, and columns that differ from it."""

    mark: Mark
    own_marks: Mapping[str, Mark]

    def numbers(self, column: Column) -> Floats:
        """A number per row, read by the column's own mark."""
        return column.row_numbers(self.own_marks.get(column.name, self.mark))


def decide_writing(board: Board, draft: Draft) -> Writing:
    """Find the decimal mark: money columns have more say than counters written as 1.0."""
    columns = [c for c in board.table.columns if c.number_share >= 0.8 and c.date_share < 0.5 and _is_counted(c, board)]
    own: dict[str, Mark] = {c.name: c.marks.proven for c in columns if c.marks.proven}
    money = [c for c in columns if c.name in own and not _is_whole(c, own[c.name])]
    votes = pd.Series([own[c.name] for c in money or columns if c.name in own], dtype=object)
    mark: Mark = "," if (votes == ",").sum() > (votes == ".").sum() else "."
    if votes.empty:
        mark = _mark_without_proof(board, columns, draft)
    else:
        column = next(c for c in money or columns if own.get(c.name) == mark)
        _tell_mark(column, mark, draft)
    writing = Writing(mark, {name: its for name, its in own.items() if its != mark})
    _tell_thousands(columns, mark, draft)
    return writing


def _has_currency(text: str) -> bool:
    return CURRENCY.search(text) is not None


def _is_counted(column: Column, board: Board) -> bool:
    """Numbers that name something (receipts, customers) say nothing about how amounts are written."""
    return all(column is not used or meaning == "quantity" for meaning, used in board.taken.items())


def _is_whole(column: Column, mark: Mark) -> bool:
    numbers = column.row_numbers(mark)
    return bool((numbers[~np.isnan(numbers)] % 1 == 0).all()) and not column.share(_has_currency)


def _tell_mark(column: Column, mark: Mark, draft: Draft) -> None:
    other = "," if mark == "." else "."
    example = column.marks.example.get(("decimal", mark)) or column.marks.example.get(("thousands", other), "")
    name = "comma" if mark == "," else "point"
    draft.decide("decimal_mark", name, f"{column.name} holds {example!r}", "proven")


def _mark_without_proof(board: Board, columns: list[Column], draft: Draft) -> Mark:
    either = [(c, mark, text) for c in columns for (role, mark), text in c.marks.example.items() if role == "either"]
    if not either:
        draft.decide(
            "decimal_mark",
            "point",
            "no number of the file has a fraction, so it does not matter yet",
            "assumed",
        )
        return "."
    column, mark, text = either[0]
    other = "point" if mark == "," else "comma"
    evidence = (
        f"{column.name} holds {text!r}, whose {'comma' if mark == ',' else 'point'} may part "
        f"thousands or a fraction; "
        f"read as thousands, since money has no three decimals"
    )
    draft.decide("decimal_mark", other, evidence, "AMBIGUOUS")
    return "." if mark == "," else ","


def _tell_thousands(columns: list[Column], mark: Mark, draft: Draft) -> None:
    for column in columns:
        for sign, _ in column.marks.thousands.most_common(1):
            text = column.marks.example["thousands", sign]
            name = {".": "point", ",": "comma", "'": "apostrophe", "’": "apostrophe"}.get(sign, "blank")  # noqa: RUF001
            certainty: Certainty = "warning" if sign == mark else "proven"
            draft.decide("decimal_mark", f"{name} parts thousands", f"{column.name} holds {text!r}", certainty)
            return


# --- currency ----------------------------------------------------------------------------------------------


def decide_currency(board: Board, draft: Draft, asked: str | None) -> str:
    """The currency: asked for, in a column, by sign in the amounts, in a column's name, or assumed."""
    column = board.taken.get("currency_code")
    if column:
        draft.columns["currency_code"] = DraftValue(column.name)
        shown = ", ".join(f"{code} ({count} rows)" for code, count in column.value_counts.most_common(4))
        draft.decide("currency_code", column.name, f"it holds {shown}", "proven")
    if asked:
        draft.decide("currency_code", asked, "it was given with --currency", "proven")
        return asked
    if column:
        return column.value_counts.most_common(1)[0][0].upper()
    return _currency_in_amounts(board, draft) or _currency_in_names(board, draft) or _assumed_currency(draft)


def _currency_in_amounts(board: Board, draft: Draft) -> str | None:
    for column in board.table.columns:
        if column.number_share < 0.8:
            continue
        found = next((sign for text in column.sample if (sign := CURRENCY.search(text))), None)
        if found:
            code = code_of(found[0])
            shared = SHARED_SIGNS.get(found[0])
            note = f"; the sign is shared by {shared}" if shared else ""
            text = next(text for text in column.sample if found[0] in text)
            draft.decide("currency_code", code, f"{column.name} holds {text!r}{note}", "likely" if shared else "proven")
            return code
    return None


def _currency_in_names(board: Board, draft: Draft) -> str | None:
    for column in board.table.columns:
        found = CURRENCY.search(column.name) or CURRENCY.search(column.name.upper().split("_")[-1])
        if (
            found
            and column.number_share >= 0.8
            and (
                len(found[0]) == 1
                or found[0] in column.name.upper().replace("(", " ").replace(")", " ").replace("_", " ").split()
            )
        ):
            code = code_of(found[0])
            draft.decide("currency_code", code, f"the column is called {column.name!r}")
            return code
    return None


def _assumed_currency(draft: Draft) -> str:
    draft.decide(
        "currency_code",
        ASSUMED_CURRENCY,
        "the file shows no currency; give --currency or correct it here",
        "assumed",
    )
    return ASSUMED_CURRENCY


# --- amounts -----------------------------------------------------------------------------------------------


@dataclass
class Money:
    """The amount columns while they are being chosen, and their numbers per row; dated: which rows have a day."""

    board: Board
    writing: Writing
    receipt: ReceiptKey
    draft: Draft
    dated: Mask

    def numbers(self, meaning: str) -> Floats | None:
        """Numbers of the column taken for a meaning, or None."""
        column = self.board.taken.get(meaning)
        return None if column is None else self.writing.numbers(column)

    def options(self, words: Words) -> list[Candidate]:
        """Free columns of numbers whose names fit."""
        return [c for c in self.board.candidates(words) if c.column.number_share >= 0.8 and c.column.date_share < 0.5]

    @property
    def times(self) -> Floats | None:
        """Price x quantity per row, or None without both."""
        price, quantity = self.numbers("unit_price"), self.numbers("quantity")
        return None if price is None or quantity is None else price * quantity


def agreement(left: Floats, right: Floats) -> float:
    """Share of rows on which two amounts are equal to the cent, of those where both are known."""
    known = ~(np.isnan(left) | np.isnan(right))
    return float((np.abs(left[known] - right[known]) <= CENT).mean()) if known.any() else 0.0


def choose_amounts(money: Money) -> None:
    """Take every amount column and write the entity's rules on them."""
    _choose_unit_price(money)
    _choose_gross_discount_net(money)
    if "net_amount" not in money.board.taken:
        _choose_net(money)
    _choose_others(money)
    _find_quantity_by_amounts(money)
    _write_quantity(money)
    _write_price(money)
    _write_net(money)
    _tell_totals(money)
    _drop_discount_of_rebuilt(money)
    for meaning in ("gross_amount", "discount_amount", "tax_amount", "tip_amount"):
        if meaning in money.board.taken:
            money.draft.columns[meaning] = DraftValue(money.board.taken[meaning].name, "money")


def _drop_discount_of_rebuilt(money: Money) -> None:
    """Rebuilding knows price and quantity only: a discount column beside it can't be taken off."""
    discount = money.board.taken.get("discount_amount")
    if discount is None or "net_amount" in money.board.taken or "gross_amount" in money.board.taken:
        return
    money.board.taken.pop("discount_amount")
    given = int((np.abs(np.nan_to_num(money.writing.numbers(discount))) > 0).sum())
    if given:
        evidence = (
            f"{discount.name} is given on {counted(given, 'row')}, but there is no amount after it; "
            f"amounts are before discount"
        )
        money.draft.decide("rebuild_amounts", "discounts are not taken off", evidence, "warning")


def _choose_unit_price(money: Money) -> None:
    options = money.options(UNIT_PRICE)
    if options:
        money.board.take("unit_price", options[0].column)


@dataclass(frozen=True)
class Equation:
    """gross - discount = net on a share of the rows; `rank` prefers given discounts and better names."""

    share: float
    rank: float
    gross: Column
    discount: Column
    net: Column
    sign: str

    def __str__(self) -> str:
        operation = "+" if self.sign == "negative" else "-"
        formula = f"{self.gross.name} {operation} {self.discount.name} = {self.net.name}"
        return f"{formula} on {self.share:.1%} of rows"


def _choose_gross_discount_net(money: Money) -> None:
    """Three columns with gross - discount = net on nearly every row; those with some discount go first."""
    options = product(money.options(GROSS)[:3], money.options(DISCOUNT)[:3], money.options(NET)[:5])
    equations = [
        equation
        for gross, discount, net in options
        if len({id(c.column) for c in (gross, discount, net)}) == 3
        for equation in _equations(money, gross, discount, net)
        if equation.share >= PROVEN
    ]
    if equations:
        _take_proven(money, max(equations, key=lambda e: (e.rank >= 0, e.share, e.rank)))


def _equations(money: Money, gross: Candidate, discount: Candidate, net: Candidate) -> Iterator[Equation]:
    g, d, n = (money.writing.numbers(c.column) for c in (gross, discount, net))
    rank = gross.score + discount.score + net.score - (0 if np.nansum(np.abs(d)) else 1000)
    for sign, result in (("negative", g + d), ("positive", g - d)):
        yield Equation(agreement(result, n), rank, gross.column, discount.column, net.column, sign)


def _take_proven(money: Money, found: Equation) -> None:
    for meaning in ("gross", "discount", "net"):
        money.board.take(f"{meaning}_amount", getattr(found, meaning))
    money.draft.entity["discount_sign"] = found.sign
    if found.rank >= 0:
        evidence = str(found)
        money.draft.decide("discount_sign", found.sign, evidence, "proven")
    else:
        evidence = f"{found.gross.name} = {found.net.name} on {found.share:.1%} of rows"
        unknown = f"{found.discount.name} is 0 on every row, so its sign is unknown"
        money.draft.decide("discount_sign", found.sign, unknown, "assumed")
    money.draft.decide("net_amount", found.net.name, evidence, "proven")


def _choose_net(money: Money) -> None:
    """The amount column that price x quantity bears out, else the one with the best name."""
    options = money.options(NET)
    if not options:
        options = _only_money_column(money)
    if not options:
        return
    times = money.times
    if times is not None:
        shares = [agreement(times, money.writing.numbers(c.column)) for c in options]
        best = int(np.argmax(shares))
        if shares[best] >= 0.9:
            money.board.take("net_amount", options[best].column)
            return
    if options[0].is_weak and "unit_price" in money.board.taken:
        return
    of_lines = [c for c in options if not _order_total_evidence(money, c.column, money.writing.numbers(c.column), None)]
    money.board.take("net_amount", (of_lines or options)[0].column)


def _only_money_column(money: Money) -> list[Candidate]:
    """A single free column of amounts with fractions or currency signs, whatever its name."""
    if "unit_price" in money.board.taken:
        return []
    found = [
        c for c in money.board.free
        if c.number_share >= 0.95 and c.date_share < 0.5 and (c.marks.decimal or c.share(_has_currency) > 0.5)
    ]  # fmt: skip
    return [Candidate(found[0], 0, "values", True)] if len(found) == 1 else []


def _choose_others(money: Money) -> None:
    for meaning, words in (("tax_amount", TAX), ("tip_amount", TIP), ("discount_amount", DISCOUNT)):
        options = money.options(words)
        if meaning not in money.board.taken and options:
            money.board.take(meaning, options[0].column)
            money.draft.decide(
                meaning, options[0].column.name, f"its name says {options[0].phrase} and it holds numbers"
            )
    discount = money.numbers("discount_amount")
    if discount is not None and "discount_sign" not in money.draft.entity:
        _decide_discount_sign(money, discount)


def _decide_discount_sign(money: Money, discount: Floats) -> None:
    below, above = int((discount < 0).sum()), int((discount > 0).sum())
    sign = "positive" if above > below else "negative"
    money.draft.entity["discount_sign"] = sign
    name = money.board.taken["discount_amount"].name
    if below + above:
        money.draft.decide("discount_sign", sign, f"{name} is above 0 on {above:,} rows and below on {below:,}")
    else:
        money.draft.decide("discount_sign", sign, f"{name} is 0 on every row, so its sign is unknown", "assumed")


def _find_quantity_by_amounts(money: Money) -> None:
    """Whatever it is called: a column by which the price, less the discount, gives the amount counts pieces."""
    price, net = money.numbers("unit_price"), money.numbers("net_amount")
    if price is None or net is None or "quantity" in money.board.taken:
        return
    known = money.numbers("discount_amount")
    discount = np.zeros_like(net) if known is None else np.nan_to_num(known)
    for column in money.board.free:
        if column.number_share < PROVEN or column.date_share >= 0.5:
            continue
        times = price * money.writing.numbers(column)
        shares = {"": agreement(times, net), " - discount": agreement(times - np.abs(discount), net)}
        formula = max(shares, key=lambda each: shares[each])
        if column.distinct_count > 1 and shares[formula] >= PROVEN:
            equation = f"price x {column.name}{formula} = {money.board.taken['net_amount'].name}"
            evidence = f"{equation} on {shares[formula]:.1%} of rows"
            money.board.take("quantity", column)
            money.draft.decide("quantity", column.name, evidence, "proven")
            return


# --- into the draft ----------------------------------------------------------------------------------------


def _write_quantity(money: Money) -> None:
    column = money.board.taken.get("quantity")
    if column is None:
        money.draft.columns["quantity"] = DraftValue(type="decimal", default="1")
        money.draft.decide("quantity", "1 per row", "no column holds quantities, so a row is one piece", "assumed")
        return
    whole = column.filled_share == 1.0
    money.draft.columns["quantity"] = DraftValue(column.name, "decimal", required=whole)
    numbers = money.writing.numbers(column)
    if not money.draft.remarks("quantity"):
        evidence = f"it holds {np.nanmin(numbers[money.dated]):g} to {np.nanmax(numbers[money.dated]):g}"
        money.draft.decide("quantity", column.name, evidence)
    _map_other_mark(money, "quantity", column)


def _map_other_mark(money: Money, meaning: str, column: Column) -> None:
    own = money.writing.own_marks.get(column.name)
    if own:
        other = "," if own == "." else "."
        texts = [text for text in column.values if own in text][:MOST_MAPPED]
        money.draft.columns[meaning].map = {text: _with_mark(text, own, other) for text in texts}
        evidence = (
            f"{column.name} is written with a {'point' if own == '.' else 'comma'} "
            f"({column.values[0]!r}) and other "
            f"amounts with a {'comma' if own == '.' else 'point'}; the contract has one decimal "
            f"mark, so the {len(texts)} texts "
            f"seen are mapped, and a text not seen yet is rejected until it is added"
        )
        money.draft.decide(meaning, "decimal mark of its own", evidence, "warning")


def _with_mark(text: str, own: str, other: str) -> str:
    """The same number under the other mark, without a fraction of zeros."""
    whole, _, fraction = text.replace(other, "").partition(own)
    return f"{whole}{other}{fraction}" if fraction.strip("0") else whole


def _write_price(money: Money) -> None:
    column = money.board.taken.get("unit_price")
    if column:
        money.draft.columns["unit_price"] = DraftValue(column.name, "money")
        _map_other_mark(money, "unit_price", column)


def _write_net(money: Money) -> None:
    taken, draft = money.board.taken, money.draft
    if "net_amount" in taken:
        _write_received_net(money, taken["net_amount"])
    elif "unit_price" in taken:
        _write_net_from_price(money, taken["unit_price"])
    else:
        draft.entity["unknown_amounts"] = "keep"
        draft.decide(
            "unknown_amounts",
            "kept without amounts",
            "no column holds amounts; unknown is not zero",
            "warning",
        )


def _write_received_net(money: Money, net: Column) -> None:
    draft, numbers, times = money.draft, money.writing.numbers(net), money.times
    agrees = None if times is None else agreement(times, numbers)
    if _tax_is_on_top(money, numbers, times, agrees) or _is_order_total(money, net, numbers, times, agrees):
        return
    missing = int(np.isnan(numbers).sum())
    rebuild = bool(missing and agrees is not None and agrees >= PROVEN)
    draft.columns["net_amount"] = DraftValue(net.name, "money", required=not missing)
    draft.entity["rebuild_amounts"] = rebuild
    if not draft.remarks("net_amount"):
        draft.decide(
            "net_amount",
            net.name,
            _net_evidence(net, agrees, numbers[money.dated]),
            "proven" if agrees and agrees >= PROVEN else "likely",
        )
    odd = 0 if agrees is None or times is None else int((np.abs(times - numbers) > CENT).sum())
    if odd:
        draft.decide(
            "net_amount",
            "what was paid is kept",
            f"price x quantity differs from {net.name} on {counted(odd, 'row')}; the received amount stands",
        )
    if missing:
        done = (
            "they are rebuilt as price x quantity where both are known"
            if rebuild
            else "they can't be rebuilt and are rejected"
        )
        draft.decide(
            "rebuild_amounts" if rebuild else "unknown_amounts",
            "yes" if rebuild else "reject",
            f"{missing:,} rows have no readable {net.name}; {done}",
        )


def _net_evidence(net: Column, agrees: float | None, numbers: Floats) -> str:
    total = f"its sum is {np.nansum(numbers):,.2f}"
    if agrees is None:
        return f"{net.name} is named like an amount and varies by row; {total}"
    return f"price x quantity = {net.name} on {agrees:.1%} of rows; {total}"


def _tell_totals(money: Money) -> None:
    """A last row that adds up the others has no date; it is rejected, and the owner shall know that this is right."""
    net = money.board.taken.get("net_amount")
    if net is None or money.dated.all() or money.dated.sum() < 2:
        return
    numbers = money.writing.numbers(net)
    rows = np.flatnonzero(~money.dated & (np.abs(numbers - np.nansum(numbers[money.dated])) <= CENT))
    for row in rows:
        evidence = (
            f"row {row + 1:,} has no date and its {net.name} is the sum of the others ({numbers[row]:,.2f}); it is"
            " rejected when the file is loaded and counts nowhere, which is right"
        )
        money.draft.decide("rows", "a row of totals", evidence, "proven")


def words_of_subtotals(money: Money, words: Column) -> list[str]:
    """The words of a column that stand on rows with a date which add up the rows above them, a day's total say."""
    net = money.board.taken.get("net_amount")
    named = [text for text in words.values if SUBTOTAL.match(text)]
    if net is None or not named:
        return []
    numbers = np.nan_to_num(money.writing.numbers(net))
    is_total = money.dated & np.isin(np.array(words.stripped, dtype=object)[words.codes], named)
    rows = np.flatnonzero(is_total)
    above = np.diff(np.cumsum(np.where(is_total | ~money.dated, 0.0, numbers))[rows], prepend=0.0)
    adds_up = np.abs(above - numbers[rows]) <= CENT
    return named if len(rows) and adds_up.mean() >= PROVEN else []


def _tax_is_on_top(money: Money, net: Floats, times: Floats | None, agrees: float | None) -> bool:
    """A total that equals price x quantity + tax holds the tax: the amount without it is rebuilt."""
    tax = money.numbers("tax_amount")
    if tax is None or times is None or agrees is None or agrees >= 0.9 or agreement(times + tax, net) < PROVEN:
        return False
    name = money.board.taken.pop("net_amount").name
    money.draft.entity["rebuild_amounts"] = True
    evidence = f"price x quantity + tax = {name} on {agreement(times + tax, net):.1%} of rows, so {name} holds the tax"
    money.draft.decide("rebuild_amounts", "net amount = price x quantity", evidence, "proven")
    return True


def _is_order_total(money: Money, net: Column, numbers: Floats, times: Floats | None, agrees: float | None) -> bool:
    """Whether the amount is the whole receipt's, on each of its lines or only on the first."""
    evidence = _order_total_evidence(money, net, numbers, agrees)
    if not evidence:
        return False
    money.board.taken.pop("net_amount")
    if times is not None:
        money.draft.entity["rebuild_amounts"] = True
        done = "so lines are rebuilt as price x quantity"
        money.draft.decide("rebuild_amounts", "net amount = price x quantity", f"{evidence}, {done}", "warning")
    else:
        money.draft.entity["unknown_amounts"] = "keep"
        done = "and no price tells the lines apart; amounts stay unknown rather than being counted several times"
        money.draft.decide("unknown_amounts", f"{net.name} is not used", f"{evidence}, {done}", "warning")
    return True


def _order_total_evidence(money: Money, net: Column, numbers: Floats, agrees: float | None) -> str | None:
    keys, count = money.receipt.row_keys, money.receipt.count
    several = _has_different_lines(money, keys, count)
    if several.sum() < FEWEST_RECEIPTS or (agrees or 0) >= 0.9:
        return None
    known = np.bincount(keys, weights=~np.isnan(numbers), minlength=count)
    if (known[several] == 1).mean() >= 0.95:
        return (
            f"{net.name} stands on one line of each of {int(several.sum()):,} receipts with several "
            f"lines: it is the receipt's total"
        )
    within = several[keys] & ~np.isnan(numbers)
    inner, _ = pd.factorize(keys[within])
    cents = np.round(numbers[within] * 100).astype(np.int64)
    varied = varied_share(inner.astype(np.int64), int(inner.max()) + 1, cents) if len(inner) else 1.0
    differing = len(np.unique(cents)) > 3
    if varied > 1 - PROVEN or not differing:
        return None
    return (
        f"{net.name} is the same on every line of {1 - varied:.0%} of {int(several.sum()):,} "
        f"receipts with several lines: it is the receipt's total, repeated"
    )


def _has_different_lines(money: Money, keys: Keys, count: int) -> Mask:
    """Receipts with several lines, of several products where products are known: equal drinks cost the same."""
    several = np.bincount(keys, minlength=count) > 1
    thing = money.board.taken.get("product_id") or money.board.taken.get("product_name")
    if thing is not None:
        pairs = pd.DataFrame({"receipt": keys, "thing": thing.keys}).drop_duplicates()
        several &= np.bincount(pairs["receipt"], minlength=count) > 1
    return several


def _write_net_from_price(money: Money, price: Column) -> None:
    draft = money.draft
    quantity = money.numbers("quantity")
    always_one = quantity is not None and bool((quantity[~np.isnan(quantity)] == 1).all())
    if quantity is None or always_one:
        why = "no column holds quantities" if quantity is None else "the quantity is always 1"
        numbers = money.writing.numbers(price)
        money.board.taken["net_amount"] = price
        draft.columns["net_amount"] = DraftValue(price.name, "money", required=not np.isnan(numbers).any())
        draft.decide(
            "net_amount",
            price.name,
            f"{why}, so a row's amount is its price; the sum is {np.nansum(numbers):,.2f}",
        )
        return
    if evidence := _price_is_of_the_line(money, price, quantity):
        draft.columns.pop("unit_price")
        money.board.taken["net_amount"] = money.board.taken.pop("unit_price")
        draft.columns["net_amount"] = DraftValue(price.name, "money", required=price.filled_share == 1.0)
        draft.decide("net_amount", price.name, evidence, "likely")
        return
    draft.entity["rebuild_amounts"] = True
    total = np.nansum(money.writing.numbers(price) * quantity)
    evidence = (
        f"there is no total, so a row's amount is {price.name} x "
        f"{money.board.taken['quantity'].name}; their sum is {total:,.2f}"
    )
    draft.decide("rebuild_amounts", "net amount = price x quantity", evidence)


def _price_is_of_the_line(money: Money, price: Column, quantity: Floats) -> str | None:
    """Whether one product's price grows with the quantity, which a unit price does not."""
    thing = money.board.taken.get("product_id") or money.board.taken.get("product_name")
    if thing is None:
        return None
    frame = pd.DataFrame({"thing": thing.keys, "price": money.writing.numbers(price), "quantity": quantity}).dropna()
    frame = frame[(frame["quantity"] != 0) & (frame["price"] != 0)]
    frame["each"] = frame["price"] / frame["quantity"]
    spread = frame.groupby("thing").agg(
        quantities=("quantity", "nunique"), price=("price", _variation), each=("each", _variation)
    )
    spread = spread[spread["quantities"] > 1]
    if len(spread) < 3 or not (spread["each"] < spread["price"]).mean() > 0.8:
        return None
    return (
        f"{price.name} grows with the quantity for {len(spread):,} products sold in several "
        f"quantities, so it is the line's amount"
    )


def _variation(values: pd.Series[float]) -> float:
    return float(values.std() / abs(values.mean())) if len(values) > 1 and values.mean() else 0.0
