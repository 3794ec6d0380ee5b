"""
The dashboards of a home in its Metabase: what they should be, and the Metabase made so.

Comes in: settings, files, what the database says of itself. Goes out: a plan done, its memory kept in the home.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from db.connection import connect
from metabase.alert_files import HEARTBEAT, load_mails
from metabase.apply import apply as apply_plan
from metabase.catalogue import Catalogue, load_catalogue
from metabase.client import Client
from metabase.descriptions import read_descriptions
from metabase.desired import Desired, desired_state
from metabase.plan import Memory, Plan
from metabase.provision import Server, claim, ensure_key, look_at, need_url
from panpan.errors import UsageError
from panpan.governance.approval import drafts
from panpan.local.files import lock
from panpan.local.initialise import keep_setting
from panpan.settings import Settings, load_settings

MEMORY_FILE = "metabase.json"
LOCK_FILE = "metabase.lock"


@dataclass(frozen=True)
class Applied:
    """What was done, and to which Metabase."""

    url: str
    found: Server
    plan: Plan


def apply(settings: Settings, told: Callable[[str], None] = lambda sentence: None, *, seconds: float) -> Applied:
    """
    Make Metabase what the files say, claiming it first where nobody has. A second run changes nothing.

    told: is given a sentence before each write; seconds: how long it may take to get well. The administrator's password
    and the API key are kept in the home's settings.env.
    Errors: MetabaseError when it does not get well, refuses, or did not keep what it was sent.
    """
    desired = wanted(settings)

    def keep(name: str, value: str) -> None:
        keep_setting(settings.home, name, value)

    (settings.home / "run").mkdir(mode=0o700, exist_ok=True)
    with lock(settings.home / "run" / LOCK_FILE), Client(need_url(settings)) as client:
        found = look_at(client, seconds=seconds)
        if not found.is_claimed:
            claim(client, found, settings, keep)
            settings = with_secrets(settings)
        ensure_key(client, settings, keep)
        plan = apply_plan(client, desired, memory_of(settings), told=told)
    plan.notes[:0] = found.notes
    return Applied(client.url, found, plan)


def with_secrets(settings: Settings) -> Settings:
    """The settings with the secrets Metabase made since they were read."""
    now = load_settings(home=settings.home)
    names = ("metabase_admin_password", "metabase_api_key")
    return settings.model_copy(update={name: getattr(now, name) for name in names})


def wanted(settings: Settings, catalogue: Catalogue | None = None) -> Desired:
    """
    The desired state of this home.

    Errors: UsageError when a question shows a metric that is a draft; DatabaseError when there is no database.
    """
    catalogue = catalogue or load_catalogue()
    refuse_drafts(settings, catalogue)
    return desired_state(
        settings,
        catalogue,
        load_mails(catalogue),
        read_descriptions(settings),
        engine_is_known=engine_is_known(settings),
    )


def refuse_drafts(settings: Settings, catalogue: Catalogue) -> None:
    """Dashboards count as certified: a metric nobody approved may not be on them."""
    unapproved = drafts(settings)
    shown = sorted(f"{name} shows {q.metric}" for name, q in catalogue.questions.items() if q.metric in unapproved)
    if shown:
        raise UsageError(
            "a question shows a metric that is a draft",
            cause="; ".join(shown),
            next="panpan metrics propose NAME --by WHO --why REASON, then panpan metrics approve NAME --by ANOTHER",
        )


def engine_is_known(settings: Settings) -> bool:
    """Whether our alert engine has its mart, so that Metabase's alerts may leave the word to it."""
    with connect(settings, "bi") as connection, connection.cursor() as cursor:
        cursor.execute("select to_regclass(%s) is not null", (HEARTBEAT,))
        row = cursor.fetchone()
    return bool(row and row[0])


def memory_of(settings: Settings) -> Memory:
    """What was applied last, as the home remembers it."""
    return Memory(settings.home / MEMORY_FILE)
