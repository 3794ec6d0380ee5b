"""
The command forecast: what the sales of the next days may be, always with its error.
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.errors import UsageError
from panpan.settings import load_settings
from transforms.periods import business_today
from transforms.sales_forecast import Expected, Outlook, Since, read_outlook, refresh_forecast

commands = typer.Typer(name="forecast", help="What the next days may bring, with its error.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module as `forecast`."""
    app.add_typer(commands, name="forecast")


@commands.callback()
def forecasts() -> None:
    """Keeps `sales` a command of its own."""


@commands.command("sales")
def sales(
    store: Annotated[str | None, typer.Option("--store", help="Only this store, by its id.")] = None,
    backtest: Annotated[bool, typer.Option("--backtest", help="Only how far off: in the test, and since.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Say what revenue is expected of each store in the next two weeks, and how far off that may be.

    By the model that was least off on days it had not seen; beside it, how far off earlier forecasts of the days that
    have come were. What is expected is kept, and worked out again only when days have come or changed.

    Example: panpan forecast sales --store centro --backtest
    """
    settings = load_settings(home=home)
    today = business_today(settings)
    with output.step("looking for days that have come or changed"):
        refresh_forecast(settings, today)
    found = _of_store(read_outlook(settings, today), store)
    if as_json:
        left_out = [asdict(each) for each in found.left_out]
        output.print_json({"stores": [_facts(each) for each in found.stores], "left_out": left_out})
        return
    if not backtest:
        rows = [[each.store, day, amount, each.currency_code] for each in found.stores for day, amount in each.days]
        output.print_table("revenue expected", ["store", "day", "amount", "currency"], rows)
    output.print_table(
        "how far off each model was in its test",
        ["store", "model", "off by a day", "of what was sold", "days", ""],
        [row for each in found.stores for row in _test_rows(each)],
    )
    if met := [_since_row(each, each.since) for each in found.stores if each.since]:
        output.print_table(
            "how far off the forecasts of the last two weeks were",
            ["store", "in the test off by", "since then off by", "of what was sold", "days", "forecasts"],
            met,
        )
    for each in found.stores:
        made = f"from the days to {each.made_on}, plan {each.plan_id}"
        output.results.print(f"{each.store}: {each.says}; {made}", highlight=False, markup=False)
    for without in found.left_out:
        output.results.print(f"{without.store}: no forecast, {without.reason}", highlight=False, markup=False)


def _of_store(outlook: Outlook, store: str | None) -> Outlook:
    """
    The stores asked for.

    Errors: UsageError when nothing is known of them, or when none of them has a forecast.
    """
    stores = tuple(each for each in outlook.stores if store in (None, each.store))
    left_out = tuple(each for each in outlook.left_out if store in (None, each.store))
    if not stores and not left_out:
        raise UsageError("no sales are known", cause=f"of store {store}" if store else None)
    if not stores:
        raise UsageError("there is no forecast", cause="; ".join(f"{each.store}: {each.reason}" for each in left_out))
    return Outlook(stores, left_out)


def _facts(found: Expected) -> dict[str, Any]:
    """What JSON says of a store; what it sold before is panpan value's to say."""
    return {**{name: value for name, value in asdict(found).items() if name != "history"}, "last_known": found.made_on}


def _test_rows(found: Expected) -> list[list[Any]]:
    return [
        [
            found.store,
            error.model,
            f"{error.mae} {found.currency_code}",
            _share(error.wape),
            found.tested_days,
            "chosen" if error.model == found.model else "",
        ]
        for error in found.errors
    ]


def _since_row(found: Expected, since: Since) -> list[Any]:
    return [
        found.store,
        f"{found.errors[0].mae} {found.currency_code}",
        f"{since.mae} {found.currency_code}",
        _share(since.wape),
        since.days,
        since.forecasts,
    ]


def _share(wape: Decimal | None) -> str:
    return "unknown" if wape is None else f"{100 * wape:.1f} %"
