"""
The marts against a second computation in plain Python over the same made-up loads, whatever order they came in.

What was received is kept here as it was meant (`World`); the expected rows are worked out from that and never from SQL.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.compiler import Query, compile_query, evaluate
from transforms.rebuild import rebuild
from transforms.run import run

Ask = Callable[..., list[tuple[Any, ...]]]
NewWarehouse = Callable[[], AbstractContextManager[Settings]]
Rows = list[tuple[Any, ...]]

MADRID = ZoneInfo("Europe/Madrid")
TILL = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID,"
    "Customer ID"
)
CHAIN = (
    "transaction_id,transaction_date,transaction_time,sales_outlet_id,staff_id,customer_id,instore_yn,product_id,"
    "quantity,line_item_amount,unit_price"
)
COUNTS = "sales_outlet_id,transaction_date,product_id,start_of_day,quantity_sold,waste,% waste"
STORES = {"PanPan Centro": "centro", "PanPan Norte": "norte"}
LIFECYCLE = ("subscriber", "lead", "marketing qualified", "sales qualified", "opportunity", "customer", "evangelist")


@dataclass(frozen=True)
class Receipt:
    """A receipt that counts."""

    source: str
    event: str
    customer: str | None
    day: date
    at: datetime
    net: Decimal
    currency: str
    store: str
    channel: str
    changed_at: datetime | None = None
    reverses: str | None = None


@dataclass(frozen=True)
class Movement:
    source: str
    store: str
    sku: str
    kind: str
    quantity: Decimal
    cost: Decimal | None
    at: datetime
    changed_at: datetime

    @property
    def day(self) -> date:
        if self.source == "coffee_chain":
            return self.at.date()
        return (self.at.astimezone(MADRID).replace(tzinfo=None) - timedelta(hours=4)).date()


@dataclass
class World:
    """What has been received so far: documents to deliver, and what they mean."""

    documents: list[tuple[str, str, str | None]] = field(default_factory=list)
    receipts: dict[tuple[str, str], Receipt] = field(default_factory=dict)
    movements: dict[tuple[str, str], Movement] = field(default_factory=dict)
    contacts: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def till(self, *sales: dict[str, Any]) -> None:
        """An export of the tills; each receipt has one line, and replaces what came before."""
        lines = [TILL]
        for sale in sales:
            net = Decimal(sale["net"])
            day, clock = date.fromisoformat(sale["day"]), time.fromisoformat(sale.get("clock", "09:00:00"))
            event = sale.get("event", "Payment")
            store = sale.get("store", "PanPan Centro")
            customer = sale.get("customer", "")
            payment = sale.get("payment", f"P{sale['number']}")
            quantity = "-1" if event == "Refund" else "1"
            lines.append(
                f"{sale['number']},{event},{day},{clock},{store},BUN,Bun,{quantity},{net},0,{net},0,{payment},{customer}"
            )
            at = clock_moment(day, clock)
            business = day - timedelta(days=1) if clock < time(4) else day
            self.receipts["pos", sale["number"]] = Receipt(
                "pos",
                "refund" if event == "Refund" else "sale",
                customer or None,
                business,
                at,
                net,
                "EUR",
                STORES[store],
                "store",
            )
        self.documents.append(("pos", "\n".join([*lines, ""]), None))

    def chain(self, *sales: tuple[str, str, str, str]) -> None:
        """Sales in dollars: receipt number, day, customer (0 is nobody), amount."""
        lines = [CHAIN]
        for number, day, customer, net in sales:
            lines.append(f"{number},{day},09:00:00,5,7,{customer},Y,71,1,{net},{net}")
            at = datetime.combine(date.fromisoformat(day), time(9), ZoneInfo("America/New_York"))
            self.receipts["coffee_chain", f"{day}/{number}"] = Receipt(
                "coffee_chain",
                "sale",
                customer if customer != "0" else None,
                date.fromisoformat(day),
                at,
                Decimal(net),
                "USD",
                "coffee_chain:5",
                "store",
            )
        self.documents.append(("coffee_chain", "\n".join([*lines, ""]), None))

    def orders(self, *orders: dict[str, Any]) -> None:
        """Delivery orders; of several versions the one changed last counts."""
        bodies = []
        for given_order in orders:
            number, cents = given_order["number"], given_order["cents"]
            created, changed = (datetime.fromisoformat(given_order[name]) for name in ("created", "changed"))
            item = {"name": "Pizza", "quantity": "1", "metadata": {"sku": "PIZZA"}, "total_money": {"currency": "EUR"}}
            body = {
                "id": number,
                "state": given_order.get("state", "COMPLETED"),
                "created_at": created.isoformat(),
                "updated_at": changed.isoformat(),
                "location_id": "L-DELIVERY",
                "customer_id": given_order.get("customer"),
            }
            if body["state"] == "COMPLETED":  # a payment goes when its order is cancelled
                body["tenders"] = [{"id": f"T{number}", "type": "CARD"}]
            if reverses := given_order.get("reverses"):
                returned = [{**item, "gross_return_money": {"amount": cents}}]
                body["returns"] = [{"source_order_id": reverses, "return_line_items": returned}]
            else:
                body["line_items"] = [{**item, "gross_sales_money": {"amount": cents}}]
            bodies.append(body)
            event = {"COMPLETED": "sale", "CANCELED": "voided"}[str(body["state"])]
            local = created.astimezone(MADRID).replace(tzinfo=None) - timedelta(hours=4)
            receipt = Receipt(
                "pos_api",
                "refund" if reverses else event,
                given_order.get("customer"),
                local.date(),
                created,
                Decimal(-cents if reverses else cents) / 100,
                "EUR",
                "delivery",
                "delivery",
                changed,
                reverses,
            )
            known = self.receipts.get(("pos_api", number))
            if known is None or known.changed_at is None or changed >= known.changed_at:
                self.receipts["pos_api", number] = receipt
        self.documents.append(("pos_api", json.dumps({"orders": bodies}), "orders"))

    def people(self, *contacts: tuple[str, str, str]) -> None:
        """CRM contacts: id, stage as the CRM spells it, moment of the change that shows it."""
        results = []
        for number, stage, changed in contacts:
            at = datetime.fromisoformat(changed)
            properties = {"lifecyclestage": stage, "lastname": f"Name {number}"}
            results.append({"id": number, "properties": properties, "createdAt": changed, "updatedAt": changed})
            named = {"marketingqualifiedlead": "marketing qualified"}.get(stage, stage)
            if named in LIFECYCLE:
                self.contacts[number, named] = min(at, self.contacts.get((number, named), at))
        self.documents.append(("crm", json.dumps({"results": results}), "contacts"))

    def stock(self, *movements: dict[str, Any]) -> None:
        """Movements of the inventory system; of several versions the one changed last counts."""
        bodies = []
        for given_move in movements:
            at, changed = (datetime.fromisoformat(given_move[name]) for name in ("at", "changed"))
            body = {
                "movement_id": given_move["number"],
                "sku": given_move.get("sku", "FLOUR"),
                "location_id": "W-NORTE",
                "kind": given_move["kind"],
                "quantity": given_move["quantity"],
                "moved_at": at.isoformat(),
                "last_modified_time": changed.isoformat(),
            }
            cost = given_move.get("cost")
            bodies.append({**body, **({"unit_cost": cost} if cost else {})})
            known = self.movements.get(("inventory", given_move["number"]))
            if known is None or changed >= known.changed_at:
                self.movements["inventory", given_move["number"]] = Movement(
                    "inventory",
                    "norte",
                    body["sku"],
                    given_move["kind"],
                    Decimal(given_move["quantity"]),
                    Decimal(cost) if cost else None,
                    at,
                    changed,
                )
        self.documents.append(("inventory", json.dumps({"movements": bodies}), "movements"))

    def counts(self, *days: tuple[str, int, int, int]) -> None:
        """The chain's pastries of a day: started with, sold, thrown away. No costs."""
        lines = [COUNTS]
        for day, made, sold, waste in days:
            on = date.fromisoformat(day)
            lines.append(f"5,{on.month}/{on.day}/{on.year},71,{made},{sold},{waste},0")
            at = datetime.combine(on, time(), UTC)
            for kind, quantity in (("production", made), ("sale", -sold), ("waste", -waste)):
                self.movements["coffee_chain", f"{day}/{kind}"] = Movement(
                    "coffee_chain", "coffee_chain:5", "71", kind, Decimal(quantity), None, at, at
                )
        self.documents.append(("coffee_chain", "\n".join([*lines, ""]), None))


def clock_moment(day: date, clock: time) -> datetime:
    """A clock time in Madrid; one the clocks jumped over is the moment they jumped, 01:00 UTC."""
    at = datetime.combine(day, clock, MADRID)
    exists = at.astimezone(UTC).astimezone(MADRID).time() == clock
    return at if exists else datetime.combine(day, time(1), UTC)


def month_of(day: date) -> date:
    return day.replace(day=1)


def months_between(first: date, last: date) -> Iterable[date]:
    while first <= last:
        yield first
        first = (first + timedelta(days=31)).replace(day=1)


def rounded(value: Decimal, places: str) -> Decimal:
    return value.quantize(Decimal(places), ROUND_HALF_UP)


def cost_of(left: list[Movement]) -> Decimal | None:
    """What these movements took, in money; unknown as soon as one cost is."""
    costs = [-move.quantity * move.cost for move in left if move.cost is not None]
    return rounded(sum(costs, Decimal(0)), "0.01") if len(costs) == len(left) else None


class Expected:
    """The rows the marts should have, worked out receipt by receipt. `people` says who each source's customer is."""

    def __init__(self, world: World, people: dict[tuple[str, str], str]) -> None:
        self.world = world
        self.people = people
        self.receipts = list(world.receipts.values())

    def who(self, receipt: Receipt) -> str | None:
        return self.people[receipt.source, receipt.customer] if receipt.customer else None

    def purchases(self) -> list[tuple[str, Receipt]]:
        return [(who, r) for r in self.receipts if r.event == "sale" and (who := self.who(r))]

    def firsts(self) -> dict[str, date]:
        firsts: dict[str, date] = {}
        for who, receipt in self.purchases():
            firsts[who] = min(receipt.day, firsts.get(who, receipt.day))
        return firsts

    def daily_customers(self) -> Rows:
        cells: dict[tuple[Any, ...], list[Decimal]] = defaultdict(list)
        for who, r in self.purchases():
            cells[r.day, who, r.store, r.source, r.channel, r.currency].append(r.net)
        return [(*cell, len(nets), sum(nets), self.firsts()[cell[1]]) for cell, nets in cells.items()]

    def customer_activity(self) -> Rows:
        cells: dict[tuple[Any, ...], list[Receipt]] = defaultdict(list)
        firsts = self.firsts()
        for who, r in self.purchases():
            cells[month_of(r.day), who, r.source, r.currency].append(r)
        return [
            (
                *cell,
                len(own),
                sum(r.net for r in own),
                firsts[cell[1]],
                max(r.day for r in own),
                month_of(firsts[cell[1]]) == cell[0],
            )
            for cell, own in cells.items()
        ]

    def customer_kinds(self) -> Rows:
        cells: dict[tuple[Any, ...], list[Receipt]] = defaultdict(list)
        firsts = self.firsts()
        for r in self.receipts:
            who = self.who(r)
            kind = "unknown" if who is None else "new" if firsts.get(who) == r.day else "returning"
            cells[r.day, r.store, r.source, r.channel, r.currency, kind].append(r)
        return [
            (
                *cell,
                sum(r.event == "sale" for r in own),
                -sum((r.net for r in own if r.event == "refund"), Decimal(0)),
                sum((r.net for r in own if r.event != "voided"), Decimal(0)),
            )
            for cell, own in cells.items()
        ]

    def customer_retention(self) -> Rows:
        came: dict[date, set[str]] = defaultdict(set)
        for who, r in self.purchases():
            came[month_of(r.day)].add(who)
        newest = max((r.day for r in self.receipts), default=date.min)
        rows: Rows = []
        for before, people in came.items():
            month = month_of(before + timedelta(days=32))
            if month_of(month + timedelta(days=32)) <= newest + timedelta(days=1):
                rows.append((month, len(people), len(people & came.get(month, set()))))
        return rows

    def customer_cohorts(self) -> Rows:
        first: dict[tuple[str, str], date] = {}
        for who, r in self.purchases():
            first[who, r.currency] = min(month_of(r.day), first.get((who, r.currency), month_of(r.day)))
        active: dict[tuple[date, date, str], set[str]] = defaultdict(set)
        net: dict[tuple[date, date, str], Decimal] = defaultdict(Decimal)
        for r in self.receipts:
            who = self.who(r)
            if who is None or r.event == "voided" or month_of(r.day) < first.get((who, r.currency), date.max):
                continue
            cell = (first[who, r.currency], month_of(r.day), r.currency)
            net[cell] += r.net
            if r.event == "sale":
                active[cell].add(who)
        rows: Rows = []
        for cohort, currency in sorted({(month, currency) for (_, currency), month in first.items()}):
            size = sum(1 for key, month in first.items() if (month, key[1]) == (cohort, currency))
            newest = max(
                month for (_, month, c), value in net.items() if c == currency and (value or active[_, month, c])
            )
            for month in months_between(cohort, newest):
                came = len(active[cohort, month, currency])
                since = (month.year - cohort.year) * 12 + month.month - cohort.month
                share = rounded(Decimal(came) / size, "0.0001")
                rows.append((cohort, since, currency, month, size, came, share, net[cohort, month, currency]))
        return rows

    def funnel_events(self) -> Rows:
        events: list[tuple[str, str, str, datetime, date]] = []
        for (number, stage), at in self.world.contacts.items():
            events.append(("lifecycle", stage, self.people["crm", number], at, at.astimezone(MADRID).date()))
        bought: dict[str, list[Receipt]] = defaultdict(list)
        for who, r in self.purchases():
            bought[who].append(r)
        for who, own in bought.items():
            in_order = sorted(own, key=lambda r: (r.day, r.at))
            for stage, r in zip(("first purchase", "repeat purchase"), in_order, strict=False):
                events.append(("purchases", stage, who, r.at, r.day))
        for (source, number), r in self.world.receipts.items():
            if source == "pos_api" and r.event != "refund":
                assert r.changed_at
                changed_on = (r.changed_at.astimezone(MADRID).replace(tzinfo=None) - timedelta(hours=4)).date()
                events.append(("orders", "placed", number, r.at, r.day))
                ended = "completed" if r.event == "sale" else "cancelled"
                events.append(("orders", ended, number, max(r.changed_at, r.at), max(changed_on, r.day)))
                back = [refund for refund in self.receipts if refund.event == "refund" and refund.reverses == number]
                if back:
                    refund = min(back, key=lambda each: each.at)
                    events.append(("orders", "refunded", number, max(refund.at, r.at), max(refund.day, r.day)))
        entered: dict[tuple[str, str], date] = {}
        for funnel, _, subject, _, day in events:
            entered[funnel, subject] = min(day, entered.get((funnel, subject), day))
        return [
            (funnel, stage, subject, at, day, entered[funnel, subject]) for funnel, stage, subject, at, day in events
        ]

    def sales_funnel(self) -> Rows:
        order = {
            "lifecycle": LIFECYCLE,
            "purchases": ("first purchase", "repeat purchase"),
            "orders": ("placed", "completed", "refunded", "cancelled"),
        }
        last: dict[tuple[date, str, str], int] = {}
        for funnel, stage, subject, _, _, entered in self.funnel_events():
            key = (month_of(entered), funnel, subject)
            last[key] = max(last.get(key, 0), order[funnel].index(stage) + 1)
        rows: Rows = []
        for month, funnel in sorted({(month, funnel) for month, funnel, _ in last}):
            ends = [number for (m, f, _), number in last.items() if (m, f) == (month, funnel)]
            reached = [sum(1 for end in ends if end >= n) for n in range(1, len(order[funnel]) + 1)]
            before = [len(ends), *reached]
            if funnel == "orders":
                completed = sum(1 for end in ends if end in (2, 3))
                reached = [len(ends), completed, ends.count(3), ends.count(4)]
                before = [len(ends), len(ends), completed, len(ends)]
            for number, stage in enumerate(order[funnel], 1):
                whole = before[number - 1]
                share = rounded(Decimal(reached[number - 1]) / whole, "0.0001") if whole else None
                rows.append((month, funnel, number, stage, len(ends), reached[number - 1], ends.count(number), share))
        return rows

    def waste(self) -> Rows:
        cells: dict[tuple[Any, ...], list[Movement]] = defaultdict(list)
        for move in self.world.movements.values():
            if move.kind in ("production", "waste"):
                cells[move.day, move.store, move.source, move.sku].append(move)
        rows: Rows = []
        for cell, own in cells.items():
            thrown = [move for move in own if move.kind == "waste"]
            made = sum((move.quantity for move in own if move.kind == "production"), Decimal(0))
            gone = -sum((move.quantity for move in thrown), Decimal(0))
            share = rounded(gone / made, "0.0001") if made and thrown else None
            rows.append((*cell, "USD" if cell[2] == "coffee_chain" else "EUR", made, gone, share, cost_of(thrown)))
        return rows

    def inventory_turnover(self) -> Rows:
        places: dict[tuple[str, str, str], list[Movement]] = defaultdict(list)
        for _, move in sorted(self.world.movements.items()):
            places[move.store, move.source, move.sku].append(move)
        rows: Rows = []
        for (store, source, sku), own in places.items():
            newest = max(month_of(m.day) for m in self.world.movements.values() if m.source == source)
            closing, unit_cost = Decimal(0), None
            for month in months_between(min(month_of(m.day) for m in own), newest):
                here = sorted((m for m in own if month_of(m.day) == month), key=lambda m: m.at)
                kinds = ("opening", "delivery", "production", "sale", "use", "waste", "count")
                opened, received, made, sold, used, waste, other = (
                    sum((m.quantity for m in here if m.kind == kind), Decimal(0)) for kind in kinds
                )
                opening = closing + opened
                closing = opening + received + made + sold + used + waste + other
                average = rounded((opening + closing) / 2, "0.0001")
                left = [m for m in here if m.kind in ("sale", "use")]
                unit_cost = next((m.cost for m in reversed(here) if m.cost is not None), unit_cost)
                turnover = rounded(-(sold + used) / average, "0.0001") if average > 0 else None
                worth = None if unit_cost is None else rounded(average * unit_cost, "0.01")
                rows.append(
                    (
                        month,
                        store,
                        source,
                        sku,
                        opening,
                        received,
                        made,
                        -sold,
                        -used,
                        -waste,
                        other,
                        closing,
                        average,
                        turnover,
                        unit_cost,
                        worth,
                        cost_of(left),
                    )
                )
        return rows


FOUND = {
    "daily_customers": """
        select business_date, customer_id::text, store_id, source, channel, currency_code, ticket_count, net_amount,
            first_purchase_on from marts.daily_customers""",
    "customer_activity": """
        select month, customer_id::text, source, currency_code, ticket_count, net_amount, first_purchase_on,
            last_purchase_on, is_new from marts.customer_activity""",
    "customer_kinds": """
        select business_date, store_id, source, channel, currency_code, customer_kind, ticket_count, refund_amount,
            net_amount
        from marts.daily_customer_kind_sales""",
    "customer_retention": "select month, earlier_count, retained_count from marts.customer_retention",
    "customer_cohorts": """
        select cohort_month, months_since, currency_code, month, customer_count, active_count, retained_share,
            net_amount
        from marts.customer_cohorts""",
    "funnel_events": """
        select funnel, stage, case when funnel = 'orders' then receipt_number else subject_id::text end, reached_at,
            reached_on, entered_on
        from core.funnel_events as event left join core.sales as sale on event.subject_id = sale.sale_id""",
    "sales_funnel": """
        select month, funnel, stage_number, stage, entered_count, reached_count, last_count, conversion_share
        from marts.sales_funnel""",
    "waste": """
        select business_date, store_id, mart.source, product_key, mart.currency_code, produced_quantity, waste_quantity,
            waste_share, cost_amount
        from marts.waste as mart inner join core.products using (product_id)""",
    "inventory_turnover": """
        select month, store_id, mart.source, product_key, opening_quantity, received_quantity, produced_quantity,
            sold_quantity, used_quantity, waste_quantity, other_quantity, closing_quantity, average_quantity, turnover,
            unit_cost, average_amount, cost_amount
        from marts.inventory_turnover as mart inner join core.products using (product_id)""",
}


def in_order(rows: Rows) -> list[str]:
    """Rows comparable whatever their order: 2.00 and 2 are one amount, moments are in UTC."""

    def plain(each: Any) -> Any:
        if isinstance(each, datetime):
            return each.astimezone(UTC).isoformat()
        return f"{each:.4f}" if isinstance(each, Decimal | int) and not isinstance(each, bool) else each

    return sorted(str([plain(each) for each in row]) for row in rows)


def check(world: World, warehouse: Settings, ask: Ask) -> None:
    """Every mart says what plain Python says."""
    assert ask("select file_name, reason from ops.loads where status <> 'loaded'", settings=warehouse) == []
    crosswalk = ask(
        "select source, source_customer_id, customer_id::text from core.customer_sources", settings=warehouse
    )
    expected = Expected(world, {(source, number): who for source, number, who in crosswalk})
    for mart, statement in FOUND.items():
        found = ask(statement, settings=warehouse)
        assert in_order(found) == in_order(getattr(expected, mart)()), mart


def deliver_all(world: World, warehouse: Settings, deliver: Callable[..., int], *, one_by_one: bool) -> None:
    for source, content, entity in world.documents:
        deliver(source, content, entity, settings=warehouse)
        if one_by_one:
            run(warehouse)
    run(warehouse)


def differing_after_rebuild(warehouse: Settings) -> list[str]:
    """The tables that a rebuild of everything from raw makes otherwise."""
    return [each.table for each in rebuild(warehouse, compare_only=True).comparisons if not each.is_equal]


# --- chosen cases ------------------------------------------------------------------------------------------


def move(number: str, kind: str, quantity: str, at: str, cost: str | None = None, **more: str) -> dict[str, Any]:
    """A movement, written up at once unless `changed` says otherwise."""
    return {"number": number, "kind": kind, "quantity": quantity, "at": at, "cost": cost, "changed": at, **more}


def order(
    number: str, cents: int, created: str, changed: str, customer: str | None = None, **more: str
) -> dict[str, Any]:
    return {"number": number, "cents": cents, "created": created, "changed": changed, "customer": customer, **more}


@pytest.fixture
def awkward() -> World:
    """A refund the next month, a void, a late first sale, negative stock, no costs, two currencies, both DST nights."""
    world = World()
    world.till(
        {"number": "R1", "day": "2026-03-10", "net": "10.00", "customer": "A"},
        {"number": "R2", "day": "2026-05-10", "net": "7.00", "customer": "A"},
        {"number": "R3", "day": "2026-03-29", "clock": "02:30:00", "net": "3.00", "customer": "B"},  # no such hour
        {"number": "R4", "day": "2026-10-25", "clock": "02:30:00", "net": "4.00", "customer": "B"},  # twice that hour
        {"number": "R5", "day": "2026-03-11", "net": "99.00"},  # nobody known
    )
    world.chain(
        ("1", "2026-04-02", "501", "3.75"), ("2", "2026-06-02", "501", "4.00"), ("3", "2026-06-02", "0", "9.00")
    )
    # The refund comes in the next month; the customer bought nothing then.
    back = {"number": "R6", "day": "2026-04-02", "net": "-10.00", "event": "Refund", "payment": "PR1"}
    world.till({**back, "customer": "A"})
    late, closed = "2026-03-31T23:30:00+02:00", "2026-05-01T05:00:00+00:00"
    world.orders(
        order("O1", 900, late, "2026-04-01T00:20:00+02:00", "C"),
        order("O2", 500, "2026-04-30T20:00:00+00:00", closed, "C", state="CANCELED"),
        order("O3", 300, "2026-04-03T20:00:00+00:00", "2026-04-03T21:00:00+00:00"),
        order("O4", 300, "2026-05-03T20:00:00+00:00", "2026-05-03T20:00:00+00:00", reverses="O3"),
    )
    # What was A's first purchase was not: an older export comes late.
    world.till({"number": "R0", "day": "2026-01-05", "net": "1.00", "customer": "A"})
    # A completed order is cancelled after all; C's first purchase is gone.
    world.orders(order("O1", 900, late, "2026-04-02T09:00:00+02:00", "C", state="CANCELED"))
    world.people(
        ("1", "lead", "2026-02-01T00:30:00+01:00"),
        ("2", "customer", "2026-02-03T10:00:00+01:00"),
        ("3", "marketingqualifiedlead", "2026-02-28T23:30:00+00:00"),  # March in Madrid
        ("4", "other", "2026-02-05T10:00:00+01:00"),
    )
    world.people(("1", "evangelist", "2026-05-01T10:00:00+02:00"), ("1", "lead", "2026-01-20T10:00:00+01:00"))
    world.stock(
        move("M1", "opening", "10", "2026-01-01T06:00:00+01:00", "0.80"),
        move("M2", "use", "-25", "2026-01-20T21:00:00+01:00", "0.80"),
        move("M3", "delivery", "40", "2026-03-02T06:00:00+01:00", "0.85"),
        move("M4", "waste", "-1.5", "2026-03-29T03:30:00+02:00", "0.85"),
        move("M5", "count", "-0.5", "2026-04-01T06:00:00+02:00"),
        move("M6", "production", "20", "2026-03-03T06:00:00+01:00", sku="LOAF"),
        move("M7", "waste", "-3", "2026-03-03T22:00:00+01:00", sku="LOAF"),
    )
    # Written up late, and corrected: what was used in January was less.
    world.stock(move("M2", "use", "-12", "2026-01-20T21:00:00+01:00", "0.80", changed="2026-04-02T09:00:00+02:00"))
    world.counts(("2019-04-01", 18, 15, 3), ("2019-04-02", 18, 20, 0), ("2019-06-02", 0, 0, 1))
    return world


@pytest.mark.parametrize("one_by_one", [True, False], ids=["one by one", "all at once"])
def test_awkward_cases_are_as_plain_python_says(
    awkward: World, warehouse: Settings, deliver: Callable[..., int], ask: Ask, one_by_one: bool
) -> None:
    deliver_all(awkward, warehouse, deliver, one_by_one=one_by_one)

    check(awkward, warehouse, ask)
    assert differing_after_rebuild(warehouse) == []


def test_figures_of_the_awkward_cases_that_can_be_checked_by_eye(
    awkward: World, warehouse: Settings, deliver: Callable[..., int], ask: Ask
) -> None:
    deliver_all(awkward, warehouse, deliver, one_by_one=True)

    # January's cohort is A alone: bought in January, March and May, got 10.00 back in April.
    assert ask(
        "select months_since, active_count, net_amount from marts.customer_cohorts "
        "where cohort_month = '2026-01-01' and currency_code = 'EUR' order by 1"
    ) == [
        (0, 1, 1),
        (1, 0, 0),
        (2, 1, 10),
        (3, 0, -10),
        (4, 1, 7),
        (5, 0, 0),
        (6, 0, 0),
        (7, 0, 0),
        (8, 0, 0),
        (9, 0, 0),
    ]
    # The night the clocks went forward and the one they went back belong to the evening before.
    assert ask(
        "select business_date::text from marts.daily_customers where source = 'pos' and net_amount in (3, 4) order by 1"
    ) == [
        ("2026-03-28",),
        ("2026-10-24",),
    ]
    assert ask(
        "select month::text, stage, entered_count, reached_count, last_count from marts.sales_funnel "
        "where funnel = 'orders' and reached_count > 0 order by 1, stage_number"
    ) == [
        ("2026-03-01", "placed", 1, 1, 0),
        ("2026-03-01", "cancelled", 1, 1, 1),
        ("2026-04-01", "placed", 2, 2, 0),
        ("2026-04-01", "completed", 2, 1, 0),
        ("2026-04-01", "refunded", 2, 1, 1),
        ("2026-04-01", "cancelled", 2, 1, 1),
    ]
    # 10 kg less 12 used: two kilos short until the delivery in March; February stands still.
    assert ask(
        "select month::text, opening_quantity, closing_quantity, turnover, cost_amount "
        "from marts.inventory_turnover inner join core.products using (product_id) "
        "where product_key = 'FLOUR' and month < '2026-04-01' order by 1"
    ) == [
        ("2026-01-01", 10, -2, 3, Decimal("9.60")),
        ("2026-02-01", -2, -2, None, 0),
        ("2026-03-01", -2, Decimal("36.5"), 0, 0),
    ]
    assert ask(
        "select product_key, waste_quantity, waste_share, cost_amount from marts.waste "
        "inner join core.products using (product_id) where waste.source = 'inventory' order by 1"
    ) == [
        ("FLOUR", Decimal("1.5"), None, Decimal("1.28")),
        ("LOAF", 3, Decimal("0.15"), None),
    ]


def test_a_person_known_at_two_sources_is_new_once(warehouse: Settings, deliver: Callable[..., int], ask: Ask) -> None:
    world = World()
    world.till({"number": "R1", "day": "2026-05-10", "net": "5.00", "customer": "A"})
    deliver_all(world, warehouse, deliver, one_by_one=True)

    later = World(receipts=world.receipts)  # the tills and the delivery service know a person by one id
    later.orders(order("O1", 900, "2026-03-10T12:00:00+00:00", "2026-03-10T13:00:00+00:00", "A"))
    deliver_all(later, warehouse, deliver, one_by_one=True)

    check(later, warehouse, ask)
    assert ask(
        "select month::text, source, is_new, first_purchase_on::text from marts.customer_activity order by 1"
    ) == [
        ("2026-03-01", "pos_api", True, "2026-03-10"),
        ("2026-05-01", "pos", False, "2026-03-10"),
    ]
    assert ask("select cohort_month::text, months_since, active_count from marts.customer_cohorts order by 2") == [
        ("2026-03-01", 0, 1),
        ("2026-03-01", 1, 0),
        ("2026-03-01", 2, 1),
    ]


def test_a_refresh_leaves_the_rows_of_other_months_alone(
    warehouse: Settings, deliver: Callable[..., int], ask: Ask
) -> None:
    world = World()
    for month in (3, 4, 5):
        world.till({"number": f"R{month}", "day": f"2026-0{month}-10", "net": "5.00", "customer": f"C{month}"})
        world.stock(move(f"M{month}", "waste", "-1", f"2026-0{month}-10T20:00:00+02:00", "2"))
    deliver_all(world, warehouse, deliver, one_by_one=False)
    statements = [
        "select xmin::text, cohort_month, month from marts.customer_cohorts where month < '2026-05-01' order by 2, 3",
        "select xmin::text, month, stage from marts.sales_funnel where month < '2026-05-01' order by 2, 3",
        "select xmin::text, business_date from marts.waste where business_date < '2026-05-01' order by 2",
        "select xmin::text, month from marts.inventory_turnover where month < '2026-05-01' order by 2",
    ]
    before = [ask(statement) for statement in statements]

    world.documents.clear()
    world.till({"number": "R9", "day": "2026-05-11", "net": "5.00", "customer": "C9"})
    world.stock(move("M9", "waste", "-1", "2026-05-11T20:00:00+02:00", "2"))
    deliver_all(world, warehouse, deliver, one_by_one=True)

    assert [ask(statement) for statement in statements] == before
    check(world, warehouse, ask)


def test_stock_status_says_its_source_and_currency(warehouse: Settings, deliver: Callable[..., int], ask: Ask) -> None:
    item = {"item_id": "1", "sku": "FLOUR", "name": "Flour", "kind": "ingredient", "unit": "kg", "purchase_rate": 0.85}
    level = {"item_id": "1", "location_id": "W-NORTE", "sku": "FLOUR", "on_hand": "-8.00"}
    deliver("inventory", json.dumps({"items": [item]}), "items", settings=warehouse)
    levels = [level, {**level, "sku": "SALT", "item_id": "2"}]
    deliver("inventory", json.dumps({"levels": levels}), "levels", settings=warehouse)

    run(warehouse)

    assert ask("select sku, source, currency_code, inventory_value from marts.inventory_status order by 1") == [
        ("FLOUR", "inventory", "EUR", Decimal("-6.80")),
        ("SALT", "inventory", "EUR", None),
    ]


def test_customer_and_stock_metrics_of_any_period_are_as_plain_python_says(
    awkward: World, warehouse: Settings, deliver: Callable[..., int], ask: Ask
) -> None:
    deliver_all(awkward, warehouse, deliver, one_by_one=False)
    crosswalk = ask("select source, source_customer_id, customer_id::text from core.customer_sources")
    expected = Expected(awkward, {(source, number): who for source, number, who in crosswalk})

    def figure(name: str, period: str) -> Any:
        rows = evaluate(warehouse, compile_query(Query(name, period=period), date(2026, 12, 31))).rows
        return {row.get("currency_code"): row["value"] for row in rows}

    for first, last in (("2026-03-01", "2026-03-31"), ("2026-03-10", "2026-06-30"), ("2026-04-02", "2026-04-02")):
        days = (date.fromisoformat(first), date.fromisoformat(last))
        came = {who for who, r in expected.purchases() if days[0] <= r.day <= days[1]}
        new = {who for who, day in expected.firsts().items() if days[0] <= day <= days[1]}
        period = f"{first}..{last}"
        assert figure("customers", period) == {None: len(came)}
        assert figure("new_customers", period) == {None: len(new)}
        assert figure("returning_customers", period) == {None: len(came - new)}
    assert figure("waste", "2026-03") == {"EUR": Decimal("1.28")}
    assert figure("waste", "2019-04") == {"USD": None}, "what has no cost has no figure, and is not 0"
    assert figure("items", "2026-03-10") == {None: 1}
    assert figure("items_per_ticket", "2026-03-10") == {None: 1}


def test_stock_of_different_units_has_no_sum_and_cover_is_that_of_what_runs_out_first(
    warehouse: Settings, deliver: Callable[..., int]
) -> None:
    items = [{"item_id": sku, "sku": sku, "name": sku.title(), "unit": unit, "purchase_rate": 2} for sku, unit in (
        ("FLOUR", "kg"), ("SUGAR", "kg"), ("EGGS", "pcs"))]  # fmt: skip
    levels = [
        {"item_id": sku, "location_id": "W-NORTE", "sku": sku, "on_hand": quantity}
        for sku, quantity in (("FLOUR", "28"), ("SUGAR", "7"), ("EGGS", "12"))
    ]
    deliver("inventory", json.dumps({"items": items}), "items", settings=warehouse)
    deliver("inventory", json.dumps({"levels": levels}), "levels", settings=warehouse)
    world = World()
    world.stock(*(move(f"M{sku}", "use", "-28", "2026-06-01T12:00:00+02:00", sku=sku) for sku in ("FLOUR", "SUGAR")))
    deliver_all(world, warehouse, deliver, one_by_one=False)

    def figures(name: str, by: list[str]) -> list[dict[str, Any]]:
        return evaluate(warehouse, compile_query(Query(name, tuple(by)), date(2026, 12, 31))).rows

    with pytest.raises(UsageError, match="does not add up"):
        figures("stock_on_hand", [])
    assert figures("stock_on_hand", ["unit"]) == [{"unit": "kg", "value": 35}, {"unit": "pcs", "value": 12}]
    assert figures("days_of_cover", []) == [{"value": 7}]
    assert figures("days_of_cover", ["product"])[1:] == [
        {"product": "Flour", "value": 28},
        {"product": "Sugar", "value": 7},
    ]
    assert figures("inventory_value", []) == [{"currency_code": "EUR", "value": 94}]


# --- random sequences --------------------------------------------------------------------------------------

DAYS = st.sampled_from(["2026-01-15", "2026-02-28", "2026-03-01", "2026-03-29", "2026-05-31", "2026-06-01"])
PERSON = st.sampled_from(["", "A", "B", "C"])
SALE = st.builds(
    lambda number, day, clock, euros, customer, store, event: {
        "number": f"R{number}",
        "day": day,
        "clock": clock,
        "net": f"{'-' if event == 'Refund' else ''}{euros}.00",
        "customer": customer,
        "store": store,
        "event": event,
    },
    st.integers(1, 7),
    DAYS,
    st.sampled_from(["09:00:00", "02:30:00"]),
    st.integers(0, 9),
    PERSON,
    st.sampled_from(list(STORES)),
    st.sampled_from(["Payment", "Payment", "Payment", "Refund"]),
)
ORDER = st.builds(
    lambda number, day, cents, hours, state, customer: {
        "number": f"O{number}",
        "cents": cents,
        "created": f"{day}T19:00:00+00:00",
        "changed": (datetime.fromisoformat(f"{day}T19:00:00+00:00") + timedelta(hours=hours)).isoformat(),
        "state": state,
        "customer": customer or None,
    },
    st.integers(1, 5),
    DAYS,
    st.integers(100, 900),
    st.integers(0, 60),
    st.sampled_from(["COMPLETED", "COMPLETED", "CANCELED"]),
    PERSON,
)
BACK = st.builds(
    lambda order, day: {
        "number": f"B{order}",
        "cents": 100,
        "created": f"{day}T20:00:00+00:00",
        "changed": f"{day}T20:00:00+00:00",
        "reverses": f"O{order}",
    },
    st.integers(1, 5),
    DAYS,
)
DOLLARS = st.tuples(
    st.integers(1, 4).map(str), DAYS, st.sampled_from(["0", "501", "502"]), st.sampled_from(["3.75", "4.00"])
)
CONTACT = st.tuples(
    st.integers(1, 4).map(str),
    st.sampled_from(["lead", "marketingqualifiedlead", "customer", "evangelist", "other"]),
    st.builds(lambda day, hour: f"{day}T{hour:02}:00:00+00:00", DAYS, st.integers(0, 23)),
)
MOVE = st.builds(
    lambda number, day, hour, kind, quantity, cost, sku, changed: {
        "number": f"M{number}",
        "kind": kind,
        "sku": sku,
        "cost": cost,
        "at": f"{day}T{hour:02}:{number:02}:00+00:00",
        "quantity": str(-quantity if kind in ("sale", "use", "waste") else quantity),
        "changed": f"2026-07-{changed:02}T00:00:00+00:00",
    },
    st.integers(1, 9),
    DAYS,
    st.integers(0, 23),
    st.sampled_from(["opening", "delivery", "production", "sale", "use", "waste", "count"]),
    st.integers(1, 20),
    st.sampled_from([None, "0.5", "0.85"]),
    st.sampled_from(["FLOUR", "LOAF"]),
    st.integers(1, 9),
)
PASTRY = st.tuples(DAYS, st.integers(0, 9), st.integers(0, 9), st.integers(0, 3))


def several(each: st.SearchStrategy[Any], key: Callable[[Any], Any]) -> st.SearchStrategy[list[Any]]:
    """Records of one document; each number once, since of equals within a page the order would decide."""
    return st.lists(each, min_size=1, max_size=4, unique_by=key)


LOADS = st.lists(
    st.one_of(
        several(SALE, lambda sale: sale["number"]).map(lambda given: ("till", given)),
        several(st.one_of(ORDER, ORDER, BACK), lambda order: order["number"]).map(lambda given: ("orders", given)),
        several(DOLLARS, lambda sale: sale[:2]).map(lambda given: ("chain", given)),
        several(CONTACT, lambda contact: contact).map(lambda given: ("people", given)),
        several(MOVE, lambda move: move["number"]).map(lambda given: ("stock", given)),
        several(PASTRY, lambda day: day[0]).map(lambda given: ("counts", given)),
    ),
    min_size=4,
    max_size=9,
)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a world takes seconds to build, so none is made smaller
)
@given(loads=LOADS)
def test_any_sequence_of_refreshes_equals_plain_python_and_a_rebuild(
    new_warehouse: NewWarehouse, deliver: Callable[..., int], ask: Ask, loads: list[tuple[str, list[Any]]]
) -> None:
    world = World()
    for kind, what in loads:
        getattr(world, kind)(*what)

    with new_warehouse() as warehouse:
        deliver_all(world, warehouse, deliver, one_by_one=True)

        check(world, warehouse, ask)
        assert differing_after_rebuild(warehouse) == []
