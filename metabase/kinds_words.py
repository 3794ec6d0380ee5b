"""
What Metabase says of our tables and their columns. It reads the database's comments itself, but only where it has no
words yet: a comment that changed, and what somebody wrote over it, would stay for ever.
"""

from __future__ import annotations

from collections.abc import Callable

from metabase.actual import Row
from metabase.client import MetabaseError
from metabase.desired import SCHEMA, Content, Wanted
from metabase.plan import Found, World

COMPLETE = "complete"
LOOKS, PAUSE_SECONDS = 60, 2.0  # at a sync that goes on: two minutes in all


class DescriptionKind:
    """A table with its columns. Only what Metabase's sync has found can be described; the rest is told."""

    name = "description"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        if world.actual.database() is None:
            return world.desired.descriptions
        known = known_tables(world)
        kept = {}
        for key, wanted in world.desired.descriptions.items():
            if wanted.name in known:
                columns = {row["name"] for row in known[wanted.name].get("fields") or []}
                told = {name: text for name, text in wanted.content["columns"].items() if name in columns}
                kept[key] = Wanted(key, wanted.title, wanted.content | {"columns": told})
        unknown = missing(world)
        if unknown:
            world.note(f"Metabase has not read these yet, so they have no description: {', '.join(unknown)}")
        return kept

    def found(self, world: World) -> dict[str, Found]:
        found = {}
        for name, row in known_tables(world).items() if world.actual.database() is not None else ():
            key = f"description/{name}"
            wanted = world.desired.descriptions.get(key)
            if wanted is not None:
                told = {each["name"]: each.get("description") for each in row.get("fields") or []}
                # Without words: as if not there, so that a column new to Metabase is no change by hand.
                ours = {column: told[column] for column in wanted.content["columns"] if told.get(column)}
                content = {"description": row.get("description") or "", "columns": ours}
                found[key] = Found(key, wanted.title, int(row["id"]), content, row)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        if found is None:
            raise MetabaseError(f"{wanted.title} can't be written: Metabase does not know the table")
        client = world.actual.client
        if found.content["description"] != wanted.content["description"]:
            client.put(f"/api/table/{found.id}", {"description": wanted.content["description"]})
        numbers = {row["name"]: int(row["id"]) for row in found.row["fields"]}
        for column, text in wanted.content["columns"].items():
            if found.content["columns"].get(column) != text:
                client.put(f"/api/field/{numbers[column]}", {"description": text})

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} is never removed")


def known_tables(world: World) -> dict[str, Row]:
    """Metabase's rows of our marts by name."""
    rows = world.actual.tables(world.actual.database_id())
    return {row["name"]: row for row in rows if row.get("schema") == SCHEMA}


def missing(world: World) -> list[str]:
    """Tables and columns of ours that Metabase does not know."""
    known = known_tables(world)
    found = []
    for wanted in world.desired.descriptions.values():
        if wanted.name not in known:
            found.append(wanted.name)
            continue
        columns = {row["name"] for row in known[wanted.name].get("fields") or []}
        found += [f"{wanted.name}.{name}" for name in wanted.content["columns"] if name not in columns]
    return found


def await_sync(world: World, told: Callable[[str], None]) -> None:
    """
    Wait until Metabase has read our tables. Where its sync is over and something is not there, it is asked once to look
    again; what it does not find then is remembered, so that a further run asks nothing.
    """
    client, path = world.actual.client, f"/api/database/{world.actual.database_id()}"

    def is_read(row: Content) -> bool:
        world.actual.forget("tables")
        return row.get("initial_sync_status") == COMPLETE and not missing(world)

    row: Content = client.get(path)
    if is_read(row):
        return
    if row.get("initial_sync_status") == COMPLETE:
        if missing(world) == world.memory.not_synced:
            return
        told("ask Metabase to read the tables of the marts again")
        client.post(f"{path}/sync_schema")
    else:
        told("wait until Metabase has read the tables of the marts")
    for _ in range(LOOKS):
        client.pause(PAUSE_SECONDS)
        if is_read(client.get(path)):
            break
    world.memory.keep_not_synced(missing(world))
