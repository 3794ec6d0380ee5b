"""
Mails a simulated home caught, as pages; and the page that ends mails for a reader.

Comes in: .eml files of the mail catcher, the word of an unsubscribe link. Goes out: what templates show. The HTML of
a mail is shown in a sandbox: no script, no form, nothing fetched.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

from db.connection import connect
from metabase.preview import UnknownPage
from panpan.alerting import courier
from panpan.alerting.rules import load_rules
from panpan.local.mail_catcher import caught
from panpan.settings import Settings

NAME = re.compile(r"[0-9TZ.-]+")
MOST_LISTED = 200
SANDBOX = {
    "content-security-policy": (
        "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; "
        "form-action 'none'"
    ),
    "x-frame-options": "SAMEORIGIN",
}


@dataclass(frozen=True)
class Attachment:
    """A part that is a file; number: its place among the parts."""

    number: int
    name: str
    type: str
    bytes: int


@dataclass(frozen=True)
class Mail:
    """A mail that was caught, for people to read."""

    name: str
    subject: str
    sender: str
    recipient: str
    date: str
    text: str
    html: str
    attachments: tuple[Attachment, ...]


def listed(settings: Settings) -> list[Mail]:
    """The mails that were caught, the newest first."""
    return [_read_file(file) for file in caught(settings.caught_mails)[:MOST_LISTED]]


def find(settings: Settings, name: str) -> Mail:
    """One mail. Errors: UnknownPage when there is none of that name."""
    return _read_file(_file(settings, name))


def part(settings: Settings, name: str, number: int) -> bytes:
    """An attachment's bytes. Errors: UnknownPage."""
    parts = list(_message(_file(settings, name).read_bytes()).walk())
    if not 0 <= number < len(parts) or parts[number].is_multipart():
        raise UnknownPage("there is no such part")
    content = parts[number].get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _file(settings: Settings, name: str) -> Path:
    file = settings.caught_mails / f"{name}.eml"
    if not NAME.fullmatch(name) or not file.is_file():
        raise UnknownPage(f"there is no mail {name[:60]!r}")
    return file


def _message(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=default)
    assert isinstance(message, EmailMessage)  # noqa: S101  # what this policy makes
    return message


def _read_file(file: Path) -> Mail:
    return read(file.stem, file.read_bytes())


def read(name: str, content: bytes) -> Mail:
    """A mail from its bytes, its pictures inside its HTML."""
    message = _message(content)
    pictures = {
        str(each["Content-ID"]).strip("<>"): f"data:{each.get_content_type()};base64,{_encoded(each)}"
        for each in message.walk()
        if each["Content-ID"] and each.get_content_maintype() == "image"
    }
    html = _part(message, "html")
    for cid, picture in pictures.items():
        html = html.replace(f"cid:{cid}", picture)
    attachments = tuple(
        Attachment(number, each.get_filename() or "part", each.get_content_type(), len(_bytes(each)))
        for number, each in enumerate(message.walk())
        if each.get_filename()
    )
    return Mail(
        name=name,
        subject=str(message["Subject"] or ""),
        sender=str(message["From"] or ""),
        recipient=str(message["To"] or ""),
        date=str(message["Date"] or ""),
        text=_part(message, "plain"),
        html=html,
        attachments=attachments,
    )


def _part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    return str(body.get_content()) if body else ""


def _bytes(each: EmailMessage) -> bytes:
    content = each.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _encoded(each: EmailMessage) -> str:
    return base64.b64encode(_bytes(each)).decode()


@dataclass(frozen=True)
class Stop:
    """What an unsubscribe link is about."""

    address: str
    topic: str
    title: str
    is_done: bool


def unsubscribe(settings: Settings, token: str, *, do: bool) -> Stop:
    """
    What the link ends, and that it does when asked to. Again, it changes nothing.

    Errors: UnknownPage for a word nobody was given.
    """
    with connect(settings, "transformer") as connection:
        found = courier.find_by_token(connection, token)
        if found is None:
            raise UnknownPage("this link belongs to no mail")
        address, topic = found
        if do:
            courier.stop(connection, address, topic, "unsubscribed", datetime.now(UTC))
    rule = load_rules(settings).get(topic)
    return Stop(address, topic, rule.title["en"] if rule else topic.replace("_", " "), do)
