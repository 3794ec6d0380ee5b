"""
Kinds of things that belong to the whole instance: settings, the database, groups, people and what they may do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from metabase.actual import Row
from metabase.client import MetabaseError
from metabase.desired import ALL_USERS, COLLECTIONS, DATABASE_NAME, GROUPS, Content, Desired, Wanted, access_of
from metabase.plan import Found, World

T = TypeVar("T")

COMPARED = ("host", "port", "dbname", "user", "schema-filters-type", "schema-filters-patterns")
MAIL_KEYS = ("email-smtp-host", "email-smtp-port", "email-smtp-security", "email-smtp-username")


class SettingKind:
    """Settings of the instance. What its environment variables say can't be written, so it is told instead."""

    name = "setting"
    changes: tuple[str, ...] = ()
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        rows = world.actual.setting_rows()
        kept = {}
        for key, wanted in world.desired.settings.items():
            row = rows.get(wanted.name, {})
            if row.get("is_env_setting"):
                self._tell(world, wanted, row)
            else:
                kept[key] = wanted
        return kept

    def found(self, world: World) -> dict[str, Found]:
        """Every setting exists; what differs is its value."""
        found = {}
        for key, wanted in self.wanted(world).items():
            content = self._mail(world) if wanted.name == "mail" else {"value": effective(world, wanted.name)}
            found[key] = Found(key, wanted.title, None, content)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        client = world.actual.client
        if wanted.name != "mail":
            client.put(f"/api/setting/{wanted.name}", {"value": wanted.content["value"]})
            return
        body: Content = {name: wanted.content[name] for name in MAIL_KEYS}
        password = world.desired.secrets.get("mail")
        if password is not None:
            body["email-smtp-password"] = password.get_secret_value()
        client.put("/api/email", body)  # Metabase connects to the mail server first, and refuses a wrong one
        if password is not None:
            world.memory.keep_secret("mail", password)

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} can't be removed")

    def _mail(self, world: World) -> Content:
        content: Content = {name: effective(world, name) for name in MAIL_KEYS}
        password = world.desired.secrets.get("mail")
        if password is not None:
            content["secret"] = "as set" if world.memory.has_secret("mail", password) else "not known"
        return content

    @staticmethod
    def _tell(world: World, wanted: Wanted, row: Row) -> None:
        value = effective(world, wanted.name)
        if value != wanted.content.get("value"):
            world.note(
                f"{wanted.title} is {value!r} by {row.get('env_name') or 'its environment'}, "
                f"where only the environment can change it to {wanted.content.get('value')!r}"
            )


def effective(world: World, name: str) -> Any:
    """A setting's value in force: what the instance tells everybody, else what is stored, else the default."""
    properties = world.actual.properties()
    if name in properties:
        return properties[name]
    row = world.actual.setting_rows().get(name, {})
    return row["value"] if row.get("value") is not None else row.get("default")


class SampleKind:
    """Metabase's own example content: taken away as long as nobody built anything on it."""

    name = "sample"
    changes: tuple[str, ...] = ()
    is_marked = True

    def wanted(self, world: World) -> dict[str, Wanted]:
        return {}

    def found(self, world: World) -> dict[str, Found]:
        found = {}
        examples = {row["id"] for row in world.actual.collection_rows() if row.get("is_sample")}
        samples = [row for row in world.actual.databases() if row.get("is_sample")]
        for row in samples:
            used = [
                card
                for card in world.actual.all_cards()
                if card.get("database_id") == row["id"] and card.get("collection_id") not in examples
            ]
            if used:
                world.note(f"the sample database stays: {len(used)} questions were built on it")
                return {}
            found[f"sample/database-{row['id']}"] = Found(
                f"sample/database-{row['id']}", f"sample database {row['name']}", int(row["id"]), {}, row
            )
        for number in examples:
            found[f"sample/collection-{number}"] = Found(
                f"sample/collection-{number}", "collection of examples", int(number), {}
            )
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        raise MetabaseError("examples are never added")

    def remove(self, world: World, found: Found) -> None:
        if found.row:
            world.actual.client.delete(f"/api/database/{found.id}")
        else:
            world.actual.client.put(f"/api/collection/{found.id}", {"archived": True})


class DatabaseKind:
    """The connection to the marts, as role bi."""

    name = "database"
    changes: tuple[str, ...] = ()
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return {world.desired.database.key: world.desired.database}

    def found(self, world: World) -> dict[str, Found]:
        row = world.actual.database()
        if row is None:
            return {}
        wanted = world.desired.database
        details = row.get("details") or {}
        known = world.memory.has_secret("database", world.desired.secrets["database"])
        content = {name: details.get(name) for name in COMPARED}
        content |= {"name": row["name"], "secret": "as set" if known else "not known"}
        return {wanted.key: Found(wanted.key, wanted.title, int(row["id"]), content, row)}

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        password = world.desired.secrets["database"]
        details = {name: wanted.content[name] for name in COMPARED} | {
            "password": password.get_secret_value(),
            "ssl": bool((found.row.get("details") or {}).get("ssl")) if found else False,
            "tunnel-enabled": False,
            "advanced-options": False,
        }
        body: Content = {"name": DATABASE_NAME, "engine": "postgres", "details": details}
        if found is None:
            world.actual.client.post("/api/database", body | {"is_full_sync": True, "is_on_demand": False})
        else:
            world.actual.client.put(f"/api/database/{found.id}", body)
        world.memory.keep_secret("database", password)

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} is never removed: its questions would go with it")


class GroupKind:
    """The groups people are put into. A group of that name that is already there is taken over."""

    name = "group"
    changes: tuple[str, ...] = ()
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return wanted_groups()

    def found(self, world: World) -> dict[str, Found]:
        ids = world.actual.group_ids()
        return {
            key: Found(key, wanted.title, ids[wanted.name], {})
            for key, wanted in self.wanted(world).items()
            if wanted.name in ids
        }

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        world.actual.client.post("/api/permissions/group", {"name": wanted.name})

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} is never removed")


class _GraphKind:
    """Rights of groups, in one of Metabase's two graphs; each write sends only the cells meant."""

    def groups(self, world: World) -> dict[str, int]:
        """Every group but Metabase's own, with All Users under one name in all languages."""
        return {ALL_USERS: world.actual.magic_group("all-internal-users"), **world.actual.group_ids()}

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} can't be removed")


class DataRightsKind(_GraphKind):
    """What groups may ask of our database beyond our cards: nothing, whoever they are."""

    name = "data"
    changes: tuple[str, ...] = ("data graph",)
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return wanted_data_rights(self.groups(world))

    def found(self, world: World) -> dict[str, Found]:
        database = world.actual.database()
        if database is None:
            return {}
        graph = world.actual.data_graph()["groups"]
        found = {}
        for group, number in self.groups(world).items():
            cell = (graph.get(str(number)) or {}).get(str(database["id"])) or {}
            level = cell.get("create-queries", "no")  # Metabase leaves out what is "no"
            content = {"create-queries": level if isinstance(level, str) else "some tables"}
            found[f"data/{group}"] = Found(f"data/{group}", f"what {group} may query", number, content)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        number = self.groups(world)[wanted.name]
        cell = {str(world.actual.database_id()): {"view-data": "unrestricted", "create-queries": "no"}}
        body = {"revision": world.actual.data_graph()["revision"], "groups": {str(number): cell}}
        world.actual.client.put("/api/permissions/graph", body)


class AllUsersFirst(DataRightsKind):
    """The same for All Users alone, before groups are made: a new group starts with what All Users may."""

    name = "first"

    def wanted(self, world: World) -> dict[str, Wanted]:
        return only_all_users(super().wanted(world))

    def found(self, world: World) -> dict[str, Found]:
        return only_all_users(super().found(world))


class RootKind(_GraphKind):
    """Who may look around at the root: administrators. Set before collections are made, which copy it."""

    name = "root"
    changes: tuple[str, ...] = ("collection graph",)
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return {
            f"root/{group}": Wanted(f"root/{group}", f"what {group} may see outside our collections", {"root": "none"})
            for group in (ALL_USERS, *GROUPS.values())
        }

    def found(self, world: World) -> dict[str, Found]:
        graph, groups = world.actual.collection_graph()["groups"], self.groups(world)
        return {
            key: Found(key, wanted.title, groups[wanted.name], {"root": cells.get("root", "none")})
            for key, wanted in self.wanted(world).items()
            if wanted.name in groups and (cells := graph.get(str(groups[wanted.name]), {})) is not None
        }

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        put_access(world, self.groups(world)[wanted.name], {"root": "none"})


class AccessKind(_GraphKind):
    """Who may look into our collections."""

    name = "access"
    changes: tuple[str, ...] = ("collection graph",)
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return wanted_access(self.groups(world))

    def found(self, world: World) -> dict[str, Found]:
        ids = world.actual.collection_ids()
        graph = world.actual.collection_graph()["groups"]
        found = {}
        for group, number in self.groups(world).items():
            cells = graph.get(str(number)) or {}
            content = {name: cells.get(str(ids.get(name)), "none") for name in COLLECTIONS}
            found[f"access/{group}"] = Found(f"access/{group}", f"what {group} may see", number, content)
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        ids = world.actual.collection_ids()
        before = found.content if found else {}
        cells = {str(ids[name]): level for name, level in wanted.content.items() if before.get(name) != level}
        put_access(world, self.groups(world)[wanted.name], cells)


def wanted_groups() -> dict[str, Wanted]:
    """The groups of ours, which hold nothing by themselves."""
    return {f"group/{title}": Wanted(f"group/{title}", f"group {title}", {}) for title in GROUPS.values()}


def wanted_data_rights(others: Iterable[str] = ()) -> dict[str, Wanted]:
    """What may be asked of our database; `others` are groups that are there beside ours."""
    return {
        f"data/{group}": Wanted(f"data/{group}", f"what {group} may query", {"create-queries": "no"})
        for group in dict.fromkeys([ALL_USERS, *GROUPS.values(), *others])
    }


def wanted_access(others: Iterable[str] = ()) -> dict[str, Wanted]:
    """What may be seen of our collections; `others` are groups that are there beside ours."""
    return {
        f"access/{group}": Wanted(f"access/{group}", f"what {group} may see", access_of(group))
        for group in dict.fromkeys([ALL_USERS, *GROUPS.values(), *others])
    }


def wanted_users(desired: Desired) -> dict[str, Wanted]:
    """The people of the settings; the administrator is there by the set-up."""
    people = dict.fromkeys(email for members in desired.people.values() for email in members)
    return {
        f"user/{email}": Wanted(f"user/{email}", f"person {email}", {"is_active": True})
        for email in people
        if email != desired.admin_email.lower()
    }


def wanted_members(desired: Desired, *, has_admin: bool) -> dict[str, Wanted]:
    """Who of the settings belongs where; the administrator we made is an owner."""
    members = {(GROUPS[group], email) for group, people in desired.people.items() for email in people}
    members |= {(GROUPS["owners"], desired.admin_email.lower())} if has_admin else set()
    return {
        f"member/{group}/{email}": Wanted(f"member/{group}/{email}", f"{email} in {group}", {})
        for group, email in sorted(members)
    }


def put_access(world: World, group_id: int, cells: dict[str, str]) -> None:
    """Write these cells of the collection graph and no others."""
    body = {"revision": world.actual.collection_graph()["revision"], "groups": {str(group_id): cells}}
    world.actual.client.put("/api/collection/graph", body)


def only_all_users(things: dict[str, T]) -> dict[str, T]:
    return {key: thing for key, thing in things.items() if key.endswith(f"/{ALL_USERS}")}


class UserKind:
    """People named in the settings. A new one is invited by Metabase's own mail, if it can send any."""

    name = "user"
    changes: tuple[str, ...] = ()
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        return wanted_users(world.desired)

    def found(self, world: World) -> dict[str, Found]:
        users = world.actual.users()
        return {
            key: Found(key, wanted.title, int(row["id"]), {"is_active": row.get("is_active", True)}, row)
            for key, wanted in self.wanted(world).items()
            if (row := users.get(wanted.name)) is not None
        }

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        if found is not None:
            world.actual.client.put(f"/api/user/{found.id}/reactivate")
            return
        person = next(members[wanted.name] for members in world.desired.people.values() if wanted.name in members)
        first, last = person.first_and_last
        world.actual.client.post("/api/user", {"email": person.email, "first_name": first, "last_name": last})
        if not world.actual.properties().get("email-configured?"):
            world.note(f"{person.email} got no invitation, because Metabase can send no mail yet")

    def remove(self, world: World, found: Found) -> None:
        raise MetabaseError(f"{found.title} is never removed")


class MemberKind:
    """Who belongs to our groups. Groups without a list in the settings are left to the owner."""

    name = "member"
    changes: tuple[str, ...] = ()
    is_marked = False

    def wanted(self, world: World) -> dict[str, Wanted]:
        admin = world.desired.admin_email.lower()
        return wanted_members(world.desired, has_admin=admin in world.actual.users())

    def found(self, world: World) -> dict[str, Found]:
        emails = {int(row["id"]): email for email, row in world.actual.users().items()}
        managed = {GROUPS[group] for group in world.desired.people}
        titles = {number: title for title, number in world.actual.group_ids().items() if title in GROUPS.values()}
        wanted = self.wanted(world)
        found = {}
        for row in world.actual.memberships():
            email, title = emails.get(int(row["user_id"])), titles.get(int(row["group_id"]))
            key = f"member/{title}/{email}"
            if email and title and (title in managed or key in wanted):
                found[key] = Found(key, f"{email} in {title}", int(row["membership_id"]), {})
        return found

    def write(self, world: World, wanted: Wanted, found: Found | None) -> None:
        title, _, email = wanted.name.partition("/")
        body = {"group_id": world.actual.group_ids()[title], "user_id": int(world.actual.users()[email]["id"])}
        world.actual.client.post("/api/permissions/membership", body)

    def remove(self, world: World, found: Found) -> None:
        world.actual.client.delete(f"/api/permissions/membership/{found.id}")
