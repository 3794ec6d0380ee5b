"""
A mail server that keeps every mail as a file and sends none: the mails of a simulated home, and of tests.

Comes in: SMTP on 127.0.0.1. Goes out: .eml files, written whole before the 250 is said.
`python -m panpan.local.mail_catcher` serves until stopped. Tests give it faults to behave badly with.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from panpan.errors import PanpanError
from panpan.settings import load_settings

log = logging.getLogger("panpan.mails")
HOST = "127.0.0.1"
READY = "mail catcher started"


@dataclass
class Faults:
    """
    How it misbehaves; None: it doesn't.

    recipient and data: what it answers there instead, such as "550 5.1.1 no such user"; drops_before_answer: it takes
    the mail and hangs up without a word; drops_before_taking: it hangs up at the end of the mail and keeps nothing.
    """

    recipient: str | None = None
    data: str | None = None
    drops_before_answer: bool = False
    drops_before_taking: bool = False


class Catcher:
    """Keeps mails in a folder. `faults` may be changed while it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.faults = Faults()
        self._numbers = count(1)

    async def handle_RCPT(  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.faults.recipient:
            return self.faults.recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.faults.data:
            return self.faults.data
        if not self.faults.drops_before_taking:
            self.keep(bytes(envelope.original_content or b""))
        if self.faults.drops_before_answer or self.faults.drops_before_taking:
            cast(asyncio.WriteTransport, server.transport).abort()
        return "250 OK kept"

    def keep(self, content: bytes) -> Path:
        """Write a mail as a file of its own, whole or not at all."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}Z-{next(self._numbers):04d}.eml"
        part = file.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_bytes(content)
        part.replace(file)
        return file


def caught(folder: Path) -> list[Path]:
    """The mails kept, the newest first."""
    return sorted(folder.glob("*.eml"), reverse=True)


def main() -> int:
    """Serve the home's folder until stopped."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        settings = load_settings()
    except PanpanError as error:
        sys.stderr.write(f"error: {error.message}\ncause: {error.explained_cause()}\nnext:  {error.next}\n")
        return error.exit_code
    controller = Controller(Catcher(settings.caught_mails), hostname=HOST, port=settings.mail_port)
    controller.start()
    log.info("%s on %s:%s, keeps mails in %s", READY, HOST, settings.mail_port, settings.caught_mails)
    loop = asyncio.new_event_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, loop.stop)
    loop.run_forever()
    loop.close()
    controller.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
