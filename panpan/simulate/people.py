"""
The customers: who each person truly is, and what the POS knows of them.

Comes in: the seed and a person's number. Goes out: the truth the two systems' records are made from.
"""

from __future__ import annotations

import unicodedata
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from panpan.simulate.catalogue import DELIVERY_CODE, START, STORES
from panpan.simulate.chance import chance, upper_id

KNOWN_AT_START = 1500
NEW_IN_FIVE_DAYS = 12
_ONLY_CRM = 0.08
_ONLY_POS = 0.16
_GIVEN = (
    "María", "José", "Ana", "Íñigo", "Lucía", "Ángel", "Begoña", "Carlos", "Núria", "Joan", "Sofía", "Pablo",
    "Marta", "Andrés", "Inés", "Rubén", "Laia", "Óscar", "Elena", "Hugo", "Aitana", "Raúl", "Olga", "Tomás",
    "Zoë", "Liam", "François", "Ingrid", "Mónica", "Víctor",
)  # fmt: skip
_FAMILY = (
    "García", "Muñoz", "López", "Peña", "Sánchez", "O\u2019Connor", "Núñez", "Gómez", "Ibáñez", "Ferrer",
    "Vidal", "Castaño", "Martín", "Ruiz", "Jiménez", "Moreno", "Álvarez", "Romero", "Navarro", "Torres",
    "Domínguez", "Vázquez", "Ramos", "Gil", "Serrano", "Blanco", "Molina", "Morales", "Suárez", "Ortega",
    "Delgado", "Castro", "Ortiz", "Rubio", "Marín", "Sanz", "Iglesias", "Medina", "Garrido", "Cortés",
    "de la Fuente", "Müller",
)  # fmt: skip
_MAIL_HOSTS = ("gmail.example", "hotmail.example", "correo.example", "outlook.example")
_POSTCODES = tuple(f"080{n:02d}" for n in range(1, 42))


class Person(NamedTuple):
    """One human being; an id is None where that system doesn't know the person."""

    number: int
    given: str
    family: str
    email: str
    phone: str
    postcode: str
    loyalty_card: str | None
    pos_customer_id: str | None
    crm_contact_id: str | None
    pos_name: str
    pos_reference: str
    joined: date
    last_day: date
    weight: float
    home: str


def without_accents(text: str) -> str:
    """The text as a till without Spanish keys writes it."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def people_known(day: date) -> int:
    """How many people PanPan has met by the end of a day."""
    days = max(0, (day - START).days + 1)
    return KNOWN_AT_START + -(-NEW_IN_FIVE_DAYS * days // 5)


def person(seed: int, number: int) -> Person:
    """The person with this number (from 0)."""
    source = chance(seed, "person", number)
    given, family = source.choice(_GIVEN), source.choice(_FAMILY)
    kind = source.random()
    card = f"PP-{100000 + number * 7 % 900000}" if source.random() < 0.7 else None
    pos_id = upper_id(source, 26)
    joined = _joined(source, number)
    plain = without_accents(f"{given}.{family}").lower().replace(" ", "").replace("\u2019", "")
    return Person(
        number=number,
        given=given,
        family=family,
        email=f"{plain}{number}@{source.choice(_MAIL_HOSTS)}",
        phone=f"+346{number % 10}{10000000 + number * 7919 % 89999999}"[:12],
        postcode=source.choice(_POSTCODES),
        loyalty_card=card,
        pos_customer_id=None if kind < _ONLY_CRM else pos_id,
        crm_contact_id=None if _ONLY_CRM <= kind < _ONLY_POS else str(20_000_000_001 + number * 137),
        pos_name=_pos_name(source, f"{given} {family}"),
        pos_reference=card if card and source.random() < 0.6 else "",
        joined=joined,
        last_day=max(joined, START) + timedelta(days=20 + int(source.expovariate(1 / 300))),
        weight=min(25.0, source.paretovariate(1.2)),
        home=source.choice((*(store.code for store in STORES), DELIVERY_CODE)),
    )


def _joined(source: Random, number: int) -> date:
    if number < KNOWN_AT_START:
        return START - timedelta(days=source.randint(1, 720))
    return START + timedelta(days=(number - KNOWN_AT_START) * 5 // NEW_IN_FIVE_DAYS)


def _pos_name(source: Random, name: str) -> str:
    """The name as the till has it: often missing, sometimes shouted, sometimes without accents."""
    spelling = source.random()
    if spelling < 0.25:
        return ""
    if spelling < 0.32:
        return name.upper()
    if spelling < 0.38:
        return name.lower()
    return without_accents(name) if spelling < 0.58 else name


class Crowd:
    """Who may come in on one day, by the place they mostly go to; the keener, the likelier."""

    def __init__(self, people: list[Person], day: date) -> None:
        active = [p for p in people if p.pos_customer_id and p.joined <= day <= p.last_day]
        homes = (*(store.code for store in STORES), DELIVERY_CODE)
        self._by_home = {home: [p for p in active if p.home == home] for home in homes}
        self._weights = {home: list(accumulate(p.weight for p in members)) for home, members in self._by_home.items()}
        self._homes = homes

    def visitor(self, source: Random, place: str) -> Person:
        """One customer of a place; one in seven has another home."""
        home = place if source.random() < 0.86 else source.choice(self._homes)
        return source.choices(self._by_home[home], cum_weights=self._weights[home])[0]
