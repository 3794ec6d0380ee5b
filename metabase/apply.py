"""
Make a Metabase what the files say. Reads as the order of things: what must exist before what.

Each kind is read, compared, written, and read again: what the server did not keep is an error, not a success. A run
that was killed is finished by the next one, because everything is found by what it is and not by what was noted.
"""

from __future__ import annotations

from collections.abc import Callable

from metabase.actual import Actual
from metabase.client import Client, MetabaseError, MetabaseRefused, MetabaseSilent
from metabase.desired import Desired, Wanted
from metabase.kinds_content import CollectionKind, DashboardKind, QuestionKind, restore_mails
from metabase.kinds_instance import (
    AccessKind,
    AllUsersFirst,
    DatabaseKind,
    DataRightsKind,
    GroupKind,
    MemberKind,
    RootKind,
    SampleKind,
    SettingKind,
    UserKind,
    wanted_access,
    wanted_data_rights,
    wanted_groups,
    wanted_members,
    wanted_users,
)
from metabase.kinds_mail import AlertKind, ReportKind, no_recipients
from metabase.kinds_words import DescriptionKind, await_sync
from metabase.plan import Difference, Kind, Memory, Plan, World, compare, remember

# Settings before anything is shared; All Users loses its rights before groups copy them and collections inherit
# them; cards before dashboards; people before the mails that name them.
KINDS: tuple[Kind, ...] = (
    SettingKind(),
    SampleKind(),
    DatabaseKind(),
    AllUsersFirst(),
    GroupKind(),
    DataRightsKind(),
    RootKind(),
    CollectionKind(),
    AccessKind(),
    QuestionKind(),
    DashboardKind(),
    UserKind(),
    MemberKind(),
    AlertKind(),
    ReportKind(),
    DescriptionKind(),  # last: Metabase reads the tables meanwhile
)
# What the server does not keep of these is told at the end: the rest is still worth having.
HARMLESS = (QuestionKind, DashboardKind, AlertKind, ReportKind, DescriptionKind)
ROUNDS = 4  # tries of one kind, after an unanswered write or somebody else's change in between
LONGEST_CAUSE = 2000
Told = Callable[[str], None]


def plan(client: Client, desired: Desired, memory: Memory) -> Plan:
    """What `apply` would do; changes nothing."""
    world = open_world(client, desired, memory)
    differences = [
        each
        for kind in KINDS
        if not isinstance(kind, AllUsersFirst)  # the same is said again by DataRightsKind
        for each in compare(kind, world)
    ]
    no_recipients(world)
    return Plan(differences, world.notes, client.writes)


def first_plan(desired: Desired) -> Plan:
    """The plan for a server nobody has claimed yet: everything, without asking it."""
    parts = [desired.settings, {desired.database.key: desired.database}, wanted_groups(), wanted_data_rights()]
    parts += [desired.collections, wanted_access(), desired.questions, desired.dashboards, wanted_users(desired)]
    parts += [wanted_members(desired, has_admin=True), desired.alerts, desired.reports, desired.descriptions]
    person = Wanted("administrator/first", f"the first administrator {desired.admin_email}", {})
    things = [person, *(each for part in parts for each in part.values())]
    adds = [Difference("add", each.key, each.title, wanted=each) for each in things]
    return Plan(adds, ["nobody has claimed this Metabase yet: whoever comes first owns it, so apply soon"])


def apply(client: Client, desired: Desired, memory: Memory, told: Told = lambda sentence: None) -> Plan:
    """
    Do what is to be done and prove that it was kept. A second run changes nothing and sends no write.

    told: is given a sentence before each write.
    Errors: MetabaseError when the server refuses, or did not keep what it was sent.
    """
    world = open_world(client, desired, memory)
    restore_mails(world)
    unkept: list[Difference] = []
    done = []
    for kind in KINDS:
        if isinstance(kind, DescriptionKind):
            await_sync(world, told)
        done += apply_kind(kind, world, told, unkept)
    if unkept:
        raise not_kept(unkept)
    no_recipients(world)
    return Plan(done, world.notes, client.writes)


def open_world(client: Client, desired: Desired, memory: Memory) -> World:
    """The server and what we remember of it; nothing, when it holds nothing of ours."""
    world = World(Actual(client), desired, memory)
    if not world.actual.collections():
        memory.start_anew()
    return world


def apply_kind(kind: Kind, world: World, told: Told, unkept: list[Difference]) -> list[Difference]:
    """
    One kind until nothing differs any more; gives what was done, each thing once.

    unkept: gets what the server did not keep, where going on does no harm; rights and settings stop at once.
    """
    done: dict[str, Difference] = {}
    unsure: dict[str, Difference] = {}
    for _ in range(ROUNDS):
        differences = compare(kind, world)
        repeated = [each for each in differences if each.key in done]
        if repeated and not isinstance(kind, HARMLESS):
            raise not_kept(repeated)
        differences = [each for each in differences if each.key not in done]
        if not differences:
            unkept += repeated
            remember(kind, world)
            return list((unsure | done).values())
        try:
            for each in differences:
                told(each.sentence())
                execute(kind, world, each)
                done[each.key] = each
        except MetabaseSilent as error:
            unsure[each.key] = each
            told(f"no answer to a write; looking what was done ({error.message})")
        except MetabaseRefused as error:
            if error.status != 409:
                raise
            told("somebody else changed the rights meanwhile; reading them again")
        finally:
            world.actual.forget_all()
    raise MetabaseError(
        f"{kind.name}: still not as it should be after {ROUNDS} rounds",
        next="is somebody else, or another panpan, changing this Metabase right now?",
    )


def execute(kind: Kind, world: World, difference: Difference) -> None:
    """One thing, after which what its kind changes is read anew."""
    if difference.wanted is None:
        if difference.found is not None:
            kind.remove(world, difference.found)
    else:
        kind.write(world, difference.wanted, difference.found)
    world.actual.forget(*kind.changes)


def not_kept(differences: list[Difference]) -> MetabaseError:
    """The server said yes and did something else."""
    words = [f"{d.title}: {'; '.join(d.fields) or f'{d.action} had no effect'}" for d in differences]
    return MetabaseError(
        f"Metabase did not keep what it was sent, in {len(differences)} things",
        cause=" | ".join(words)[:LONGEST_CAUSE],
        next="read docs/metabase.md, then tell us with the version of this Metabase",
    )
