"""
What must hold of `plan`, `apply` and `audit` on any Metabase: the double here, a real server in tests/live_metabase.

Each scenario gets a `Site` and speaks HTTP only, so both run the very same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import SecretStr

from metabase.alert_files import Mails, load_mails
from metabase.apply import apply, plan
from metabase.audit import Finding, audit
from metabase.catalogue import Catalogue, load_catalogue
from metabase.client import Client
from metabase.descriptions import TableWords
from metabase.desired import DATABASE_NAME, FRESHNESS, Desired, desired_state, mark_of
from metabase.plan import Memory, Plan
from metabase.provision import claim, ensure_key, enter, look_at
from panpan.settings import Settings

Row = dict[str, Any]
CATALOGUE = load_catalogue()
MAILS = load_mails(CATALOGUE)
# Of the double's warehouse; the first and the last differ from what a sync finds by itself.
DESCRIPTIONS = {
    "daily_store_sales": TableWords(
        "One row per store and day. Metrics: revenue.",
        {"business_date": "The day.", "net_amount": "Net of discounts. Metrics: revenue."},
    ),
    "data_freshness": TableWords("One row per source.", {"source": "Which source."}),
}
CERTIFIED = {mart for q in [*CATALOGUE.questions.values(), *MAILS.questions.values()] for mart in q.reads}


class Killed(BaseException):
    """The process ends here; nothing of ours may catch it."""


class MortalClient(Client):
    """A client whose process dies at a write: before it is sent, or after it was answered."""

    die_at: int | None = None
    dies_after: bool = False

    def _write(self, method: Any, path: str, body: Any) -> Any:
        if self.writes + 1 == self.die_at and not self.dies_after:
            raise Killed
        try:
            return super()._write(method, path, body)
        finally:
            if self.writes == self.die_at:
                raise Killed


@dataclass
class Site:
    """A Metabase and the home of the panpan that looks after it."""

    base: Settings
    home: Path
    catalogue: Catalogue = CATALOGUE
    mails: Mails = MAILS
    descriptions: dict[str, TableWords] = field(default_factory=lambda: dict(DESCRIPTIONS))
    kept: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    engine_is_known: bool = False
    seconds: float = 30

    @property
    def settings(self) -> Settings:
        return self.base.model_copy(update={name: SecretStr(value) for name, value in self.kept.items()})

    @property
    def desired(self) -> Desired:
        return desired_state(
            self.settings, self.catalogue, self.mails, self.descriptions, engine_is_known=self.engine_is_known
        )

    def with_settings(self, **more: Any) -> None:
        self.base = self.base.model_copy(update=more)

    def memory(self) -> Memory:
        return Memory(self.home / "metabase.json")

    def apply(self, *, die_at: int | None = None, dies_after: bool = False) -> Plan:
        """As the command does it: claim, key, apply."""
        with MortalClient(self.settings.metabase_url or "", pause=lambda seconds: None) as client:
            client.die_at, client.dies_after = die_at, dies_after
            found = look_at(client, seconds=self.seconds)
            if not found.is_claimed:
                claim(client, found, self.settings, self.kept.__setitem__)
            ensure_key(client, self.settings, self.kept.__setitem__)
            self.told.clear()
            return apply(client, self.desired, self.memory(), told=self.told.append)

    def plan(self) -> Plan:
        with self.client() as client:
            return plan(client, self.desired, self.memory())

    def audit(self) -> list[Finding]:
        with self.client() as client:
            return audit(client, self.desired, CERTIFIED)

    @contextmanager
    def client(self) -> Iterator[Client]:
        with Client(self.settings.metabase_url or "") as client:
            enter(client, self.settings)
            yield client

    def card(self, name: str) -> Row:
        """Our card of this name."""
        with self.client() as client:
            rows = client.get_list("/api/card", f="all")
        return next(row for row in rows if mark_of(row["description"]) == f"question/{name}")

    def dashboard(self, name: str) -> Row:
        """Our dashboard of this name, whole."""
        with self.client() as client:
            items = [
                item
                for row in client.get_list("/api/collection")
                if isinstance(row["id"], int)
                for item in client.get_list(f"/api/collection/{row['id']}/items", models="dashboard")
            ]
            rows = [client.get(f"/api/dashboard/{item['id']}") for item in items]
        return next(row for row in rows if mark_of(row["description"]) == f"dashboard/{name}")

    def table(self, name: str) -> Row:
        """Metabase's row of one of our marts, with its fields."""
        with self.client() as client:
            [number] = [row["id"] for row in client.get_list("/api/database") if row["name"] == DATABASE_NAME]
            rows = client.get(f"/api/database/{number}/metadata")["tables"]
        return next(row for row in rows if row["name"] == name)

    def alerts(self) -> list[Row]:
        with self.client() as client:
            return client.get_list("/api/notification", payload_type="notification/card")

    def without(self, dashboard: str) -> None:
        """As if the file of a dashboard, and of the questions only it shows, had been deleted."""
        kept = {name: each for name, each in self.catalogue.dashboards.items() if name != dashboard}
        shown = {FRESHNESS, *(name for each in kept.values() for name in each.question_names())}
        questions = {name: each for name, each in self.catalogue.questions.items() if name in shown}
        self.catalogue = Catalogue(questions, kept)


def keys(differences: list[Any]) -> list[str]:
    return [each.key for each in differences]


def is_settled(site: Site) -> None:
    """A further run finds nothing and writes nothing."""
    assert site.plan().facts()["adds"] == []
    again = site.apply()
    assert (keys(again.differences), again.writes) == ([], 0)


def unique(name: str) -> str:
    """A name no other run on the same server used."""
    return f"{name} {uuid4().hex[:8]}"


def is_settled_after(site: Site) -> None:
    """One further run finishes what a killed one left."""
    site.apply()
    is_settled(site)


# --- scenarios -----------------------------------------------------------------------------------------


def applied_twice(site: Site) -> None:
    """The second run changes nothing and sends no write."""
    first = site.apply()
    assert "dashboard/sales" in keys(first.by_files("add"))
    assert first.drift == []
    is_settled(site)


def planned_before_applied(site: Site) -> None:
    """What the plan names is what apply does, and planning writes nothing."""
    site.apply()
    site.without("trust")
    planned = site.plan()
    assert planned.writes == 0
    gone = next(each for each in planned.by_files("remove") if each.key == "dashboard/trust")
    assert any(line.startswith("tabs: Data (") for line in gone.content)
    assert any("checks_failing" in line for line in gone.content)
    done = site.apply()
    assert sorted(keys(planned.differences)) == sorted(keys(done.differences))
    is_settled(site)


def changed_by_hand(site: Site) -> None:
    """A card edited, a dashboard's card moved and a title changed are drift, named and put right."""
    site.apply()
    with site.client() as client:
        client.put(f"/api/card/{site.card('stock_levels')['id']}", {"name": "My stock", "display": "bar"})
        board = site.dashboard("sales")
        moved = [each | {"row": each["row"] + 20} for each in board["dashcards"]]
        tabs = [{"id": tab["id"], "name": tab["name"]} for tab in board["tabs"]]
        client.put(f"/api/dashboard/{board['id']}", {"name": "Turnover", "dashcards": bare(moved), "tabs": tabs})
    planned = site.plan()
    assert {"question/stock_levels", "dashboard/sales"} == set(keys(planned.drift))
    assert planned.by_files("change") == []
    named = {each.key: each.fields for each in planned.drift}
    assert 'name ("My stock" -> "Stock levels")' in named["question/stock_levels"]
    shown = site.catalogue.dashboards["sales"].question_names()
    assert {f"card {name} moved" for name in shown} <= {field.split(" (")[0] for field in named["dashboard/sales"]}
    site.apply()
    assert site.card("stock_levels")["display"] == "table"
    is_settled(site)


def bare(dashcards: list[Row]) -> list[Row]:
    """Dashcards as a request may hold them."""
    names = ("id", "card_id", "dashboard_tab_id", "row", "col", "size_x", "size_y", "parameter_mappings",
             "visualization_settings")  # fmt: skip
    return [{name: each.get(name) for name in names} for each in dashcards]


def deleted_by_hand(site: Site) -> None:
    """A card put into the Trash comes back as itself; a deleted one is made again and stands on its dashboard."""
    site.apply()
    trashed, deleted = site.card("stock_levels")["id"], site.card("low_stock_count")["id"]
    with site.client() as client:
        client.put(f"/api/card/{trashed}", {"archived": True})
        client.delete(f"/api/card/{deleted}")
    planned = site.plan()
    assert {"question/stock_levels", "question/low_stock_count"} <= set(keys(planned.drift))
    site.apply()
    assert site.card("stock_levels")["id"] == trashed
    assert site.card("low_stock_count")["id"] in {each["card_id"] for each in site.dashboard("inventory")["dashcards"]}
    is_settled(site)


def dashboard_in_the_trash(site: Site) -> None:
    """It comes back with its id, its dashcards' ids and its subscription."""
    site.apply()
    before = site.dashboard("sales")
    with site.client() as client:
        client.put(f"/api/dashboard/{before['id']}", {"archived": True})
    site.apply()
    after = site.dashboard("sales")
    assert (before["id"], dashcard_ids(before)) == (after["id"], dashcard_ids(after))
    is_settled(site)


def dashcard_ids(board: Row) -> dict[int, int]:
    return {each["card_id"]: each["id"] for each in board["dashcards"] if each["card_id"]}


def dashcards_keep_their_ids(site: Site) -> None:
    """Another place, another text, a card less: what still shows the same keeps its id, so subscriptions live."""
    site.apply()
    before = dashcard_ids(site.dashboard("sales"))
    sales = site.catalogue.dashboards["sales"]
    first, second = sales.tabs
    fewer = tuple(c.model_copy(update={"row": c.row + 3}) for c in first.cards if c.question != "sales_on_day_before")
    changed = sales.model_copy(update={"tabs": (first.model_copy(update={"cards": fewer}), second)})
    site.catalogue = replace(site.catalogue, dashboards=site.catalogue.dashboards | {"sales": changed})
    done = site.apply()
    after = dashcard_ids(site.dashboard("sales"))
    told = next(each.fields for each in done.by_files("change") if each.key == "dashboard/sales")
    assert "card sales_on_day_before removed" in told
    assert not any("sales_per_store_by_month" in field for field in told), "it stays where it is, on the other tab"
    assert len(before) - 1 == len(after)
    assert after.items() <= before.items()
    is_settled(site)


def file_deleted_and_back(site: Site) -> None:
    """What is no longer in the files goes to the Trash, and returns as the same thing."""
    site.apply()
    whole, before = site.catalogue, site.dashboard("trust")
    site.without("trust")
    gone = site.apply()
    assert {"dashboard/trust", "question/rejected_records"} <= set(keys(gone.by_files("remove")))
    is_settled(site)
    site.catalogue = whole
    back = site.apply()
    assert site.dashboard("trust")["id"] == before["id"]
    assert back.drift == []
    is_settled(site)


def others_are_left_alone(site: Site) -> None:
    """Collections, cards, dashboards, groups and alerts of others are the same before and after everything."""
    with_key(site)
    with site.client() as client:
        place = client.post("/api/collection", {"name": "PanPan", "description": "Mine, of the same name"})["id"]
        database = first_database(client)
        card = client.post("/api/card", own_card(database, place))["id"]
        board = client.post("/api/dashboard", {"name": "Sales", "collection_id": place})["id"]
        client.put(f"/api/dashboard/{board}", {"tabs": [], "dashcards": [own_dashcard(card)]})
        client.post("/api/permissions/group", {"name": unique("Accountants")})
        before = theirs(client, place, card, board)
    site.apply()
    site.without("trust")
    site.apply()
    with site.client() as client:
        assert before == theirs(client, place, card, board)
    is_settled(site)


def with_key(site: Site) -> None:
    """The server claimed, the key kept and the database there, but nothing else."""
    site.apply()


def first_database(client: Client) -> int:
    return int(next(row["id"] for row in client.get_list("/api/database") if not row.get("is_sample")))


def own_card(database: int, place: int | None, sql: str = "select 1 as one", name: str = "Stock levels") -> Row:
    query = {"type": "native", "database": database, "native": {"query": sql, "template-tags": {}}}
    return {
        "name": name, "display": "table", "dataset_query": query, "visualization_settings": {}, "collection_id": place,
    }  # fmt: skip


def own_dashcard(card: int) -> Row:
    return {
        "id": -1, "card_id": card, "dashboard_tab_id": None, "row": 0, "col": 0, "size_x": 12, "size_y": 6,
        "parameter_mappings": [], "series": [], "visualization_settings": {},
    }  # fmt: skip


def theirs(client: Client, place: int, card: int, board: int) -> Row:
    groups = [row["name"] for row in client.get_list("/api/permissions/group")]
    told = {
        "collection": next(row for row in client.get_list("/api/collection") if row["id"] == place),
        "card": client.get(f"/api/card/{card}"),
        "dashboard": client.get(f"/api/dashboard/{board}"),
    }
    volatile = ("updated_at", "last-edit-info", "last_used_at", "view_count", "last_viewed_at", "dashboard_count")
    return {name: {k: v for k, v in row.items() if k not in volatile} for name, row in told.items()} | {
        "groups": [name for name in groups if name.startswith("Accountants")]
    }


def rights_given_by_hand(site: Site) -> None:
    """Rights somebody gave on our database and collections are taken back, whoever got them."""
    site.apply()
    with site.client() as client:
        name = unique("Interns")
        group = client.post("/api/permissions/group", {"name": name})["id"]
        database = first_database(client)
        graph = client.get("/api/permissions/graph")
        cell = {"view-data": "unrestricted", "create-queries": "query-builder-and-native"}
        everyone = next(
            row["id"]
            for row in client.get_list("/api/permissions/group")
            if row["magic_group_type"] == "all-internal-users"
        )
        groups = {str(number): {str(database): cell} for number in (group, everyone)}
        client.put("/api/permissions/graph", {"revision": graph["revision"], "groups": groups})
        place = next(row["id"] for row in client.get_list("/api/collection") if row["name"] == "For owners")
        graph = client.get("/api/collection/graph")
        cells = {str(everyone): {str(place): "write", "root": "read"}, str(group): {str(place): "read"}}
        client.put("/api/collection/graph", {"revision": graph["revision"], "groups": cells})
    planned = site.plan()
    assert {"data/All Users", "access/All Users", "root/All Users"} <= set(keys(planned.drift))
    assert {f"data/{name}", f"access/{name}"} <= set(keys(planned.differences))
    site.apply()
    is_settled(site)


def settings_changed_by_hand(site: Site) -> None:
    """Public sharing switched on by hand is switched off again."""
    site.apply()
    with site.client() as client:
        client.put("/api/setting/enable-public-sharing", {"value": True})
    assert keys(site.plan().drift) == ["setting/enable-public-sharing"]
    site.apply()
    is_settled(site)


def described_by_hand(site: Site) -> None:
    """What tables and columns mean comes from us; words written over it, or wiped out, are drift and put right."""
    site.apply()
    wanted = site.descriptions["daily_store_sales"]
    table = site.table("daily_store_sales")
    field_id = next(row["id"] for row in table["fields"] if row["name"] == "net_amount")
    with site.client() as client:
        client.put(f"/api/table/{table['id']}", {"description": "My own words"})
        client.put(f"/api/field/{field_id}", {"description": None})
    assert keys(site.plan().drift) == ["description/daily_store_sales"]
    site.apply()
    table = site.table("daily_store_sales")
    told = {row["name"]: row["description"] for row in table["fields"]}
    assert table["description"] == wanted.description
    assert told["net_amount"] == wanted.columns["net_amount"]
    is_settled(site)


def described_anew(site: Site) -> None:
    """A comment that changed is a change of ours and no drift, though Metabase's own sync would keep the old one."""
    site.apply()
    before = site.descriptions["data_freshness"]
    site.descriptions["data_freshness"] = replace(before, description=f"{before.description} New.")
    planned = site.plan()
    assert (keys(planned.drift), keys(planned.by_files("change"))) == ([], ["description/data_freshness"])
    site.apply()
    assert site.table("data_freshness")["description"] == f"{before.description} New."
    site.descriptions["data_freshness"] = before
    site.apply()
    is_settled(site)


def alert_lost(site: Site) -> None:
    """An alert Metabase deleted with a change of its card comes back in the same run."""
    site.apply()
    before = {row["payload"]["card_id"] for row in site.alerts()}
    with site.client() as client:
        client.put(f"/api/card/{site.card('alert-low_stock')['id']}", {"display": "line"})
    site.apply()
    assert before == {row["payload"]["card_id"] for row in site.alerts()}
    is_settled(site)


def alert_changed_by_hand(site: Site) -> None:
    """Its hour and its recipients are the files' again, under the same id."""
    site.apply()
    with site.client() as client:
        row = next(r for r in site.alerts() if r["payload"]["card_id"] == site.card("alert-low_stock")["id"])
        later = [each | {"cron_schedule": "0 0 23 * * ? *"} for each in row["subscriptions"]]
        client.put(f"/api/notification/{row['id']}", row | {"subscriptions": later})
    assert keys(site.plan().drift) == ["alert/low_stock"]
    site.apply()
    again = next(r for r in site.alerts() if r["id"] == row["id"])
    assert again["subscriptions"][0]["cron_schedule"] == "0 0 7 * * ? *"
    is_settled(site)


def rogue_questions_are_named(site: Site) -> None:
    """Cards outside our collections, and cards that read no certified mart, with their authors."""
    site.apply()
    before = {f.id for f in site.audit()}
    with site.client() as client:
        database = first_database(client)
        ours = site.card("stock_levels")
        client.post("/api/card", own_card(database, None, "select count(*) as n from core.customers", "Spy"))
        client.post("/api/card", own_card(database, ours["collection_id"], name="Made in ours"))
    news = [f for f in site.audit() if f.what == "question" and f.id not in before]
    found = {(f.title, f.why.partition(":")[0]): f for f in news}
    assert {"Spy", "Made in ours"} == {title for title, _ in found}
    assert ("Spy", "reads core.customers, which is no certified mart") in found
    assert all(f.author for f in found.values())
    assert any("Made in ours" in note for note in site.plan().notes)
    is_settled(site)


SCENARIOS: dict[str, Callable[[Site], None]] = {
    scenario.__name__: scenario
    for scenario in (
        applied_twice,
        planned_before_applied,
        changed_by_hand,
        deleted_by_hand,
        dashboard_in_the_trash,
        dashcards_keep_their_ids,
        file_deleted_and_back,
        others_are_left_alone,
        rights_given_by_hand,
        settings_changed_by_hand,
        described_by_hand,
        described_anew,
        alert_lost,
        alert_changed_by_hand,
        rogue_questions_are_named,
    )
}
