"""The simulated systems over HTTP: complete and stable paging, tokens, and every fault biting."""

from __future__ import annotations

import socket
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
import requests
import uvicorn

from panpan.errors import UsageError
from panpan.simulate.faults import FAULTS, FILE_FAULTS, Faults
from panpan.simulate.pos import added_up, delivery_totals
from panpan.simulate.server import Tokens, build_app
from panpan.simulate.world import World

UNTIL = date(2025, 10, 26)
TOKENS = Tokens(pos_api="p-token", crm="c-token", inventory="i-token")
PROPERTIES = "email,phone,firstname,lastname,zip,loyalty_card,pos_customer_id,hs_merged_object_ids"


class Site(NamedTuple):
    """A running server and the switches of its faults."""

    url: str
    faults: Faults
    world: World

    def orders(self, token: str = TOKENS.pos_api, **question: Any) -> requests.Response:
        asked = {"location_ids": ["L-DELIVERY"], "limit": 200, "query": query()} | question
        headers = {"Authorization": f"Bearer {token}"}
        return requests.post(f"{self.url}/pos-api/v2/orders/search", json=asked, headers=headers, timeout=10)

    def contacts(self, token: str = TOKENS.crm, **params: Any) -> requests.Response:
        asked = {"limit": 100, "properties": PROPERTIES} | params
        return self._get("crm/v3/objects/contacts", token, asked)

    def inventory(self, what: str, token: str = TOKENS.inventory, **params: Any) -> requests.Response:
        return self._get(f"inventory/v1/{what}", token, params)

    def _get(self, path: str, token: str, params: dict[str, Any]) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return requests.get(f"{self.url}/{path}", params=params, headers=headers, timeout=10)


def query(start_at: str = "2025-10-01T00:00:00Z", end_at: str = "2026-10-01T00:00:00Z") -> dict[str, Any]:
    return {
        "filter": {"date_time_filter": {"updated_at": {"start_at": start_at, "end_at": end_at}}},
        "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
    }


@contextmanager
def serving(world: World, faults: Faults, *, follows_clock: bool = False) -> Iterator[Site]:
    """A server over a world on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        app = build_app(world, TOKENS, faults, follows_clock=follows_clock)
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", lifespan="off"))
        free.listen()
        thread = threading.Thread(target=server.run, kwargs={"sockets": [free]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield Site(f"http://127.0.0.1:{port}", faults, world)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with serving(World(until=UNTIL), Faults(slow_seconds=0.3)) as site:
        yield site


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """The server with all faults off."""
    yield running
    for name in FAULTS:
        running.faults.switch(name, on=False)


def all_orders(site: Site, **question: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = site.orders(**question, **cursor).json()
        found += answer.get("orders", [])
        if "cursor" not in answer:
            return found
        cursor = {"cursor": answer["cursor"]}


def all_contacts(site: Site, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after: dict[str, str] = {}
    while True:
        answer = site.contacts(**params, **after).json()
        found += answer["results"]
        if "paging" not in answer:
            return found
        after = {"after": answer["paging"]["next"]["after"]}


def all_rows(site: Site, what: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    page = 1
    while True:
        answer = site.inventory(what, page=page, **params).json()
        assert answer["code"] == 0
        found += answer[what]
        if not answer["page_context"]["has_more_page"]:
            return found
        page += 1


def test_health_needs_no_token(site: Site) -> None:
    answer = requests.get(f"{site.url}/health", timeout=10)

    assert answer.json() == {"ok": True, "until": "2025-10-26", "seed": site.world.seed}


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_wrong_or_missing_token_is_refused_in_each_systems_own_words(site: Site, token: str) -> None:
    orders, contacts = site.orders(token=token), site.contacts(token=token)
    items = site.inventory("items", token=token)

    assert (orders.status_code, contacts.status_code, items.status_code) == (401, 401, 401)
    assert orders.json()["errors"][0]["code"] == "UNAUTHORIZED"
    assert contacts.json()["category"] == "INVALID_AUTHENTICATION"
    assert items.json()["code"] == 57


def test_orders_paging_is_complete_and_stable(site: Site) -> None:
    orders = all_orders(site)

    assert [order["id"] for order in orders] == [order.order_id for order in site.world.known_orders]
    assert all_orders(site, limit=37) == orders
    assert [order["updated_at"] for order in orders] == sorted(order["updated_at"] for order in orders)


def test_updated_at_is_filtered_with_both_ends_included(site: Site) -> None:
    orders = all_orders(site)
    first, last = orders[100]["updated_at"], orders[110]["updated_at"]

    assert all_orders(site, query=query(first, last)) == orders[100:111]


def test_a_cursor_is_only_good_for_its_own_query(site: Site) -> None:
    cursor = site.orders().json()["cursor"]

    other = site.orders(cursor=cursor, limit=100)
    nonsense = site.orders(cursor="nonsense")

    assert (other.status_code, nonsense.status_code) == (400, 400)
    assert "another query" in other.json()["errors"][0]["detail"]


def test_order_amounts_add_up(site: Site) -> None:
    for order in all_orders(site):
        fields = ("total_tip_money", "total_service_charge_money")
        extra = sum(order[field]["amount"] for field in fields)
        lines = sum(line["total_money"]["amount"] for line in order["line_items"])
        assert order["total_money"] == {"amount": lines + extra, "currency": "EUR"}
        for line in order["line_items"]:
            base = line["base_price_money"]["amount"] * int(line["quantity"])
            assert line["gross_sales_money"]["amount"] == base
            assert line["metadata"]["sku"]
        if order["state"] == "COMPLETED" and not order.get("returns"):
            assert order["tenders"][0]["amount_money"] == order["total_money"]


def test_delivery_totals_are_what_the_api_holds(site: Site) -> None:
    net = 0
    for order in all_orders(site):
        if order["state"] == "COMPLETED":
            lines = [line for each in order.get("returns", []) for line in each["return_line_items"]]
            for sign, line in [(1, each) for each in order["line_items"]] + [(-1, each) for each in lines]:
                net += sign * (line["total_money"]["amount"] - line["total_tax_money"]["amount"])

    assert added_up(delivery_totals(site.world).values()).net == net


def test_refund_orders_point_at_the_lines_they_return(site: Site) -> None:
    orders = {order["id"]: order for order in all_orders(site)}
    refunds = [order for order in orders.values() if order.get("returns")]

    assert refunds
    for refund in refunds:
        (returned,) = refund["returns"]
        sold = {line["uid"]: line for line in orders[returned["source_order_id"]]["line_items"]}
        for line in returned["return_line_items"]:
            assert line["total_money"] == sold[line["source_line_item_uid"]]["total_money"]
        assert refund["net_amounts"]["total_money"]["amount"] < 0


def test_contacts_paging_is_complete_and_sorted(site: Site) -> None:
    live, archived = all_contacts(site), all_contacts(site, archived="true")

    assert len(live) + len(archived) == len(site.world.contacts)
    assert not any(contact["archived"] for contact in live)
    assert all(contact["archived"] and contact["archivedAt"] for contact in archived)
    keys = [(contact["updatedAt"], int(contact["id"])) for contact in live]
    assert keys == sorted(keys)
    assert all_contacts(site, limit=17) == live


def test_updated_after_includes_the_moment_itself(site: Site) -> None:
    live = all_contacts(site)
    since = live[-20]["updatedAt"]

    assert all_contacts(site, updatedAfter=since) == [each for each in live if each["updatedAt"] >= since]


def test_only_the_properties_asked_for_are_given_and_all_are_text(site: Site) -> None:
    contact = site.contacts(properties="email,zip").json()["results"][0]

    assert set(contact["properties"]) == {"email", "zip"}
    for each in all_contacts(site):
        assert all(value is None or isinstance(value, str) for value in each["properties"].values())


def test_pos_customer_ids_in_the_crm_are_true_and_on_some_contacts_only(site: Site) -> None:
    truth = site.world.truth()
    contacts = all_contacts(site)

    named = [(c["properties"]["pos_customer_id"], c["id"]) for c in contacts]
    known = [pair for pair in named if pair[0]]

    assert set(known) <= truth
    assert 0.3 < len(known) / len(contacts) < 0.5


def test_movements_add_up_to_the_levels_served(site: Site) -> None:
    summed: Counter[tuple[str, str]] = Counter()
    for movement in all_rows(site, "movements", per_page=1000):
        place = movement["sku"], movement["location_id"]
        summed[place] += int(Decimal(movement["quantity"]) * 1000)

    levels = all_rows(site, "levels")

    assert {(row["sku"], row["location_id"]): int(Decimal(row["on_hand"]) * 1000) for row in levels} == summed


def test_movements_since_a_moment_include_it(site: Site) -> None:
    movements = all_rows(site, "movements", per_page=1000)
    since = movements[-500]["last_modified_time"]

    later = all_rows(site, "movements", per_page=1000, updated_since=since)

    assert later == [m for m in movements if m["last_modified_time"] >= since]


@pytest.mark.parametrize(
    "since", ["2025-10-20T00:00:00Z", "2025-10-20T00:00:00.000 00:00", "2025-10-20 00:00:00+00:00"]
)
def test_moments_are_read_in_the_spellings_clients_send(site: Site, since: str) -> None:
    movements = all_rows(site, "movements", per_page=1000, updated_since=since)
    contacts = all_contacts(site, updatedAfter=since)

    assert movements[0]["last_modified_time"] >= "2025-10-20"
    assert contacts[0]["updatedAt"] >= "2025-10-20"


def test_a_moment_nobody_can_read_is_refused(site: Site) -> None:
    assert site.contacts(updatedAfter="yesterday").status_code == 400
    assert site.inventory("movements", updated_since="yesterday").status_code == 400
    assert site.orders(query=query("yesterday")).status_code == 400


def test_an_empty_cursor_is_the_first_page(site: Site) -> None:
    assert site.contacts(after="").json() == site.contacts().json()
    assert site.orders(cursor="").json() == site.orders().json()


def test_items_are_products_and_ingredients(site: Site) -> None:
    items = all_rows(site, "items", per_page=10)

    assert Counter(item["kind"] for item in items) == {"finished": 24, "ingredient": 12}
    assert len({item["item_id"] for item in items}) == 36


def test_flour_at_norte_is_served_below_its_reorder_level(site: Site) -> None:
    levels = {(row["sku"], row["location_id"]): row for row in all_rows(site, "levels")}

    flour = levels["ING-FLOUR", "W-NORTE"]

    assert float(flour["on_hand"]) < flour["reorder_level"]


def test_deliveries_are_xml_pages(site: Site) -> None:
    answer = site.inventory("deliveries", page=1)
    root = ET.fromstring(answer.text)  # noqa: S314 -- our own server's text

    assert answer.headers["content-type"].startswith("application/xml")
    assert root.attrib == {"page": "1", "pages": "1"}
    assert len(root) == len(site.world.stock.deliveries)
    assert set(root[0][0].attrib) == {"sku", "quantity", "unit", "unit_cost", "expires_on"}
    assert site.inventory("deliveries", page=2).status_code == 400


def crm_cut(site: Site) -> bool:
    try:
        site.contacts()
    except requests.exceptions.RequestException:
        return True
    return False


def took_long(site: Site) -> bool:
    began = time.monotonic()
    site.inventory("items")
    return time.monotonic() - began >= site.faults.slow_seconds


def is_truncated(site: Site) -> bool:
    try:
        site.inventory("items").json()
    except requests.exceptions.JSONDecodeError:
        return True
    return False


def is_broken_xml(site: Site) -> bool:
    try:
        ET.fromstring(site.inventory("deliveries").text)  # noqa: S314 -- our own server's text
    except ET.ParseError:
        return True
    return False


def ids(page: dict[str, Any]) -> list[str]:
    return [row["id"] for row in page.get("results", page.get("orders", []))]


BITES: dict[str, Callable[[Site], bool]] = {
    "crm_rate_limited": lambda site: site.contacts().headers.get("Retry-After") == "1",
    "crm_rate_limited_silent": lambda site: (
        (answer := site.contacts()).status_code == 429 and "Retry-After" not in answer.headers
    ),
    "crm_html": lambda site: (
        (answer := site.contacts()).status_code == 200 and "text/html" in answer.headers["content-type"]
    ),
    "crm_repeated_cursor": lambda site: site.contacts(after="100").json()["paging"]["next"]["after"] == "100",
    "crm_moves_under_paging": lambda site: ids(site.contacts(after="100").json())[0] == ids(site.contacts().json())[-1],
    "crm_down": crm_cut,
    "crm_empty_page": lambda site: (page := site.contacts(after="100").json())["results"] == [] and "paging" in page,
    "inventory_500": lambda site: site.inventory("levels").status_code == 500,
    "inventory_slow": took_long,
    "inventory_broken_xml": is_broken_xml,
    "inventory_page_repeats": lambda site: (
        site.inventory("items", page=2, per_page=10).json()["items"]
        == site.inventory("items", page=1, per_page=10).json()["items"]
    ),
    "inventory_truncated_json": is_truncated,
    "inventory_code_error": lambda site: (
        (answer := site.inventory("items")).status_code == 200 and answer.json()["code"] != 0
    ),
    "pos_api_502_html": lambda site: (answer := site.orders()).status_code == 502 and "<html" in answer.text,
    "pos_api_duplicate_orders": lambda site: Counter(ids(site.orders().json())).most_common(1)[0][1] == 2,
    "pos_api_late_orders": lambda site: any(
        order["id"].startswith("LATE") and order["created_at"] < order["updated_at"][:10] for order in all_orders(site)
    ),
    "pos_api_wrong_token": lambda site: site.orders().status_code == 401,
    "pos_api_rate_limited": lambda site: site.orders().json()["errors"][0]["code"] == "RATE_LIMITED",
}


def test_every_fault_that_is_not_a_files_is_tried_here() -> None:
    assert set(BITES) == set(FAULTS) - set(FILE_FAULTS)
    assert len(FAULTS) >= 16


@pytest.mark.parametrize("name", BITES)
def test_fault_bites_once_and_then_switches_itself_off(site: Site, name: str) -> None:
    site.faults.switch(name, times=1)

    assert BITES[name](site)

    assert not next(each for each in site.faults.listing() if each["name"] == name)["on"]


def test_nothing_is_lost_while_records_move_under_the_paging(site: Site) -> None:
    calm = {contact["id"] for contact in all_contacts(site)}
    site.faults.switch("crm_moves_under_paging", times=3)

    restless = ids({"results": all_contacts(site)})

    assert set(restless) == calm
    assert len(restless) == len(calm) + 3


def test_late_orders_stay_on_every_page_of_their_query(site: Site) -> None:
    site.faults.switch("pos_api_late_orders", times=1)

    orders = all_orders(site, limit=50)

    assert sum(order["id"].startswith("LATE") for order in orders) == 5
    assert len({order["id"] for order in orders}) == len(orders)


def test_faults_are_listed_and_switched_over_http(site: Site) -> None:
    url = f"{site.url}/control/faults"

    answer = requests.post(url, json={"name": "inventory_500", "on": True, "times": 2}, timeout=10)

    switched = {each["name"]: each for each in answer.json()["faults"]}["inventory_500"]
    assert (switched["on"], switched["times_left"]) == (True, 2)
    statuses = [site.inventory("items").status_code for _ in range(3)]
    assert statuses == [500, 500, 200]
    assert len(requests.get(url, timeout=10).json()["faults"]) == len(FAULTS)
    assert requests.post(url, json={"name": "no_such"}, timeout=10).status_code == 404
    assert requests.post(url, data="no json", timeout=10).status_code == 400


def test_an_unknown_fault_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="no_such"):
        Faults().switch("no_such")


def test_a_server_nobody_asked_yet_may_show_an_earlier_day_and_keeps_to_it() -> None:
    """Also where the world follows the clock: a day in the past stays until it is moved on."""
    with serving(World(), Faults(), follows_clock=True) as site:
        requests.post(f"{site.url}/control/until", json={"until": "2025-10-10"}, timeout=10).raise_for_status()
        told = site.contacts()

        assert told.json()["results"]
        assert requests.get(f"{site.url}/health", timeout=10).json()["until"] == "2025-10-10"
        assert requests.post(f"{site.url}/control/until", json={"until": "2025-10-09"}, timeout=10).status_code == 409


def test_the_last_day_moves_on_and_never_back(running: Site) -> None:
    """Runs last: the later world stays with the server."""
    url = f"{running.url}/control/until"
    before = all_orders(running)

    back = requests.post(url, json={"until": "2025-10-20"}, timeout=10)
    on = requests.post(url, json={"until": "2025-10-28"}, timeout=10)

    assert (back.status_code, on.json()) == (409, {"until": "2025-10-28"})
    after = {order["id"]: order for order in all_orders(running)}
    assert len(after) > len(before)
    assert {order["id"] for order in before} <= set(after)
