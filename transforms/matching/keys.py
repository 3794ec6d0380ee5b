"""
What of a received value tells persons apart: one small function per kind of value, text in, key or None out.

Two values mean the same exactly when their keys are equal; None: the value can't tell anybody apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from importlib import resources

import phonenumbers

from transforms.matching.rules import CRM_MERGE, EMAIL, LOYALTY_CARD, PHONE, POS_ID

SHORTEST_CARD = 4
Key = Callable[[str, str], str | None]


def email_key(text: str, region: str = "") -> str | None:
    """`Ana.Ruiz@Mail.example ` -> `ana.ruiz@mail.example`; `ana(at)mail.example` the same; `ana` -> None."""
    plain = re.sub(r"\s+", "", text).replace("(at)", "@").lower()
    return plain if re.fullmatch(r"[^@<>,;]+@[^@<>,;]+\.[^@<>,;.]+", plain) else None


def phone_key(text: str, region: str) -> str | None:
    """`0034 642-048-475`, `642 04 84 75 (mornings)` in Spain -> `+34642048475`; `12` -> None."""
    found = re.match(r"\s*[(+\d][\d\s()./+\u00a0-]*", text)
    try:
        number = phonenumbers.parse(found.group() if found else "", region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def card_key(text: str, region: str = "") -> str | None:
    """`pp-104 298` -> `PP104298`; fewer than four letters and digits -> None."""
    plain = "".join(sign for sign in text if sign.isalnum()).upper()
    return plain if len(plain) >= SHORTEST_CARD else None


def name_key(text: str, region: str = "") -> str | None:
    """`MARÍA  O\u2019Connor` -> `maria o connor`."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in letters if not unicodedata.combining(sign))
    return " ".join(re.findall(r"[^\W_]+", plain)) or None


def postcode_key(text: str, region: str = "") -> str | None:
    """`sw1a 1aa` -> `SW1A1AA`."""
    return "".join(sign for sign in text if sign.isalnum()).upper() or None


def id_key(text: str, region: str = "") -> str | None:
    """Ids of a source are compared as they are."""
    return text.strip() or None


# attribute of core.customer_facts -> the rule it is evidence for (None: it only supports or contradicts), its key
KEYS: dict[str, tuple[str | None, Key]] = {
    "email": (EMAIL, email_key),
    "phone": (PHONE, phone_key),
    "loyalty_card": (LOYALTY_CARD, card_key),
    "pos_customer": (POS_ID, id_key),
    "merged_customer": (CRM_MERGE, id_key),
    "full_name": (None, name_key),
    "postal_code": (None, postcode_key),
}


@cache
def region_of_zone(time_zone: str) -> str:
    """The country a phone number without country code belongs to: Europe/Madrid -> ES; none known: empty."""
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    places = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return next((place[0] for place in places if place[2] == time_zone), "")
