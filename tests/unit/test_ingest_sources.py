"""The `[api]` table of contracts: what is taken, what is refused with a sentence."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from panpan.errors import ContractError
from panpan.ingest.sources import source_settings
from panpan.settings import Settings
from transforms.contract import load_contracts

ENDPOINT = {
    "entity": "contacts",
    "path": "/contacts",
    "paging": "cursor",
    "records": "$.results",
    "cursor": "$.next",
    "updated_at": "$.results[*].updated",
    "parameters": {"after": "{cursor}", "since": "{window_from}"},
}


def settings(**given: Any) -> Settings:
    ports = {name: 1 for name in Settings.model_fields if name.endswith("_port")}
    secrets = {
        name: "secret" for name, field in Settings.model_fields.items() if field.is_required() and name not in ports
    }
    return Settings(_env_file=None, **{**ports, **secrets, **given})


def contract(*endpoints: dict[str, Any], **api: Any) -> SimpleNamespace:
    table = {"webhook": "crm", "base_url": "https://crm.example/", "endpoints": list(endpoints), **api}
    return SimpleNamespace(source="crm", system="crm", api=table)


@pytest.mark.parametrize("source", ["pos_api", "crm", "inventory"])
def test_shipped_api_contracts_are_pulled_from_the_simulated_systems_unless_told_otherwise(source: str) -> None:
    shipped = load_contracts()[source]

    assert source_settings(shipped, settings(simulate_port=4711, simulated=True))["api"]["base_url"] == (
        f"http://127.0.0.1:4711/{source.replace('_', '-')}"
    )
    given = settings(**{f"{source}_url": "https://api.example/v1/"})
    assert source_settings(shipped, given)["api"]["base_url"] == "https://api.example/v1"


def test_crm_pulls_live_and_archived_contacts_as_two_loads_of_one_entity() -> None:
    endpoints = source_settings(load_contracts()["crm"], settings())["api"]["endpoints"]

    assert [(each["name"], each["entity"]) for each in endpoints] == [
        ("contacts", "contacts"),
        ("archived_contacts", "contacts"),
    ]


def test_source_of_files_says_where_they_lie() -> None:
    files = SimpleNamespace(source="shop", system="pos", api=None)

    found = source_settings(files, settings(home="/srv/panpan", inline_bytes=1000))

    assert found == {"kind": "files", "webhook": "pos-files", "home": "/srv/panpan", "inline_bytes": 1000}


def test_endpoint_is_called_like_its_entity_and_own_address_is_kept() -> None:
    found = source_settings(contract(ENDPOINT), settings())["api"]

    assert found["base_url"] == "https://crm.example"
    assert found["endpoints"][0]["name"] == "contacts"
    assert (found["overlap_minutes"], found["max_attempts"]) == (10, 5)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (contract(), "api.endpoints"),
        (contract({**ENDPOINT, "cursor": None}), "paging cursor needs cursor"),
        (contract({**ENDPOINT, "paging": "pages"}), "paging pages needs has_more"),
        (contract({**ENDPOINT, "parameters": {}}), "paging cursor never sends {cursor}"),
        (contract({**ENDPOINT, "parameters": {"a": "{cursor}", "b": "{wat}"}}), "no value is called wat"),
        (contract({**ENDPOINT, "updated_at": None}), "{window_from} needs updated_at"),
        (contract({**ENDPOINT, "body": {}}), "a body needs method POST"),
        (contract({**ENDPOINT, "path": "contacts"}), "api.endpoints.0.path"),
        (contract({**ENDPOINT, "colour": "red"}), "api.endpoints.0.colour"),
        (contract(ENDPOINT, ENDPOINT), "two endpoints have one name"),
        (contract(ENDPOINT, base_url=None), "give either url_setting or base_url"),
        (contract(ENDPOINT, base_url=None, url_setting="shop_url"), "no setting 'shop_url'"),
        (contract(ENDPOINT, max_attempts=0), "api.max_attempts"),
    ],
)
def test_wrong_table_is_refused_naming_place_and_fault(wrong: SimpleNamespace, fault: str) -> None:
    with pytest.raises(ContractError) as caught:
        source_settings(wrong, settings())

    assert caught.value.message == "contract of crm is wrong"
    assert fault in str(caught.value.cause)
    assert caught.value.next == "correct crm.toml"
