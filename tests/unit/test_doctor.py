"""Every check of the doctor is seen well and seen failing, with a way to mend it; facts are made up here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backups.ledger import Check as BackupCheck
from backups.status import Status
from metabase.versions import FLOORS
from panpan.cli.doctor import has_errors, lines
from panpan.doctor import floors, machine, private
from panpan.doctor.access import Access
from panpan.doctor.automation import Automation
from panpan.doctor.check import NotSeen, Result
from panpan.doctor.database import Database
from panpan.doctor.examine import CHECKS, LOOKS, Knowledge, judge
from panpan.doctor.loads import Loads, interval, missed
from panpan.doctor.machine import Machine
from panpan.doctor.pages import Pages
from panpan.doctor.private import Private
from panpan.doctor.reports import Reports
from panpan.doctor.saved import Saved
from panpan.doctor.servers import Servers
from panpan.local.n8n_install import pinned_version

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ALL_SERVERS = {"postgres", "n8n", "worker", "web"}
BACKUPS = ("clock", "proven", "schedule", "last", "on_disk", "offsite")


def backups(**bad: str) -> Status:
    checks = {name: BackupCheck(ok=name not in bad, found=bad.get(name, "fine")) for name in BACKUPS}
    return Status(checks, None, None)


HEALTHY: dict[type, Any] = {
    Machine: Machine(
        python="3.11.7",
        node="24.19.0",
        off_lock=[],
        free_bytes=50 * 2**30,
        free_files=0.9,
        free_memory=4 * 2**30,
        file_system="ext4",
        log_bytes=2**20,
        is_root=False,
    ),
    Private: Private([], [], [], [], [], [], [], [], "", [], ""),
    Servers: Servers(ALL_SERVERS, ALL_SERVERS, [], [], [], [], "there is no Metabase"),
    Database: Database(
        version="18.6",
        settings={
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "password_encryption": "scram-sha-256",
            "listen_addresses": "127.0.0.1",
            "log_statement": "none",
            "log_parameter_max_length_on_error": "0",
        },
        logins=[("127.0.0.1", "scram-sha-256"), (None, "scram-sha-256")],
        used=0.1,
        pending=[],
        changed=[],
        clock_off=0.1,
        newest=NOW - timedelta(hours=1),
        now=NOW,
    ),
    Access: Access({"owner", "bi", "postgres"}, [], [], [], [], [], [], [], [], {}, {}, {}),
    Loads: Loads([], [], [], [], [], [], [], [], []),
    Saved: Saved(backups(), has_offsite=True, plain=[], open_sets=[]),
    Automation: Automation(
        version="2.43.3",
        pinned="2.43.3",
        softened=[],
        drifted=[],
        foreign=[],
        stopped=[],
        given_up=[],
        excluded_nodes=[],
        open_webhooks=[],
        strangers=[],
        foreign_credentials=[],
        packages=0,
        is_claimed=True,
        is_api_keyed=True,
    ),
    Pages: Pages([], takes_foreign_host=False, hosts="a.example", asks_login=True, address="https://a.example"),
    Reports: Reports(version="v0.64.6"),
    Knowledge: Knowledge(date(2026, 5, 1), date(2026, 6, 1)),
}
SQL_SETTINGS = HEALTHY[Database].settings

# check -> (class of facts, what is broken in it, a word its finding must hold)
BROKEN: dict[str, tuple[type, dict[str, Any], str]] = {
    "python-version": (Machine, {"python": "3.10.4"}, "3.10.4"),
    "packages-locked": (Machine, {"off_lock": ["requests 2.0 instead of 2.32"]}, "requests"),
    "node-version": (Machine, {"node": "20.11.0"}, "20.11.0"),
    "disk-room": (Machine, {"free_bytes": 2**30}, "1.0 GB"),
    "disk-files": (Machine, {"free_files": 0.01}, "1%"),
    "memory-room": (Machine, {"free_memory": 2**27}, "0.1 GB"),
    "home-on-disk": (Machine, {"file_system": "tmpfs"}, "tmpfs"),
    "logs-size": (Machine, {"log_bytes": 2**30}, "1024 MB"),
    "runs-as-root": (Machine, {"is_root": True}, "root"),
    "settings-known": (Private, {"unknown_settings": ["PANPAN_TYPO"]}, "PANPAN_TYPO"),
    "files-private": (Private, {"open_files": ["settings.env 0644"]}, "0644"),
    "files-owned": (Private, {"foreign_files": ["archive"]}, "archive"),
    "backup-key": (Private, {"key_fault": "backup.key is missing"}, "missing"),
    "secrets-strong": (Private, {"weak": ["PANPAN_BI_PASSWORD"]}, "BI"),
    "secrets-differ": (Private, {"repeated": ["PANPAN_BI_PASSWORD"]}, "BI"),
    "secrets-not-in-git": (Private, {"in_git": ["settings.env"]}, "settings.env"),
    "secrets-not-in-processes": (Private, {"in_processes": ["psql (42)"]}, "psql"),
    "secrets-not-in-logs": (Private, {"in_logs": ["n8n.log: crm_token"]}, "n8n.log"),
    "addresses-encrypted": (Private, {"plain_urls": ["crm_url"]}, "crm_url"),
    "mail-encrypted": (Private, {"plain_mail": "mail.shop.example"}, "mail.shop"),
    "postgres-runs": (Servers, {"running": ALL_SERVERS - {"postgres"}}, "PostgreSQL does not run"),
    "n8n-runs": (Servers, {"answering": ALL_SERVERS - {"n8n"}}, "does not answer"),
    "metabase-runs": (Servers, {"no_metabase": None}, "Metabase"),
    "worker-runs": (Servers, {"running": ALL_SERVERS - {"worker"}}, "worker"),
    "web-runs": (Servers, {"running": ALL_SERVERS - {"web"}}, "web"),
    "ports-differ": (Servers, {"shared_ports": ["web_port", "n8n_port"]}, "web_port"),
    "ports-free": (Servers, {"taken_ports": ["n8n 5678"]}, "5678"),
    "processes-known": (Servers, {"leftovers": ["n8n (77)"]}, "77"),
    "binds-loopback": (Servers, {"open_binds": ["n8n 192.0.2.1:5678"]}, "192.0.2.1"),
    "postgres-version": (Database, {"version": "18.1"}, "CVE-2026-6473"),
    "postgres-durable": (Database, {"settings": {**SQL_SETTINGS, "fsync": "off"}}, "fsync"),
    "postgres-connections": (Database, {"used": 0.95}, "95%"),
    "migrations-applied": (Database, {"pending": ["0099_new.sql"]}, "0099"),
    "migrations-unchanged": (Database, {"changed": ["0001_old.sql"]}, "0001"),
    "clock": (Database, {"newest": NOW + timedelta(hours=2)}, "7200 seconds in the future"),
    "postgres-passwords": (Database, {"settings": {**SQL_SETTINGS, "password_encryption": "md5"}}, "md5"),
    "postgres-logins": (Database, {"logins": [("127.0.0.1", "trust")]}, "trust"),
    "postgres-near": (Database, {"logins": [("0.0.0.0", "scram-sha-256")]}, "0.0.0.0"),  # noqa: S104
    "postgres-listens": (Database, {"settings": {**SQL_SETTINGS, "listen_addresses": "*"}}, "*"),
    "postgres-log": (Database, {"settings": {**SQL_SETTINGS, "log_statement": "all"}}, "log_statement"),
    "roles-known": (Access, {"logins": {"owner", "intern"}}, "intern"),
    "roles-powers": (Access, {"powers": ["bi: superuser"]}, "superuser"),
    "roles-passwords": (Access, {"without_verifier": ["bi"]}, "bi"),
    "roles-memberships": (Access, {"memberships": ["bi in owner"]}, "bi in owner"),
    "grants-databases": (Access, {"open_databases": ["warehouse"]}, "warehouse"),
    "grants-schemas": (Access, {"open_schemas": ["public"]}, "public"),
    "grants-tables": (Access, {"open_tables": ["core.customers"]}, "core.customers"),
    "grants-functions": (Access, {"open_functions": ["ops.begin_load()"]}, "begin_load"),
    "functions-search-path": (Access, {"loose_functions": ["ops.begin_load()"]}, "begin_load"),
    "grants-reached": (Access, {"reached": {"bi": ["core.customers"]}}, "bi: core.customers"),
    "grants-written": (Access, {"written": {"backup": ["core.sales"]}}, "backup: core.sales"),
    "grants-created": (Access, {"creating": {"loader": ["public"]}}, "loader: public"),
    "loads-failed": (Loads, {"failed": ["crm"]}, "crm"),
    "loads-waiting": (Loads, {"waiting": ["12 (pos, received)"]}, "12"),
    "sources-fresh": (Loads, {"silent": ["CRM contacts"]}, "CRM"),
    "rejects-share": (Loads, {"rejected": ["pos 12 %"]}, "12 %"),
    "runs-failed": (Loads, {"failed_runs": ["core: boom"]}, "boom"),
    "workflow-errors": (Loads, {"workflow_errors": ["crm: timeout"]}, "timeout"),
    "inbox-taken": (Loads, {"stuck": ["inbox/pos/a.csv"]}, "a.csv"),
    "archive-whole": (Loads, {"lost": ["archive/pos/a.csv"]}, "a.csv"),
    "schedules-kept": (Loads, {"missed": ["crm (last 5.0 hours ago)"]}, "5.0"),
    "backup-proven": (Saved, {"state": backups(proven="none")}, "none"),
    "backup-schedule": (Saved, {"state": backups(schedule="late")}, "late"),
    "backup-last": (Saved, {"state": backups(last="failed")}, "failed"),
    "backup-sets": (Saved, {"state": backups(on_disk="missing on disk")}, "missing"),
    "backup-clock": (Saved, {"state": backups(clock="goes backwards")}, "backwards"),
    "backup-elsewhere": (Saved, {"has_offsite": False}, "on this machine"),
    "backup-encrypted": (Saved, {"plain": ["set/warehouse.age"]}, "warehouse"),
    "backup-private": (Saved, {"open_sets": ["20260601T000000Z-abcd"]}, "abcd"),
    "n8n-installed": (Automation, {"version": ""}, "missing"),
    "n8n-version": (Automation, {"version": "1.115.3"}, "CVE-2026-21858"),
    "workflows-drift": (Automation, {"drifted": ["crm_contacts_to_raw"]}, "crm"),
    "workflows-active": (Automation, {"stopped": ["crm_contacts_to_raw"]}, "crm"),
    "workflows-live": (Automation, {"given_up": ["crm_contacts_to_raw: timed out"]}, "timed out"),
    "workflows-foreign": (Automation, {"foreign": ["My workflow"]}, "My workflow"),
    "n8n-hardened": (Automation, {"softened": ["NODES_EXCLUDE"]}, "NODES_EXCLUDE"),
    "n8n-nodes": (Automation, {"excluded_nodes": ["crm: Shell"]}, "Shell"),
    "n8n-webhooks": (Automation, {"open_webhooks": ["crm: Called"]}, "Called"),
    "n8n-users": (Automation, {"strangers": ["eve@example.com"]}, "eve"),
    "n8n-credentials": (Automation, {"foreign_credentials": ["My token"]}, "My token"),
    "n8n-packages": (Automation, {"packages": 2}, "2"),
    "n8n-owner": (Automation, {"is_claimed": False}, "first visitor"),
    "n8n-api": (Automation, {"is_api_keyed": False}, "without a key"),
    "metabase-version": (Reports, {"version": "v0.58.20"}, "CVE-2026-72898"),
    "metabase-setup": (Reports, {"has_setup_token": True}, "first visitor"),
    "metabase-sharing": (Reports, {"has_public_sharing": True}, "public links"),
    "metabase-tracking": (Reports, {"has_tracking": True}, "maker"),
    "metabase-sample": (Reports, {"has_sample": True}, "sample"),
    "metabase-administrators": (Reports, {"administrators": ("a", "b", "c")}, "3 people"),
    "web-headers": (Pages, {"missing_headers": ["x-frame-options"]}, "x-frame-options"),
    "web-hosts": (Pages, {"takes_foreign_host": True}, "rebinding"),
    "web-login": (Pages, {"asks_login": False}, "without a login"),
    "web-encrypted": (Pages, {"address": "http://a.example"}, "readable"),
    "floors-recent": (Knowledge, {"today": date(2026, 12, 1)}, "214 days"),
}


def result_of(check_id: str, facts: dict[type, Any]) -> Result:
    (result,) = judge([check for check in CHECKS if check.id == check_id], facts)
    return result


def test_there_are_as_many_checks_as_promised_and_each_has_its_own_id() -> None:
    assert len([check for check in CHECKS if not check.is_security]) >= 25
    assert len(CHECKS) >= 40
    assert len({check.id for check in CHECKS}) == len(CHECKS)


def test_every_check_is_seen_failing_below() -> None:
    assert set(BROKEN) == {check.id for check in CHECKS}


def test_all_is_well_where_nothing_is_broken() -> None:
    assert [result for result in judge(list(CHECKS), HEALTHY) if not result.ok] == []


@pytest.mark.parametrize("check_id", BROKEN)
def test_check_finds_what_is_broken_and_says_how_to_mend_it(check_id: str) -> None:
    kind, change, word = BROKEN[check_id]

    result = result_of(check_id, {**HEALTHY, kind: replace(HEALTHY[kind], **change)})

    assert result.ok is False
    assert word in result.finding
    assert result.fix


@pytest.mark.parametrize("kind", LOOKS, ids=lambda kind: kind.__name__)
def test_what_can_not_be_seen_is_neither_well_nor_bad(kind: type) -> None:
    results = judge([check for check in CHECKS if kind in check.needs], {**HEALTHY, kind: NotSeen("it is down")})

    assert results
    assert {(result.ok, result.finding) for result in results} == {(None, "not looked at: it is down")}


def test_in_containers_nothing_is_said_of_processes_and_ports_nobody_there_sees() -> None:
    of_machine = {check.id for check in CHECKS if check.is_of_machine}

    assert of_machine == {
        *("packages-locked", "node-version", "logs-size", "n8n-installed"),
        *("ports-differ", "ports-free", "processes-known", "binds-loopback", "postgres-near", "postgres-listens"),
        "metabase-runs",
    }
    hardened = result_of("n8n-hardened", {**HEALTHY, Automation: replace(HEALTHY[Automation], softened=None)})
    assert (hardened.ok, "another container" in hardened.finding) == (None, True)


def test_holes_closed_by_our_settings_are_a_warning_and_an_error_without_them() -> None:
    pinned = replace(HEALTHY[Automation], version="2.40.7")
    softened = replace(pinned, softened=["NODES_EXCLUDE"])

    assert result_of("n8n-version", {**HEALTHY, Automation: pinned}).severity == "warning"
    assert result_of("n8n-version", {**HEALTHY, Automation: softened}).severity == "error"


@pytest.mark.parametrize(
    ("tag", "is_well"),
    [
        ("v0.58.24", False),  # mends CVE-2026-72898, not GHSA-r495-55cx-fjh7
        ("v0.58.28", True),
        ("v0.63.4", False),
        ("v0.63.5", True),
        ("v1.62.9.1", True),
        ("v0.46.6.1", False),  # a line nobody mends any more
        ("v0.66.0", True),
    ],
)
def test_metabase_is_judged_by_its_line(tag: str, is_well: bool) -> None:
    facts = {**HEALTHY, Reports: Reports(version=tag)}

    assert result_of("metabase-version", facts).ok is is_well


def test_floors_are_those_metabase_itself_is_refused_by() -> None:
    assert dict(floors.products()["metabase"].line_floors) == FLOORS


def test_pins_of_the_floors_are_those_we_install() -> None:
    assert floors.products()["n8n"].pinned == pinned_version()


def test_only_errors_end_with_a_code() -> None:
    warning = Result("a", "warning", False, "found", "fix")

    assert not has_errors([warning, Result("b", "error", None, "not looked at", None)])
    assert has_errors([warning, Result("c", "error", False, "found", "fix")])


def test_lines_put_the_worst_first_and_count_what_is_well() -> None:
    told = lines(
        [
            Result("a", "warning", False, "a warning", "do a"),
            Result("b", "error", False, "an error", "do b"),
            Result("c", "error", True, "fine", None),
        ]
    )

    assert told == [
        "error b: an error.",
        "  fix: do b",
        "warning a: a warning.",
        "  fix: do a",
        "1 of 3 checks are well.",
    ]


def test_secrets_are_judged_without_being_told() -> None:
    strong = "kJ8-fake-but-long-enough"
    values = {"bi_password": "short", "owner_password": strong, "n8n_owner_password": strong, "smtp_password": "given"}

    assert private.weak_secrets(values) == ["PANPAN_BI_PASSWORD"]
    assert private.repeated(values) == ["PANPAN_OWNER_PASSWORD", "PANPAN_N8N_OWNER_PASSWORD"]


def test_open_files_and_leaking_logs_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("PANPAN_X=1")
    (tmp_path / "settings.env").chmod(0o640)
    (tmp_path / "archive").mkdir(mode=0o700)
    (tmp_path / "n8n.log").write_text("login with canary-secret-1")

    assert private.open_files(tmp_path) == [f"{tmp_path}/settings.env 0640"]
    assert private.in_logs({"crm_token": "canary-secret-1"}, [tmp_path / "n8n.log"]) == ["n8n.log: crm_token"]


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        (None, False),
        ("http://127.0.0.1:3000", False),
        ("https://crm.example", False),
        ("http://crm.example/v3", True),
    ],
)
def test_plain_address_beyond_this_machine_is_found(url: str | None, plain: bool) -> None:
    assert private.is_plain(url) is plain


def test_services_of_the_same_compose_file_are_near_and_nothing_else_is() -> None:
    urls = ("http://metabase:3000", "http://simulate:8001/crm", "http://crm.example/v3")

    assert [private.is_plain(url, inside=True) for url in urls] == [False, False, True]
    assert private.is_plain(urls[0])


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("pytest==0.0.1 \\\n    --hash=sha256:00\ncolorama==9 ; sys_platform == 'win32' \\\n")

    (found,) = machine.off_lock(lock)

    assert found.startswith("pytest ") and found.endswith("instead of 0.0.1")


def test_schedule_is_missed_after_three_intervals() -> None:
    hourly = {"crm": interval("22 * * * *")}
    up_since = NOW - timedelta(days=2)

    assert hourly["crm"] == timedelta(hours=1)
    assert missed(hourly, {"crm": NOW - timedelta(hours=2)}, up_since, NOW) == []
    assert missed(hourly, {"crm": NOW - timedelta(hours=4)}, up_since, NOW) == ["crm (last 4.0 hours ago)"]
    assert missed(hourly, {"crm": NOW - timedelta(hours=4)}, NOW - timedelta(hours=1), NOW) == []
