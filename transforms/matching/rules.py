"""
The matching rules as data: what joins two records, how sure it is, and what speaks against it.

Read by: persons.py (scores), keys.py (names), docs/matching.md. A change here needs a higher VERSION.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

VERSION = 1
THRESHOLD = Decimal("0.800")

# A value that so many bear tells nothing of one person: a family's phone, info@ of a firm.
MOST_NAMES = 3
MOST_IDS = 8

OWN_RECORD = "own record"
DECISION = "decision"
CRM_MERGE = "crm merge"
POS_ID = "pos id"
EMAIL = "e-mail"
PHONE = "phone"
LOYALTY_CARD = "loyalty card"
NAME_AND_POSTCODE = "name and postcode"
NAME = "name"


@dataclass(frozen=True)
class Rule:
    """Two records of one catalogue that agree in this are one person, as surely as the score says."""

    name: str
    score: Decimal
    meaning: str
    is_sure: bool = False  # nothing but a decision speaks against it


RULES = {
    rule.name: rule
    for rule in (
        Rule(DECISION, Decimal("1.000"), "somebody decided it: panpan match merge", is_sure=True),
        Rule(CRM_MERGE, Decimal("1.000"), "the CRM merged the one contact into the other", is_sure=True),
        Rule(POS_ID, Decimal("1.000"), "same customer id of the POS, at a till, in its API or noted in the CRM"),
        Rule(EMAIL, Decimal("0.950"), "same e-mail address, letter case and blanks apart"),
        Rule(LOYALTY_CARD, Decimal("0.950"), "same loyalty card, letters and digits only"),
        Rule(PHONE, Decimal("0.900"), "same phone number in international form"),
        Rule(NAME_AND_POSTCODE, Decimal("0.800"), "same whole name without case and accents, and same postcode"),
    )
}

# What is taken off a score when both sides have such a value and none of them agree.
PENALTIES = {
    NAME: Decimal("0.200"),
    LOYALTY_CARD: Decimal("0.100"),
    POS_ID: Decimal("0.100"),
    EMAIL: Decimal("0.050"),
    PHONE: Decimal("0.050"),
}
