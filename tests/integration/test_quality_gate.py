"""A load that would make the figures wrong is held back alone; what the database refuses of one load stops no other."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms import run as flow
from transforms.quality.gate import release
from transforms.rejects import receive_again
from transforms.run import run

app = assembled()

Deliver = Callable[..., int]
Ask = Callable[..., list[tuple[Any, ...]]]
HEADER = "Transaction ID,Event Type,Date,Time,Location,SKU,Item,Qty,Gross Sales,Discounts,Net Sales,Tax,Payment ID\n"


def export(day: str, price: str = "2.00", receipts: int = 12, item: str = "Bun") -> str:
    """A day of one store, each receipt of one line."""
    return HEADER + "".join(
        f"{day}-{n},Payment,{day},09:{n:02d}:00,PanPan Centro,B,{item},1,€{price},€0.00,€{price},€0.20,P{day}{n}\n"
        for n in range(receipts)
    )


def loads(ask: Ask) -> list[tuple[Any, ...]]:
    return ask("select status, held_by from ops.loads order by load_id")


def revenue(ask: Ask) -> dict[str, Decimal]:
    return dict(ask("select business_date::text, sum(net_amount) from marts.daily_store_sales group by 1 order by 1"))


def test_a_file_of_the_future_is_held_back_and_its_neighbours_are_in(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    for day in ("2026-06-01", "2026-06-02", "2126-06-03", "2026-06-04"):
        deliver("pos", export(day))

    report = run(warehouse)

    assert (report.loads, report.refused, report.held) == (3, 1, 1)
    assert (
        "held back by check core_no_sale_in_the_future: pos receipt 2126-06-03-0: dated 2126-06-03"
        in report.refusals[0]
    )
    assert loads(ask) == [
        ("loaded", None),
        ("loaded", None),
        ("refused", "core_no_sale_in_the_future"),
        ("loaded", None),
    ]
    assert list(revenue(ask)) == ["2026-06-01", "2026-06-02", "2026-06-04"]
    assert ask("select status, load_ids from ops.runs where status <> 'done'") == [("blocked", [3])]
    assert run(warehouse).loads == 0  # it is not tried for ever


def test_cents_taken_for_euros_are_held_back_and_the_last_good_state_stays(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    for day in range(1, 10):
        deliver("pos", export(f"2026-06-0{day}"))
    run(warehouse)
    before = revenue(ask)
    held = deliver(
        "pos", export("2026-06-09", price="200.00") + export("2026-06-10", price="200.00").removeprefix(HEADER)
    )

    report = run(warehouse)

    assert report.held == 1
    assert "centro 2026-06-09: 200.00 in the middle, usually 2.00 on average" in report.refusals[0]
    assert revenue(ask) == before

    assert release(warehouse, held, "Ana") == "core_amounts_are_of_the_usual_size"
    assert run(warehouse).loads == 1
    assert revenue(ask)["2026-06-10"] == 2400
    assert ask("select status, held_by, released_by from ops.loads where load_id = %s", held) == [
        ("loaded", None, "Ana")
    ]
    with pytest.raises(UsageError, match="no check holds load"):
        release(warehouse, held, "Ana")


def test_a_held_load_is_judged_again_when_it_is_replayed(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    deliver("pos", export("2126-06-03"))
    run(warehouse)

    assert receive_again(warehouse, "pos") == 1
    assert run(warehouse).held == 1


def test_a_later_file_of_a_released_day_is_not_held_back_for_it(
    warehouse: Settings, deliver: Deliver, ask: Ask
) -> None:
    """Overlapping exports bring the same receipts again every day."""
    held = deliver("pos", export("2126-06-03"))
    run(warehouse)
    release(warehouse, held, "Ana")
    run(warehouse)
    deliver("pos", export("2126-06-03") + export("2026-06-04").removeprefix(HEADER))

    assert run(warehouse).held == 0
    assert list(revenue(ask)) == ["2026-06-04", "2126-06-03"]


def test_a_wrong_figure_of_our_own_making_is_never_shown(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in a mart's select, as a later version of the program could have."""
    deliver("pos", export("2026-06-01"))
    publish = flow.publish_figures

    def wrong(connection: Any, parameters: Any) -> int:
        with connection.cursor() as cursor:
            cursor.execute("update marts.daily_store_sales set net_amount = net_amount + 0.01")
        return publish(connection, parameters)

    monkeypatch.setattr(flow, "publish_figures", wrong)

    assert run(warehouse).held == 1
    assert loads(ask) == [("refused", "marts_day_equals_receipts")]
    assert revenue(ask) == {}


def test_what_the_database_refuses_of_one_load_stops_no_other(warehouse: Settings, deliver: Deliver, ask: Ask) -> None:
    """One file in five violates a constraint; each of the others is taken."""
    ask("alter table core.sale_lines add constraint nobody_foresaw_this_check check (product_name <> 'Poison')")
    for day in range(1, 6):
        deliver("pos", export(f"2026-06-0{day}", item="Poison" if day == 4 else "Bun"))
    deliver("crm", '{"results": [{"id": "1", "properties": {"firstname": "Ana"}}]}', "contacts")

    report = run(warehouse)

    assert (report.loads, report.refused, report.held) == (5, 1, 0)
    assert "nobody_foresaw_this_check" in report.refusals[0]
    assert [status for status, _ in loads(ask)] == ["loaded"] * 3 + ["refused"] + ["loaded"] * 2
    assert ask("select status from ops.runs where status <> 'done'") == [("failed",)]
    assert not list(warehouse.formatted.rglob("*.part"))


def test_an_error_that_is_no_loads_fault_refuses_none(
    warehouse: Settings, deliver: Deliver, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours in a statement would otherwise refuse every file there is."""
    deliver("pos", export("2026-06-01"))
    monkeypatch.setattr(flow, "AFFECTED_DAYS", "select no_such_column from core.sales")

    with pytest.raises(psycopg2.errors.UndefinedColumn):
        run(warehouse)

    assert loads(ask) == [("received", None)]


def test_release_is_a_command(warehouse: Settings, deliver: Deliver) -> None:
    held = deliver("pos", export("2126-06-03"))
    run(warehouse)

    answer = CliRunner().invoke(app, ["quality", "release", str(held), "--home", str(warehouse.home)])

    assert answer.stdout.strip() == f"load {held} is let in despite core_no_sale_in_the_future"
