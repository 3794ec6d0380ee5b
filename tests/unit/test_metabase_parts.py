"""What a plan says of a thing: its parts by name when it comes or goes, the part that differs when it changes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from pydantic import SecretStr

from metabase.alert_files import load_mails
from metabase.apply import first_plan
from metabase.catalogue import load_catalogue
from metabase.descriptions import TableWords
from metabase.desired import Content, Wanted, desired_state
from metabase.parts import told
from metabase.plan import Difference, Found, changes
from panpan.cli.metabase import show
from panpan.settings import Settings

CATALOGUE = load_catalogue()
MAILS = load_mails(CATALOGUE)


def settings(**more: Any) -> Settings:
    needed = {
        name: SecretStr(f"secret-of-{name}") if each.annotation is SecretStr else 5432
        for name, each in Settings.model_fields.items()
        if each.is_required()
    }
    return Settings(**{**needed, "metabase_url": "http://127.0.0.1:3000", **more})


DESIRED = desired_state(
    settings(metabase_owners="Ada Bell <ada@shop.example>", smtp_host="mail.example", smtp_password=SecretStr("hush")),
    CATALOGUE,
    MAILS,
    {"stores": TableWords("One row per store.", {"store_id": "Which store."})},
)
THINGS = [each.wanted for each in first_plan(DESIRED).differences if each.wanted]


def card(shows: str, tab: str | None = "Now", **more: Any) -> Content:
    place = {"tab": tab, "row": 1, "col": 0, "size_x": 8, "size_y": 4}
    return place | {"shows": shows, "mappings": [["p_source", "source"]], "settings": {}} | more


BOARD: Content = {
    "name": "Sales",
    "description": "What we take.",
    "collection": "everyone",
    "width": "full",
    "parameters": [
        {"id": "p_source", "slug": "source", "name": "Source"},
        {"id": "p_date_to", "slug": "date_to", "name": "To"},
    ],
    "tabs": ["Now", "Back then"],
    "cards": [
        card("question/by_month", "Back then"),
        card("heading: How we are doing"),
        card("question/by_day", row=2),
    ],
    "public": False,
}


def test_a_dashboard_is_told_with_its_tabs_cards_and_filters() -> None:
    assert told("dashboard/sales", BOARD) == (
        "collection: everyone",
        "tabs: Now (2 cards), Back then (1 card)",
        'cards: heading "How we are doing", by_day, by_month',
        "filters: source, date_to",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"row": 5}, 'card by_day moved ("tab Now, row 2, column 0" -> "tab Now, row 5, column 0")'),
        ({"col": 8}, 'card by_day moved ("tab Now, row 2, column 0" -> "tab Now, row 2, column 8")'),
        ({"tab": "Back then"}, 'card by_day moved ("tab Now, row 2, column 0" -> "tab Back then, row 2, column 0")'),
        ({"size_x": 12}, 'card by_day resized ("8 x 4" -> "12 x 4")'),
        ({"size_y": 9}, 'card by_day resized ("8 x 4" -> "8 x 9")'),
        ({"mappings": []}, 'card by_day filters ("source" -> "")'),
        ({"mappings": [["p_source", "store"]]}, 'card by_day filters ("source" -> "source to store")'),
        ({"settings": {"card.title": "Mine"}}, "card by_day settings card.title added"),
        ({"series": [7]}, "card by_day series added"),
    ],
)
def test_a_change_of_a_card_names_the_card(change: Content, said: str) -> None:
    after = deepcopy(BOARD)
    after["cards"][2] |= change

    fields = changes("dashboard/sales", BOARD, after)

    assert [field for field in fields if not field.startswith("tab ")] == [said]


def test_cards_tabs_and_filters_that_come_and_go_are_named() -> None:
    after = deepcopy(BOARD)
    after["tabs"][1] = "Later"
    after["cards"] = [card("question/by_week", "Later"), *after["cards"][1:]]
    after["parameters"][1]["name"] = "Until"
    del after["parameters"][0]

    assert changes("dashboard/sales", BOARD, after) == (
        "tab Back then removed",
        "tab Later added",
        "card by_month removed",
        "card by_week added",
        "filter source removed",
        'filter date_to name ("To" -> "Until")',
    )


def test_the_second_card_of_a_question_has_a_name_of_its_own() -> None:
    after = deepcopy(BOARD)
    after["cards"].append(card("question/by_day", row=9))

    assert "card by_day (2) added" in changes("dashboard/sales", BOARD, after)


def test_another_order_of_tabs_is_told_too() -> None:
    assert changes("dashboard/sales", BOARD, BOARD | {"tabs": ["Back then", "Now"]}) == ("tabs",)


def test_every_question_tells_its_marts_its_unit_and_how_it_is_shown() -> None:
    for question in [*CATALOGUE.questions.values(), *MAILS.questions.values()]:
        alert = "alert-" if question.name in MAILS.questions else ""
        wanted = DESIRED.questions[f"question/{alert}{question.name}"]
        (line,) = told(wanted.key, wanted.content)
        assert f"display: {wanted.content['display']}; unit: {question.unit}; " in line
        assert f"reads: {', '.join(question.reads)}; " in line
        assert (f"metric: {question.metric}, version " in line) == bool(question.metric and question.cells)


def test_a_question_without_our_words_is_told_without_them() -> None:
    content = DESIRED.questions["question/stock_levels"].content | {"description": None}

    assert told("question/stock_levels", content) == ("display: table; collection: everyone_questions",)


def test_an_alert_tells_when_it_is_sent_and_to_whom_but_no_address() -> None:
    before = DESIRED.alerts["alert/low_stock"].content
    after = before | {"to": [*before["to"], "boss@shop.example", "ben@shop.example", "bob@shop.example"]}

    assert told("alert/low_stock", after) == (
        "question: question/alert-low_stock; condition: has_result; schedule: 0 0 7 * * ? *",
        "recipients: group Owners, b***@***, b***@*** (2), b***@*** (3)",
    )
    assert changes("alert/low_stock", before, after) == (
        "recipient b***@*** added",
        "recipient b***@*** (2) added",
        "recipient b***@*** (3) added",
    )


def test_a_report_names_the_card_that_is_gone_from_it() -> None:
    report = DESIRED.reports["report/weekly_report"].content
    fewer = report | {"cards": [each for each in report["cards"] if each != "question/sales_on_day_before"]}

    assert changes("report/weekly_report", report, fewer) == ("card sales_on_day_before removed",)


def test_an_address_changed_for_one_that_is_masked_alike_is_told() -> None:
    before = DESIRED.alerts["alert/low_stock"].content | {"to": ["ben@shop.example"]}

    assert changes("alert/low_stock", before, before | {"to": ["bob@shop.example"]}) == ("to",)


def test_rights_tell_what_may_be_read() -> None:
    rights = {each.key: told(each.key, each.content) for each in THINGS if each.key.startswith("access/")}

    nothing_of_owners = "owners: none; owners_questions: none; owners_alerts: none"
    assert rights["access/All Users"] == (f"top: none; everyone: none; everyone_questions: none; {nothing_of_owners}",)
    assert told("user/ada@shop.example", {"is_active": True}) == (), "who is in which group is told as members"
    assert rights["access/Employees"] == (f"top: read; everyone: read; everyone_questions: read; {nothing_of_owners}",)


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.key)
def test_no_change_of_anything_goes_untold(thing: Wanted) -> None:
    """Whatever is not put into words of its own is told by its field."""
    for name, value in thing.content.items():
        if value not in ([], {}):
            assert changes(thing.key, thing.content, thing.content | {name: changed(value)}), name


def changed(value: Any) -> Any:
    """Another value; of several the first is gone."""
    if isinstance(value, dict):
        return dict(list(value.items())[1:])
    return value[1:] if isinstance(value, list) else f"not {value}"


def test_nothing_told_is_secret() -> None:
    text = "\n".join(line for thing in THINGS for line in told(thing.key, thing.content))

    assert "host: mail.example" in text
    assert not any(secret in text for secret in ("hush", "secret-of", "ada@shop.example", "as set"))


def test_people_see_the_parts_below_and_programs_by_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    plan = first_plan(DESIRED)
    plan.differences = [each for each in plan.differences if each.key == "description/stores"]
    found = Found("dashboard/sales", "dashboard Sales", 7, BOARD)
    fields = ("card by_day removed", "tab Now added")
    plan.differences += [
        Difference("remove", found.key, found.title, found=found, by_hand=True),
        Difference("change", found.key, found.title, fields, found=found),
        Difference("change", found.key, found.title, fields[:1], found=found),
    ]

    show(plan, {}, as_json=False, done=False)

    assert capsys.readouterr().out.splitlines()[:11] == [
        "+ add description of marts.stores",
        "    columns: store_id",
        "~ change dashboard Sales",
        "    card by_day removed",
        "    tab Now added",
        "~ change dashboard Sales: card by_day removed",
        "! changed by hand, take away dashboard Sales",
        *(f"    {line}" for line in told(found.key, BOARD)),
    ]
    facts = plan.facts()
    assert [each["content"] for each in facts["adds"]] == [["columns: store_id"]]
    assert [each["content"] for each in facts["changes"]] == [[], []]
