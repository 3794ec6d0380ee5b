"""Rules for amounts: currency, what a line cost, tax in or out of the price, the price of one. All exact."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from transforms.formatted import amounts
from transforms.formatted.values import TEXT, once_each
from transforms.rules.rule import Ruled, case, rule

_OWNER = "Owner"
_CENT = amounts.PARTS // 100

# ISO 4217, the codes in use and those withdrawn since 2020 (old exports name them).
_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK
MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR
SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS
VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG ZWL
"""
CURRENCIES = frozenset(_CODES.split())
# A sign that several currencies share means the source's own, where that is one of them; else nobody knows.
SIGNS = {
    "€": "EUR", "£": "GBP GIP EGP LBP", "¥": "JPY CNY", "₹": "INR", "₺": "TRY", "₽": "RUB", "₩": "KRW", "₪": "ILS",
    "$": "USD CAD AUD NZD MXN ARS CLP COP HKD SGD TWD", "US$": "USD", "C$": "CAD", "CA$": "CAD", "A$": "AUD",
    "AU$": "AUD", "NZ$": "NZD", "MX$": "MXN", "R$": "BRL", "HK$": "HKD", "S$": "SGD", "kr": "SEK NOK DKK ISK",
    "zł": "PLN", "Fr": "CHF", "Fr.": "CHF", "SFr.": "CHF", "Kč": "CZK", "Ft": "HUF",
}  # fmt: skip
NO_CURRENCY = "no ISO 4217 code and no sign that means one"


@rule(
    owner=_OWNER,
    reason="Amounts of two currencies must never be added; a sign nobody can tell is a fault, not a guess.",
    last_review=date(2026, 11, 20),
    passes=[
        case("EUR", "EUR", own="EUR"),
        case("eur", "EUR", own="EUR"),
        case("€", "EUR", own="USD"),
        case("$", "USD", own="USD"),
        case("$", "CAD", own="CAD"),
        case("kr", "DKK", own="DKK"),
        case("C$", "CAD", own="USD"),
        case(None, "EUR", own="EUR"),
    ],
    fails=[
        case("$", NO_CURRENCY, own="EUR"),
        case("¤", NO_CURRENCY, own="EUR"),
        case("EURO", NO_CURRENCY, own="EUR"),
        case("ABC", NO_CURRENCY, own="EUR"),
    ],
)
def currency(texts: pd.Series[Any], own: str) -> Ruled:
    """The ISO 4217 code a text or sign means; where none is received, the source's own."""
    codes = once_each(texts, lambda each: pa.array([_code(text, own) for text in each.to_pylist()], pa.string()))
    unknown = texts.notna() & codes.isna()
    return Ruled(codes.where(texts.notna(), own), ((unknown, NO_CURRENCY),))


def _code(text: str | None, own: str) -> str | None:
    word = (text or "").strip()
    meant = SIGNS.get(word, word.upper()).split()
    if len(meant) != 1:
        return own if own in meant else None
    return meant[0] if meant[0] in CURRENCIES or meant[0] == own else None


@rule(
    reads=(
        "quantity",
        "unit_price",
        "gross_amount",
        "discount_amount",
        "net_amount",
    ),
    owner=_OWNER,
    reason="What was paid stands in the file and is never computed anew: 230 lines of the three-store sample differ "
    "from quantity x price. 0.00 is an amount (a free coffee), a blank is none.",
    last_review=date(2026, 11, 20),
    passes=[
        case(
            {"net_amount": Decimal("1.00"), "quantity": Decimal(1), "unit_price": Decimal("3.75")},
            {"net_amount": Decimal("1.00"), "amount_origin": "received"},
            rebuild=True,
        ),
        case(
            {"net_amount": Decimal("0.00"), "quantity": Decimal(1), "unit_price": Decimal("3.75")},
            {"net_amount": Decimal("0.00"), "amount_origin": "received"},
            rebuild=True,
        ),
        case(
            {"gross_amount": Decimal("7.00"), "discount_amount": Decimal("1.00")},
            {"net_amount": Decimal("6.00"), "amount_origin": "received"},
        ),
        case(
            {"quantity": Decimal(3), "unit_price": Decimal("0.335")},
            {"net_amount": Decimal("1.01"), "amount_origin": "rebuilt"},
            rebuild=True,
        ),
        case(
            {"net_amount": Decimal("4.20"), "quantity": Decimal(1), "unit_price": None},
            {"net_amount": Decimal("4.20"), "amount_origin": "received"},
        ),
    ],
    fails=[
        case({"quantity": Decimal(3), "unit_price": Decimal("1.10")}, "no amount"),
        case({"quantity": None, "unit_price": Decimal("1.10")}, "no amount", rebuild=True),
    ],
)
def line_amount(rows: pd.DataFrame, rebuild: bool = False) -> Ruled:
    """The net amount as received, also 0.00; else gross less discount; else, where allowed, quantity x price."""
    discount = rows["discount_amount"].fillna(Decimal(0))
    net = rows["net_amount"].fillna(amounts.added(rows["gross_amount"], amounts.negated(discount)))
    received = net.notna()
    if rebuild:
        net = net.fillna(amounts.multiplied(rows["quantity"], rows["unit_price"]))
    known = net.notna()
    origin = np.where(received, "received", np.where(known, "rebuilt", "unknown")).astype(object)
    values = pd.DataFrame({"net_amount": net, "amount_origin": pd.Series(origin, rows.index).astype(TEXT)})
    return Ruled(values, ((~known, "no amount"),))


@rule(
    reads=(
        "quantity",
        "unit_price",
        "gross_amount",
    ),
    owner=_OWNER,
    reason="Reports compare prices, and many exports have none. A quantity of 0 has no price, and an open item's own "
    "price stays.",
    last_review=date(2026, 11, 20),
    passes=[
        case({"quantity": Decimal(2), "gross_amount": Decimal("7.00")}, {"unit_price": Decimal("3.50")}),
        case({"quantity": Decimal(-1), "gross_amount": Decimal("-7.00")}, {"unit_price": Decimal("7.00")}),
        case({"quantity": Decimal(3), "gross_amount": Decimal("1.00")}, {"unit_price": Decimal("0.3333")}),
        case({"quantity": Decimal(1), "gross_amount": Decimal("0.00")}, {"unit_price": Decimal("0.00")}),
        case(
            {"quantity": Decimal(1), "gross_amount": Decimal("1.00"), "unit_price": Decimal("3.75")},
            {"unit_price": Decimal("3.75")},
        ),
    ],
    fails=[
        case({"quantity": Decimal(0), "gross_amount": Decimal("7.00")}, "a quantity of 0 has no price"),
    ],
)
def unit_price(rows: pd.DataFrame) -> Ruled:
    """The price of one as received, else gross amount over quantity to four decimals, where the quantity is not 0."""
    if rows["unit_price"].notna().all():
        return Ruled(rows[["unit_price"]])
    derived = amounts.divided(rows["gross_amount"], rows["quantity"])
    price = rows["unit_price"].fillna(derived)
    none = amounts.is_zero(rows["quantity"]) & price.isna()
    return Ruled(pd.DataFrame({"unit_price": price}), ((none, "a quantity of 0 has no price"),))


_TAX_UNKNOWN = "the tax is in the price, and neither its amount nor its rate is known"


@rule(
    reads=(
        "gross_amount",
        "discount_amount",
        "net_amount",
        "tax_amount",
    ),
    owner=_OWNER,
    reason="Revenue is without tax. Where prices hold it, net + tax must still be what was paid, to the cent.",
    last_review=date(2026, 11, 20),
    passes=[
        case(
            {"gross_amount": Decimal("1.00"), "discount_amount": Decimal("0.00"), "net_amount": Decimal("1.00")},
            {"gross_amount": Decimal("0.91"), "net_amount": Decimal("0.91"), "tax_amount": Decimal("0.09")},
            included=True,
            rate=Decimal("0.10"),
        ),
        case(
            {"gross_amount": Decimal("12.10"), "discount_amount": Decimal("2.42"), "net_amount": Decimal("9.68")},
            {
                "gross_amount": Decimal("10.00"),
                "discount_amount": Decimal("2.00"),
                "net_amount": Decimal("8.00"),
                "tax_amount": Decimal("1.68"),
            },
            included=True,
            rate=Decimal("0.21"),
        ),
        case(
            {
                "gross_amount": Decimal("-5.50"),
                "discount_amount": Decimal("0.00"),
                "net_amount": Decimal("-5.50"),
                "tax_amount": Decimal("-0.50"),
            },
            {"gross_amount": Decimal("-5.00"), "net_amount": Decimal("-5.00"), "tax_amount": Decimal("-0.50")},
            included=True,
        ),
        case(
            {"gross_amount": Decimal("1.25"), "discount_amount": Decimal(0), "net_amount": Decimal("1.25")},
            {"tax_amount": Decimal("0.13")},
            included=False,
            rate=Decimal("0.10"),
        ),
        case(
            {"gross_amount": Decimal(1), "discount_amount": Decimal(0), "net_amount": Decimal(1)},
            {"tax_amount": None},
            included=False,
        ),
    ],
    fails=[
        case(
            {"gross_amount": Decimal(1), "discount_amount": Decimal(0), "net_amount": Decimal(1)},
            _TAX_UNKNOWN,
            included=True,
        )
    ],
)
def tax(rows: pd.DataFrame, included: bool, rate: Decimal | None = None) -> Ruled:
    """Net, tax and gross apart: a tax received counts, else the rate gives it, half up; net + tax = paid."""
    if not included:
        told = rows["tax_amount"]
        values = told if rate is None else told.fillna(_share(rows["net_amount"], rate, Decimal(1)))
        return Ruled(pd.DataFrame({"tax_amount": values}))
    paid = rows["net_amount"]
    by_rate = amounts.unknown(rows.index) if rate is None else _share(paid, Decimal(1), 1 + rate)
    told_net = amounts.added(paid, amounts.negated(rows["tax_amount"]))
    net = told_net.fillna(by_rate)
    discount = rows["discount_amount"]
    discount = _in_ratio(discount, net, paid) if rate is None else _share(discount, Decimal(1), 1 + rate)
    values = pd.DataFrame(
        {
            "gross_amount": amounts.added(net, discount),
            "discount_amount": discount,
            "net_amount": net,
            "tax_amount": amounts.added(paid, amounts.negated(net)),
        }
    )
    return Ruled(values, ((paid.notna() & net.isna(), _TAX_UNKNOWN),))


def _share(values: pd.Series[Any], over: Decimal, under: Decimal) -> pd.Series[Any]:
    """Values times over / under, half up to the cent."""
    whole, known = amounts.parts(values)
    numerator, denominator = int(over * amounts.PARTS), int(under * amounts.PARTS)
    cents = amounts.half_up(amounts.times(whole, numerator), denominator * _CENT)
    return amounts.of_parts(cents * _CENT, known, values.index)


def _in_ratio(discount: pd.Series[Any], net: pd.Series[Any], paid: pd.Series[Any]) -> pd.Series[Any]:
    """A discount with its tax left out, in the ratio of the line's amount; as it is where nothing was paid."""
    given, known = amounts.parts(discount)
    over, net_known = amounts.parts(net)
    under, _ = amounts.parts(paid)
    fits = net_known & (under != 0)
    cents = amounts.half_up(
        amounts.times(given, np.where(fits, np.abs(over), 1)), np.where(fits, np.abs(under), 1) * _CENT
    )
    return amounts.of_parts(np.where(fits, cents * _CENT, given), known, discount.index)


@rule(
    reads=(
        "discount_amount",
        "gross_amount",
        "net_amount",
    ),
    owner=_OWNER,
    reason="Square writes -1.00 and Loyverse 1.00 for the same discount.",
    last_review=date(2026, 11, 20),
    passes=[
        case(
            {"discount_amount": Decimal("-1.00")},
            {"discount_amount": Decimal("1.00")},
            sign="negative",
        ),
        case({"discount_amount": Decimal("1.00")}, {"discount_amount": Decimal("1.00")}, sign="positive"),
        case({"discount_amount": None}, {"discount_amount": None}, sign="negative"),
    ],
    fails=[
        case(
            {"gross_amount": Decimal(7), "discount_amount": Decimal(1), "net_amount": Decimal(6)},
            "the discount's sign is not the contract's",
            sign="negative",
        ),
    ],
)
def discount_sign(rows: pd.DataFrame, sign: Literal["negative", "positive"]) -> Ruled:
    """A discount is a positive number that is taken off; a line that only adds up the other way is refused."""
    discount = amounts.negated(rows["discount_amount"]) if sign == "negative" else rows["discount_amount"]
    values = pd.DataFrame({"discount_amount": discount})
    if not {"gross_amount", "net_amount"} <= set(rows.columns) or rows["gross_amount"].isna().all():
        return Ruled(values)
    gross, gross_known = amounts.parts(rows["gross_amount"])
    net, net_known = amounts.parts(rows["net_amount"])
    off, off_known = amounts.parts(discount)
    wrong = gross_known & net_known & off_known & (off != 0) & (gross + off == net)
    return Ruled(values, ((pd.Series(wrong, rows.index), "the discount's sign is not the contract's"),))


def spread(
    total: np.ndarray[Any, Any], weight: np.ndarray[Any, Any], group: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """
    Each group's total in shares by weight, whole cents that add up to it exactly (largest remainder, then order).

    total: the group's total in cents, the same on each of its rows. Equal shares where no row has a weight.
    """
    count = int(group.max(initial=-1)) + 1
    weight = np.abs(weight)
    weighted = np.bincount(group[weight > 0], minlength=count)[group] > 0
    weight = np.where(weighted, weight, 1)
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, group, weight)
    size = np.abs(total)
    product = amounts.times(size, weight)
    share, rest = product // sums[group], product % sums[group]
    given = np.zeros(count, dtype=np.int64)
    np.add.at(given, group, share.astype(np.int64))
    left = size - given[group]
    order = np.lexsort((np.arange(len(group)), -rest.astype(np.int64), group))
    starts = np.searchsorted(group[order], np.arange(count))
    rank = np.empty(len(group), np.int64)
    rank[order] = np.arange(len(group)) - starts[group[order]]
    shares: np.ndarray[Any, Any] = np.sign(total) * (share.astype(np.int64) + (rank < left))
    return shares


def cents(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Amounts in whole cents, 0 where unknown."""
    return amounts.parts(values)[0] // _CENT


def of_cents(values: np.ndarray[Any, Any], index: pd.Index[Any]) -> pd.Series[Any]:
    """Whole cents as amounts."""
    return amounts.of_parts(values * _CENT, np.ones(len(values), bool), index)


def is_known(values: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Where an amount is known."""
    return np.asarray(pc.is_valid(pa.array(values, pa.decimal128(18, 4))).to_numpy(zero_copy_only=False))
