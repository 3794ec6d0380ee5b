"""How answers are written and drawn, without a database."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from defusedxml import ElementTree
from openpyxl import load_workbook

from metabase.answers import Answer, Coverage, DataState, SourceState, as_of
from metabase.catalogue import load_catalogue
from metabase.charts import describe, draw, store_colours
from metabase.export import safe_cell, to_csv, to_json, to_xlsx
from metabase.formats import write
from metabase.parameters import Filters
from metabase.preview import single_figure, status_sentences, table_cells
from metabase.sheets import HEADING, Block, fitted, paged, text, wrapped
from metabase.widths import cut, measured

QUESTIONS = load_catalogue().questions
NOW = datetime(2026, 6, 30, 7, tzinfo=UTC)
HOSTILE = ["<script>alert(1)</script>", "\"'><img src=x onerror=1>", '🥐, "; --', "x" * 200, "a]]>b", "&amp;"]


def answer_of(name: str, **columns: list[Any]) -> Answer:
    """An answer made of columns; those not given are empty."""
    question = QUESTIONS[name]
    length = len(next(iter(columns.values())))
    names = tuple(column.name for column in question.columns)
    filled = [columns.get(name, [None] * length) for name in names]
    return Answer(question, Filters(), names, tuple(zip(*filled, strict=True)))


def daily(names: list[str], days: int = 5) -> Answer:
    cells = [(date(2026, 6, 1) + timedelta(days=d), n) for d in range(days) for n in names]
    return answer_of(
        "sales_per_store_by_day",
        business_date=[day for day, _ in cells],
        store_name=[name for _, name in cells],
        store_id=[f"id {names.index(name)}" for _, name in cells],
        net_amount=[Decimal("10.50") * (1 + names.index(name)) for _, name in cells],
        currency_code=["EUR"] * len(cells),
    )


WRITTEN = [
    (Decimal("1234567.8"), "money", "€1,234,567.80"),
    (Decimal("-0.5"), "money", "\N{MINUS SIGN}€0.50"),
    (None, "money", "\N{EN DASH}"),
    (12345, "count", "12,345"),
    (Decimal("1.2500"), "quantity", "1.25"),
    (Decimal("-3.0000"), "quantity", "\N{MINUS SIGN}3"),
    (Decimal("0.1234"), "share", "12.3%"),
    (Decimal("26.50"), "hours", "26.5 h"),
    (Decimal(2), "minutes", "2 min"),
    (date(2026, 6, 1), "date", "1 Jun 2026"),
    (date(2026, 6, 1), "month", "Jun 2026"),
    ("=cmd", "text", "=cmd"),
]


@pytest.mark.parametrize(("value", "kind", "text"), WRITTEN)
def test_values_are_written_for_readers(value: Any, kind: str, text: str) -> None:
    assert write(value, kind, "EUR") == text


def test_unknown_currencies_are_written_with_their_code() -> None:
    assert write(Decimal(5), "money", "SEK") == "SEK\N{NO-BREAK SPACE}5.00"
    assert write(Decimal(5), "money", None) == "5.00"


CELLS = [
    ("=1+1", "'=1+1"),
    ("+49 30", "'+49 30"),
    ("-cmd", "'-cmd"),
    ("@sum", "'@sum"),
    ("\t=1", "'\t=1"),
    ("  =1", "'  =1"),
    ("Rye, 'dark'", "Rye, 'dark'"),
    (Decimal("-1.50"), "-1.50"),
    (None, ""),
    (date(2026, 6, 1), "2026-06-01"),
]


@pytest.mark.parametrize(("value", "text"), CELLS)
def test_a_spreadsheet_runs_nothing_from_a_download(value: Any, text: str) -> None:
    assert safe_cell(value) == text


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "  ="])
def test_a_workbook_runs_nothing_and_keeps_the_words(start: str) -> None:
    answer = daily([f"{start}HYPERLINK(1)"], days=1)
    sheet = load_workbook(io.BytesIO(to_xlsx([(answer, [])])))["sales_per_store_by_day"]
    cell = sheet["B2"]

    assert cell.data_type == "s"
    assert cell.quotePrefix
    assert cell.value.strip() == f"{start}HYPERLINK(1)".strip()


def test_a_workbook_has_real_types() -> None:
    sheet = load_workbook(io.BytesIO(to_xlsx([(daily(["Centro"], days=1), [])])))["sales_per_store_by_day"]

    assert [cell.value for cell in sheet[1]] == ["Day", "Store", "Store id", "Net sales", "Currency", "From", "To"]
    assert (sheet["A2"].value, sheet["A2"].number_format) == (datetime(2026, 6, 1), "yyyy-mm-dd")
    assert (sheet["D2"].value, sheet["D2"].data_type, sheet["D2"].number_format) == (10.5, "n", "#,##0.00")
    assert (sheet["B2"].value, sheet["B2"].data_type) == ("Centro", "s")
    assert sheet["F2"].value is None


def test_letters_no_file_may_hold_are_left_out() -> None:
    sheet = load_workbook(io.BytesIO(to_xlsx([(daily(["a\x00b"], days=1), [])])))["sales_per_store_by_day"]

    assert sheet["B2"].value == "ab"


@pytest.mark.parametrize("words", [*HOSTILE, "a\x00b\x1b\udc80"])
def test_words_on_paper_are_words(words: str) -> None:
    drawn = ElementTree.fromstring(f"<svg>{text(words, 0, 0, 12)}</svg>")

    assert "".join(drawn.itertext()) == words.replace("\x00", "").replace("\x1b", "").replace("\udc80", "")


def test_words_on_paper_stay_in_their_width() -> None:
    lines = wrapped("Net sales of all stores on the newest business date, " * 3 + "x" * 400, 200, 12)

    assert len(lines) > 3
    assert all(measured(line, 12) <= 200 for line in lines)
    assert lines[-1].endswith("…")
    assert cut("Żółć 中文", 500, 12) == "Żółć 中文"


def test_columns_on_paper_share_the_width_and_the_widest_give_way() -> None:
    assert fitted([10, 20], 60) == [25, 35]
    assert fitted([100, 20, 300], 220) == [100, 20, 100]


def test_a_heading_stands_with_what_it_heads() -> None:
    heading, card = Block(HEADING, "h"), Block(700, "c")
    pages = paged([card, Block(500, "c"), heading, card, card])

    assert [[block.svg for block in blocks] for blocks in pages] == [["c", "c"], ["h", "c"], ["c"]]


def test_downloads_are_exact() -> None:
    answer = daily(["=Centro"], days=1)

    assert to_csv(answer).splitlines() == [
        "\ufeffbusiness_date,store_name,store_id,net_amount,currency_code,first_day,last_day",
        "2026-06-01,'=Centro,id 0,10.50,EUR,,",
    ]
    assert to_json(answer, [])["rows"][0] == {
        "business_date": "2026-06-01",
        "store_name": "=Centro",
        "store_id": "id 0",
        "net_amount": "10.50",
        "currency_code": "EUR",
        "first_day": None,
        "last_day": None,
    }


def test_a_goal_is_a_dashed_line_beside_the_figure() -> None:
    days = [date(2026, 6, day) for day in (1, 2, 3)]
    amounts = [Decimal(10), None, Decimal(30)]
    answer = answer_of(
        "sales_against_same_weekday",
        business_date=days,
        net_amount=amounts,
        usual_net_amount=[Decimal(900)] * 3,
        currency_code=["EUR"] * 3,
    )
    picture = draw(answer, {}, 700)

    assert "stroke-dasharray" in picture.wide
    assert "€1,000" in picture.wide  # the axis reaches up to the goal
    assert [words for words, _ in picture.legend] == ["Net sales", "Usual for the weekday"]


def test_a_few_days_have_one_label_each() -> None:
    picture = draw(daily(["Centro"], days=3), {}, 700)

    assert re.findall(r"<text[^>]*>([^<]* Jun)<", picture.wide) == ["1 Jun", "2 Jun", "3 Jun"]


def test_averages_are_never_summed_for_listeners() -> None:
    answer = daily(["Centro"])
    display = answer.question.display.model_copy(update={"adds_up": False})
    question = answer.question.model_copy(update={"display": display})

    assert describe(answer).endswith("Centro €52.50 in all.")
    assert describe(replace(answer, question=question)).endswith("Centro €10.50 at the end.")


def test_lines_are_drawn_for_page_and_phone() -> None:
    picture = draw(daily(["Centro", "Mercato"]), store_colours(["id 0", "id 1"]), 1100)

    for svg in (picture.wide, picture.narrow):
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "width" not in root.attrib
        assert "€" in svg
    assert picture.legend == (("Centro", "#1f6f78"), ("Mercato", "#b8651b"))
    assert "Centro €52.50 in all; Mercato €105.00 in all" in picture.sentence


def test_a_store_keeps_its_colour_when_another_is_missing() -> None:
    colours = store_colours(["id 1", "id 0"])

    both = dict(draw(daily(["Centro", "Mercato"]), colours, 1100).legend)

    assert both["Centro"] == colours["id 0"]
    assert draw(daily(["Centro"]), colours, 1100).wide.count(colours["id 0"]) > 0


@pytest.mark.parametrize("start", range(4))
def test_a_name_is_cut_between_its_characters(start: int) -> None:
    """Where the drawing engine cut, a character of two halves could lose one, and the page was gone."""
    names = ["x" * start + "🥐" * 40, "x" * start + "🥐" * 41, "Brioche 🥐 ½ ₿" * 3]
    picture = draw(
        answer_of("product_ranking", product_name=names, net_amount=[Decimal(n) for n in (3, 2, 1)]), {}, 550
    )

    for svg in (picture.wide, picture.narrow):
        labels = [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
        assert sum(label.endswith("…") for label in labels) == len(names), "as many bars as names"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_in_every_kind_of_chart(name: str) -> None:
    ranking = answer_of("product_ranking", product_name=[name, "b"], net_amount=[Decimal(2), Decimal(-1)])
    monthly = answer_of(
        "sales_per_store_by_month", month=[date(2026, 1, 1)] * 2, store_name=[name, "b"], store_id=["1", "2"],
        net_amount=[Decimal(1), None],
    )  # fmt: skip
    for answer in (ranking, monthly, daily([name, "other"])):
        picture = draw(answer, {}, 550)
        for svg in (picture.wide, picture.narrow):
            tags = {element.tag.rsplit("}")[-1] for element in ElementTree.fromstring(svg).iter()}
            assert tags <= {"svg", "g", "path", "line", "rect", "text", "tspan", "defs", "clipPath"}
            assert "<script" not in svg


def test_months_without_sales_leave_a_gap() -> None:
    answer = answer_of(
        "new_and_returning_customers",
        month=[date(2025, 12, 1), date(2026, 3, 1)],
        customer_kind=["New", "New"],
        customer_count=[3, 4],
    )

    svg = draw(answer, {}, 1100).wide

    assert ">Dec<" in svg
    assert ">Jan<" in svg
    assert ">Feb<" in svg


def test_one_point_is_still_seen() -> None:
    assert draw(daily(["Centro"], days=1), {}, 1100).wide.count("<path") > 2


FIGURES = [
    (Decimal(110), Decimal(100), "10.0% more than the same weekday a week before (€100.00)", "up"),
    (Decimal(90), Decimal(100), "10.0% less than the same weekday a week before (€100.00)", "down"),
    (Decimal(100), Decimal(100), "the same as the same weekday a week before", "level"),
    (Decimal(100), None, "nothing to compare with: no figure for the same weekday a week before", ""),
    (Decimal(100), Decimal(0), "nothing to compare with: no figure for the same weekday a week before", ""),
    (Decimal(100), Decimal(-5), "nothing to compare with: no figure for the same weekday a week before", ""),
]


@pytest.mark.parametrize(("now", "before", "words", "direction"), FIGURES)
def test_a_figure_is_compared_in_words(now: Decimal, before: Decimal | None, words: str, direction: str) -> None:
    answer = answer_of(
        "sales_on_latest_day",
        business_date=[date(2026, 6, 29)],
        net_amount=[now],
        previous_net_amount=[before],
        currency_code=["EUR"],
    )

    figure = single_figure(answer)

    assert (figure.comparison, figure.direction, figure.when) == (words, direction, "29 Jun 2026")


def test_low_stock_alarms_only_above_its_limit() -> None:
    def figure(count: int) -> Any:
        return single_figure(answer_of("low_stock_count", low_stock_count=[count], stock_count=[9]))

    assert figure(1).is_alarming
    assert not figure(0).is_alarming
    assert figure(1).comparison == "of 9 products kept in a store"


def test_hidden_columns_are_not_on_pages() -> None:
    answer = answer_of("tickets_per_store", store_name=["Centro"], store_id=["secret id"], ticket_count=[3])

    texts = [cell.text for cell in table_cells(answer, 10)[0]]

    assert "Centro" in texts
    assert "secret id" not in texts


def source(name: str, freshness: str, hours: int | None) -> SourceState:
    moment = NOW - timedelta(hours=hours) if hours is not None else None
    return SourceState(name, name.title(), moment, moment, 1, 0, freshness)


def test_the_state_of_the_data_is_said_in_sentences() -> None:
    fresh, late, silent = (
        source("pos", "fresh", 1),
        source("crm", "late", 30),
        source("stock", "silent", None),
    )

    assert status_sentences(DataState("v", (fresh, late, silent)))[0] == (
        "bad",
        "Stock is silent: nothing has arrived yet.",
    )
    assert status_sentences(DataState("v", (fresh, late)))[0][1].startswith("Crm is late: known only until ")
    assert status_sentences(DataState("v", (fresh, fresh)))[0][1].startswith("Both sources are fresh")
    assert status_sentences(DataState("v", ()))[0][0] == "warn"
    assert status_sentences(DataState("v", (fresh, late)), [fresh]) == [
        ("good", "Pos, the only source behind this page, is fresh.")
    ]
    assert status_sentences(DataState("v", (fresh, late)), []) == []
    many = status_sentences(DataState("v", (late, late, late)))
    assert [text.split(":")[0] for _, text in many] == ["3 sources are late"]


def test_a_card_is_as_old_as_its_oldest_source() -> None:
    """Sources of another currency or of other days have no part in it."""
    mart = "marts.daily_store_sales"
    first, last = date(2026, 6, 1), date(2026, 6, 29)
    coverage = (
        Coverage(mart, "pos", "EUR", first, last, 9),
        Coverage(mart, "shop", "EUR", first, last, 9),
        Coverage(mart, "dollars", "USD", first, last, 9),
        Coverage(mart, "long_ago", "EUR", date(2019, 4, 1), date(2019, 4, 30), 9),
    )
    sources = tuple(
        source(name, "fresh", hours) for name, hours in [("pos", 3), ("shop", 5), ("dollars", 90), ("long_ago", 99)]
    )
    state = DataState("v", sources, coverage)
    answer = daily(["Centro"])

    assert {s.source for s in state.behind(answer)} == {"pos", "shop"}
    assert as_of(state.behind(answer)) == NOW - timedelta(hours=5)
    assert [s.source for s in state.behind(replace(answer, filters=Filters(source="pos")))] == ["pos"]


def test_the_currency_of_most_receipts_is_shown_unless_one_is_chosen() -> None:
    mart, day = "marts.daily_store_sales", date(2026, 6, 1)
    coverage = (Coverage(mart, "a", "JPY", day, day, 5), Coverage(mart, "b", "EUR", day, day, 50))
    state = DataState("v", (), coverage)

    assert state.with_currency(Filters()).currency == "EUR"
    assert state.with_currency(Filters(source="a")).currency == "JPY"
    assert state.with_currency(Filters(currency="JPY")).currency == "JPY"
    assert DataState("v", ()).with_currency(Filters()).currency is None
