"""
The routes of the double: what Metabase answers, with the traps of its contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from metabase_double.state import ADMINISTRATORS, IN_PROPERTIES, SYNC_LOOKS, Metabase, Refuse, Row

FORBIDDEN = "You don't have permissions to do that."
COLUMNS_24 = 24


@dataclass
class Asked:
    """One request: the server's memory, who asks, ids from the path, query and body."""

    m: Metabase
    user: Row | None
    ids: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None

    def id(self, name: str = "id") -> int:
        if not self.ids[name].isdigit():
            raise Refuse(400, {"errors": {name: "value must be an integer greater than zero."}})
        return int(self.ids[name])


Handler = Callable[[Asked], Any]
ROUTES: list[tuple[str, str, re.Pattern[str], Handler]] = []
PUBLIC = {("GET", "/api/health"), ("GET", "/api/session/properties"), ("POST", "/api/setup"), ("POST", "/api/session")}
# Requests that read, whatever their method; everything else but GET counts as a write.
READING = {("POST", "/api/session"), ("POST", "/api/dataset"), ("POST", "/api/card/{card-id}/query")}
ANYBODY = {("GET", "/api/user/current"), ("GET", "/api/notification"), ("POST", "/api/notification")}


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    def keep(handler: Handler) -> Handler:
        pattern = re.compile(re.sub(r"\\\{([\w\\-]+)\\\}", _group, re.escape(path)) + "$")
        ROUTES.append((method, path, pattern, handler))
        return handler

    return keep


def _group(match: re.Match[str]) -> str:
    return f"(?P<{match[1].replace(chr(92), '').replace('-', '_')}>[^/]+)"


def find(rows: dict[int, Row], number: int) -> Row:
    if number not in rows:
        raise Refuse(404, "Not found.")
    return rows[number]


def envelope(asked: Asked, rows: list[Row], usual: bool) -> Any:
    """A list in one of its two shapes."""
    wrapped = usual if asked.m.envelopes is None else asked.m.envelopes
    if not wrapped:
        return rows
    offset, limit = int(asked.query.get("offset", 0)), int(asked.query.get("limit", 3 if usual else 1000))
    return {"data": rows[offset : offset + limit], "total": len(rows), "limit": limit, "offset": offset}


# --- start-up ------------------------------------------------------------------------------------------


@route("GET", "/api/health")
def health(a: Asked) -> Any:
    return {"status": "ok"}


@route("GET", "/api/session/properties")
def properties(a: Asked) -> Any:
    m = a.m
    people = [user for user in m.users.values() if not user.get("is_key")]
    return {name: m.setting(name) for name in IN_PROPERTIES} | {
        "setup-token": m.setup_token if m.setup_stays_open or not people else None,
        "has-user-setup": bool(people),
        "version": {"tag": m.tag, "date": "2026-11-10", "hash": "0000000"},
        "email-configured?": bool(m.setting("email-smtp-host")),
        "token-features": {"sandboxes": False},
    }


@route("POST", "/api/setup")
def setup(a: Asked) -> Any:
    m, user = a.m, a.body["user"]
    if m.users and not m.setup_stays_open:
        raise Refuse(
            403, "The /api/setup route can only be used to create the first user, however a user currently exists."
        )
    if a.body["token"] != m.setup_token:
        raise Refuse(400, {"errors": {"token": "Token does not match the setup token."}})
    check_password(user["password"])
    if not m.users:
        made = m.add_user(user["email"], first=user.get("first_name"), last=user.get("last_name"), admin=True)
        m.passwords[made["id"]] = user["password"]
    m.stored |= {"site-name": a.body["prefs"]["site_name"], "admin-email": user["email"], "anon-tracking-enabled": True}
    return log_in(m, next(iter(m.users)))


def check_password(password: str) -> None:
    if len(password) < 6 or not any(c.isdigit() for c in password):
        raise Refuse(400, {"errors": {"password": "password is too common."}})


def log_in(m: Metabase, user: int) -> Row:
    session = f"session-{len(m.sessions) + 1}-{user}"
    m.sessions[session] = user
    return {"id": session}


@route("POST", "/api/session")
def session(a: Asked) -> Any:
    for number, password in a.m.passwords.items():
        if a.m.users[number]["email"].lower() == a.body["username"].lower() and password == a.body["password"]:
            return log_in(a.m, number)
    raise Refuse(401, {"errors": {"password": "did not match stored password"}})


@route("GET", "/api/api-key")
def keys(a: Asked) -> Any:
    rows = [{k: v for k, v in row.items() if k not in ("secret", "user_id")} for row in a.m.keys.values()]
    return envelope(a, rows, usual=False)


@route("POST", "/api/api-key")
def new_key(a: Asked) -> Any:
    return a.m.add_key(a.body["name"], a.body["group_id"])


@route("PUT", "/api/api-key/{id}/regenerate")
def new_key_secret(a: Asked) -> Any:
    find(a.m.keys, a.id())
    return a.m.new_secret(a.id())


# --- settings ------------------------------------------------------------------------------------------


@route("GET", "/api/setting")
def settings(a: Asked) -> Any:
    return a.m.setting_rows()


@route("PUT", "/api/setting/{key}")
def put_setting(a: Asked) -> Any:
    a.m.put_setting(a.ids["key"], a.body["value"])


@route("PUT", "/api/email")
def put_email(a: Asked) -> Any:
    if a.m.smtp_refuses:
        wrong = "Wrong host or port"
        raise Refuse(400, {"errors": {"email-smtp-host": wrong, "email-smtp-port": wrong}})
    for key, value in a.body.items():
        a.m.put_setting(key, value)
    return {**a.body, "email-smtp-password": "**********", "with-corrections": {}}


# --- people --------------------------------------------------------------------------------------------


@route("GET", "/api/user/current")
def current_user(a: Asked) -> Any:
    return a.user


@route("GET", "/api/user")
def users(a: Asked) -> Any:
    rows = [user for user in a.m.users.values() if not user.get("is_key")]
    if a.query.get("status") != "all":
        rows = [user for user in rows if user["is_active"]]
    return envelope(a, rows, usual=True)


@route("POST", "/api/user")
def new_user(a: Asked) -> Any:
    user = a.m.add_user(a.body["email"], first=a.body.get("first_name"), last=a.body.get("last_name"))
    if a.m.setting("email-smtp-host"):
        a.m.mails.append(f"invitation to {user['email']}")
    return user


@route("PUT", "/api/user/{id}/reactivate")
def reactivate(a: Asked) -> Any:
    user = find(a.m.users, a.id())
    if user["is_active"]:
        raise Refuse(400, {"message": "Not able to reactivate an active user"})
    user["is_active"] = True
    return user


@route("GET", "/api/permissions/group")
def groups(a: Asked) -> Any:
    return envelope(a, a.m.group_rows(), usual=False)


@route("POST", "/api/permissions/group")
def new_group(a: Asked) -> Any:
    return a.m.add_group(a.body["name"])


@route("GET", "/api/permissions/membership")
def memberships(a: Asked) -> Any:
    answer: dict[str, list[Row]] = {}
    for row in a.m.memberships.values():
        answer.setdefault(str(row["user_id"]), []).append(row)
    return answer


@route("POST", "/api/permissions/membership")
def new_membership(a: Asked) -> Any:
    find(a.m.users, a.body["user_id"])
    find(a.m.groups, a.body["group_id"])
    a.m.join(a.body["group_id"], a.body["user_id"])
    return [row for row in a.m.memberships.values() if row["group_id"] == a.body["group_id"]]


@route("DELETE", "/api/permissions/membership/{id}")
def end_membership(a: Asked) -> Any:
    find(a.m.memberships, a.id())
    del a.m.memberships[a.id()]


# --- rights --------------------------------------------------------------------------------------------


@route("GET", "/api/permissions/graph")
def data_graph(a: Asked) -> Any:
    """What is "no" is left out; administrators may everything."""
    groups = {
        str(group): {
            str(database): {k: v for k, v in cell.items() if v != "no"}
            for database, cell in cells.items()
            if database in a.m.databases
        }
        for group, cells in a.m.data.items()
    }
    everything = {"view-data": "unrestricted", "create-queries": "query-builder-and-native", "details": "yes"}
    groups[str(ADMINISTRATORS)] = {str(number): everything for number in a.m.databases}
    return {"revision": a.m.data_revision, "groups": groups}


@route("PUT", "/api/permissions/graph")
def put_data_graph(a: Asked) -> Any:
    interfere(a.m)
    if a.body.get("revision") != a.m.data_revision:
        raise Refuse(409, "Looks like someone else edited the permissions and your data is out of date.")
    for group, cells in a.body["groups"].items():
        if int(group) == ADMINISTRATORS:
            raise Refuse(400, "You cannot set permissions for the admin group.")
        for database, cell in cells.items():
            if cell.get("view-data") == "blocked":
                raise Refuse(
                    402,
                    {"message": "The blocked permissions functionality is only enabled if you have a premium token"},
                )
            if set(cell) - {"view-data", "create-queries", "download", "data-model", "details"}:
                raise Refuse(400, {"errors": {"groups": "disallowed key"}})
            a.m.data[int(group)].setdefault(int(database), {}).update(cell)
    a.m.data_revision += 1
    return {"revision": a.m.data_revision, "groups": {g: data_graph(a)["groups"][g] for g in a.body["groups"]}}


@route("GET", "/api/collection/graph")
def collection_graph(a: Asked) -> Any:
    """What is "none" is left out."""
    groups = {
        str(group): {place: level for place, level in cells.items() if level != "none"}
        for group, cells in a.m.access.items()
    }
    alive = {"root", *(str(number) for number, row in a.m.collections.items() if row.get("type") != "trash")}
    groups[str(ADMINISTRATORS)] = {place: "write" for place in sorted(alive)}
    return {"revision": a.m.access_revision, "groups": groups}


@route("PUT", "/api/collection/graph")
def put_collection_graph(a: Asked) -> Any:
    interfere(a.m)
    if a.body.get("revision") != a.m.access_revision:
        raise Refuse(409, "Looks like someone else edited the permissions and your data is out of date.")
    for group, cells in a.body["groups"].items():
        for place, level in cells.items():
            if place != "root" and int(place) not in a.m.collections:
                raise Refuse(400, {"errors": {"groups": f"unknown collection {place}"}})
            if level not in ("write", "read", "none"):
                raise Refuse(400, {"errors": {"groups": "unknown level"}})
            a.m.access[int(group)][place] = level
    a.m.access_revision += 1
    return collection_graph(a)


def interfere(m: Metabase) -> None:
    """Somebody else writes the graph between our reading and our writing, once."""
    act, m.before_graph_write = m.before_graph_write, None
    if act is not None:
        act()


# --- databases -----------------------------------------------------------------------------------------


def shown_database(row: Row) -> Row:
    details = row["details"] | ({"password": "**MetabasePass**"} if "password" in row["details"] else {})
    return row | {"details": details}


@route("GET", "/api/database")
def databases(a: Asked) -> Any:
    return envelope(a, [shown_database(row) for row in a.m.databases.values()], usual=True)


@route("POST", "/api/database")
def new_database(a: Asked) -> Any:
    if a.body.get("cache_ttl"):
        raise Refuse(402, "Cache is a paid feature not currently available to your instance.")
    if a.m.database_refuses:
        raise Refuse(
            400, {"valid": False, "errors": {"password": "Looks like your username or password is incorrect."}}
        )
    return shown_database(a.m.add_database(a.body["name"], a.body["engine"], a.body["details"]))


@route("PUT", "/api/database/{id}")
def put_database(a: Asked) -> Any:
    row = find(a.m.databases, a.id())
    details = a.body.pop("details", {})
    if details.get("password") == "**MetabasePass**":
        details.pop("password")
    row["details"] = row["details"] | details | {"ssl": True}
    row |= a.body
    return shown_database(row)


@route("DELETE", "/api/database/{id}")
def end_database(a: Asked) -> Any:
    find(a.m.databases, a.id())
    a.m.drop_database(a.id())


@route("GET", "/api/database/{id}")
def database(a: Asked) -> Any:
    row = find(a.m.databases, a.id())
    a.m.look_at_sync(a.id())
    return shown_database(row)


@route("GET", "/api/database/{id}/metadata")
def metadata(a: Asked) -> Any:
    return shown_database(find(a.m.databases, a.id())) | {"tables": a.m.tables.get(a.id(), [])}


@route("POST", "/api/database/{id}/sync_schema")
def sync_schema(a: Asked) -> Any:
    find(a.m.databases, a.id())
    a.m.syncing[a.id()] = SYNC_LOOKS
    return {"status": "ok"}


@route("PUT", "/api/table/{id}")
def put_table(a: Asked) -> Any:
    return described(a, [row for rows in a.m.tables.values() for row in rows])


@route("PUT", "/api/field/{id}")
def put_field(a: Asked) -> Any:
    return described(a, [field for rows in a.m.tables.values() for row in rows for field in row["fields"]])


def described(a: Asked, rows: list[Row]) -> Row:
    """A table or field with other words."""
    row = find({each["id"]: each for each in rows}, a.id())
    row |= {key: value for key, value in a.body.items() if key not in a.m.forgets.get("description", ())}
    return row


# --- collections ---------------------------------------------------------------------------------------


@route("GET", "/api/collection")
def collections(a: Asked) -> Any:
    archived = a.query.get("archived") == "true"
    rows = [row for row in a.m.collections.values() if bool(row.get("archived")) == archived]
    root = [] if archived else [{"id": "root", "name": "Our analytics", "is_personal": False}]
    return [*root, *rows]


@route("POST", "/api/collection")
def new_collection(a: Asked) -> Any:
    return a.m.add_collection(a.body["name"], a.body.get("description"), a.body.get("parent_id"))


@route("PUT", "/api/collection/{id}")
def put_collection(a: Asked) -> Any:
    m, row = a.m, find(a.m.collections, a.id())
    if "parent_id" in a.body:
        parent, old = a.body.pop("parent_id"), row["location"]
        row["location"] = "/" if parent is None else f"{m.collections[parent]['location']}{parent}/"
        for number in m.inside(a.id()):
            child = m.collections[number]
            child["location"] = child["location"].replace(f"{old}{a.id()}/", f"{row['location']}{a.id()}/", 1)
    was = row["archived"]
    row |= {key: value for key, value in a.body.items() if value is not None}
    if row["archived"] != was:
        for number in [a.id(), *m.inside(a.id())]:
            m.collections[number]["archived"] = row["archived"]
            for thing in [*m.cards.values(), *m.dashboards.values()]:
                if thing["collection_id"] == number:
                    before = deepcopy(thing)
                    thing["archived"] = row["archived"]
                    if "dataset_query" in thing:
                        m.check_alerts(before, thing)
    return row


@route("GET", "/api/collection/{id}/items")
def items(a: Asked) -> Any:
    """What was archived is listed in the Trash, and not where it lay."""
    archived = a.query.get("archived") == "true"
    model = a.query.get("models")
    rows = []
    for kind, things in (("card", a.m.cards), ("dashboard", a.m.dashboards)):
        for thing in things.values():
            here = thing["archived"] if a.id() == 1 else thing["collection_id"] == a.id() and not thing["archived"]
            if here and model in (None, kind) and (archived or a.id() != 1):
                rows.append({"id": thing["id"], "model": kind, "name": thing["name"]})
    return envelope(a, rows, usual=True)


# --- cards ---------------------------------------------------------------------------------------------


def to_mbql5(query: Row) -> Row:
    """From 0.57 every query is kept and returned in this shape."""
    if not query:
        raise Refuse(500, {"message": "Value does not match schema", "via": [], "trace": []})
    if query.get("type") != "native":
        return query
    stage = {
        "lib/type": "mbql.stage/native",
        "native": query["native"]["query"],
        "template-tags": query["native"].get("template-tags", {}),
    }
    return {"lib/type": "mbql/query", "database": query["database"], "stages": [stage]}


def to_legacy(query: Row) -> Row:
    if "stages" not in query:
        return query
    stage = query["stages"][0]
    native = {"query": stage["native"], "template-tags": stage["template-tags"]}
    return {"type": "native", "database": query["database"], "native": native}


def shown_card(a: Asked, row: Row) -> Row:
    creator = a.m.users.get(row["creator_id"], {})
    query = to_legacy(row["dataset_query"]) if a.m.legacy_queries else row["dataset_query"]
    parameters = [each | {"filteringParameters": []} for each in row["parameters"]]
    shown = {key: creator.get(key) for key in ("id", "email", "first_name", "last_name", "common_name")}
    return row | {"dataset_query": query, "creator": shown, "parameters": parameters}


@route("GET", "/api/card")
def cards(a: Asked) -> Any:
    archived = a.query.get("f") == "archived"
    rows = [shown_card(a, row) for row in a.m.cards.values() if row["archived"] == archived]
    return envelope(a, rows, usual=False)


@route("GET", "/api/card/{id}")
def card(a: Asked) -> Any:
    return shown_card(a, find(a.m.cards, a.id()))


@route("POST", "/api/card")
def new_card(a: Asked) -> Any:
    number = a.m.new_id()
    if a.body.get("collection_id") is not None:
        find(a.m.collections, a.body["collection_id"])
    query = to_mbql5(a.body.pop("dataset_query"))
    row = {
        "id": number, "type": "question", "description": None, "collection_id": None, "parameters": [],
        "archived": False, "public_uuid": None, "enable_embedding": False, "entity_id": f"{number:021d}",
    }  # fmt: skip
    row |= a.body | {"dataset_query": query, "database_id": query["database"], "creator_id": a.user["id"]}
    a.m.cards[number] = forget(a.m, "card", row)
    return shown_card(a, row)


@route("PUT", "/api/card/{id}")
def put_card(a: Asked) -> Any:
    row = find(a.m.cards, a.id())
    before = deepcopy(row)
    if "dataset_query" in a.body:
        a.body["dataset_query"] = to_mbql5(a.body["dataset_query"])
        row["database_id"] = a.body["dataset_query"]["database"]
    row |= forget(a.m, "card", {key: value for key, value in a.body.items() if value is not None or key != "archived"})
    a.m.check_alerts(before, row)
    return shown_card(a, row)


@route("DELETE", "/api/card/{id}")
def end_card(a: Asked) -> Any:
    find(a.m.cards, a.id())
    a.m.drop_card(a.id())


def forget(m: Metabase, kind: str, row: Row) -> Row:
    for key in m.forgets.get(kind, ()):
        row.pop(key, None)
        if key in ("display",):
            row[key] = "table"
    return row


def make_public(a: Asked, rows: dict[int, Row], name: str) -> Any:
    if not a.m.setting("enable-public-sharing"):
        raise Refuse(400, "Public sharing is not enabled.")
    find(rows, a.id(name))["public_uuid"] = f"public-{a.id(name)}"
    return {"uuid": rows[a.id(name)]["public_uuid"]}


@route("POST", "/api/card/{card-id}/public_link")
def share_card(a: Asked) -> Any:
    return make_public(a, a.m.cards, "card_id")


@route("DELETE", "/api/card/{card-id}/public_link")
def unshare_card(a: Asked) -> Any:
    find(a.m.cards, a.id("card_id"))["public_uuid"] = None


@route("POST", "/api/dashboard/{dashboard-id}/public_link")
def share_dashboard(a: Asked) -> Any:
    return make_public(a, a.m.dashboards, "dashboard_id")


@route("DELETE", "/api/dashboard/{dashboard-id}/public_link")
def unshare_dashboard(a: Asked) -> Any:
    find(a.m.dashboards, a.id("dashboard_id"))["public_uuid"] = None


@route("POST", "/api/dataset")
def dataset(a: Asked) -> Any:
    """Failed SQL is answered by 202, too."""
    sql = a.body["native"]["query"]
    failing = next((word for word in a.m.failing_sql if word in sql), None)
    if failing:
        return {
            "status": "failed", "error": f"ERROR: {failing} is wrong", "error_type": "invalid-query",
            "data": {"rows": [], "cols": []},
        }  # fmt: skip
    return {"status": "completed", "row_count": 0, "data": {"rows": [], "cols": []}}


@route("POST", "/api/card/{card-id}/query")
def run_card(a: Asked) -> Any:
    query = to_legacy(find(a.m.cards, a.id("card_id"))["dataset_query"])
    a.body = query
    return dataset(a)


# --- dashboards ----------------------------------------------------------------------------------------


def shown_dashboard(a: Asked, row: Row) -> Row:
    dashcards = [
        each | {"card": a.m.cards.get(each["card_id"] or 0), "action_id": None, "created_at": "2026-11-20"}
        for each in reversed(row["dashcards"])
    ]
    parameters = [{"values_source_type": None, "filteringParameters": []} | each for each in row["parameters"]]
    creator = a.m.users.get(row["creator_id"], {})
    return row | {"dashcards": dashcards, "parameters": parameters, "creator_email": creator.get("email")}


@route("POST", "/api/dashboard")
def new_dashboard(a: Asked) -> Any:
    number = a.m.new_id()
    row = {
        "id": number, "description": None, "collection_id": None, "parameters": [], "dashcards": [], "tabs": [],
        "width": "fixed", "auto_apply_filters": True, "archived": False, "public_uuid": None, "enable_embedding": False,
        "creator_id": a.user["id"],
    }  # fmt: skip
    a.m.dashboards[number] = row | {k: v for k, v in a.body.items() if k not in ("dashcards", "tabs")}
    return shown_dashboard(a, a.m.dashboards[number])


@route("GET", "/api/dashboard/{id}")
def dashboard(a: Asked) -> Any:
    return shown_dashboard(a, find(a.m.dashboards, a.id()))


@route("PUT", "/api/dashboard/{id}")
def put_dashboard(a: Asked) -> Any:
    row = find(a.m.dashboards, a.id())
    if a.body.get("dashcards") is not None:
        new_tabs = {}
        tabs = []
        for tab in a.body.get("tabs") or []:  # no tabs beside dashcards: the tabs that were there are deleted
            known = {each["id"] for each in row["tabs"]}
            number = tab["id"] if tab["id"] in known else a.m.new_id()
            if tab["id"] > 0 and tab["id"] not in known:
                raise Refuse(404, "Not found.")
            new_tabs[tab["id"]] = number
            tabs.append({"id": number, "dashboard_id": a.id(), "name": tab["name"], "position": len(tabs)})
        dashcards = [placed(a, row, each, new_tabs) for each in a.body["dashcards"]]
        if len({each["id"] for each in a.body["dashcards"]}) != len(dashcards):
            raise Refuse(400, {"errors": {"dashcards": "ids must be unique"}})
        row["tabs"], row["dashcards"] = tabs, dashcards
        alive = {each["id"] for each in dashcards}
        for pulse in a.m.pulses.values():
            if pulse["dashboard_id"] == a.id():
                pulse["cards"] = [each for each in pulse["cards"] if each["dashboard_card_id"] in alive]
    changes = {k: v for k, v in a.body.items() if k not in ("dashcards", "tabs") and v is not None}
    row |= forget(a.m, "dashboard", changes)
    return shown_dashboard(a, row)


def placed(a: Asked, row: Row, wanted: Row, tabs: dict[int, int]) -> Row:
    """One dashcard of the new array."""
    known = {each["id"]: each for each in row["dashcards"]}
    if wanted["id"] > 0 and wanted["id"] not in known:
        raise Refuse(404, "Not found.")
    if wanted["col"] + wanted["size_x"] > COLUMNS_24:
        raise Refuse(400, {"errors": {"dashcards": "wider than the grid"}})
    tab = wanted.get("dashboard_tab_id")
    if len(tabs) > 1 and tab not in tabs:
        raise Refuse(400, "This dashboard has tab, makes sure every card has a tab")
    if wanted.get("card_id") is not None and find(a.m.cards, wanted["card_id"])["archived"]:
        raise Refuse(400, "The object has been archived.")
    number = wanted["id"] if wanted["id"] > 0 else a.m.new_id()
    base = known.get(number, {"parameter_mappings": [], "series": [], "visualization_settings": {}})
    return base | wanted | {"id": number, "dashboard_id": row["id"], "dashboard_tab_id": tabs.get(tab or 0)}


# --- alerts --------------------------------------------------------------------------------------------


def check_notification(a: Asked) -> None:
    card = a.m.cards.get(a.body["payload"]["card_id"])
    if card is None:
        raise Refuse(404, "Not found.")
    for each in a.body.get("subscriptions", []):
        fields = each["cron_schedule"].split(" ")
        if len(fields) not in (6, 7) or (fields[3] == "?") == (fields[5] == "?"):
            raise Refuse(400, {"errors": {"cron_schedule": "invalid cron"}})
    for handler in a.body.get("handlers", []):
        for each in handler.get("recipients", []):
            check_recipient(each)


def check_recipient(row: Row) -> None:
    """Each type of recipient has its own keys, and no others."""
    kind = row["type"].partition("/")[2]
    given = {k for k in ("user_id", "permissions_group_id", "details") if row.get(k) not in (None, {})}
    wants = {"user": {"user_id"}, "group": {"permissions_group_id"}, "raw-value": {"details"}}[kind]
    if given != wants or (kind == "raw-value" and set(row["details"]) != {"value"}):
        raise Refuse(400, {"errors": {"recipients": f"wrong keys for a {kind}"}})


def with_children(a: Asked, number: int, body: Row, there: Row | None) -> Row:
    """Children sent without the id they have are deleted and made again."""
    old = {each["id"] for each in (there or {}).get("subscriptions", [])}
    subscriptions = [
        each | {"id": each["id"] if each.get("id") in old else a.m.new_id(), "notification_id": number}
        for each in body.get("subscriptions", [])
    ]
    olds = {each["id"] for each in (there or {}).get("handlers", [])}
    handlers = []
    for each in body.get("handlers", []):
        handler = each["id"] if each.get("id") in olds else a.m.new_id()
        recipients = [
            {"user_id": None, "permissions_group_id": None, "details": None}
            | recipient
            | {"id": recipient.get("id") or a.m.new_id(), "notification_handler_id": handler}
            for recipient in each.get("recipients", [])
        ]
        more = {
            "id": handler,
            "notification_id": number,
            "channel_id": each.get("channel_id"),
            "recipients": recipients,
        }
        handlers.append(each | more)
    return {"subscriptions": subscriptions, "handlers": handlers}


def shown_notification(a: Asked, row: Row) -> Row:
    creator = a.m.users.get(row["creator_id"], {})
    card = a.m.cards.get(row["payload"].get("card_id") or 0)
    small = {key: card[key] for key in ("id", "name", "display")} if card else None
    return row | {
        "creator": {key: creator.get(key) for key in ("id", "email", "first_name", "last_name")},
        "payload": row["payload"] | {"card": small, "disable_links": False},
    }


@route("GET", "/api/notification")
def notifications(a: Asked) -> Any:
    """System notifications share the route, so whoever does not ask for a kind gets them, too."""
    rows = [row for row in a.m.notifications.values() if row["active"] or a.query.get("include_inactive") == "true"]
    if "card_id" in a.query:
        rows = [row for row in rows if row["payload"].get("card_id") == int(a.query["card_id"])]
    if "payload_type" in a.query:
        rows = [row for row in rows if row["payload_type"] == a.query["payload_type"]]
        return [shown_notification(a, row) for row in rows]
    system = {"id": 1, "payload_type": "notification/system-event", "payload": None, "active": True}
    return [system, *(shown_notification(a, row) for row in rows)]


@route("POST", "/api/notification")
def new_notification(a: Asked) -> Any:
    check_notification(a)
    number = a.m.new_id()
    payload = {"send_condition": "has_result", "send_once": False} | a.body["payload"]
    payload.pop("card", None)
    row = {
        "id": number, "payload_type": a.body["payload_type"], "active": a.body.get("active", True) is not False,
        "payload": payload | {"id": a.m.new_id()}, "creator_id": a.user["id"],
    }  # fmt: skip
    row["payload_id"] = row["payload"]["id"]
    a.m.notifications[number] = row | with_children(a, number, a.body, None)
    if a.m.setting("email-smtp-host"):
        a.m.mails.append(f"added to alert {number}")
    return shown_notification(a, a.m.notifications[number])


@route("PUT", "/api/notification/{id}")
def put_notification(a: Asked) -> Any:
    row = find(a.m.notifications, a.id())
    check_notification(a)
    if a.body["payload"]["card_id"] != row["payload"]["card_id"] or a.body["payload_type"] != row["payload_type"]:
        raise Refuse(400, {"message": "payload_type and card_id cannot change"})
    payload = row["payload"] | {
        k: a.body["payload"][k] for k in ("send_condition", "send_once") if k in a.body["payload"]
    }
    children = with_children(a, a.id(), a.body, row)
    row |= {"payload": payload, "active": a.body.get("active", True) is not False, **children}
    if a.body.get("creator_id"):
        row["creator_id"] = a.body["creator_id"]
    if a.m.setting("email-smtp-host"):
        a.m.mails.append(f"changed alert {a.id()}")
    return shown_notification(a, row)


# --- subscriptions -------------------------------------------------------------------------------------


def shown_pulse(a: Asked, row: Row) -> Row:
    channels = []
    for channel in row["channels"]:
        people = [
            {"id": each["id"], "email": a.m.users[each["id"]]["email"]} if each.get("id") else {"email": each["email"]}
            for each in channel.get("recipients", [])
        ]
        channels.append(channel | {"recipients": people, "pulse_id": row["id"]})
    creator = a.m.users.get(row["creator_id"], {})
    return row | {"channels": channels, "creator": {key: creator.get(key) for key in ("id", "email")}}


@route("GET", "/api/pulse")
def pulses(a: Asked) -> Any:
    archived = a.query.get("archived") == "true"
    rows = [row for row in a.m.pulses.values() if row["archived"] == archived]
    if "dashboard_id" in a.query:
        rows = [row for row in rows if row["dashboard_id"] == int(a.query["dashboard_id"])]
    return envelope(a, [shown_pulse(a, row) for row in rows], usual=False)


def check_pulse(a: Asked, board: int | None) -> None:
    if board is None:
        return
    places = {each["id"]: each["card_id"] for each in find(a.m.dashboards, board)["dashcards"]}
    for each in a.body.get("cards", []):
        if places.get(each["dashboard_card_id"]) != each["id"]:
            raise Refuse(400, "card is not on the dashboard")
    if a.body.get("parameters"):
        raise Refuse(402, "Dashboard subscription filters are a paid feature.")


@route("POST", "/api/pulse")
def new_pulse(a: Asked) -> Any:
    check_pulse(a, a.body.get("dashboard_id"))
    number = a.m.new_id()
    row = {"id": number, "archived": False, "creator_id": a.user["id"], "skip_if_empty": False} | a.body
    a.m.pulses[number] = row
    return shown_pulse(a, row)


@route("PUT", "/api/pulse/{id}")
def put_pulse(a: Asked) -> Any:
    """Defaults are applied again: who leaves out `archived` brings it back."""
    row = find(a.m.pulses, a.id())
    check_pulse(a, row["dashboard_id"])
    row |= {"archived": False, "skip_if_empty": False} | {k: v for k, v in a.body.items() if v is not None}
    return shown_pulse(a, row)
