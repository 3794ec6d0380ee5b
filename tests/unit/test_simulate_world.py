"""The simulated business: same past whatever the last day is, and stock, contacts and truth that agree."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date

import pytest

from panpan.simulate.catalogue import FL, SHORT_FLOUR_LOCATION, START, reorder_level
from panpan.simulate.chance import local
from panpan.simulate.people import people_known
from panpan.simulate.world import World, days

SHORT, LONG = date(2025, 10, 26), date(2025, 11, 20)


@pytest.fixture(scope="module")
def world() -> World:
    return World(until=LONG)


@pytest.fixture(scope="module")
def whole_world() -> World:
    return World(until=date(2026, 11, 19))


def test_a_day_is_the_same_whatever_the_last_day_is_and_whichever_day_is_made_first(world: World) -> None:
    earlier = World(until=SHORT)

    assert earlier.receipts(SHORT) == world.receipts(SHORT)
    assert earlier.orders(SHORT) == world.orders(SHORT)
    assert [m for m in world.stock.movements if m.modified_at < earlier.now] == earlier.stock.movements


def test_contacts_untouched_since_are_the_same_in_a_longer_history(world: World) -> None:
    earlier = World(until=SHORT)

    unchanged = [contact for contact in world.contacts if contact.updated_at < earlier.now * 1000]

    assert len(unchanged) > 1000
    assert all(contact in earlier.contacts for contact in unchanged)


def test_another_seed_is_another_world(world: World) -> None:
    assert World(seed=1, until=LONG).receipts(SHORT) != world.receipts(SHORT)


def test_a_world_moved_on_equals_one_made_for_that_day() -> None:
    moved = World(until=date(2025, 10, 5)).later(date(2025, 10, 9))

    made = World(until=date(2025, 10, 9))

    assert moved.known_orders == made.known_orders
    assert moved.contacts == made.contacts
    assert moved.stock.levels == made.stock.levels


def test_history_is_as_large_as_promised(whole_world: World) -> None:
    lines = [
        line
        for day in days(START, whole_world.until)
        for receipt in whole_world.receipts(day)
        for line in receipt.lines
    ]

    assert 95_000 <= len(lines) <= 120_000
    assert 13_000 <= len(whole_world.known_orders) <= 17_000
    assert 2_200 <= len(whole_world.contacts) <= 2_700
    assert 40_000 <= len(whole_world.stock.movements) <= 65_000


def test_nothing_is_sold_on_closed_days(whole_world: World) -> None:
    assert whole_world.receipts(date(2025, 12, 25)) == []
    assert whole_world.orders(date(2026, 1, 1)) == []


@pytest.mark.parametrize(
    ("saturday", "wall_clocks"),
    [
        (date(2025, 10, 25), ["02:20 +0200", "02:20 +0100"]),
        (date(2026, 3, 28), ["03:20 +0200"]),
        (date(2026, 10, 24), ["02:20 +0200", "02:20 +0100"]),
    ],
)
def test_playa_sells_in_the_changed_hour(whole_world: World, saturday: date, wall_clocks: list[str]) -> None:
    late = [
        local(receipt.sold_at)
        for receipt in whole_world.receipts(saturday)
        if receipt.dated > saturday and receipt.business_date == saturday and not receipt.is_refund
    ]

    assert [f"{at:%H:%M %z}" for at in late if at.hour >= 2] == wall_clocks
    assert all(at.hour < 4 for at in late)


def test_saturday_nights_at_playa_belong_to_saturday(world: World) -> None:
    saturday = date(2025, 11, 8)

    night = [r for r in world.receipts(saturday) if r.dated > saturday and r.business_date == saturday]

    assert {receipt.store.code for receipt in night} == {"playa"}


def test_prices_rise_once(whole_world: World) -> None:
    prices: dict[bool, set[int]] = defaultdict(set)
    for day in (date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 2)):
        for receipt in whole_world.receipts(day):
            for line in receipt.lines:
                if line.product and line.product.sku == "CRO-01":
                    prices[receipt.business_date >= date(2026, 4, 1)].add(abs(line.gross // line.quantity))

    assert prices[False] == {170}
    assert prices[True] >= {185}


def test_a_product_made_again_has_another_token(world: World) -> None:
    def tokens(day: date) -> set[str]:
        lines = [line for r in World(until=day).receipts(day) for line in r.lines]
        return {line.token for line in lines if line.product and line.product.sku == "COF-05"}

    assert len(tokens(date(2026, 1, 14)) | tokens(date(2026, 1, 15))) == 2


def test_movements_add_up_to_the_levels_on_any_last_day() -> None:
    for until in (date(2025, 10, 1), date(2025, 10, 17), SHORT):
        stock = World(until=until).stock
        summed: Counter[tuple[str, str]] = Counter()
        for movement in stock.movements:
            summed[movement.sku, movement.location] += movement.quantity

        assert dict(summed) == stock.levels


def test_sales_leave_the_stock_of_what_is_baked(world: World) -> None:
    sold = sum(
        line.quantity
        for day in days(START, world.until)
        for receipt in world.receipts(day)
        for line in receipt.lines
        if line.product and line.product.sku == "CRO-01" and not receipt.is_refund
    )

    booked = sum(
        -movement.quantity // 1000
        for movement in world.stock.movements
        if movement.kind == "sale" and movement.sku == "CRO-01" and movement.location != "W-DELIVERY"
    )

    assert booked == sold


def test_deliveries_and_delivery_movements_agree(world: World) -> None:
    delivered = Counter(
        {(d.delivery_id, line.ingredient.sku): line.quantity for d in world.stock.deliveries for line in d.lines}
    )
    booked = Counter({(m.reference, m.sku): m.quantity for m in world.stock.movements if m.kind == "delivery"})

    assert delivered == booked


@pytest.mark.parametrize("until", [SHORT, LONG, date(2025, 12, 31)])
def test_flour_at_norte_is_low_early_in_the_story(until: date) -> None:
    assert World(until=until).stock.levels[FL, SHORT_FLOUR_LOCATION] < reorder_level(FL, SHORT_FLOUR_LOCATION)


def test_flour_at_norte_is_low_at_the_end_and_was_not_always(whole_world: World) -> None:
    level = reorder_level(FL, SHORT_FLOUR_LOCATION)
    by_evening: dict[date, int] = {}
    on_hand = 0
    for movement in sorted(whole_world.stock.movements, key=lambda m: m.moved_at):
        if (movement.sku, movement.location) == (FL, SHORT_FLOUR_LOCATION):
            on_hand += movement.quantity
            by_evening[local(movement.moved_at).date()] = on_hand

    assert all(0 < by_evening[day] < level for day in days(date(2026, 8, 3), date(2026, 11, 19)))
    assert all(by_evening[day] > level for day in days(date(2026, 6, 1), date(2026, 7, 20)))


def test_what_is_written_up_late_is_unknown_before(world: World) -> None:
    late = next(m for m in world.stock.movements if m.modified_at > m.moved_at)

    that_evening = World(until=local(late.moved_at).date())

    assert late.kind == "waste"
    assert late not in that_evening.stock.movements
    assert late in World(until=local(late.modified_at).date()).stock.movements


def test_every_true_pair_is_one_person(world: World) -> None:
    by_pos_id = {p.pos_customer_id: p for p in world.people(world.until) if p.pos_customer_id}
    contacts = {contact.contact_id: contact for contact in world.contacts}

    pairs = world.truth()

    assert len(pairs) > 1000
    assert all(by_pos_id[pos].number == contacts[crm].person_number for pos, crm in pairs)
    assert not any(contacts[crm].archived for _, crm in pairs)


def test_customer_ids_of_the_pos_are_square_like_and_unique(world: World) -> None:
    ids = [p.pos_customer_id for p in world.people(world.until) if p.pos_customer_id]

    assert len(set(ids)) == len(ids)
    assert all(len(each) == 26 and each.isalnum() and each.upper() == each for each in ids)


def test_some_people_are_known_to_one_system_only(world: World) -> None:
    people = world.people(world.until)

    only_crm = sum(p.pos_customer_id is None for p in people) / len(people)
    only_pos = sum(p.crm_contact_id is None for p in people) / len(people)

    assert len(people) == people_known(world.until)
    assert 0.05 < only_crm < 0.11
    assert 0.05 < only_pos < 0.11


def test_merged_contacts_are_archived_and_listed_by_the_survivor(whole_world: World) -> None:
    by_id = {contact.contact_id: contact for contact in whole_world.contacts}
    survivors = [contact for contact in whole_world.contacts if contact.merged_ids]

    assert len(survivors) >= 10
    for survivor in survivors:
        for gone in survivor.merged_ids:
            assert by_id[gone].archived
            assert by_id[gone].person_number == survivor.person_number


def test_about_two_hundred_edits_are_spread_over_the_period(whole_world: World) -> None:
    edited = [c for c in whole_world.contacts if c.updated_at > c.created_at and not c.archived]

    assert 150 <= len(edited) <= 260


def test_orders_are_updated_later_and_arrive_late(whole_world: World) -> None:
    orders = whole_world.known_orders

    assert sum(len(order.versions) > 1 for order in orders) > 500
    assert sum(len(o.versions) == 1 and o.updated_at - o.created_at > 10 * 3_600_000 for o in orders) > 50
    assert {order.state for order in orders} == {"COMPLETED", "CANCELED", "OPEN"}
