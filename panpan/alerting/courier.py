"""
Mails out of the outbox to the mail server. "sent" means the server accepted it with 250; nothing less counts.

A mail goes waiting -> sending -> handed -> sent, each step committed before the next act. The server holds a mail only
once it got the closing dot, and the dot is sent only after `handed` is committed. So a courier that dies
- in `sending` has provably not delivered: the mail is tried again;
- in `handed` may or may not have: the mail becomes `uncertain` and is never repeated. Nobody can know more than that
  (the answer is lost with the courier), so it is shown, and the second path speaks.
"""

from __future__ import annotations

import logging
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import make_msgid, parseaddr
from typing import Any

import jinja2
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from psycopg2.extras import RealDictCursor

from db.connection import connect
from metabase.desired import web_address
from panpan.alerting.evaluate import only_one
from panpan.alerting.language import words
from panpan.alerting.letters import Letter, Links, letter_of_page, pack, write_notice
from panpan.alerting.people import Person, load_people
from panpan.alerting.rules import Rule, load_rules
from panpan.errors import MailError
from panpan.settings import Settings

log = logging.getLogger("panpan.alerts")
LOCK_KEY = 7_265_732  # one courier at a time; any fixed number of our own
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
GIVE_UP = timedelta(days=3)
PERMANENT = 500

# Called with the name of each step of a delivery, before it; tests end the process there.
Watch = Callable[[str], None]
STEPS = ("write", "claim", "connect", "envelope", "body", "hand", "dot", "accept", "settle", "settled")


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed over, and as whom."""

    host: str
    port: int
    security: str
    sender: str
    username: str | None
    password: str | None = field(repr=False)
    timeout_seconds: int = 20


@dataclass
class Delivery:
    """What one delivery did; busy: another courier was at it. failure: why the server could not be used."""

    sent: int = 0
    waiting: int = 0
    uncertain: int = 0
    lost: int = 0
    busy: bool = False
    failure: str | None = None


class _Temporary(Exception):
    """Not now; another time perhaps."""


class _Permanent(Exception):
    """Never; status says whose fault it is."""

    def __init__(self, status: str, reply: str) -> None:
        super().__init__(reply)
        self.status = status


class _Unknown(Exception):
    """The dot was sent and no answer came."""


def mail_server(settings: Settings) -> MailServer:
    """
    The mail server of the settings, in a simulated home the catcher.

    Errors: MailError when none is set, or no sender.
    """
    if settings.smtp_host:
        sender = settings.mail_from or settings.smtp_username or ""
        if "@" not in parseaddr(sender)[1]:
            raise MailError("mails have no sender", next='PANPAN_MAIL_FROM="PanPan <alerts@shop.example>" in .env')
        return MailServer(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_security,
            sender,
            settings.smtp_username or None,
            settings.smtp_password.get_secret_value() if settings.smtp_password else None,
            settings.smtp_timeout_seconds,
        )
    if settings.simulated:
        sender = settings.mail_from or "PanPan <panpan@panpan.example>"
        return MailServer("127.0.0.1", settings.mail_port, "none", sender, None, None, settings.smtp_timeout_seconds)
    raise MailError("there is no mail server", next="PANPAN_SMTP_HOST=smtp.shop.example in .env")


def deliver(settings: Settings, now: datetime, watch: Watch = lambda _: None) -> Delivery:
    """
    Try every mail that is due, once.

    Errors: DatabaseError when the database can't be reached. A mail server that fails is no error here: mails wait.
    """
    done = Delivery()
    with only_one(settings, LOCK_KEY) as is_ours:
        if not is_ours:
            return Delivery(busy=True)
        done.uncertain += _settle_the_dead(settings, now)
        due = _due(settings, now)
        if due:
            try:
                server = mail_server(settings)
                _deliver_each(settings, server, due, now, watch, done)
            except MailError as error:
                done.failure = error.message
                _postpone(settings, due, error.message, now)
        done.waiting = _waiting(settings)
    return done


def _deliver_each(
    settings: Settings, server: MailServer, due: list[int], now: datetime, watch: Watch, done: Delivery
) -> None:
    rules, people = load_rules(settings), load_people(settings)
    for place, mail_id in enumerate(due):
        watch("write")
        try:
            mail = _written(settings, server, mail_id, rules, people, now)
        except (KeyError, ValueError, jinja2.TemplateError) as error:  # must not keep all others waiting
            log.exception("mail %s can't be written", mail_id)
            _settle(settings, mail_id, "given_up", f"it could not be written: {error}"[:500], now)
            done.lost += 1
            continue
        if mail is None:
            continue
        watch("claim")
        if not _move(settings, mail_id, "waiting", "sending", now):
            continue
        try:
            reply = _hand_over(settings, server, mail, now, watch)
        except _Temporary as error:
            done.failure = str(error)
            _put_back(settings, mail, str(error), now)
            if isinstance(error.__cause__, OSError | smtplib.SMTPServerDisconnected):
                _postpone(settings, due[place + 1 :], str(error), now)  # the others would meet the same
                return
        except _Permanent as error:
            done.lost += 1
            _settle(settings, mail_id, error.status, str(error), now, bounced=mail["recipient"])
        except _Unknown as error:
            done.uncertain += 1
            done.failure = str(error)
            _settle(settings, mail_id, "uncertain", str(error), now)
        else:
            watch("settle")
            _settle(settings, mail_id, "sent", reply, now)
            done.sent += 1
            watch("settled")


def send_now(settings: Settings, person: Person, letter: Letter, now: datetime) -> str:
    """
    Hand over one mail that is in no outbox, such as a test; gives the server's 250.

    Errors: MailError with what the server said.
    """
    server = mail_server(settings)
    content = pack(
        letter,
        sender=server.sender,
        person=person,
        message_id=make_msgid(domain="panpan.local"),
        unsubscribe_url=web_address(settings),
        written_at=now,
    )
    try:
        with opened(server) as session:
            session.sendmail(parseaddr(server.sender)[1], [person.address], content)
            return "250 accepted"
    except smtplib.SMTPRecipientsRefused as error:
        [(code, text)] = error.recipients.values()
        raise MailError(f"the mail server knows no {person.address}", cause=_text(code, text)) from None
    except OSError as error:  # smtplib's own are such too
        raise MailError("the mail was not sent", cause=_why(server, error)) from None


# --- the dialogue ------------------------------------------------------------------------------------------


@contextmanager
def opened(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A session with the server, encrypted and logged in as the settings say."""
    context = ssl.create_default_context()
    if server.security == "ssl":
        session: smtplib.SMTP = smtplib.SMTP_SSL(
            server.host, server.port, timeout=server.timeout_seconds, context=context
        )
    else:
        session = smtplib.SMTP(server.host, server.port, timeout=server.timeout_seconds)
    try:
        if server.security in ("tls", "starttls"):
            session.starttls(context=context)  # refuses to go on in the clear
        session.ehlo_or_helo_if_needed()
        if server.username and server.password:
            session.login(server.username, server.password)
        yield session
        with suppress(OSError, smtplib.SMTPException):
            session.quit()
    finally:
        session.close()  # after a fault without a word: in the middle of DATA a QUIT would be part of the mail


def _hand_over(settings: Settings, server: MailServer, mail: dict[str, Any], now: datetime, watch: Watch) -> str:
    """The whole dialogue of one mail; gives the 250 of its end."""
    is_handed = False
    try:
        watch("connect")
        with opened(server) as session:
            watch("envelope")
            _expect(session.mail(parseaddr(server.sender)[1]), "refused")
            _expect(session.rcpt(mail["recipient"]), "bounced")
            _expect(session.docmd("DATA"), "refused", wanted=354)
            watch("body")
            session.send(dot_stuffed(bytes(mail["content"])))
            watch("hand")
            if not _move(settings, mail["mail_id"], "sending", "handed", now):
                raise _Temporary("the mail is no longer this courier's")
            is_handed = True
            watch("dot")
            session.send(b".\r\n")
            code, answer = session.getreply()
            watch("accept")
            reply = _text(code, answer)
            if code != 250:
                is_handed = False  # it said no: nothing was taken
                raise _refusal(code, reply, "refused")
            return reply
    except OSError as error:  # smtplib's own are such too
        if is_handed:
            raise _Unknown(f"the line was lost before the server answered: {_said(error)}") from error
        raise _Temporary(_why(server, error)) from error


def dot_stuffed(content: bytes) -> bytes:
    """A mail as DATA wants it: CRLF, lines that begin with a dot get another, and an end of line at the end."""
    lines = re.sub(rb"\r?\n|\r", b"\r\n", content)
    return re.sub(rb"(?m)^\.", b"..", lines if lines.endswith(b"\r\n") else lines + b"\r\n")


def _expect(answer: tuple[int, bytes], status: str, wanted: int = 250) -> None:
    code, text = answer
    if code != wanted and not (wanted == 250 and code == 251):
        raise _refusal(code, _text(code, text), status)


def _refusal(code: int, reply: str, status: str) -> _Permanent | _Temporary:
    return _Permanent(status, reply) if code >= PERMANENT else _Temporary(reply)


def _text(code: int, answer: bytes) -> str:
    return f"{code} {answer.decode('utf-8', 'replace')}"[:500]


def _why(server: MailServer, error: OSError) -> str:
    """Why a session with the server failed, in words that say what to correct."""
    where = f"{server.host}:{server.port}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {where} can't be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"{where} does not speak TLS as PANPAN_SMTP_SECURITY={server.security} says: {error.reason}"
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{where} refuses the login of {server.username}: {_said(error)}"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{where} does not offer what is asked of it, and nothing is sent without: {error}"
    if isinstance(error, smtplib.SMTPException):
        return _said(error)
    return f"{where} can't be reached: {error}"


def _said(error: OSError) -> str:
    """What the server said; a login that fails never repeats the login."""
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode('utf-8', 'replace') if isinstance(text, bytes) else text}"[:500]
    return f"{type(error).__name__}: {error}"[:500]


# --- the outbox --------------------------------------------------------------------------------------------


def _due(settings: Settings, now: datetime) -> list[int]:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select mail_id from ops.mails where status = 'waiting' and next_try_at <= %s order by mail_id", (now,)
        )
        return [int(mail_id) for (mail_id,) in cursor.fetchall()]


def _waiting(settings: Settings) -> int:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from ops.mails where settled_at is null")
        [(count,)] = cursor.fetchall()
    return int(count)


def _settle_the_dead(settings: Settings, now: datetime) -> int:
    """
    What a courier that is no more left behind; only one lives at a time, so whoever held these is dead.

    Gives how many mails nobody can know about.
    """
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute("update ops.mails set status = 'waiting' where status = 'sending'")
        cursor.execute(
            "update ops.mails set status = 'uncertain', settled_at = %s,"
            " reply = 'the courier died before it kept the server''s answer' where status = 'handed'",
            (now,),
        )
        return int(cursor.rowcount)


def _written(
    settings: Settings,
    server: MailServer,
    mail_id: int,
    rules: dict[str, Rule],
    people: dict[str, list[Person]],
    now: datetime,
) -> dict[str, Any] | None:
    """The mail with its bytes, written now if it never was; None when it can't be written any more."""
    with connect(settings, "transformer") as connection:
        mail = _read(connection, mail_id)
        if mail["content"] is not None:
            return mail
        rule = rules.get(mail["rule"])
        if rule is None and mail["report_id"] is None:
            _settle_in(connection, mail_id, "given_up", "its rule is no more", now)
            return None
        known = {person.address.lower(): person for group in people.values() for person in group}
        found = known.get(mail["recipient"].lower())
        person = Person(
            address=mail["recipient"],
            name=found.name if found else "",
            language=mail["language"],
            time_zone=mail["time_zone"],
        )
        address = web_address(settings)
        unsubscribe_url = f"{address}/unsubscribe/{mail['unsubscribe_token']}"
        if rule is None:
            letter = _report_letter(connection, mail, person, unsubscribe_url)
        else:
            links = Links(f"{address}{rule.receipts}", f"{address}/receipts/plan/", unsubscribe_url)
            blind = _blinded(connection, rules, person) if rule.name == "source_silent" else []
            letter = write_notice(rule, mail["kind"], mail["items"], person, links, blind=blind)
        content = pack(
            letter,
            sender=server.sender,
            person=person,
            message_id=mail["message_id"],
            unsubscribe_url=unsubscribe_url,
            written_at=mail["created_at"],
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "update ops.mails set subject = %s, content = %s where mail_id = %s", (letter.subject, content, mail_id)
            )
        return {**mail, "content": content}


def _read(connection: PgConnection, mail_id: int) -> dict[str, Any]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            "select mail.*, notice.rule, notice.kind, notice.items from ops.mails as mail"
            " left join ops.alert_notices as notice on mail.notice_id = notice.notice_id where mail.mail_id = %s",
            (mail_id,),
        )
        [row] = cursor.fetchall()
    return dict(row)


def _blinded(connection: PgConnection, rules: dict[str, Rule], person: Person) -> list[str]:
    """Titles of the rules that wait for fresh data."""
    with connection.cursor() as cursor:
        cursor.execute("select distinct rule from ops.alert_states where cover = 'stale' order by rule")
        return [rules[name].title[person.language] for (name,) in cursor.fetchall() if name in rules]


def _report_letter(connection: PgConnection, mail: dict[str, Any], person: Person, unsubscribe_url: str) -> Letter:
    with connection.cursor() as cursor:
        cursor.execute(
            "select name, subject, text_body, body from ops.reports where report_id = %s", (mail["report_id"],)
        )
        [(name, subject, text, body)] = cursor.fetchall()
    said = words(person.language)
    footer = said["footer"].format(title=said["report"]["topics"][name], zone=person.time_zone)
    return letter_of_page(subject, text, bytes(body), footer, unsubscribe_url, said["unsubscribe"])


def _move(settings: Settings, mail_id: int, before: str, after: str, now: datetime) -> bool:
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update ops.mails set status = %s, attempts = attempts + (%s = 'sending')::integer"
            " where mail_id = %s and status = %s",
            (after, after, mail_id, before),
        )
        return int(cursor.rowcount) == 1


def _settle(
    settings: Settings, mail_id: int, status: str, reply: str, now: datetime, bounced: str | None = None
) -> None:
    with connect(settings, "transformer") as connection:
        _settle_in(connection, mail_id, status, reply, now)
        if status == "bounced" and bounced:
            stop(connection, bounced, "*", "bounced", now, reply)


def _settle_in(connection: PgConnection, mail_id: int, status: str, reply: str, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "update ops.mails set status = %s, reply = %s, settled_at = %s where mail_id = %s",
            (status, reply, now, mail_id),
        )


def _put_back(settings: Settings, mail: dict[str, Any], reason: str, now: datetime) -> None:
    """Back into the outbox, to be tried later; after days it is given up and says so."""
    if now - mail["created_at"] > GIVE_UP:
        _settle(settings, mail["mail_id"], "given_up", reason, now)
        return
    wait = min(FIRST_WAIT * 2 ** min(int(mail["attempts"]), 10), LONGEST_WAIT)
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update ops.mails set status = 'waiting', reply = %s, next_try_at = %s where mail_id = %s",
            (reason, now + wait, mail["mail_id"]),
        )


def _postpone(settings: Settings, mail_ids: list[int], reason: str, now: datetime) -> None:
    """Mails nobody tried, because the server can't be used: a little later, or given up after days."""
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            update ops.mails set
                reply = %(reason)s,
                next_try_at = %(now)s + %(wait)s,
                status = case when created_at < %(now)s - %(limit)s then 'given_up' else status end,
                settled_at = case when created_at < %(now)s - %(limit)s then %(now)s end
            where mail_id = any(%(ids)s) and status = 'waiting'
            """,
            {"reason": reason, "now": now, "wait": FIRST_WAIT, "limit": GIVE_UP, "ids": mail_ids},
        )


# --- who wants none ----------------------------------------------------------------------------------------


def stop(
    connection: PgConnection, address: str, topic: str, reason: str, now: datetime, detail: str | None = None
) -> None:
    """No more mails of a topic (* for all) to an address. Again, it changes nothing but the reason."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into ops.mail_stops (address, topic, reason, since, detail) values (lower(%s), %s, %s, %s, %s)"
            " on conflict (address, topic) do update set"
            " reason = excluded.reason, since = excluded.since, detail = excluded.detail, ended_at = null",
            (address, topic, reason, now, detail),
        )


def allow_again(connection: PgConnection, address: str, topic: str, now: datetime) -> int:
    """Mails to an address again; gives how many stops ended."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update ops.mail_stops set ended_at = %s where address = lower(%s) and ended_at is null"
            " and (%s = '*' or topic = %s)",
            (now, address, topic, topic),
        )
        return int(cursor.rowcount)


def find_by_token(connection: PgConnection, token: str) -> tuple[str, str] | None:
    """The recipient and topic an unsubscribe word belongs to."""
    with connection.cursor() as cursor:
        cursor.execute("select recipient, topic from ops.mails where unsubscribe_token = %s", (token,))
        found = cursor.fetchone()
    return (str(found[0]), str(found[1])) if found else None
