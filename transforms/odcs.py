"""
A source's contract in the Open Data Contract Standard 3.1.0, for tools that read that.

Comes in: a contract. Goes out: an object ready to be written as YAML or JSON. What the standard has no word for (how a
value is read, refunds, units) goes along as custom properties, so that nothing of the contract is lost.
"""

from __future__ import annotations

from typing import Any

from transforms.contract import Contract, Entity, Value, ValueType

API_VERSION = "v3.1.0"
VERSION = "1.0.0"
LOGICAL: dict[ValueType, str] = {
    "text": "string",
    "decimal": "number",
    "money": "number",
    "cents": "integer",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "boolean": "boolean",
}
PHYSICAL: dict[ValueType, str] = {
    "text": "text",
    "decimal": "numeric(14,4)",
    "money": "numeric(14,2)",
    "cents": "numeric(14,2)",
    "date": "date",
    "time": "time",
    "timestamp": "timestamptz",
    "boolean": "boolean",
}


def to_odcs(contract: Contract) -> dict[str, Any]:
    """The contract in the standard's words."""
    return {
        "version": VERSION,
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": f"panpan.{contract.source}",
        "name": contract.title,
        "status": "active",
        "domain": contract.system,
        "description": {
            "purpose": contract.title,
            "usage": "Received as it is, typed by this contract, then loaded into the relational model.",
        },
        "schema": [_object(contract, entity) for entity in contract.entities],
        "team": {"name": contract.owner, "members": [{"username": contract.owner, "role": "owner"}]},
        "slaProperties": [
            {
                "property": "freshness",
                "value": contract.warn_after_hours,
                "valueExt": contract.error_after_hours,
                "unit": "h",
                "driver": "operational",
                "description": "late after so many hours; silent after the second number of them",
            }
        ],
        "customProperties": _custom(
            {
                "timeZone": contract.time_zone,
                "closingTime": contract.closing_time.isoformat("minutes"),
                "currency": contract.currency_code,
                "catalogue": contract.catalogue,
                "stores": ", ".join(sorted({store.store_id for store in contract.stores.values()})),
            }
        ),
    }


def _object(contract: Contract, entity: Entity) -> dict[str, Any]:
    return {
        "name": entity.entity,
        "logicalType": "object",
        "physicalName": f"raw_{contract.system}.{entity.entity}",
        "physicalType": entity.format,
        "description": f"One row per {entity.kind.removesuffix('s').replace('_', ' ')}, as received.",
        "properties": [_property(name, value, entity) for name, value in entity.columns.items()],
        "customProperties": _custom(
            {
                "kind": entity.kind,
                "unknownColumns": entity.unknown_columns,
                "refunds": entity.refunds,
                "isFullSet": entity.full_set,
                "recordId": ", ".join(entity.record_id),
            }
        ),
    }


def _property(name: str, value: Value, entity: Entity) -> dict[str, Any]:
    """One typed column: its received name or names, its type, whether a record is nothing without it."""
    key = [received for received in value.received if received in entity.record_id]
    facts: dict[str, Any] = {
        "name": name,
        "physicalName": " / ".join(value.received) or name,
        "logicalType": LOGICAL[value.type],
        "physicalType": PHYSICAL[value.type],
        "required": value.required,
        "customProperties": _custom(
            {
                "format": " or ".join(value.formats),
                "default": value.default,
                "meanings": "; ".join(f"{text} = {meaning}" for text, meaning in value.map.items()),
            }
        ),
    }
    if key and len(entity.record_id) == 1:
        facts |= {"primaryKey": True, "primaryKeyPosition": 1}
    if value.only:
        facts["quality"] = [
            {"type": "text", "dimension": "conformity", "description": f"one of: {', '.join(value.only)}"}
        ]
    return facts


def _custom(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"property": name, "value": value} for name, value in facts.items() if value not in (None, "")]
