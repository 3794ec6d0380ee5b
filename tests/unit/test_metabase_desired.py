"""What a Metabase should be, from the files alone: names, rights, displays, alerts; and the reading of SQL by audit."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from metabase.alert_files import Alert, alert_sql, check_alert, is_quartz, load_mails
from metabase.audit import source_tables, sql_tables
from metabase.catalogue import FOLDER, Display, load_catalogue
from metabase.descriptions import TableWords, described
from metabase.desired import access_of, desired_state, mark_of, read_people, web_address
from metabase.kinds_content import (
    card_content,
    dashcard_bodies,
    known_part,
    parameter_body,
    parameter_content,
    plain_settings,
    tab_bodies,
)
from metabase.plan import Memory, changed_fields, fingerprint
from metabase.visualization import column_key, display_of, settings_of
from panpan.errors import ContractError, SettingsError
from panpan.settings import Settings
from transforms.compiler import Query, compile_query
from transforms.metrics import find_metric

CATALOGUE = load_catalogue()
MAILS = load_mails(CATALOGUE)


def settings(**more: Any) -> Settings:
    needed = {
        name: SecretStr(f"secret-of-{name}") if each.annotation is SecretStr else 5432
        for name, each in Settings.model_fields.items()
        if each.is_required()
    }
    return Settings(**{**needed, "metabase_url": "http://127.0.0.1:3000", **more})


DESIRED = desired_state(settings(), CATALOGUE, MAILS, {})


def test_every_file_becomes_one_thing_with_its_mark() -> None:
    assert {f"question/{name}" for name in CATALOGUE.questions} < DESIRED.questions.keys()
    assert {f"dashboard/{name}" for name in CATALOGUE.dashboards} == DESIRED.dashboards.keys()
    for key, wanted in [*DESIRED.questions.items(), *DESIRED.dashboards.items(), *DESIRED.collections.items()]:
        assert key == mark_of(wanted.content["description"])


def test_every_card_says_its_definition_and_its_owner() -> None:
    for question in CATALOGUE.questions.values():
        description = DESIRED.questions[f"question/{question.name}"].content["description"]
        assert question.definition in description
        assert f"Owner: {question.owner}." in description


def test_a_column_says_its_comment_and_the_metrics_made_of_it() -> None:
    rows = [
        ("daily_store_sales", None, "Sales of a day."),
        ("daily_store_sales", "net_amount", "Net."),
        ("daily_store_sales", "store_name", "Its name."),
        ("daily_store_sales", "note", None),
        ("uncommented", None, None),
        ("uncommented", "value", "A value."),
    ]

    words = described(rows, [find_metric("revenue"), find_metric("tickets")])

    assert words == {
        "daily_store_sales": TableWords(
            "Sales of a day. Metrics: revenue, tickets.",
            {"net_amount": "Net. Metrics: revenue.", "store_name": "Its name."},
        )
    }


def test_a_compiled_card_names_its_metric_and_plan() -> None:
    content = desired_state(settings(), CATALOGUE, MAILS, {}).questions["question/sales_per_store_by_day"].content
    plan = compile_query(Query("revenue", ("store", "day")), date(2030, 1, 1))

    version = find_metric("revenue").version
    assert f"Metric revenue, version {version}. Plan of all its days: {plan.plan_id}." in content["description"]


def test_every_dashboard_says_how_fresh_its_data_are() -> None:
    desired = desired_state(settings(), CATALOGUE, MAILS, {})

    for dashboard in desired.dashboards.values():
        cards = dashboard.content["cards"]
        assert [card["shows"] for card in cards].count("question/data_freshness") == 1
        for tab in {card["tab"] for card in cards}:
            cells = [
                (row, col)
                for card in cards
                if card["tab"] == tab
                for row in range(card["row"], card["row"] + card["size_y"])
                for col in range(card["col"], card["col"] + card["size_x"])
            ]
            assert len(cells) == len(set(cells))
    assert desired.questions["question/data_freshness"].content["collection"] == "everyone_questions"
    assert "question/data_freshness" in desired.reports["report/weekly_report"].content["cards"]


def test_content_is_plain_json_and_holds_no_secret() -> None:
    """What is compared, fingerprinted and printed."""
    things = [DESIRED.database, *DESIRED.settings.values(), *DESIRED.questions.values(), *DESIRED.dashboards.values()]

    for thing in things:
        text = json.dumps(thing.content)
        assert json.loads(text) == thing.content
        assert "secret-of" not in text
    assert "secret-of" not in repr(DESIRED)


def test_metabase_reads_the_marts_as_role_bi_and_nothing_else() -> None:
    details = DESIRED.database.content

    assert tuple(details[name] for name in ("user", "schema-filters-type", "schema-filters-patterns")) == (
        "bi",
        "inclusion",
        "marts",
    )


def test_all_users_see_nothing_and_employees_no_owners_page() -> None:
    assert {"none"} == set(access_of("All Users").values())
    assert access_of("Employees")["everyone"] == "read"
    assert {"none"} == {access_of("Employees")[name] for name in access_of("Employees") if name.startswith("owners")}
    assert {"read"} == set(access_of("Owners").values())


def test_what_only_owners_read_lies_where_only_owners_look() -> None:
    for dashboard in CATALOGUE.dashboards.values():
        place = DESIRED.dashboards[f"dashboard/{dashboard.name}"].content["collection"]
        assert ("owners" if dashboard.readers == "Owner" else "everyone") == place
        for name in dashboard.question_names():
            at = DESIRED.questions[f"question/{name}"].content["collection"]
            assert place == "owners" or at == "everyone_questions"


def test_filters_reach_every_card_that_understands_them() -> None:
    for dashboard in CATALOGUE.dashboards.values():
        offered = {each.name for each in dashboard.filters}
        for card in DESIRED.dashboards[f"dashboard/{dashboard.name}"].content["cards"]:
            if card["shows"].startswith("question/"):
                question = CATALOGUE.questions[card["shows"].partition("/")[2]]
                assert sorted(name for name in question.parameters if name in offered) == [
                    t for _, t in card["mappings"]
                ]


def test_settings_of_a_card_name_columns_the_statement_has() -> None:
    """Metabase keeps a wrong key without a word."""
    for question in CATALOGUE.questions.values():
        shown = DESIRED.questions[f"question/{question.name}"].content["settings"]
        names = {column.name for column in question.columns}
        assert set(shown["column_settings"]) == {column_key(name) for name in names}
        for key in ("graph.dimensions", "graph.metrics"):
            assert set(shown.get(key, [])) <= names
        assert shown.get("scalar.field") in {None, *names}
        assert {each["column"] for each in shown.get("scalar.comparisons", [])} <= names
        assert {name for rule in shown.get("table.column_formatting", []) for name in rule["columns"]} <= names


def test_a_goal_that_moves_is_a_second_line_and_one_that_stands_is_metabases_own() -> None:
    question = CATALOGUE.questions["sales_against_same_weekday"]
    display = question.display.model_dump(by_alias=True)
    bars = question.model_copy(update={"display": Display.model_validate({**display, "kind": "bar"})})
    fixed = Display.model_validate({**display, "kind": "bar", "goal": {"value": "12.5", "label": "Target"}})

    assert settings_of(question)["graph.metrics"] == ["net_amount", "usual_net_amount"]
    assert settings_of(question)["series_settings"]["usual_net_amount"]["line.style"] == "dashed"
    assert display_of(bars) == "combo"
    standing = settings_of(question.model_copy(update={"display": fixed}))
    assert {key: value for key, value in standing.items() if "goal" in key} == {
        "graph.show_goal": True,
        "graph.goal_value": 12.5,
        "graph.goal_label": "Target",
    }
    assert standing["graph.metrics"] == ["net_amount"]


@pytest.mark.parametrize(
    "change",
    [
        {"series": "currency_code"},
        {"kind": "table"},
        {"goal": {"label": "both", "column": "net_amount", "value": 1}},
        {"goal": {"label": "neither"}},
    ],
)
def test_a_goal_nobody_could_draw_is_refused(change: dict[str, Any]) -> None:
    display = CATALOGUE.questions["sales_against_same_weekday"].display.model_dump(by_alias=True)

    with pytest.raises(ValidationError, match="goal"):
        Display.model_validate({**display, **change})


def test_a_click_leads_to_our_receipts() -> None:
    desired = desired_state(settings(web_url="https://shop.example/"), CATALOGUE, MAILS, {})

    text = json.dumps(desired.dashboards["dashboard/sales"].content)

    figure = "business_date={{business_date}}&store_id={{store_id}}"
    assert f"https://shop.example/receipts/question/sales_per_store_by_day?{figure}" in text
    assert '"https://shop.example/receipts/question/product_ranking"' in text
    assert web_address(settings()) == "http://127.0.0.1:5432"


def test_names_and_addresses_of_people_are_read() -> None:
    people = read_people("Ada Bell <Ada@Shop.example>, ben@shop.example", "metabase_owners")

    assert list(people) == ["ada@shop.example", "ben@shop.example"]
    assert people["ada@shop.example"].first_and_last == ("Ada", "Bell")
    assert people["ben@shop.example"].first_and_last == (None, None)


@pytest.mark.parametrize("text", ["Ada", "ada@shop", "ada@shop.example, nobody"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(SettingsError, match="PANPAN_METABASE_OWNERS"):
        desired_state(settings(metabase_owners=text), CATALOGUE, MAILS, {})


# --- alerts --------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for folder in ("questions", "dashboards", "alerts"):
        shutil.copytree(FOLDER / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize("alert", MAILS.alerts.values(), ids=lambda alert: alert.name)
def test_alerts_have_rows_only_on_a_breach_and_a_schedule_metabase_takes(alert: Alert) -> None:
    assert alert.condition == "has_result"
    assert is_quartz(alert.schedule)
    assert MAILS.questions[alert.name].display.kind == "table"
    assert len(alert.why) > 20


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("0 0 7 * * ? *", True),
        ("0 0 7 ? * MON-FRI", True),
        ("0 7 * * *", False),  # five fields are cron's, not Quartz's
        ("0 0 7 * * * *", False),
        ("0 0 7 ? * ? *", False),
    ],
)
def test_quartz_wants_one_question_mark(text: str, is_one: bool) -> None:
    assert is_one == is_quartz(text)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"schedule": "0 7 * * *"}, "Quartz"),
        ({"condition": "goal_above"}, "never sent"),
        ({"to": ("boss",)}, "neither owners"),
        ({"to": ()}, "nobody"),
    ],
)
def test_alerts_metabase_would_take_and_never_send_are_refused(change: dict[str, Any], fault: str) -> None:
    alert = MAILS.alerts["low_stock"].model_copy(update=change)

    with pytest.raises(ContractError) as failure:
        check_alert(alert, MAILS.questions["low_stock"])

    assert fault in (failure.value.cause or "")


def test_an_alert_without_a_question_is_refused(files: Path) -> None:
    (files / "alerts" / "questions" / "low_stock.yaml").unlink()

    with pytest.raises(ContractError, match="low_stock"):
        load_mails(CATALOGUE, files)


def test_a_report_of_an_unknown_dashboard_is_refused(files: Path) -> None:
    report = files / "alerts" / "weekly_report.yaml"
    report.write_text(report.read_text(encoding="utf-8").replace("sales\n", "profits\n"), encoding="utf-8")

    with pytest.raises(ContractError, match="weekly_report"):
        load_mails(CATALOGUE, files)


def test_alerts_are_quiet_only_where_there_is_an_engine() -> None:
    alert, question = MAILS.alerts["low_stock"], MAILS.questions["low_stock"]

    assert question.sql == alert_sql(question, alert, engine_is_known=False)
    assert {"marts.alert_heartbeat", "marts.inventory_status"} == sql_tables(
        alert_sql(question, alert, engine_is_known=True)
    )
    loud = alert.model_copy(update={"quiet_while_engine_lives": False})
    assert question.sql == alert_sql(question, loud, engine_is_known=True)


# --- comparing -----------------------------------------------------------------------------------------


def test_new_tabs_get_negative_ids_and_old_ones_keep_theirs() -> None:
    assert tab_bodies(["Now", "New"], [{"id": 7, "name": "Now"}]) == [
        {"id": 7, "name": "Now"},
        {"id": -2, "name": "New"},
    ]


def test_a_dashcard_that_moves_to_another_tab_keeps_its_id() -> None:
    tabs = [{"id": 7, "name": "A"}, {"id": -2, "name": "B"}]
    card = {
        "shows": "question/x",
        "tab": "B",
        "row": 0,
        "col": 0,
        "size_x": 4,
        "size_y": 4,
        "mappings": [],
        "settings": {},
    }
    there = [{"id": 31, "card_id": 5, "dashboard_tab_id": 7}]

    (body,) = dashcard_bodies([card], there, tabs, {5: "question/x"})

    assert (body["id"], body["card_id"], body["dashboard_tab_id"]) == (31, 5, -2)


def test_two_cards_of_one_question_stay_in_their_tabs() -> None:
    tabs = [{"id": 7, "name": "A"}, {"id": 8, "name": "B"}]
    place = {"row": 0, "col": 0, "size_x": 4, "size_y": 4, "mappings": [], "settings": {}}
    wanted = [{"shows": "question/x", "tab": tab} | place for tab in ("B", "A")]
    there = [{"id": 31, "card_id": 5, "dashboard_tab_id": 7}, {"id": 32, "card_id": 5, "dashboard_tab_id": 8}]

    bodies = dashcard_bodies(wanted, there, tabs, {5: "question/x"})

    assert [(body["id"], body["dashboard_tab_id"]) for body in bodies] == [(32, 8), (31, 7)]


def test_keys_the_server_adds_are_no_difference() -> None:
    assert known_part({"id": "p", "isMultiSelect": False, "filteringParameters": []}) == {
        "id": "p",
        "isMultiSelect": False,
    }
    spaced = {"column_settings": {'["name", "x"]': {}}}
    assert plain_settings(spaced) == {"column_settings": {'["name","x"]': {}}}


def test_both_shapes_of_a_query_read_the_same() -> None:
    tag = {"id": "1", "name": "source", "display-name": "Source", "type": "text", "required": False}
    legacy = {"type": "native", "database": 2, "native": {"query": "select 1", "template-tags": {"source": tag}}}
    stage = {"lib/type": "mbql.stage/native", "native": "select 1", "template-tags": {"source": tag}}
    mbql = {"lib/type": "mbql/query", "database": 2, "stages": [stage]}

    class Server:
        class actual:  # stands for the attribute of a World
            @staticmethod
            def database() -> dict[str, int]:
                return {"id": 2}

    read = [card_content({"name": "x", "dataset_query": query}, {}, Server) for query in (legacy, mbql)]  # type: ignore[arg-type]

    assert read[0] == read[1]
    assert (read[0]["sql"], read[0]["database"]) == ("select 1", "PanPan marts")


def test_changes_are_told_with_short_values_only() -> None:
    fields = changed_fields({"name": "a", "sql": "x" * 99, "list": [1]}, {"name": "b", "sql": "y" * 99, "list": [2]})

    assert fields == ('name ("a" -> "b")', "sql", "list")


def test_a_secret_is_no_part_of_a_fingerprint() -> None:
    assert fingerprint({"host": "a", "secret": "as set"}) == fingerprint({"host": "a", "secret": "not known"})


def test_the_memory_is_private_and_survives_half_a_file(tmp_path: Path) -> None:
    file = tmp_path / "metabase.json"
    memory = Memory(file)
    memory.keep_secret("database", SecretStr("hush"))

    assert Memory(file).has_secret("database", SecretStr("hush"))
    assert not Memory(file).has_secret("database", SecretStr("other"))
    assert "hush" not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text('{"applied":', encoding="utf-8")
    assert Memory(file).applied == {}


# --- audit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select 1", set()),
        ("select a from marts.x", {"marts.x"}),
        ('SELECT a FROM "Core"."Customers" c', {"core.customers"}),
        ("select a from core . customers", {"core.customers"}),
        ("select a from marts.x as x, core.y z", {"marts.x", "core.y"}),
        (
            "select a from marts.x join only core.y on true left join raw_pos.z on true",
            {"marts.x", "core.y", "raw_pos.z"},
        ),
        ("with s as (select a from core.y) select a from s", {"core.y"}),
        ("with s as materialized (select 1), t(a) as (select 2) select a from s, t", set()),
        ("select a from marts.x -- from core.y", {"marts.x"}),
        ("select a /* from core.y */ from marts.x where b = 'from core.y'", {"marts.x"}),
        ("select extract(year from d) from marts.x where a is distinct from b", {"marts.x"}),
    ],
)
def test_tables_of_a_statement(sql: str, tables: set[str]) -> None:
    assert tables == sql_tables(sql)


def test_tables_of_a_question_made_without_sql() -> None:
    query = {
        "stages": [{"lib/type": "mbql.stage/mbql", "source-table": 7, "joins": [{"stages": [{"source-table": 8}]}]}]
    }

    assert {7, 8} == source_tables(query)


def test_our_own_questions_read_what_they_say() -> None:
    for question in [*CATALOGUE.questions.values(), *MAILS.questions.values()]:
        assert set(question.reads) == sql_tables(question.sql)


# --- filters -------------------------------------------------------------------------------------------


def test_filters_of_text_offer_a_list_from_a_card_everyone_sees() -> None:
    parameters = {each["slug"]: each for each in DESIRED.dashboards["dashboard/sales"].content["parameters"]}

    for name in ("source", "currency"):
        card = DESIRED.questions[parameters[name]["values"]["card"]].content
        assert card["collection"] == "everyone_questions"
        assert parameters[name]["values"]["column"] in card["sql"]
    assert "values" not in parameters["date_from"]


@pytest.mark.parametrize("field", [["field", "source", {}], ["field", {"lib/uuid": "1"}, "source"]])
def test_a_list_of_values_reads_the_same_in_both_shapes_of_a_field(field: list[Any]) -> None:
    cards = {5: "question/values-source"}
    wanted = DESIRED.dashboards["dashboard/sales"].content["parameters"][0]

    body = parameter_body(wanted, cards)

    assert body["values_source_config"]["card_id"] == 5
    body["values_source_config"]["value_field"] = field
    assert wanted == parameter_content(body | {"filteringParameters": []}, cards)


def test_a_list_from_somebody_elses_card_is_a_difference() -> None:
    row = {
        "id": "p",
        "values_source_type": "card",
        "values_source_config": {"card_id": 9, "value_field": ["field", "x"]},
    }

    assert parameter_content(row, {})["values"] == {"card": "card 9", "column": "x"}
