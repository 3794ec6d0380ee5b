"""A home is made once: its secrets and ports are written, private, and never changed."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from panpan.errors import SettingsError
from panpan.local import ports
from panpan.local.initialise import initialise, is_initialised, required_fields
from panpan.settings import HOME_FILE


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", *(field.upper() for field in required_fields())):
        monkeypatch.delenv(f"PANPAN_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_home_gets_every_secret_and_port(tmp_path: Path) -> None:
    settings = initialise(tmp_path / "home")

    secrets = [getattr(settings, name) for name in required_fields() if not name.endswith("_port")]
    chosen = [getattr(settings, name) for name in required_fields() if name.endswith("_port")]
    assert len({secret.get_secret_value() for secret in secrets}) == len(secrets)
    assert all(len(secret.get_secret_value()) >= 32 for secret in secrets)
    assert len(set(chosen)) == len(chosen)
    assert is_initialised(tmp_path / "home")


def test_settings_file_is_private_also_after_somebody_opened_it(tmp_path: Path) -> None:
    initialise(tmp_path)
    (tmp_path / HOME_FILE).chmod(0o644)

    initialise(tmp_path)

    assert stat.S_IMODE((tmp_path / HOME_FILE).stat().st_mode) == 0o600


def test_folders_of_a_new_home_are_its_owners_alone(tmp_path: Path) -> None:
    initialise(tmp_path / "home")

    modes = {stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "home").iterdir() if folder.is_dir()}
    assert modes == {0o700}
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) & 0o066 == 0


def test_second_run_changes_nothing(tmp_path: Path) -> None:
    first = initialise(tmp_path)
    text = (tmp_path / HOME_FILE).read_text()

    second = initialise(tmp_path)

    assert second == first
    assert (tmp_path / HOME_FILE).read_text() == text


def test_only_what_is_missing_is_added(tmp_path: Path) -> None:
    (tmp_path / HOME_FILE).write_text("PANPAN_LOADER_PASSWORD=chosen by the owner\nPANPAN_N8N_PORT=5678")

    settings = initialise(tmp_path)

    assert settings.loader_password.get_secret_value() == "chosen by the owner"
    assert settings.n8n_port == 5678
    assert settings.postgres_port != 5678


def test_value_from_the_environment_is_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PANPAN_CRM_TOKEN", "from the vault")

    settings = initialise(tmp_path)

    assert settings.crm_token.get_secret_value() == "from the vault"
    assert "CRM_TOKEN" not in (tmp_path / HOME_FILE).read_text()


def test_wrong_value_is_named_and_no_secret_shown(tmp_path: Path) -> None:
    (tmp_path / HOME_FILE).write_text("PANPAN_N8N_PORT=99999\nPANPAN_CRM_TOKEN=hidden")

    with pytest.raises(SettingsError) as caught:
        initialise(tmp_path)

    assert "PANPAN_N8N_PORT" in str(caught.value.cause)
    assert "hidden" not in str(caught.value.cause)


def test_chosen_ports_are_free_and_out_of_the_range_of_outgoing_connections() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not ports.is_free(taken.getsockname()[1])

    chosen = ports.choose_ports(20)

    assert len(set(chosen)) == 20
    assert all(ports.is_free(port) and port in ports.CHOICE for port in chosen)


def test_ports_already_given_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CHOICE", range(20_000, 20_004))
    monkeypatch.setattr(ports, "is_free", lambda port: port != 20_001)

    assert sorted(ports.choose_ports(2, taken={20_002})) == [20_000, 20_003]
