"""
Matching held against the truth of the simulated business: which POS customer is which CRM contact.

The findable pairs are those that a rule could join by what was received; the others lack any evidence in common.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from panpan.settings import Settings
from panpan.simulate.catalogue import START
from panpan.simulate.contacts import contact_json
from panpan.simulate.orders import order_json
from panpan.simulate.pos import export_text
from panpan.simulate.world import World, days
from transforms.run import run

UNTIL = date(2025, 12, 31)
PROPERTIES = [
    "email", "phone", "firstname", "lastname", "zip", "loyalty_card", "pos_customer_id", "lifecyclestage", "createdate",
    "lastmodifieddate", "hs_merged_object_ids",
]  # fmt: skip
PAGE = 500
Pairs = set[tuple[str, str]]


@pytest.fixture(scope="module")
def world() -> World:
    return World(until=UNTIL)


@pytest.fixture
def matched(warehouse: Settings, deliver: Any, world: World) -> Settings:
    """A warehouse with three months of tills, delivery orders and CRM contacts, as they came."""
    for day in days(START, UNTIL):
        deliver("pos", export_text(world, day))
    for page in pages([order_json(order) for order in world.known_orders]):
        deliver("pos_api", json.dumps({"orders": page}), "orders")
    for page in pages([contact_json(contact, PROPERTIES) for contact in world.contacts]):
        deliver("crm", json.dumps({"results": page}), "contacts")
    assert run(warehouse).refusals == []
    return warehouse


def pages(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(records), PAGE):
        yield records[start : start + PAGE]


def found_pairs(ask: Any) -> Pairs:
    return set(
        ask(
            """
            select distinct pos.source_customer_id, crm.source_customer_id
            from core.customer_sources as pos
            inner join core.customer_sources as crm using (customer_id)
            where pos.source in ('pos', 'pos_api') and crm.source = 'crm'
            """
        )
    )


def findable_pairs(ask: Any, truth: Pairs) -> Pairs:
    """True pairs whose records agree in something, or that a third record of the person could tie together."""
    ties = ask(
        """
        select distinct one.source_customer_id, other.source_customer_id
        from core.customer_facts as one
        inner join core.customer_facts as other using (catalogue, match_on, match_key)
        where one.source_customer_id <> other.source_customer_id
        """
    )
    agree: dict[str, set[str]] = {}
    for one, other in ties:
        agree.setdefault(one, set()).add(other)
    contacts_of: dict[str, set[str]] = {}
    for pos, contact in truth:
        contacts_of.setdefault(pos, set()).add(contact)
    findable = set()
    for pos, contact in truth:
        own = {pos} | contacts_of[pos]
        reached, queue = {pos}, [pos]
        while queue:
            for other in agree.get(queue.pop(), set()) & own - reached:
                reached.add(other)
                queue.append(other)
        if contact in reached:
            findable.add((pos, contact))
    return findable


def test_matches_are_true_and_what_can_be_found_is_found(
    matched: Settings, ask: Any, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {pos for (pos,) in ask("select source_customer_id from core.customer_sources where source <> 'crm'")}
    live = {contact.contact_id for contact in world.contacts if not contact.archived}
    truth = {pair for pair in world.truth() if pair[0] in known}
    found = {pair for pair in found_pairs(ask) if pair[1] in live}
    findable = findable_pairs(ask, truth)

    right = found & truth
    precision, recall = len(right) / len(found), len(right & findable) / len(findable)
    with capsys.disabled():
        sys.stdout.write(
            f"\npairs: true {len(truth)}, findable {len(findable)}, found {len(found)}, of these true {len(right)}; "
            f"precision {precision:.4f}, recall {recall:.4f} of the findable, {len(right) / len(truth):.4f} of all\n"
        )
    assert precision >= 0.99
    assert recall >= 0.9
