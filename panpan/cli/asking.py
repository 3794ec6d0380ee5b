"""
The command ask: a question in plain words, its figure with what it rests on, or why there is none.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from metabase.formats import write_moment
from panpan.ask.answering import Reply, ask
from panpan.ask.grammar import Refused
from panpan.ask.phrasing import spoken
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms.periods import business_today


def register(app: typer.Typer) -> None:
    """Add `ask`."""
    app.command("ask")(answer)


def answer(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="In English or Spanish.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Answer a question from the metric catalogue, or say why not and what could be asked.

    Example: panpan ask "revenue in the Centro store last week"
    """
    settings = load_settings(home=home)
    reply = ask(settings, question, business_today(settings))
    if as_json:
        output.print_json(facts(reply))
    elif reply.refusal:
        _print_refusal(reply, reply.refusal)
    else:
        _print_answer(reply)


def facts(reply: Reply) -> dict[str, Any]:
    """The reply as one object; the first six keys are a contract."""
    refusal = reply.refusal
    return {
        "answered": reply.is_answered,
        "reading": spoken(reply.reading, reply.says) if reply.reading else None,
        "value": reply.value,
        "plan_id": reply.plan.plan_id if reply.plan else None,
        "citations": reply.citations,
        "suggestions": reply.suggestions,
        "question": reply.question,
        "unit": reply.plan.metric.unit if reply.plan else None,
        "first_day": reply.plan.first_day if reply.plan else None,
        "last_day": reply.plan.last_day if reply.plan else None,
        "rows": reply.rows,
        "notes": reply.notes,
        "refusal": {"kind": refusal.kind, "reason": refusal.reason} if refusal else None,
        "read_as": reply.read_as,
    }


def _print_answer(reply: Reply) -> None:
    if reply.read_as:
        output.talk.print(f"read as: {reply.read_as}", markup=False, highlight=False)
    if len(reply.rows) == 1 and len(reply.rows[0]) <= 2:
        text = reply.write(reply.value, reply.rows[0])
        output.results.print(f"{text}  ({reply.says})", markup=False, highlight=False)
    else:
        columns = list(reply.rows[0])
        output.print_table(str(reply.says), columns, [[row[name] for name in columns] for row in reply.rows])
    for note in reply.notes:
        output.talk.print(note, markup=False, highlight=False)
    for cited in reply.citations:
        lines = {
            "means": f"{cited['definition']} (version {cited['version']}, {cited['state']})",
            "owner": f"{cited['owner']}; source of record: {cited['system_of_record']}",
            "data": f"as of {write_moment(cited['as_of'])}" if cited["as_of"] else "nothing loaded yet",
            "sources": ", ".join(f"{each['source']} {each['state']}" for each in cited["freshness"]),
            "checks": cited["quality"],
            "plan": f"{cited['plan_id']} (panpan trace plan:{cited['plan_id']})",
        }
        for name, text in lines.items():
            output.talk.print(f"{name + ':':<9}{text}", markup=False, highlight=False)


def _print_refusal(reply: Reply, refusal: Refused) -> None:
    output.results.print(f"Not answered. {refusal.reason}", markup=False, highlight=False)
    if reply.suggestions:
        output.results.print("Could be asked:", highlight=False)
    for suggestion in reply.suggestions:
        output.results.print(f"  {suggestion}", markup=False, highlight=False)
