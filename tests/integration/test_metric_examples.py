"""The edge cases of every definition hold, and one that does not is told."""

from __future__ import annotations

from typing import Any

import pytest

from panpan.errors import ContractError
from panpan.settings import Settings
from transforms.examples import run_examples
from transforms.metrics import Example, find_metric, load_metrics


def test_every_example_of_the_catalogue_holds_and_nothing_of_them_stays(warehouse: Settings, ask: Any) -> None:
    outcomes = run_examples(warehouse, load_metrics().values())

    assert [each for each in outcomes if not each.is_met] == []
    assert {each.metric for each in outcomes} == set(load_metrics())
    assert ask("select count(*) from core.sales") == ask("select count(*) from marts.daily_store_sales") == [(0,)]


def test_example_that_is_wrong_is_told_with_what_it_gave(warehouse: Settings) -> None:
    revenue = find_metric("revenue")
    wrong = Example(says="A sale brings more than it does.", given={"sales": [{"net_amount": "1.00"}]}, gives="2.00")
    unknown = Example(says="Made up.", given={"sales": [{"moon_phase": "full"}]}, gives="1.00")

    [outcome] = run_examples(warehouse, [revenue.model_copy(update={"examples": [wrong]})])
    assert (outcome.is_met, str(outcome.found)) == (False, "1.00")
    with pytest.raises(ContractError, match="moon_phase"):
        run_examples(warehouse, [revenue.model_copy(update={"examples": [unknown]})])
