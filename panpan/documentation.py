"""
The pages that are made, not written: `python -m panpan.documentation` writes them, tests say when they are stale.

Comes in: the commands' own help, the settings' own words, the comments of a migrated database.
Goes out: docs/command_line.md, .env.example, docs/metrics.md, docs/data_dictionary.md, docs/data_model.svg,
docs/data_flow.svg, docs/quality.md.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from db.connection import connect
from db.migrate import migrate
from panpan.errors import PanpanError
from panpan.governance.graph import load_graph
from panpan.governance.picture import draw
from panpan.local import postgres
from panpan.local.initialise import initialise
from panpan.settings import CHECKOUT, PREFIX, Settings
from transforms.goals import load_goals
from transforms.metrics import Metric, load_metrics
from transforms.periods import COMPARISONS, SPELLED, WORDS
from transforms.quality import page as quality

COMMAND_LINE = CHECKOUT / "docs" / "command_line.md"
METRICS = CHECKOUT / "docs" / "metrics.md"
DICTIONARY = CHECKOUT / "docs" / "data_dictionary.md"
DIAGRAM = CHECKOUT / "docs" / "data_model.svg"
FLOW = CHECKOUT / "docs" / "data_flow.svg"
ENV_EXAMPLE = CHECKOUT / ".env.example"
QUALITY = CHECKOUT / "docs" / "quality.md"
MADE_BY = "<!-- Made by `python -m panpan.documentation`; changes belong into {}. -->"

LAYERS = {
    "core": "the business as it is now",
    "marts": "what dashboards read",
    "raw": "what was received, byte for byte",
    "ops": "loads, rejects and runs",
}


# --- the command line --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command, in the words of its help."""

    spelling: str
    meaning: str


@dataclass(frozen=True)
class Command:
    """One command: how it is called, what its help says, an example."""

    name: str
    usage: str
    sentences: str
    example: str
    parameters: tuple[Parameter, ...]


def commands() -> list[Command]:
    """Every command the program knows, in the order it lists them."""
    # Looked up by name: the command line is imported by nobody, these pages look at it from outside.
    app = importlib.import_module("panpan.cli.app").assembled()
    root = importlib.import_module("typer").main.get_command(app)
    return list(_commands_of(root, "panpan"))


def _commands_of(group: Any, path: str) -> Iterator[Command]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands_of(command, f"{path} {name}")
        else:
            yield _command(command, f"{path} {name}")


def _command(command: Any, path: str) -> Command:
    text = " ".join((command.help or "").split())
    sentences, _, example = text.partition("Example:")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = [path, *(["[OPTIONS]"] if options else []), *(_argument(p) for p in arguments)]
    parameters = [Parameter(_argument(p), p.help or "") for p in arguments]
    parameters += [Parameter(_option(p), _option_meaning(p)) for p in options]
    return Command(path, " ".join(words), sentences.strip(), example.strip(), tuple(parameters))


def _argument(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _option(parameter: Any) -> str:
    spelling = ", ".join(f"`{word}`" for word in parameter.opts)
    return spelling if parameter.is_flag else f"{spelling} {parameter.metavar or parameter.name.upper()}"


def _option_meaning(parameter: Any) -> str:
    facts = [
        "required" if parameter.required else "",
        "repeatable" if parameter.multiple and "repeatable" not in (parameter.help or "") else "",
        f"environment: `{parameter.envvar}`" if parameter.envvar else "",
    ]
    if not parameter.is_flag and not parameter.required and parameter.default not in (None, [], ()):
        facts.append(f"default: `{parameter.default}`")
    said = "; ".join(fact for fact in facts if fact)
    return f"{parameter.help or ''}{f' ({said})' if said else ''}"


def command_line_page() -> str:
    """docs/command_line.md."""
    known = commands()
    lines = [
        "# Commands",
        "",
        MADE_BY.format("the commands' help"),
        "",
        "Written `panpan` here; in a checkout it is `bin/panpan`. Every command has `--help`.",
        "Results go to stdout, talk and errors to stderr. Exit codes: 0 well, 1 failed, 2 wrong use, 3 a check found",
        "bad data.",
        "",
        *_table(["command", "what it does"], [(f"[`{c.name}`](#{_anchor(c.name)})", _first(c)) for c in known]),
    ]
    for command in known:
        lines += ["", f"## {command.name}", "", command.sentences, "", "```", command.usage, "```", ""]
        lines += [f"Example: `{command.example}`"]
        if command.parameters:
            rows = [(p.spelling, p.meaning) for p in command.parameters]
            lines += ["", *_table(["argument or option", "meaning"], rows)]
    return "\n".join(lines) + "\n"


def _first(command: Command) -> str:
    return command.sentences.partition(". ")[0].rstrip(".") + "."


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


# --- the settings ------------------------------------------------------------------------------------------


def env_example() -> str:
    """.env.example: every setting with its meaning and default, all commented out; secrets are empty."""
    lines = [
        "# Every setting of panpan, with its default. Made by `python -m panpan.documentation`.",
        "# Nothing here must be set: `bin/panpan init` writes secrets and ports into $PANPAN_HOME/settings.env.",
        "# To change one, copy its line into a file `.env` in the working folder, without the #. `.env` may hold no",
        "# other names. The environment wins over `.env`, and `.env` over settings.env.",
    ]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default is None else _plain_default(field.default)
        facts = [*(["secret"] * (field.annotation is SecretStr)), *(["made by init"] * field.is_required())]
        said = f" ({', '.join(facts)})" if facts else ""
        lines += ["", f"# {field.description}{said}", f"# {PREFIX}{name.upper()}={default}"]
    return "\n".join(lines) + "\n"


def _plain_default(value: object) -> str:
    if isinstance(value, Path) and value.is_relative_to(CHECKOUT):
        return str(value.relative_to(CHECKOUT))
    return str(value)


# --- the metric catalogue ----------------------------------------------------------------------------------


HOW_TO_ASK = """\
## How to ask

Periods: {words}, {spelled}.
Weeks begin on Monday; `this-week` and `...-to-date` end today, `last-30-days` (or any number) yesterday. Today is the
business's: in the zone of its reports, and still the day before until the tills close.

Comparisons: {comparisons}.
Each row then says `compared`, `change` and `change_share`. Before whole months come as many months, before the first
days of a month the same days of the month before. By day, one without a partner, such as February 29th, is left out.

`--as-of T` gives what was known at T: the marts are made again from the versions known then. `--total` adds the rows
up, and refuses where that is no figure: customers over days, averages over stores, levels over months.

The plan id stands for metric and version, dimensions, filters, days, comparison and moment: the same question has the
same id through every door, and `panpan trace plan:ID` leads from it to the receipts."""


def metrics_page() -> str:
    """docs/metrics.md: what each metric means, who answers for it, and where its figures come from."""
    known = load_metrics().values()
    lines = [
        "# Metrics",
        "",
        MADE_BY.format("transforms/metrics/*.yaml"),
        "",
        "One definition each; dashboards, alerts, reports, goals and answers all read these. `panpan value NAME` says",
        "a figure, `panpan metrics test` runs the edge cases, `panpan metrics check` says what a definition lacks.",
        "",
        *_table(["metric", "question", "unit"], [(f"[{m.name}](#{m.name})", m.question, m.unit) for m in known]),
        "",
        HOW_TO_ASK.format(words=", ".join(WORDS), spelled=SPELLED, comparisons=", ".join(COMPARISONS)),
    ]
    for metric in known:
        facts = metric_facts(metric)
        lines += ["", f"## {metric.name}", "", metric.question, "", metric.definition, "", *_table(["", ""], facts)]
        lines += ["", "Edge cases:", "", *(f"- {example.says}" for example in metric.examples)]
    goals = [
        (
            f"`{g.name}`",
            g.title,
            f"[{g.metric}](#{g.metric})",
            f"{g.base_period}, {g.change_percent:+} %",
            f"{g.start} to {g.end}, {g.measured}",
            g.owner,
        )
        for g in load_goals()
    ]
    lines += ["", "## Goals", "", "`panpan goals` says how far each is; files in `transforms/goals`.", ""]
    lines += _table(["goal", "what", "metric", "from, change", "when, how measured", "owner"], goals)
    return "\n".join(lines) + "\n"


def metric_facts(metric: Metric) -> list[tuple[str, str]]:
    """What a definition says beside its question and its words: name of the fact, text."""
    additive = metric.additive
    return [
        ("unit", metric.unit),
        ("grain", metric.grain),
        ("read from", "; ".join(f"`marts.{r.mart}`: `{' '.join(r.expression.split())}`" for r in metric.readings)),
        ("dimensions", ", ".join(metric.dimensions)),
        ("adds up", f"over time: {additive.time}, stores: {additive.store}, products: {additive.product}"),
        ("owner", metric.owner),
        ("system of record", metric.system_of_record),
        ("reference only", "; ".join(metric.reference_only)),
        ("also called", ", ".join(word for words in metric.synonyms.values() for word in words)),
        ("version", f"{metric.version}, approved by {metric.approved_by} on {metric.approved_on}"),
        ("review due", str(metric.review_due)),
    ]


# --- the data dictionary -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column as the database describes it; an empty meaning is a missing comment."""

    name: str
    type: str
    is_nullable: bool
    meaning: str
    references: str


@dataclass(frozen=True)
class Table:
    """A table as the database describes it; keys are the columns of its primary key."""

    schema: str
    name: str
    meaning: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def layer(self) -> str:
        return "raw" if self.schema.startswith("raw_") else self.schema


COLUMNS = """
select
    n.nspname, t.relname, coalesce(obj_description(t.oid, 'pg_class'), ''),
    array(
        select k.attname::text from pg_index as i
        cross join lateral unnest(i.indkey) with ordinality as place (attnum, number)
        inner join pg_attribute as k on k.attrelid = t.oid and k.attnum = place.attnum
        where i.indrelid = t.oid and i.indisprimary order by place.number
    ),
    a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull, coalesce(col_description(t.oid, a.attnum), ''),
    coalesce((
        select min(f.confrelid::regclass::text) from pg_constraint as f
        where f.conrelid = t.oid and f.contype = 'f' and f.conkey = array[a.attnum]
    ), '')
from pg_class as t
inner join pg_namespace as n on n.oid = t.relnamespace
inner join pg_attribute as a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
where t.relkind in ('r', 'p', 'v', 'm') and (n.nspname in ('core', 'marts', 'ops') or n.nspname like 'raw\\_%%')
order by n.nspname, t.relname, a.attnum
"""


def tables(settings: Settings) -> list[Table]:
    """Every table of our schemas, by schema and name."""
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(COLUMNS.replace("%%", "%"))
        rows = cursor.fetchall()
    return [
        Table(schema, name, meaning, tuple(keys), tuple(Column(*row[4:]) for row in columns))
        for (schema, name, meaning, keys), columns in groupby(rows, lambda row: (row[0], row[1], row[2], row[3]))
    ]


def missing_comments(settings: Settings) -> list[str]:
    """Tables and columns without a comment."""
    found = tables(settings)
    bare = [f"{table.schema}.{table.name}" for table in found if not table.meaning]
    return bare + [
        f"{table.schema}.{table.name}.{column.name}"
        for table in found
        for column in table.columns
        if not column.meaning
    ]


def dictionary_page(settings: Settings) -> str:
    """docs/data_dictionary.md, from the comments of a migrated database."""
    known = tables(settings)
    lines = [
        "# Data dictionary",
        "",
        MADE_BY.format("the comments in db/migrations"),
        "",
        "Moments are UTC. Amounts are in their row's currency. Where null means something, the column says so.",
        "Under the name of a table stands what one row is; **bold** columns are its key.",
    ]
    for layer, words in LAYERS.items():
        lines += ["", f"## {layer}: {words}"]
        lines += _raw(known) if layer == "raw" else _each(table for table in known if table.layer == layer)
    return "\n".join(lines) + "\n"


def _each(chosen: Iterable[Table]) -> Iterator[str]:
    for table in chosen:
        yield from ("", f"### {table.schema}.{table.name}", "", table.meaning, "")
        yield from _column_table(table)


def _raw(known: Sequence[Table]) -> Iterator[str]:
    """Tables of received things are alike, so their columns are told once."""
    for title, is_one in (("documents", True), ("records", False)):
        alike = [table for table in known if table.layer == "raw" and (table.name == "documents") is is_one]
        yield from ("", f"### Tables of {title}", "")
        yield from _table(["table", "one row"], [(f"{t.schema}.{t.name}", t.meaning) for t in alike])
        for _, group in groupby(sorted(alike, key=lambda t: str(t.columns)), lambda t: t.columns):
            members = list(group)
            own = "" if len(members) == len(alike) else f" of {', '.join(f'{t.schema}.{t.name}' for t in members)}"
            yield from ("", f"Columns{own}:", "")
            yield from _column_table(members[0])


def _column_table(table: Table) -> list[str]:
    rows = [
        (
            f"**{column.name}**" if column.name in table.keys else column.name,
            _short_type(column.type) + (", null" if column.is_nullable else ""),
            column.meaning + (f" -> {column.references}" if column.references else ""),
        )
        for column in table.columns
    ]
    return _table(["column", "type", "meaning"], rows)


def _short_type(name: str) -> str:
    return name.replace("timestamp with time zone", "timestamptz").replace("time without time zone", "time")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a cell's own bars and line ends can't break it."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in ([*heads], ["---"] * len(heads), *cells)]


# --- the diagram -------------------------------------------------------------------------------------------

# Where core's tables stand, by column; a test asks that each has a place. Stores stand below the receipts, so that
# the lines from them to the stock pass under the receipts.
PLACES = (
    ("customer_sources", "customers", "customer_facts", "customer_match_decisions", "employees", "stores"),
    ("payments", "sales", "funnel_events", "customer_match_candidates"),
    ("sale_lines", "stock_levels", "stock_movements", "deliveries"),
    ("products", "inventory", "suppliers"),
)
BELOW = {"stores": 1}  # table -> column of places it stands below
COLOURS = {"sales": "#0f766e", "people": "#7c4a03", "stock": "#3730a3"}
AREAS = {
    **dict.fromkeys(("payments", "sales", "sale_lines", "stores"), "sales"),
    **dict.fromkeys(("customer_sources", "customers", "employees"), "people"),
}
LEFT_OUT = ("raw_id", "load_id", "document_id", "valid_from", "known_from", "change_cause", "rule_version")
WIDTH, ROW, HEAD, GAP, MARGIN, LANE = 236, 19, 28, 84, 44, 12
STYLE = (
    "text{font:12px ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2937}"
    ".t{fill:#fff;font-weight:600;font-size:13px}.k{font-weight:600}.y{fill:#6b7280;font-size:11px}"
    ".l{fill:none;stroke:#64748b;stroke-width:1.3}.o{stroke-dasharray:5 3}"
)


@dataclass(frozen=True)
class Box:
    """A table in the diagram: its place, and the columns that are shown."""

    table: Table
    column: int
    x: int
    y: int
    shown: tuple[Column, ...]

    @property
    def bottom(self) -> int:
        return self.y + HEAD + ROW * len(self.shown) + 6

    def middle(self, name: str) -> int:
        """The height of a column's row."""
        place = [column.name for column in self.shown].index(name)
        return self.y + HEAD + ROW * place + ROW // 2 + 3

    def side(self, to_the_right: bool) -> int:
        return self.x + (WIDTH if to_the_right else 0)


def boxes(known: Sequence[Table]) -> dict[str, Box]:
    """Core's tables, placed."""
    core = {table.name: table for table in known if table.schema == "core"}
    placed: dict[str, Box] = {}
    bottoms: dict[int, int] = {}
    for column in sorted(range(len(PLACES)), key=lambda c: any(BELOW.get(name) for name in PLACES[c])):
        for name in PLACES[column]:
            floor = max(bottoms.get(column, 0), bottoms[BELOW[name]] if name in BELOW else 0)
            shown = tuple(c for c in core[name].columns if c.name not in LEFT_OUT)
            place = Box(core[name], column, MARGIN + column * (WIDTH + GAP), floor + (30 if floor else MARGIN), shown)
            placed[name] = place
            bottoms[column] = place.bottom
    return placed


def diagram(known: Sequence[Table]) -> str:
    """docs/data_model.svg: core's tables and how they point at one another."""
    placed = boxes(known)
    lanes: dict[int, list[str]] = {}
    parts = [
        line
        for box in placed.values()
        for column in box.shown
        if column.references.startswith("core.")
        for line in _edge(box, column, placed[column.references.removeprefix("core.")], lanes)
    ]
    parts += [line for box in placed.values() for line in _drawn(box)]
    width = 2 * MARGIN + len(PLACES) * WIDTH + (len(PLACES) - 1) * GAP
    height = max(box.bottom for box in placed.values()) + 66
    words = (
        "A fork stands at the side of many, a bar at the side of one. A dashed line may lead nowhere (null).",
        "Bold columns are the key. The columns every table has for its raw record and its history are left out.",
    )
    notes = [f'<text class="y" x="{MARGIN}" y="{height - 34 + 16 * n}">{word}</text>' for n, word in enumerate(words)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    title = "<title>Tables of core and their relations</title>"
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, title, f"<style>{STYLE}</style>", ground, *parts, *notes, "</svg>"]) + "\n"


def _edge(child: Box, column: Column, parent: Box, lanes: dict[int, list[str]]) -> list[str]:
    """A line from a referring column to the key it refers to, in the parent's lane of the gap beside the child."""
    same = child.column == parent.column
    child_right = child.column > 0 if same else child.column < parent.column
    parent_right = child_right if same else not child_right
    gap = child.column + (1 if child_right else 0)
    lane = lanes.setdefault(gap, [])
    if parent.table.name not in lane:
        lane.append(parent.table.name)
    start, end = child.side(child_right), parent.side(parent_right)
    step = 20 + LANE * lane.index(parent.table.name)
    turn = start + (step if child_right else -step)
    y, key = child.middle(column.name), parent.middle(parent.table.keys[0])
    outward, back = (1 if child_right else -1), (1 if parent_right else -1)
    is_one = child.table.keys == (column.name,)
    mark = (
        f"M{start + 8 * outward} {y - 5}v10"
        if is_one
        else f"M{start} {y - 5}L{start + 11 * outward} {y}L{start} {y + 5}"
    )
    style = "l o" if column.is_nullable else "l"
    return [
        f'<path class="{style}" d="M{start} {y}H{turn}V{key}H{end}"/>',
        f'<path class="l" d="{mark}M{end + 8 * back} {key - 5}v10"/>',
    ]


def _drawn(box: Box) -> Iterator[str]:
    colour = COLOURS[AREAS.get(box.table.name, "stock")]
    height = box.bottom - box.y
    place = f'x="{box.x}" y="{box.y}" width="{WIDTH}"'
    yield f'<rect {place} height="{height}" rx="5" fill="#fff" stroke="{colour}" stroke-width="1.2"/>'
    yield f'<path fill="{colour}" d="M{box.x} {box.y + HEAD}v{5 - HEAD}q0-5 5-5h{WIDTH - 10}q5 0 5 5v{HEAD - 5}z"/>'
    yield f'<text class="t" x="{box.x + 10}" y="{box.y + 19}">{box.table.name}</text>'
    for column in box.shown:
        y = box.middle(column.name) + 4
        key = ' class="k"' if column.name in box.table.keys else ""
        type_name = _short_type(column.type) + (" null" if column.is_nullable else "")
        yield f'<text{key} x="{box.x + 10}" y="{y}">{column.name}</text>'
        yield f'<text class="y" x="{box.x + WIDTH - 8}" y="{y}" text-anchor="end">{type_name}</text>'


# --- writing -----------------------------------------------------------------------------------------------


@contextmanager
def migrated_database() -> Iterator[Settings]:
    """A PostgreSQL of its own with every migration applied; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="panpan-documentation-"))
    folder.chmod(0o755)
    settings = initialise(folder / "home")
    try:
        postgres.start(settings)
        migrate(settings)
        yield settings
    finally:
        postgres.destroy(settings)
        shutil.rmtree(folder, ignore_errors=True)


def write_pages() -> list[Path]:
    """Write every made page; gives those that changed."""
    with migrated_database() as settings:
        pages = {
            COMMAND_LINE: command_line_page(),
            ENV_EXAMPLE: env_example(),
            QUALITY: quality.page(),
            METRICS: metrics_page(),
            DICTIONARY: dictionary_page(settings),
            DIAGRAM: diagram(tables(settings)),
            FLOW: draw(load_graph(settings)),
        }
    changed = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(pages[path], encoding="utf-8")
    return changed


def main() -> int:
    """Write the pages and say which changed."""
    try:
        changed = write_pages()
    except PanpanError as error:
        sys.stderr.write(f"error: {error.message}\ncause: {error.explained_cause()}\nnext:  {error.next}\n")
        return error.exit_code
    for path in changed:
        sys.stdout.write(f"written: {path.relative_to(CHECKOUT)}\n")
    sys.stdout.write("" if changed else "nothing changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
