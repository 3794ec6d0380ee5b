"""A shortage and its end, told by mail from what the inventory system says and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest
from aiosmtpd.controller import Controller

from panpan import shortage
from panpan.alerting.evaluate import evaluate
from panpan.local.mail_catcher import Catcher
from panpan.settings import Settings
from panpan.simulate.catalogue import reorder_level
from panpan.simulate.inventory_api import whole_answers
from panpan.simulate.world import World
from transforms.run import run

UNTIL = date(2025, 10, 20)


@pytest.fixture
def shop(warehouse: Settings) -> Iterator[Settings]:
    """A simulated home whose mails are caught."""
    settings = warehouse.model_copy(update={"simulated": True})
    controller = Controller(Catcher(settings.caught_mails), hostname="127.0.0.1", port=settings.mail_port)
    controller.start()
    yield settings
    controller.stop()


def load(shop: Settings, world: World, deliver: Callable[..., int]) -> None:
    """What the inventory system tells at the end of the world's last day, into the model."""
    for entity, content in whole_answers(world):
        deliver("inventory", content, entity, settings=shop)
    run(shop)


def test_a_delivery_that_was_loaded_ends_the_alert_it_lifts(
    shop: Settings, deliver: Callable[..., int], ask: Callable[..., list[tuple[str, ...]]]
) -> None:
    world = World(until=UNTIL)
    day = shortage.shortage_day(world)
    assert day is not None
    assert shortage.is_untouched(shop)

    load(shop, World(until=day), deliver)
    assert not shortage.is_untouched(shop)
    shortage.judge_at_the_end_of(shop, day)
    load(shop, world, deliver)
    shortage.judge_at_the_end_of(shop, UNTIL)
    told = shortage.deliver(shop)

    assert told[0].startswith("Alert: Low on stock")
    assert any(subject.startswith("Over: Low on stock") for subject in told)
    ends = ask("select title, value, level from ops.alert_events where notice = 'recovered'")
    assert ends
    assert all(value >= level for _, value, level in ends)
    assert len(list(shop.caught_mails.glob("*.eml"))) == len(told)


def test_a_day_of_shortage_is_one_at_whose_end_something_was_short_that_is_there_again() -> None:
    world = World(until=UNTIL)
    day = shortage.shortage_day(world)
    assert day is not None

    then, now = World(until=day).stock.levels, world.stock.levels
    again = {
        place
        for place, level in then.items()
        if level < reorder_level(*place) and now[place] >= 1.1 * reorder_level(*place)
    }
    later = World(until=date.fromordinal(day.toordinal() + 1)).stock.levels

    assert again
    assert not {place for place in again if later[place] < reorder_level(*place)}


def test_the_worker_judges_nothing_while_the_demo_holds_the_alerts(shop: Settings) -> None:
    with shortage.alerts_held(shop):
        assert evaluate(shop, datetime.now(UTC)).busy
    assert not evaluate(shop, datetime.now(UTC), []).busy
