"""
The key of the backups: one file beside the home's settings, a copy of it kept elsewhere, never inside a set.

It is an identity file of age (age-encryption.org), so `age -d -i backup.key` opens a set without this program.
Its comment lines carry what else a lost machine takes with it: the keys n8n and Metabase encrypt credentials with.
A key that was replaced stays below the new one, with the application keys of its time: sets from before need both.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyrage import x25519

from backups.errors import BackupError
from panpan.errors import UsageError

SECRET_LINE = "AGE-SECRET-KEY-"  # noqa: S105  # how an age identity starts, no secret
HEADING = """\
# Key of panpan's backups. Whoever has this file and a set can read everything: keep a copy of it on another machine
# or on paper, never beside the sets. Without it no backup can be opened.
"""
EARLIER = "# Replaced; sets made before need it:\n"


@dataclass(frozen=True)
class BackupKey:
    """
    An age identity, and the keys of the programs whose databases are in the sets, by name.

    earlier: what was replaced, the newest first; each without earlier ones of its own.
    """

    identity: str = field(repr=False)
    application_keys: Mapping[str, str] = field(repr=False, default_factory=dict)
    earlier: tuple[BackupKey, ...] = ()

    @property
    def identities(self) -> list[str]:
        """Everything that may open a set, this key's own first."""
        return list(dict.fromkeys(each.identity for each in (self, *self.earlier)))

    @property
    def recipient(self) -> str:
        """What a set is encrypted to; it tells nothing about the identity."""
        return str(x25519.Identity.from_str(self.identity).to_public())

    def seal(self, content: bytes) -> str:
        """A checksum that only the holder of the key can make."""
        secret = hashlib.sha256(b"panpan backup seal\n" + self.identity.encode()).digest()
        return hmac.new(secret, content, hashlib.sha256).hexdigest()

    def sealed(self, content: bytes, seal: str) -> bool:
        """Whether this key, or one it replaced, made a seal."""
        return any(hmac.compare_digest(each.seal(content), seal) for each in (self, *self.earlier))

    def as_of(self, fingerprints: Mapping[str, str]) -> BackupKey:
        """The key with the application keys a set was made with, by their fingerprints; today's where none fits."""
        of_then = {
            name: value
            for each in self.earlier
            for name, value in each.application_keys.items()
            if name in fingerprints and fingerprint(name, value) == fingerprints[name]
        }
        return self.with_application_keys(of_then)

    def with_application_keys(self, given: Mapping[str, str]) -> BackupKey:
        """
        The key with some application keys of other value. What went (Metabase was removed) stays, and what changed
        stays among the earlier ones: older sets still need both.
        """
        is_changed = any(self.application_keys.get(name, value) != value for name, value in given.items())
        earlier = self.put_aside() if is_changed else self.earlier
        return BackupKey(self.identity, {**self.application_keys, **given}, earlier)

    def put_aside(self) -> tuple[BackupKey, ...]:
        """This key and those before it, as they stand below a newer one."""
        return (replace(self, earlier=()), *self.earlier)

    def fingerprints(self) -> dict[str, str]:
        """Name -> fingerprint of each application key: equal for equal keys, telling nothing else."""
        return {name: fingerprint(name, value) for name, value in sorted(self.application_keys.items())}


def fingerprint(name: str, secret: str) -> str:
    """Slow to compute on purpose: a short key shall not be found by trying."""
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), f"panpan {name}".encode(), 200_000).hex()[:16]


def read_key(file: Path) -> BackupKey:
    """
    The key in a file.

    Errors: BackupError when the file is missing or holds no key.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BackupError(
            "the key of the backups is missing",
            cause=f"{file} isn't there; no set can be opened or proven without it",
            next=f"bring back your copy of it to {file}, mode 0600",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise BackupError("the key of the backups can't be read", cause=f"{file}: {error}") from None
    named: dict[str, str] = {}
    found: list[BackupKey] = []
    for line in lines:
        name, _, value = line.removeprefix("# ").partition("=")
        if line.startswith("# ") and value and name.isupper():
            named[name] = value.strip()
        if line.startswith(SECRET_LINE):
            found.append(BackupKey(line.strip(), named))
            named = {}
    key = replace(found[0], earlier=tuple(found[1:])) if found else BackupKey("")
    try:
        _ = [each.recipient for each in (key, *key.earlier)]
    except Exception:  # pyrage names its errors by itself; none of them may show the identity
        raise BackupError(
            "the key of the backups is damaged",
            cause=f"{file} holds no age identity",
            next=f"bring back your copy of it to {file}, mode 0600",
        ) from None
    return key


def make_key(file: Path, application_keys: Mapping[str, str], *, sets_exist: bool) -> BackupKey:
    """
    The key of this home: read, or made the first time; brought up to date with the application keys.

    Errors: BackupError when sets exist and the key does not: a new key must not hide that the old one is lost.
    """
    if file.exists() or sets_exist:
        key = read_key(file)
        if dict(key.application_keys) == dict(application_keys):
            return key
        key = key.with_application_keys(application_keys)
    else:
        key = BackupKey(str(x25519.Identity.generate()), dict(application_keys))
    _write(file, key_text(key))
    return key


def renew_key(file: Path) -> BackupKey:
    """
    A new key for the sets made from now on; the former stays below it, for the sets there are.

    Errors: UsageError when there is no key yet; BackupError when it is damaged.
    """
    if not file.exists():
        raise UsageError("there is no key yet", cause="the first backup makes it", next="bin/panpan backups create")
    key = read_key(file)
    new = BackupKey(str(x25519.Identity.generate()), key.application_keys, key.put_aside())
    _write(file, key_text(new))
    return new


def key_text(key: BackupKey) -> str:
    """The key as file."""
    return HEADING + EARLIER.join(_own_text(each) for each in (key, *key.earlier))


def _own_text(key: BackupKey) -> str:
    named = "".join(f"# {name}={value}\n" for name, value in sorted(key.application_keys.items()))
    return f"# public key: {key.recipient}\n{named}{key.identity}\n"


def _write(file: Path, text: str) -> None:
    part = file.with_name(f".{file.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)
