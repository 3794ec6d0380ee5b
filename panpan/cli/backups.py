"""
Commands about backups: backups create | list | drill | verify | restore | sabotage | prune | copy | status.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from backups import changes, ledger, n8n_cipher, offsite, retention, sets
from backups import create as creating
from backups import drill as drilling
from backups import restore as restoring
from backups import sabotage as sabotaging
from backups import status as standing
from backups.figures import Figure
from backups.key import BackupKey, key_text, read_key
from backups.ledger import Check
from backups.manifest import read_manifest
from db.connection import connect
from db.migrate import migrate
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import DatabaseError, UsageError
from panpan.governance import log as change_log
from panpan.local import n8n, postgres
from panpan.local.files import write_private
from panpan.local.initialise import HEADING, append_line, given_fields, initialise, is_initialised
from panpan.local.ports import choose_ports
from panpan.local.recovery import recover
from panpan.settings import CHECKOUT, HOME_FILE, PREFIX, Settings, home_folder, load_settings
from panpan.version import own_version
from transforms.compiler import Query, compile_query
from transforms.metrics import load_metrics

CHECK_FAILED = 3
DRILL = "drill-"
SAY_EVERY_SECONDS = 10
PACE_KNOWN = 0.03
# Files of the home itself: who may see the pages, and what Metabase's objects are called there.
SINGLE_FILES = {"accounts": "users.json", "metabase": "metabase.json"}
# n8n's credential -> the setting its token comes from; see panpan/local/n8n_credentials.py
TOKENS = {
    "webhookToken0001": "webhook_token",
    "posApiToken00001": "pos_api_token",
    "crmToken00000001": "crm_token",
    "inventoryToken01": "inventory_token",
}

commands = typer.Typer(
    name="backups",
    help="Backup sets that are proven by restoring them; docs/restore.md for the day they are needed.",
    no_args_is_help=True,
)
SetName = Annotated[str | None, typer.Argument(metavar="[SET]", help="Name or folder of a set; else the newest.")]
KeyFile = Annotated[Path | None, typer.Option("--key", help="File of the key.  [default: the home's]")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `backups`."""
    app.add_typer(commands, name="backups")


# --- what backups needs and may not import -----------------------------------------------------------------


def metric_figures() -> dict[str, Figure]:
    """Every metric over all time, in total and by store and source, as statements."""
    figures = {}
    for name, metric in load_metrics().items():
        base = tuple(metric.needs_one_of[:1])
        groups = [base, *((*base, each) for each in ("store", "source") if each in metric.dimensions)]
        for by in groups:
            plan = compile_query(Query(name, by), date.today())
            parameters = {key: str(given) for key, given in plan.parameters.items()}
            figures[" by ".join([name, *by])] = Figure(sql=plan.sql, parameters=parameters)
    return figures


def ingredients(settings: Settings) -> creating.Ingredients:
    """What a set of this home holds beside its databases. The inbox comes first: files move from it to the archive."""
    return creating.Ingredients(
        metrics=metric_figures(),
        folders={
            "inbox": settings.inbox,
            "archive": settings.archive,
            "formatted": settings.formatted,
            "contracts": settings.own_contracts,
            "plans": settings.plans,
            "alerts": settings.people_file.parent,
            "workflows": CHECKOUT / "n8n_workflows",
            **{name: settings.home / file for name, file in SINGLE_FILES.items()},
        },
        application_keys=application_keys(settings),
        versions={"panpan": own_version(), "n8n": n8n.version(settings)},
    )


def application_keys(settings: Settings) -> dict[str, str]:
    """The keys without which a restored database of n8n or Metabase can't be read."""
    return {
        f"{PREFIX}{name.upper()}": value.get_secret_value()
        for name in Settings.model_fields
        if name.endswith("_encryption_key") and isinstance(value := getattr(settings, name), SecretStr)
    }


@contextmanager
def scratch_server(settings: Settings, needed_bytes: int) -> Iterator[Settings]:
    """An empty PostgreSQL of its own, on a port and with passwords of its own; nothing of it is left."""
    clear_scratch(settings)
    sets.require_room(settings.home, int(needed_bytes * 1.2) + 2 * sets.ROOM_BYTES)
    folder = Path(tempfile.mkdtemp(prefix=DRILL, dir=settings.home))
    folder.chmod(0o711)  # PostgreSQL's account passes through
    server = settings.model_copy(
        update={
            "home": folder,
            "database_host": "127.0.0.1",
            "postgres_port": choose_ports(1)[0],
            "postgres_password": SecretStr(secrets.token_urlsafe(24)),
        }
    )
    try:
        postgres.start(server)
        with connect(server, "postgres", "postgres", autocommit=True) as connection, connection.cursor() as cursor:
            for setting in ("fsync = off", "full_page_writes = off", "autovacuum = off"):
                cursor.execute(f"alter system set {setting}")
            cursor.execute("select pg_reload_conf()")
        yield server
    finally:
        postgres.destroy(server)
        shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(settings: Settings) -> None:
    """Stop and remove what a killed drill left; only the holder of the sets' lock may."""
    for left in settings.home.glob(f"{DRILL}*"):
        postgres.destroy(settings.model_copy(update={"home": left}))
        shutil.rmtree(left, ignore_errors=True)


def scratch(settings: Settings) -> drilling.Scratch:
    """The scratch server of this home as a function of the bytes it must hold."""
    return lambda needed: scratch_server(settings, needed)


# --- commands ----------------------------------------------------------------------------------------------


@commands.command("create")
def create(
    home: Home = None,
    no_drill: Annotated[bool, typer.Option("--no-drill", help="Only make the set; it does not count yet.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Make a backup set of all databases and files, then prove it by restoring it into a scratch server.

    The first one makes the key: copy it to another machine.  Example: panpan backups create --json
    """
    end_in_order()
    settings = load_settings(home=home)
    is_new_key = not settings.backup_key.exists()
    folder = creating.create(settings, ingredients(settings), say)
    if is_new_key:
        say(f"the key of the backups is new: copy {settings.backup_key} to another machine")
    if no_drill:
        manifest = read_manifest(folder, read_key(settings.backup_key))
        facts = {"set": folder.name, "verdict": "unproven", "checks": {}, "bytes": manifest.byte_count}
        report(facts, as_json=as_json)
        return
    tell(run_drill(settings, folder), as_json=as_json)


@commands.command("drill")
def drill(set_name: SetName = None, home: Home = None, as_json: AsJson = False) -> None:
    """
    Restore a set into a scratch server and compare it with what was backed up, to the cent.

    Exit code 3 when anything differs.  Example: panpan backups drill --json
    """
    end_in_order()
    settings = load_settings(home=home)
    tell(run_drill(settings, sets.find_set(settings.backup_sets, set_name)), as_json=as_json)


@commands.command("verify")
def verify(set_name: SetName = None, home: Home = None, key: KeyFile = None, as_json: AsJson = False) -> None:
    """
    Check a set's seal and checksums without restoring it; takes seconds, proves less than a drill.

    With --key it needs no home.  Example: panpan backups verify --json
    """
    settings = load_settings(home=home) if is_initialised(home_folder(home)) else None
    folder = sets.find_set(settings.backup_sets if settings else None, set_name)
    known = []
    if settings and folder.parent == settings.backup_sets:
        with suppress(DatabaseError):  # a set can be verified where no server runs
            known = ledger.entries(settings)
    _, checks = drilling.verify(folder, read_key(_key_file(key, settings)), known)
    tell(drilling.Verdict(folder.name, checks, 0.0), as_json=as_json, good="intact")


def _key_file(given: Path | None, settings: Settings | None) -> Path:
    if given is None and settings is None:
        raise UsageError("where is the key?", next="--key FILE names your copy of backup.key")
    return given or cast(Settings, settings).backup_key


@commands.command("fetch")
def fetch(
    set_name: Annotated[str | None, typer.Argument(metavar="[SET]", help="Name of a set; else the newest.")] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Bring a copy back from the place in PANPAN_OFFSITE into the home's folder of sets.

    Example: panpan backups fetch 20260531T033000Z-4f1c
    """
    settings = load_settings(home=home)
    place = _place(settings)
    with sets.lock(settings.backup_sets), offsite.answering():
        folder = offsite.fetch(place, set_name, settings.backup_sets)
    if as_json:
        output.print_json({"set": folder.name, "folder": str(folder)})
    else:
        output.results.print(str(folder), markup=False, highlight=False)


def _place(settings: Settings) -> offsite.Store:
    place = offsite.store(settings)
    if place is None:
        raise UsageError("there is no place for copies", next="set PANPAN_OFFSITE to a folder or to s3://bucket/prefix")
    return place


@commands.command("list")
def list_sets(home: Home = None, as_json: AsJson = False) -> None:
    """
    List the sets, newest first: when, how large, proven or not.

    Example: panpan backups list --json
    """
    settings = load_settings(home=home)
    rows = listing(settings)
    if as_json:
        output.print_json({"sets": rows})
        return
    cells = [
        [
            row["set"],
            row["snapshot_at"] and f"{row['snapshot_at'].astimezone(UTC):%Y-%m-%d %H:%M} UTC",
            row["bytes"] and round(row["bytes"] / 2**20, 1),
            row["verdict"],
            row["reason"],
        ]
        for row in rows
    ]
    output.print_table("backup sets", ["set", "snapshot", "MB", "verdict", "why"], cells)


def listing(settings: Settings) -> list[dict[str, Any]]:
    """One row per set on disk, with what the ledger says of it."""
    known = ledger.entries(settings)
    rows = []
    for folder in sets.set_folders(settings.backup_sets):
        of_set = [entry for entry in known if entry.set_name == folder.name]
        created = next((entry for entry in of_set if entry.event == "created"), None)
        drilled = next((entry for entry in reversed(of_set) if entry.event == "drilled"), None)
        rows.append(
            {
                "set": folder.name,
                "snapshot_at": created and created.snapshot_at,
                "bytes": created and created.byte_count,
                "verdict": "unproven" if drilled is None else "proven" if drilled.is_good else "failed",
                "reason": drilled and drilled.reason,
                "drilled_at": drilled and drilled.recorded_at,
                "drill_seconds": drilled and drilled.seconds,
            }
        )
    return rows


@commands.command("restore")
def restore(
    set_name: Annotated[
        str | None, typer.Argument(metavar="[SET]", help="Name or folder of a set; else the newest.")
    ] = None,
    home: Home = None,
    key: KeyFile = None,
    replace: Annotated[
        list[str] | None, typer.Option("--replace", help="Database with contents to set aside; repeatable.")
    ] = None,
    database: Annotated[str | None, typer.Option("--database", help="Restore just this one.")] = None,
    into: Annotated[str | None, typer.Option("--into", help="Name it gets; with --database.")] = None,
    table: Annotated[
        str | None, typer.Option("--table", help="Just this table (core.sales), into a schema beside the living one.")
    ] = None,
    day: Annotated[str | None, typer.Option("--day", help="Just this business date of the table, 2026-05-31.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Restore a set into a new home, or into empty databases; what has contents is refused unless its name is typed.

    On a new machine a set and the key are enough.

    Example: panpan backups restore /media/usb/20260531T033000Z-4f1c --key /media/usb/backup.key --home var
    """
    if (into and not database) or (day and not table) or (table and database):
        raise UsageError("these options do not go together", cause="--into needs --database, --day needs --table")
    wanted = _day(day)
    folder = home_folder(home)
    chosen = sets.find_set(load_settings(home=home).backup_sets if is_initialised(folder) else None, set_name)
    opened = read_key(_key_file(key, load_settings(home=home) if is_initialised(folder) else None))
    if table:
        settings = load_settings(home=home)
        name, rows = restoring.restore_table(settings, chosen, opened, table, day=wanted, step=say)
        facts: dict[str, Any] = {"set": chosen.name, "table": name, "rows": rows}
    elif database:
        with _time_left() as progress:
            restored = restoring.restore(
                load_settings(home=home), chosen, opened, {database: into or database},
                replace=replace or (), progress=progress, step=say,
            )  # fmt: skip
        facts = _facts(restored)
    else:
        with _time_left() as progress:
            facts = restore_home(folder, chosen, opened, replace or (), progress)
    if as_json:
        output.print_json(facts)
        return
    tell_restored(facts)


def tell_restored(facts: dict[str, Any]) -> None:
    """What was restored, for people: the comparison as a table, then what is where and what comes next."""
    if checks := facts.get("checks"):
        print_checks(facts["set"], checks)
    for name, value in facts.items():
        if name != "checks" and value:
            shown = ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, dict) else value
            output.results.print(f"{name}: {shown}", markup=False, highlight=False)


@commands.command("base")
def base(home: Home = None, as_json: AsJson = False) -> None:
    """
    Copy the whole server now, for restoring any moment from then on; needs PANPAN_POINT_IN_TIME.

    Example: panpan backups base
    """
    settings = load_settings(home=home)
    if not settings.point_in_time:
        raise UsageError("changes are not kept", next="set PANPAN_POINT_IN_TIME=true, bin/panpan up, then again")
    if not settings.backup_key.exists():
        raise UsageError("there is no key yet", next="bin/panpan backups create makes it, then again")
    with sets.lock(settings.backup_sets):
        made = changes.make_base(settings, read_key(settings.backup_key))
    arriving = changes.check(settings)
    if as_json:
        output.print_json({"base": made.folder.name, "folder": str(made.folder), "changes": arriving.model_dump()})
        return
    output.results.print(f"{made.folder}\n{arriving.found}", markup=False, highlight=False)


@commands.command("restore-to")
def restore_to(
    moment: Annotated[str, typer.Argument(help='2026-05-31T12:30:00 (UTC unless it says a zone), or "latest".')],
    source: Annotated[Path, typer.Option("--from", help="Folder of bases and changes.")],
    home: Home = None,
    key: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """
    Bring the databases back as they were at a moment, into a new home. Files are in the sets, not here.

    Example: panpan backups restore-to 2026-05-31T12:30:00 --from /mnt/disk/changes --key backup.key --home new
    """
    wanted = _moment(moment)
    opened = read_key(_key_file(key, None))
    found = changes.base_before(changes.bases(source), wanted)
    begun = time.monotonic()
    settings = prepare_home(home_folder(home), {}, opened)
    recovered = recover(settings, found, source, opened, wanted, say)
    postgres.start(settings)
    postgres.create_n8n_database(settings)
    migrate(settings)
    settings = take_over_tokens(settings, opened)
    keep_end_of_changes(settings)
    seconds = round(time.monotonic() - begun, 1)
    reached = {"moment": Check(ok=True, found=f"the last change is of {recovered}")}
    ledger.record(
        settings,
        ledger.Entry("restored", found.folder.name, "good", seconds, checks=ledger.checks_as_json(reached)),
    )
    facts = {"base": found.folder.name, "last_change": recovered, "home": str(settings.home), "seconds": seconds}
    if as_json:
        output.print_json(facts)
        return
    output.results.print(
        f"{settings.home} is as of {moment}; last change {recovered}; {seconds} s", markup=False, highlight=False
    )


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError(f"{text!r} is no day", cause="expected one like 2026-05-31") from None


def _moment(text: str) -> datetime | None:
    if text == "latest":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no moment", cause="expected 2026-05-31T12:30:00 or latest") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def restore_home(
    folder: Path, chosen: Path, key: BackupKey, replace: Collection[str], progress: restoring.Progress
) -> dict[str, Any]:
    """
    Everything of a set into a home, which is made when it is new; the servers are started by `panpan up` afterwards.

    May be killed and run again: databases take their names at the end, files that are there stay.
    """
    begun = time.monotonic()
    manifest = restoring.require_intact(chosen, key)
    key = key.as_of(manifest.key_fingerprints)
    settings = prepare_home(folder, manifest.settings, key)
    postgres.start(settings)
    names = {name: settings.database_name if name == manifest.warehouse else name for name in manifest.databases}
    unfinished = settings.home / "run" / "restore"
    is_again = unfinished.exists() and unfinished.read_text(encoding="utf-8") == chosen.name
    if is_again and restoring.is_restored(settings, names.values(), chosen.name):
        say("the databases are in place; going on after them")
        restored = restoring.Restored(drilling.Verdict(chosen.name, {}, 0.0), names, {})
    else:
        write_private(unfinished, chosen.name)
        restored = restoring.restore(settings, chosen, key, names, replace=replace, progress=progress, step=say)
    postgres.create_n8n_database(settings)
    migrate(settings)  # this home's passwords, and migrations that are newer than the set
    say("unpacking files")
    files = restoring.unpack(chosen, key, file_targets(settings))
    settings = take_over_tokens(settings, key)
    keep_end_of_changes(settings)
    unfinished.unlink()
    seconds = round(time.monotonic() - begun, 1)
    checks = ledger.checks_as_json(restored.verdict.checks)
    ledger.record(settings, ledger.Entry("restored", chosen.name, "good", seconds, checks=checks))
    where = {"home": str(settings.home), "files": files, "seconds": seconds, "next": "bin/panpan up"}
    if wanted := to_give_again(settings):
        where["set_again"] = f"{', '.join(wanted)} in {settings.home / HOME_FILE}: they are in no set"
    return {**_facts(restored), **where}


def prepare_home(folder: Path, known: Mapping[str, str], key: BackupKey) -> Settings:
    """The home with the settings known, new passwords and ports, and the keys that the restored databases need."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    file = folder / HOME_FILE
    if not file.exists():
        write_private(file, HEADING)
    given = given_fields(file)
    # Changes go to a folder of this home's own: two servers in one would spoil both.
    wanted = {name: value for name, value in known.items() if name in Settings.model_fields and name != "changes_to"}
    lines = [f"{PREFIX}{name.upper()}={value}\n" for name, value in wanted.items() if name not in given]
    held = dotenv_values(file)
    lines += [f"{name}={value}\n" for name, value in key.application_keys.items() if held.get(name) != value]
    if lines:
        append_line(file, "".join(lines))
    settings = initialise(folder)
    if not settings.backup_key.exists():
        write_private(settings.backup_key, key_text(key))
    n8n_config = folder / "n8n" / ".n8n" / "config"
    if n8n_config.exists() and settings.n8n_encryption_key.get_secret_value() not in n8n_config.read_text():
        n8n_config.replace(n8n_config.with_name("config.before-restore"))
    return settings


def file_targets(settings: Settings) -> dict[str, Path]:
    """Where the files of a set go; the workflows are in git, the set's are put beside for whoever wants to compare."""
    folders = dict(ingredients(settings).folders)
    return {**folders, "workflows": settings.home / "restored_workflows", **dict.fromkeys(SINGLE_FILES, settings.home)}


def to_give_again(settings: Settings) -> list[str]:
    """Secrets of other people's servers that the settings want and no set holds; without them mails or copies stop."""
    missing = []
    if settings.smtp_username and settings.smtp_password is None:
        missing.append("PANPAN_SMTP_PASSWORD")
    place = settings.offsite or ""
    if place.startswith("s3://"):
        keys = ("offsite_access_key", "offsite_secret_key")
        missing += [f"{PREFIX}{name.upper()}" for name in keys if getattr(settings, name) is None]
    if place.startswith("sftp://") and settings.offsite_key_file is None and settings.offsite_secret_key is None:
        missing.append("PANPAN_OFFSITE_KEY_FILE")
    return missing


def keep_end_of_changes(settings: Settings) -> None:
    """The home's own note of where the change log ends, as of the sealed set: a new home has none."""
    with connect(settings, "transformer") as connection:
        end = change_log.last_entry(connection)
    if end:
        change_log.keep_head(settings, end)


def take_over_tokens(settings: Settings, key: BackupKey) -> Settings:
    """The tokens of the source systems out of n8n's restored credentials, else `up` would overwrite them there."""
    with connect(settings, "postgres", "n8n") as connection:
        opened = n8n_cipher.credentials(connection, key.application_keys[drilling.N8N_KEY])
    lines = []
    for credential_id, name in TOKENS.items():
        value = str(opened.get(credential_id, {}).get("value", "")).removeprefix("Bearer ")
        if value and value != getattr(settings, name).get_secret_value():
            lines.append(f"{PREFIX}{name.upper()}={value}\n")
    if lines:
        append_line(settings.home / HOME_FILE, "".join(lines))
    return load_settings(home=settings.home)


@contextmanager
def _time_left() -> Iterator[restoring.Progress]:
    """A bar with the time left on a terminal, a line every ten seconds elsewhere."""
    if output.talk.is_terminal:
        columns = (TextColumn("restoring"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with RichProgress(*columns, console=output.talk) as bar:
            task = bar.add_task("restoring", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    begun = said = time.monotonic()

    def tell_line(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if done and now - said > SAY_EVERY_SECONDS:
            said = now
            output.talk.print(how_far(done, total, now - begun), highlight=False)

    yield tell_line


def how_far(done: int, total: int, passed: float) -> str:
    """How far a restore is, and after its beginning the time left: the first bytes say nothing about the pace."""
    share = done / total
    if share < PACE_KNOWN:
        return f"restoring ... {share:.0%}"
    left = passed / share - passed
    return f"restoring ... {share:.0%}, about {f'{left:.0f} s' if left < 120 else f'{left / 60:.0f} min'} left"


def _facts(restored: restoring.Restored) -> dict[str, Any]:
    return {
        "set": restored.verdict.set_name,
        "verdict": "restored",
        "databases": restored.databases,
        "kept": restored.kept,
        "checks": ledger.checks_as_json(restored.verdict.checks),
    }


@commands.command("status")
def show_status(home: Home = None, as_json: AsJson = False) -> None:
    """
    Say whether the promise is kept, and the worst loss and restore time of the last 30 days.

    Judged from the ledger, not from the scheduler. Exit code 3 when anything is not well.

    Example: panpan backups status --json
    """
    settings = load_settings(home=home)
    found = judged(settings)
    facts = {
        "sentences": found.sentences,
        "checks": ledger.checks_as_json(found.checks),
        "rpo_hours": found.rpo_hours,
        "rto_seconds": found.rto_seconds,
    }
    if as_json:
        output.print_json(facts, ok=found.is_well)
    else:
        for sentence in found.sentences:
            output.results.print(sentence, markup=False, highlight=False)
        if found.rpo_hours is not None and found.rto_seconds is not None:
            output.results.print(
                f"Worst of 30 days: {found.rpo_hours:.1f} hours without a proven backup,"
                f" {found.rto_seconds:.0f} s to restore.",
                highlight=False,
            )
    if not found.is_well:
        raise typer.Exit(CHECK_FAILED)


def judged(settings: Settings) -> standing.Status:
    """The status now."""
    on_disk = {folder.name for folder in sets.set_folders(settings.backup_sets)}
    known = ledger.entries(settings)
    found = standing.status(known, on_disk, datetime.now(UTC), has_offsite=settings.offsite is not None)
    if settings.point_in_time:
        found.checks["changes"] = changes.check(settings)
    return found


@commands.command("prune")
def prune(
    home: Home = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Remove sets that the retention does not keep, here and elsewhere; the last proven one always stays.

    Example: panpan backups prune --dry-run
    """
    settings = load_settings(home=home)
    with sets.lock(settings.backup_sets):
        kept, removed = remove_old(settings, dry_run=dry_run)
    if as_json:
        output.print_json({"kept": kept, "removed": removed, "dry_run": dry_run})
        return
    rows = [[name, "stays", why] for name, why in kept.items()] + [[name, "goes", ""] for name in removed]
    output.print_table("sets", ["set", "", "why"], sorted(rows, reverse=True))


def remove_old(settings: Settings, *, dry_run: bool) -> tuple[dict[str, str], list[str]]:
    """Apply the retention; gives set -> why it stays, and the names of those that went."""
    proven = ledger.proven_sets(ledger.entries(settings))
    made = {folder.name: sets.made_at(folder.name) for folder in sets.set_folders(settings.backup_sets)}
    rule = retention.Kept(
        settings.backup_keep_daily,
        settings.backup_keep_weekly,
        settings.backup_keep_monthly,
        settings.backup_keep_yearly,
    )
    kept = retention.kept_sets(made, proven, rule, datetime.now(UTC))
    removed = sorted(set(made) - set(kept))
    for name in [] if dry_run else removed:
        begun = time.monotonic()
        if place := offsite.store(settings):
            with offsite.answering():
                for file in [each for each in place.names() if each.startswith(f"{name}/")]:
                    place.remove(file)
        ledger.record(settings, ledger.Entry("removed", name, "good", time.monotonic() - begun))
        sets.remove(settings.backup_sets / name)
    return kept, removed


@commands.command("copy")
def copy(
    home: Home = None,
    check_only: Annotated[bool, typer.Option("--check", help="Only read back what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Copy proven sets to the place in PANPAN_OFFSITE and read every copy back.

    Exit code 3 when a copy is missing or was changed.  Example: panpan backups copy --check --json
    """
    settings = load_settings(home=home)
    place = _place(settings)
    with sets.lock(settings.backup_sets):
        if not check_only:
            copy_proven(settings, place)
        checks = offsite.check(settings, place, ledger.entries(settings))
    is_well = all(check.ok for check in checks.values())
    facts = {
        "set": settings.offsite,
        "verdict": "equal" if is_well else "failed",
        "checks": ledger.checks_as_json(checks),
    }
    report(facts, as_json=as_json, ok=is_well)
    if not is_well:
        raise typer.Exit(CHECK_FAILED)


def copy_proven(settings: Settings, place: offsite.Store) -> list[Check]:
    """Copy every proven set that has no good copy."""
    known = ledger.entries(settings)
    there = offsite.good_copies(known)
    wanted = [each for each in sets.set_folders(settings.backup_sets) if each.name in ledger.proven_sets(known)]
    key = read_key(settings.backup_key)
    return [offsite.copy(settings, place, folder, key) for folder in wanted if folder.name not in there]


@commands.command("daily")
def daily(
    home: Home = None,
    now: Annotated[bool, typer.Option("--now", help="Also when none is due.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Make, prove, copy and prune when the daily backup is due; the worker calls this, and missed ones are made up.

    Example: panpan backups daily --json
    """
    end_in_order()
    settings = load_settings(home=home)
    if not now and not standing.is_due(ledger.entries(settings), datetime.now(UTC), settings.backup_at):
        if as_json:
            output.print_json({"due": False})
        return
    folder = creating.create(settings, ingredients(settings), say)
    verdict = run_drill(settings, folder)
    with sets.lock(settings.backup_sets):
        if verdict.is_good and (place := offsite.store(settings)):
            say("copying")
            copies = copy_proven(settings, place)
            verdict.checks["copy"] = Check(ok=all(c.ok for c in copies), found=f"{len(copies)} copied and read back")
            earlier = offsite.check(settings, place, ledger.entries(settings), read=1)
            bad = [f"{name}: {check.found}" for name, check in earlier.items() if not check.ok]
            verdict.checks["copies"] = Check(ok=not bad, found="; ".join(bad) or f"{len(earlier)} copies are there")
        if verdict.is_good:
            remove_old(settings, dry_run=False)
        if settings.point_in_time and changes.is_base_due(settings, datetime.now(UTC)):
            say("copying the whole server")
            changes.make_base(settings, read_key(settings.backup_key))
    tell(verdict, as_json=as_json)


@commands.command("sabotage")
def sabotage(
    home: Home = None,
    fault: Annotated[list[str] | None, typer.Option("--fault", help="Just this fault; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    Break copies of the newest proven set in every way we know, in a scratch server; each fault must be noticed.

    Exit code 3 when one is not. The real sets and databases are not touched.  Example: panpan backups sabotage --json
    """
    end_in_order()
    settings = load_settings(home=home)
    proven = ledger.proven_sets(ledger.entries(settings))
    folder = next((each for each in sets.set_folders(settings.backup_sets) if each.name in proven), None)
    if folder is None:
        raise UsageError("there is no proven set to break copies of", next="bin/panpan backups create")
    with (
        sets.lock(settings.backup_sets),
        scratch_server(settings, read_manifest(folder, read_key(settings.backup_key)).database_bytes) as server,
    ):
        results = sabotaging.sabotage(
            server,
            folder,
            settings.backup_key,
            ingredients(settings),
            inner_scratch(server),
            only=fault or (),
            step=say,
        )
    undetected = [result.id for result in results if not result.detected]
    if as_json:
        faults = [{"id": each.id, "detected": each.detected, "found": each.found} for each in results]
        output.print_json({"faults": faults}, ok=not undetected)
    else:
        rows = [[each.id, "noticed" if each.detected else "NOT NOTICED", each.found] for each in results]
        output.print_table(f"{len(results) - len(undetected)} of {len(results)} noticed", ["fault", "", "found"], rows)
    if undetected:
        raise typer.Exit(CHECK_FAILED)


def inner_scratch(server: Settings) -> drilling.Scratch:
    """A scratch server inside a scratch server's home."""
    return lambda needed: scratch_server(server, needed)


def run_drill(settings: Settings, folder: Path) -> drilling.Verdict:
    """A drill of one set; nobody makes or removes sets meanwhile."""
    with sets.lock(settings.backup_sets):
        return drilling.drill(settings, folder, scratch(settings), say)


def tell(verdict: drilling.Verdict, *, as_json: bool, good: str = "proven") -> None:
    """Print a verdict; exit code 3 when it is bad."""
    facts = {
        "set": verdict.set_name,
        "verdict": good if verdict.is_good else "failed",
        "checks": ledger.checks_as_json(verdict.checks),
        "seconds": verdict.seconds,
    }
    report(facts, as_json=as_json, ok=verdict.is_good)
    if not verdict.is_good:
        raise typer.Exit(CHECK_FAILED)


def report(facts: dict[str, Any], *, as_json: bool, ok: bool = True) -> None:
    """A verdict as JSON or as a table of its checks."""
    if as_json:
        output.print_json(facts, ok=ok)
        return
    print_checks(facts["set"], facts["checks"])
    output.results.print(f"{facts['set']}: {facts['verdict']}", highlight=False)


def print_checks(set_name: str, checks: Mapping[str, Any]) -> None:
    """The checks of a set as a table."""
    rows = [[name, "well" if check["ok"] else "BAD", check["found"]] for name, check in checks.items()]
    if rows:
        output.print_table(f"set {set_name}", ["check", "", "found"], rows)


def end_in_order() -> None:
    """Told to stop, clear up first: a scratch server shall not outlive us. Only a kill leaves it to the next drill."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))


def say(text: str) -> None:
    """Talk to stderr."""
    output.talk.print(f"{text} ...", markup=False, highlight=False)
