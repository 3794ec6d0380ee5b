"""
What stands in a Metabase that did not come from files: rogue questions with their authors, and doors left open.

Comes in: the server. Goes out: findings; changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from metabase.actual import Actual, Row, native_query
from metabase.client import Client
from metabase.desired import GROUPS, SCHEMA, Desired, mark_of
from metabase.parameters import NOT_CODE

_NAME = r"\"?[\w$]+\"?(?:\s*\.\s*\"?[\w$]+\"?)*"
TABLES = re.compile(rf"\b(?:from|join)\s+(?:only\s+)?({_NAME}(?:(?:\s+(?:as\s+)?\w+)?\s*,\s*{_NAME})*)", re.IGNORECASE)
FIRST_NAME = re.compile(rf"\s*({_NAME})")
STEP = re.compile(
    r"(?:\bwith\s+(?:recursive\s+)?|,\s*)(\"?\w+\"?)\s*(?:\([^)]*\)\s*)?as\s*(?:not\s+)?(?:materialized\s*)?\(",
    re.IGNORECASE,
)
# A `from` that is no table's: extract(year from day), is distinct from.
OTHER_FROM = re.compile(r"\b(?:extract|substring|trim|overlay)\s*\([^()]*?\bfrom\b|\bdistinct\s+from\b", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One thing an owner should look at: what, where, who made it, why it matters."""

    what: str
    title: str
    id: int | None
    author: str | None
    why: str

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def audit(client: Client, desired: Desired, certified: set[str]) -> list[Finding]:
    """
    Everything found, questions first.

    certified: the marts a question may read, such as marts.daily_store_sales.
    """
    actual = Actual(client)
    authors = Authors(actual)
    findings = [f for card in actual.all_cards() for f in card_findings(card, actual, authors, desired, certified)]
    findings += board_findings(actual, authors)
    findings += right_findings(actual)
    findings += instance_findings(actual)
    return findings


class Authors:
    """Who made something, in words."""

    def __init__(self, actual: Actual) -> None:
        self._by_id = {int(row["id"]): row for row in actual.users().values()}

    def of(self, row: Row) -> str | None:
        creator = row.get("creator") or self._by_id.get(row.get("creator_id") or 0) or {}
        name = " ".join(part for part in (creator.get("first_name"), creator.get("last_name")) if part)
        email = creator.get("email")
        return f"{name} <{email}>".strip() if email else name or None


def card_findings(card: Row, actual: Actual, authors: Authors, desired: Desired, certified: set[str]) -> list[Finding]:
    """What is wrong with one question: where it lies, what it reads, whom it is shared with."""
    ours = {int(row["id"]) for row in actual.cards().values()}
    found = []
    if card["id"] not in ours or mark_of(card.get("description")) not in desired.questions:
        found.append(f"not from files: {place_of(card, actual)}")
    unread = sorted(tables_of(card, actual) - certified)
    if unread:
        found.append(f"reads {', '.join(unread)}, which is no certified mart")
    if card.get("public_uuid"):
        found.append("anybody with its public link can see it")
    if card.get("enable_embedding"):
        found.append("it can be shown inside other pages")
    return [Finding("question", card["name"], int(card["id"]), authors.of(card), why) for why in found]


def place_of(card: Row, actual: Actual) -> str:
    """In which collection a card lies, in words."""
    number = card.get("collection_id")
    if number in actual.collection_names():
        return "made by hand inside our collections, or a copy"
    titles = {row["id"]: row["name"] for row in actual.collection_rows()}
    return "at the root" if number is None else f"in collection {titles.get(number, number)!r}"


def tables_of(card: Row, actual: Actual) -> set[str]:
    """The tables a card reads, as far as can be told: of SQL by its text, else by Metabase's list of tables."""
    sql, _, database_id = native_query(card)
    database = actual.database()
    if database is None or database_id != database["id"]:
        names = {row["id"]: row["name"] for row in actual.databases()}
        return {f"database {names.get(database_id, database_id)}"}
    if sql is not None:
        return sql_tables(sql)
    return {table_name(number, actual, int(database["id"])) for number in source_tables(card.get("dataset_query"))}


def sql_tables(sql: str) -> set[str]:
    """Every table after from or join, without the steps of the statement itself."""
    code = NOT_CODE.sub(lambda match: match[0] if match[0].startswith('"') else " ", sql)
    code = re.sub(r"/\*.*?\*/", " ", code, flags=re.DOTALL)
    steps = {name.strip('"').lower() for name in STEP.findall(code)}
    lists = TABLES.findall(OTHER_FROM.sub(" ", code))
    firsts = [match[1] for each in lists for part in each.split(",") if (match := FIRST_NAME.match(part))]
    return {re.sub(r"\s|\"", "", name).lower() for name in firsts} - steps


def source_tables(query: Any) -> set[int | str]:
    """Every `source-table` anywhere in a query made without SQL."""
    if isinstance(query, list):
        return set().union(*(source_tables(each) for each in query)) if query else set()
    if not isinstance(query, dict):
        return set()
    own = {query["source-table"]} if "source-table" in query else set()
    own |= {f"card {query['source-card']}"} if "source-card" in query else set()
    return own.union(*(source_tables(each) for each in query.values()))


def table_name(number: int | str, actual: Actual, database_id: int) -> str:
    """schema.table of Metabase's table id; questions built on questions are named as such."""
    for table in actual.tables(database_id):
        if table["id"] == number:
            return f"{table.get('schema')}.{table['name']}"
    return str(number).replace("card__", "card ") if isinstance(number, str) else f"table {number}"


def board_findings(actual: Actual, authors: Authors) -> list[Finding]:
    """Dashboards in our collections that are not ours, or are public."""
    strangers = {row["id"] for row in actual.strange_dashboards()}
    findings = []
    for row in actual.all_dashboards():
        whys = ["made by hand inside our collections, or a copy"] if row["id"] in strangers else []
        whys += ["anybody with its public link can see it"] if row.get("public_uuid") else []
        findings += [Finding("dashboard", row["name"], int(row["id"]), authors.of(row), why) for why in whys]
    return findings


def right_findings(actual: Actual) -> list[Finding]:
    """Groups that may do more than look, on any database or collection."""
    managed = {title: number for title, number in actual.group_ids().items() if title in GROUPS.values()}
    managed["All Users"] = actual.magic_group("all-internal-users")
    databases = {str(row["id"]): row["name"] for row in actual.databases()}
    titles = {str(row["id"]): row["name"] for row in actual.collection_rows()} | {"root": "Our analytics"}
    ours = {str(number) for number in actual.collection_ids().values()}
    findings = []
    for group, number in managed.items():
        for database, cell in (actual.data_graph()["groups"].get(str(number)) or {}).items():
            level = cell.get("create-queries", "no")
            if level != "no":
                why = f"may query database {databases.get(database, database)}: {level}"
                findings.append(Finding("group", group, number, None, why))
        for place, level in (actual.collection_graph()["groups"].get(str(number)) or {}).items():
            if level != "none" and place not in ours:
                why = f"may {level} collection {titles.get(place, place)!r}, which is not ours"
                findings.append(Finding("group", group, number, None, why))
    return findings


def instance_findings(actual: Actual) -> list[Finding]:
    """Open sharing, examples, and everybody who may change anything."""
    properties = actual.properties()
    findings = []
    if properties.get("enable-public-sharing"):
        findings.append(Finding("setting", "enable-public-sharing", None, None, "public links can be made"))
    if properties.get("setup-token") is not None:
        findings.append(Finding("setting", "setup-token", None, None, "the set-up token is told to everybody"))
    for row in actual.databases():
        if row.get("is_sample"):
            findings.append(Finding("database", row["name"], int(row["id"]), None, "Metabase's examples are there"))
        elif row["id"] != (actual.database() or {}).get("id"):
            why = f"not from files; questions on it read outside schema {SCHEMA}"
            findings.append(Finding("database", row["name"], int(row["id"]), None, why))
    return findings


def administrators(client: Client) -> list[str]:
    """Addresses of everybody who may change anything."""
    users = Actual(client).users().items()
    return sorted(email for email, row in users if row.get("is_superuser") and row.get("is_active", True))
