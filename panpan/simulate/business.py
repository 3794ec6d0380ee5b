"""
A small whole business put straight into a warehouse: no n8n, no servers of source systems, no waiting.

Comes in: an empty warehouse, a number of days. Goes out: the model of all four sources' loads as each day would have
brought them, and a proven backup in the ledger. For suites that need a business to break, never for a home in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson
from psycopg2 import sql

from backups import ledger
from db.connection import connect
from panpan.errors import UsageError
from panpan.settings import Settings
from panpan.simulate.catalogue import START
from panpan.simulate.contacts import contact_json
from panpan.simulate.inventory_api import whole_answers
from panpan.simulate.orders import order_json
from panpan.simulate.pos import export_text
from panpan.simulate.world import World, days
from transforms.contract import load_contracts
from transforms.run import run

CONTACT_PROPERTIES = (
    "email", "phone", "firstname", "lastname", "zip", "loyalty_card", "pos_customer_id", "lifecyclestage", "createdate",
    "lastmodifieddate", "hs_merged_object_ids",
)  # fmt: skip


@dataclass(frozen=True)
class Delivery:
    """One document and when it came; `entity` is None for files, which are told by their header."""

    source: str
    entity: str | None
    content: str
    received_at: datetime


def build(settings: Settings, day_count: int) -> datetime:
    """
    Fill an empty warehouse with the business's first days; gives the morning after the last one.

    Errors: UsageError when the last one is still to come: its sales would be held back.
    """
    world = World(until=START + timedelta(days=day_count - 1))
    if world.until >= datetime.now(UTC).date():
        raise UsageError(f"the simulated business has no {day_count} days yet", cause=f"it began on {START}")
    receive(settings, deliveries(world))
    run(settings)
    now = _morning_after(world.until)
    for event in ("created", "drilled"):
        ledger.record(settings, ledger.Entry(event, "simulated", "good", 1.0, snapshot_at=now - timedelta(hours=2)))
    return now + timedelta(hours=1)


def deliveries(world: World) -> Iterator[Delivery]:
    """Every document the business's sources give up to the world's last day, the tills' exports day by day."""
    for day in days(START, world.until):
        yield Delivery("pos", None, export_text(world, day), _morning_after(day))
    now = _morning_after(world.until)
    orders = [order_json(order) for order in world.known_orders]
    yield Delivery("pos_api", "orders", orjson.dumps({"orders": orders}).decode(), now)
    contacts = [contact_json(contact, list(CONTACT_PROPERTIES)) for contact in world.contacts]
    yield Delivery("crm", "contacts", orjson.dumps({"results": contacts}).decode(), now)
    for entity, content in whole_answers(world):
        yield Delivery("inventory", entity, content, now)


def receive(settings: Settings, delivered: Iterator[Delivery]) -> int:
    """Put documents before the worker, each as a load of its own; gives their number."""
    systems = {name: contract.system for name, contract in load_contracts(settings.own_contracts).items()}
    count = 0
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        for document in delivered:
            content = document.content.encode()
            cursor.execute(
                """
                insert into ops.loads
                    (source, entity, run_key, file_name, status, document_count, byte_count, started_at, received_at)
                values (%s, %s, 'simulated', %s, 'received', 1, %s, %s, %s) returning load_id
                """,
                (
                    document.source,
                    document.entity,
                    None if document.entity else f"{document.source}-{document.received_at:%Y-%m-%d}.csv",
                    len(content),
                    document.received_at,
                    document.received_at,
                ),
            )
            [(load_id,)] = cursor.fetchall()
            cursor.execute(
                sql.SQL(
                    "insert into {} (document_id, load_id, entity, name, content, byte_count, sha256, received_at) "
                    "values (nextval('ops.document_ids'), %s, %s, %s, %s, %s, %s, %s)"
                ).format(sql.Identifier(f"raw_{systems[document.source]}", "documents")),
                (
                    load_id,
                    document.entity,
                    document.entity or "export",
                    content,
                    len(content),
                    hashlib.sha256(content).digest(),
                    document.received_at,
                ),
            )
            count += 1
    return count


def _morning_after(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC) + timedelta(days=1, hours=5)
