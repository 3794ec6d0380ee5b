"""
What became of the workflows n8n was asked to publish or to take back.

It does so in the background, after it has answered, and what failed once it never tries again by itself: its own list
of these (`workflow_publication_outbox`) is the one place where both show.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import psycopg2

from db.connection import connect
from panpan.errors import DatabaseError, ServerError
from panpan.local import n8n_api
from panpan.settings import Settings

SECONDS = 180  # n8n takes up again after 120 what it was stopped in

_LATEST = """
select distinct on (asked."workflowId") asked."workflowId", asked.status, coalesce(asked."errorMessage", '')
from workflow_publication_outbox as asked
inner join workflow_entity as workflow on asked."workflowId" = workflow.id
where not workflow."isArchived"
order by asked."workflowId", asked.id desc
"""


@dataclass(frozen=True)
class Publication:
    """What n8n did last with one workflow: its word for it, and why where it failed."""

    workflow_id: str
    status: str
    cause: str

    @property
    def is_under_way(self) -> bool:
        return self.status in ("pending", "in_progress")

    @property
    def is_given_up(self) -> bool:
        return self.status in ("failed", "partial_success")


def await_live(settings: Settings, names: Mapping[str, str], retired: Collection[str] = ()) -> None:
    """
    Wait until n8n has published and taken back what it was asked to; what it gave up is asked for once more.

    names: of the published workflows by their ids. retired: ids of those taken back.
    Errors: ServerError naming what n8n gave up twice, with its reason, or what takes it too long.
    """
    ids = {*names, *retired}
    for each in given_up(settings, ids):
        address = f"workflows/{each.workflow_id}"
        n8n_api.call(settings, "POST", f"{address}/deactivate")
        if each.workflow_id in names:
            n8n_api.call(settings, "POST", f"{address}/activate")
    if failed := given_up(settings, ids):
        raise ServerError(
            f"n8n could not publish {', '.join(names.get(each.workflow_id, each.workflow_id) for each in failed)}",
            cause="; ".join(dict.fromkeys(each.cause for each in failed)),
            next="bin/panpan up",
        )


def given_up(settings: Settings, ids: Collection[str], seconds: float = SECONDS) -> list[Publication]:
    """
    What n8n gave up of some workflows, as soon as it has nothing to do with any of them.

    Errors: ServerError when it still has after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        ours = [each for each in publications(settings) if each.workflow_id in ids]
        waiting = [each.workflow_id for each in ours if each.is_under_way]
        if not waiting:
            return [each for each in ours if each.is_given_up]
        if time.monotonic() > deadline:
            raise ServerError(
                f"n8n did not publish in {seconds:.0f} seconds",
                cause=f"still under way: {', '.join(waiting)}",
                next="bin/panpan up, when the machine is less busy",
            )
        time.sleep(0.1)


def publications(settings: Settings) -> list[Publication]:
    """
    The last one of each workflow; none of an n8n that keeps no such list.

    Errors: DatabaseError when its database can't be read.
    """
    try:
        with connect(settings, "postgres", "n8n") as connection, connection.cursor() as cursor:
            cursor.execute(_LATEST)
            return [Publication(*map(str, row)) for row in cursor.fetchall()]
    except psycopg2.errors.UndefinedTable:
        return []
    except psycopg2.Error as error:
        raise DatabaseError("n8n's database can't be read") from error
