"""
What came in: loads that failed or wait, sources that are silent, rejects, runs, files nobody takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from apscheduler.triggers.cron import CronTrigger

from db.connection import connect
from panpan.doctor.check import Checks, Verdict, none_of
from panpan.local.workflows import read_workflows
from panpan.settings import Settings

REJECTS_SHARE = 0.05
MISSED_RUNS = 3

FAILED = """
select distinct source from ops.loads as load
where status = 'failed' and started_at > now() - interval '1 day'
    and not exists (
        select from ops.loads as later
        where later.source = load.source and later.load_id > load.load_id and later.status in ('loaded', 'duplicate')
    )
"""
WAITING = """
select load_id::text || ' (' || source || ', ' || status || ')' from ops.loads
where status = 'received' and received_at < now() - interval '15 minutes'
    or status = 'open' and active_at < now() - interval '30 minutes'
"""
SILENT = """
select title from marts.data_freshness
where coalesce(last_record_at, last_load_at) < now() - error_after_hours * interval '1 hour'
"""
REJECTED = """
select source || ' ' || round(100.0 * sum(reject_count) / sum(row_count + reject_count)) || ' %%'
from ops.loads where finished_at > now() - interval '30 days'
group by source having sum(reject_count) > %s * sum(row_count + reject_count)
"""
FAILED_RUN = """
select step || ': ' || coalesce(left(error, 120), 'no reason') from ops.runs as run
where status = 'failed' and started_at > now() - interval '1 day'
    and not exists (select from ops.runs as later where later.step = run.step and later.run_id > run.run_id
        and later.status = 'done')
order by run_id desc limit 5
"""
WORKFLOW_ERRORS = """
select distinct coalesce(workflow, 'a workflow') || ': ' || left(coalesce(message, 'no message'), 100)
from ops.workflow_errors where happened_at > now() - interval '1 day'
"""
STUCK = "select path from ops.inbox_files where state = 'waiting' and found_at < now() - interval '15 minutes'"
ARCHIVED = """
select path from ops.inbox_files where is_by_reference and archived_at is not null order by file_id desc limit 200
"""
PULLED = """
select each.settings ->> 'webhook', max(load.started_at)
from ops.source_settings as each left join ops.loads as load using (source)
where each.settings ->> 'kind' = 'api' and each.settings -> 'api' ->> 'base_url' is not null group by 1
"""

checks = Checks()


@dataclass(frozen=True)
class Loads:
    """Each list holds what is not well, in words; empty is well."""

    failed: list[str]
    waiting: list[str]
    silent: list[str]
    rejected: list[str]
    failed_runs: list[str]
    workflow_errors: list[str]
    stuck: list[str]
    lost: list[str]
    missed: list[str]


def look(settings: Settings) -> Loads:
    """
    Ask the warehouse as its owner.

    Errors: DatabaseError when it can't be reached.
    """
    with connect(settings, "owner") as connection, connection.cursor() as cursor:

        def texts(statement: str, *values: object) -> list[str]:
            cursor.execute(statement, values or None)
            return [str(row[0]) for row in cursor.fetchall()]

        cursor.execute(PULLED)
        pulled = dict(cursor.fetchall())
        cursor.execute("select pg_postmaster_start_time(), now()")
        since, now = cursor.fetchone() or (datetime.min, datetime.min)
        return Loads(
            failed=texts(FAILED),
            waiting=texts(WAITING),
            silent=texts(SILENT),
            rejected=texts(REJECTED, REJECTS_SHARE),
            failed_runs=texts(FAILED_RUN),
            workflow_errors=texts(WORKFLOW_ERRORS),
            stuck=texts(STUCK),
            lost=[path for path in texts(ARCHIVED) if not (settings.home / path).is_file()],
            missed=missed(schedules(), pulled, since, now),
        )


def schedules() -> dict[str, timedelta]:
    """How often each workflow with a webhook starts by itself, by the webhook's path."""
    found: dict[str, timedelta] = {}
    for workflow in read_workflows():
        nodes = workflow.content["nodes"]
        paths = [node["parameters"].get("path") for node in nodes if node["type"].endswith(".webhook")]
        crons = [
            each["expression"]
            for node in nodes
            if node["type"].endswith(".scheduleTrigger")
            for each in node["parameters"]["rule"]["interval"]
            if each.get("field") == "cronExpression"
        ]
        found |= {path: interval(cron) for path in paths for cron in crons}
    return found


def interval(cron: str) -> timedelta:
    """The time between two starts of a crontab line."""
    trigger = CronTrigger.from_crontab(cron, timezone="UTC")
    first = trigger.get_next_fire_time(None, datetime.fromisoformat("2026-01-05T00:00:00+00:00"))
    second = trigger.get_next_fire_time(first, first + timedelta(seconds=1))
    gap: timedelta = second - first
    return gap


def missed(
    every: dict[str, timedelta], pulled: dict[str, datetime | None], since: datetime, now: datetime
) -> list[str]:
    """Webhooks of APIs whose workflow started by itself too long ago; since: when the servers came up."""
    late = []
    for path, last in pulled.items():
        gap = now - max(last or since, since)
        if path in every and gap > MISSED_RUNS * every[path]:
            late.append(f"{path} (last {gap.total_seconds() / 3600:.1f} hours ago)")
    return late


@checks.add("loads-failed", "error", Loads)
def loads_failed(loads: Loads) -> Verdict:
    fix = "bin/panpan ingest status says why; bin/panpan ingest run SOURCE tries again"
    return none_of(loads.failed, "no load of the last day is left failed", "the last load failed", fix)


@checks.add("loads-waiting", "error", Loads)
def loads_waiting(loads: Loads) -> Verdict:
    fix = "bin/panpan transform run; the worker's log says why it did not take them"
    return none_of(loads.waiting, "no load waits", "waiting too long", fix)


@checks.add("sources-fresh", "warning", Loads)
def sources_fresh(loads: Loads) -> Verdict:
    fix = "bin/panpan ingest status; see whether the source itself has anything newer"
    return none_of(loads.silent, "no source is silent", "nothing new came from", fix)


@checks.add("rejects-share", "warning", Loads)
def rejects_share(loads: Loads) -> Verdict:
    fix = "bin/panpan rejects list says why; correct the contract, then bin/panpan rejects replay NAME"
    return none_of(loads.rejected, "few records are rejected", f"above {REJECTS_SHARE:.0%} rejected", fix)


@checks.add("runs-failed", "error", Loads)
def runs_failed(loads: Loads) -> Verdict:
    fix = "bin/panpan transform run shows the error again; what it says next mends it"
    return none_of(loads.failed_runs, "the last transforms were done", "failed and not repeated well", fix)


@checks.add("workflow-errors", "warning", Loads)
def workflow_errors(loads: Loads) -> Verdict:
    fix = "open n8n (bin/panpan status says where) and look at the failed execution"
    return none_of(loads.workflow_errors, "no workflow failed in the last day", "failed in the last day", fix)


@checks.add("inbox-taken", "warning", Loads)
def inbox_taken(loads: Loads) -> Verdict:
    fix = "bin/panpan ingest status names files that can't be taken; bin/panpan ingest run SOURCE offers them again"
    return none_of(loads.stuck, "no file waits in the inbox", "nobody takes", fix)


@checks.add("archive-whole", "error", Loads)
def archive_whole(loads: Loads) -> Verdict:
    fix = "bring them back from a backup: docs/restore.md; the archive is their only copy"
    return none_of(loads.lost, "large files are in the archive", "gone from the archive", fix)


@checks.add("schedules-kept", "error", Loads)
def schedules_kept(loads: Loads) -> Verdict:
    fix = "bin/panpan up publishes the workflows again; bin/panpan ingest run SOURCE makes up for it"
    return none_of(loads.missed, "workflows start when they should", "did not start by itself", fix)
