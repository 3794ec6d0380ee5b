"""
The people who may see the pages when these are open to others: name, role, argon2 hash, in one private file.

Comes in: `$PANPAN_HOME/users.json`, written by `panpan users`. Goes out: accounts, and whether a password is right.
The file is read again when it changed, so a removed person is out at once.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from panpan.errors import SettingsError, UsageError
from panpan.local.files import lock, write_private
from panpan.settings import Settings

Role = Literal["owner", "employee"]
ROLES = get_args(Role)
NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
SHORTEST, LONGEST = 12, 1000
FEWEST_CHARACTERS = 6  # different ones
GOOD = "take four words that don't belong together"


@dataclass(frozen=True)
class Account:
    """One person; `password` is an argon2id hash with its own salt, `sessions` a secret their sessions stand on."""

    name: str
    role: Role
    password: str
    sessions: str = ""

    @property
    def fingerprint(self) -> str:
        """Changes with password, role and secret: a session that has another one is over."""
        return hashlib.sha256(f"{self.role} {self.password} {self.sessions}".encode()).hexdigest()


class Accounts:
    """The file of accounts of one home."""

    def __init__(self, file: Path, hasher: PasswordHasher | None = None) -> None:
        self.file = file
        self._hasher = hasher or PasswordHasher()
        self._seen: tuple[int, int, int] | None = None
        self._accounts: dict[str, Account] = {}
        # Of no password anybody has: an unknown name costs as much work as a wrong password.
        self._nobody = self._hasher.hash("nobody has this password")

    @classmethod
    def of(cls, settings: Settings) -> Accounts:
        """The accounts of a home."""
        return cls(settings.home / "users.json")

    def all(self) -> list[Account]:
        """Every account, by name."""
        return sorted(self._read().values(), key=lambda account: account.name)

    def find(self, name: str) -> Account | None:
        """The account of a name, None when there is none."""
        return self._read().get(name)

    def has_owner(self) -> bool:
        """Whether somebody may see everything."""
        return any(account.role == "owner" for account in self._read().values())

    def verify(self, name: str, password: str) -> Account | None:
        """The account when the password is right; the same work is done for a name nobody has."""
        account = self.find(name)
        try:
            self._hasher.verify(account.password if account else self._nobody, password[:LONGEST])
        except (VerificationError, InvalidHashError):
            return None
        return account

    def add(self, name: str, role: Role, password: str) -> None:
        """
        Make an account.

        Errors: UsageError when the name is taken or no name, or the password too weak.
        """
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name", next="use small letters, digits and . _ @ + -")
        refuse_weak(name, password)
        account = Account(name, role, self._hasher.hash(password))

        def put(accounts: dict[str, Account]) -> None:
            if name in accounts:
                raise UsageError(f"{name} has an account", next=f"bin/panpan users password {name}")
            accounts[name] = account

        self._change(put)

    def set_password(self, name: str, password: str) -> None:
        """Give a new password; every session of this person ends. Errors: UsageError for an unknown name."""
        refuse_weak(name, password)
        changed = self._hasher.hash(password)

        def put(accounts: dict[str, Account]) -> None:
            accounts[name] = Account(name, known(accounts, name).role, changed)

        self._change(put)

    def remove(self, name: str) -> None:
        """Take an account away; every session of this person ends. Errors: UsageError for an unknown name."""

        def take(accounts: dict[str, Account]) -> None:
            del accounts[known(accounts, name).name]

        self._change(take)

    def end_sessions(self) -> None:
        """End every session of everybody, in the running server too. Errors: UsageError when nobody has an account."""

        def renew(accounts: dict[str, Account]) -> None:
            if not accounts:
                raise UsageError("nobody has an account", next="bin/panpan users add NAME --role owner")
            accounts.update({name: replace(each, sessions=secrets.token_hex(16)) for name, each in accounts.items()})

        self._change(renew)

    def _change(self, change: Callable[[dict[str, Account]], None]) -> None:
        with lock(self.file.with_name(f".{self.file.name}.lock")):
            accounts = dict(self._read())
            change(accounts)
            write_private(self.file, json.dumps({"users": [asdict(each) for each in accounts.values()]}, indent=1))

    def _read(self) -> dict[str, Account]:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return {}
        state = (found.st_mtime_ns, found.st_size, found.st_ino)
        if state != self._seen:
            self._accounts = read(self.file)
            self._seen = state
        return self._accounts


def read(file: Path) -> dict[str, Account]:
    """
    The accounts of a file, by name.

    Errors: SettingsError when it is no such file: nobody is let in by mistake.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))["users"]
        accounts = [Account(**row) for row in rows]
    except (ValueError, LookupError, TypeError) as error:
        raise SettingsError(f"{file} holds no accounts", cause=str(error), next="bring it back from a copy") from error
    if unknown := {account.role for account in accounts} - set(ROLES):
        raise SettingsError(f"{file} names an unknown role", cause=", ".join(sorted(unknown)))
    return {account.name: account for account in accounts}


def refuse_weak(name: str, password: str) -> None:
    """Errors: UsageError when a password can be guessed."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(
            f"a password has {SHORTEST} to {LONGEST} characters", next="four words that don't belong together"
        )
    if len(set(password)) < FEWEST_CHARACTERS or name in password.lower():
        raise UsageError("this password is easily guessed", next=GOOD)


def known(accounts: dict[str, Account], name: str) -> Account:
    """Errors: UsageError when nobody has this name."""
    if name not in accounts:
        raise UsageError(f"nobody is called {name}", next="bin/panpan users list")
    return accounts[name]
