"""The key, the encrypted stream, n8n's cipher: what does not open is never taken for something that does."""

from __future__ import annotations

import io
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backups.changes import TAR, Base, unpack
from backups.errors import BackupError
from backups.key import key_text, make_key, read_key, renew_key
from backups.n8n_cipher import decrypt_cbc, decrypt_gcm
from backups.stream import CHUNK, decrypted_bytes, encrypt
from panpan.errors import UsageError

# Made by n8n-core 2.40.7's own Cipher with the key "correct horse".
CBC_TEXT = "U2FsdGVkX19zu8jyG/7bKH0zDl3MVUBF7JIBdXfDKJulEzOOJUJlmFg8NMwh5yD7"
GCM_TEXT = "AST2CV9g6idQCW2KChdwPoGLS4Iu3gKDpT0MpB+dDApipRYc9zbFInkBDzK6FxUjXSM0E0Uy66u6tP3DSXTjajFikcu4"
GCM_KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "backup.key"
    make_key(file, {"PANPAN_N8N_ENCRYPTION_KEY": "k"}, sets_exist=False)
    return file


def test_the_key_is_private_and_read_back(key_file: Path) -> None:
    key = read_key(key_file)

    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key.application_keys == {"PANPAN_N8N_ENCRYPTION_KEY": "k"}
    assert key_text(key) == key_file.read_text(encoding="utf-8")
    assert key.identity not in repr(key)


def test_a_second_make_changes_nothing_and_a_changed_application_key_is_taken_over(key_file: Path) -> None:
    before = key_file.read_text(encoding="utf-8")

    make_key(key_file, {"PANPAN_N8N_ENCRYPTION_KEY": "k"}, sets_exist=True)
    assert key_file.read_text(encoding="utf-8") == before

    key = make_key(key_file, {"PANPAN_N8N_ENCRYPTION_KEY": "new"}, sets_exist=True)
    assert key.application_keys == {"PANPAN_N8N_ENCRYPTION_KEY": "new"}
    assert key.identity == read_key(key_file).identity


def test_no_new_key_hides_that_the_old_one_is_lost(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="key of the backups is missing"):
        make_key(tmp_path / "backup.key", {}, sets_exist=True)
    assert not list(tmp_path.iterdir())


def test_a_damaged_key_is_said_to_be_damaged_and_not_shown(key_file: Path) -> None:
    text = key_file.read_text(encoding="utf-8")
    key_file.write_text(text.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1X"), encoding="utf-8")

    with pytest.raises(BackupError, match="damaged") as caught:
        read_key(key_file)
    assert "AGE-SECRET" not in f"{caught.value} {caught.value.explained_cause()}"


def test_a_fingerprint_tells_equal_keys_and_not_the_key(key_file: Path) -> None:
    key = read_key(key_file)

    assert key.fingerprints() == read_key(key_file).fingerprints()
    assert len(key.fingerprints()["PANPAN_N8N_ENCRYPTION_KEY"]) == 16


def test_a_renewed_key_opens_old_and_new_and_the_old_one_only_what_is_old(key_file: Path, tmp_path: Path) -> None:
    old = read_key(key_file)
    encrypt(io.BytesIO(b"old"), tmp_path / "of_then", old.recipient)
    seal = old.seal(b"content")

    renewed = renew_key(key_file)
    encrypt(io.BytesIO(b"new"), tmp_path / "of_now", renewed.recipient)
    again = renew_key(key_file)

    assert key_file.stat().st_mode & 0o777 == 0o600
    assert read_key(key_file) == again
    assert len({old.recipient, renewed.recipient, again.recipient}) == 3
    assert [decrypted_bytes(tmp_path / name, again) for name in ("of_then", "of_now")] == [b"old", b"new"]
    assert again.sealed(b"content", seal) and not again.sealed(b"changed", seal)
    with pytest.raises(BackupError, match="made with another key") as caught:
        decrypted_bytes(tmp_path / "of_now", old)
    assert "none of the 1 keys" in str(caught.value.explained_cause())


def test_there_is_nothing_to_renew_before_the_first_backup(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key yet"):
        renew_key(tmp_path / "backup.key")


def test_an_application_key_that_changed_stays_for_the_sets_of_its_time(key_file: Path) -> None:
    name = "PANPAN_N8N_ENCRYPTION_KEY"
    of_then = read_key(key_file).fingerprints()

    make_key(key_file, {name: "new", "PANPAN_METABASE_ENCRYPTION_KEY": "m"}, sets_exist=True)
    renew_key(key_file)
    key = read_key(key_file)

    assert key.application_keys[name] == "new"
    assert key.as_of(of_then).application_keys[name] == "k"
    assert key.as_of(key.fingerprints()).application_keys[name] == "new"
    assert key.as_of({name: "0" * 16}) == key
    # Restoring an old set makes its key of then the key of now; what was of now is still there.
    assert key.as_of(of_then).as_of(key.fingerprints()).application_keys[name] == "new"


@pytest.mark.parametrize("size", [0, 1, 65_536, CHUNK * 3 + 17])
def test_what_is_encrypted_comes_back(key_file: Path, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    key = read_key(key_file)

    written = encrypt(io.BytesIO(content), tmp_path / "file", key.recipient)

    assert decrypted_bytes(tmp_path / "file", key) == content
    assert (tmp_path / "file").stat().st_size == written.byte_count
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_cut_changed_or_foreign_file_does_not_open(key_file: Path, tmp_path: Path) -> None:
    key = read_key(key_file)
    file = tmp_path / "file"
    encrypt(io.BytesIO(os.urandom(300_000)), file, key.recipient)
    whole = file.read_bytes()
    make_key(tmp_path / "other", {}, sets_exist=False)

    with pytest.raises(BackupError, match="can't be decrypted"):
        decrypted_bytes(file, read_key(tmp_path / "other"))
    # At the border of a block too, where no block is broken.
    header = whole.index(b"\n---") + 1 + whole[whole.index(b"\n---") + 1 :].index(b"\n") + 1
    border = header + 16 + 2 * (65_536 + 16)
    for broken in (whole[:-1], whole[:border], b"", whole + b"x", bytes([*whole[:-20], whole[-20] ^ 1, *whole[-19:]])):
        file.write_bytes(broken)
        with pytest.raises(BackupError, match="can't be decrypted"):
            decrypted_bytes(file, key)


def test_n8ns_own_ciphertexts_open_with_the_right_key_only() -> None:
    assert decrypt_cbc(CBC_TEXT, "correct horse") == '{"user":"päckchen"}'
    assert decrypt_gcm(GCM_TEXT, GCM_KEY) == '{"user":"päckchen"}'
    with pytest.raises(ValueError):  # padding or text: which of them is chance
        decrypt_cbc(CBC_TEXT, "wrong horse")


@pytest.mark.parametrize("member", ["outside", "link"])
def test_a_base_with_strange_files_is_refused_and_nothing_lands_outside(
    key_file: Path, tmp_path: Path, member: str
) -> None:
    strange = {"outside": tarfile.TarInfo("../outside"), "link": tarfile.TarInfo("link")}[member]
    if member == "link":
        strange.type, strange.linkname = tarfile.SYMTYPE, "/etc/passwd"
    packed, target = io.BytesIO(), tmp_path / "data"
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(strange)
    packed.seek(0)
    target.mkdir()
    key = read_key(key_file)
    encrypt(packed, tmp_path / TAR, key.recipient)

    with pytest.raises(BackupError, match="strange file"):
        unpack(Base(tmp_path, datetime.now(UTC), ""), key, target)

    assert not list(target.iterdir())
    assert not (tmp_path / "outside").exists()
