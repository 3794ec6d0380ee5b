"""
Dashboards without a Metabase: each card with its figure, definition, owner, moment and SQL, ready for a
page.

Comes in: the catalogue and the marts. Goes out: views (plain values and SVG) that panpan.web puts into
templates. All cards of a page are answered in one snapshot; what was drawn is kept until the data change.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain

from metabase.answers import (
    Answer,
    DataState,
    SourceState,
    as_of,
    ask,
    is_reachable,
    read_coverage,
    read_version,
    snapshot,
)
from metabase.catalogue import Card, Catalogue, Dashboard, Question, Tone, load_catalogue
from metabase.charts import Picture, draw, store_colours
from metabase.compiled import plan_of, receipts_address
from metabase.formats import write, write_moment, write_period
from metabase.parameters import Filters
from panpan.errors import PanpanError
from panpan.settings import Settings
from transforms.compiler import Plan, keep_plan

KEPT_PAGES = 64
MOST_SENTENCES = 2  # then sources are named together
CARD_ROWS, PAGE_ROWS = 25, 1000
COLUMN_PIXELS = 46  # of one of the 24 columns at the widest page
OVERVIEW_FIGURES = ("sales_on_latest_day", "sales_in_last_30_days", "low_stock_count", "sources_late_count")

NUMBERS = ("money", "count", "quantity", "share", "days", "hours", "minutes")
CSS_CLASSES = {
    "word": "word",
    **dict.fromkeys(NUMBERS, "number"),
    **dict.fromkeys(("date", "month", "moment"), "moment"),
}

View = TypeVar("View")


class UnknownPage(PanpanError):
    """There is no page of this name."""


@dataclass(frozen=True)
class Cell:
    """A value as the reader sees it."""

    text: str
    css_class: str = "words"  # or number, moment
    tone: Tone | None = None
    share: float | None = None  # of the column's largest value, for the bar behind it
    link: str | None = None  # to the receipts of the figure


@dataclass(frozen=True)
class Figure:
    """A single figure: the value, what day it is for, and the sentence that compares it."""

    text: str
    when: str
    comparison: str
    direction: str  # up, down or level; empty where nothing is compared
    is_alarming: bool


@dataclass(frozen=True)
class CardView:
    """Everything a card shows. Exactly one of figure, picture, rows and message carries the answer."""

    question: Question
    answer: Answer
    titles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    figure: Figure | None
    picture: Picture | None
    message: str | None
    scope: str
    as_of: datetime | None
    sources: tuple[SourceState, ...]
    place: Card | None = None
    plan_id: str | None = None  # by which any other door gives the same figures

    @property
    def as_of_text(self) -> str:
        return write_moment(self.as_of) if self.as_of else "nothing has arrived yet"

    @property
    def row_count(self) -> int:
        return len(self.answer.rows)


@dataclass(frozen=True)
class TabView:
    """A part of a dashboard: bands of cards that stand beside one another."""

    title: str
    bands: tuple[tuple[CardView | Card, ...], ...]


@dataclass(frozen=True)
class DashboardView:
    dashboard: Dashboard
    tabs: tuple[TabView, ...]
    filters: Filters
    state: DataState

    @property
    def sources(self) -> list[SourceState]:
        """The sources behind any card of the page, each once."""
        views = [card for tab in self.tabs for band in tab.bands for card in band if isinstance(card, CardView)]
        return list(dict.fromkeys(source for view in views for source in view.sources))


@dataclass(frozen=True)
class QuestionView:
    card: CardView
    filters: Filters
    state: DataState


@dataclass(frozen=True)
class OverviewView:
    figures: tuple[CardView, ...]
    freshness: CardView
    state: DataState


class Preview:
    """The dashboards of one installation. Safe to be asked by several threads."""

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self.settings = settings
        self.catalogue = catalogue or load_catalogue()
        self._pages: OrderedDict[tuple[object, ...], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._readers = threading.BoundedSemaphore(6)  # role bi may open 20 connections, and Metabase needs some

    def overview(self) -> OverviewView:
        """The first page: main figures and what has arrived."""

        def make(connection: PgConnection, state: DataState, filters: Filters) -> OverviewView:
            cards = [self._card(connection, state, name, filters, columns=8) for name in OVERVIEW_FIGURES]
            return OverviewView(tuple(cards), self._card(connection, state, "data_freshness", filters), state)

        return self._view(("overview",), Filters(), make)

    def dashboard(self, name: str, filters: Filters) -> DashboardView:
        """
        One dashboard.

        Errors: UnknownPage; DatabaseError when the marts can't be read.
        """
        dashboard = self._dashboard(name)

        def make(connection: PgConnection, state: DataState, filters: Filters) -> DashboardView:
            tabs = []
            for tab in dashboard.tabs:
                views: dict[int, list[CardView | Card]] = {}
                for card in sorted(tab.cards, key=lambda card: (card.row, card.col)):
                    view = self._placed(connection, state, card, filters) if card.question else card
                    views.setdefault(card.row, []).append(view)
                tabs.append(TabView(tab.title, tuple(tuple(band) for band in views.values())))
            return DashboardView(dashboard, tuple(tabs), filters, state)

        return self._view(("dashboard", name), filters if dashboard.filters else Filters(), make)

    def question(self, name: str, filters: Filters) -> QuestionView:
        """One card, large, with its rows. Errors: UnknownPage; DatabaseError when the marts can't be read."""
        self._known(name)

        def make(connection: PgConnection, state: DataState, filters: Filters) -> QuestionView:
            return QuestionView(self._card(connection, state, name, filters, most_rows=PAGE_ROWS), filters, state)

        return self._view(("question", name), filters, make)

    def download(self, name: str, filters: Filters) -> tuple[Answer, list[SourceState]]:
        """Every row of one question, and the sources behind it. Errors: as `question`."""
        [download] = self.downloads([self._known(name)], filters)
        return download

    def downloads(self, questions: Sequence[Question], filters: Filters) -> list[tuple[Answer, list[SourceState]]]:
        """Every row of several questions, answered in one snapshot."""
        with self._readers, snapshot(self.settings) as connection:
            state = read_coverage(connection, read_version(connection))
            filters = state.with_currency(filters)
            answers = [ask(connection, question, filters, most_rows=None) for question in questions]
            return [(answer, state.behind(answer)) for answer in answers]

    def questions_of(self, name: str) -> list[Question]:
        """The questions of a dashboard, each once. Errors: UnknownPage."""
        names = dict.fromkeys(self._dashboard(name).question_names())
        return [self.catalogue.questions[each] for each in names]

    def is_reachable(self) -> bool:
        """Whether the marts can be read."""
        return is_reachable(self.settings)

    def _dashboard(self, name: str) -> Dashboard:
        if name not in self.catalogue.dashboards:
            raise UnknownPage(f"there is no dashboard {name!r}")
        return self.catalogue.dashboards[name]

    def _known(self, name: str) -> Question:
        if name not in self.catalogue.questions:
            raise UnknownPage(f"there is no question {name!r}")
        return self.catalogue.questions[name]

    def _view(
        self,
        page: tuple[str, ...],
        filters: Filters,
        make: Callable[[PgConnection, DataState, Filters], View],
    ) -> View:
        """The page as drawn before, if nothing it shows has changed; else drawn now, in one snapshot."""
        with self._readers, snapshot(self.settings) as connection:
            state = read_version(connection)
            key = (*page, filters, state.version)
            with self._lock:
                if key in self._pages:
                    self._pages.move_to_end(key)
                    kept: View = self._pages[key]
                    return kept
            state = read_coverage(connection, state)
            view = make(connection, state, state.with_currency(filters))
        with self._lock:
            self._pages[key] = view
            while len(self._pages) > KEPT_PAGES:
                self._pages.popitem(last=False)
        return view

    def _placed(self, connection: PgConnection, state: DataState, card: Card, filters: Filters) -> CardView:
        return self._card(connection, state, card.question or "", filters, columns=card.size_x, place=card)

    def _card(
        self,
        connection: PgConnection,
        state: DataState,
        name: str,
        filters: Filters,
        *,
        columns: int = 24,
        most_rows: int = CARD_ROWS,
        place: Card | None = None,
    ) -> CardView:
        question = self.catalogue.questions[name]
        answer = ask(connection, question, filters)
        sources = state.behind(answer)
        kind = question.display.kind
        plan = self._plan(answer)
        drawable = not answer.failure and not answer.is_empty
        picture = None
        if drawable and kind in ("line", "bar", "row"):
            picture = draw(answer, store_colours(state.store_ids), columns * COLUMN_PIXELS)
        return CardView(
            question=question,
            answer=answer,
            titles=tuple(column.title for column in question.columns if not column.hidden),
            rows=table_cells(answer, most_rows, plan) if not answer.failure else (),
            figure=single_figure(answer) if drawable and kind == "scalar" else None,
            picture=picture,
            message=None if drawable else _message(answer, state),
            scope=_scope(answer, state),
            as_of=as_of(sources),
            sources=tuple(sources),
            place=place,
            plan_id=plan.plan_id if plan else None,
        )

    def _plan(self, answer: Answer) -> Plan | None:
        """The plan of a compiled answer, kept so that its id leads to the receipts."""
        question = answer.question
        if question.cells is None or question.metric is None or answer.failure:
            return None
        plan = plan_of(question.metric, question.cells, answer.records(), answer.filters.source)
        if plan is not None:
            keep_plan(self.settings, plan)
        return plan


def table_cells(answer: Answer, most_rows: int, plan: Plan | None = None) -> tuple[tuple[Cell, ...], ...]:
    """The first rows of an answer as cells, hidden columns left out; figures of a plan lead to their receipts."""
    display, compiled = answer.question.display, answer.question.cells
    largest = max((abs(v) for v in answer.values(display.bar) if v is not None), default=0) if display.bar else 0
    rows = []
    for record in answer.records()[:most_rows]:
        currency = record.get("currency_code")
        address = receipts_address(plan, compiled, record) if plan and compiled else None
        cells = []
        for column in answer.question.columns:
            value = record[column.name]
            tone = display.mark.tones.get(value) if display.mark and display.mark.column == column.name else None
            share = float(abs(value) / largest) if display.bar == column.name and largest and value else None
            if not column.hidden:
                cells.append(
                    Cell(
                        write(value, column.format, currency),
                        CSS_CLASSES.get(column.format, "words"),
                        tone,
                        share,
                        address if column.name == display.y and value is not None else None,
                    )
                )
        rows.append(tuple(cells))
    return tuple(rows)


def single_figure(answer: Answer) -> Figure:
    """The one row of a single figure, in words."""
    display, record = answer.question.display, answer.records()[0]
    column = answer.question.column(display.y or "")
    value = record[column.name]
    day = record[display.x] if display.x else None
    when = write(day, answer.question.column(display.x or "").format) if day else ""
    if "first_day" in record and "last_day" in record:
        when = write_period(record["first_day"], record["last_day"])
    comparison, direction = _comparison(answer, record, value)
    alarming = display.alarm_above is not None and value > display.alarm_above
    return Figure(write(value, column.format, answer.currency), when, comparison, direction, alarming)


def _comparison(answer: Answer, record: dict[str, Any], value: Any) -> tuple[str, str]:
    compare = answer.question.display.compare
    if compare is None:
        return "", ""
    other = record[compare.column]
    column = answer.question.column(compare.column)
    other_text = write(other, column.format, answer.currency)
    if compare.as_ == "of":
        return f"of {other_text} {compare.label}", ""
    if other is None or (compare.as_ == "change" and other <= 0):
        return f"nothing to compare with: no figure for {compare.label}", ""
    difference = Decimal(value) - Decimal(other)
    direction = "up" if difference > 0 else "down" if difference < 0 else "level"
    if direction == "level":
        return f"the same as {compare.label}", direction
    points = compare.as_ == "points"
    size = abs(difference) * 100 if points else abs(difference) / Decimal(other) * 100
    word = {"up": "more", "down": "less"}[direction]
    return f"{size:,.1f}{' points' if points else '%'} {word} than {compare.label} ({other_text})", direction


def status_sentences(state: DataState, sources: Iterable[SourceState] | None = None) -> list[tuple[Tone, str]]:
    """How the data stand, in plain sentences, the worst first; of all sources, or of those behind one page."""
    if not state.sources:
        return [("warn", "Nothing has arrived yet. Start with: bin/panpan demo")]
    asked = list(state.sources if sources is None else sources)
    tones: dict[str, Tone] = {"silent": "bad", "late": "warn"}
    sentences: list[tuple[Tone, str]] = []
    for word, tone in tones.items():
        troubled = [source for source in asked if source.freshness == word]
        if len(troubled) <= MOST_SENTENCES:
            sentences += [(tone, f"{source.title} is {word}: {_known_until(source)}.") for source in troubled]
        else:
            names = ", ".join(source.title for source in troubled[:-1])
            said = f"{len(troubled)} sources are {word}: {names} and {troubled[-1].title}."
            sentences.append((tone, f"{said} The page Trust says until when each is known."))
    if sentences or not asked:
        return sentences
    whose = "" if sources is None else " behind this page"
    if len(asked) == 1:
        return [("good", f"{asked[0].title}, the only source{whose}, is fresh.")]
    number = "Both" if len(asked) == 2 else f"All {len(asked)}"
    return [("good", f"{number} sources{whose} are fresh: each is known up to within its agreed hours.")]


def _known_until(source: SourceState) -> str:
    moments = [moment for moment in (source.last_record_at, source.last_load_at) if moment is not None]
    return f"known only until {write_moment(min(moments))}" if moments else "nothing has arrived yet"


def _message(answer: Answer, state: DataState) -> str:
    if answer.failure:
        return f"This figure could not be worked out just now. The database said: {answer.failure}."
    asked = answer.filters.source or answer.filters.date_from or answer.filters.date_to
    if asked and state.sources:
        return "Nothing was found for what you chose. Try a longer period, or all sources."
    if answer.question.display.kind == "scalar" and answer.rows:
        return "No figure is known for this day."
    return "Nothing to show yet. This fills by itself once the first data have arrived."


def _scope(answer: Answer, state: DataState) -> str:
    """What the card covers, as a reader would say it: sources, currency, period."""
    if "source" not in answer.question.parameters:
        return ""
    chosen = answer.filters.source
    parts = [state.title(chosen) if chosen else "All sources"]
    currency = answer.currency or answer.filters.currency
    if currency:
        parts[0] += f" in {currency}"
    period = answer.period
    if period and answer.question.display.kind != "scalar":
        whole_months = answer.question.display.kind == "bar"
        parts.append(f"{period[0]:%b %Y} to {period[1]:%b %Y}" if whole_months else write_period(*period))
    return ", ".join(parts)
