"""
The worker: takes loads as soon as they are received, sweeps for missed ones, watches the inbox.

Comes in: NOTIFY load_received, the inbox folder, the clock. Goes out: transform runs, registered files.
`python -m panpan.scheduler` runs until SIGTERM; the batch under way is finished first.
"""

from __future__ import annotations

import logging
import select
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler

from db.connection import connect
from panpan.alerting import courier
from panpan.alerting.evaluate import evaluate, leave_heartbeat
from panpan.errors import PanpanError
from panpan.governance import definitions
from panpan.governance.score import score
from panpan.ingest import inbox, sources
from panpan.ingest.run import trigger_waiting
from panpan.local.backup_command import run_backups
from panpan.reports import keep as reports
from panpan.settings import Settings, load_settings, refuse_weak_secrets
from transforms.contract import load_contracts
from transforms.goals import refresh_goals
from transforms.periods import business_today
from transforms.quality.watch import Watch
from transforms.reconcile import refresh as refresh_reconciliations
from transforms.retention import anonymise_due
from transforms.run import discard_unpublished, run
from transforms.sales_forecast import refresh_forecast

log = logging.getLogger("panpan.worker")
LISTEN_SECONDS = 5
GOAL_SECONDS = 3600  # a goal's file may have changed
DEFINITION_SECONDS = 300
SCORE_SECONDS = 6 * 3600
RECONCILE_SECONDS = 3600
FORECAST_SECONDS = 3600
RETENTION_SECONDS = 24 * 3600
CHECK_SECONDS = 900  # silence is noticed though nothing arrives that would wake the transform


class Worker:
    """The jobs of the worker and what joins them: one transform at a time, asked for by notification or sweep."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wanted = threading.Event()
        self._stopped = threading.Event()
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._watch = Watch(settings)

    def start(self) -> None:
        """Schedule the jobs. A run missed while the machine slept is made up once, never twice at a time."""
        jobs: dict[str, tuple[Callable[[], None], int]] = {
            "sweep": (self._wanted.set, self._settings.sweep_seconds),
            "inbox": (self._watch_inbox, self._settings.inbox_seconds),
            "abandoned": (self._fail_abandoned, 60),
            "checks": (self._check, CHECK_SECONDS),
            "alerts": (self._judge_alerts, self._settings.alert_seconds),
            "goals": (self._refresh_goals, GOAL_SECONDS),
            "definitions": (self._note_definitions, DEFINITION_SECONDS),
            "truth": (self._score, SCORE_SECONDS),
            "reconciliation": (self._reconcile, RECONCILE_SECONDS),
            "forecast": (self._forecast, FORECAST_SECONDS),
        }
        for name, (job, seconds) in jobs.items():
            self._scheduler.add_job(
                guarded(name, job),
                "interval",
                seconds=seconds,
                id=name,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                next_run_time=datetime.now(UTC),
            )
        # In 10 minutes, not at once: a first backup or report is due immediately and would run into the first loads.
        later = [("backups", self._daily_backup, 300), ("reports", self._send_reports, 300)]
        if self._settings.pii_retention:
            later.append(("retention", self._anonymise, RETENTION_SECONDS))
        for name, job, seconds in later:
            self._scheduler.add_job(
                guarded(name, job),
                "interval",
                seconds=seconds,
                id=name,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                next_run_time=datetime.now(UTC) + timedelta(minutes=10),
            )
        self._scheduler.start()
        threading.Thread(target=self._listen, name="listen", daemon=True).start()

    def work(self) -> None:
        """Run transforms whenever they are wanted, until stopped."""
        transform = guarded("transform", self._transform)
        while not self._stopped.is_set():
            if self._wanted.wait(timeout=1):
                self._wanted.clear()
                transform()

    def stop(self) -> None:
        """Let the batch under way finish and start nothing more."""
        self._stopped.set()
        self._scheduler.shutdown(wait=False)

    def _transform(self) -> None:
        with connect(self._settings, "transformer") as connection:
            inbox.archive_taken(connection, self._settings)  # large files are read from the archive
        report = run(self._settings)
        if report.loads or report.refused:
            log.info(
                "transform: loads=%d refused=%d held=%d rows=%d rejects=%d seconds=%.2f",
                report.loads,
                report.refused,
                report.held,
                report.rows,
                report.rejects,
                report.seconds,
            )
            guarded("checks", self._check)()
            guarded("goals", self._refresh_goals)()

    def _check(self) -> None:
        failed = [verdict for verdict in self._watch.check() if verdict.state != "passed"]
        if failed:
            log.warning("checks: %s", "; ".join(f"{v.check.id} ({v.check.severity}): {v.found}" for v in failed))

    def _refresh_goals(self) -> None:
        refresh_goals(self._settings, business_today(self._settings))

    def _watch_inbox(self) -> None:
        with connect(self._settings, "transformer") as connection:
            inbox.archive_taken(connection, self._settings)
            waiting = inbox.scan(connection, self._settings).waiting
        if waiting:
            trigger_waiting(self._settings)

    def _fail_abandoned(self) -> None:
        with connect(self._settings, "transformer") as connection, connection.cursor() as cursor:
            cursor.execute("select ops.fail_abandoned_loads(%s)", (timedelta(minutes=15),))

    def _judge_alerts(self) -> None:
        """Judge the rules, send what is due, leave a sign of life. After a sleep it goes on from now, once."""
        now = datetime.now(UTC)
        done = evaluate(self._settings, now)
        delivery = courier.deliver(self._settings, now)
        for name, failure in done.failed.items():
            log.error("alert rule %s failed: %s", name, failure)
        if any(done.notices.values()) or delivery.sent or delivery.failure:
            log.info("alerts: notices=%d sent=%d %s", sum(done.notices.values()), delivery.sent, delivery.failure or "")
        if not done.busy:
            leave_heartbeat(self._settings, done, now)

    def _send_reports(self) -> None:
        """Make the owners' reports that are due; the mails leave with those of the alerts."""
        now = datetime.now(UTC)
        for name in reports.due(self._settings, now):
            sent = reports.send(self._settings, name, now)
            log.info("reports: %s, %d mails", name, sum(each.mails for each in sent))

    def _note_definitions(self) -> None:
        """Whatever is defined otherwise than it was goes into the change log."""
        for entry in definitions.record(self._settings):
            log.info("change %s noted: %s", entry.change_id, entry.subject)

    def _score(self) -> None:
        """Keep how far there is one truth today."""
        score(self._settings, business_today(self._settings))

    def _reconcile(self) -> None:
        """Where two systems differ, when something new has arrived."""
        if made := refresh_reconciliations(self._settings, business_today(self._settings)):
            log.info("reconciliation: comparisons=%d", made)

    def _forecast(self) -> None:
        """What the next days may bring, of the stores of which days have come or changed."""
        if rows := refresh_forecast(self._settings, business_today(self._settings)):
            log.info("forecast: rows=%d", rows)

    def _anonymise(self) -> None:
        """Let those go whose time is over."""
        for erasure in anonymise_due(self._settings, datetime.now(UTC), by="retention"):
            log.info("retention: customers=%d places_left=%d", len(erasure.customers), len(erasure.places))

    def _daily_backup(self) -> None:
        """Make, prove, copy and prune when the ledger shows none since the hour; does nothing otherwise."""
        _, failure = run_backups(self._settings, "daily")
        if failure:
            log.error("backup failed: %s", failure)

    def _listen(self) -> None:
        """Wake the transform at each received load; a lost connection is taken up again, the sweep covers the gap."""
        while not self._stopped.is_set():
            try:
                with connect(self._settings, "transformer", autocommit=True) as connection:
                    with connection.cursor() as cursor:
                        cursor.execute("listen load_received")
                    self._wanted.set()
                    while not self._stopped.is_set():
                        if select.select([connection], [], [], LISTEN_SECONDS)[0]:
                            connection.poll()
                        if connection.notifies:
                            connection.notifies.clear()
                            self._wanted.set()
            except Exception as error:
                log.warning("listen: connection lost (%s); trying again", str(error).strip().splitlines()[0])
                self._stopped.wait(2)


def guarded(name: str, job: Callable[[], None]) -> Callable[[], None]:
    """A job whose failure is logged with its cause and does not end the worker."""

    def run_guarded() -> None:
        try:
            job()
        except PanpanError as error:
            log.error("%s failed: %s (%s)", name, error.message, error.explained_cause())
        except Exception:
            log.exception("%s failed", name)

    return run_guarded


def main() -> None:
    """Start the worker and stay until told to stop."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    settings = load_settings()
    refuse_weak_secrets(settings)
    discard_unpublished(settings)
    with connect(settings, "transformer") as connection:
        sources.sync_source_settings(connection, load_contracts(settings.own_contracts).values(), settings)
    worker = Worker(settings)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: worker.stop())
    worker.start()
    log.info("worker started")
    worker.work()
    log.info("worker stopped")


if __name__ == "__main__":
    main()
