"""
Commands about the quality of the data: quality run, list, show, freshness, incidents, ack, mutate, release.
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from db.connection import connect
from metabase.formats import write_moment
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import CheckFailed
from panpan.settings import load_settings
from panpan.simulate import business
from transforms.contract import load_contracts
from transforms.quality import gate, record
from transforms.quality.checks import Check, find_check, load_checks
from transforms.quality.freshness import Freshness
from transforms.quality.freshness import freshness as read_freshness
from transforms.quality.judge import Verdict
from transforms.quality.mutate import load_mutations, never_failing
from transforms.quality.mutate import mutate as mutations_done
from transforms.quality.watch import check_all
from transforms.rebuild import scratch_warehouse

MUTATED_DAYS = 42  # six weeks: what is usual of a weekday is known from four of them on

commands = typer.Typer(
    name="quality",
    help="What must hold of the data: checks, what they found, how old each source is, incidents.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `quality`."""
    app.add_typer(commands, name="quality")


@commands.command("run")
def run(home: Home = None, as_json: AsJson = False) -> None:
    """
    Make every check now over all days, and keep what they find; the worker does it after each run.

    Exit code 3 when one of severity error fails or can't be made.  Example: panpan quality run --json
    """
    settings = load_settings(home=home)
    with output.step(f"making {len(load_checks())} checks"):
        verdicts = check_all(settings)
    bad = [verdict for verdict in verdicts if verdict.state != "passed"]
    wrong = [verdict for verdict in bad if verdict.check.severity == "error"]
    seconds = round(sum(verdict.seconds for verdict in verdicts), 2)
    if as_json:
        output.print_json(
            {
                "passed": len(verdicts) - len(bad),
                "failed": len([v for v in bad if v.state == "failed"]),
                "unknown": len([v for v in bad if v.state == "unknown"]),
                "seconds": seconds,
                "checks": [verdict_facts(verdict) for verdict in verdicts],
            },
            ok=not wrong,
        )
    else:
        rows = [[v.check.id, v.check.severity, v.state, v.found, v.check.owner] for v in bad]
        if rows:
            output.print_table("checks that did not pass", ["check", "severity", "state", "found", "owner"], rows)
        said = f"{len(verdicts) - len(bad)} of {len(verdicts)} checks passed in {seconds} s"
        output.results.print(said, highlight=False)
    if wrong:
        raise CheckFailed(
            f"{len(wrong)} checks of severity error did not pass",
            cause=", ".join(verdict.check.id for verdict in wrong),
            next=f"bin/panpan quality show {wrong[0].check.id}",
        )


@commands.command("list")
def list_(as_json: AsJson = False) -> None:
    """
    List every check with what it means.

    Example: panpan quality list
    """
    known = list(load_checks().values())
    if as_json:
        output.print_json({"checks": [check_facts(check) for check in known]})
        return
    rows = [[c.id, c.layer, c.severity, "yes" if c.blocks else "", c.owner, c.meaning] for c in known]
    output.print_table(f"{len(known)} checks", ["check", "layer", "severity", "blocks", "owner", "meaning"], rows)


@commands.command("show")
def show(
    check_id: Annotated[str, typer.Argument(help="Id of the check.")], home: Home = None, as_json: AsJson = False
) -> None:
    """
    Show one check: what it means, what it found last with examples, and its select.

    Example: panpan quality show marts_day_equals_receipts
    """
    check = find_check(check_id)
    found = record.last_result(load_settings(home=home), check.id)
    text = None if check.function else check.statement
    if as_json:
        output.print_json({**check_facts(check), "last": found, "sql": text})
        return
    output.results.print(f"{check.id} ({check.severity}, {check.owner}): {check.meaning}", highlight=False)
    if found is None:
        output.results.print("never made yet", highlight=False)
    else:
        output.results.print(f"{found['state']} at {write_moment(found['checked_at'])}", highlight=False)
        rows = [[example["key"], example["found"]] for example in found["examples"]]
        if rows:
            output.print_table(f"{found['offending_count']} offenders, such as", ["key", "found"], rows)
    if text:
        output.results.print(text, markup=False, highlight=False)


@commands.command("freshness")
def freshness(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say how old what each source tells is, by what arrived; exit code 3 when one is silent.

    Example: panpan quality freshness --json
    """
    found = read_freshness(load_settings(home=home), datetime.now(UTC))
    silent = [each for each in found if each.level == "silent"]
    if as_json:
        output.print_json({"tables": [freshness_facts(each) for each in found]}, ok=not silent)
    else:
        rows = [[e.table, e.source, _age(e), e.level, f"{e.warn_after_hours} / {e.error_after_hours} h"] for e in found]
        output.print_table("freshness", ["table", "source", "age", "level", "late / silent after"], rows)
    if silent:
        raise CheckFailed(
            f"{len(silent)} tables are silent",
            cause=", ".join(f"{each.table} of {each.source}" for each in silent),
            next="bin/panpan ingest status",
        )


@commands.command("incidents")
def incidents(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List what went wrong: since when, who answers for it, who took it on, when it was over.

    Example: panpan quality incidents --open
    """
    found = record.incidents(load_settings(home=home), only_open=only_open)
    if as_json:
        output.print_json({"incidents": [incident_facts(incident) for incident in found]})
        return
    columns = ["incident", "check", "severity", "opened", "closed", "owner", "taken on by", "found"]
    rows = [
        [
            each.incident_id,
            each.cause,
            each.severity,
            write_moment(each.opened_at),
            write_moment(each.closed_at) if each.closed_at else "",
            each.owner,
            each.acknowledged_by,
            each.found,
        ]
        for each in found
    ]
    output.print_table("incidents", columns, rows)


@commands.command("ack")
def ack(
    incident_id: Annotated[int, typer.Argument(help="Number of the incident.")],
    by: Annotated[str | None, typer.Option("--by", help="Who takes it on; unset: who runs this.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="What is being done.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Take an open incident on; it stays open until a check finds it gone.

    Example: panpan quality ack 3 --note "asked the shop for the file"
    """
    incident = record.acknowledge(load_settings(home=home), incident_id, by or getpass.getuser(), note)
    if as_json:
        output.print_json(incident_facts(incident))
    else:
        output.results.print(f"{incident.cause} is taken on by {incident.acknowledged_by}", highlight=False)


@commands.command("mutate")
def mutate(home: Home = None, as_json: AsJson = False) -> None:
    """
    Break a scratch business in many ways, one at a time, and say which checks notice.

    Your data are not touched. Exit code 3 when something stays unnoticed.  Example: panpan quality mutate --json
    """
    settings = load_settings(home=home)
    checks, mutations = list(load_checks().values()), load_mutations()
    caught = []
    with scratch_warehouse(settings, "mutate") as scratch:
        with output.step(f"building a business of {MUTATED_DAYS} days to break"):
            now = business.build(scratch, MUTATED_DAYS)
        contracts = load_contracts(scratch.own_contracts)
        with connect(scratch, "postgres", scratch.database_name) as connection:
            with output.step(f"breaking it in {len(mutations)} ways"):
                for each in mutations_done(connection, contracts, checks, mutations, now):
                    caught.append(each)
                    if len(caught) % 10 == 0:
                        output.talk.print(f"{len(caught)} of {len(mutations)}", highlight=False)
            with output.step(f"making each of {len(checks)} checks fail"):
                silent = never_failing(connection, contracts, checks, now)
            connection.rollback()
    missed = [each.mutation.id for each in caught if not each.is_caught]
    if as_json:
        rows = [
            {
                "id": e.mutation.id,
                "what": e.mutation.what,
                "caught": e.is_caught,
                "checks": e.checks,
                "refused": e.refused,
            }
            for e in caught
        ]
        facts = {"mutations": len(caught), "caught": len(caught) - len(missed), "missed": missed}
        output.print_json({**facts, "never_seen_failing": silent, "rows": rows}, ok=not (missed or silent))
    else:
        cells = [[e.mutation.id, e.refused or ", ".join(e.checks) or "MISSED", e.mutation.what] for e in caught]
        output.print_table("what went wrong and who noticed", ["mutation", "noticed by", "what"], cells)
        said = f"{len(caught) - len(missed)} of {len(caught)} caught; checks never seen failing: {len(silent)}"
        output.results.print(said, highlight=False)
    if missed or silent:
        raise CheckFailed(
            "the checks do not notice everything",
            cause=", ".join([*missed, *silent]),
            next="write a check for it, or correct the check's fixture",
        )


@commands.command("release")
def release(
    load_id: Annotated[int, typer.Argument(help="Number of the load.")],
    by: Annotated[str | None, typer.Option("--by", help="Who decides it; unset: who runs this.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Let in a load that a check holds back, because the figures are right after all; the next run takes it.

    A load whose source was mended is taken again, checks and all, by panpan rejects replay.
    Example: panpan quality release 412 --by Ana
    """
    check_id = gate.release(load_settings(home=home), load_id, by or getpass.getuser())
    if as_json:
        output.print_json({"load": load_id, "held_by": check_id})
    else:
        output.results.print(f"load {load_id} is let in despite {check_id}", highlight=False)


def check_facts(check: Check) -> dict[str, Any]:
    """A check for --json."""
    return {
        "id": check.id,
        "layer": check.layer,
        "severity": check.severity,
        "blocks": check.blocks,
        "owner": check.owner,
        "meaning": check.meaning,
    }


def verdict_facts(verdict: Verdict) -> dict[str, Any]:
    """A verdict for --json."""
    return {
        **check_facts(verdict.check),
        "state": verdict.state,
        "offending": verdict.count,
        "examples": [{"key": example.key, "found": example.found} for example in verdict.examples],
        "reason": verdict.reason,
        "seconds": verdict.seconds,
    }


def freshness_facts(each: Freshness) -> dict[str, Any]:
    """A table's freshness for --json; age in hours, null where nothing was ever loaded."""
    return {
        "table": each.table,
        "source": each.source,
        "age_hours": None if each.age_hours is None else round(float(each.age_hours), 2),
        "level": each.level,
        "known_until": each.known_until,
        "last_record_at": each.last_record_at,
        "last_load_at": each.last_load_at,
        "warn_after_hours": each.warn_after_hours,
        "error_after_hours": each.error_after_hours,
    }


def incident_facts(incident: record.Incident) -> dict[str, Any]:
    """An incident for --json; lasted_seconds is null while it is open."""
    lasted = incident.lasted
    return {
        "incident": incident.incident_id,
        "check": incident.cause,
        "severity": incident.severity,
        "owner": incident.owner,
        "meaning": incident.meaning,
        "found": incident.found,
        "opened_at": incident.opened_at,
        "last_seen_at": incident.last_seen_at,
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_at": incident.acknowledged_at,
        "note": incident.note,
        "closed_at": incident.closed_at,
        "lasted_seconds": lasted.total_seconds() if lasted is not None else None,
    }


def _age(each: Freshness) -> str:
    return "nothing came" if each.age_hours is None else f"{each.age_hours:.1f} h"
