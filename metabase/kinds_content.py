"""
Kinds of things people see: collections, questions, dashboards. All carry our mark and lie in our collections.
"""

from __future__ import annotations

import json
from typing import Any

from metabase.actual import Row, native_query, parent_of, read_notifications
from metabase.client import MetabaseError
from metabase.desired import DATABASE_NAME, Content, Wanted, in_reading_order
from metabase.parameters import template_tags
from metabase.plan import Found, World

PARAMETER_KEYS = ("id", "name", "slug", "type", "sectionId", "values_query_type", "isMultiSelect", "target")
TAG_KEYS = ("name", "display-name", "type", "required")
SEND_CONDITION_WITHOUT_GOAL = "has_result"


class CollectionKind:
    """Our collections. One that is no longer named is left: what lies in it may be somebody's."""

    name = "collection"
    changes: tuple[str, ...] = ("collections", "archived collections")
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        return world.desired.collections

    def found(self, world: World) -> dict[str, Found]:
        names = world.actual.collection_names()
        found = {}
        for name, row in world.actual.collections().items():
            key = f"collection/{name}"
            if key not in world.desired.collections:
                continue
            parent = parent_of(row)
            place = "root" if parent is None else names.get(parent, "elsewhere")
            content: Content = {"name": row["name"], "description": row.get("description"), "parent": place}
            content |= {"archived": True} if row.get("archived") else {}
            found[key] = Found(key, f"collection {row['name']}", int(row["id"]), content, row)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        parent = wanted.content["parent"]
        parent_id = None if parent == "root" else world.actual.collection_ids()[parent]
        body = {
            "name": wanted.content["name"],
            "description": wanted.content["description"],
            "parent_id": parent_id,
        }
        if found is None:
            world.actual.client.post("/api/collection", body)
        else:
            world.actual.client.put(f"/api/collection/{found.id}", body | {"archived": False})

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} is never removed")


class QuestionKind:
    """Our cards. Their SQL is run before they are written; alerts a change would delete are put back."""

    name = "question"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        for row in world.actual.strange_cards():
            world.note(
                f"question {row['name']!r} (id {row['id']}) in our collections is not from files; it is left alone"
            )
        return world.desired.questions

    def found(self, world: World) -> dict[str, Found]:
        places = world.actual.collection_names()
        return {
            key: Found(key, f"question {row['name']}", int(row["id"]), card_content(row, places, world), row)
            for key, row in world.actual.cards().items()
            if key.startswith("question/") and (key in world.desired.questions or not row.get("archived"))
        }

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        content, client = wanted.content, world.actual.client
        database_id = world.actual.database_id()
        tags = template_tags(wanted.name, content["sql"])
        if found is None or found.content["sql"] != content["sql"]:
            dry_run(world, database_id, wanted, tags)
        body: Content = {name: content[name] for name in ("name", "description", "type", "display", "parameters")} | {
            "collection_id": world.actual.collection_ids()[content["collection"]],
            "dataset_query": {
                "type": "native",
                "database": database_id,
                "native": {"query": content["sql"], "template-tags": tags},
            },
            "visualization_settings": content["settings"],
        }
        if found is None:
            client.post("/api/card", body)
            return
        put_card(world, found.id or 0, body | {"archived": False})
        if found.content["public"]:
            client.delete(f"/api/card/{found.id}/public_link")

    def remove(self, world: World, found: Found) -> None:
        world.actual.client.put(f"/api/card/{found.id}", {"archived": True})


class DashboardKind:
    """Our dashboards. Cards keep their ids wherever they show the same, because subscriptions name those."""

    name = "dashboard"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        for row in world.actual.strange_dashboards():
            world.note(
                f"dashboard {row['name']!r} (id {row['id']}) in our collections is not from files; it is left alone"
            )
        return world.desired.dashboards

    def found(self, world: World) -> dict[str, Found]:
        rows = world.actual.dashboards(set(world.desired.dashboards))
        places, cards = world.actual.collection_names(), world.actual.card_keys()
        return {
            key: Found(key, f"dashboard {row['name']}", int(row["id"]), dashboard_content(row, places, cards), row)
            for key, row in rows.items()
            if key.startswith("dashboard/") and (key in world.desired.dashboards or not row.get("archived"))
        }

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        content, client = wanted.content, world.actual.client
        cards = world.actual.card_keys()
        head: Content = {name: content[name] for name in ("name", "description")}
        head["parameters"] = [parameter_body(each, cards) for each in content["parameters"]]
        head["collection_id"] = world.actual.collection_ids()[content["collection"]]
        row = found.row if found else client.post("/api/dashboard", head)
        tabs = tab_bodies(content["tabs"], row.get("tabs") or [])
        body = head | {
            "width": content["width"],
            "auto_apply_filters": content["auto_apply_filters"],
            "archived": False,
            "tabs": tabs,
            "dashcards": dashcard_bodies(content["cards"], row.get("dashcards") or [], tabs, cards),
        }
        client.put(f"/api/dashboard/{row['id']}", body)
        if found and found.content["public"]:
            client.delete(f"/api/dashboard/{found.id}/public_link")

    def remove(self, world: World, found: Found) -> None:
        world.actual.client.put(f"/api/dashboard/{found.id}", {"archived": True})


def card_content(row: Row, places: dict[int, str], world: World) -> Content:
    """A card in our words, from either shape of query."""
    sql, tags, database = native_query(row)
    ours = world.actual.database()
    return {
        "name": row["name"],
        "description": row.get("description"),
        "type": row.get("type") or "question",
        "collection": places.get(row.get("collection_id") or 0, "elsewhere"),
        "database": DATABASE_NAME if ours and database == ours["id"] else f"another ({database})",
        "display": row.get("display"),
        "sql": sql.strip() if sql is not None else None,
        "tags": {name: {k: tag.get(k, False) for k in TAG_KEYS} for name, tag in tags.items()},
        "parameters": [known_part(each) for each in row.get("parameters") or []],
        "settings": plain_settings(row.get("visualization_settings") or {}),
        "archived": bool(row.get("archived")),
        "public": bool(row.get("public_uuid")),
    }


def known_part(parameter: Row) -> Content:
    """The keys of a parameter that we set; the server adds its own, and empty ones say nothing."""
    return {key: parameter[key] for key in PARAMETER_KEYS if parameter.get(key) is not None}


def plain_settings(settings: Row) -> Content:
    """Settings with the keys of columns, which are JSON texts, written one way."""
    columns = settings.get("column_settings")
    if not isinstance(columns, dict):
        return settings
    return settings | {"column_settings": {_one_way(key): value for key, value in columns.items()}}


def _one_way(key: str) -> str:
    try:
        return json.dumps(json.loads(key), separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        return key


def dry_run(world: World, database_id: int, wanted: Wanted, tags: Content) -> None:
    """
    Run the statement through Metabase before anything is written.

    Errors: MetabaseError naming the question, with the database's words.
    """
    try:
        world.actual.client.run_sql(database_id, wanted.content["sql"], tags)
    except MetabaseError as error:
        raise MetabaseError(
            f"the SQL of {wanted.title} ({wanted.key}) fails in Metabase",
            cause=error.cause,
            next="are the marts filled (panpan transform run), and does role bi read them?",
        ) from error


def put_card(world: World, card_id: int, body: Content) -> None:
    """
    Change a card and bring back people's own alerts that Metabase deletes with some changes.

    They are noted in the memory before, so that a run after a kill finishes the job. Ours come back by themselves.
    """
    client = world.actual.client
    before = read_notifications(client, card_id)
    if before:
        world.memory.keep_mails([*world.memory.mails, *before])
    client.put(f"/api/card/{card_id}", body)
    restore_mails(world)


def restore_mails(world: World) -> None:
    """Create again the noted alerts of people that are gone; forget the note."""
    client = world.actual.client
    noted = world.memory.mails
    if not noted:
        return
    alive = {row["id"] for card_id in {row["payload"]["card_id"] for row in noted}
             for row in read_notifications(client, card_id)}  # fmt: skip
    for row in noted:
        if row["id"] in alive:
            continue
        if row["payload"].get("send_condition") != SEND_CONDITION_WITHOUT_GOAL:
            world.note(f"a goal alert on card {row['payload']['card_id']} ended, because the card lost its goal line")
            continue
        made = client.post("/api/notification", without_ids(row))
        if row.get("creator_id") and made.get("creator_id") != row["creator_id"]:
            client.put(f"/api/notification/{made['id']}", made | {"creator_id": row["creator_id"]})
    world.memory.keep_mails([])


def without_ids(row: Row) -> Content:
    """A notification as a new one."""
    payload = {key: row["payload"][key] for key in ("card_id", "send_condition", "send_once") if key in row["payload"]}
    subscriptions = [
        {key: each.get(key) for key in ("type", "cron_schedule", "ui_display_type")} for each in row["subscriptions"]
    ]
    handlers = [
        {
            "channel_type": each["channel_type"],
            **({"channel_id": each["channel_id"]} if each.get("channel_id") else {}),
            "recipients": [new_recipient(recipient) for recipient in each.get("recipients") or []],
        }
        for each in row["handlers"]
    ]
    return {
        "payload_type": row["payload_type"],
        "active": True,
        "payload": payload,
        "subscriptions": subscriptions,
        "handlers": handlers,
    }


def new_recipient(row: Row) -> Content:
    """A recipient with only the keys its type may have."""
    keys = {
        "notification-recipient/user": ("user_id",),
        "notification-recipient/group": ("permissions_group_id",),
        "notification-recipient/raw-value": ("details",),
    }
    return {key: row[key] for key in ("type", *keys.get(row["type"], ()))}


def dashboard_content(row: Row, places: dict[int, str], cards: dict[int, str]) -> Content:
    """A dashboard in our words."""
    tabs = {tab["id"]: tab["name"] for tab in row.get("tabs") or []}
    return {
        "name": row["name"],
        "description": row.get("description"),
        "collection": places.get(row.get("collection_id") or 0, "elsewhere"),
        "width": row.get("width"),
        "auto_apply_filters": row.get("auto_apply_filters"),
        "parameters": [parameter_content(each, cards) for each in row.get("parameters") or []],
        "tabs": list(tabs.values()),
        "cards": in_reading_order(dashcard_content(each, tabs, cards) for each in row.get("dashcards") or []),
        "archived": bool(row.get("archived")),
        "public": bool(row.get("public_uuid")),
    }


def dashcard_content(row: Row, tabs: dict[int, str], cards: dict[int, str]) -> Content:
    """A place on the grid in our words."""
    settings = plain_settings(row.get("visualization_settings") or {})
    tab = tabs.get(row.get("dashboard_tab_id") or 0)
    content: Content = {"tab": tab} | {name: row.get(name) for name in ("row", "col", "size_x", "size_y")}
    content["shows"] = shown_by(row, cards)
    content["mappings"] = sorted(
        [each["parameter_id"], target_name(each.get("target"))] for each in row.get("parameter_mappings") or []
    )
    if row.get("series"):
        content["series"] = [each.get("id") for each in row["series"]]
    return content | {"settings": settings}


def parameter_content(row: Row, cards: dict[int, str]) -> Content:
    """A filter of a dashboard in our words: where its list comes from by names."""
    content = known_part(row)
    kind, source = row.get("values_source_type"), row.get("values_source_config") or {}
    if kind is None:
        return content
    if kind == "card":
        field_ = source.get("value_field") or [None, None]
        card = cards.get(source.get("card_id") or 0, f"card {source.get('card_id')}")
        # From 0.57 a reference to a field may have its options in the middle.
        source = {"card": card, "column": next((part for part in field_[1:] if isinstance(part, str)), None)}
    return content | {"values_source_type": kind, "values": source}


def parameter_body(content: Content, cards: dict[int, str]) -> Content:
    """A filter of a dashboard in Metabase's words."""
    body = {key: value for key, value in content.items() if key != "values"}
    if "values" in content:
        number = next(number for number, key in cards.items() if key == content["values"]["card"])
        column = ["field", content["values"]["column"], {"base-type": "type/Text"}]
        body["values_source_config"] = {"card_id": number, "value_field": column}
    return body


def shown_by(row: Row, cards: dict[int, str]) -> str:
    """What stands in a dashcard: our question, somebody else's card, a heading, a text."""
    if row.get("card_id") is not None:
        return cards.get(int(row["card_id"]), f"card {row['card_id']}")
    settings = row.get("visualization_settings") or {}
    virtual = settings.get("virtual_card") or {}
    return f"{virtual.get('display')}: {settings.get('text')}"


def target_name(target: Any) -> str:
    """The template tag a filter is connected to."""
    try:
        return str(target[1][1])
    except (TypeError, IndexError):
        return json.dumps(target)


def tab_bodies(titles: list[str], there: list[Row]) -> list[Content]:
    """Tabs to send: those that are there keep their id, new ones get negative ones."""
    ids = {tab["name"]: int(tab["id"]) for tab in there}
    return [{"id": ids.get(title, -number), "name": title} for number, title in enumerate(titles, start=1)]


def dashcard_bodies(
    wanted: list[Content], there: list[Row], tabs: list[Content], cards: dict[int, str]
) -> list[Content]:
    """Dashcards to send: each reuses the id of one that shows the same, in the same tab if there are two."""
    tab_ids: dict[str, int] = {tab["name"]: tab["id"] for tab in tabs}
    card_ids = {key: number for number, key in cards.items()}
    free = sorted(there, key=lambda row: int(row["id"]))
    bodies = []
    for number, card in enumerate(wanted, start=1):
        same = [row for row in free if shown_by(row, cards) == card["shows"]]
        in_tab = [row for row in same if row.get("dashboard_tab_id") == tab_ids.get(card["tab"] or "")]
        chosen = next(iter(in_tab or same), None)
        if chosen is not None:
            free.remove(chosen)
        card_id = card_ids[card["shows"]] if card["shows"].startswith("question/") else None
        bodies.append(
            {name: card[name] for name in ("row", "col", "size_x", "size_y")}
            | {
                "id": int(chosen["id"]) if chosen is not None else -number,
                "card_id": card_id,
                "dashboard_tab_id": tab_ids.get(card["tab"] or ""),
                "parameter_mappings": [
                    {"parameter_id": parameter, "card_id": card_id, "target": ["variable", ["template-tag", tag]]}
                    for parameter, tag in card["mappings"]
                ],
                "series": [],
                "visualization_settings": card["settings"],
            }
        )
    return bodies
