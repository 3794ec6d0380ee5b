"""
The command forecast: what the sales of the next days may be, always with its error.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from panpan.cli import output
from panpan.cli.options import AsJson, Home
from panpan.settings import load_settings
from transforms.forecast import Forecast, forecast_sales
from transforms.periods import business_today

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
    backtest: Annotated[bool, typer.Option("--backtest", help="Only how far each model was off.")] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """
    Forecast the revenue of the next two weeks per store, by the model that was least off on days it had not seen.

    Example: panpan forecast sales --store centro --backtest
    """
    settings = load_settings(home=home)
    with output.step("testing models"):
        found = forecast_sales(settings, business_today(settings), store)
    if as_json:
        output.print_json({"stores": [{k: v for k, v in asdict(each).items() if k != "history"} for each in found]})
        return
    if not backtest:
        rows = [[each.store, day, amount, each.currency_code] for each in found for day, amount in each.days]
        output.print_table("revenue expected", ["store", "day", "amount", "currency"], rows)
    output.print_table(
        f"tested on {found[0].tested_days} days each",
        ["store", "model", "off by a day", "of what was sold", ""],
        [row for each in found for row in _errors(each)],
    )
    for each in found:
        output.results.print(f"{each.store}: {each.says}", highlight=False, markup=False)


def _errors(found: Forecast) -> list[list[str]]:
    return [
        [
            found.store,
            error.model,
            f"{error.mae:.2f} {found.currency_code}",
            "unknown" if error.wape is None else f"{100 * error.wape:.1f} %",
            "chosen" if error.model == found.model else "",
        ]
        for error in found.errors
    ]
