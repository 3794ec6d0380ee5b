"""
What of a record is personal, whose it is, and a document without it.

Comes in: a document's bytes, its contract, a function that knows a person's records. Goes out: the bytes with those
records' personal values emptied (CSV: an empty cell, JSON: null); ids, amounts, times, places and every other record
stay byte for byte as received, so lines, positions and figures do.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import hmac
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import orjson

from transforms.contract import Contract, Entity
from transforms.documents import flatten, open_document, saved_as_csv
from transforms.masking import ABOUT_PEOPLE, LIST_PLACE, PERSONAL_NAME
from transforms.workbook import is_workbook

CHUNK_ROWS = 25_000
PHONE_DIGITS = 9  # what stays the same of a number with and without its country
# Typed columns that are emptied, and what of them the person would be known by again.
PERSONAL_COLUMNS: Mapping[str, str] = {
    "full_name": "", "first_name": "", "last_name": "", "customer_name": "", "note": "",
    "email": "email", "customer_email": "email", "phone": "phone", "customer_phone": "phone",
    "loyalty_card": "loyalty_card", "postal_code": "", "customer_postal_code": "", "customer_since": "",
    "card_last_digits": "",
}  # fmt: skip

Record = Mapping[str, Any]
IsPerson = Callable[[Entity, Record], bool]


@dataclass
class Redacted:
    """A document without a person; payloads: position -> new payload; found: values emptied, by kind."""

    content: bytes
    entity: Entity
    payloads: dict[int, bytes] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Keys:
    """Persons known by salted hashes of what a source tells of them."""

    salt: bytes
    hashes: frozenset[bytes]
    source: str

    def __call__(self, entity: Entity, record: Record) -> bool:
        """Whether a record tells of one of them."""
        return any(key_hash(self.salt, *key) in self.hashes for key in keys_of(self.source, entity, record))


def key_hash(salt: bytes, kind: str, source: str, value: str) -> bytes:
    """The hash one key of a person is kept as."""
    return hmac.digest(salt, f"{kind}\x1f{source}\x1f{value}".encode(), hashlib.sha256)


def keys_of(source: str, entity: Entity, record: Record) -> Iterator[tuple[str, str, str]]:
    """Kind, source and value of everything in a record that tells whose it is."""
    flat = flatten(dict(record))
    for column, kind in (("customer", "id"), *PERSONAL_COLUMNS.items()):
        reading = entity.columns.get(column)
        for path in reading.received if reading and kind else ():
            if value := plain_key(kind, flat.get(path)):
                yield kind, source if kind == "id" else "", value


def plain_key(kind: str, value: str | None) -> str:
    """A value as it is compared: letter case, blanks and a phone number's signs carry no meaning; empty for none."""
    if value is None:
        return ""
    if kind == "phone":
        digits = re.sub(r"\D", "", value)
        return digits[-PHONE_DIGITS:] if len(digits) >= 6 else ""
    return value.strip() if kind == "id" else value.strip().casefold()


def holds_people(entity: Entity) -> bool:
    """Whether records of an entity can hold anything personal of a customer."""
    return entity.kind == "customers" or bool(set(PERSONAL_COLUMNS) & set(entity.columns))


def redact(content: bytes, contract: Contract, entity_name: str | None, is_person: IsPerson) -> Redacted | None:
    """
    A document without the personal values of some persons; None when none of them is in it. Of a workbook the CSV.

    Errors: DocumentRefused when the document can't be read.
    """
    if content[:2] == b"\x1f\x8b":
        inner = redact(gzip.decompress(content), contract, entity_name, is_person)
        if inner is not None:
            inner.content = gzip.compress(inner.content, mtime=0)
        return inner
    if is_workbook(content):
        return redact(saved_as_csv(io.BytesIO(content), contract).read(), contract, entity_name, is_person)
    opened = open_document(io.BytesIO(content), contract, entity_name, CHUNK_ROWS)
    redacted = Redacted(content, opened.entity)
    with closing(opened.chunks) as chunks:
        if not holds_people(opened.entity):
            return None
        for chunk in chunks:
            for position, payload in zip(chunk.positions, chunk.payloads, strict=True):
                record = orjson.loads(payload)
                if is_person(opened.entity, record) and (emptied := without_person(opened.entity, record)) != record:
                    redacted.payloads[position] = orjson.dumps(emptied)
                    redacted.found |= _emptied_values(record, emptied)
    if not redacted.payloads:
        return None
    if opened.entity.format == "csv":
        redacted.content = _rewrite_csv(content, opened.entity, opened.header_lines, redacted.payloads)
    else:
        redacted.content = _rewrite_json(content, opened.entity, redacted.payloads)
    return redacted


def without_person(entity: Entity, record: Record) -> dict[str, Any]:
    """A record with its personal values emptied: those contracts read as such, and what nobody reads of people."""
    kept: set[str] = set(entity.record_id)
    personal: set[str] = set()
    for column, reading in entity.columns.items():
        (personal if column in PERSONAL_COLUMNS else kept).update(LIST_PLACE.sub("", path) for path in reading.received)
    empty = "" if entity.format == "csv" else None

    def cleared(path: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: cleared(f"{path}.{key}" if path else key, inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [cleared(path, inner) for inner in value]
        if path in kept - personal or value in (None, "") or isinstance(value, bool):
            return value
        is_personal = path in personal or entity.kind in ABOUT_PEOPLE or PERSONAL_NAME.search(path) is not None
        return empty if is_personal else value

    result: dict[str, Any] = cleared("", dict(record))
    return result


def _emptied_values(record: Record, emptied: Record) -> set[str]:
    before, after = flatten(dict(record)), flatten(dict(emptied))
    return {value for path, value in before.items() if value and not after.get(path)}


def _rewrite_csv(content: bytes, entity: Entity, header_lines: int, payloads: Mapping[int, bytes]) -> bytes:
    """The file with the rows of some positions written anew; a letter is read as it is written, whatever it means."""
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    text = io.StringIO(content.decode(encoding), newline="")
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            taken.append(line)
            yield line

    parts, position = [], 0
    rows = csv.reader(lines(), delimiter=entity.delimiter)
    for row in rows:
        raw = "".join(taken)
        taken.clear()
        position += bool(row) and rows.line_num > header_lines
        if row and position in payloads:
            values = list(orjson.loads(payloads[position]).values())
            cells = [cell if values[place] else "" for place, cell in enumerate(row)]
            ending = raw[len(raw.rstrip("\r\n")) :]
            line = io.StringIO(newline="")
            csv.writer(line, delimiter=entity.delimiter, lineterminator=ending).writerow(cells)
            raw = line.getvalue()
        parts.append(raw)
    return "".join(parts).encode(encoding)


def _rewrite_json(content: bytes, entity: Entity, payloads: Mapping[int, bytes]) -> bytes:
    """The response with the records of some positions replaced; numbers with a point become the text they were."""
    body = json.loads(content, parse_float=str)
    records = body[entity.records] if isinstance(body, dict) and entity.records else body
    for position, payload in payloads.items():
        records[position - 1] = orjson.loads(payload)
    return orjson.dumps(body)


def is_date(value: str) -> bool:
    """Whether a value is a date or a number of a year: not of one person, so nothing to look for."""
    return (
        len(value) <= 32
        and not any(sign.isalpha() for sign in value.replace("T", "").replace("Z", ""))
        and any(sign in value for sign in "-/:")
    )
