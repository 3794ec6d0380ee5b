"""
The CRM's contacts: created, edited, duplicated, merged and deleted over time.

Comes in: the seed, the people, a moment. Goes out: each contact as the CRM has it at that moment, and its
JSON. Values are as people type them: e-mails and phones in many spellings, fields left empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, NamedTuple

from panpan.simulate.catalogue import START
from panpan.simulate.chance import chance, noon
from panpan.simulate.orders import rfc3339
from panpan.simulate.people import Person, without_accents

EDITS_PER_DAY = 0.5
STAGES = ("subscriber", "lead", "customer", "customer", "customer", "evangelist")
_DAY = 86_400_000
_IMPORTED = 300
"""Contacts that came in one import and so share one moment: equal watermarks at the page edge."""
_IMPORT_DAY = date(2025, 9, 15)


@dataclass(slots=True)
class Contact:
    """One CRM record; moments in milliseconds since 1970. The person behind it is truth, no property."""

    contact_id: str
    person_number: int
    created_at: int
    updated_at: int
    properties: dict[str, str | None]
    archived_at: int | None = None
    merged_ids: list[str] = field(default_factory=list)

    @property
    def archived(self) -> bool:
        """Deleted, or merged into another contact."""
        return self.archived_at is not None


class Event(NamedTuple):
    """One thing that happens to one contact; `words` names its chance, `other` the second contact."""

    moment: int
    kind: str
    contact_id: str
    person: Person
    other: str = ""


def contacts_as_of(seed: int, people: list[Person], now: int) -> list[Contact]:
    """
    Every contact as the CRM has it at a moment (seconds since 1970), archived ones too.

    Sorted by last change, then id, as the list endpoint gives them.
    """
    events = [event for each in people for event in _life(seed, each)] + list(_edits(seed, people, now))
    contacts: dict[str, Contact] = {}
    for event in sorted(events, key=lambda event: (event.moment, event.contact_id)):
        if event.moment < now * 1000:
            _apply(seed, contacts, event)
    return sorted(contacts.values(), key=lambda contact: (contact.updated_at, int(contact.contact_id)))


def _life(seed: int, each: Person) -> Iterator[Event]:
    """Creation, and for a few people a duplicate, its merge, or deletion."""
    if each.crm_contact_id is None:
        return
    source = chance(seed, "contact", each.number)
    created = _created_at(source, each)
    yield Event(created, "create", each.crm_contact_id, each)
    later = max(created, noon(START) * 1000)
    fate = source.random()
    if fate < 0.03:
        twin = str(int(each.crm_contact_id) + 61)
        twin_made = later + source.randint(3, 60) * _DAY + source.randint(0, 7_000_000)
        yield Event(twin_made, "create", twin, each)
        if fate < 0.018:
            yield Event(twin_made + source.randint(10, 150) * _DAY, "merge", each.crm_contact_id, each, twin)
    elif fate < 0.04:
        yield Event(later + source.randint(5, 300) * _DAY + 1234, "delete", each.crm_contact_id, each)


def _created_at(source: Random, each: Person) -> int:
    if each.number < _IMPORTED:
        return noon(_IMPORT_DAY) * 1000
    return noon(each.joined) * 1000 + source.randint(-3 * 3_600_000, 8 * 3_600_000)


def _edits(seed: int, people: list[Person], now: int) -> Iterator[Event]:
    day = START
    while noon(day) < now:
        source = chance(seed, "edit", day)
        if source.random() < EDITS_PER_DAY:
            each = people[source.randrange(1500)]
            if each.crm_contact_id:
                moment = noon(day) * 1000 + source.randint(-4 * 3_600_000, 6 * 3_600_000)
                yield Event(moment, "edit", each.crm_contact_id, each)
        day += timedelta(days=1)


def _apply(seed: int, contacts: dict[str, Contact], event: Event) -> None:
    if event.kind == "create":
        properties = _first_properties(chance(seed, "typed", event.contact_id), event.person)
        contacts[event.contact_id] = Contact(
            event.contact_id, event.person.number, event.moment, event.moment, properties
        )
        return
    contact = contacts.get(event.contact_id)
    if contact is None or contact.archived:
        return
    contact.updated_at = event.moment
    if event.kind == "delete":
        contact.archived_at = event.moment
    elif event.kind == "merge":
        gone = contacts[event.other]
        gone.updated_at = gone.archived_at = event.moment
        contact.merged_ids.append(event.other)
        contact.properties["lifecyclestage"] = "customer"
    else:
        _edit(chance(seed, "edited", event.contact_id, event.moment), contact, event.person)


def _first_properties(source: Random, each: Person) -> dict[str, str | None]:
    is_plain = source.random() < 0.15
    tidy: Callable[[str], str] = without_accents if is_plain else str
    return {
        "email": _email(source, each.email),
        "phone": _phone(source, each.phone),
        "firstname": tidy(each.given) if source.random() < 0.95 else None,
        "lastname": tidy(each.family),
        "zip": each.postcode if source.random() < 0.85 else None,
        "loyalty_card": _card(source, each.loyalty_card),
        "pos_customer_id": each.pos_customer_id if source.random() < 0.42 else None,
        "lifecyclestage": source.choice(STAGES),
    }


def _edit(source: Random, contact: Contact, each: Person) -> None:
    """One change a clerk makes: always to another value than before."""
    changed = source.choice(("phone", "zip", "lifecyclestage", "email", "loyalty_card"))
    before = contact.properties[changed]
    choices: dict[str, str | None] = {
        "phone": f"+34 6{source.randint(10_000_000, 99_999_999)}",
        "zip": f"080{source.randint(42, 99)}",
        "email": f"new.{each.email}",
        "loyalty_card": f"PP-{100000 + each.number * 7 % 900000}",
        "lifecyclestage": "evangelist",
    }
    after = choices[changed]
    contact.properties[changed] = after if after != before else None


def _email(source: Random, email: str) -> str | None:
    spelling = source.random()
    if spelling < 0.10:
        return None
    if spelling < 0.20:
        return email.upper()
    if spelling < 0.30:
        return email.replace(".", " .", 1).title().replace(" ", "")
    if spelling < 0.36:
        return f" {email} "
    return email.replace("@", "(at)") if spelling < 0.37 else email


def _phone(source: Random, phone: str) -> str | None:
    digits = phone[3:]
    spelling = source.choice(
        (
            None,
            phone,
            digits,
            f"+34 {digits[:3]} {digits[3:5]} {digits[5:7]} {digits[7:]}",
            f"0034 {digits[:3]}-{digits[3:6]}-{digits[6:]}",
            f"(+34) {digits[:3]}.{digits[3:6]}.{digits[6:]}",
            f"{digits[:3]} {digits[3:6]} {digits[6:]}",
            f"{digits[:3]} {digits[3:6]} {digits[6:]} (mañanas)",
        )
    )
    return spelling


def _card(source: Random, card: str | None) -> str | None:
    if card is None or source.random() < 0.1:
        return None
    return source.choice((card, card, card.lower(), card.replace("-", ""), card.replace("-", " ")))


def contact_json(contact: Contact, wanted: list[str]) -> dict[str, Any]:
    """The contact in the CRM's form, with the properties asked for; all of them strings or null."""
    properties: dict[str, str | None] = {
        **contact.properties,
        "createdate": rfc3339(contact.created_at),
        "lastmodifieddate": rfc3339(contact.updated_at),
        "hs_merged_object_ids": ";".join(contact.merged_ids) or None,
        "hs_object_id": contact.contact_id,
    }
    body: dict[str, Any] = {
        "id": contact.contact_id,
        "properties": {name: properties.get(name) for name in wanted},
        "createdAt": rfc3339(contact.created_at),
        "updatedAt": rfc3339(contact.updated_at),
        "archived": contact.archived,
    }
    if contact.archived_at is not None:
        body["archivedAt"] = rfc3339(contact.archived_at)
    return body
