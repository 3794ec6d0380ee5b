"""
Commands about sources: list them, propose a contract for a new file, look at one contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.settings import Settings, load_settings
from transforms.contract import Contract, Entity, System, Value, find_contract, load_contract, load_contracts
from transforms.infer import Decision, Options, Proposal, propose

# Facts about a source's loads, by name; whoever knows the database gives such a function to `register`.
LoadStatistics = Callable[[Settings, str], Mapping[str, Any]]


commands = typer.Typer(
    name="sources",
    help="Sources: list them, propose the contract of a new file, look at one.",
    no_args_is_help=True,
)


def register(app: typer.Typer, load_statistics: LoadStatistics | None = None) -> None:
    """Add the commands of this module as `sources`; `check` shows the statistics it is given a function for."""
    commands.command("check")(_check_command(load_statistics))
    app.add_typer(commands, name="sources")


@commands.command("list")
def list_sources(home: Home = None, as_json: AsJson = False) -> None:
    """
    Every source there is a contract for, the shipped ones and your own.

    Example: panpan sources list --json
    """
    settings = load_settings(home=home)
    contracts = load_contracts(settings.own_contracts)
    rows = [_summary(contract) for contract in contracts.values()]
    if as_json:
        output.print_json({"sources": rows})
        return
    cells = [[*list(row.values())[:-1], ", ".join(row["entities"])] for row in rows]
    output.print_table("Sources", ["source", "title", "system", "owner", "delivery", "entities"], cells)


@commands.command("infer")
def infer(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file as it was downloaded; .gz too.")],
    *,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Name of the new source.")],
    system: Annotated[str, typer.Option(help="What it comes from: pos, crm or inventory.")] = "pos",
    time_zone: Annotated[str | None, typer.Option(help="IANA zone of its clock times.")] = None,
    currency: Annotated[str | None, typer.Option(help="Currency code of its amounts.")] = None,
    owner: Annotated[str | None, typer.Option(help="Who answers questions about it.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a contract of that name.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Propose the contract of a file nobody has described yet, and write it.

    Prints each decision with its evidence; a wrong one is corrected in the written TOML.
    Example: panpan sources infer export.csv --as corner_bakery --time-zone Europe/Madrid
    """
    settings = load_settings(home=home)
    target = settings.own_contracts / f"{name}.toml"
    if not file.is_file():
        raise UsageError(f"can't read {file}", cause="there is no such file", next="check the path")
    _refuse_overwriting(target, name, settings, force)
    proposal = propose(file, name, Options(_system(system), time_zone, currency, owner))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(proposal.contract_text, encoding="utf-8")
    load_contract(target)
    if as_json:
        output.print_json(_proposal_facts(target, proposal))
        return
    for line in [str(target), *(_sentence(decision) for decision in proposal.decisions)]:
        output.results.print(line, markup=False, highlight=False)
    _say_what_is_open(target, name, file, proposal)


def _check_command(load_statistics: LoadStatistics | None) -> Callable[..., None]:
    def check(
        name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the source.")],
        home: Home = None,
        as_json: AsJson = False,
    ) -> None:
        """
        Read a source's contract again and show what it says.

        Example: panpan sources check square_items
        """
        settings = load_settings(home=home)
        contract = find_contract(name, settings.own_contracts)
        loads = load_statistics(settings, name) if load_statistics else {}
        if as_json:
            entities = [_entity_facts(entity) for entity in contract.entities]
            output.print_json({**_summary(contract), "entities": entities, "loads": dict(loads)})
            return
        _print_contract(contract, loads)

    return check


def _system(name: str) -> System:
    known: dict[str, System] = {"pos": "pos", "crm": "crm", "inventory": "inventory"}
    if name not in known:
        raise UsageError(f"there is no system {name!r}", cause=f"systems: {', '.join(known)}")
    return known[name]


def _refuse_overwriting(target: Path, name: str, settings: Settings, force: bool) -> None:
    if force:
        return
    if target.exists():
        raise UsageError(
            f"there is a contract {target}",
            cause="it may hold corrections made by hand",
            next="give another name, or --force to overwrite it",
        )
    if name in load_contracts(settings.own_contracts):
        raise UsageError(
            f"there is a shipped source {name!r}",
            cause="a contract of your own would take its place",
            next="give another name, or --force to replace it",
        )


# --- how they are shown ------------------------------------------------------------------------------------


def _summary(contract: Contract) -> dict[str, Any]:
    return {
        "source": contract.source,
        "title": contract.title,
        "system": contract.system,
        "owner": contract.owner,
        "delivery": "api" if contract.api else "file",
        "entities": [entity.entity for entity in contract.entities],
    }


def _proposal_facts(target: Path, proposal: Proposal) -> dict[str, Any]:
    return {
        "source": proposal.source,
        "path": str(target),
        "rows": proposal.row_count,
        "sampled": proposal.sampled,
        "decisions": [asdict(decision) for decision in proposal.decisions],
        "open": [asdict(decision) for decision in proposal.open_questions],
    }


def _sentence(decision: Decision) -> str:
    return f"{decision.about}: {decision.choice} ({decision.certainty}) - {decision.evidence}"


def _say_what_is_open(target: Path, name: str, file: Path, proposal: Proposal) -> None:
    count = len(proposal.open_questions)
    if count:
        say = f"{count} decision{' needs' if count == 1 else 's need'} a look; correct {target} where one is wrong"
        output.talk.print(say, markup=False, highlight=False)
    output.talk.print(f"next:  bin/panpan ingest drop {file} --source {name}", markup=False, highlight=False)


def _entity_facts(entity: Entity) -> dict[str, Any]:
    columns = {name: value.model_dump(by_alias=True, exclude_defaults=True) for name, value in entity.columns.items()}
    return {"entity": entity.entity, "kind": entity.kind, "format": entity.format, "columns": columns}


def _print_contract(contract: Contract, loads: Mapping[str, Any]) -> None:
    facts = f"{contract.title}, {contract.system}, owner {contract.owner}"
    where = f"clock {contract.time_zone}, amounts in {contract.currency_code}"
    for line in (f"{contract.source}: {facts}", where, *(f"{name}: {fact}" for name, fact in loads.items())):
        output.results.print(line, markup=False, highlight=False)
    for entity in contract.entities:
        rows = [_column_cells(name, value) for name, value in entity.columns.items()]
        output.print_table(
            f"{entity.entity} ({entity.kind}, {entity.format})",
            ["column", "from", "type", "format", "required"],
            rows,
        )


def _column_cells(name: str, value: Value) -> list[str]:
    received = " + ".join(value.received) or f"always {value.default!r}"
    return [name, received, value.type, " or ".join(value.formats), "yes" if value.required else ""]
