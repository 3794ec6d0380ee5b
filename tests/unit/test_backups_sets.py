"""What a person at three in the morning types when a set or a copy is wanted, and what is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import pytest

from backups import offsite, sets
from backups.errors import BackupError
from panpan.errors import UsageError

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
