"""
What a Metabase should be, from our files and settings, in names instead of ids.

Comes in: questions, dashboards, alerts, settings. Goes out: `Desired`, which knows nothing of any server. Each thing
has a key such as `question/low_stock`, and ends its description with a mark that names it: that is how it is found
again, also when the run that made it was killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import getaddresses, parseaddr
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from metabase.alert_files import Alert, Mails, Recipient, Report, alert_sql
from metabase.catalogue import FOLDER, GRID_COLUMNS, Card, Catalogue, Dashboard, Filter, Question, load_question
from metabase.compiled import Cells, base_plan
from metabase.descriptions import TableWords
from metabase.parameters import template_tags
from metabase.visualization import display_of, link_settings, settings_of
from panpan.errors import SettingsError
from panpan.settings import Settings

Content = dict[str, Any]

DATABASE_NAME = "PanPan marts"
SCHEMA = "marts"
GROUPS = {"owners": "Owners", "employees": "Employees"}
ALL_USERS = "All Users"  # whatever the server calls it: it is found by its kind
ONLY_OWNERS = ("owner", "owners")
MARK = "Kept by panpan: {}. Changes made here are undone."
MARKED = re.compile(r"Kept by panpan: ([a-z]+/[\w-]+)\.")

# Our collections: title, parent, what it is for.
COLLECTIONS: dict[str, tuple[str, str | None, str]] = {
    "top": ("PanPan", None, "Everything that comes from files."),
    "everyone": ("For everyone", "top", "Dashboards for all who work here."),
    "everyone_questions": ("Questions", "everyone", "What these dashboards are made of."),
    "owners": ("For owners", "top", "Dashboards for owners."),
    "owners_questions": ("Questions", "owners", "What these dashboards are made of."),
    "owners_alerts": ("Alerts", "owners", "Questions that have rows only when something is wrong."),
}
# Metabase's cards can't say of which moment their data are, so each dashboard ends its first tab with what can.
FRESHNESS, FRESHNESS_ROWS = "data_freshness", 5
EMPLOYEES_READ = ("top", "everyone", "everyone_questions")


@dataclass(frozen=True)
class Wanted:
    """One thing as it should be; `content` is plain JSON, with names where Metabase has ids."""

    key: str
    title: str
    content: Content

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]


@dataclass(frozen=True)
class Person:
    email: str
    name: str

    @property
    def first_and_last(self) -> tuple[str | None, str | None]:
        first, _, last = self.name.partition(" ")
        return first or None, last.strip() or None


@dataclass(frozen=True)
class Desired:
    """Everything that should be, by kind and key. `people`: members of each managed group by address."""

    settings: dict[str, Wanted]
    database: Wanted
    collections: dict[str, Wanted]
    questions: dict[str, Wanted]
    dashboards: dict[str, Wanted]
    alerts: dict[str, Wanted]
    reports: dict[str, Wanted]
    descriptions: dict[str, Wanted]
    admin_email: str
    people: dict[str, dict[str, Person]] = field(default_factory=dict)
    secrets: dict[str, SecretStr] = field(default_factory=dict, repr=False)


def desired_state(
    settings: Settings,
    catalogue: Catalogue,
    mails: Mails,
    descriptions: Mapping[str, TableWords],
    *,
    engine_is_known: bool = False,
) -> Desired:
    """
    All that should be.

    descriptions: what tables and columns of the marts mean. engine_is_known: our alert engine has its mart, so
    Metabase's alerts may leave the word to it.
    Errors: SettingsError when a list of people, or the sender, can't be read.
    """
    people = {
        group: read_people(given, f"metabase_{group}")
        for group, given in (("owners", settings.metabase_owners), ("employees", settings.metabase_employees))
        if given is not None and given.strip()
    }
    address, values = web_address(settings), load_filter_values()
    return Desired(
        settings=_by_key(wanted_settings(settings)),
        database=wanted_database(settings),
        collections=_by_key(wanted_collections()),
        questions=_by_key([*wanted_questions(catalogue, mails, engine_is_known), *wanted_values(values)]),
        dashboards=_by_key(
            wanted_dashboard(each, catalogue, address, values) for each in catalogue.dashboards.values()
        ),
        alerts=_by_key(wanted_alert(alert) for alert in mails.alerts.values()),
        reports=_by_key(wanted_report(each, catalogue.dashboards[each.dashboard]) for each in mails.reports.values()),
        descriptions=_by_key(wanted_description(name, words) for name, words in descriptions.items()),
        admin_email=settings.metabase_admin_email,
        people=people,
        secrets={
            "database": settings.bi_password,
            **({"mail": settings.smtp_password} if settings.smtp_password else {}),
        },
    )


def marked(text: str, key: str) -> str:
    """A description with our mark."""
    return f"{text}\n\n{MARK.format(key)}" if text else MARK.format(key)


def mark_of(description: str | None) -> str | None:
    """The key a description names, if it is one of ours."""
    found = MARKED.search(description or "")
    return found[1] if found else None


def read_people(text: str, setting: str) -> dict[str, Person]:
    """
    People by address in small letters.

    Errors: SettingsError when something in the list is no address.
    """
    pairs = getaddresses([text])
    wrong = [address or name for name, address in pairs if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address)]
    if wrong or not pairs:
        raise SettingsError(
            f"PANPAN_{setting.upper()} holds no list of people",
            cause=f"not an address: {', '.join(map(repr, wrong))}",
            next='write it like "Ada Bell <ada@shop.example>, ben@shop.example"',
        )
    return {address.lower(): Person(address.lower(), name) for name, address in pairs}


def load_filter_values(folder: Path = FOLDER) -> dict[str, Question]:
    """Questions whose first column is what a filter offers, by the filter's name."""
    return {path.stem: load_question(path) for path in sorted((folder / "filters").glob("*.yaml"))}


def web_address(settings: Settings) -> str:
    """Where our own pages are, for links."""
    return (settings.web_url or f"http://127.0.0.1:{settings.web_port}").rstrip("/")


def wanted_settings(settings: Settings) -> Iterable[Wanted]:
    """Settings of the instance; `mail` stands for its mail server."""
    values: Content = {
        "site-name": "PanPan",
        "site-url": (settings.metabase_site_url or settings.metabase_url or "").rstrip("/") or None,
        "report-timezone": settings.report_time_zone,
        "start-of-week": "monday",
        "enable-public-sharing": False,
        "enable-embedding-static": False,
        "anon-tracking-enabled": False,
    }
    if settings.mail_from:
        name, address = parseaddr(settings.mail_from)
        if "@" not in address:
            raise SettingsError(f"PANPAN_MAIL_FROM is no address: {settings.mail_from!r}")
        values["email-from-address"] = address
        values |= {"email-from-name": name} if name else {}
    for key, value in values.items():
        if value is not None:
            yield Wanted(f"setting/{key}", f"setting {key}", {"value": value})
    if settings.smtp_host:
        mail: Content = {
            "email-smtp-host": settings.smtp_host,
            "email-smtp-port": settings.smtp_port,
            "email-smtp-security": settings.smtp_security,
            "email-smtp-username": settings.smtp_username,
        }
        secret = {"secret": "as set"} if settings.smtp_password else {}
        yield Wanted("setting/mail", f"mail server {settings.smtp_host}", mail | secret)


def wanted_database(settings: Settings) -> Wanted:
    """The marts, as role bi, and no other schema."""
    details = {
        "host": settings.metabase_database_host or settings.database_host,
        "port": settings.metabase_database_port or settings.postgres_port,
        "dbname": settings.database_name,
        "user": "bi",
        "schema-filters-type": "inclusion",
        "schema-filters-patterns": SCHEMA,
    }
    return Wanted("database/marts", f"database {DATABASE_NAME}", {"name": DATABASE_NAME, **details, "secret": "as set"})


def wanted_collections() -> Iterable[Wanted]:
    """Our collections, parents first."""
    for name, (title, parent, purpose) in COLLECTIONS.items():
        key = f"collection/{name}"
        content = {"name": title, "description": marked(purpose, key), "parent": parent or "root"}
        yield Wanted(key, f"collection {title}", content)


def access_of(group: str) -> dict[str, str]:
    """What a group may do in each of our collections."""
    reads = {"Owners": tuple(COLLECTIONS), "Employees": EMPLOYEES_READ}.get(group, ())
    return {name: "read" if name in reads else "none" for name in COLLECTIONS}


def audience(dashboard: Dashboard) -> str:
    """Which part of the collections a dashboard belongs to."""
    return "owners" if dashboard.readers.strip().lower() in ONLY_OWNERS else "everyone"


def wanted_questions(catalogue: Catalogue, mails: Mails, engine_is_known: bool) -> Iterable[Wanted]:
    """The cards of the dashboards and of the alerts."""
    for_everyone = {
        name for d in catalogue.dashboards.values() if audience(d) == "everyone" for name in d.question_names()
    }
    for_everyone |= {FRESHNESS} if for_everyone else set()
    for question in catalogue.questions.values():
        place = "everyone_questions" if question.name in for_everyone else "owners_questions"
        yield wanted_question(question, f"question/{question.name}", place, question.sql)
    for name, question in mails.questions.items():
        alert = mails.alerts[name]
        sql = alert_sql(question, alert, engine_is_known=engine_is_known)
        yield wanted_question(question, f"question/alert-{name}", "owners_alerts", sql, alert.why)


def wanted_values(values: Mapping[str, Question]) -> Iterable[Wanted]:
    """The cards filters take their lists from; whoever sees a dashboard must see them."""
    for name, question in values.items():
        yield wanted_question(question, f"question/values-{name}", "everyone_questions", question.sql)


def wanted_question(question: Question, key: str, collection: str, sql: str, why: str | None = None) -> Wanted:
    """One card, with what it means and who owns it in its description."""
    tags = template_tags(question.name, sql)
    words = [
        *([why] if why else []),
        question.question,
        question.definition,
        f"Owner: {question.owner}. Unit: {question.unit}. System of record: {question.system_of_record}.",
        f"Reads {', '.join(question.reads)}.",
        *([plan_words(question.metric, question.cells)] if question.metric and question.cells else []),
    ]
    content = {
        "name": question.title,
        "description": marked("\n\n".join(words), key),
        "type": "question",
        "collection": collection,
        "database": DATABASE_NAME,
        "display": display_of(question),
        "sql": sql,
        "tags": {name: {k: v for k, v in tag.items() if k != "id"} for name, tag in tags.items()},
        "parameters": [card_parameter(tag) for tag in tags.values()],
        "settings": settings_of(question),
        "archived": False,
        "public": False,
    }
    return Wanted(key, f"question {question.title}", content)


def plan_words(metric: str, cells: Cells) -> str:
    """Which definition a card's figures come from, and the plan of all of them."""
    plan = base_plan(metric, cells)
    return f"Metric {metric}, version {plan.metric.version}. Plan of all its days: {plan.plan_id}."


def card_parameter(tag: Content) -> Content:
    """A template tag as Metabase lists it among the card's parameters."""
    return {
        "id": tag["id"],
        "type": "date/single" if tag["type"] == "date" else "string/=",
        "target": ["variable", ["template-tag", tag["name"]]],
        "name": tag["display-name"],
        "slug": tag["name"],
    }


def wanted_dashboard(
    dashboard: Dashboard, catalogue: Catalogue, address: str, values: Mapping[str, Question]
) -> Wanted:
    """A dashboard with its tabs, filters and cards."""
    key = f"dashboard/{dashboard.name}"
    tabs = [tab.title for tab in dashboard.tabs] if len(dashboard.tabs) > 1 else []
    offered = [each.name for each in dashboard.filters]
    cards = [
        wanted_dashcard(card, tab.title if tabs else None, catalogue, offered, address)
        for number, tab in enumerate(dashboard.tabs)
        for card in (*tab.cards, *([] if number else freshness_cards(dashboard)))
    ]
    content = {
        "name": dashboard.title,
        "description": marked(f"{dashboard.description}\n\nFor: {dashboard.readers}.", key),
        "collection": audience(dashboard),
        "width": "full",
        "auto_apply_filters": True,
        "parameters": [dashboard_parameter(each, values.get(each.name)) for each in dashboard.filters],
        "tabs": tabs,
        "cards": in_reading_order(cards),
        "archived": False,
        "public": False,
    }
    return Wanted(key, f"dashboard {dashboard.title}", content)


def freshness_cards(dashboard: Dashboard) -> list[Card]:
    """How fresh each source is, below the first tab; nothing where the dashboard shows it already."""
    if FRESHNESS in dashboard.question_names():
        return []
    end = max(card.row + card.size_y for card in dashboard.tabs[0].cards)
    return [Card(question=FRESHNESS, row=end, col=0, size_x=GRID_COLUMNS, size_y=FRESHNESS_ROWS)]


def in_reading_order(cards: Iterable[Content]) -> list[Content]:
    """Metabase gives dashcards in no order of ours, so both sides are sorted."""
    return sorted(cards, key=lambda c: (c["tab"] or "", c["row"], c["col"], c["shows"]))


def dashboard_parameter(filter_: Filter, values: Question | None) -> Content:
    """A filter of a dashboard. One value at a time: our statements compare with `=`."""
    content: Content = {"id": f"p_{filter_.name}", "name": filter_.title, "slug": filter_.name, "type": filter_.type}
    if filter_.type != "string/=":
        return content | {"sectionId": "date"}
    content |= {"sectionId": "string", "isMultiSelect": False}
    if values is None:
        return content | {"values_query_type": "none"}
    source = {"card": f"question/values-{filter_.name}", "column": values.columns[0].name}
    return content | {"values_query_type": "list", "values_source_type": "card", "values": source}


def wanted_dashcard(card: Card, tab: str | None, catalogue: Catalogue, offered: list[str], address: str) -> Content:
    """A place on the grid; `shows` names what is there and tells it from its neighbours."""
    place = {"tab": tab, "row": card.row, "col": card.col, "size_x": card.size_x, "size_y": card.size_y}
    if card.question is None:
        words = card.heading if card.heading is not None else card.text
        kind = "heading" if card.heading is not None else "text"
        return place | {"shows": f"{kind}: {words}", "mappings": [], "settings": virtual_settings(kind, words or "")}
    question = catalogue.questions[card.question]
    return place | {
        "shows": f"question/{question.name}",
        "mappings": sorted([f"p_{name}", name] for name in question.parameters if name in offered),
        "settings": link_settings(question, receipts_link(question, address)),
    }


def receipts_link(question: Question, address: str) -> str:
    """Our page of the receipts; what was clicked is named by columns, which Metabase fills in."""
    columns = [question.cells.name(name) for name in question.cells.by] if question.cells else []
    clicked = "&".join(f"{name}={{{{{name}}}}}" for name in columns)
    return f"{address}/receipts/question/{question.name}" + (f"?{clicked}" if clicked else "")


def virtual_settings(kind: str, words: str) -> Content:
    """Settings of a heading or a text."""
    virtual: Content = {
        "name": None,
        "display": kind,
        "visualization_settings": {},
        "dataset_query": {},
        "archived": False,
    }
    settings: Content = {"virtual_card": virtual, "text": words}
    return settings | {"dashcard.background": False} if kind == "heading" else settings


def wanted_alert(alert: Alert) -> Wanted:
    """A notification on the alert's own card."""
    content = {
        "question": f"question/alert-{alert.name}",
        "condition": alert.condition,
        "schedule": alert.schedule,
        "to": sorted(recipient_name(each) for each in alert.to),
        "active": True,
    }
    return Wanted(f"alert/{alert.name}", f"alert {alert.title}", content)


def recipient_name(recipient: Recipient) -> str:
    """A group by its name, an address as it is."""
    return f"group {GROUPS[recipient]}" if recipient in GROUPS else recipient.lower()


def wanted_report(report: Report, dashboard: Dashboard) -> Wanted:
    """A dashboard subscription; Metabase wants each card of the dashboard named."""
    shown = [*dashboard.question_names(), *(card.question or "" for card in freshness_cards(dashboard))]
    content = {
        "name": report.title,
        "dashboard": f"dashboard/{report.dashboard}",
        "cards": sorted(f"question/{name}" for name in shown),
        "every": report.every,
        "hour": report.hour,
        "weekday": report.weekday,
        "to": sorted(report.to),
        "enabled": True,
    }
    return Wanted(f"report/{report.name}", f"report {report.title}", content)


def wanted_description(table: str, words: TableWords) -> Wanted:
    """What Metabase says of a table and its columns."""
    content = {"description": words.description, "columns": dict(words.columns)}
    return Wanted(f"description/{table}", f"description of {SCHEMA}.{table}", content)


def _by_key(wanted: Iterable[Wanted]) -> dict[str, Wanted]:
    return {each.key: each for each in wanted}
