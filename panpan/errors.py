"""
Every error this program raises on purpose, and nothing else.

An error carries what happened (message), why (cause) and what to do (next); the command line prints
these three and no traceback. The class says what the reader would do next.
"""

from __future__ import annotations

import errno

# What to do about a disk, a folder, a file that the system refused; the rest is told as the system says it.
WAYS_OUT = {
    errno.ENOSPC: "make room on the disk, then again; what was there before is whole",
    errno.EDQUOT: "make room on the disk, then again; what was there before is whole",
    errno.EACCES: "give this user the right, or name a place it may write: --home FOLDER or PANPAN_HOME",
    errno.EPERM: "give this user the right, or name a place it may write: --home FOLDER or PANPAN_HOME",
    errno.EROFS: "name a place that can be written: --home FOLDER or PANPAN_HOME",
    errno.EEXIST: "name another place, or move away what is there",
    errno.ENOTDIR: "name another place, or move away what is there",
}


class PanpanError(Exception):
    """Something failed; the cause below says what."""

    exit_code = 1

    def __init__(self, message: str | None = None, *, cause: str | None = None, next: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.cause = cause
        self.next = next
        super().__init__(self.message)

    def explained_cause(self) -> str | None:
        """The cause given, else the text of the exception this one was raised from."""
        if self.cause:
            return self.cause
        chained = self.__cause__
        return f"{type(chained).__name__}: {chained}".strip() if chained else None


class UsageError(PanpanError):
    """The command was used in a way it does not understand."""

    exit_code = 2


class SettingsError(PanpanError):
    """A setting is missing or wrong."""

    exit_code = 2


class ServerError(PanpanError):
    """A local server could not be installed, started or stopped."""


class DatabaseError(PanpanError):
    """The database refused or could not be reached."""


class MigrationError(DatabaseError):
    """The database schema is not what its migrations say."""


class ContractError(PanpanError):
    """A source contract is wrong, or a file does not fit it."""


class DocumentRefused(PanpanError):
    """A received document can't be read as a whole; nothing of it was taken."""


class IngestError(PanpanError):
    """A load could not be delivered."""


class MailError(PanpanError):
    """Mails can't be sent."""


class CheckFailed(PanpanError):
    """A check found bad data."""

    exit_code = 3


class RunUnderWay(IngestError):
    """Another run of the source is under way; n8n's own schedule may have come first."""


def of_the_system(error: OSError) -> PanpanError:
    """What the system refused (a full disk, a folder of somebody else) as an error a person can act on."""
    where = f": {error.filename}" if error.filename else ""
    return PanpanError(
        "a file or folder can't be used",
        cause=f"{error.strerror or error}{where}",
        next=WAYS_OUT.get(error.errno or 0, "set PANPAN_DEBUG=1 and run it again to see where it happened"),
    )
