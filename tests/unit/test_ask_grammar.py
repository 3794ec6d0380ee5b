"""The grammar without a database: every reading can be said again, values are names, nothing half understood passes."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panpan.ask.dates import Period
from panpan.ask.grammar import MOST_READINGS, Ranking, Reading, Refused, Understood, parse
from panpan.ask.lexicon import Known, build, vocabulary
from panpan.ask.phrasing import question_of
from panpan.ask.words import MOST_CHARACTERS, phrase
from transforms.metrics import load_metrics

TODAY = date(2026, 6, 25)
VALUES = frozenset(
    [
        ("store", "centro", "PanPan Centro"),
        ("store", "norte", "PanPan Norte"),
        ("store", "chain:5", "Corner"),
        ("store", "chain:7", "Corner"),
        ("product", '12" focaccia', '12" focaccia'),
        ("product", "Pan de payés", "Pan de payés"),
        ("product", "Croissant", "Croissant"),
        ("product", "Almond croissant", "Almond croissant"),
        ("product", "Bread", "Bread"),
        ("category", "Bread", "Bread"),
        ("channel", "store", "store"),
        ("channel", "takeaway", "takeaway"),
    ]
)
LEXICON = build(load_metrics(), Known(VALUES, date(2025, 4, 1), date(2026, 6, 24)))


def readings(question: str) -> list[Reading]:
    parsed = parse(question, LEXICON, TODAY)
    assert isinstance(parsed, Understood), parsed
    return [reading for reading, _ in parsed.readings]


def kept(question: str) -> set[tuple[str, str]]:
    return {(name, value) for reading in readings(question) for name, value, _ in reading.where}


def test_two_stores_of_one_name_are_asked_back_and_told_apart() -> None:
    assert kept("revenue of Corner yesterday") == {("store", "chain:5"), ("store", "chain:7")}

    choices = [question_of(reading, LEXICON) for reading in readings("revenue of Corner yesterday")]

    assert [len(readings(choice)) for choice in choices] == [1, 1]


@pytest.mark.parametrize(
    ("question", "meant"),
    [
        ("stock of pan de payes", {("product", "Pan de payés")}),
        ("stock of PAN DE PAYÉS", {("product", "Pan de payés")}),
        ("stock of croissants", {("product", "Croissant")}),  # the whole name wins over a part of another
        ("stock of almond croissants", {("product", "Almond croissant")}),
        ("stock of focaccia", {("product", '12" focaccia')}),
        ("inventory value of bread", {("product", "Bread"), ("category", "Bread")}),
        ("inventory value of the category bread", {("category", "Bread")}),
        ("stock of the product bread", {("product", "Bread")}),
    ],
)
def test_value_is_found_by_its_name(question: str, meant: set[tuple[str, str]]) -> None:
    assert kept(question) == meant


@pytest.mark.parametrize("question", ["revenue in the store", "revenue of 12", "stock of de"])
def test_part_that_names_nothing_alone_is_no_value(question: str) -> None:
    assert isinstance(parse(question, LEXICON, TODAY), Refused)


def test_refusal_names_the_words_and_the_nearest_entries() -> None:
    parsed = parse("revenu of the Nort store", LEXICON, TODAY)

    assert isinstance(parsed, Refused)
    assert set(parsed.unknown) >= {"revenu", "nort"}
    assert {"revenue", "norte"} <= set(parsed.near)


def test_slip_of_the_keyboard_is_suggested_and_never_guessed() -> None:
    parsed = parse("revnue in Nrote in febuary 2026", LEXICON, TODAY)

    assert isinstance(parsed, Refused)
    assert parsed.corrected == "revenue in norte in february 2026"
    assert len(readings(parsed.corrected)) == 1


def test_question_with_a_word_like_no_other_has_no_correction() -> None:
    parsed = parse("revnue without tax", LEXICON, TODAY)

    assert isinstance(parsed, Refused)
    assert parsed.corrected is None


MONDAY, SUNDAY = date(2026, 6, 22), date(2026, 6, 28)


@pytest.mark.parametrize(
    ("today", "question", "meant"),
    [
        (MONDAY, "revenue on monday", {date(2026, 6, 15), MONDAY}),  # said on a Monday it may be today
        (MONDAY, "revenue last monday", {date(2026, 6, 15)}),
        (MONDAY, "revenue last sunday", {date(2026, 6, 21)}),
        (MONDAY, "revenue last weekend", {date(2026, 6, 20)}),
        (SUNDAY, "revenue last weekend", {date(2026, 6, 20)}),  # the one that is on is not the last one
        (SUNDAY, "revenue last monday", {MONDAY, date(2026, 6, 15)}),
        (SUNDAY, "ingresos del domingo pasado", {date(2026, 6, 21)}),
        (SUNDAY, "ingresos de este lunes", {MONDAY}),
        (TODAY, "revenue 1/1/2026", {date(2026, 1, 1)}),
        (TODAY, "revenue 2/1/26", {date(2026, 1, 2), date(2026, 2, 1)}),
        (TODAY, "revenue in week 1 of 2026", {date(2025, 12, 29)}),
        (date(2026, 3, 31), "revenue a month ago", {date(2026, 2, 1), date(2026, 2, 28)}),
        (date(2026, 1, 15), "revenue in May last year", {date(2025, 5, 1)}),
        (date(2026, 1, 15), "revenue in H2 last year", {date(2025, 7, 1)}),
    ],
)
def test_days_are_those_that_were_meant(today: date, question: str, meant: set[date]) -> None:
    lexicon = build(load_metrics(), Known(VALUES, date(2024, 4, 1), today))
    parsed = parse(question, lexicon, today)

    assert isinstance(parsed, Understood), parsed
    assert {reading.period.first for reading, _ in parsed.readings if reading.period} == meant


@pytest.mark.parametrize(
    "question",
    ["revenue in the second half of May 2026", "revenue last week on monday", "revenue on friday in May 2026"],
)
def test_two_periods_side_by_side_are_no_question(question: str) -> None:
    """They narrow each other down in a way the grammar does not know; each alone would be another figure."""
    assert isinstance(parse(question, LEXICON, TODAY), Refused)


@pytest.mark.parametrize("word", ["everyday", "todays1", "ayeres", "ytdx", "weekends"])
def test_period_is_a_whole_word_or_none(word: str) -> None:
    """'every' is not 'ever': a word that only begins like a period is none."""
    assert isinstance(parse(f"revenue {word}", LEXICON, TODAY), Refused)


def test_overlong_question_is_refused() -> None:
    parsed = parse("revenue " * MOST_CHARACTERS, LEXICON, TODAY)

    assert isinstance(parsed, Refused)
    assert parsed.kind == "empty"


def test_question_of_many_meanings_stays_small() -> None:
    parsed = parse("sales " * 40 + "in May and June and Q2 of Corner and bread and Bread", LEXICON, TODAY)

    assert isinstance(parsed, Refused) or len(parsed.readings) <= MOST_READINGS


def test_vocabulary_speaks_of_metrics_and_dimensions_there_are() -> None:
    metrics = load_metrics()
    dimensions = {name for metric in metrics.values() for name in metric.dimensions}

    assert set(vocabulary().metrics) <= set(metrics)
    assert dimensions <= set(vocabulary().dimensions)


def test_no_filler_is_a_word_that_changes_a_figure() -> None:
    changing = "without except excluding not no before after until over under more less than average mean median share \
        percent ratio sin menos excepto antes despues hasta salvo media promedio other only sin"

    fillers = {word for text in vocabulary().fillers for word in phrase(text)}

    assert fillers & set(changing.split()) == set()


days = st.dates(date(2025, 4, 1), TODAY)
METRICS = sorted(load_metrics())


@st.composite
def possible(draw: st.DrawFn) -> Reading:
    metric = load_metrics()[draw(st.sampled_from(METRICS))]
    place = draw(st.sampled_from(metric.readings))
    names = sorted(place.dimensions)
    by = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=2)))
    values = sorted(each for each in VALUES if each[0] in names)
    where = draw(st.lists(st.sampled_from(values), unique_by=lambda each: each[0], max_size=2)) if values else []
    first = draw(days)
    period = Period(first, min(TODAY, first + timedelta(days=draw(st.integers(0, 200)))), "days")
    rank = Ranking(draw(st.integers(1, 20)), draw(st.booleans())) if len(by) == 1 and draw(st.booleans()) else None
    return Reading(metric.name, by, tuple(sorted(where)), period if place.day_column else None, None, rank)


@given(possible())
@settings(max_examples=150, deadline=None)
def test_every_reading_said_again_is_read_as_itself(reading: Reading) -> None:
    parsed = parse(question_of(reading, LEXICON), LEXICON, TODAY)

    if isinstance(parsed, Understood):
        assert [each for each, _ in parsed.readings] == [reading]
    else:
        assert parsed.kind == "not_possible", (question_of(reading, LEXICON), parsed)


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_is_answered_or_refused(text: str) -> None:
    parse(text, LEXICON, TODAY)
