"""Personal data in the warehouse: every column classified, masks in SQL and Python alike, rejects shown masked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from typer.testing import CliRunner

from db.connection import connect
from db.pii import Mask, masked, masked_sql
from panpan.cli.app import assembled
from panpan.settings import Settings
from transforms.rejects import rejected_records
from transforms.run import run

app = assembled()

Ask = Callable[..., list[tuple[Any, ...]]]

TEXTS = ("Ana María López", "O'Neill-Smith 3rd", "", " x", "ana@example.org", " ana@b@c.org", "@", "12345", "1234",
         "+34 600 111 222", "名前", "a\nb@c", None)  # fmt: skip
MASKS: tuple[Mask, ...] = ("name", "email", "digits", "hidden")


def test_every_column_of_the_warehouse_is_classified(warehouse: Settings, ask: Ask) -> None:
    words = ["pii", "list", "--json", "--home", str(warehouse.home)]
    well = CliRunner().invoke(app, words)
    ask("create table ops.visitors (visitor_id bigint, shoe_size integer)")
    ill = CliRunner().invoke(app, words)

    answer = json.loads(well.stdout)
    assert answer["unclassified"] == [], "say in db/pii.yaml what these columns tell of a person"
    assert answer["columns"] > 500
    assert {"schema": "core", "table": "customers", "column": "email", "class": "direct", "mask": "email"} in answer[
        "rows"
    ]
    assert (ill.exit_code, json.loads(ill.stdout)["unclassified"]) == (
        3,
        ["ops.visitors.visitor_id", "ops.visitors.shoe_size"],
    )


def test_the_masks_say_the_same_in_sql_and_in_python(ask: Ask, warehouse: Settings) -> None:
    for mask in MASKS:
        with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
            statement = masked_sql("text", mask).as_string(connection)
            cursor.execute(f"select text, {statement} from unnest(%s) as text", (list(TEXTS),))  # noqa: S608  # our own
            by_sql = dict(cursor.fetchall())
        assert by_sql == {text: masked(text, mask) for text in TEXTS}, mask


def test_rejects_are_shown_masked_and_clear_only_when_asked_for(warehouse: Settings, deliver: Any) -> None:
    contact = {"id": None, "properties": {"firstname": "Ana", "email": "ana@example.org"}}
    deliver("crm", json.dumps({"results": [contact]}), "contacts")
    run(warehouse)
    words = ["rejects", "show", "crm", "--json", "--home", str(warehouse.home)]

    [shown] = json.loads(CliRunner().invoke(app, words).stdout)["rows"]
    [clear] = json.loads(CliRunner().invoke(app, [*words, "--clear"]).stdout)["rows"]

    assert shown["payload"]["properties"] == {"firstname": "A.", "email": "a***@***"}
    assert clear["payload"]["properties"] == {"firstname": "Ana", "email": "ana@example.org"}
    assert rejected_records(warehouse, "crm", 1)[0]["payload"] == shown["payload"]
