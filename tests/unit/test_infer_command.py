"""
`panpan sources` as typed: infer writes a contract that loads, list and check show it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from panpan.cli import sources
from panpan.errors import ContractError, UsageError
from panpan.settings import Settings
from transforms.contract import load_contract

SECRETS = (
    "postgres_password owner_password loader_password transformer_password bi_password n8n_database_password "
    "n8n_encryption_key n8n_owner_password webhook_token pos_api_token crm_token inventory_token"
)
SHEET = "receipt,date,item,total\n" + "".join(f"R{i},2026-05-{i:02d},Bread,1.50\n" for i in range(1, 29))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose settings come from the test alone."""

    def settings_of(*, home: Path) -> Settings:
        given: dict[str, object] = dict.fromkeys(SECRETS.split(), "made-up")
        ports = {name: 5000 for name in Settings.model_fields if name.endswith("_port")}
        others = {n: "made-up" for n, f in Settings.model_fields.items() if f.is_required() and n not in given | ports}
        return Settings.model_construct(home=home, **given, **ports, **others)

    monkeypatch.setattr(sources, "load_settings", settings_of)
    return tmp_path


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_text(SHEET)
    return path


def run(home: Path, *words: object) -> Result:
    app = typer.Typer()

    def statistics(_settings: Settings, source: str) -> Mapping[str, object]:
        return {"loads": 3, "of": source}

    sources.register(app, statistics)
    return CliRunner().invoke(app, ["sources", *map(str, words), "--home", str(home)])


def test_infer_writes_a_contract_that_loads_and_says_each_decision(home: Path, sheet: Path) -> None:
    result = run(home, "infer", sheet, "--as", "corner", "--owner", "Ana", "--currency", "USD")

    target = home / "sources" / "corner.toml"
    contract = load_contract(target)
    assert result.exit_code == 0
    assert str(target) in result.output.replace("\n", "")
    assert (contract.owner, contract.currency_code) == ("Ana", "USD")
    assert "receipt_number: receipt (proven)" in result.output


def test_infer_as_json_is_one_object(home: Path, sheet: Path) -> None:
    result = run(home, "infer", sheet, "--as", "corner", "--json")

    facts = json.loads(result.stdout)
    assert facts["ok"] and facts["source"] == "corner" and facts["rows"] == 28
    assert {"about", "choice", "evidence", "certainty"} == set(facts["decisions"][0])


def test_infer_overwrites_only_when_told(home: Path, sheet: Path) -> None:
    run(home, "infer", sheet, "--as", "corner")
    target = home / "sources" / "corner.toml"
    target.write_text(target.read_text().replace('title = "Corner"', 'title = "By hand"'))

    refused = run(home, "infer", sheet, "--as", "corner")
    kept = target.read_text()
    forced = run(home, "infer", sheet, "--as", "corner", "--force")

    assert isinstance(refused.exception, UsageError) and "--force" in str(refused.exception.next)
    assert "By hand" in kept
    assert forced.exit_code == 0 and "By hand" not in target.read_text()


@pytest.mark.parametrize("words", [("--as", "dirty_cafe"), ("--as", "x", "--system", "till"), ("--as", "Bad Name")])
def test_wrong_use_of_infer_writes_nothing(home: Path, sheet: Path, words: tuple[str, ...]) -> None:
    result = run(home, "infer", sheet, *words)

    assert isinstance(result.exception, UsageError)
    assert not list(home.glob("sources/*.toml"))


def test_a_refused_file_leaves_no_contract(home: Path, tmp_path: Path) -> None:
    (tmp_path / "page.csv").write_text("<html><body>Sign in</body></html>")

    result = run(home, "infer", tmp_path / "page.csv", "--as", "page")

    assert isinstance(result.exception, ContractError)
    assert not list(home.glob("sources/*.toml"))


def test_list_shows_shipped_and_own_sources(home: Path, sheet: Path) -> None:
    run(home, "infer", sheet, "--as", "corner")

    listed = {row["source"]: row for row in json.loads(run(home, "list", "--json").stdout)["sources"]}

    assert listed["corner"]["delivery"] == "file"
    assert listed["corner"]["entities"] == ["sale_lines"]
    assert {"dirty_cafe", "square_items"} <= set(listed)
    assert run(home, "list").exit_code == 0


def test_check_shows_columns_and_the_statistics_it_was_given(home: Path, sheet: Path) -> None:
    run(home, "infer", sheet, "--as", "corner")

    facts = json.loads(run(home, "check", "corner", "--json").stdout)
    text = run(home, "check", "corner").output

    assert facts["loads"] == {"loads": 3, "of": "corner"}
    assert facts["entities"][0]["columns"]["net_amount"] == {"from": "total", "type": "money", "required": True}
    assert "net_amount" in text and "loads: 3" in text


def test_check_of_an_unknown_source_names_the_known_ones(home: Path) -> None:
    result = run(home, "check", "nowhere")

    assert isinstance(result.exception, ContractError)
    assert "dirty_cafe" in str(result.exception.cause)
