"""
Records as received, shown to those who may not know whom they are about.

Comes in: a contract, an entity, a payload or a value of it. Goes out: the same with what names a person masked, by the
classes of db/pii.yaml: a received column is of the class of the typed column the contract reads from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.pii import UNREADABLE, PiiClass, load_catalogue, masked
from transforms.contract import Contract, find_contract

# Of a received column no contract reads, all we know is its name and whom the records are about.
ABOUT_PEOPLE = ("customers", "employees")
PERSONAL_NAME = re.compile(
    r"name|mail|phone|mobile|address|street|birth|gender|contact|recipient|note|comment|zip|postal|card|iban|tax_?id",
    re.IGNORECASE,
)
LIST_PLACE = re.compile(r"\.\d+(?=\.|$)")


@dataclass(frozen=True)
class Received:
    """The classes of one entity's received columns; path -> (class, typed column)."""

    known: Mapping[str, tuple[PiiClass, str]]
    is_about_people: bool

    def shown(self, path: str, value: Any) -> Any:
        """A received value as it may be shown."""
        if value is None or isinstance(value, bool) or value == "":
            return value
        pii_class, column = self.known.get(LIST_PLACE.sub("", path)) or (None, "")
        if pii_class is None:
            is_personal = self.is_about_people or PERSONAL_NAME.search(path) is not None
            return masked(value) if is_personal else value
        return masked(value, load_catalogue().mask_of(column)) if pii_class in UNREADABLE else value


def mask_payload(
    source: str, entity: str | None, payload: Mapping[str, Any], own_contracts: Path | None = None
) -> dict[str, Any]:
    """
    A record as received, with what names a person masked; keys and places stay as they are.

    Errors: ContractError when there is no such source. An entity the contract doesn't have is taken to be about people.
    """
    contract = find_contract(source, own_contracts)
    received = _received(contract, entity)
    return {key: _masked(received, key, value) for key, value in payload.items()}


def mask_value(
    source: str, entity: str | None, column: str | None, value: Any, own_contracts: Path | None = None
) -> Any:
    """One value of a record, by the name of its received or typed column; hidden where it has none."""
    if not column:
        return masked(value)
    contract = find_contract(source, own_contracts)
    if any(column in found.columns for found in contract.entities if entity in (None, found.entity)):
        return masked(value, load_catalogue().mask_of(column)) if _class_of(column) in UNREADABLE else value
    return _received(contract, entity).shown(column, value)


def _masked(received: Received, path: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(received, f"{path}.{key}", inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(received, f"{path}.{place}", inner) for place, inner in enumerate(value)]
    return received.shown(path, value)


def _received(contract: Contract, entity: str | None) -> Received:
    layouts = [each for each in contract.entities if each.entity == entity]
    classes: dict[str, tuple[PiiClass, str]] = {}
    for layout in layouts:
        for column, value in layout.columns.items():
            found = (_class_of(column), column)
            for path in value.received:
                # Read into two typed columns, the more telling one counts.
                if path not in classes or found[0] in UNREADABLE:
                    classes[LIST_PLACE.sub("", path)] = found
    return Received(classes, not layouts or any(layout.kind in ABOUT_PEOPLE for layout in layouts))


def _class_of(typed_column: str) -> PiiClass:
    """The class of a contract's typed column: named like those of core, classified with them."""
    return load_catalogue().class_of("contract", "", typed_column) or "direct"
