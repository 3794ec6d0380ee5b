"""
Who is logged in, and how fast passwords may be tried. Both live in the server's memory and are empty after a restart.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from panpan.web.accounts import Account

Clock = Callable[[], float]
IDLE_SECONDS = 2 * 3600
LONGEST_SECONDS = 12 * 3600
MOST_KEPT = 10_000  # sessions, or names and addresses under watch: memory is bounded
FORGET_SECONDS = 3600
# What is counted -> (failures that cost nothing, longest wait in seconds). A stranger must not lock the owner out.
LIMITS = {"account": (5, 60.0), "address": (10, 900.0)}


@dataclass(frozen=True)
class Session:
    """One login: whose, since when, last seen when (both by the clock), and the account as it was."""

    name: str
    fingerprint: str
    begun: float
    seen: float


class Sessions:
    """Sessions by the hash of their token; the token itself is only in the browser."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, account: Account) -> str:
        """A new session; gives its token. A token is never taken from the browser, so none can be planted."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            self._kept[_hash(token)] = Session(account.name, account.fingerprint, now, now)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return token

    def find(self, token: str) -> Session | None:
        """The living session of a token; looking at it keeps it alive up to its longest life."""
        now = self._clock()
        with self._lock:
            session = self._kept.get(_hash(token))
            if session is None:
                return None
            if now - session.seen > IDLE_SECONDS or now - session.begun > LONGEST_SECONDS:
                del self._kept[_hash(token)]
                return None
            self._kept[_hash(token)] = replace(session, seen=now)
            return session

    def end(self, token: str) -> None:
        """End a session; nothing happens when it is over."""
        with self._lock:
            self._kept.pop(_hash(token), None)


class Throttle:
    """Failures by account and by address; each beyond the free ones doubles the wait."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, **what: str) -> float:
        """
        Ask to try a password; what: account and address. Gives 0.0 and counts it as failed until `succeeded`,
        so that tries at the same moment count too; else the seconds still to wait.
        """
        now = self._clock()
        with self._lock:
            wait = max(self._wait(key, now) for key in what.items())
            if wait <= 0:
                for key in what.items():
                    self._failures[key] = (self._count(key, now) + 1, now)
                    self._failures.move_to_end(key)
                while len(self._failures) > MOST_KEPT:
                    self._failures.popitem(last=False)
            return max(wait, 0.0)

    def succeeded(self, **what: str) -> None:
        """The password was right: its account starts afresh, the address takes this one try back."""
        with self._lock:
            self._failures.pop(("account", what["account"]), None)
            key = ("address", what["address"])
            count, last = self._failures.get(key, (1, 0.0))
            self._failures[key] = (max(count - 1, 0), last)

    def _count(self, key: tuple[str, str], now: float) -> int:
        count, last = self._failures.get(key, (0, now))
        return count if now - last < FORGET_SECONDS else 0

    def _wait(self, key: tuple[str, str], now: float) -> float:
        count = self._count(key, now)
        free, longest = LIMITS[key[0]]
        if count < free:
            return 0.0
        _, last = self._failures[key]
        return last + min(2.0 ** min(count - free, 30), longest) - now


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
