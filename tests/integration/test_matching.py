"""
Matching on a real PostgreSQL: what arrives in whatever order, what is corrected, decided and undone.

Arrival order changes nothing but the customer's id: it is made from the record that was named first.
"""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.matching.decisions import merge_customers, split_customer, undo_decision
from transforms.matching.explain import candidates, explain
from transforms.matching.persons import Record
from transforms.rebuild import rebuild
from transforms.run import run

app = assembled()

HEADER = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Category,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID,"
    "Customer ID,Customer Name,Customer Reference ID"
)


class Load(Protocol):
    def __call__(self, source: str, *records: Any) -> None: ...


@pytest.fixture
def load(warehouse: Settings, deliver: Any) -> Load:
    """Delivers records of a source and runs the transforms."""

    def put(source: str, *records: Any) -> None:
        deliver(source, *document(source, *records))
        assert run(warehouse).refusals == []

    return put


def document(source: str, *records: Any) -> tuple[str, str | None]:
    if source == "pos":
        return "\n".join([HEADER, *records, ""]), None
    name, entity = {"pos_api": ("orders", "orders"), "crm": ("results", "contacts")}[source]
    return json.dumps({name: list(records)}), entity


def sale(receipt: str, customer: str = "", name: str = "", card: str = "", day: str = "2026-06-10") -> str:
    return (
        f"{receipt},Payment,{day},09:00:00,PanPan Centro,BUN,Bun,Pastry,1.0,€2.00,€0.00,€2.00,€0.20,P{receipt},"
        f"{customer},{name},{card}"
    )


def order(number: str, customer: str, *, day: str = "2026-06-10", **recipient: Any) -> dict[str, Any]:
    if "postal_code" in recipient:
        recipient["address"] = {"postal_code": recipient.pop("postal_code")}
    return {
        "id": number,
        "state": "COMPLETED",
        "created_at": f"{day}T10:00:00Z",
        "updated_at": f"{day}T12:00:00Z",
        "location_id": "L-DELIVERY",
        "customer_id": customer,
        "fulfillments": [{"delivery_details": {"recipient": recipient}}],
        "tenders": [{"id": f"T{number}", "type": "CARD"}],
        "line_items": [
            {
                "name": "Bun",
                "quantity": "1",
                "metadata": {"sku": "BUN"},
                "gross_sales_money": {"amount": 200},
                "total_money": {"currency": "EUR"},
            }
        ],
    }


def contact(number: str, *, updated: str = "2026-06-01", archived: bool = False, **properties: str) -> dict[str, Any]:
    return {
        "id": number,
        "archived": archived,
        "createdAt": "2026-01-01T00:00:00Z",
        "updatedAt": f"{updated}T00:00:00Z",
        "properties": properties,
    }


def persons(ask: Any, settings: Settings | None = None) -> set[frozenset[str]]:
    """Who is one person, whatever its id: sets of records."""
    rows = ask(
        "select array_agg(concat(source, ':', source_customer_id)) from core.customer_sources group by customer_id",
        settings=settings,
    )
    return {frozenset(labels) for (labels,) in rows}


def one(*labels: str) -> frozenset[str]:
    return frozenset(labels)


def match_of(ask: Any, label: str) -> tuple[Any, ...]:
    source, _, number = label.partition(":")
    [row] = ask(
        "select matching_rule, matching_score::text from core.customer_sources "
        "where source = %s and source_customer_id = %s",
        source,
        number,
    )
    return tuple(row)


# --- rules -------------------------------------------------------------------------------------------------

ANA = {
    "email": "ana.ruiz@mail.example",
    "phone": "+34642048475",
    "firstname": "Ana",
    "lastname": "Ruiz",
    "zip": "08001",
}


@pytest.mark.parametrize(
    ("received", "properties", "rule"),
    [
        (order("O1", "X"), {"pos_customer_id": "X"}, ("pos id", "1.000")),
        (order("O1", "X", email_address="ana@mail.example"), {"email": " ANA@Mail.example"}, ("e-mail", "0.950")),
        (order("O1", "X", phone_number="+34642048475"), {"phone": "642 04 84 75 (mañanas)"}, ("phone", "0.900")),
        (sale("R1", "X", card="PP-104298"), {"loyalty_card": "pp 104298"}, ("loyalty card", "0.950")),
        (
            order("O1", "X", display_name="ANA RUIZ GARCIA", postal_code="08001"),
            {"firstname": "Ana", "lastname": "Ruíz García", "zip": "08001"},
            ("name and postcode", "0.800"),
        ),
    ],
    ids=["pos id", "e-mail", "phone", "loyalty card", "name and postcode"],
)
@pytest.mark.parametrize("crm_first", [False, True])
def test_each_rule_alone_joins_a_customer_of_the_tills_and_a_contact(
    load: Load, ask: Any, received: Any, properties: dict[str, str], rule: tuple[str, str], crm_first: bool
) -> None:
    source = "pos" if isinstance(received, str) else "pos_api"
    loads = [(source, received), ("crm", contact("7", **properties))]

    for each in reversed(loads) if crm_first else loads:
        load(*each)

    assert persons(ask) == {one(f"{source}:X", "crm:7")}
    younger = f"{source}:X" if crm_first else "crm:7"
    assert match_of(ask, younger) == rule
    assert ask("select count(*), count(customer_id) from core.sales") == [(1, 1)]
    assert ask("select count(*) from core.customers") == [(1,)]


def test_one_account_of_the_tills_is_one_customer_in_files_and_api(load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", name="Ana Ruiz"))
    load("pos_api", order("O1", "X", display_name="Leo Gil", phone_number="+34642048475"))

    assert persons(ask) == {one("pos:X", "pos_api:X")}
    assert ask("select full_name, phone from core.customers") == [("Leo Gil", "+34642048475")]


def test_walk_ins_stay_nobody_and_an_id_without_attributes_stays_its_own(load: Load, ask: Any) -> None:
    load("pos", sale("R1"), sale("R2", "X"), sale("R3", "Y"))

    assert persons(ask) == {one("pos:X"), one("pos:Y")}
    assert ask("select receipt_number, customer_id is null from core.sales order by 1") == [
        ("R1", True),
        ("R2", False),
        ("R3", False),
    ]


def test_other_catalogues_share_no_customers(load: Load, deliver: Any, warehouse: Settings, ask: Any) -> None:
    load("crm", contact("7", email="ana@mail.example", firstname="Ana", lastname="Ruiz"))
    deliver(
        "coffee_chain",
        "customer_id,customer_first-name,customer_email,loyalty_card_number\n7,Ana Ruiz,ana@mail.example,12345\n",
    )
    run(warehouse)

    assert persons(ask) == {one("crm:7"), one("coffee_chain:7")}


def test_same_phone_with_other_card_and_other_name_is_a_candidate_with_its_reason(load: Load, ask: Any) -> None:
    load("crm", contact("1", phone="642048475", firstname="Ana", lastname="Ruiz", loyalty_card="PP-100001"))
    load("crm", contact("2", phone="642048475", firstname="Leo", lastname="Gil", loyalty_card="PP-100002"))

    assert persons(ask) == {one("crm:1"), one("crm:2")}
    assert ask(
        "select source_customer_id, other_source_customer_id, matching_rule, matching_score::text, reason "
        "from core.customer_match_candidates"
    ) == [("1", "2", "phone", "0.600", "different name and loyalty card")]


def test_a_phone_of_four_names_joins_nobody_not_even_who_had_it_before(load: Load, ask: Any) -> None:
    """Two Anas are one until the phone turns out to be the switchboard's."""
    names = ["Leo Gil", "Eva Sanz", "Pau Vila"]
    load("crm", contact("1", phone="642048475", firstname="Ana", lastname="Ruiz"))
    load("crm", contact("2", phone="642048475", firstname="Ana", lastname="Ruiz"))
    assert persons(ask) == {one("crm:1", "crm:2")}

    for number, name in enumerate(names, 3):
        first, last = name.split()
        load("crm", contact(str(number), phone="642048475", firstname=first, lastname=last))

    assert persons(ask) == {one(f"crm:{number}") for number in range(1, 6)}


# --- what becomes of the model -----------------------------------------------------------------------------


def test_best_values_come_from_the_crm_then_the_api_then_the_receipt(load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", name="ana", card="PP-1"))
    load("pos_api", order("O1", "X", display_name="Ana R.", email_address="old@mail.example", postal_code="08002"))
    load("crm", contact("7", pos_customer_id="X", firstname="Ana", lastname="Ruiz", email="ana@mail.example"))

    assert ask("select full_name, email, postal_code, customer_since::text from core.customers") == [
        ("Ana Ruiz", "ana@mail.example", "08002", "2026-01-01")
    ]


def test_two_persons_that_become_one_keep_the_older_id_and_their_sales_and_marts_follow(load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", card="PP-100001"), sale("R3", "Z"))
    [(older,)] = ask("select customer_id from core.customer_sources where source_customer_id = 'X'")
    load("pos_api", order("O1", "Y", email_address="ana@mail.example"))
    assert len(persons(ask)) == 3

    load("crm", contact("7", email="ana@mail.example", loyalty_card="PP100001"))

    assert persons(ask) == {one("pos:X", "pos_api:Y", "crm:7"), one("pos:Z")}
    assert ask("select distinct customer_id from core.sales where receipt_number <> 'R3'") == [(older,)]
    assert ask("select distinct customer_id from marts.customer_activity where source = 'pos_api'") == [(older,)]
    assert ask("select count(*) from marts.customer_activity") == [(3,)]
    assert ask("select distinct change_cause from core.sales where receipt_number = 'O1'") == [("merge",)]
    assert ask("select closed_cause from core_history.customers_versions where customer_id <> %s", older) == [
        ("merge",)
    ]
    assert ask("select count(*) from core_history.sales_versions") == [(1,)], "other sales are not touched"


def test_customers_of_a_day_are_counted_anew_when_two_become_one(load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", card="PP-100001"), sale("R2", "Y", card="PP-100002"))
    assert ask("select customer_count from marts.daily_store_sales") == [(2,)]

    load("crm", contact("7", pos_customer_id="X", loyalty_card="PP-100002"))

    assert ask("select customer_count from marts.daily_store_sales") == [(1,)]
    assert ask("select customer_count from marts.monthly_store_sales") == [(1,)]


def test_records_that_come_after_a_merge_join_the_same_person(load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", card="PP-100001"))
    load("crm", contact("7", loyalty_card="PP-100001", email="ana@mail.example"))
    before = ask("select customer_id from core.customers")

    load("pos_api", order("O1", "Y", email_address="ana@mail.example"))
    load("pos", sale("R2", "X", day="2026-06-11"))

    assert ask("select customer_id from core.customers") == before
    assert ask("select distinct customer_id from core.sales") == before


def test_persons_part_again_when_the_evidence_is_corrected(load: Load, ask: Any, contents: Any) -> None:
    load("pos_api", order("O1", "X", email_address="ana@mail.example"))
    load("crm", contact("7", email="leo@mail.example"))
    apart = contents("marts", lineage=False), ask("select customer_id, source_customer_id from core.customer_sources")

    load("crm", contact("7", email="ana@mail.example", updated="2026-06-02"))
    assert persons(ask) == {one("pos_api:X", "crm:7")}
    load("crm", contact("7", email="leo@mail.example", updated="2026-06-03"))

    assert persons(ask) == {one("pos_api:X"), one("crm:7")}
    marts, customers = (
        contents("marts", lineage=False),
        ask("select customer_id, source_customer_id from core.customer_sources"),
    )
    assert sorted(customers) == sorted(apart[1]), "the very ids they had"
    assert marts["marts.customer_activity"] == apart[0]["marts.customer_activity"]


def test_an_older_version_of_a_contact_that_comes_late_changes_nothing(load: Load, ask: Any) -> None:
    load("pos_api", order("O1", "X", email_address="ana@mail.example"))
    load("crm", contact("7", email="ana@mail.example", updated="2026-06-05"))

    load("crm", contact("7", email="leo@mail.example", updated="2026-06-01"))

    assert persons(ask) == {one("pos_api:X", "crm:7")}
    assert ask("select email from core.customers") == [("ana@mail.example",)]


@pytest.mark.parametrize("turn", [0, 1])
def test_merged_contacts_are_the_contact_that_stayed(load: Load, ask: Any, turn: int) -> None:
    loads = [
        contact("8", firstname="Eva", lastname="Sanz", archived=True),
        contact("7", firstname="Ana", lastname="Ruiz", hs_merged_object_ids="8;9"),
    ]
    for each in loads[::-1] if turn else loads:
        load("crm", each)

    assert persons(ask) == {one("crm:7", "crm:8", "crm:9")}
    assert match_of(ask, "crm:9") == ("crm merge", "1.000")
    assert ask("select full_name, is_deleted from core.customers") == [("Ana Ruiz", False)]


def test_a_deleted_contact_keeps_its_customer_and_history(load: Load, ask: Any) -> None:
    load("crm", contact("7", **ANA))
    load("pos_api", order("O1", "X", email_address=ANA["email"]))

    load("crm", contact("7", archived=True, updated="2026-06-02", **ANA))

    assert persons(ask) == {one("crm:7", "pos_api:X")}
    assert ask("select full_name, is_deleted from core.customers") == [("Ana Ruiz", True)]
    assert ask("select is_deleted from core_history.customers order by known_from") == [(False,), (True,)]


# --- order, repetition, rebuild ----------------------------------------------------------------------------

STORY = (
    ("pos", sale("R1", "X", name="Ana Ruiz", card="PP-100001"), sale("R2", "Y", name="Leo Gil"), sale("R9")),
    ("pos_api", order("O1", "X", phone_number="+34642048475"), order("O2", "Z", email_address="eva@mail.example")),
    (
        "crm",
        contact("1", phone="642048475", firstname="Ana", lastname="Ruiz"),
        contact("2", loyalty_card="PP100001", hs_merged_object_ids="3"),
        contact("4", pos_customer_id="Y", phone="642048475", firstname="Leo", lastname="Gil"),
        contact("5", email="EVA@mail.example"),
    ),
    ("crm", contact("3", archived=True, email="ana@mail.example")),
)
STORY_PERSONS = {
    one("pos:X", "pos_api:X", "crm:1", "crm:2", "crm:3"),
    one("pos:Y", "crm:4"),
    one("pos_api:Z", "crm:5"),
}


@pytest.mark.parametrize("turns", list(permutations(range(4)))[::4])
def test_order_of_arrival_does_not_matter(load: Load, ask: Any, turns: tuple[int, ...]) -> None:
    for turn in turns:
        load(*STORY[turn])

    assert persons(ask) == STORY_PERSONS
    assert ask(
        "select full_name, email, phone, loyalty_card is not null from core.customers order by full_name nulls last"
    ) == [
        ("Ana Ruiz", "ana@mail.example", "+34642048475", True),
        ("Leo Gil", None, "+34642048475", False),
        (None, "eva@mail.example", None, False),
    ]
    assert ask(
        "select receipt_number, min(source_customer_id) over (partition by customer_id) from core.sales order by 1"
    ) == [("O1", "X"), ("O2", "Z"), ("R1", "X"), ("R2", "Y"), ("R9", None)]


def test_a_second_delivery_changes_nothing(load: Load, ask: Any, contents: Any) -> None:
    for each in STORY:
        load(*each)
    before = contents("core", "marts", lineage=False, without=("received_at", "loaded_at", "known_at"))
    versions = ask("select count(*) from core_history.customers_versions")

    for each in STORY:
        load(*each)

    after = contents("core", "marts", lineage=False, without=("received_at", "loaded_at", "known_at"))
    tables = [table for table in before if "customer" in table or table == "core.sales"]
    assert {table: after[table] for table in tables} == {table: before[table] for table in tables}
    assert ask("select count(*) from core_history.customers_versions") == versions


def test_only_what_a_batch_may_change_is_looked_at(load: Load, ask: Any) -> None:
    load("crm", *(contact(str(number), email=f"c{number}@mail.example") for number in range(300)))
    known_at = ask("select max(known_from) from core.customer_sources")

    load("pos_api", order("O1", "X", email_address="c7@mail.example"))

    assert ask("select source, source_customer_id from core.customer_sources where known_from > %s", *known_at[0]) == [
        ("pos_api", "X")
    ]
    assert ask("select count(*) from core_history.customers_versions") == [(0,)]


def test_a_rebuild_from_raw_gives_the_same_customers(warehouse: Settings, load: Load, ask: Any) -> None:
    for each in reversed(STORY):
        load(*each)
    merge_customers(warehouse, "pos:Y", "pos_api:Z", by="test", reason="a test")

    found = rebuild(warehouse, compare_only=True)

    assert [comparison.table for comparison in found.comparisons if not comparison.is_equal] == []


# --- decisions ---------------------------------------------------------------------------------------------


def state(contents: Any) -> dict[str, list[str]]:
    known = contents(
        "core", "marts", lineage=False, without=("valid_from", "known_from", "change_cause", "rule_version")
    )
    shown = (
        "core.customers",
        "core.customer_sources",
        "core.sales",
        "marts.customer_activity",
        "marts.daily_store_sales",
    )
    return {table: known[table] for table in shown}


def test_decision_to_join_wins_holds_and_undone_restores_the_very_same_state(
    warehouse: Settings, load: Load, ask: Any, contents: Any
) -> None:
    load("pos", sale("R1", "X", name="Ana Ruiz"), sale("R2", "Y", name="Leo Gil"))
    before = state(contents)

    decision = merge_customers(warehouse, "pos:X", "pos:Y", by="maria", reason="said so")
    assert persons(ask) == {one("pos:X", "pos:Y")}
    assert match_of(ask, "pos:Y") == ("decision", "1.000")
    assert ask("select customer_count from marts.daily_store_sales") == [(1,)]
    load("pos", sale("R3", "Y", name="Leo Gil", day="2026-06-12"), sale("R1", "X", name="Ana Ruiz"))
    assert persons(ask) == {one("pos:X", "pos:Y")}
    undo_decision(warehouse, decision.decision_id, by="maria")

    assert persons(ask) == {one("pos:X"), one("pos:Y")}
    after = state(contents)
    assert after["core.customers"] == before["core.customers"]
    assert after["core.customer_sources"] == before["core.customer_sources"]
    assert set(after["marts.daily_store_sales"]) >= set(before["marts.daily_store_sales"])
    assert ask("select is_same, reason, decided_by, undone_by from core.customer_match_decisions") == [
        (True, "said so", "maria", "maria")
    ]


def test_decision_to_part_wins_over_every_rule_also_for_records_that_come_later(
    warehouse: Settings, load: Load, ask: Any, contents: Any
) -> None:
    load("pos_api", order("O1", "X", email_address="ana@mail.example"))
    load("crm", contact("7", email="ana@mail.example", pos_customer_id="X"))
    before = state(contents)

    decision = split_customer(warehouse, Record("pos_api", "X"), "crm:7", by="maria", reason="her son")
    assert persons(ask) == {one("pos_api:X"), one("crm:7")}
    load("pos", sale("R1", "X"))
    load("crm", contact("7", email="ana@mail.example", pos_customer_id="X", updated="2026-06-09"))
    assert {"pos_api:X", "crm:7"} not in [set(group) for group in persons(ask)]
    assert not any({"pos_api:X", "crm:7"} <= group for group in persons(ask))
    undo_decision(warehouse, decision.decision_id, by="maria")

    assert persons(ask) == {one("pos:X", "pos_api:X", "crm:7")}
    assert set(state(contents)["core.customers"]) == set(before["core.customers"])


def test_decisions_that_make_no_sense_are_refused(warehouse: Settings, load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", card="PP-100001"), sale("R2", "Y"))
    load("crm", contact("7", loyalty_card="PP-100001"))
    decision = split_customer(warehouse, Record("crm", "7"), "pos:X", by="maria", reason="")

    for wrong in (
        lambda: merge_customers(warehouse, "pos:X", "crm:7", by="a", reason=""),
        lambda: merge_customers(warehouse, "pos:X", "pos:X", by="a", reason=""),
        lambda: merge_customers(warehouse, "pos:X", "crm:99", by="a", reason=""),
        lambda: split_customer(warehouse, Record("pos", "Y"), "pos:Y", by="a", reason=""),
        lambda: split_customer(warehouse, Record("pos", "Y"), "pos:X", by="a", reason=""),
        lambda: undo_decision(warehouse, decision.decision_id + 1, by="a"),
    ):
        with pytest.raises(UsageError):
            wrong()
    assert ask("select count(*) from core.customer_match_decisions") == [(1,)]


# --- explaining --------------------------------------------------------------------------------------------


def test_explain_names_rules_and_refusals_and_shows_no_value_in_full(warehouse: Settings, load: Load, ask: Any) -> None:
    load("crm", contact("7", loyalty_card="PP-100001", **ANA))
    load("pos_api", order("O1", "X", email_address=ANA["email"], phone_number=ANA["phone"], display_name="Ana Ruiz"))
    load("crm", contact("8", phone=ANA["phone"], firstname="Leo", lastname="Gil", loyalty_card="PP-100002"))

    found = explain(warehouse, "pos_api:X")

    assert [(record["record"], record["rule"], str(record["score"])) for record in found["records"]] == [
        ("crm:7", "own record", "1.000"),
        ("pos_api:X", "e-mail", "0.950"),
    ]
    assert found["records"][1]["evidence"]["agree"] == ["e-mail", "phone"]
    assert {fact["attribute"]: fact["value"] for fact in found["records"][1]["facts"]} == {
        "email": "a***@mail.example",
        "full_name": "A*** R***",
        "phone": "***475",
    }
    assert {pair["reason"] for pair in found["refused"]} >= {"different name and loyalty card"}
    text = json.dumps(found, default=str)
    assert not any(value in text for value in (ANA["email"], ANA["phone"], "Ruiz", "100001"))
    assert found == explain(warehouse, found["customer_id"])
    assert candidates(warehouse, 10)["candidates"][0]["rule"] == "phone"


def test_commands_decide_and_undo(warehouse: Settings, load: Load, ask: Any) -> None:
    load("pos", sale("R1", "X", name="Ana Ruiz"), sale("R2", "Y", name="Leo Gil"))

    def panpan(*words: str) -> dict[str, Any]:
        result = CliRunner().invoke(app, ["match", *words, "--home", str(warehouse.home), "--json"])
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    merged = panpan("merge", "pos:X", "pos:Y", "--reason", "said so", "--by", "maria")
    customer = merged["customers"]["pos:X"]
    explained = panpan("explain", customer)
    assert [record["rule"] for record in explained["records"]] == ["own record", "decision"]
    listed = panpan("list")
    assert [(decision["decision"], decision["reason"]) for decision in listed["decisions"]] == [("merge", "said so")]
    panpan("undo", str(merged["decision_id"]))
    panpan("merge", customer, "pos:Y")
    parted = panpan("split", "pos", "Y", "--from", customer)

    assert parted["customers"]["pos:X"] == customer != parted["customers"]["pos:Y"]
    assert persons(ask) == {one("pos:X"), one("pos:Y")}
