"""What the functions of each kind share: a chunk under way, its rules applied, its stores named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from transforms.contract import Contract, Entity
from transforms.formatted import moments
from transforms.formatted.columns import Faults
from transforms.formatted.values import TEXT
from transforms.rules import people
from transforms.rules.rule import Ruled


@dataclass
class Work:
    """A chunk being formatted: what was received, what is typed so far, and what was found wrong."""

    frame: pd.DataFrame
    typed: pd.DataFrame
    contract: Contract
    entity: Entity
    faults: Faults
    profile: dict[str, dict[str, Any]]

    def apply(self, ruled: Ruled, rows: pd.DataFrame, label: str | None = None) -> None:
        """Write a rule's columns into the rows (of the frame's index); what it refuses is a fault."""
        for name in ruled.values.columns:
            rows[name] = ruled.values[name]
        self.refuse(ruled, label)

    def refuse(self, ruled: Ruled, label: str | None = None, values: pd.Series[Any] | None = None) -> None:
        """What a rule refuses is a fault of those rows."""
        for refused, why in ruled.refusals:
            self.faults.add(refused, f"{label}: {why}" if label else why, label, values)


# Columns that tell people apart, in whichever kind they stand.
PEOPLE: dict[str, Callable[[pd.Series[Any], Contract], Ruled]] = {
    **dict.fromkeys(
        ("full_name", "first_name", "last_name", "customer_name", "employee_name"),
        lambda texts, _: people.person_name(texts),
    ),
    **dict.fromkeys(("email", "customer_email"), lambda texts, _: people.email(texts)),
    **dict.fromkeys(("phone", "customer_phone"), lambda texts, contract: people.phone(texts, contract.country)),
    "loyalty_card": lambda texts, _: people.loyalty_card(texts),
}


def tell_people(rows: pd.DataFrame, contract: Contract) -> None:
    """Names, addresses, numbers and cards as the rules want them; what they refuse is null and stands in the note."""
    for name in [column for column in PEOPLE if column in rows]:
        received = rows[name]
        ruled = PEOPLE[name](received, contract)
        rows[name] = ruled.values
        for refused, why in ruled.refusals:
            if refused.any():
                told = f"{name}: {why} (" + received + ")"
                before = or_else(rows.get("note"), "", rows.index)
                rows["note"] = (before + told.where(before == "", "; " + told)).where(refused, rows.get("note"))


def or_else(values: pd.Series[Any] | None, default: str, index: pd.Index[Any]) -> pd.Series[Any]:
    """The texts, or the default where there is none."""
    if values is None:
        return pd.Series(default, index=index, dtype=TEXT)
    return values.fillna(default)


def to_utc(rows: pd.DataFrame, column: str, contract: Contract) -> None:
    """A moment without zone is one on the source's clock."""
    if column in rows and rows[column].dt.tz is None:
        rows[column] = moments.local_to_utc(rows[column], contract.time_zone)


def store_ids(received: pd.Series[Any] | None, contract: Contract, index: pd.Index[Any]) -> pd.Series[Any]:
    """Our store of each row: as the contract maps it, else a store of its own named source:value."""
    fallback = contract.default_store.store_id if contract.default_store else contract.source
    if received is None:
        return pd.Series(fallback, index=index, dtype=TEXT)
    known = {
        value: contract.stores[value].store_id if value in contract.stores else f"{contract.source}:{value}"
        for value in received.dropna().unique()
    }
    return received.astype(object).map(known).fillna(fallback).astype(TEXT)
