"""Rules for what tells people apart: names, e-mail addresses, phone numbers, loyalty cards."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from transforms.formatted.values import once_each
from transforms.rules.rule import Ruled, case, rule

_OWNER = "Marketing"
_PARTICLE = "de del da das do dos di du la las los van von der den"
_AT = r"\s*(?:\(at\)|\[at\]|\{at\}|@)\s*"
# Letters of any script may stand in an address; in all it has at most 254 characters (RFC 5321).
_BEFORE = r"[^\s@,;:<>()\[\]\"\\.]+"
_LABEL = r"[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?"
_ADDRESS = rf"^{_BEFORE}(?:\.{_BEFORE})*@(?:{_LABEL}\.)+\p{{L}}{{2,}}$"
_LONGEST_ADDRESS = 254


@rule(
    owner=_OWNER,
    reason="Clerks type names in capitals or with doubled blanks; the same person must read the same everywhere, "
    "and an accent is part of the name.",
    last_review=date(2026, 11, 20),
    passes=[
        case("  Ana   García ", "Ana García"),
        case("JOSÉ NÚÑEZ", "José Núñez"),
        case("maria de la cruz", "Maria de la Cruz"),
        case("o'brien-lópez", "O'Brien-López"),
        case("McDonald", "McDonald"),
        case("van Gogh", "van Gogh"),
        case("Jose\u0301", "José"),
    ],
    fails=[case("---", "a name has a letter"), case("12345", "a name has a letter")],
)
def person_name(texts: pd.Series[Any]) -> Ruled:
    """Single blanks; letter case is mended only where all letters are capitals or none is; accents stay."""
    names = once_each(texts, _person_names)
    return Ruled(names, ((_lost(texts, names), "a name has a letter"),))


def _person_names(texts: pa.Array) -> pa.Array:
    plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFC"), r"\s+", " "))
    plain = pc.if_else(pc.match_substring_regex(plain, r"\p{L}"), plain, None)
    titled = pc.utf8_title(plain)
    for word in _PARTICLE.split():
        titled = pc.replace_substring(titled, f" {word.title()} ", f" {word} ")
    one_case = pc.or_(pc.equal(plain, pc.utf8_upper(plain)), pc.equal(plain, pc.utf8_lower(plain)))
    return pc.if_else(one_case, titled, plain)


@rule(
    owner=_OWNER,
    reason="The address is what joins a customer of the tills with one of the CRM; it is written in many ways, "
    "and what is no address must not join two people.",
    last_review=date(2026, 11, 20),
    passes=[
        case(" Ana@Example.ORG ", "ana@example.org"),
        case("ana(at)example.org", "ana@example.org"),
        case("Ana García <ana@example.org>", "ana@example.org"),
        case("mailto:ana@example.org.", "ana@example.org"),
        case("josé@peña.es", "josé@peña.es"),
        case("a.b+c@sub.example.co.uk", "a.b+c@sub.example.co.uk"),
    ],
    fails=[
        case("ana@", "no e-mail address"),
        case("ana example.org", "no e-mail address"),
        case("ana@example", "no e-mail address"),
        case("ana@@example.org", "no e-mail address"),
        case("ana..b@example.org", "no e-mail address"),
        case("none", "no e-mail address"),
    ],
)
def email(texts: pd.Series[Any]) -> Ruled:
    """Trimmed, small letters, `(at)` as `@`; what is no address becomes null, the record stays and notes it."""
    addresses = once_each(texts, _addresses)
    return Ruled(addresses, ((_lost(texts, addresses), "no e-mail address"),))


def _addresses(texts: pa.Array) -> pa.Array:
    lower = pc.utf8_lower(pc.utf8_normalize(texts, form="NFC"))
    within = pc.replace_substring_regex(lower, r"^.*<([^<>]*)>\s*$", r"\1")
    within = pc.replace_substring_regex(within, r"^\s*mailto:", "")
    address = pc.replace_substring_regex(pc.replace_substring_regex(within, _AT, "@"), r"^[\s\"']+|[\s\"'.,;]+$", "")
    fits = pc.and_(
        pc.match_substring_regex(address, _ADDRESS), pc.less_equal(pc.utf8_length(address), _LONGEST_ADDRESS)
    )
    return pc.if_else(fits, address, None)


@rule(
    owner=_OWNER,
    reason="A number is typed with and without prefix, dots, extensions and words; E.164 is the one spelling that "
    "compares.",
    last_review=date(2026, 11, 20),
    passes=[
        case("612 345 678", "+34612345678", country="ES"),
        case("0034 612-345-678", "+34612345678", country="ES"),
        case("(+34) 612.345.678", "+34612345678", country="ES"),
        case("612 345 678 (mañanas)", "+34612345678", country="ES"),
        case("Tel. 612 345 678 / 699 111 222", "+34612345678", country="ES"),
        case("(212) 555-0100 ext. 5", "+12125550100", country="US"),
        case("+44 20 7946 0958", "+442079460958", country="ES"),
        case("+34 612 345 678", "+34612345678", country=None),
    ],
    fails=[
        case("600", "no phone number that can exist", country="ES"),
        case("ask Ana", "no phone number that can exist", country="ES"),
        case("000 000 000", "no phone number that can exist", country="ES"),
        case("612 345 678", "no phone number that can exist", country=None),
    ],
)
def phone(texts: pd.Series[Any], country: str | None) -> Ruled:
    """E.164 by phonenumbers, read as dialled in the contract's country; extensions and words go, impossible is null."""
    numbers = once_each(texts, lambda each: pa.array([_phone(text, country) for text in each.to_pylist()], pa.string()))
    return Ruled(numbers, ((_lost(texts, numbers), "no phone number that can exist"),))


def _phone(text: str | None, country: str | None) -> str | None:
    found = phonenumbers.PhoneNumberMatcher(text or "", country, leniency=phonenumbers.Leniency.POSSIBLE)
    for match in found:
        number = match.number
        number.extension = None
        if len(set(str(number.national_number))) > 1:  # 000 000 000 is typed where a form insists on a number
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return None


@rule(
    owner=_OWNER,
    reason="The same card is typed with blanks, dashes and small letters.",
    last_review=date(2026, 11, 20),
    passes=[
        case("PP-100007", "PP100007"),
        case("pp 100007", "PP100007"),
        case("PP100007", "PP100007"),
        case("008-424", "008424"),
    ],
    fails=[case("-", "a loyalty card has a letter or a digit")],
)
def loyalty_card(texts: pd.Series[Any]) -> Ruled:
    """Letters and digits alone, letters as capitals; leading zeros stay."""
    cards = once_each(texts, _cards)
    return Ruled(cards, ((_lost(texts, cards), "a loyalty card has a letter or a digit"),))


def _cards(texts: pa.Array) -> pa.Array:
    plain = pc.utf8_upper(pc.replace_substring_regex(pc.utf8_normalize(texts, form="NFKC"), r"[^\p{L}\p{N}]+", ""))
    return pc.if_else(pc.equal(plain, ""), None, plain)


def _lost(before: pd.Series[Any], after: pd.Series[Any]) -> pd.Series[bool]:
    """Where there was a text and nothing is left of it."""
    return before.notna() & after.isna()
