"""
Commands about Metabase: metabase plan, apply, audit, preview, download.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from metabase.alert_files import HEARTBEAT, Mails, load_mails
from metabase.apply import first_plan
from metabase.apply import plan as make_plan
from metabase.audit import administrators, audit
from metabase.catalogue import Catalogue, load_catalogue
from metabase.client import Client
from metabase.desired import web_address
from metabase.jar import PUBLISHER, VERSION, fetch
from metabase.parameters import Filters
from metabase.plan import Action, Plan
from metabase.preview import CardView, Preview
from metabase.provision import enter, look_at, need_url
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.dashboards import apply as apply_files
from panpan.dashboards import memory_of, wanted
from panpan.errors import CheckFailed
from panpan.settings import CHECKOUT, Settings, load_settings


class FileKind(StrEnum):
    """What a dashboard may be written as."""

    html = "html"
    pdf = "pdf"
    png = "png"
    xlsx = "xlsx"
    csv = "csv"
    json = "json"


HEADINGS: dict[Action, tuple[str, str]] = {
    "add": ("to add", "added"),
    "change": ("to change", "changed"),
    "remove": ("to remove", "removed"),
}

commands = typer.Typer(
    name="metabase", help="Dashboards and alerts as files, and a Metabase that is what they say.", no_args_is_help=True
)
Wait = Annotated[float, typer.Option("--wait", help="Seconds to wait until Metabase is well.", min=0)]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `metabase`."""
    app.add_typer(commands, name="metabase")


@commands.command("plan")
def plan(home: Home = None, wait: Wait = 30, as_json: AsJson = False) -> None:
    """
    Show what apply would add, change and remove, and what was changed by hand. Writes nothing.

    Example: panpan metabase plan
    """
    settings = load_settings(home=home)
    desired = wanted(settings)
    with output.step("reading Metabase"), server(settings) as client:
        found = look_at(client, seconds=wait)
        if not found.is_claimed:
            report = first_plan(desired)
        else:
            enter(client, settings)
            report = make_plan(client, desired, memory_of(settings))
        report.notes[:0] = found.notes
    show(report, {"url": client.url, "version": found.tag}, as_json, done=False)


@commands.command("apply")
def apply(home: Home = None, wait: Wait = 300, as_json: AsJson = False) -> None:
    """
    Make Metabase what the files say. A second run changes nothing.

    The first run creates the administrator and an API key and keeps both in the home's settings.env.  Example:
    panpan metabase apply --json
    """
    with output.step("bringing Metabase to what the files say"):
        done = apply_files(load_settings(home=home), told=say, seconds=wait)
    show(done.plan, {"url": done.url, "version": done.found.tag}, as_json, done=True)


@commands.command("audit")
def audit_(home: Home = None, wait: Wait = 30, as_json: AsJson = False) -> None:
    """
    Name questions that are not from files or read no certified mart, with their authors, and doors left open.

    Ends with 3 when there is something to look at.  Example: panpan metabase audit
    """
    settings = load_settings(home=home)
    catalogue = load_catalogue()
    desired = wanted(settings, catalogue)
    with output.step("reading Metabase"), server(settings) as client:
        look_at(client, seconds=wait)
        enter(client, settings)
        findings = audit(client, desired, certified_marts(catalogue, load_mails(catalogue)))
        people = administrators(client)
    if as_json:
        output.print_json({"findings": [f.facts() for f in findings], "administrators": people}, ok=not findings)
    else:
        rows = [(f.what, f.title, f.id, f.author, f.why) for f in findings]
        output.print_table("metabase audit", ["what", "name", "id", "author", "why"], rows)
        output.results.print(f"administrators: {', '.join(people)}", markup=False, highlight=False)
    if findings:
        raise typer.Exit(CheckFailed.exit_code)


@commands.command("preview")
def preview(
    names: Annotated[list[str] | None, typer.Argument(metavar="[DASHBOARD]...", help="Which; all by default.")] = None,
    format_: Annotated[FileKind, typer.Option("--format", help="Of the files written with --to.")] = FileKind.html,
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write files into.", file_okay=False)] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    The same dashboards from the same files without a Metabase: each card with its figure, and where to look at it.

    With --to each dashboard becomes a file: html, pdf, png, xlsx; csv and json are one file per question.
    Example: panpan metabase preview sales --format pdf --to reports
    """
    settings = load_settings(home=home)
    pages = Preview(settings)
    chosen = names or list(pages.catalogue.dashboards)
    if to is not None:
        with output.step(f"writing {format_.value} files"):
            files = [str(file) for name in chosen for file in write_files(pages, name, format_, to)]
        if as_json:
            output.print_json({"files": files})
        else:
            output.results.print("\n".join(files), markup=False, highlight=False)
        return
    facts = [dashboard_facts(pages, name, settings) for name in chosen]
    if as_json:
        output.print_json({"dashboards": facts})
        return
    for page in facts:
        cards = [(c["title"], c["says"], c["rows"], c["as_of"]) for c in page["cards"]]
        output.print_table(f"{page['title']}: {page['url']}", ["card", "says", "rows", "data as of"], cards)


@commands.command("download")
def download(
    sha256: Annotated[str, typer.Option("--sha256", help="Checksum of the jar, from the notes of the release.")],
    version: Annotated[str, typer.Option("--version", help="Which release.")] = VERSION,
    publisher: Annotated[str, typer.Option("--from", help="Address of another place that has it.")] = PUBLISHER,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Fetch Metabase itself, as one file for a Java of version 25, where the network allows.

    It is kept only when its checksum is the one given.  Example: panpan metabase download --sha256 0123...
    """
    settings = load_settings(home=home)
    with output.step(f"downloading Metabase {version}"):
        jar = fetch(version, sha256, settings.tools_dir.absolute(), publisher)
    if as_json:
        output.print_json({"jar": str(jar), "version": version, "sha256": sha256.lower()})
    else:
        say_where = f"{jar}\nstart it: java --add-opens java.base/java.nio=ALL-UNNAMED -jar {jar}"
        output.results.print(say_where, markup=False, highlight=False)


def write_files(pages: Preview, name: str, kind: FileKind, folder: Path) -> list[Path]:
    """
    The files of one dashboard.

    Errors: UnknownPage; DatabaseError when a question fails; UsageError for more rows than a sheet holds.
    """
    # Read here, because spreadsheets and PDF would cost every other command half a second.
    from metabase.export import to_csv, to_json, to_xlsx  # noqa: PLC0415  # as said
    from metabase.sheets import to_pdf, to_png  # noqa: PLC0415  # as said
    from panpan.web.app import Pages, whole  # noqa: PLC0415  # as said

    made: dict[str, str | bytes] = {}
    if kind == FileKind.html:
        made[name] = Pages(pages.settings, pages).dashboard_file(name)
    elif kind in (FileKind.pdf, FileKind.png):
        view = pages.dashboard(name, Filters())
        made[name] = to_pdf(view) if kind == FileKind.pdf else to_png(view)
    else:
        answers = [(whole(a), sources) for a, sources in pages.downloads(pages.questions_of(name), Filters())]
        if kind == FileKind.xlsx:
            made[name] = to_xlsx(answers)
        elif kind == FileKind.csv:
            made = {answer.question.name: to_csv(answer) for answer, _ in answers}
        else:
            made = {a.question.name: json.dumps(to_json(a, sources), ensure_ascii=False) for a, sources in answers}
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{stem}.{kind.value}": content for stem, content in made.items()}
    for file, content in files.items():
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(files)


@contextmanager
def server(settings: Settings) -> Iterator[Client]:
    """A client that knows the address and nothing else yet."""
    with Client(need_url(settings)) as client:
        yield client


def certified_marts(catalogue: Catalogue, mails: Mails) -> set[str]:
    """The marts the transforms make, and those our own questions say they read."""
    made = {f"marts.{file.stem}" for file in (CHECKOUT / "transforms" / "marts").glob("*.sql")}
    questions = [*catalogue.questions.values(), *mails.questions.values()]
    return made | {mart for question in questions for mart in question.reads} | {HEARTBEAT}


def say(sentence: str) -> None:
    output.talk.print(sentence, markup=False, highlight=False)


def show(report: Plan, about: dict[str, Any], as_json: bool, *, done: bool) -> None:
    """The plan, or what was done of it."""
    if as_json:
        output.print_json({**report.facts(), **about})
        return
    for each in [*report.by_files("add"), *report.by_files("change"), *report.by_files("remove")]:
        sign = {"add": "+", "change": "~", "remove": "-"}[each.action]
        output.results.print(sign, "\n".join(each.lines()), markup=False, highlight=False)
    for each in report.drift:
        output.results.print("! changed by hand,", "\n".join(each.lines()), markup=False, highlight=False)
    for note in report.notes:
        output.results.print(f"note: {note}", markup=False, highlight=False)
    counts = {heading[done]: len(report.by_files(action)) for action, heading in HEADINGS.items()}
    words = ", ".join(f"{number} {heading}" for heading, number in counts.items())
    output.results.print(
        f"{words}, {len(report.drift)} by hand; {report.writes} write requests", markup=False, highlight=False
    )


def dashboard_facts(pages: Preview, name: str, settings: Settings) -> dict[str, Any]:
    """What one dashboard shows right now."""
    view = pages.dashboard(name, Filters())
    cards = [card for tab in view.tabs for band in tab.bands for card in band if isinstance(card, CardView)]
    return {
        "name": name,
        "title": view.dashboard.title,
        "url": f"{web_address(settings)}/dashboards/{name}",
        "cards": [
            {
                "name": card.question.name,
                "title": card.question.title,
                "says": card.figure.text if card.figure else card.message,
                "rows": card.row_count,
                "as_of": card.as_of_text,
            }
            for card in cards
        ],
    }
