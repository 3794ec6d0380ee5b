"""Alerts from the marts to the mailbox: told once, in the reader's words, and never by a mail that was not accepted."""

from __future__ import annotations

import email
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests
import typer
import uvicorn
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from psycopg2 import sql
from psycopg2.extras import execute_values
from pydantic import SecretStr
from typer.testing import CliRunner

from db.connection import connect
from metabase.alert_files import alert_sql, load_mails
from metabase.catalogue import load_catalogue
from panpan.alerting import courier
from panpan.alerting.backtest import backtest
from panpan.alerting.evaluate import LOCK_KEY, evaluate, leave_heartbeat, only_one
from panpan.alerting.language import words
from panpan.alerting.letters import Letter
from panpan.alerting.observe import Seeing, observe
from panpan.alerting.overview import overview
from panpan.alerting.people import Person
from panpan.alerting.rules import FOLDER, Rule, find_rule, load_rule, load_rules
from panpan.alerting.store import add_silence
from panpan.cli import alerts, metrics
from panpan.errors import MailError, UsageError
from panpan.governance.approval import review, standings
from panpan.local.mail_catcher import Catcher, caught
from panpan.reports import keep
from panpan.reports.compose import compose
from panpan.settings import Settings
from panpan.web.app import build_app
from transforms.compiler import read_plan
from transforms.periods import business_today
from transforms.run import run

CHECKOUT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 5, 4, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
PEOPLE = """
owners:
  - {address: ana@shop.example, name: Ana, language: es, time_zone: Europe/Madrid}
  - {address: pat@shop.example, name: Pat, language: en, time_zone: America/New_York}
employees: []
"""
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def shop(warehouse: Settings) -> Settings:
    """A simulated home with two owners and fresh sources; nothing listens at its mail port yet."""
    settings = warehouse.model_copy(update={"simulated": True})
    settings.people_file.parent.mkdir(parents=True)
    settings.people_file.write_text(PEOPLE, encoding="utf-8")
    insert(settings, "data_freshness", [fresh("inventory", NOW), fresh("pos", NOW)])
    return settings


@pytest.fixture
def catcher(shop: Settings) -> Iterator[Catcher]:
    """A mail server at the home's mail port; its faults may be changed."""
    handler = Catcher(shop.caught_mails)
    controller = Controller(handler, hostname="127.0.0.1", port=shop.mail_port)
    controller.start()
    yield handler
    controller.stop()


def insert(settings: Settings, table: str, rows: list[dict[str, Any]], schema: str = "marts") -> None:
    names = list(rows[0])
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        statement = sql.SQL("insert into {} ({}) values %s").format(sql.Identifier(schema, table), columns)
        execute_values(cursor, statement, [[row[name] for name in names] for row in rows])


def fresh(source: str, at: datetime) -> dict[str, Any]:
    return {
        "source": source,
        "title": f"The {source}",
        "last_load_at": at,
        "last_record_at": at,
        "warn_after_hours": 24,
        "error_after_hours": 48,
        "row_count": 10,
        "reject_count": 0,
    }


def stock(name: str, quantity: str, level: str = "10", store: str = "norte") -> dict[str, Any]:
    return {
        "product_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "store_id": store,
        "sku": name.upper()[:20],
        "product_name": name,
        "kind": "ingredient",
        "store_name": f"PanPan {store.title()}",
        "unit": "kg",
        "on_hand_quantity": Decimal(quantity),
        "reorder_level": Decimal(level),
        "is_low": Decimal(quantity) < Decimal(level),
        "source": "inventory",
    }


def set_stock(settings: Settings, name: str, quantity: str) -> None:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "update marts.inventory_status set on_hand_quantity = %s where product_name = %s", (quantity, name)
        )


def set_fresh(settings: Settings, at: datetime) -> None:
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update marts.data_freshness set last_record_at = %s, last_load_at = %s", (at, at))


def go(settings: Settings, now: datetime, *names: str) -> courier.Delivery:
    """One round of some rules (low_stock by default), as the worker makes it."""
    done = evaluate(settings, now, [find_rule(settings, name) for name in names or ("low_stock",)])
    delivery = courier.deliver(settings, now)
    leave_heartbeat(settings, done, now)
    return delivery


def mails(settings: Settings) -> list[EmailMessage]:
    """What the mail server kept, oldest first."""
    found = [email.message_from_bytes(file.read_bytes(), policy=default) for file in caught(settings.caught_mails)]
    return [mail for mail in reversed(found) if isinstance(mail, EmailMessage)]


def subjects(settings: Settings, recipient: str = "pat@shop.example") -> list[str]:
    return [mail["Subject"] for mail in mails(settings) if recipient in mail["To"]]


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def statuses(ask: Ask) -> dict[str, int]:
    return dict(ask("select status, count(*)::int from ops.mails group by status"))


def test_low_stock_is_told_once_and_so_is_its_end(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    """One grouped mail per owner when it begins, one when it is over, none in between."""
    insert(shop, "inventory_status", [stock("Flour", "4"), stock("Sugar", "3"), stock("Salt", "20")])

    for minute in range(5):
        go(shop, NOW + minute * timedelta(minutes=1))
    set_stock(shop, "Flour", "30")
    for minute in range(40, 45):
        go(shop, NOW + minute * timedelta(minutes=1))
    go(shop, NOW + 2 * HOUR)

    assert subjects(shop) == ["Alert: Low on stock: 2 alerts", "Over: Low on stock: Flour, PanPan Norte"]
    assert subjects(shop, "ana@shop.example") == [
        "Alerta: Pocas existencias: 2 alertas",
        "Resuelto: Pocas existencias: Flour, PanPan Norte",
    ]
    assert statuses(ask) == {"sent": 4}
    assert len({mail["Message-ID"] for mail in mails(shop)}) == 4


def test_a_mail_speaks_its_readers_language_and_time(shop: Settings, catcher: Catcher) -> None:
    insert(shop, "inventory_status", [stock("Flour", "1234.5", level="2000")])

    go(shop, NOW)

    spanish, english = (text_of(mail) for mail in mails(shop))
    assert "1.234,5 kg, por debajo del nivel de 2.000 kg" in spanish
    assert "desde el 4 may 2026, 10:00 CEST" in spanish
    assert "1,234.5 kg, below the level of 2,000 kg" in english
    assert "since 4 May 2026, 04:00 EDT" in english
    assert f"http://127.0.0.1:{shop.web_port}/questions/stock_levels" in english


def test_a_mail_has_text_html_and_a_picture_inside(shop: Settings, catcher: Catcher) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])

    go(shop, NOW)

    [mail, _] = mails(shop)
    html = text_of(mail, "html")
    [picture] = [part for part in mail.walk() if part.get_content_type() == "image/png"]
    assert f"cid:{picture['Content-ID'].strip('<>')}" in html
    assert picture.get_payload(decode=True).startswith(b"\x89PNG")
    assert mail["List-Unsubscribe"].strip("<>") in html


def test_hostile_names_are_text_in_every_part(shop: Settings, catcher: Catcher) -> None:
    """A product's name can neither become HTML nor another header."""
    name = '<script>alert(1)</script>\r\nBcc: thief@evil.example\r\n\r\n"{{7*7}}"'
    insert(shop, "inventory_status", [stock(name, "4")])

    go(shop, NOW)

    [mail, _] = mails(shop)
    assert mail["Bcc"] is None
    assert "Bcc: thief@evil.example" in mail["Subject"]
    html = text_of(mail, "html")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "{{7*7}}" in html


def test_old_data_say_so_instead_of_firing(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    """While its source is silent an alert waits; the mail about the source names what waits."""
    insert(shop, "inventory_status", [stock("Flour", "4")])
    set_fresh(shop, NOW - 60 * HOUR)

    for minutes in (0, 30):  # data that are being loaded are old at first, and nobody is to be told
        assert subjects(shop) == []
        go(shop, NOW + minutes * timedelta(minutes=1), "low_stock", "source_silent")

    assert ask("select state, reason from ops.alert_states where rule = 'low_stock'") == [
        ("stale", "The inventory has told nothing since 2026-05-01 20:00 UTC")
    ]
    assert subjects(shop) == ["Alert: A source has gone silent: 2 alerts"]
    assert "- Low on stock" in text_of(mails(shop)[-1])
    set_fresh(shop, NOW + HOUR)
    go(shop, NOW + HOUR)
    assert subjects(shop)[1:] == ["Alert: Low on stock: Flour, PanPan Norte"]


def test_mails_wait_for_a_mail_server_that_is_down(shop: Settings, ask: Ask) -> None:
    """Never recorded as sent; tried less and less often; the sign of life stands still; told once when it is back."""
    insert(shop, "inventory_status", [stock("Flour", "4")])
    failure = go(shop, NOW).failure
    nothing_new = evaluate(shop, NOW, [])

    for minute in range(5, 120, 5):
        moment = NOW + minute * timedelta(minutes=1)
        courier.deliver(shop, moment)
        leave_heartbeat(shop, nothing_new, moment)

    tries = ask("select status, attempts from ops.mails order by mail_id")
    assert [status for status, _ in tries] == ["waiting", "waiting"]
    assert 4 < tries[0][1] < 10
    assert "can't be reached" in (failure or "")
    [(alive, undelivered, reason)] = ask(
        "select last_evaluated_at, undelivered_count, reason from marts.alert_heartbeat"
    )
    assert (alive, undelivered, reason) == (NOW + HOUR / 2, 1, "1 notices have reached nobody")
    handler = Catcher(shop.caught_mails)
    controller = Controller(handler, hostname="127.0.0.1", port=shop.mail_port)
    controller.start()
    try:
        go(shop, NOW + 4 * HOUR)
        go(shop, NOW + 5 * HOUR)
    finally:
        controller.stop()
    assert subjects(shop) == ["Alert: Low on stock: Flour, PanPan Norte"]
    assert ask("select last_evaluated_at, reason from marts.alert_heartbeat") == [(NOW + 5 * HOUR, None)]


def test_metabase_speaks_while_our_mails_do_not_arrive(shop: Settings) -> None:
    """The second path: its question has rows exactly while our sign of life is old."""
    found = load_mails(load_catalogue())
    question = alert_sql(found.questions["low_stock"], found.alerts["low_stock"], engine_is_known=True)
    insert(shop, "inventory_status", [stock("Flour", "4")])

    def rows() -> int:
        with connect(shop, "bi") as connection, connection.cursor() as cursor:
            cursor.execute(question)
            return len(cursor.fetchall())

    assert rows() == 1  # an engine that never ran
    now = datetime.now(UTC)
    set_fresh(shop, now)
    done = evaluate(shop, now, [])
    assert leave_heartbeat(shop, done, now) is None
    assert rows() == 0  # no double mail in normal operation
    evaluate(shop, now - 5 * HOUR, [find_rule(shop, "low_stock")])
    with connect(shop, "owner") as connection, connection.cursor() as cursor:
        cursor.execute("update marts.alert_heartbeat set last_evaluated_at = %s", (now - 5 * HOUR,))
    assert leave_heartbeat(shop, done, now) == "1 notices have reached nobody"
    assert rows() == 1


def test_a_line_lost_after_the_mail_is_never_repeated_and_never_called_sent(
    shop: Settings, catcher: Catcher, ask: Ask
) -> None:
    """The server took it and hung up: nobody can know, so it is not sent again, and not recorded as sent."""
    insert(shop, "inventory_status", [stock("Flour", "4")])
    catcher.faults.drops_before_answer = True

    go(shop, NOW)
    catcher.faults.drops_before_answer = False
    for hour in range(1, 5):
        go(shop, NOW + hour * HOUR)

    assert statuses(ask) == {"uncertain": 2}
    assert len(mails(shop)) == 2
    [(reason,)] = ask("select reason from marts.alert_heartbeat")
    assert reason == "1 notices have reached nobody"


@pytest.mark.parametrize("answer", ["451 try later", "452 mailbox full"])
def test_a_server_that_says_later_is_asked_later(shop: Settings, catcher: Catcher, ask: Ask, answer: str) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    catcher.faults.data = answer

    go(shop, NOW)
    waiting = statuses(ask)
    catcher.faults.data = None
    go(shop, NOW + HOUR)

    assert waiting == {"waiting": 2}
    assert statuses(ask) == {"sent": 2}
    assert len(mails(shop)) == 2


def test_a_server_that_refuses_for_good_is_not_asked_again(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    catcher.faults.data = "554 looks like spam"

    go(shop, NOW)
    go(shop, NOW + HOUR)

    assert ask("select status, attempts, reply from ops.mails") == [("refused", 1, "554 looks like spam")] * 2


# --- one figure, whoever tells it -------------------------------------------------------------------------


def value_said(settings: Settings, *words: str) -> dict[str, Any]:
    """What `panpan value` prints with --json."""
    app = typer.Typer()
    metrics.register(app)
    result = CliRunner().invoke(app, ["value", *words, "--json", "--home", str(settings.home)])
    assert result.exit_code == 0, result.exception
    said: dict[str, Any] = json.loads(result.stdout)
    return said


def plan_of(mail: EmailMessage) -> str:
    """The plan id a mail's figure leads to; the same in its text and its HTML."""
    [plan_id] = re.findall(r"/receipts/plan/(\w+)", text_of(mail))
    assert f"/receipts/plan/{plan_id}" in text_of(mail, "html")
    return str(plan_id)


def test_the_stock_a_mail_tells_is_what_value_says_under_the_same_plan(shop: Settings, catcher: Catcher) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4.25"), stock("Sugar", "30")])

    go(shop, NOW)

    said = value_said(shop, "stock_on_hand", "--where", "product=Flour", "--where", "store=norte")
    mail = mails(shop)[-1]
    assert (plan_of(mail), "4.25 kg, below" in text_of(mail)) == (said["plan_id"], True)
    assert [Decimal(row["value"]) for row in said["rows"]] == [Decimal("4.25")]
    [alert] = [each for each in overview(shop, NOW).alerts if each["title"].startswith("Flour")]
    assert alert["plan_id"] == said["plan_id"]
    assert read_plan(shop, said["plan_id"]).query.metric == "stock_on_hand"


def test_the_sales_a_mail_tells_are_what_value_says_under_the_same_plan(shop: Settings, catcher: Catcher) -> None:
    yesterday = NOW.date() - timedelta(days=1)
    days = [yesterday - timedelta(days=7 * weeks) for weeks in range(9)]
    insert(shop, "daily_store_sales", [sales(day, 900 if day == yesterday else 300) for day in days])

    go(shop, NOW, "high_sales")

    keep_where = ("--where", "store=norte", "--where", "source=pos", "--where", "currency=EUR")
    said = value_said(shop, "revenue", *keep_where, "--period", yesterday.isoformat())
    mail = mails(shop)[-1]
    assert [Decimal(row["value"]) for row in said["rows"]] == [900]
    assert plan_of(mail) == said["plan_id"]
    assert "€900.00, above the level of €450.00" in text_of(mail)


def test_the_retention_a_mail_tells_is_what_value_says_under_the_same_plan(shop: Settings, catcher: Catcher) -> None:
    months = [(date(2025, 10, 1) + timedelta(days=31 * number)).replace(day=1) for number in range(7)]
    insert(
        shop,
        "customer_retention",
        [
            {"month": month, "earlier_count": 100, "retained_count": 30 if month == months[-1] else 60}
            for month in months
        ],
    )

    go(shop, NOW, "retention_drop")
    go(shop, NOW + 25 * HOUR, "retention_drop")

    said = value_said(shop, "retention_rate", "--period", "2026-04")
    mail = mails(shop)[-1]
    assert [Decimal(row["value"]) for row in said["rows"]] == [Decimal("0.3")]
    assert plan_of(mail) == said["plan_id"]
    assert "30.0%, below the level of 48.0%" in text_of(mail)


def test_a_value_that_is_no_figure_of_its_metric_is_an_error_of_the_rule(shop: Settings) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    rule = find_rule(shop, "low_stock")
    wrong = rule.model_copy(
        update={"sql": rule.sql.replace("figures.value - coalesce", "figures.value + 1 - coalesce")}
    )

    assert observe(shop, rule, NOW).failure is None
    assert observe(shop, wrong, NOW).failure == "alert rule low_stock tells 5.0000, which is no figure of stock_on_hand"


def test_mails_become_files_as_they_were_sent_and_as_they_are_read(
    shop: Settings, catcher: Catcher, tmp_path: Path
) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    go(shop, NOW)
    set_stock(shop, "Flour", "30")
    go(shop, NOW + HOUR)
    go(shop, NOW + 2 * HOUR)
    app = typer.Typer()
    alerts.register(app)

    result = CliRunner().invoke(
        app, ["alerts", "mails", "low_stock", "--to", str(tmp_path), "--json", "--home", str(shop.home)]
    )

    written = json.loads(result.stdout)["mails"]
    assert [each["kind"] for each in written] == ["recovered", "recovered", "fired", "fired"]
    files = [Path(file) for each in written for file in each["files"]]
    assert {file.read_bytes() for file in files if file.suffix == ".eml"} == {
        file.read_bytes() for file in caught(shop.caught_mails)
    }
    pages = [file.read_text(encoding="utf-8") for file in files if file.suffix == ".html"]
    assert all("data:image/png;base64," in page and "cid:" not in page for page in pages)


# --- an encrypted mail server --------------------------------------------------------------------------


LOGIN = ("panpan", "correct-horse-7-battery")


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, for one host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + 24 * HOUR)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(made.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def authenticator(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=(data.login.decode(), data.password.decode()) == LOGIN, handled=False)


@contextmanager
def encrypted(shop: Settings, files: tuple[Path, Path], security: str) -> Iterator[Settings]:
    """A mail server with that certificate and a login, and the settings of a shop that uses it by that security."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    handler = Guarded(shop.caught_mails)
    place: dict[str, Any] = {"hostname": "127.0.0.1", "port": shop.mail_port, "authenticator": authenticator}
    if security == "ssl":  # aiosmtpd itself knows encryption by STARTTLS only
        made: Any = Encrypted(handler, **place, ssl_context=context, auth_require_tls=False)
    else:
        made = Controller(handler, **place, tls_context=context, require_starttls=True)
    made.start()
    try:
        yield with_smtp(shop, security)
    finally:
        made.stop()


class Guarded(Catcher):
    """Takes mails of those who logged in."""

    async def handle_MAIL(  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"


class Encrypted(Controller):
    """aiosmtpd's own look whether it serves would ask for a certificate it can trust; this one takes any."""

    def _trigger_server(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection((self.hostname, self.port), 10) as line,
            context.wrap_socket(line) as session,
        ):
            session.recv(100)


def with_smtp(shop: Settings, security: str, password: str = LOGIN[1]) -> Settings:
    return shop.model_copy(
        update={
            "smtp_host": "localhost",
            "smtp_port": shop.mail_port,
            "smtp_security": security,
            "smtp_username": LOGIN[0],
            "smtp_password": SecretStr(password),
            "mail_from": "PanPan <bi@shop.example>",
        }
    )


@pytest.fixture
def low(shop: Settings) -> Settings:
    """A shop with something to tell."""
    insert(shop, "inventory_status", [stock("Flour", "4")])
    return shop


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_mails_arrive_by_an_encrypted_server_that_asks_for_a_login(
    security: str, low: Settings, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))

    with encrypted(low, files, security) as settings:
        delivery = go(settings, NOW)

    assert (delivery.sent, delivery.failure) == (2, None)
    assert statuses(ask) == {"sent": 2}
    assert subjects(low) == ["Alert: Low on stock: Flour, PanPan Norte"]


@pytest.mark.parametrize(
    ("name", "is_trusted", "reason"),
    [
        ("localhost", False, "can't be trusted: self-signed certificate"),
        ("mail.shop.example", True, "can't be trusted: Hostname mismatch"),
    ],
)
def test_a_certificate_nobody_can_trust_is_refused_and_nothing_counts_as_sent(
    name: str, is_trusted: bool, reason: str, low: Settings, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0] if is_trusted else certificate(tmp_path, "other.example")[0]))

    for security in ("starttls", "ssl"):
        with encrypted(low, files, security) as settings:
            failure = go(settings, NOW).failure or ""
            with pytest.raises(MailError, match="was not sent") as refused:
                courier.send_now(settings, Person(address="pat@shop.example"), Letter("a", "b", "c"), NOW)

        assert reason in failure or security == "ssl"  # the second time the mails wait for their next try
        assert reason in str(refused.value.cause)
    assert statuses(ask) == {"waiting": 2}
    assert mails(low) == []


def test_a_server_without_starttls_is_refused_where_it_is_asked_for(low: Settings, catcher: Catcher, ask: Ask) -> None:
    failure = go(with_smtp(low, "starttls"), NOW).failure or ""

    assert "does not offer what is asked of it, and nothing is sent without: STARTTLS" in failure
    assert statuses(ask) == {"waiting": 2}
    assert mails(low) == []


def test_a_wrong_password_is_told_without_the_password(
    low: Settings, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))

    with encrypted(low, files, "starttls"):
        failure = go(with_smtp(low, "starttls", "wrong-horse-7-battery"), NOW).failure or ""

    assert f"localhost:{low.mail_port} refuses the login of panpan: 535" in failure
    assert statuses(ask) == {"waiting": 2}
    replies = ask("select reply from ops.mails")
    assert "wrong-horse" not in f"{failure}{replies}"
    assert mails(low) == []


def test_an_address_nobody_knows_is_remembered_and_shown(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4"), stock("Sugar", "20")])
    catcher.faults.recipient = "550 5.1.1 no such user"
    go(shop, NOW)
    catcher.faults.recipient = None

    set_stock(shop, "Sugar", "3")
    go(shop, NOW + HOUR)

    assert statuses(ask) == {"bounced": 4}
    assert ask("select address, topic, reason, detail from ops.mail_stops order by 1") == [
        ("ana@shop.example", "*", "bounced", "550 5.1.1 no such user"),
        ("pat@shop.example", "*", "bounced", "550 5.1.1 no such user"),
    ]
    assert mails(shop) == []
    with connect(shop, "transformer") as connection:
        assert courier.allow_again(connection, "Pat@shop.example", "*", NOW) == 1
    set_stock(shop, "Sugar", "30")
    go(shop, NOW + 2 * HOUR)
    go(shop, NOW + 3 * HOUR)
    assert subjects(shop) == ["Over: Low on stock: Sugar, PanPan Norte"]


def test_who_unsubscribed_gets_no_more_of_that_topic(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4"), stock("Sugar", "20")])
    go(shop, NOW)
    token = mails(shop)[1]["List-Unsubscribe"].strip("<>").rsplit("/", 1)[1]

    with connect(shop, "transformer") as connection:
        assert courier.find_by_token(connection, token) == ("pat@shop.example", "low_stock")
        courier.stop(connection, "pat@shop.example", "low_stock", "unsubscribed", NOW)
    set_stock(shop, "Sugar", "3")
    go(shop, NOW + HOUR)

    assert len(subjects(shop, "pat@shop.example")) == 1
    assert len(subjects(shop, "ana@shop.example")) == 2
    assert statuses(ask) == {"sent": 3, "unsubscribed": 1}


def test_a_silence_has_an_end_a_reason_and_a_person(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4"), stock("Sugar", "3", store="playa")])
    with connect(shop, "transformer") as connection:
        add_silence(connection, "low_stock", {"store": "norte"}, NOW, NOW + HOUR, "delivery is on its way", "Pat")

    go(shop, NOW)
    assert subjects(shop) == ["Alert: Low on stock: Sugar, PanPan Playa"]
    assert ask("select state from ops.alert_states where labels->>'store' = 'norte'") == [("silenced",)]
    go(shop, NOW + HOUR)
    assert subjects(shop)[1:] == ["Alert: Low on stock: Flour, PanPan Norte"]
    with pytest.raises(psycopg2.errors.CheckViolation), connect(shop, "transformer") as connection:
        add_silence(connection, "low_stock", {}, NOW, NOW + HOUR, "", "Pat")


def test_one_round_at_a_time(shop: Settings, catcher: Catcher) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])

    with only_one(shop, LOCK_KEY) as is_ours:
        second = evaluate(shop, NOW)

    assert (is_ours, second.busy, second.rules) == (True, True, 0)
    assert mails(shop) == []


def test_a_rule_that_fails_says_so_and_stops_no_other(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    """An own rule with a wrong select: the others are judged, its failure is told after a while."""
    shop.own_rules.mkdir(parents=True)
    shipped = (CHECKOUT / "panpan" / "alerting" / "rules" / "disk_full.yaml").read_text(encoding="utf-8")
    (shop.own_rules / "broken.yaml").write_text(shipped.replace("probe: disk\n", ""), encoding="utf-8")
    (shop.own_rules / "broken.sql").write_text("select moment, 'a' as title, 1 / 0 as value from moments")
    insert(shop, "inventory_status", [stock("Flour", "4")])

    for minute in (0, 10, 20, 30):
        go(shop, NOW + minute * timedelta(minutes=1), "broken", "low_stock")

    assert subjects(shop) == ["Alert: Low on stock: Flour, PanPan Norte", "Broken: The disk is nearly full"]
    assert "division by zero" in text_of(mails(shop)[-1])
    assert ask("select state, reason from ops.alert_states where rule = 'broken'") == [("error", "division by zero")]


def test_a_rule_can_only_read_marts(shop: Settings) -> None:
    shop.own_rules.mkdir(parents=True)
    shipped = (CHECKOUT / "panpan" / "alerting" / "rules" / "disk_full.yaml").read_text(encoding="utf-8")
    (shop.own_rules / "curious.yaml").write_text(shipped.replace("probe: disk\n", ""), encoding="utf-8")
    (shop.own_rules / "curious.sql").write_text(
        "select moment, 'a' as title, count(*) as value from moments, core.customers group by moment"
    )

    done = evaluate(shop, NOW, [load_rules(shop)["curious"]])

    assert "permission denied" in done.failed["curious"]


def test_a_thing_gone_from_the_data_is_over_and_forgotten(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    go(shop, NOW)

    ask("delete from marts.inventory_status")
    go(shop, NOW + HOUR)
    go(shop, NOW + 2 * HOUR)

    assert subjects(shop)[1:] == ["Over: Low on stock: Flour, PanPan Norte"]
    assert "no longer in the data" in text_of(mails(shop)[-1])
    assert ask("select count(*) from ops.alert_states") == [(0,)]


def test_what_happened_can_not_be_changed(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    insert(shop, "inventory_status", [stock("Flour", "4")])
    go(shop, NOW)

    for statement in ("update ops.alert_events set title = ''", "delete from ops.alert_events"):
        with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
            ask(statement)
    with pytest.raises(psycopg2.errors.InsufficientPrivilege), connect(shop, "bi") as connection:
        connection.cursor().execute("select * from ops.mails")
    with connect(shop, "bi") as connection, connection.cursor() as cursor:
        cursor.execute("select rule, state from marts.alerts")
        assert cursor.fetchall() == [("low_stock", "firing")]


# --- kills ---------------------------------------------------------------------------------------------------

KILLING_PROGRAM = textwrap.dedent(
    """
    # Forks a process per kill (this one has no threads); each ends itself with SIGKILL at the place it is told.
    import json, os, signal, sys
    from datetime import datetime, timedelta
    from pathlib import Path
    from db.connection import connect
    from panpan.alerting import courier, evaluate, letters, store
    from panpan.alerting.rules import find_rule
    from panpan.settings import load_settings

    home, start, places = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2]), json.loads(sys.argv[3])
    settings = load_settings(home=home, simulated=True)
    rule = find_rule(settings, "low_stock")
    letters.draw_bars = lambda *_, **__: None  # half a second each, and nothing of it is tried here
    now = start

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def watch_for(place):
        return lambda step: die() if step == place else None

    def go(place):
        if place.startswith("store."):
            name, real = place.removeprefix("store."), getattr(store, place.removeprefix("store."))
            setattr(store, name, lambda *a, **k: (real(*a, **k), die()))
        evaluate.evaluate(settings, now, [rule])
        courier.deliver(settings, now, watch_for(place))

    def child(place):
        number = os.fork()
        if number == 0:
            try:
                go(place)
            finally:
                os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

    quantities = ["4", "30"]  # each change begins or ends an alert, so there is something to tell
    ends = []
    for turn, place in enumerate(places):
        with connect(settings, "owner") as connection, connection.cursor() as cursor:
            cursor.execute("update marts.inventory_status set on_hand_quantity = %s", (quantities[turn % 2],))
        now += timedelta(hours=2)
        if turn % 2:
            child("")  # over must last half an hour before it is told
            now += timedelta(hours=1)
        ends.append(child(place))
        now += timedelta(hours=2)
        child("")  # what comes after the kill
    print(json.dumps(ends))
    """
)
PROVABLY_NOT_SENT = ("store.write_states", "store.add_events", "store.add_notice")
CERTAIN = ("write", "claim", "connect", "envelope", "body", "hand")
UNCERTAIN = ("dot", "accept", "settle")
PLACES = (*PROVABLY_NOT_SENT, *CERTAIN, *UNCERTAIN, "settled")


def test_a_hundred_kills_repeat_no_mail(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    """
    SIGKILL at every step of a round: no mail comes twice, none is called sent that did not arrive, and every mail whose
    courier died before the last dot arrives later. Only a death in the moment of the dot leaves a mail uncertain.
    """
    shop.people_file.write_text(PEOPLE.replace("  - {address: ana", "  # - {address: ana"), encoding="utf-8")
    ask("update marts.data_freshness set error_after_hours = 100000")
    insert(shop, "inventory_status", [stock("Flour", "30")])
    kills = [PLACES[number % len(PLACES)] for number in range(100)]

    ended = subprocess.run(
        [sys.executable, "-c", KILLING_PROGRAM, str(shop.home), NOW.isoformat(), json.dumps(kills)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [-9] * 100, "every kill happened"
    arrived = Counter(mail["Message-ID"] for mail in mails(shop))
    assert [message for message, count in arrived.items() if count > 1] == []
    kept = dict(ask("select message_id, status from ops.mails"))
    assert Counter(kept.values()) == {
        "sent": sum(place not in UNCERTAIN for place in kills),
        "uncertain": sum(place in UNCERTAIN for place in kills),
    }
    assert [message for message, status in kept.items() if status == "sent" and message not in arrived] == []


# --- the past ------------------------------------------------------------------------------------------------


def sales(day: date, amount: int, store: str = "norte") -> dict[str, Any]:
    return {
        "business_date": day,
        "store_id": store,
        "store_name": f"PanPan {store.title()}",
        "source": "pos",
        "channel": "store",
        "currency_code": "EUR",
        "ticket_count": 10,
        "refund_count": 0,
        "customer_count": 3,
        "net_amount": Decimal(amount),
        "unknown_amount_line_count": 0,
    }


def test_a_backtest_is_what_the_rounds_would_have_told(shop: Settings, ask: Ask) -> None:
    """The same days judged one after the other by the engine give the very events of the backtest."""
    days = [NOW.date() - timedelta(days=number) for number in range(1, 100)]
    insert(shop, "daily_store_sales", [sales(day, 900 if day.day in (7, 19) else 300) for day in days])
    rule = find_rule(shop, "high_sales")
    ask("update marts.data_freshness set error_after_hours = 100000")

    tried = backtest(shop, rule, 40, NOW)
    for moment in tried.moments:
        evaluate(shop, moment, [rule])

    kept = ask("select happened_at, from_state, to_state, value, level, notice from ops.alert_events order by event_id")
    assert [(e.at, e.from_state, e.to_state, e.value, e.level, e.notice) for e in tried.events] == kept
    assert [(e.at.day, e.notice) for e in tried.events if e.notice] == [(8, "fired"), (20, "fired")]


def test_stock_of_the_past_is_worked_out_from_the_movements(shop: Settings, ask: Ask) -> None:
    """Stock at a past moment is today's less what moved since; now it is what is counted."""
    insert(shop, "inventory_status", [stock("Flour", "30")])
    today = NOW.date()
    moved = [(today - timedelta(days=1), "26"), (today - timedelta(days=3), "-6")]
    ask(
        "insert into core.stores (store_id, store_name, kind, time_zone, closing_time, source)"
        " values ('norte', 'PanPan Norte', 'shop', 'UTC', '04:00', 'inventory')"
    )
    product = stock("Flour", "1")["product_id"]
    ask(
        "insert into core.products (product_id, catalogue, product_key, product_name, kind, source)"
        " values (%s, 'panpan', 'FLOUR', 'Flour', 'ingredient', 'inventory')",
        product,
    )
    insert(
        shop,
        "stock_movements",
        [
            {
                "movement_id": str(uuid.uuid4()),
                "source": "inventory",
                "source_movement_id": f"M{day}",
                "product_id": product,
                "store_id": "norte",
                "kind": "delivery",
                "quantity": quantity,
                "moved_at": datetime(day.year, day.month, day.day, 7, tzinfo=UTC),
                "business_date": day,
                "raw_id": 1,
                "load_id": 1,
            }
            for day, quantity in moved
        ],
        schema="core",
    )

    found = backtest(shop, find_rule(shop, "low_stock"), 5, NOW)

    told = [(e.at.date(), e.notice, e.value) for e in found.events if e.notice in ("fired", "recovered")]
    assert told == [(today - timedelta(days=3), "fired", Decimal(4)), (today, "recovered", Decimal(30))]


def test_what_has_no_past_refuses_to_be_tried_on_it(shop: Settings) -> None:
    with pytest.raises(UsageError, match="can't be tried on the past"):
        backtest(shop, find_rule(shop, "disk_full"), 5, NOW)


# --- pages ---------------------------------------------------------------------------------------------------


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The pages on a port of their own; gives their address."""
    listener = socket.create_server(("127.0.0.1", 0))
    program = uvicorn.Server(uvicorn.Config(build_app(settings), log_level="warning"))
    thread = threading.Thread(target=program.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not program.started and thread.is_alive():
        thread.join(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    program.should_exit = True
    thread.join(10)
    listener.close()


def test_the_mails_can_be_read_in_a_sandbox(shop: Settings, catcher: Catcher) -> None:
    """A page lists them; the HTML of a mail is shut in by headers of its own, whatever stands in it."""
    insert(shop, "inventory_status", [stock("<script>alert(1)</script>", "4")])
    go(shop, NOW)
    name = caught(shop.caught_mails)[0].stem

    with served(shop) as at:
        paths = (f"{at}/mails", f"{at}/mails/{name}", f"{at}/mails/{name}/html", f"{at}/mails/{name}/parts/4")
        listing, mail, letter, picture = (requests.get(path, timeout=60) for path in paths)
        missing = [requests.get(f"{at}/mails/{bad}", timeout=60) for bad in ("..%2f..%2fsettings", "nothing", "1")]

    assert "Low on stock: &lt;script&gt;alert(1)&lt;/script&gt;" in listing.text
    assert f'src="/mails/{name}/html"' in mail.text
    assert letter.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert "data:image/png;base64," in letter.text
    assert "<script" not in letter.text + mail.text + listing.text
    assert picture.content.startswith(b"\x89PNG")
    assert [each.status_code for each in missing] == [404, 404, 404]


def test_a_link_ends_mails_only_when_asked_to(shop: Settings, catcher: Catcher, ask: Ask) -> None:
    """Opening the link (as scanners of mails do) changes nothing; the button, or one click of a mail program, does."""
    insert(shop, "inventory_status", [stock("Flour", "4")])
    go(shop, NOW)
    path = "/unsubscribe/" + mails(shop)[1]["List-Unsubscribe"].strip("<>").rsplit("/", 1)[1]

    with served(shop) as at:
        asked = requests.get(at + path, timeout=60)
        before = ask("select count(*) from ops.mail_stops")
        done = requests.post(at + path, data={"List-Unsubscribe": "One-Click"}, timeout=60)
        made_up = requests.post(f"{at}/unsubscribe/made-up", timeout=60)

    assert before == [(0,)]
    assert "pat@shop.example would get no more mails of “Low on stock”" in asked.text
    assert done.status_code == 200
    assert ask("select address, topic, reason from ops.mail_stops") == [
        ("pat@shop.example", "low_stock", "unsubscribed")
    ]
    assert made_up.status_code == 404


def test_every_rule_leads_to_a_page_that_exists() -> None:
    catalogue = load_catalogue()
    known = {f"/dashboards/{name}" for name in catalogue.dashboards} | {f"/questions/{n}" for n in catalogue.questions}

    assert {find.receipts for find in shipped_rules()} <= {*known, "/catalogue"}


def test_every_language_has_every_word() -> None:
    def keys(said: Any) -> Any:
        return {key: keys(each) for key, each in said.items()} if isinstance(said, dict) else None

    assert keys(words("es")) == keys(words("en"))


def shipped_rules() -> list[Rule]:
    return [load_rule(path) for path in sorted(FOLDER.glob("*.yaml"))]


def test_every_shipped_rule_is_judged_on_empty_marts_without_an_alarm(warehouse: Settings) -> None:
    """No rule fails, or fires, because there is nothing yet; backups and disk look at the machine."""
    rules = [rule for rule in shipped_rules() if not rule.probe]

    done = evaluate(warehouse, NOW, rules)

    assert (done.failed, sum(done.notices.values())) == ({}, 0)


def test_overdue_reviews_are_mailed_once_until_they_are_done(shop: Settings, catcher: Catcher) -> None:
    """All whose 92 days are over in one mail, and nobody is told twice; one that is reviewed is good for 92 more."""
    approved = {name: each.review_due for name, each in standings(shop).items() if each.review_due}
    due = max(approved.values())
    before, after = (datetime.combine(due + timedelta(days=days), time(9), UTC) for days in (-92, 1))

    go(shop, before, "review_overdue")
    assert mails(shop) == []
    for day in range(5):
        go(shop, after + timedelta(days=day), "review_overdue")

    assert subjects(shop) == [f"Alert: A definition waits for its review: {len(approved)} alerts"]
    assert f"revenue, due since {approved['revenue']} (Owner)" in text_of(mails(shop)[0])
    assert standings(shop)["revenue"].word(after.date()) == "review overdue"

    review(shop, "revenue", "Ana", "still true")
    today = datetime.now(UTC)  # a review counts from the day it is said
    seen = observe(shop, find_rule(shop, "review_overdue"), today + timedelta(days=91))
    again = observe(shop, find_rule(shop, "review_overdue"), today + timedelta(days=94))

    def overdue(seeing: Seeing) -> set[str]:
        return {each.labels["metric"] for each in seeing.observations if each.seen == "breach"}

    assert "revenue" not in overdue(seen)
    assert "revenue" in overdue(again)


def test_a_goal_behind_and_a_failed_check_are_told(shop: Settings, catcher: Catcher) -> None:
    day = NOW.date() - timedelta(days=1)
    goal = {
        "goal": "revenue",
        "day": day,
        "title": "Revenue up by 15 %",
        "owner": "Owner",
        "metric": "revenue",
        "unit": "currency",
        "start_on": day - timedelta(days=30),
        "end_on": day + timedelta(days=30),
        "value": 900,
        "expected_value": 1000,
        "verdict": "behind",
        "plan_id": "a",
        "base_plan_id": "b",
        "refreshed_at": NOW,
    }
    insert(shop, "goal_progress", [goal])
    check = {
        "check_id": "core_x",
        "layer": "core",
        "severity": "error",
        "owner": "Owner",
        "meaning": "Receipts without lines.",
        "state": "failed",
        "found": "3 of them",
        "checked_at": NOW,
    }
    insert(shop, "check_results", [check])

    go(shop, NOW, "check_failed", "goal_off_track")
    go(shop, NOW + HOUR, "check_failed", "goal_off_track")
    insert(shop, "goal_progress", [{**goal, "day": NOW.date(), "value": 940, "expected_value": 1040}])
    go(shop, NOW + 24 * HOUR, "goal_off_track")

    assert subjects(shop) == [
        "Alert: Figures do not pass a check: Receipts without lines. 3 of them",
        "Alert: A goal is off track: Revenue up by 15 %",
    ]
    assert "9.6%, above the level of 5.0%" in text_of(mails(shop)[-1])


# --- reports -------------------------------------------------------------------------------------------------

TILL = (
    "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID,"
    "Customer ID\n"
)


def till(first: int, days: dict[date, str]) -> str:
    return TILL + "".join(
        f"R{first + n},Payment,{day},09:00:00,PanPan Centro,B1,Bun,1,€{net},€0.00,€{net},€0.20,P{first + n},C{n}\n"
        for n, (day, net) in enumerate(days.items())
    )


def test_reports_are_due_once_after_their_hour_and_not_amid_loads(
    shop: Settings, deliver: Callable[..., int], ask: Ask
) -> None:
    today = business_today(shop, NOW)
    morning, night = (NOW.replace(hour=hour, minute=0) for hour in (9, 6))
    monday = today - timedelta(days=today.weekday() + 7)
    assert keep.due(shop, morning) == [], "there is nothing to tell"
    waiting = deliver("pos", till(1, {monday: "10.00", today - timedelta(days=1): "20.00"}))
    assert keep.due(shop, morning) == [], "a load waits"
    run(shop)
    assert ask("select status from ops.loads where load_id = %s", waiting) == [("loaded",)]

    assert keep.due(shop, night) == []
    assert keep.due(shop, morning) == ["daily", "weekly"]
    assert keep.due(shop.model_copy(update={"reports": "weekly"}), morning) == ["weekly"]
    keep.send(shop, "daily", morning)
    assert keep.due(shop, morning) == ["weekly"]
    assert keep.due(shop, morning + timedelta(days=1)) == ["weekly"], "that day has no sales yet"


def test_what_two_systems_leave_unexplained_is_told(shop: Settings, catcher: Catcher) -> None:
    rest = {
        "metric": "items", "comparison": "receipts_and_stock", "catalogue": "panpan", "currency_code": "",
        "first_day": NOW.date() - timedelta(days=30), "last_day": NOW.date(), "our_sources": "pos",
        "their_sources": "inventory", "our_amount": 10, "their_amount": 7, "class": "residual", "amount": -3,
        "gross_amount": 3, "record_count": 1,
    }  # fmt: skip
    insert(shop, "reconciliation", [rest])

    go(shop, NOW, "reconciliation_residual")
    go(shop, NOW + 25 * HOUR, "reconciliation_residual")

    [subject] = subjects(shop)
    assert subject.startswith("Alert: A difference nobody can explain: items, inventory")


def test_a_report_is_kept_and_can_be_made_again_as_it_was_known(
    shop: Settings, catcher: Catcher, deliver: Callable[..., int], ask: Ask
) -> None:
    """A late receipt changes today's figure and not one byte of what was said before it came."""
    today = business_today(shop)
    monday = today - timedelta(days=today.weekday() + 7)
    deliver("pos", till(1, {monday: "10.00", monday + timedelta(days=1): "20.00", monday - timedelta(days=7): "24.00"}))
    run(shop)

    sent = keep.send(shop, "weekly", datetime.now(UTC))
    courier.deliver(shop, datetime.now(UTC))
    deliver("pos", till(9, {monday + timedelta(days=2): "70.00"}))
    run(shop)
    [english] = [each.report for each in sent if each.report.language == "en"]
    again = compose(shop, "weekly", english.as_of, "en")
    later = compose(shop, "weekly", datetime.now(UTC), "en")

    assert "Revenue was €30.00, 25.0% more." in english.text
    assert (again.html, again.text) == (english.html, english.text)
    assert "Revenue was €100.00" in later.text
    [(body, sha256)] = ask("select body, sha256 from ops.reports where language = 'en'")
    assert (bytes(body), sha256) == (english.html, english.sha256)
    [mail, spanish] = mails(shop)
    assert "Los ingresos fueron 30,00 €, 25,0 % más." in text_of(spanish).replace("\N{NO-BREAK SPACE}", " ")
    assert "Stop these mails" in text_of(mail, "html")
    assert "cid:picture0" in text_of(mail, "html")
    assert [read_plan(shop, plan_id).plan_id for plan_id in english.plan_ids] == list(english.plan_ids)
    assert f"/receipts/plan/{english.plan_ids[0]}" in english.text
