"""
What the double remembers: people, rights, databases, collections, cards, dashboards, mails. One object, no HTTP.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count
from typing import Any

Row = dict[str, Any]

ALL_USERS, ADMINISTRATORS, ANALYSTS = 1, 2, 3
SYNC_LOOKS = 2  # so often a database is asked for before its sync is over
Warehouse = dict[str, tuple[str | None, dict[str, str | None]]]  # table -> its comment, and those of its columns
WAREHOUSE: Warehouse = {
    "daily_store_sales": ("One row per store and day.", {"business_date": "The day.", "net_amount": None}),
    "data_freshness": (None, {"source": "Which source."}),
}
LINES = ("line", "bar", "area", "progress")
DEFAULTS: Row = {
    "site-name": "Metabase",
    "site-url": None,
    "site-locale": "en",
    "report-timezone": None,
    "start-of-week": "sunday",
    "enable-public-sharing": True,
    "enable-embedding-static": False,
    "anon-tracking-enabled": True,
    "email-from-address": "notifications@metabase.com",
    "email-from-name": None,
    "email-smtp-host": None,
    "email-smtp-port": None,
    "email-smtp-security": "none",
    "email-smtp-username": None,
    "email-smtp-password": None,
    "admin-email": None,
    "custom-formatting": {},
}
IN_PROPERTIES = (
    "site-name", "site-url", "site-locale", "report-timezone", "start-of-week", "enable-public-sharing",
    "enable-embedding-static", "anon-tracking-enabled", "custom-formatting",
)  # fmt: skip


class Refuse(Exception):
    """An error answer; a dict becomes JSON, a text stays plain text."""

    def __init__(self, status: int, body: Row | str) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass
class Metabase:
    """The server's memory and its switches."""

    tag: str = "v0.64.6"
    # switches
    starting: int = 0  # so many requests are answered by 503 first
    envelopes: bool | None = None  # None: as usual; else every list in that shape
    failing_sql: tuple[str, ...] = ()
    forgets: dict[str, tuple[str, ...]] = field(default_factory=dict)  # kind of object -> keys dropped in silence
    smtp_refuses: bool = False
    database_refuses: bool = False
    environment: Row = field(default_factory=dict)  # settings given by variables
    legacy_queries: bool = False  # cards are read in the shape from before 0.57
    setup_stays_open: bool = False
    before_graph_write: Callable[[], None] | None = None  # somebody else, just in time
    look_into: Callable[[Row], Warehouse] = lambda details: WAREHOUSE  # what a sync finds; raises Refuse when it can't
    never_syncs: bool = False
    # what was noted
    log: list[tuple[str, str, int]] = field(default_factory=list)
    writes: int = 0
    violations: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ids = count(100)
        self.setup_token: str = str(uuid.uuid4())
        self.stored: Row = {}
        self.users: dict[int, Row] = {}
        self.passwords: dict[int, str] = {}
        self.sessions: dict[str, int] = {}
        self.keys: dict[int, Row] = {}
        self.groups: dict[int, Row] = {
            ALL_USERS: {"id": ALL_USERS, "name": "All Users", "magic_group_type": "all-internal-users"},
            ADMINISTRATORS: {"id": ADMINISTRATORS, "name": "Administrators", "magic_group_type": "admin"},
            ANALYSTS: {"id": ANALYSTS, "name": "Data Analysts", "magic_group_type": "data-analyst"},
        }
        self.memberships: dict[int, Row] = {}
        self.databases: dict[int, Row] = {}
        self.tables: dict[int, list[Row]] = {}
        self.syncing: dict[int, int] = {}  # database -> looks until its sync is over
        self.collections: dict[int, Row] = {1: {"id": 1, "name": "Trash", "type": "trash", "location": "/"}}
        self.cards: dict[int, Row] = {}
        self.dashboards: dict[int, Row] = {}
        self.notifications: dict[int, Row] = {}
        self.pulses: dict[int, Row] = {}
        self.data: dict[int, dict[int, Row]] = {ALL_USERS: {}, ANALYSTS: {}}
        self.data_revision = 0
        self.access: dict[int, dict[str, str]] = {ALL_USERS: {"root": "write"}, ANALYSTS: {"root": "write"}}
        self.access_revision = 0

    def new_id(self) -> int:
        return next(self.ids)

    # --- settings --------------------------------------------------------------------------------------

    def setting(self, key: str) -> Any:
        if key in self.environment:
            return self.environment[key]
        return self.stored.get(key, DEFAULTS.get(key))

    def setting_rows(self) -> list[Row]:
        rows = []
        for key, default in DEFAULTS.items():
            value = None if key in self.environment else self.stored.get(key)
            value = "**********" if key == "email-smtp-password" and value else value
            name = f"MB_{key.upper().replace('-', '_')}"
            rows.append(
                {
                    "key": key,
                    "value": value,
                    "is_env_setting": key in self.environment,
                    "env_name": name,
                    "description": "",
                    "default": f"Using value of env var ${name}" if key in self.environment else default,
                }
            )
        return rows

    def put_setting(self, key: str, value: Any) -> None:
        if key not in DEFAULTS:
            raise Refuse(404, {"message": f"Setting {key} not found."})
        if key in self.environment:
            raise Refuse(400, {"message": f"Setting {key} is set by an environment variable."})
        if key in self.forgets.get("setting", ()):
            return
        if value is None:
            self.stored.pop(key, None)
        else:
            self.stored[key] = value

    # --- people ----------------------------------------------------------------------------------------

    def add_user(self, email: str, *, first: str | None = None, last: str | None = None, admin: bool = False) -> Row:
        if any(user["email"].lower() == email.lower() for user in self.users.values()):
            raise Refuse(400, {"errors": {"email": "Email address already in use."}})
        number = self.new_id()
        user = {"id": number, "email": email, "first_name": first, "last_name": last, "is_active": True}
        self.users[number] = user | {"is_superuser": admin, "common_name": f"{first or ''} {last or ''}".strip()}
        self.join(ALL_USERS, number)
        if admin:
            self.join(ADMINISTRATORS, number)
        return self.users[number]

    def join(self, group: int, user: int) -> None:
        number = self.new_id()
        self.memberships[number] = {
            "membership_id": number, "group_id": group, "user_id": user, "is_group_manager": False,
        }  # fmt: skip

    def group_rows(self) -> list[Row]:
        counts = {number: 0 for number in self.groups}
        for row in self.memberships.values():
            counts[row["group_id"]] += not self.users[row["user_id"]].get("is_key", False)
        return [row | {"member_count": counts[number]} for number, row in self.groups.items()]

    def add_group(self, name: str) -> Row:
        if any(row["name"].lower() == name.lower() for row in self.groups.values()):
            raise Refuse(400, {"errors": {"name": "A group with that name already exists."}})
        number = self.new_id()
        self.groups[number] = {"id": number, "name": name, "magic_group_type": None}
        self.data[number] = deepcopy(self.data[ALL_USERS])  # a new group starts with what All Users may
        self.access[number] = {"root": "write"}
        return self.groups[number]

    def add_key(self, name: str, group: int) -> Row:
        if any(row["name"] == name for row in self.keys.values()):
            raise Refuse(400, {"errors": {"name": "An API key with this name already exists."}})
        number, user = self.new_id(), self.new_id()
        self.users[user] = {
            "id": user, "email": f"api-key-user-{uuid.uuid4()}@api-key.invalid", "first_name": name, "last_name": "",
            "is_active": True, "is_superuser": group == ADMINISTRATORS, "is_key": True, "common_name": name,
        }  # fmt: skip
        self.join(ALL_USERS, user)
        self.join(group, user)
        self.keys[number] = {"id": number, "name": name, "group": self.groups[group], "user_id": user, "secret": None}
        return self.new_secret(number)

    def new_secret(self, number: int) -> Row:
        secret = f"mb_{uuid.uuid4().hex}"
        self.keys[number]["secret"] = secret
        shown = {key: value for key, value in self.keys[number].items() if key not in ("secret", "user_id")}
        return shown | {"unmasked_key": secret, "masked_key": f"{secret[:7]}****"}

    # --- databases -------------------------------------------------------------------------------------

    def add_database(self, name: str, engine: str, details: Row, *, sample: bool = False) -> Row:
        self.look_into(details)  # the server connects before it keeps anything
        number = self.new_id()
        self.syncing[number] = SYNC_LOOKS
        self.databases[number] = {
            "id": number, "name": name, "engine": engine, "is_sample": sample, "initial_sync_status": "incomplete",
            "details": details | {"ssl": True},  # the server tries TLS first
        }  # fmt: skip
        for cells in self.data.values():
            cells[number] = {"view-data": "unrestricted", "create-queries": "query-builder-and-native"}
        return self.databases[number]

    def look_at_sync(self, number: int) -> None:
        """One look nearer to the end of a sync, which goes on by itself."""
        if number not in self.syncing or self.never_syncs:
            return
        self.syncing[number] -= 1
        if self.syncing[number] <= 0:
            del self.syncing[number]
            self.sync(number)

    def sync(self, number: int) -> None:
        """Take up new tables and columns; a comment only where nothing is said yet, so that people's words stay."""
        rows = {row["name"]: row for row in self.tables.setdefault(number, [])}
        for table, (comment, columns) in self.look_into(self.databases[number]["details"]).items():
            if table not in rows:
                rows[table] = {"id": self.new_id(), "name": table, "schema": "marts", "description": None, "fields": []}
                self.tables[number].append(rows[table])
            rows[table]["description"] = rows[table]["description"] or comment
            fields = {field["name"]: field for field in rows[table]["fields"]}
            for column, text in columns.items():
                if column not in fields:
                    fields[column] = {"id": self.new_id(), "name": column, "description": None}
                    rows[table]["fields"].append(fields[column])
                fields[column]["description"] = fields[column]["description"] or text
        self.databases[number]["initial_sync_status"] = "complete"

    def drop_database(self, number: int) -> None:
        del self.databases[number]
        for card in [card for card in self.cards.values() if card["database_id"] == number]:
            self.drop_card(card["id"])

    # --- collections -----------------------------------------------------------------------------------

    def add_collection(self, name: str, description: str | None, parent: int | None, **more: Any) -> Row:
        number = self.new_id()
        location = "/" if parent is None else f"{self.collections[parent]['location']}{parent}/"
        self.collections[number] = {
            "id": number, "name": name, "description": description, "location": location, "archived": False,
            "type": None,
        } | more  # fmt: skip
        for cells in self.access.values():  # rights are copied once, never inherited
            cells[str(number)] = cells.get("root" if parent is None else str(parent), "none")
        return self.collections[number]

    def inside(self, number: int) -> list[int]:
        return [each["id"] for each in self.collections.values() if f"/{number}/" in each["location"]]

    # --- cards -----------------------------------------------------------------------------------------

    def drop_card(self, number: int) -> None:
        self.end_notifications(number, "the card was deleted")
        del self.cards[number]
        for board in self.dashboards.values():
            board["dashcards"] = [each for each in board["dashcards"] if each["card_id"] != number]

    def end_notifications(self, card: int, why: str) -> None:
        """Metabase deletes the alerts of a card and mails their recipients."""
        for number in [n for n, row in self.notifications.items() if row["payload"].get("card_id") == card]:
            del self.notifications[number]
            self.mails.append(f"alert {number} ended: {why}")

    def check_alerts(self, before: Row, after: Row) -> None:
        """The rules by which a changed card loses its alerts."""
        goal_before = before["visualization_settings"].get("graph.goal_value")
        goal_after = after["visualization_settings"].get("graph.goal_value")
        if after["archived"] and not before["archived"]:
            self.end_notifications(after["id"], "archived")
        elif (before["display"] in LINES) != (after["display"] in LINES):
            self.end_notifications(after["id"], "another kind of display")
        elif goal_before is not None and goal_after is None:
            self.end_notifications(after["id"], "the goal is gone")
