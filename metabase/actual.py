"""
What a Metabase is right now, read once and kept until something is written.

Comes in: a client. Goes out: `Actual`, whose rows are Metabase's own and whose maps lead from our names to its ids.
Only what carries our mark and lies in our collections is ours; the rest is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from metabase.client import Client, MetabaseError
from metabase.desired import COLLECTIONS, DATABASE_NAME, mark_of

Row = dict[str, Any]
T = TypeVar("T")


class Actual:
    """The server's state. What was forgotten is read anew by the next question."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._kept: dict[str, Any] = {}

    def forget(self, *names: str) -> None:
        for name in names:
            self._kept.pop(name, None)

    def forget_all(self) -> None:
        self._kept.clear()

    def _once(self, name: str, read: Callable[[], T]) -> T:
        if name not in self._kept:
            self._kept[name] = read()
        return cast(T, self._kept[name])

    # --- the instance ----------------------------------------------------------------------------------

    def properties(self) -> Row:
        return self._once("properties", lambda: self.client.get("/api/session/properties"))

    def setting_rows(self) -> dict[str, Row]:
        return self._once("settings", lambda: {row["key"]: row for row in self.client.get_list("/api/setting")})

    def myself(self) -> Row:
        return self._once("myself", lambda: self.client.get("/api/user/current"))

    def databases(self) -> list[Row]:
        return self._once("databases", lambda: self.client.get_list("/api/database"))

    def database(self) -> Row | None:
        """Our connection: names are not unique, so the oldest of that name and engine."""
        ours = [
            row
            for row in self.databases()
            if row["name"] == DATABASE_NAME and row["engine"] == "postgres" and not row.get("is_sample")
        ]
        return min(ours, key=lambda row: int(row["id"]), default=None)

    def database_id(self) -> int:
        row = self.database()
        if row is None:
            raise MetabaseError(f"Metabase has no database {DATABASE_NAME!r}", next="panpan metabase apply")
        return int(row["id"])

    def tables(self, database_id: int) -> list[Row]:
        """Metabase's own list of a database's tables with their fields, the hidden ones too."""
        path = f"/api/database/{database_id}/metadata"
        return self._once("tables", lambda: list(self.client.get(path, include_hidden="true").get("tables") or []))

    # --- people ----------------------------------------------------------------------------------------

    def groups(self) -> list[Row]:
        return self._once("groups", lambda: self.client.get_list("/api/permissions/group"))

    def magic_group(self, kind: str) -> int:
        """The id of a group Metabase itself keeps. Its name is in the server's language, so its kind counts."""
        for row in self.groups():
            if row.get("magic_group_type") == kind:
                return int(row["id"])
        raise MetabaseError(f"Metabase has no group of kind {kind}")

    def group_ids(self) -> dict[str, int]:
        """Ids of the groups people made, by name."""
        return {row["name"]: int(row["id"]) for row in self.groups() if not row.get("magic_group_type")}

    def users(self) -> dict[str, Row]:
        """People by address in small letters, also those who were deactivated."""
        return self._once(
            "users", lambda: {row["email"].lower(): row for row in self.client.get_list("/api/user", status="all")}
        )

    def memberships(self) -> list[Row]:
        answer = self._once("memberships", lambda: self.client.get("/api/permissions/membership"))
        return [each for memberships in answer.values() for each in memberships]

    def data_graph(self) -> Row:
        return self._once("data graph", lambda: self.client.get("/api/permissions/graph"))

    def collection_graph(self) -> Row:
        return self._once("collection graph", lambda: self.client.get("/api/collection/graph"))

    # --- contents --------------------------------------------------------------------------------------

    def collection_rows(self) -> list[Row]:
        return self._once("collections", lambda: self.client.get_list("/api/collection"))

    def archived_collection_rows(self) -> list[Row]:
        return self._once("archived collections", lambda: self.client.get_list("/api/collection", archived="true"))

    def collections(self) -> dict[str, Row]:
        """Our collections by name, the archived ones only where no other carries the mark."""
        found = self._marked(self.collection_rows(), "collection")
        are_all = found.keys() >= COLLECTIONS.keys()
        archived = {} if are_all else self._marked(self.archived_collection_rows(), "collection")
        return archived | found

    def collection_ids(self) -> dict[str, int]:
        return {name: int(row["id"]) for name, row in self.collections().items()}

    def collection_names(self) -> dict[int, str]:
        return {number: name for name, number in self.collection_ids().items()}

    def all_cards(self) -> list[Row]:
        """Every card the administrator may see, ours and others'."""
        return self._once("cards", lambda: self.client.get_list("/api/card", f="all"))

    def archived_cards(self) -> list[Row]:
        return self._once("archived cards", lambda: self.client.get_list("/api/card", f="archived"))

    def cards(self) -> dict[str, Row]:
        """Our cards by key. A card in the Trash counts while no other carries its mark."""
        return {**self._ours(self.archived_cards()), **self._ours(self.all_cards())}

    def strange_cards(self) -> list[Row]:
        """Cards in our collections that are not ours: made there by hand, or copies of ours."""
        ours = {row["id"] for row in self._ours(self.all_cards()).values()}
        places = set(self.collection_ids().values())
        return [row for row in self.all_cards() if row.get("collection_id") in places and row["id"] not in ours]

    def card_keys(self) -> dict[int, str]:
        return {int(row["id"]): key for key, row in self.cards().items()}

    def all_dashboards(self) -> list[Row]:
        """Every dashboard in our collections, whole."""

        def read() -> list[Row]:
            ids = [item["id"] for number in self.collection_ids().values() for item in self._items(number)]
            return [self.client.get(f"/api/dashboard/{number}") for number in ids]

        return self._once("dashboards", read)

    def archived_dashboards(self) -> list[Row]:
        """Dashboards in the Trash that carry our mark. Which listing shows them differs, so both are asked."""

        def read() -> list[Row]:
            trash = [int(row["id"]) for row in self.collection_rows() if row.get("type") == "trash"]
            places = [*self.collection_ids().values(), *trash]
            items = {item["id"] for number in places for item in self._items(number, archived="true")}
            rows = [self.client.get(f"/api/dashboard/{number}") for number in sorted(items)]
            return [row for row in rows if row.get("archived")]

        return self._once("archived dashboards", read)

    def dashboards(self, wanted: set[str] | None = None) -> dict[str, Row]:
        """Our dashboards by key; the Trash is searched only when one of those wanted is missing."""
        found = self._ours(self.all_dashboards())
        if wanted is not None and wanted <= found.keys():
            return found
        return {**self._marked_keys(self.archived_dashboards()), **found}

    def strange_dashboards(self) -> list[Row]:
        ours = {row["id"] for row in self._ours(self.all_dashboards()).values()}
        return [row for row in self.all_dashboards() if row["id"] not in ours]

    # --- mails -----------------------------------------------------------------------------------------

    def notifications(self) -> list[Row]:
        """Active alerts on questions, whoever made them."""
        return self._once("notifications", lambda: read_notifications(self.client))

    def pulses(self, dashboard_id: int) -> list[Row]:
        return self._once(
            f"pulses {dashboard_id}", lambda: self.client.get_list("/api/pulse", dashboard_id=dashboard_id)
        )

    def _items(self, collection_id: int, **more: str) -> list[Row]:
        return self.client.get_list(f"/api/collection/{collection_id}/items", models="dashboard", **more)

    def _ours(self, rows: list[Row]) -> dict[str, Row]:
        """Rows in our collections by their mark; of copies the oldest is ours."""
        places = set(self.collection_ids().values())
        return self._marked_keys([row for row in rows if row.get("collection_id") in places])

    @staticmethod
    def _marked_keys(rows: list[Row]) -> dict[str, Row]:
        newest_first = sorted(rows, key=lambda row: -int(row["id"]))
        return {key: row for row in newest_first if (key := mark_of(row.get("description")))}

    def _marked(self, rows: list[Row], kind: str) -> dict[str, Row]:
        """Rows by the name in their mark, of one kind."""
        numbered = [row for row in rows if isinstance(row.get("id"), int)]
        return {
            key.removeprefix(f"{kind}/"): row
            for key, row in self._marked_keys(numbered).items()
            if key.startswith(f"{kind}/")
        }


def read_notifications(client: Client, card_id: int | None = None) -> list[Row]:
    """Alerts on questions; system notifications share the route, so the kind is always asked for."""
    narrowed = {} if card_id is None else {"card_id": card_id}
    rows = client.get_list("/api/notification", payload_type="notification/card", **narrowed)
    return [row for row in rows if row.get("payload_type") == "notification/card" and row.get("active", True)]


def parent_of(row: Row) -> int | None:
    """The parent's id of a collection, from either of the two ways it is told."""
    path = [part for part in str(row.get("location") or "").split("/") if part]
    if path:
        return int(path[-1])
    parent = row.get("parent_id")
    return int(parent) if parent is not None else None


def native_query(row: Row) -> tuple[str | None, Row, int | None]:
    """SQL, tags and database of a card, from the old shape or from MBQL 5; no SQL for one made without it."""
    query = row.get("dataset_query") or {}
    database = query.get("database")
    if query.get("type") == "native":
        native = query.get("native") or {}
        return native.get("query"), native.get("template-tags") or {}, database
    stages = query.get("stages") or [{}]
    first = stages[0]
    sql = first.get("native")
    return (sql if isinstance(sql, str) else None), first.get("template-tags") or {}, database
