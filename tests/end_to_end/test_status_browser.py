"""
The pages that say how far figures can be trusted, as an owner sees them: status (well, in trouble, without a database),
questions, receipts, reconciliation, catalogue; in Chromium, on a desktop and on a phone, by mouse and by keyboard.

The screenshots stay in the folder named by PANPAN_SCREENSHOTS, or in pytest's own.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn
from typer.testing import CliRunner

from db.connection import connect
from panpan import status
from panpan.cli import servers
from panpan.cli.app import assembled
from panpan.settings import Settings
from panpan.simulate.business import build
from panpan.web import app as pages
from transforms.quality.watch import check_all

commands = assembled()

CHROMIUM = Path("/usr/bin/chromium")
MOST_BYTES = 200_000
# The least contrast of all texts with what stands behind them, by the formula of WCAG 2.
LEAST_CONTRAST = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let least = 21;
  for (const element of document.querySelectorAll('body *')) {
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
}"""


@pytest.fixture(scope="module")
def business(new_warehouse: Callable[[], AbstractContextManager[Settings]]) -> Iterator[tuple[Settings, datetime]]:
    """Sixteen days of the simulated business, and the morning after them."""
    with new_warehouse() as settings:
        yield settings, build(settings, 16)


@pytest.fixture(scope="module")
def address(business: tuple[Settings, datetime]) -> Iterator[str]:
    """The pages, served on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    served = uvicorn.Server(uvicorn.Config(pages.build_app(business[0]), log_level="critical", lifespan="off"))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not served.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture
def shown(address: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., requests.Response]:
    """A page as it shows a status: /status or /status.json."""

    def get(found: status.Status, path: str = "/status") -> requests.Response:
        monkeypatch.setattr(pages, "read_status", lambda settings: found)
        return requests.get(address + path, timeout=30)

    return get


@pytest.fixture
def trouble(business: tuple[Settings, datetime]) -> Iterator[datetime]:
    """One store missing, a source late, a figure edited, a file held back; all of it taken back."""
    settings, now = business
    last_day = now.date() - timedelta(days=1)
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            create table public.kept as select * from marts.daily_store_sales;
            delete from marts.daily_store_sales where store_id = 'norte' and business_date = %(day)s;
            update marts.daily_store_sales set net_amount = net_amount + 500
            where store_id = 'playa' and business_date = %(day)s - 2;
            update ops.loads set status = 'refused', held_by = 'core_no_sale_in_the_future',
                reason = 'held back by check core_no_sale_in_the_future: pos receipt 1: dated 2126-06-03'
            where load_id = (select min(load_id) from ops.loads)
            """,
            {"day": last_day},
        )
    check_all(settings, now)
    yield now + timedelta(hours=16)
    with connect(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            truncate marts.daily_store_sales; insert into marts.daily_store_sales select * from public.kept;
            drop table public.kept;
            update ops.loads set status = 'loaded', held_by = null, reason = null where held_by is not null;
            truncate ops.incidents, ops.check_results, marts.check_results
            """
        )


def test_a_sound_business_is_three_good_sentences(
    business: tuple[Settings, datetime], shown: Callable[..., requests.Response]
) -> None:
    answer = shown(status.read_status(*business), "/status.json")

    facts = answer.json()
    assert answer.status_code == 200
    assert facts["sentences"][:2] == ["All four stores reported.", "Every source is on time."]
    assert facts["sentences"][2].startswith("Yesterday's revenue of €")
    assert facts["sentences"][2].endswith("is final.")
    assert {"sentences", "sources", "checks", "backups", "alerts", "loads", "incidents"} <= set(facts)
    assert facts["backups"]["rpo_hours"] is not None


def test_trouble_is_said_first_and_explained_below(
    business: tuple[Settings, datetime], trouble: datetime, shown: Callable[..., requests.Response]
) -> None:
    found = status.read_status(business[0], trouble)
    facts, page = shown(found, "/status.json").json(), shown(found)

    assert facts["sentences"][0] == "PanPan Norte has not reported 16 Oct 2025; the other three did."
    assert facts["sentences"][1].endswith("h late.")
    assert "is not final: PanPan Norte is missing, 1 load is held back by a check" in facts["sentences"][2]
    assert {each["cause"] for each in facts["incidents"]} >= {"marts_every_day_is_shown", "raw_loads_are_not_held"}
    assert "A day with receipts is missing from the daily figures" in page.text
    assert f"/evolve/revenue/{trouble.date() - timedelta(days=1)}" in page.text
    assert "<script" not in page.text
    assert len(page.content) <= MOST_BYTES


def test_the_largest_page_there_can_be_is_small(
    business: tuple[Settings, datetime], shown: Callable[..., requests.Response]
) -> None:
    """Every check failing with long words, sixty incidents, hundreds of alerts."""
    found = status.read_status(business[0], business[1])
    now = business[1]
    check = {
        "check_id": "x", "layer": "core", "severity": "error", "owner": "Administrator", "meaning": "m" * 150,
        "state": "failed", "offending_count": 9, "found": "f" * 200, "checked_at": now, "failing_since": now,
    }  # fmt: skip
    incident = {**check, "opened_at": now, "closed_at": None, "acknowledged_at": None}
    alert = {"title": "t" * 80, "state": "firing", "since": now, "value": 1, "level": 2, "reason": None}
    worst = status.Status(
        now, found.sentences, day=found.day, sources=found.sources * 10, loads=found.loads * 10, checks=[check] * 101,
        incidents=[incident] * 60, backups=found.backups, alerts=[alert] * 200,
    )  # fmt: skip

    page = shown(worst)

    assert page.status_code == 200
    assert 50_000 < len(page.content) <= MOST_BYTES


def test_without_a_database_the_page_says_so_and_what_is_known(
    business: tuple[Settings, datetime], shown: Callable[..., requests.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = business[0].model_copy(update={"postgres_port": 1})
    found = status.read_status(gone)

    page, facts = shown(found), shown(found, "/status.json")
    monkeypatch.setattr(servers, "load_settings", lambda **_: gone)
    said = CliRunner().invoke(commands, ["status", "--json"])

    assert (page.status_code, facts.status_code, said.exit_code) == (503, 503, 1)
    assert "The database can&#39;t be reached" in page.text
    assert "bin/panpan up" in page.text
    assert json.loads(said.stdout)["sentences"][:3] == facts.json()["sentences"]
    assert facts.json()["sentences"][2] == "There is no backup on this machine."


# --- in the browser -------------------------------------------------------------------------------------------

in_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: the pages were not looked at"),
]
WIDTHS = {"desktop": 1280, "phone": 390}
PAGES = {
    "ask": "/ask",
    "answer": "/ask?q=daily+revenue+by+store+in+October+2025",
    "ranking": "/ask?q=top+5+products+by+revenue+in+October+2025",
    "choices": "/ask?q=sales+on+14+October+2025",
    "refusal": "/ask?q=revnue+on+14+October+2025",
    "receipts": "/receipts/metric/revenue/2025-10-14?store=centro",
    "reconciliation": "/reconcile/items/2025-10",
    "catalogue": "/catalogue",
    "flow": "/flow",
}
# What a person tabs to: its name, and whether it can be seen that it has the focus.
FOCUSED = """() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return [at.id || at.textContent.trim(), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415  # only where there is a browser

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield started
        started.close()


@pytest.fixture
def looked_at(browser: Any, address: str, tmp_path: Path) -> Iterator[Callable[[str, str, str], Any]]:
    """Open a page on a device, leave a screenshot, and judge what every page owes; gives the page."""
    folder = Path(os.environ.get("PANPAN_SCREENSHOTS") or tmp_path)
    faults: list[str] = []
    opened = []

    def look(name: str, path: str, device: str) -> Any:
        page = browser.new_page(viewport={"width": WIDTHS[device], "height": 844})
        opened.append(page)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address + path)
        page.screenshot(path=folder / f"{name}_{device}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[device], f"{device} scrolls sideways"
        assert page.evaluate(LEAST_CONTRAST) >= 4.5, device
        assert page.locator("h1").count() == 1
        return page

    yield look
    for page in opened:
        page.close()
    assert faults == []


@pytest.mark.parametrize("device", WIDTHS)
class TestInTheBrowser:
    """One device at a time, one browser for all."""

    pytestmark = in_browser

    def test_trouble_is_readable(
        self,
        device: str,
        looked_at: Callable[[str, str, str], Any],
        trouble: datetime,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(pages, "read_status", lambda settings: status.read_status(settings, trouble))

        page = looked_at("status", "/status", device)

        assert page.locator(".status li").count() == 3
        assert page.get_by_text("has not reported").is_visible()

    @pytest.mark.parametrize("name", PAGES)
    def test_page_is_readable(self, name: str, device: str, looked_at: Callable[[str, str, str], Any]) -> None:
        page = looked_at(name, PAGES[name], device)

        assert page.locator("main .card, main .choices").first.is_visible()

    def test_a_question_leads_to_its_receipts_and_to_other_systems(
        self, device: str, looked_at: Callable[[str, str, str], Any]
    ) -> None:
        """By keyboard alone: the box, the question, its receipts; then what the payments say of the same figure."""
        page = looked_at("ask", "/ask", device)

        tab_to(page, "q")
        page.keyboard.type("revenue on 14 October 2025 in Centro")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Revenue, store PanPan Centro, 14 Oct 2025").wait_for()
        figure = page.locator(".figure").inner_text()
        page.get_by_text("How it is computed").click()
        assert "sum(net_amount)" in page.locator("pre").inner_text()
        page.get_by_role("link", name=page.locator("dd a").last.inner_text()).focus()
        page.keyboard.press("Enter")
        page.get_by_role("status").wait_for()

        assert page.locator(".figure").inner_text() == figure
        assert "tone-good" in str(page.get_by_role("status").get_attribute("class"))
        page.get_by_text("What other systems say").click()
        page.get_by_role("heading", name="The causes").wait_for()

    def test_an_open_question_is_answered_by_a_choice(
        self, device: str, looked_at: Callable[[str, str, str], Any]
    ) -> None:
        page = looked_at("choices", PAGES["choices"], device)

        page.get_by_role("link", name="tickets, on 2025-10-14").click()

        assert page.locator(".figure").inner_text().endswith("receipts")

    def test_a_newcomer_finds_a_figure_by_keyboard(
        self, device: str, looked_at: Callable[[str, str, str], Any]
    ) -> None:
        page = looked_at("catalogue", PAGES["catalogue"], device)

        tab_to(page, "What it means, who answers for it")
        page.keyboard.press("Enter")

        opened = page.locator("details[open]")
        assert opened.count() == 1
        assert opened.get_by_text("Source of record").is_visible()


def tab_to(page: Any, wanted: str) -> None:
    """Press Tab until it is there, as a person without a mouse; where the focus is can be seen at every stop."""
    for _ in range(60):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUSED)
        assert is_seen, f"{name} has the focus and does not show it"
        if name == wanted:
            return
    raise AssertionError(f"{wanted} is not reached by Tab")
