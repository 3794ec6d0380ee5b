"""The home's secrets on a real PostgreSQL: a new value for each, a kill at every step, files, weak ones."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from typer.testing import CliRunner

from backups.key import make_key, read_key
from db.connection import connect
from db.migrate import migrate
from panpan import scheduler
from panpan.cli.app import assembled
from panpan.errors import DatabaseError, SettingsError, UsageError
from panpan.local import postgres, rotation, stack
from panpan.local.rotation_note import note_file, read_note
from panpan.settings import HOME_FILE, Settings, load_settings, secret_values
from panpan.web import __main__ as web
from panpan.web.accounts import Accounts

app = assembled()

ROLE_SECRETS = sorted(rotation.ROLE_OF)


class Killed(BaseException):
    """What a process feels of a kill in the middle."""


@pytest.fixture(scope="module")
def home(new_server: Callable[[], AbstractContextManager[Settings]]) -> Iterator[Settings]:
    """A server of its own: passwords are changed in it."""
    with new_server() as settings:
        postgres.create_n8n_database(settings)
        migrate(settings)
        yield settings


@pytest.fixture
def settings(home: Settings) -> Settings:
    return load_settings(home=home.home)


def no_restart(settings: Settings, names: list[str]) -> None:
    """Nothing but PostgreSQL runs here."""


def lets_in(settings: Settings, name: str) -> bool:
    role = rotation.ROLE_OF[name]
    try:
        with connect(settings, role, "postgres" if role == "postgres" else "n8n" if role == "n8n" else None):
            return True
    except DatabaseError:
        return False


@pytest.mark.parametrize("name", ROLE_SECRETS)
def test_a_role_gets_a_new_password_and_the_old_one_opens_nothing(settings: Settings, name: str) -> None:
    told: list[list[str]] = []

    after = rotation.rotate(settings, name, lambda _, names: told.append(names))

    read = load_settings(home=settings.home)
    assert secret_values(read) == secret_values(after)
    assert secret_values(read)[name] != secret_values(settings)[name]
    assert {n: v for n, v in secret_values(read).items() if n != name} == {
        n: v for n, v in secret_values(settings).items() if n != name
    }
    assert lets_in(read, name)
    assert not lets_in(settings, name)
    assert "worker" in told[0]
    assert ("n8n" in told[0]) == (name == "n8n_database_password")
    assert stat.S_IMODE((settings.home / HOME_FILE).stat().st_mode) == 0o600
    assert name in json.loads((settings.home / "secrets.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["postgres_password", "bi_password"])
@pytest.mark.parametrize("step", ["keep_setting", "_apply", "restart", "keep_ages"])
def test_a_kill_at_any_step_leaves_one_that_works_and_the_next_look_finishes_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str, step: str
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step != "restart":
            patch.setattr(rotation, step, killed)
        with pytest.raises(Killed):
            rotation.rotate(settings, name, killed if step == "restart" else no_restart)

    note = read_note(settings.home)
    assert note and note.new not in repr(note)
    assert stat.S_IMODE(note_file(settings.home).stat().st_mode) == 0o600
    read = load_settings(home=settings.home)
    assert lets_in(read, name) or lets_in(settings, name)
    assert postgres.accepts(read), "up would not find its server"

    stack.up(read, only=["postgres"])

    read = load_settings(home=settings.home)
    assert lets_in(read, name)
    assert not lets_in(settings, name)
    assert secret_values(read)[name] == note.new
    assert read_note(settings.home) is None


def test_nothing_is_begun_when_the_server_is_not_there(settings: Settings) -> None:
    before = (settings.home / HOME_FILE).read_text(encoding="utf-8")

    with pytest.raises(DatabaseError, match="can't connect"):
        rotation.rotate(settings.model_copy(update={"postgres_port": 1}), "bi_password", no_restart)

    assert (settings.home / HOME_FILE).read_text(encoding="utf-8") == before
    assert read_note(settings.home) is None


def test_what_others_check_is_taken_from_a_file_and_never_made_here(settings: Settings, tmp_path: Any) -> None:
    file = tmp_path / "new"
    file.write_text("from-the-provider-1\n", encoding="utf-8")

    with pytest.raises(UsageError, match="checked by somebody else"):
        rotation.rotate(settings, "smtp_password", no_restart)
    words = ["secrets", "rotate", "smtp_password", "--home", str(settings.home)]
    answer = CliRunner().invoke(app, [*words, "--from-file", str(file), "--json"])

    assert json.loads(answer.stdout) == {"ok": True, "rotated": ["smtp_password"]}
    assert secret_values(load_settings(home=settings.home))["smtp_password"] == "from-the-provider-1"


def test_secrets_in_files_of_their_own_are_listed_and_renewed(settings: Settings, tmp_path: Any) -> None:
    def say(*words: str) -> Any:
        return CliRunner().invoke(app, ["secrets", *words, "--home", str(settings.home), "--json"])

    without = say("rotate", "backup_key"), say("rotate", "web_sessions")
    key = make_key(settings.backup_key, {}, sets_exist=False)
    Accounts.of(settings).add("ada", "owner", "four words that do not belong")
    [account] = Accounts.of(settings).all()
    (tmp_path / "given").write_text("a-value-given-by-hand", encoding="utf-8")
    given = say("rotate", "backup_key", "--from-file", str(tmp_path / "given"))
    answers = say("rotate", "backup_key"), say("rotate", "web_sessions")
    listed = {row["name"]: row for row in json.loads(say("list").stdout)["secrets"]}

    assert [type(answer.exception) for answer in (*without, given)] == [UsageError] * 3
    assert [answer.exit_code for answer in answers] == [0, 0]
    assert read_key(settings.backup_key).earlier == (key,)
    [renewed] = Accounts.of(settings).all()
    assert (renewed.name, renewed.password) == (account.name, account.password)
    assert renewed.fingerprint != account.fingerprint
    assert all(listed[name]["set"] and listed[name]["days"] == 0 for name in ("backup_key", "web_sessions"))


@pytest.mark.parametrize("name", ["no_such_password", "postgres_port", "metabase_api_key", "metabase_encryption_key"])
def test_what_is_no_secret_or_metabase_must_know_first_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(UsageError):
        rotation.rotate(settings, name, no_restart)


def test_all_secrets_of_init_change_and_the_list_never_shows_one(settings: Settings) -> None:
    old = secret_values(settings)
    words = ["--home", str(settings.home), "--json"]

    rotated = json.loads(CliRunner().invoke(app, ["secrets", "rotate", "all", *words]).stdout)["rotated"]
    listed = CliRunner().invoke(app, ["secrets", "list", *words]).stdout

    new = secret_values(load_settings(home=settings.home))
    assert sorted(rotated) == sorted(name for name in old if new[name] != old[name])
    assert {*ROLE_SECRETS, "n8n_encryption_key", "n8n_owner_password", "webhook_token"} <= set(rotated)
    assert not any(value in listed for value in (*old.values(), *new.values()))
    assert {row["name"]: row["days"] for row in json.loads(listed)["secrets"]}["bi_password"] == 0


def test_secrets_come_from_files_the_way_of_docker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    file = tmp_path / "bi"
    file.write_text("from-a-docker-secret-42\n", encoding="utf-8")
    monkeypatch.setenv("PANPAN_BI_PASSWORD_FILE", str(file))

    assert load_settings(home=settings.home).bi_password.get_secret_value() == "from-a-docker-secret-42"

    monkeypatch.setenv("PANPAN_BI_PASSWORD", "as well")
    with pytest.raises(SettingsError, match="both set"):
        load_settings(home=settings.home)
    monkeypatch.delenv("PANPAN_BI_PASSWORD")
    file.write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="empty file"):
        load_settings(home=settings.home)
    file.unlink()
    with pytest.raises(SettingsError, match="can't be read"):
        load_settings(home=settings.home)


@pytest.mark.parametrize("value", ["changeme", "postgres", "bi_password", "a_brief_one", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_nothing_starts_with_a_secret_that_can_be_guessed(settings: Settings, value: str) -> None:
    weak = load_settings(home=settings.home, bi_password=value)

    with pytest.raises(SettingsError, match="can be guessed") as caught:
        stack.up(weak, only=["postgres"])

    assert "PANPAN_BI_PASSWORD" in str(caught.value.cause)
    assert caught.value.next
    assert value not in str(caught.value.cause)


def test_the_worker_and_the_pages_refuse_too(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("PANPAN_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PANPAN_HOME", str(settings.home))
    monkeypatch.setenv("PANPAN_WEB_PASSWORD", "changeme")
    monkeypatch.setattr("sys.argv", ["web"])

    with pytest.raises(SettingsError, match="can be guessed"):
        scheduler.main()
    assert web.main() == 2
