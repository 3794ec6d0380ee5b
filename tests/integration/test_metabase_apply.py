"""
`metabase plan`, `apply` and `audit` over HTTP against the strict double: every scenario, every kill, every trap.

Nothing here has seen a real Metabase; tests/live_metabase runs the same scenarios against one.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import SecretStr

from metabase.apply import first_plan
from metabase.client import Client, MetabaseError, MetabaseRefused
from metabase.desired import freshness_cards, mark_of
from metabase.provision import ensure_key, enter, look_at
from panpan.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "tests" / "metabase_double"


def load_double() -> Any:
    """The double's files as one module; folders of tests are no packages."""
    if "metabase_double" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "metabase_double", FOLDER / "entry.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec and spec.loader
        sys.modules["metabase_double"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["metabase_double"]


double_module = load_double()
from metabase_double import scenarios  # noqa: E402  # the module is made in the lines above
from metabase_double.scenarios import SCENARIOS, Killed, Site, is_settled, keys  # noqa: E402

PEOPLE = {
    "metabase_owners": "Ada Bell <ada@shop.example>",
    "metabase_employees": "Ben Cole <ben@shop.example>, cleo@shop.example",
}


def settings_for(url: str, **more: Any) -> Settings:
    """Settings with made-up values where one is needed."""
    needed = {
        name: SecretStr(f"secret-of-{name}") if each.annotation is SecretStr else 5432
        for name, each in Settings.model_fields.items()
        if each.is_required()
    }
    return Settings(**{**needed, "metabase_url": url, **PEOPLE, **more})


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """One HTTP server for all tests of this file; each puts a memory of its own into it."""
    with double_module.serve(double_module.Metabase()) as double:
        yield double


@pytest.fixture
def double(running: Any) -> Iterator[Any]:
    """A Metabase nobody has claimed; afterwards no request may have been against its rules."""
    running.m = double_module.Metabase()
    running.cut_before = running.cut_after = None
    yield running
    assert running.m.violations == []
    assert running.m.dropped == []


@pytest.fixture
def site(double: Any, tmp_path: Path) -> Site:
    return Site(settings_for(double.url), tmp_path)


@pytest.fixture
def applied(site: Site) -> Site:
    """Everything is there, once."""
    site.apply()
    return site


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, site: Site) -> None:
    SCENARIOS[name](site)


# --- kills ---------------------------------------------------------------------------------------------


@pytest.fixture
def direct(running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's requests reach the double without a socket, many times as fast."""

    def session() -> requests.Session:
        made = requests.Session()
        made.mount("http://", double_module.Direct(running))
        return made

    running.cut_before = running.cut_after = None
    monkeypatch.setattr("metabase.client.new_session", session)


@pytest.mark.parametrize("dies_after", [False, True], ids=["before the write", "after the write"])
@pytest.mark.usefixtures("direct")
def test_a_run_killed_at_any_write_is_finished_by_the_next(dies_after: bool, running: Any, tmp_path: Path) -> None:
    """Every write of a first run once, and afterwards the server holds what a run without a kill makes."""
    running.m = whole = double_module.Metabase()
    Site(settings_for(running.url), tmp_path / "whole").apply()
    expected, most = summary(whole), whole.writes
    assert most > 50

    for number in range(1, most + 1):
        running.m = m = double_module.Metabase()
        site = Site(settings_for(running.url), tmp_path / f"{number}")
        with pytest.raises(Killed):
            site.apply(die_at=number, dies_after=dies_after)
        site.apply()
        assert (number, expected) == (number, summary(m))
        writes = m.writes
        site.apply()
        assert (number, writes) == (number, m.writes)
        assert m.violations == []


@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_a_connection_cut_at_any_write_is_survived_by_the_same_run(cut: str, running: Any, tmp_path: Path) -> None:
    """No answer: nobody knows whether it was done. The run looks, and goes on, without doing anything twice."""
    running.m = whole = double_module.Metabase()
    Site(settings_for(running.url), tmp_path / "whole").apply()
    expected = summary(whole)
    first = 4  # until the key is there, a cut ends the run: the next one goes on

    for number in range(first, whole.writes + 1, 5):
        running.m = m = double_module.Metabase()
        setattr(running, cut, number)
        site = Site(settings_for(running.url), tmp_path / f"{number}")
        site.apply()
        setattr(running, cut, None)
        assert (number, expected) == (number, summary(m))
        is_settled(site)


def summary(m: Any) -> dict[str, Any]:
    """What a server holds, without ids."""
    places = {number: row["name"] for number, row in m.collections.items()}
    names = {number: row["name"] for number, row in m.groups.items()}
    titles = {"root": "root"} | {str(number): title for number, title in places.items()}
    access = {
        names[group]: sorted((titles[place], level) for place, level in cells.items() if level != "none")
        for group, cells in m.access.items()
    }
    return {
        "cards": sorted((c["name"], places[c["collection_id"]], c["display"], c["archived"]) for c in m.cards.values()),
        "boards": sorted((b["name"], len(b["dashcards"]), len(b["tabs"])) for b in m.dashboards.values()),
        "collections": sorted(places.values()),
        "groups": sorted(names.values()),
        "access": access,
        "data": {names[g]: sorted(cell["create-queries"] for cell in cells.values()) for g, cells in m.data.items()},
        "users": sorted(user["email"] for user in m.users.values() if not user.get("is_key")),
        "members": sorted((names[r["group_id"]], r["user_id"] in m.passwords) for r in m.memberships.values()
                          if r["group_id"] > 3),
        "alerts": len([n for n in m.notifications.values() if n["active"]]),
        "pulses": [(p["name"], len(p["cards"])) for p in m.pulses.values() if not p["archived"]],
        "keys": len(m.keys),
        "databases": [row["name"] for row in m.databases.values()],
        "settings": dict(m.stored),
        "words": [(t["name"], t["description"], [(f["name"], f["description"]) for f in t["fields"]])
                  for rows in m.tables.values() for t in rows],
    }  # fmt: skip


# --- the first administrator ---------------------------------------------------------------------------


def test_the_set_up_is_closed_at_once_and_tried(double: Any, site: Site) -> None:
    site.apply()

    assert [w for w in double.written() if "setup" in w] == ["POST /api/setup 200", "POST /api/setup 403"]
    assert {"metabase_admin_password", "metabase_api_key"} == set(site.kept)


def test_a_set_up_that_stays_open_is_an_alarm(double: Any, site: Site) -> None:
    double.m.setup_stays_open = True

    with pytest.raises(MetabaseError, match="set-up token"):
        site.apply()


def test_the_plan_of_an_unclaimed_server_names_everything_and_asks_nothing(site: Site) -> None:
    plan = first_plan(site.desired)

    assert {"administrator/first", "dashboard/sales", "alert/low_stock"} <= set(keys(plan.by_files("add")))
    assert plan.writes == 0
    # What is only taken from All Users, and words that wait for the sync, are not announced.
    made = {key for key in keys(site.apply().differences) if not key.startswith(("first/", "root/", "description/"))}
    assert made <= set(keys(plan.differences))


def test_a_server_somebody_else_claimed_is_not_entered(double: Any, site: Site) -> None:
    double.m.add_user("somebody@else.example", admin=True)

    with pytest.raises(MetabaseError, match="whom we do not know"):
        site.apply()


def test_a_lost_key_is_made_anew_under_its_name(double: Any, applied: Site) -> None:
    del applied.kept["metabase_api_key"]

    applied.apply()

    assert len(double.m.keys) == 1
    assert "metabase_api_key" in applied.kept
    is_settled(applied)


def test_a_withdrawn_key_is_replaced_with_the_password(double: Any, applied: Site) -> None:
    applied.kept["metabase_api_key"] = "mb_withdrawn"

    applied.apply()

    assert applied.kept["metabase_api_key"] != "mb_withdrawn"
    is_settled(applied)


def test_a_key_of_no_administrator_is_refused(double: Any, applied: Site) -> None:
    weak = double.m.add_key("weak", double_module.ALL_USERS)["unmasked_key"]
    applied.kept = {"metabase_api_key": weak}

    with pytest.raises(MetabaseError, match="no administrator"):
        applied.apply()


@pytest.mark.parametrize("tag", ["v0.57.20", "v0.58.23", "v0.61.10", "v0.63.4", "vLOCAL_DEV"])
def test_versions_below_the_floor_are_refused_before_anything_is_written(tag: str, double: Any, site: Site) -> None:
    double.m.tag = tag

    with pytest.raises(MetabaseError):
        site.apply()
    assert double.m.writes == 0


# --- traps ---------------------------------------------------------------------------------------------


def test_keys_dropped_in_silence_are_noticed_by_reading_back(double: Any, site: Site) -> None:
    double.m.forgets["dashboard"] = ("width",)

    with pytest.raises(MetabaseError, match="did not keep") as failure:
        site.apply()
    assert "dashboard Sales: width" in (failure.value.cause or "")
    assert len(site.alerts()) == 3  # what comes after is there all the same


def test_a_setting_that_is_not_kept_stops_the_run(double: Any, site: Site) -> None:
    """Nothing is shown on a server that goes on sharing in public."""
    double.m.forgets["setting"] = ("enable-public-sharing",)

    with pytest.raises(MetabaseError, match="did not keep") as failure:
        site.apply()
    assert "enable-public-sharing" in (failure.value.cause or "")
    assert double.m.cards == {}


def test_failed_sql_in_a_202_stops_before_the_card_is_written(double: Any, site: Site) -> None:
    double.m.failing_sql = ("marts.inventory_status",)

    with pytest.raises(MetabaseError, match=r"question/low_stock") as failure:
        site.apply()
    assert "marts.inventory_status is wrong" in (failure.value.cause or "")
    assert "Stock levels" not in {card["name"] for card in double.m.cards.values()}
    double.m.failing_sql = ()
    site.apply()
    is_settled(site)


def test_a_stale_revision_is_read_again(double: Any, site: Site) -> None:
    def somebody_else() -> None:
        double.m.data_revision += 1

    double.m.before_graph_write = somebody_else

    site.apply()

    assert any("somebody else" in sentence for sentence in site.told)
    is_settled(site)


def test_nothing_premium_is_asked_for(double: Any, site: Site) -> None:
    site.apply()

    assert [entry for entry in double.m.log if entry[2] == 402] == []


@pytest.mark.parametrize("envelopes", [True, False])
def test_both_shapes_of_lists_are_read(envelopes: bool, double: Any, site: Site) -> None:
    double.m.envelopes = envelopes

    site.apply()

    is_settled(site)


def test_a_version_bump_changes_nothing(double: Any, site: Site) -> None:
    """0.58 with queries in the old shape, then 0.65 with MBQL 5 and lists in the other shape."""
    double.m.tag, double.m.legacy_queries = "v0.58.39", True
    site.apply()
    is_settled(site)

    double.m.tag, double.m.legacy_queries, double.m.envelopes = "v0.65.4", False, True

    assert site.plan().differences == []
    is_settled(site)


def test_a_starting_server_is_waited_for(double: Any, site: Site) -> None:
    double.m.starting = 5

    site.apply()

    is_settled(site)


def test_two_alerts_of_ours_on_one_card_become_one(double: Any, applied: Site) -> None:
    with applied.client() as client:
        row = applied.alerts()[0]
        client.post("/api/notification", scenarios_without_ids(row))

    applied.apply()

    assert len(applied.alerts()) == 3
    is_settled(applied)


def scenarios_without_ids(row: dict[str, Any]) -> dict[str, Any]:
    from metabase.kinds_content import without_ids  # noqa: PLC0415  # only this test makes a second one

    return without_ids(row)


def test_peoples_own_alerts_survive_a_change_of_their_card(double: Any, applied: Site) -> None:
    """Metabase deletes them with the old display; they come back under their owner's name, ours as well."""
    ada = next(user for user in double.m.users.values() if user["email"] == "ada@shop.example")
    card = applied.card("stock_levels")["id"]
    personal(double.m, card, ada["id"])
    with applied.client() as client:
        client.put(f"/api/card/{card}", {"display": "scalar"})  # no deletion: not a line
    personal_before = [n for n in double.m.notifications.values() if n["creator_id"] == ada["id"]]
    double.m.cards[card]["display"] = "line"  # so that the way back deletes them

    applied.apply()

    after = [n for n in double.m.notifications.values() if n["creator_id"] == ada["id"]]
    assert [n["payload"]["send_condition"] for n in after] == ["has_result"]
    assert personal_before[0]["id"] not in {n["id"] for n in after}
    assert any("ended: another kind of display" in mail for mail in double.m.mails)
    is_settled(applied)


def test_peoples_own_alerts_survive_a_kill_between_deletion_and_return(double: Any, applied: Site) -> None:
    ada = next(user for user in double.m.users.values() if user["email"] == "ada@shop.example")
    card = applied.card("stock_levels")["id"]
    personal(double.m, card, ada["id"])
    double.m.cards[card]["display"] = "line"
    with pytest.raises(Killed):
        applied.apply(die_at=1, dies_after=True)
    assert [n for n in double.m.notifications.values() if n["creator_id"] == ada["id"]] == []

    applied.apply()

    assert len([n for n in double.m.notifications.values() if n["creator_id"] == ada["id"]]) == 1
    is_settled(applied)


def personal(m: Any, card: int, user: int) -> None:
    """An alert a reader made for themselves."""
    number = m.new_id()
    recipient = {"id": m.new_id(), "notification_handler_id": 1, "type": "notification-recipient/user", "user_id": user}
    m.notifications[number] = {
        "id": number, "payload_type": "notification/card", "active": True, "creator_id": user, "payload_id": number,
        "payload": {"id": number, "card_id": card, "send_condition": "has_result", "send_once": False},
        "subscriptions": [{"id": m.new_id(), "notification_id": number, "type": "notification-subscription/cron",
                           "cron_schedule": "0 0 9 * * ? *", "ui_display_type": "cron/builder"}],
        "handlers": [{"id": m.new_id(), "notification_id": number, "channel_type": "channel/email",
                      "channel_id": None, "recipients": [recipient]}],
    }  # fmt: skip


def test_a_readers_alert_on_an_alert_card_is_not_ours_to_touch(double: Any, applied: Site) -> None:
    ada = next(user for user in double.m.users.values() if user["email"] == "ada@shop.example")
    personal(double.m, applied.card("alert-low_stock")["id"], ada["id"])

    assert applied.plan().differences == []
    is_settled(applied)


# --- the instance --------------------------------------------------------------------------------------


def test_examples_go_while_nobody_uses_them(double: Any, site: Site) -> None:
    sample = double.m.add_database("Sample Database", "h2", {}, sample=True)
    double.m.add_collection("Examples", None, None, is_sample=True)

    site.apply()

    assert sample["id"] not in double.m.databases
    assert [row["name"] for row in double.m.collections.values() if row.get("archived")] == ["Examples"]
    is_settled(site)


def test_examples_stay_when_somebody_built_on_them(double: Any, applied: Site) -> None:
    sample = double.m.add_database("Sample Database", "h2", {}, sample=True)["id"]
    with applied.client() as client:
        client.post("/api/card", scenarios.own_card(sample, None))

    done = applied.apply()

    assert sample in double.m.databases
    assert any("sample database stays" in note for note in done.notes)


def test_settings_of_the_environment_are_told_and_not_written(double: Any, site: Site) -> None:
    double.m.environment = {"report-timezone": "Asia/Tokyo", "enable-public-sharing": False}

    done = site.apply()

    assert "report-timezone" not in double.m.stored
    assert any("MB_REPORT_TIMEZONE" in note for note in done.notes)
    is_settled(site)


def test_a_changed_database_password_is_sent_once(double: Any, applied: Site) -> None:
    applied.with_settings(bi_password=SecretStr("another"))

    done = applied.apply()

    assert keys(done.by_files("change")) == ["database/marts"]
    assert next(iter(double.m.databases.values()))["details"]["password"] == "another"
    is_settled(applied)
    assert "another" not in (applied.home / "metabase.json").read_text(encoding="utf-8")


def test_a_refused_database_is_told(double: Any, site: Site) -> None:
    double.m.database_refuses = True

    with pytest.raises(MetabaseRefused, match="/api/database") as failure:
        site.apply()
    assert "username or password" in (failure.value.cause or "")


def test_the_mail_server_is_set_before_people_are_invited(double: Any, site: Site) -> None:
    site.with_settings(smtp_host="smtp.shop.example", smtp_username="panpan", smtp_password=SecretStr("post"),
                       mail_from="PanPan <bi@shop.example>")  # fmt: skip

    done = site.apply()

    assert double.m.stored["email-smtp-host"] == "smtp.shop.example"
    assert double.m.stored["email-from-address"] == "bi@shop.example"
    assert {"ada", "ben", "cleo"} == {m.split()[-1].split("@")[0] for m in double.m.mails if "invitation" in m}
    assert [note for note in done.notes if "mail" in note] == []
    sent = len(double.m.mails)
    is_settled(site)
    assert sent == len(double.m.mails)


def test_a_mail_server_that_does_not_answer_is_told(double: Any, site: Site) -> None:
    double.m.smtp_refuses = True
    site.with_settings(smtp_host="wrong.example")

    with pytest.raises(MetabaseRefused, match="/api/email") as failure:
        site.apply()
    assert "Wrong host or port" in (failure.value.cause or "")


def test_people_who_left_lose_their_place_and_deactivated_ones_come_back(double: Any, applied: Site) -> None:
    cleo = next(user for user in double.m.users.values() if user["email"] == "cleo@shop.example")
    ben = next(user for user in double.m.users.values() if user["email"] == "ben@shop.example")
    ben["is_active"] = False
    applied.with_settings(metabase_employees="ben@shop.example")

    done = applied.apply()

    assert keys(done.by_files("remove")) == ["member/Employees/cleo@shop.example"]
    assert keys(done.drift) == ["user/ben@shop.example"]
    assert (ben["is_active"], cleo["is_active"]) == (True, True)
    is_settled(applied)


def test_groups_without_a_list_are_left_to_the_owner(double: Any, tmp_path: Path) -> None:
    site = Site(settings_for(double.url, metabase_owners=None, metabase_employees=None), tmp_path)
    site.apply()
    owners = next(row["id"] for row in double.m.groups.values() if row["name"] == "Owners")
    double.m.join(owners, double.m.add_user("friend@shop.example")["id"])

    assert site.plan().differences == []
    is_settled(site)


def test_a_new_group_of_others_gets_nothing_of_ours(double: Any, applied: Site) -> None:
    """A new group starts with what All Users may; the graphs are read again in each run."""
    with applied.client() as client:
        client.post("/api/permissions/group", {"name": "Accountants"})

    assert applied.plan().differences == []


def test_a_collection_moved_or_renamed_by_hand_is_put_right(double: Any, applied: Site) -> None:
    rows = {row["name"]: row for row in double.m.collections.values()}
    with applied.client() as client:
        client.put(f"/api/collection/{rows['For owners']['id']}", {"name": "Secret", "parent_id": None})
        client.put(f"/api/collection/{rows['Alerts']['id']}", {"archived": True})

    drift = keys(applied.plan().drift)
    applied.apply()

    assert {"collection/owners", "collection/owners_alerts"} <= set(drift)
    assert len(applied.alerts()) == 3
    is_settled(applied)


def test_a_copy_of_our_card_is_not_taken_for_it(double: Any, applied: Site) -> None:
    """Metabase's "duplicate" copies the description with our mark; the oldest stays ours."""
    ours = applied.card("stock_levels")
    with applied.client() as client:
        names = ("name", "description", "display", "dataset_query", "visualization_settings", "collection_id")
        client.post("/api/card", {name: ours[name] for name in names})

    plan = applied.plan()

    assert plan.differences == []
    assert any("is not from files" in note for note in plan.notes)


def test_public_links_are_taken_away_and_audited(double: Any, applied: Site) -> None:
    card, board = applied.card("stock_levels")["id"], applied.dashboard("sales")["id"]
    double.m.cards[card]["public_uuid"] = double.m.dashboards[board]["public_uuid"] = "open"

    found = [f.what for f in applied.audit() if "public link" in f.why]
    drift = keys(applied.plan().drift)
    applied.apply()

    assert found == ["question", "dashboard"]
    assert {"question/stock_levels", "dashboard/sales"} == set(drift)
    assert [f for f in applied.audit() if "public link" in f.why] == []
    is_settled(applied)


def test_the_memory_lost_costs_one_write_and_no_more(double: Any, applied: Site) -> None:
    """Only the database password must be sent again, because nobody can read what is set."""
    (applied.home / "metabase.json").unlink()

    done = applied.apply()

    assert keys(done.differences) == ["database/marts"]
    is_settled(applied)


def test_a_fresh_server_at_the_old_address_is_no_drift(running: Any, double: Any, applied: Site) -> None:
    running.m = double_module.Metabase()
    applied.kept.clear()

    done = applied.apply()

    assert done.drift == []
    is_settled(applied)


# --- alerts as second path -----------------------------------------------------------------------------


def test_alerts_have_no_rows_while_our_engine_lives(double: Any, applied: Site) -> None:
    """Once the engine has its mart, the statements ask it first: no double mail in normal operation."""
    assert "alert_heartbeat" not in applied_sql(double, "alert-low_stock")
    applied.engine_is_known = True

    done = applied.apply()

    sql = applied_sql(double, "alert-low_stock")
    assert "where not exists (" in sql
    assert "marts.alert_heartbeat" in sql
    assert {"question/alert-low_stock"} <= set(keys(done.by_files("change")))
    assert len(applied.alerts()) == 3
    is_settled(applied)


def applied_sql(double: Any, name: str) -> str:
    card = next(c for c in double.m.cards.values() if mark_of(c["description"]) == f"question/{name}")
    return str(card["dataset_query"]["stages"][0]["native"])


def test_the_weekly_report_goes_to_the_owners_by_their_ids(double: Any, applied: Site) -> None:
    (pulse,) = double.m.pulses.values()
    (channel,) = pulse["channels"]

    people = [double.m.users[each["id"]]["email"] for each in channel["recipients"]]

    assert people == ["ada@shop.example", "owner@panpan.example"]
    assert tuple(channel[k] for k in ("schedule_type", "schedule_day", "schedule_hour")) == ("weekly", "mon", 7)
    sales = applied.catalogue.dashboards["sales"]
    assert len(pulse["cards"]) == len(sales.question_names()) + len(freshness_cards(sales)), "how old the data are, too"


def test_a_subscription_archived_by_hand_is_made_again(double: Any, applied: Site) -> None:
    number = next(iter(double.m.pulses))
    with applied.client() as client:
        client.put(f"/api/pulse/{number}", {"archived": True})

    assert keys(applied.plan().drift) == ["report/weekly_report"]
    applied.apply()
    is_settled(applied)


def test_a_report_whose_file_is_gone_ends(double: Any, applied: Site) -> None:
    applied.mails = replace(applied.mails, reports={})

    done = applied.apply()

    assert [each.title for each in done.by_files("remove")] == ["report Sales of the week"]
    assert [pulse["archived"] for pulse in double.m.pulses.values()] == [True]
    is_settled(applied)


def test_an_alert_whose_file_is_gone_ends_with_its_card(double: Any, applied: Site) -> None:
    kept = {name: each for name, each in applied.mails.alerts.items() if name != "low_stock"}
    questions = {name: each for name, each in applied.mails.questions.items() if name != "low_stock"}
    applied.mails = replace(applied.mails, alerts=kept, questions=questions)

    done = applied.apply()

    assert keys(done.by_files("remove")) == ["question/alert-low_stock"]
    assert len(applied.alerts()) == 2
    is_settled(applied)


def test_a_subscription_of_a_person_is_not_touched(double: Any, applied: Site) -> None:
    """Also the administrator's own, made in Metabase's pages."""
    (ours,) = double.m.pulses.values()
    owner = next(iter(double.m.users))
    double.m.pulses[9999] = ours | {"id": 9999, "creator_id": owner, "name": "Mine"}

    assert applied.plan().differences == []
    is_settled(applied)


# --- what tables and columns mean ----------------------------------------------------------------------


def test_words_wait_for_the_sync_and_only_those_it_did_not_bring_are_written(double: Any, site: Site) -> None:
    """Metabase takes comments up by itself; what is the same already is not sent."""
    site.apply()

    sent = [line for line in double.written() if line.startswith(("PUT /api/table", "PUT /api/field"))]
    assert len(sent) == 3  # two tables and one column; two columns came with the sync
    assert "wait until Metabase has read the tables of the marts" in site.told
    assert site.table("data_freshness")["description"] == "One row per source."
    is_settled(site)


def test_a_sync_that_does_not_end_is_told_and_the_rest_is_there(double: Any, site: Site) -> None:
    double.m.never_syncs = True

    done = site.apply()

    assert "dashboard/sales" in keys(done.by_files("add"))
    assert any("have no description: daily_store_sales, data_freshness" in note for note in done.notes)
    double.m.never_syncs = False
    assert "description/daily_store_sales" in keys(site.apply().by_files("change"))
    is_settled(site)


def test_a_column_made_later_is_looked_for_once(double: Any, applied: Site) -> None:
    """After a migration Metabase is asked to read again; what it can't find is asked for no second time."""
    before = applied.descriptions["data_freshness"]
    more = {**before.columns, "row_count": "How many rows.", "unreadable": "Nobody may."}
    applied.descriptions["data_freshness"] = replace(before, columns=more)
    columns = {**double_module.WAREHOUSE["data_freshness"][1], "row_count": None}
    double.m.look_into = lambda details: double_module.WAREHOUSE | {"data_freshness": (None, columns)}

    done = applied.apply()

    syncs = [line for line in double.written() if "sync_schema" in line]
    assert (len(syncs), keys(done.by_files("change"))) == (1, ["description/data_freshness"])
    assert any("data_freshness.unreadable" in note for note in done.notes)
    is_settled(applied)


def test_words_metabase_does_not_keep_are_told(double: Any, site: Site) -> None:
    double.m.forgets["description"] = ("description",)

    with pytest.raises(MetabaseError, match="did not keep") as failure:
        site.apply()

    assert "description of marts.daily_store_sales" in str(failure.value.cause)


# --- the double itself ---------------------------------------------------------------------------------


def test_the_page_says_what_apply_does_under_each_fault_and_names_tests_that_exist() -> None:
    """A new switch or scenario needs a row in docs/metabase.md."""
    page = (CHECKOUT / "docs" / "metabase.md").read_text(encoding="utf-8")
    table = page.partition("| fault | what apply does | test |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    noted = {"log", "writes", "violations", "dropped", "mails"}  # what the double only writes down
    switches = {each.name for each in fields(double_module.Metabase)} - noted
    cuts = {name for name in vars(double_module.Double(double_module.Metabase())) if name.startswith("cut_")}
    files = [file.read_text(encoding="utf-8") for file in (CHECKOUT / "tests").rglob("test_metabase_*.py")]

    named = [name for fault, _, _ in rows for name in re.findall(r"`(\w+)`", fault)]
    tests = {name for _, _, tests in rows for name in re.findall(r"`(\w+)`", tests)}

    assert sorted(named) == sorted({*switches, *cuts, *SCENARIOS})
    assert [name for name in sorted(tests) if not any(f"def {name}(" in text for text in files)] == []
    assert [fault for fault, _, shown in rows if "`test_" not in shown] == []


def test_the_double_speaks_as_the_contract_says(double: Any, applied: Site) -> None:
    """Plain texts, JSON errors, 204, 402, 409: what the client must cope with."""
    with applied.client() as client:
        answers = {
            "unknown route": status(lambda: client.post("/api/alert", {})),
            "missing object": status(lambda: client.get("/api/card/1")),
            "no query": status(lambda: client.post("/api/card", scenarios.own_card(1, None) | {"dataset_query": {}})),
            "premium": status(
                lambda: client.put("/api/permissions/graph", {
                    "revision": double.m.data_revision, "groups": {"1": {"101": {"view-data": "blocked"}}}})),
            "stale": status(lambda: client.put("/api/collection/graph", {"revision": -1, "groups": {}})),
            "system notifications": len(client.get("/api/notification")) - len(applied.alerts()),
        }  # fmt: skip
    double.m.violations.clear()
    double.m.dropped.clear()

    assert answers["unknown route"] == (404, "API endpoint does not exist.")
    assert answers["missing object"] == (404, "Not found.")
    assert answers["no query"][0] in (400, 500)
    assert answers["premium"][0] == 402
    assert answers["stale"][0] == 409
    assert answers["system notifications"] == 1


def status(act: Any) -> tuple[int, str]:
    try:
        act()
    except MetabaseRefused as error:
        return error.status, error.reason
    return 200, ""


def test_the_double_deletes_dashcards_that_are_left_out_and_tabs_that_are_not_sent(double: Any, applied: Site) -> None:
    board = applied.dashboard("sales")
    with applied.client() as client:
        kept = [each | {"dashboard_tab_id": None} for each in scenarios.bare(board["dashcards"])[:2]]
        after = client.put(f"/api/dashboard/{board['id']}", {"dashcards": kept})

    assert (len(after["dashcards"]), after["tabs"]) == (2, [])


def test_the_double_refuses_whoever_is_nobody(double: Any, applied: Site) -> None:
    with Client(double.url) as stranger:
        assert status(lambda: stranger.get("/api/card")) == (401, "Unauthenticated")


def test_nothing_of_ours_is_rogue(applied: Site) -> None:
    assert applied.audit() == []


def test_reading_a_server_writes_nothing(double: Any, applied: Site) -> None:
    before = double.m.writes

    applied.plan()
    applied.audit()
    with Client(double.url) as client:
        look_at(client)
        enter(client, applied.settings)
        ensure_key(client, applied.settings, lambda name, value: pytest.fail("kept a secret"))

    assert before == double.m.writes
