"""Contracts: the shipped ones hold together, wrong ones are refused with the place and the way out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from panpan.errors import ContractError
from transforms.contract import COLUMNS, NEEDED, SHIPPED, Contract, Entity, find_contract, load_contract, load_contracts
from transforms.formatted.records import NEVER_MISSING, ROWS

TILL = """
source = "till"
title = "Till"
system = "pos"
owner = "Ana"
time_zone = "Europe/Madrid"
currency_code = "EUR"
catalogue = "till"

[[entities]]
entity = "sale_lines"
kind = "sale_lines"
recognised_by = ["Receipt", "Item"]

[entities.columns]
receipt_number = { from = "Receipt", required = true }
sold_on = { from = "Day", type = "date" }
product_name = { from = "Item" }
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The owner's folder of contracts, with one of their own."""
    (tmp_path / "till.toml").write_text(TILL, encoding="utf-8")
    return tmp_path


def wrong(own: Path, old: str, new: str) -> ContractError:
    assert old in TILL
    path = own / "till.toml"
    path.write_text(TILL.replace(old, new), encoding="utf-8")
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert str(path) in caught.value.message
    assert caught.value.next
    return caught.value


def test_every_shipped_contract_is_read_by_its_name() -> None:
    contracts = load_contracts()

    assert sorted(contracts) == sorted(path.stem for path in SHIPPED.glob("*.toml"))


@pytest.mark.parametrize("contract", load_contracts().values(), ids=lambda contract: contract.source)
def test_a_file_is_of_one_layout_alone(contract: Contract) -> None:
    """A header that tells one entity does not fit another of the same source as well."""
    files = [e for e in contract.entities if e.format == "csv"]

    for entity in files:
        assert contract.entity_of_header([*sorted(entity.known_columns)]) is entity


@pytest.mark.parametrize("contract", load_contracts().values(), ids=lambda contract: contract.source)
def test_no_column_is_read_and_ignored_at_once(contract: Contract) -> None:
    for entity in contract.entities:
        read = {name for value in entity.columns.values() for name in value.received}
        assert not read & set(entity.ignored)


def test_of_one_name_the_owner_s_contract_wins(own: Path) -> None:
    (own / "pos.toml").write_text(TILL.replace('"till"\ntitle', '"pos"\ntitle'), encoding="utf-8")

    contracts = load_contracts(own)

    assert contracts["pos"].title == "Till"
    assert contracts["till"].entities[0].columns["sold_on"].type == "date"
    assert load_contracts(own / "nowhere").keys() == load_contracts().keys()


def test_an_unknown_source_is_refused_with_those_known_and_the_command() -> None:
    with pytest.raises(ContractError, match="no source 'tilll'") as caught:
        find_contract("tilll")

    assert "pos" in str(caught.value.cause)
    assert caught.value.next == "bin/panpan sources infer FILE --as tilll"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Europe/Madrid", "Europe/Madird", "no IANA time zone"),
        ('"EUR"', '"euro"', "currency_code"),
        ('source = "till"', 'source = "Till!"', "source"),
        ('source = "till"', 'source = "cafe"', "'cafe'"),
        ("owner =", "woner =", "woner"),
        ("sold_on =", "sold_of =", "sale_lines has no column sold_of"),
        ('sold_on = { from = "Day", type = "date" }\n', "", "sale_lines needs column sold_at or sold_on"),
        ('receipt_number = { from = "Receipt", required = true }\n', "", "sale_lines needs column receipt_number"),
        ('type = "date"', 'type = "day"', "type"),
        ('from = "Day", ', "", "'from' or 'default'"),
        ('kind = "sale_lines"', 'kind = "sales"', "kind"),
        ('system = "pos"', 'system = "erp"', "system"),
        ('catalogue = "till"', 'catalogue = "till"\nzones = { East = "Narnia" }', "no IANA time zone"),
    ],
)
def test_a_wrong_contract_is_refused_by_its_fault(own: Path, old: str, new: str, why: str) -> None:
    assert why in str(wrong(own, old, new).cause)


def test_a_file_that_is_no_toml_is_refused(own: Path) -> None:
    assert wrong(own, "[[entities]]", "[[entities").explained_cause()


def test_a_movement_names_its_kind_and_quantity_or_is_unpivoted() -> None:
    columns = {"movement": {"from": "a"}, "product_key": {"from": "b"}, "moved_on": {"from": "c", "type": "date"}}
    stock: dict[str, Any] = {"entity": "stock_days", "kind": "stock_movements", "columns": columns}

    Entity.model_validate({**stock, "unpivot": [{"column": "waste", "kind": "waste"}]})
    with pytest.raises(ValidationError, match="needs column kind, quantity"):
        Entity.model_validate(stock)


def test_the_most_telling_entity_of_a_header_wins() -> None:
    chain = find_contract("coffee_chain")

    found = chain.entity_of_header(
        ["sales_outlet_id", "transaction_date", "product_id", "start_of_day", "quantity_sold", "waste"]
    )

    assert found is chain.entity_named("stock_days")
    assert chain.entity_of_header(["Date", "Total"]) is None


def test_an_entity_nobody_sends_is_refused_by_name() -> None:
    with pytest.raises(ContractError, match="crm sends no 'orders'") as caught:
        find_contract("crm").entity_named("orders")

    assert "contacts" in str(caught.value.cause)


def test_a_contract_can_t_be_changed() -> None:
    with pytest.raises(ValidationError):
        find_contract("pos").source = "other"


def test_kinds_are_described_everywhere_alike() -> None:
    assert set(COLUMNS) == set(NEEDED) == set(ROWS) == set(NEVER_MISSING)
    for kind, groups in NEEDED.items():
        assert {name for group in groups for name in group} <= COLUMNS[kind]
    for kind, names in NEVER_MISSING.items():
        assert set(names) <= {*ROWS[kind].names, *COLUMNS[kind]}


def test_raw_tables_exist_for_every_entity() -> None:
    """The migrations name a table for each entity of each shipped contract."""
    migrations = "".join(p.read_text() for p in sorted((SHIPPED.parents[1] / "db/migrations").glob("*.sql")))

    for contract in load_contracts().values():
        for entity in contract.entities:
            assert f"create table raw_{contract.system}.{entity.entity} " in migrations


def test_shipped_files_are_plain_toml() -> None:
    for path in SHIPPED.glob("*.toml"):
        tomllib.loads(path.read_text(encoding="utf-8"))
