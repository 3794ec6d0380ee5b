"""
Mails written: a notice, or anything else with text, HTML and pictures, as the bytes that are sent.

Comes in: words, figures and names as data. Goes out: MIME. Names a source sent are text in every part: templates escape
them, headers hold one line.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any

from panpan.alerting.language import figure, moment, words
from panpan.alerting.machine import Kind
from panpan.alerting.people import Person
from panpan.alerting.picture import Bar, draw_bars
from panpan.alerting.rules import Rule
from panpan.templates import templates

log = logging.getLogger("panpan.alerts")
MOST_ITEMS = 30
MOST_SUBJECT = 150
COLOURS: dict[Kind, str] = {"fired": "#b3372f", "reminder": "#b8651b", "recovered": "#1f6f78", "broken": "#5f6b76"}
PICTURE = "picture"
INSIDE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")  # a picture of a page

_templates = templates(Path(__file__).parent / "templates")


@dataclass(frozen=True)
class Letter:
    """What a mail says; pictures by the name the HTML part calls them, as PNG."""

    subject: str
    text: str
    html: str
    pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Links:
    """Where a mail leads; plans: the page of a figure's receipts, but for the plan id at its end."""

    receipts: str
    plans: str
    unsubscribe: str


def write_notice(
    rule: Rule,
    kind: Kind,
    items: Sequence[Mapping[str, Any]],
    person: Person,
    links: Links,
    *,
    blind: Sequence[str] = (),
) -> Letter:
    """
    A notice in its reader's language and time zone.

    items: the alerts as ops.alert_notices keeps them. blind: titles of the rules that wait while this lasts.
    """
    said, language = words(person.language), person.language
    title = rule.title[language]
    tag = said["kinds"][kind]["tag"]
    shown = items[:MOST_ITEMS]
    picture = None if kind == "broken" else _picture(rule, kind, items, language)
    values = {
        "said": said,
        "language": language,
        "tag": tag,
        "title": title,
        "opening": said["kinds"][kind]["opening"],
        "severity": said["severity"][rule.severity],
        "colour": COLOURS[kind],
        "items": [_item(rule, kind, item, person, links) for item in shown],
        "more": said["more"].format(count=len(items) - len(shown)) if len(items) > len(shown) else "",
        "blind": list(blind),
        "question": rule.question[language],
        "advice": rule.advice[language] if kind in ("fired", "reminder") else "",
        "receipts_url": links.receipts,
        "unsubscribe_url": links.unsubscribe,
        "footer": said["footer"].format(title=title, zone=person.time_zone),
        "picture": PICTURE if picture else "",
        "picture_words": said["picture"],
    }
    what = items[0]["title"] if len(items) == 1 else None
    subject = f"{title}: {what}" if what else said["kinds"][kind]["many"].format(title=title, count=len(items))
    return Letter(
        subject=one_line(f"{tag}: {subject if len(items) > 1 or what else title}"),
        text=_templates.get_template("mail.txt").render(values),
        html=_templates.get_template("mail.html").render(values),
        pictures={PICTURE: picture} if picture else {},
    )


def _item(rule: Rule, kind: Kind, item: Mapping[str, Any], person: Person, links: Links) -> dict[str, str]:
    said, language = words(person.language), person.language
    value, level = _decimal(item["value"]), _decimal(item["level"])
    written = {
        name: figure(each, rule.format, language, unit=item["unit"], currency=item["currency_code"])
        for name, each in (("value", value), ("level", level))
    }
    line = "" if rule.format == "verdict" or kind == "broken" else said["gone"]
    if line and value is not None:
        line = str(said["over" if kind == "recovered" else rule.fires].format(**written))
    since = said["over_since" if kind == "recovered" else "since"].format(
        moment=moment(datetime.fromisoformat(item["since"]), language, person.time_zone)
    )
    return {
        "title": item["title"] or rule.title[person.language],
        "line": line,
        "receipts_url": f"{links.plans}{item['plan_id']}" if item.get("plan_id") else "",
        "note": item["reason"] or "" if kind == "broken" else since,
    }


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _picture(rule: Rule, kind: Kind, items: Sequence[Mapping[str, Any]], language: str) -> bytes | None:
    """Bars of the values; things counted in different units are drawn as shares of their levels."""
    if rule.format == "verdict":
        return None
    bars = []
    for item in items:
        value, level = _decimal(item["value"]), _decimal(item["level"])
        if value is not None:
            text = figure(value, rule.format, language, unit=item["unit"], currency=item["currency_code"])
            bars.append(Bar(item["title"] or rule.title["en"], text, value, level))
    if bars and all(bar.level is not None and bar.level > 0 for bar in bars):
        bars = [Bar(b.name, b.text, b.value / (b.level or 1), Decimal(1)) for b in bars]
    try:
        return draw_bars(bars, is_good=kind == "recovered") if bars else None
    except Exception:
        log.exception("the picture of %s could not be drawn; the mail goes without", rule.name)
        return None


def letter_of_page(subject: str, text: str, page: bytes, footer: str, link: str, link_words: str) -> Letter:
    """A mail of a kept page: its pictures as parts, below it who gets it and how to end that."""
    html = page.decode()
    pictures: dict[str, bytes] = {}

    def as_part(found: re.Match[str]) -> str:
        name = f"{PICTURE}{len(pictures)}"
        pictures[name] = base64.b64decode(found[1])
        return f"cid:{name}"

    html = INSIDE.sub(as_part, html)
    below = (
        '<p style="max-width:640px;margin:12px auto 0;font-size:12px;color:#55636e">'
        f'{footer} <a href="{link}" style="color:#55636e">{link_words}</a></p>'
    )
    return Letter(
        subject, f"{text}\n--\n{footer}\n{link_words}: {link}\n", html.replace("<!-- footer -->", below), pictures
    )


def one_line(text: str) -> str:
    """Text for a header: no line ends, no control characters, not endless."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(plain.split())
    return line if len(line) <= MOST_SUBJECT else f"{line[: MOST_SUBJECT - 1]}…"


def pack(
    letter: Letter, *, sender: str, person: Person, message_id: str, unsubscribe_url: str, written_at: datetime
) -> bytes:
    """The bytes of a mail: text, HTML, pictures inside, one click to unsubscribe (RFC 8058)."""
    mail = EmailMessage(policy=SMTP)
    mail["Subject"] = one_line(letter.subject)
    mail["From"] = address_of(sender)
    mail["To"] = Address(one_line(person.name), addr_spec=person.address)
    mail["Date"] = format_datetime(written_at)
    mail["Message-ID"] = message_id
    mail["Auto-Submitted"] = "auto-generated"
    mail["List-Unsubscribe"] = f"<{unsubscribe_url}>"
    mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    mail.set_content(letter.text, cte="quoted-printable")
    mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    part = mail.get_payload()[1]  # type: ignore[index]  # the HTML part just added
    for name, png in letter.pictures.items():
        part.add_related(png, "image", "png", cid=f"<{name}>", filename=f"{name}.png", disposition="inline")  # type: ignore[union-attr]
    # Boundaries drawn from what is said, not by chance: the same mail is the same bytes.
    for number, each in enumerate(part_ for part_ in mail.walk() if part_.is_multipart()):
        seed = hashlib.sha256(f"{message_id}{number}".encode()).hexdigest()[:24]
        each.set_boundary(f"==panpan-{seed}==")
    # Lines of headers as long as they are: folded, a long link would be taken apart into encoded words.
    return mail.as_bytes(policy=SMTP.clone(max_line_length=998))


def address_of(text: str) -> Address:
    """An address, or a name and <address>, as a header value that can't hold a second line."""
    name, address = parseaddr(text)
    return Address(one_line(name), addr_spec=address)
