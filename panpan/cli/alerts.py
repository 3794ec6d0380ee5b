"""
Commands about alerts: alerts list, evaluate, silence, unsilence, history, backtest, test-mail, mails, stops, allow.
"""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from psycopg2.extras import RealDictCursor
from pydantic import ValidationError

from db.connection import connect
from panpan.alerting import courier, store
from panpan.alerting.backtest import backtest as try_on_the_past
from panpan.alerting.evaluate import evaluate as judge
from panpan.alerting.evaluate import leave_heartbeat
from panpan.alerting.letters import Letter
from panpan.alerting.overview import overview
from panpan.alerting.people import Person
from panpan.alerting.rules import duration, find_rule
from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import MailError, UsageError
from panpan.settings import load_settings
from panpan.web.mails import read as read_mail

commands = typer.Typer(
    name="alerts", help="Alert rules, how they stand, and the mails about them.", no_args_is_help=True
)
RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Name of the rule.")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="NAME=VALUE: only alerts with this label; repeatable.")
]
Who = Annotated[str, typer.Option("--who", help="Who wants it.  [default: the login name]")]

TEST_MAIL = Letter(
    "PanPan can send mails",
    "This mail was asked for by: panpan alerts test-mail\n",
    "<p>This mail was asked for by: <code>panpan alerts test-mail</code></p>",
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `alerts`."""
    app.add_typer(commands, name="alerts")


@commands.command("list")
def list_(home: Home = None, as_json: AsJson = False) -> None:
    """
    Show how every alert stands, the worst first, and whether mails arrive.

    Example: panpan alerts list
    """
    found = overview(load_settings(home=home), datetime.now(UTC))
    if as_json:
        output.print_json(
            {
                "alerts": found.alerts,
                "mails": found.mails,
                "heartbeat": found.heartbeat,
                "sentences": found.sentences,
            }
        )
        return
    rows = [
        (
            a["rule"],
            a["title"],
            a["state"],
            _moment(a["since"]),
            _figure(a["value"], a["unit"]),
            _figure(a["level"], a["unit"]),
        )
        for a in found.alerts
    ]
    output.print_table("alerts", ["rule", "what", "state", "since", "value", "level"], rows)
    for sentence in found.sentences:
        output.results.print(sentence, markup=False, highlight=False)


@commands.command("evaluate")
def evaluate(home: Home = None, as_json: AsJson = False) -> None:
    """
    Judge all rules now and send what is to be told, as the worker does every minute.

    Example: panpan alerts evaluate
    """
    settings, now = load_settings(home=home), datetime.now(UTC)
    with output.step("judging the rules"):
        done = judge(settings, now)
    with output.step("sending mails"):
        delivery = courier.deliver(settings, now)
        reason = None if done.busy else leave_heartbeat(settings, done, now)
    facts: dict[str, Any] = {
        "rules": done.rules,
        "failed": done.failed,
        "notices": done.notices,
        "busy": done.busy,
        "mails": {
            "sent": delivery.sent,
            "waiting": delivery.waiting,
            "uncertain": delivery.uncertain,
            "lost": delivery.lost,
        },
        "failure": delivery.failure,
        "unreliable": reason,
    }
    if as_json:
        output.print_json(facts, ok=not done.failed and not delivery.failure)
    else:
        told = ", ".join(f"{count} {kind}" for kind, count in done.notices.items() if count) or "nothing new"
        output.results.print(
            "another process is judging the rules" if done.busy else f"{done.rules} rules judged: {told}",
            highlight=False,
        )
        output.results.print(f"mails: {delivery.sent} sent, {delivery.waiting} waiting", highlight=False)
        for name, failure in done.failed.items():
            output.talk.print(f"{name} can't be judged: {failure}", markup=False, highlight=False)
        if delivery.failure:
            output.talk.print(f"mails wait: {delivery.failure}", markup=False, highlight=False)
    if done.failed or delivery.failure:
        raise typer.Exit(1)


@commands.command("silence")
def silence(
    rule: RuleName,
    for_: Annotated[str, typer.Option("--for", help="How long: 30m, 2h, 1d.")],
    why: Annotated[str, typer.Option("--why", help="The reason; kept and shown.")],
    who: Who = "",
    label: Labels = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Keep quiet about a rule, or some of its alerts, for a while. What still lasts when the silence ends is told then.

    Example: panpan alerts silence no_sales --for 1d --why "holiday" --label store=centro
    """
    settings, now = load_settings(home=home), datetime.now(UTC)
    found, labels = find_rule(settings, rule), _labels(label or [])
    unknown = [name for name in labels if name not in found.labels]
    if unknown:
        raise UsageError(f"{rule} has no label {unknown[0]!r}", cause=f"known: {', '.join(found.labels) or 'none'}")
    try:
        ends_at = now + duration(for_)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--for {for_!r} is no duration", cause="expected 30m, 2h or 1d") from error
    if ends_at <= now or not why.strip():
        raise UsageError("a silence lasts a while and has a reason")
    person = who.strip() or getpass.getuser()
    with connect(settings, "transformer") as connection:
        silence_id = store.add_silence(connection, rule, labels, now, ends_at, why.strip(), person)
    if as_json:
        output.print_json(
            {"silence_id": silence_id, "rule": rule, "labels": labels, "ends_at": ends_at, "person": person}
        )
    else:
        output.results.print(f"{rule} is silent until {_moment(ends_at)}", markup=False, highlight=False)


@commands.command("unsilence")
def unsilence(rule: RuleName, who: Who = "", home: Home = None, as_json: AsJson = False) -> None:
    """
    End every silence of a rule now.

    Example: panpan alerts unsilence no_sales
    """
    settings = load_settings(home=home)
    with connect(settings, "transformer") as connection:
        ended = store.end_silences(connection, rule, datetime.now(UTC), who.strip() or getpass.getuser())
    if as_json:
        output.print_json({"rule": rule, "ended": ended})
    else:
        output.results.print(f"{ended} silences of {rule} ended", markup=False, highlight=False)


@commands.command("history")
def history(
    rule: Annotated[str | None, typer.Argument(metavar="[RULE]", help="Name of the rule; all by default.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many events, the newest.", min=1)] = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what happened to alerts, the newest first, and which mails told of it.

    Example: panpan alerts history low_stock
    """
    settings = load_settings(home=home)
    with (
        connect(settings, "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select happened_at, rule, labels, title, from_state, to_state, value, level, notice, reason"
            " from ops.alert_events where %(rule)s::text is null or rule = %(rule)s"
            " order by event_id desc limit %(limit)s",
            {"rule": rule, "limit": limit},
        )
        events = [dict(row) for row in cursor.fetchall()]
        cursor.execute(
            "select created_at, topic, recipient, status, attempts, settled_at, subject, reply from ops.mails"
            " where %(rule)s::text is null or topic = %(rule)s order by mail_id desc limit %(limit)s",
            {"rule": rule, "limit": limit},
        )
        mails = [dict(row) for row in cursor.fetchall()]
    if as_json:
        output.print_json({"events": events, "mails": mails})
        return
    shown = [
        (
            _moment(e["happened_at"]),
            e["rule"],
            e["title"],
            f"{e['from_state']} -> {e['to_state']}",
            e["value"],
            e["notice"],
        )
        for e in events
    ]
    output.print_table("events", ["when", "rule", "what", "state", "value", "told"], shown)
    letters = [
        (_moment(m["created_at"]), m["recipient"], m["subject"], m["status"], m["attempts"], m["reply"]) for m in mails
    ]
    output.print_table("mails", ["queued", "to", "subject", "status", "tries", "answer"], letters)


@commands.command("backtest")
def backtest(
    rule: RuleName,
    days: Annotated[int, typer.Option("--days", help="How far back.", min=1, max=730)] = 90,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Show what a rule would have told in the last days, before you rely on it. Nothing is sent or kept.

    Judged by what is known today.  Example: panpan alerts backtest low_stock --days 90
    """
    settings = load_settings(home=home)
    with output.step(f"judging {rule} over {days} days"):
        found = try_on_the_past(settings, find_rule(settings, rule), days, datetime.now(UTC))
    told = [event for event in found.events if event.notice]
    if as_json:
        facts = [{**vars(event), "labels": dict(event.labels)} for event in found.events]
        output.print_json(
            {"rule": rule, "days": days, "moments": len(found.moments), "mails": found.mails, "events": facts}
        )
        return
    rows = [(_moment(e.at), e.title, e.notice, e.value, e.level) for e in told]
    output.print_table(f"{rule} over the last {days} days", ["when", "what", "told", "value", "level"], rows)
    output.results.print(f"{found.mails} mails per recipient", highlight=False)


@commands.command("test-mail")
def test_mail(
    to: Annotated[str, typer.Option("--to", help="Address it goes to.")], home: Home = None, as_json: AsJson = False
) -> None:
    """
    Send one mail now, to see that the mail server is set right.

    Example: panpan alerts test-mail --to ada@shop.example
    """
    settings = load_settings(home=home)
    try:
        person = Person(address=to)
    except ValidationError as error:
        raise UsageError(f"{to!r} is no address") from error
    with output.step("sending"):
        reply = courier.send_now(settings, person, TEST_MAIL, datetime.now(UTC))
    if as_json:
        output.print_json({"to": to, "reply": reply})
    else:
        output.results.print(f"the mail server accepted it: {reply}", markup=False, highlight=False)


@commands.command("mails")
def mails(
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="Rule or report; all by default.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write the mails into.", file_okay=False)] = None,
    limit: Annotated[int, typer.Option("--limit", help="How many, the newest.", min=1)] = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    List the mails that were written, of alerts and of reports; with --to each becomes a file .eml and one .html.

    Topics are rules and reports: low_stock, weekly_report.  Example: panpan alerts mails low_stock --to mails
    """
    with (
        connect(load_settings(home=home), "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select mail.mail_id, mail.created_at, mail.topic, notice.kind, mail.recipient, mail.status, mail.subject,"
            " mail.content from ops.mails as mail"
            " left join ops.alert_notices as notice on mail.notice_id = notice.notice_id"
            " where mail.content is not null and (%(topic)s::text is null or mail.topic = %(topic)s)"
            " order by mail.mail_id desc limit %(limit)s",
            {"topic": topic, "limit": limit},
        )
        rows = [dict(row) for row in cursor.fetchall()]
    contents = [bytes(row.pop("content")) for row in rows]
    if to is not None:
        for row, content in zip(rows, contents, strict=True):
            row["files"] = [str(file) for file in _write_mail(to, row, content)]
    if as_json:
        output.print_json({"mails": rows})
        return
    shown = [(_moment(r["created_at"]), r["topic"], r["kind"], r["recipient"], r["subject"], r["status"]) for r in rows]
    output.print_table("mails", ["written", "topic", "kind", "to", "subject", "status"], shown)
    for row in rows if to is not None else ():
        output.results.print("\n".join(row["files"]), markup=False, highlight=False)


def _write_mail(folder: Path, row: dict[str, Any], content: bytes) -> tuple[Path, Path]:
    """A mail as it was sent, and as its reader sees it."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "-".join(str(part) for part in (f"{row['mail_id']:05d}", row["topic"], row["kind"]) if part)
    files = folder / f"{stem}.eml", folder / f"{stem}.html"
    files[0].write_bytes(content)
    files[1].write_text(read_mail(stem, content).html, encoding="utf-8")
    return files


@commands.command("stops")
def stops(home: Home = None, as_json: AsJson = False) -> None:
    """
    List addresses that get no mails: unsubscribed by their readers, or unknown to the mail server.

    Example: panpan alerts stops
    """
    with (
        connect(load_settings(home=home), "transformer") as connection,
        connection.cursor(cursor_factory=RealDictCursor) as cursor,
    ):
        cursor.execute(
            "select address, topic, reason, since, detail from ops.mail_stops where ended_at is null order by 1, 2"
        )
        rows = [dict(row) for row in cursor.fetchall()]
    if as_json:
        output.print_json({"stops": rows})
    else:
        shown = [(r["address"], r["topic"], r["reason"], _moment(r["since"]), r["detail"]) for r in rows]
        output.print_table("no mails to", ["address", "topic", "reason", "since", "answer"], shown)


@commands.command("allow")
def allow(
    address: Annotated[str, typer.Argument(help="Address that shall get mails again.")],
    topic: Annotated[str, typer.Option("--topic", help="Rule or report; * for all.")] = "*",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Let an address have mails again, after it was corrected or its reader wants them back.

    Example: panpan alerts allow ada@shop.example
    """
    with connect(load_settings(home=home), "transformer") as connection:
        ended = courier.allow_again(connection, address, topic, datetime.now(UTC))
    if not ended:
        raise MailError(f"nothing keeps mails from {address}", next="bin/panpan alerts stops")
    if as_json:
        output.print_json({"address": address, "ended": ended})
    else:
        output.results.print(f"{address} gets mails again", markup=False, highlight=False)


def _labels(words: list[str]) -> dict[str, str]:
    labels = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"--label {word!r} is no label", cause="expected NAME=VALUE")
        labels[name] = value
    return labels


def _moment(value: datetime | None) -> str:
    return "never" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _figure(value: object, unit: str | None) -> str | None:
    return None if value is None else f"{value}{f' {unit}' if unit else ''}"
