"""What a person at three in the morning types when a set or a copy is wanted, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest

from backups import create as creating
from backups import offsite, sets
from backups import restore as restoring
from backups.errors import BackupError
from backups.key import make_key
from panpan.cli import backups as commands
from panpan.cli.backups import how_far
from panpan.errors import UsageError
from panpan.local.initialise import initialise

OLD, NEW = "20260530T033000Z-4f1c", "20260531T033000Z-00aa"


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    for name in (OLD, NEW):
        (tmp_path / "usb" / name).mkdir(parents=True)
        (tmp_path / "usb" / name / "manifest.age").write_bytes(name.encode())
        (tmp_path / "usb" / name / "n8n.dump.age").write_bytes(b"dump")
    return tmp_path / "usb"


def test_a_set_is_found_by_its_folder_where_there_is_no_home(usb: Path) -> None:
    assert sets.find_set(None, f"{usb / OLD}/") == usb / OLD


def test_the_folder_above_the_sets_is_answered_with_the_newest_in_it(usb: Path) -> None:
    with pytest.raises(UsageError) as told:
        sets.find_set(None, str(usb))

    assert NEW in str(told.value.cause)
    assert told.value.next == f"name {usb / NEW}"


def test_a_renamed_set_is_answered_with_how_sets_are_called(usb: Path) -> None:
    renamed = (usb / OLD).rename(usb / "monday")

    with pytest.raises(UsageError) as told:
        sets.find_set(None, str(renamed))

    assert "20260531T033000Z-4f1c" in str(told.value.cause)


def test_without_a_home_nobody_is_sent_to_make_a_backup() -> None:
    with pytest.raises(UsageError) as told:
        sets.find_set(None, None)

    assert "create" not in str(told.value.next)
    assert told.value.next == "name the folder of a set"


def test_the_newest_whole_copy_comes_back_and_a_half_one_is_passed_by(usb: Path, tmp_path: Path) -> None:
    (usb / NEW / "manifest.age").unlink()

    folder = offsite.fetch(offsite.FolderStore(usb), None, tmp_path / "home")

    assert folder == tmp_path / "home" / OLD
    assert (folder / "n8n.dump.age").read_bytes() == b"dump"


def test_a_set_that_is_here_is_not_fetched_over(usb: Path) -> None:
    with pytest.raises(BackupError, match="is here already"):
        offsite.fetch(offsite.FolderStore(usb), OLD, usb)

    assert (usb / OLD / "manifest.age").exists()


def test_a_place_that_does_not_answer_is_told_without_a_traceback(tmp_path: Path) -> None:
    class Silent(offsite.FolderStore):
        def names(self) -> set[str]:
            raise botocore.exceptions.EndpointConnectionError(endpoint_url="http://127.0.0.1:1/")

        def read(self, name: str) -> Iterator[bytes]:
            raise AssertionError

    with pytest.raises(BackupError) as told, offsite.answering():
        offsite.fetch(Silent(tmp_path), None, tmp_path / "home")

    assert "127.0.0.1:1" in str(told.value.cause)
    assert "PANPAN_OFFSITE" in str(told.value.next)


def test_the_time_left_is_told_once_the_pace_is_known() -> None:
    assert how_far(100, 10**6, 12.0) == "restoring ... 0%", "not that it takes 33 hours"
    assert how_far(500_000, 10**6, 20.0) == "restoring ... 50%, about 20 s left"
    assert how_far(100_000, 10**6, 60.0) == "restoring ... 10%, about 9 min left"


def test_accounts_and_alert_rules_of_the_owner_come_back(tmp_path: Path) -> None:
    """Without its accounts a restored home that others reach would not even start its pages."""
    old, new = initialise(tmp_path / "old"), initialise(tmp_path / "new")
    mine = {"users.json": "accounts", "metabase.json": "{}", "alerts/people.yaml": "ada", "alerts/rules/oven.yaml": "x"}
    for name, text in mine.items():
        (old.home / name).parent.mkdir(parents=True, exist_ok=True)
        (old.home / name).write_text(text)
    key = make_key(old.backup_key, {}, sets_exist=False)
    (tmp_path / OLD).mkdir()

    _, counts = creating.pack(commands.ingredients(old).folders, tmp_path / OLD / creating.FILES, key.recipient)
    restoring.unpack(tmp_path / OLD, key, commands.file_targets(new))

    assert (counts["accounts"], counts["alerts"]) == (1, 2)
    assert {name: (new.home / name).read_text() for name in mine} == mine
    assert (new.home / "users.json").stat().st_mode & 0o777 == 0o600


def test_secrets_of_others_that_no_set_holds_are_named(tmp_path: Path) -> None:
    plain = initialise(tmp_path / "home")
    wanting = plain.model_copy(update={"smtp_username": "ada", "offsite": "s3://bucket/panpan"})

    assert commands.to_give_again(plain) == []
    assert commands.to_give_again(wanting) == [
        "PANPAN_SMTP_PASSWORD",
        "PANPAN_OFFSITE_ACCESS_KEY",
        "PANPAN_OFFSITE_SECRET_KEY",
    ]
