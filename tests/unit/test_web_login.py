"""The door of the pages under attack: guessing, planted and stolen sessions, foreign forms, foreign targets."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from typer.testing import CliRunner

from panpan.cli.app import assembled
from panpan.errors import SettingsError, UsageError
from panpan.local.initialise import initialise
from panpan.settings import Settings
from panpan.web.accounts import Accounts
from panpan.web.app import build_app
from panpan.web.login import LARGEST_FORM, Door, current, fields, must_log_in, own_path
from panpan.web.sessions import IDLE_SECONDS, LONGEST_SECONDS, MOST_KEPT, Sessions, Throttle

command_line = assembled()

PASSWORD = "correct-horse-battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


@dataclass
class Browser:
    """Speaks ASGI to an application as a browser would, and keeps cookies."""

    app: Any
    scheme: str = "http"
    address: str = "203.0.113.9"
    cookies: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        return asyncio.run(self._send(method, path, body, headers))

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, urlencode(form).encode(), **kind, **headers)

    def form_token(self, path: str = "/login") -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get(path).body)
        assert found
        return html.unescape(found[1])

    def log_in(self, name: str, password: str, target: str = "/", **headers: str) -> Answer:
        form = {"form_token": self.form_token(), "name": name, "password": password}
        return self.post(f"/login?{urlencode({'next': target})}", form, **headers)

    async def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        given = {"host": "figures.example", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        place, _, query = path.partition("?")
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": place,
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in given.items()],
            "scheme": self.scheme,
            "client": (self.address, 50000),
            "server": ("figures.example", 80),
        }
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        found = [(name.decode(), value.decode("latin-1")) for name, value in messages[0]["headers"]]
        for name, value in found:
            if name == "set-cookie":
                self._keep(value)
        text = b"".join(each.get("body", b"") for each in messages[1:]).decode(errors="replace")
        return Answer(messages[0]["status"], found, text)

    def _keep(self, text: str) -> None:
        for name, morsel in SimpleCookie(text).items():
            if morsel.value:
                self.cookies[name] = morsel.value
            else:
                self.cookies.pop(name, None)


class Clock:
    """A clock that tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for the pages: says who it was shown to, and what body it got."""
    visitor = current()
    assert visitor
    body = (await receive())["body"].decode()
    form = f'<input name="form_token" value="{visitor.form_token}">'
    await PlainTextResponse(f"{visitor.name} is {visitor.role} {body} {form}")(scope, receive, send)


def render(template: str, **values: Any) -> str:
    return f'{template} {values.get("sentence")} <input name="form_token" value="{values.get("form_token")}">'


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "users.json", CHEAP)
    made.add("ada", "owner", PASSWORD)
    made.add("ben", "employee", PASSWORD)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def door(accounts: Accounts, clock: Clock) -> Door:
    return Door(
        inner,
        accounts=accounts,
        required=True,
        may=lambda role, path: role == "owner" or path == "/dashboards/stock",
        first=lambda: "/dashboards/stock",
        render=render,
        sessions=Sessions(clock),
        throttle=Throttle(clock),
    )


@pytest.fixture
def browser(door: Door) -> Browser:
    return Browser(door)


def test_nothing_is_shown_without_a_login(browser: Browser) -> None:
    assert browser.get("/trace?plan=1").header("location") == "/login?next=%2Ftrace%3Fplan%3D1"
    assert browser.get("/questions/a.json").status == 401
    assert browser.send("POST", "/silence").status == 403
    assert browser.get("/health").status == 200


def test_right_password_leads_to_the_page_asked_for(browser: Browser) -> None:
    answer = browser.log_in(" Ada ", PASSWORD, "/receipts?a=b")

    assert (answer.status, answer.header("location")) == (303, "/receipts?a=b")
    assert "ada is owner" in browser.get("/receipts").body


def test_employee_sees_what_is_for_everyone_and_nothing_else(browser: Browser) -> None:
    browser.log_in("ben", PASSWORD)

    assert browser.get("/dashboards/stock").status == 200
    assert browser.get("/receipts").status == 403
    assert browser.get("/receipts.json").status == 403
    assert browser.get("/").header("location") == "/dashboards/stock"


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada'--", "x" * 5000)]
)
def test_wrong_name_and_wrong_password_are_told_alike(browser: Browser, name: str, password: str) -> None:
    answer = browser.log_in(name, password)

    assert answer.status == 401
    assert "Name or password is wrong." in answer.body
    assert "session" not in browser.cookies


def test_unknown_name_costs_as_much_work_as_a_known_one(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by the work, not by the clock: one argon2 verification each, of hashes with the same cost."""
    costs: list[str] = []
    verify = PasswordHasher.verify

    def counted(self: PasswordHasher, hashed: str, password: str) -> bool:
        costs.append(hashed.rsplit("$", 2)[0])
        return verify(self, hashed, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    assert accounts.verify("ada", "wrong") is None
    assert accounts.verify("nobody", "wrong") is None

    assert len(costs) == 2 and costs[0] == costs[1]


def test_guessing_is_slowed_down_per_account_from_many_addresses(door: Door, clock: Clock) -> None:
    tried = 0
    for number in range(200):
        bot = Browser(door, address=f"198.51.100.{number}")
        tried += bot.log_in("ada", f"guess {number}").status == 401
        clock.now += 1

    assert tried <= 15
    assert Browser(door).log_in("ada", PASSWORD).status == 429
    clock.now += 61  # a stranger's guessing keeps the owner out for a minute, no longer
    assert Browser(door).log_in("ada", PASSWORD).status == 303


def test_guessing_is_slowed_down_per_address_over_many_names(browser: Browser) -> None:
    statuses = [browser.log_in(f"name{number}", "guess").status for number in range(60)]

    assert statuses.count(401) == 10
    assert statuses[-1] == 429


def test_too_many_tries_cost_no_hashing_and_say_how_long_to_wait(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        browser.log_in("ada", "wrong")
    monkeypatch.setattr(Accounts, "verify", lambda *_: pytest.fail("hashed"))

    answer = browser.log_in("ada", PASSWORD)

    assert answer.status == 429
    assert answer.header("retry-after") == "1"


def test_success_starts_the_count_of_its_account_afresh() -> None:
    throttle = Throttle(Clock())
    for _ in range(3):
        for _ in range(4):
            assert throttle.attempt(account="a", address="x") == 0
        throttle.succeeded(account="a", address="x")


def test_watch_list_is_bounded() -> None:
    throttle = Throttle(Clock())

    for number in range(MOST_KEPT + 50):
        throttle.attempt(account=str(number), address="x" if number % 2 else str(number))

    assert len(throttle._failures) <= MOST_KEPT  # memory is the point


def test_planted_session_is_never_taken_over(browser: Browser) -> None:
    """Session fixation: what the attacker put into the browser before the login is worth nothing after it."""
    browser.cookies["session"] = "planted"

    browser.log_in("ada", PASSWORD)
    mine = browser.cookies["session"]

    assert mine != "planted"
    assert Browser(browser.app, cookies={"session": "planted"}).get("/receipts").status == 303


def test_each_login_has_a_token_of_its_own_and_ends_the_one_before(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)
    first = browser.cookies["session"]
    other = Browser(browser.app, cookies=dict(browser.cookies))
    form = {"form_token": other.form_token("/receipts"), "name": "ada", "password": PASSWORD}
    other.post("/login", form)

    assert other.cookies["session"] != first
    assert browser.get("/receipts").status == 303


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=';,"\\'), max_size=60))
def test_made_up_session_opens_nothing(token: str) -> None:
    sessions = Sessions(Clock())

    assert sessions.find(token) is None


def test_tampered_session_opens_nothing(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)
    token = browser.cookies["session"]

    for tampered in (token[:-1], token + "A", token.swapcase(), ""):
        assert Browser(browser.app, cookies={"session": tampered}).get("/receipts").status == 303


def test_only_hashes_of_tokens_are_kept(door: Door) -> None:
    browser = Browser(door)
    browser.log_in("ada", PASSWORD)

    assert browser.cookies["session"] not in repr(door.sessions._kept)  # what a dump would hold


def test_session_ends_when_idle_and_at_the_latest_after_half_a_day(browser: Browser, clock: Clock) -> None:
    browser.log_in("ada", PASSWORD)
    clock.now += IDLE_SECONDS + 1
    assert browser.get("/receipts").status == 303

    browser.log_in("ada", PASSWORD)
    steps = 0
    while browser.get("/receipts").status == 200:
        clock.now += IDLE_SECONDS - 1
        steps += 1
    assert LONGEST_SECONDS / IDLE_SECONDS <= steps <= LONGEST_SECONDS / IDLE_SECONDS + 2


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.remove("ada"),
        lambda accounts: accounts.set_password("ada", "another-good-password"),
        lambda accounts: accounts.end_sessions(),
    ],
)
def test_removed_person_changed_password_and_a_new_secret_end_sessions_at_once(
    browser: Browser, accounts: Accounts, change: Callable[[Accounts], None]
) -> None:
    browser.log_in("ada", PASSWORD)

    change(accounts)

    assert browser.get("/receipts").status == 303


def test_after_a_new_secret_the_same_password_opens_a_new_session(browser: Browser, accounts: Accounts) -> None:
    accounts.end_sessions()

    browser.log_in("ada", PASSWORD)

    assert browser.get("/receipts").status != 303


def test_logout_ends_the_session_for_everybody_who_has_its_token(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)
    stolen = Browser(browser.app, cookies=dict(browser.cookies))

    answer = browser.post("/logout", {"form_token": browser.form_token("/receipts")})

    assert answer.header("location") == "/login"
    assert "session" not in browser.cookies
    assert stolen.get("/receipts").status == 303


def test_logout_by_a_link_does_nothing(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)

    browser.get("/logout")

    assert browser.get("/receipts").status == 200


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_form_without_its_token_is_refused(browser: Browser, token: str) -> None:
    browser.log_in("ada", PASSWORD)

    assert browser.post("/silence", {"form_token": token, "rule": "x"}).status == 403


def test_token_of_another_browser_is_refused(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)
    attacker = Browser(browser.app)
    attacker.log_in("ben", PASSWORD)

    assert browser.post("/silence", {"form_token": attacker.form_token("/dashboards/stock")}).status == 403


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}],
)
def test_form_of_another_site_is_refused_even_with_the_token(browser: Browser, headers: dict[str, str]) -> None:
    browser.log_in("ada", PASSWORD)
    form = {"form_token": browser.form_token("/receipts")}

    assert browser.post("/silence", form, **headers).status == 403
    assert browser.post("/silence", form, origin="http://figures.example").status == 200


def test_login_form_of_another_site_is_refused(browser: Browser) -> None:
    """Login CSRF: nobody is logged in as somebody else without knowing."""
    answer = browser.post("/login", {"name": "ben", "password": PASSWORD})

    assert answer.status == 403
    assert "session" not in browser.cookies


def test_form_reaches_its_page_whole(browser: Browser) -> None:
    browser.log_in("ada", PASSWORD)
    form = {"form_token": browser.form_token("/receipts"), "rule": "low stock & more"}

    assert "rule=low+stock+%26+more" in browser.post("/silence", form).body


def test_huge_form_is_refused(browser: Browser) -> None:
    assert browser.send("POST", "/login", b"a" * (LARGEST_FORM + 1)).status == 413


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d%0aset-cookie:a=b\r\nx",
        "evil",
        "",
        " /a",
    ],
)
def test_login_leads_to_no_foreign_place(browser: Browser, target: str) -> None:
    answer = browser.log_in("ada", PASSWORD, target)

    assert answer.status == 303
    assert answer.header("location") in ("/", "/%0d%0aset-cookie:a=b")


@given(st.text(max_size=80))
def test_own_path_is_always_a_path_of_ours(target: str) -> None:
    path = own_path(target)

    assert path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()


@given(st.binary(max_size=300))
def test_any_form_body_is_read_without_an_error(body: bytes) -> None:
    assert isinstance(fields(body), dict)


def test_cookies_are_hidden_from_scripts_and_bound_to_tls_where_there_is_some(door: Door) -> None:
    plain, encrypted = Browser(door), Browser(door, scheme="https")

    of_plain = plain.log_in("ada", PASSWORD).header("set-cookie")
    of_encrypted = encrypted.log_in("ada", PASSWORD).header("set-cookie")

    assert re.fullmatch(r"session=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax", of_plain)
    assert re.fullmatch(
        r"__Host-session=[\w-]{43}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax; Secure", of_encrypted
    )


def test_open_pages_on_this_machine_still_refuse_foreign_forms(accounts: Accounts) -> None:
    door = Door(inner, accounts=accounts, required=False, may=lambda *_: True, first=lambda: "/", render=render)
    browser = Browser(door)

    token = browser.form_token("/receipts")

    assert " is owner" in browser.get("/receipts").body
    assert browser.post("/silence", {"form_token": token}).status == 200
    assert browser.post("/silence", {}).status == 403
    assert Browser(door).post("/silence", {"form_token": token}).status == 403


@pytest.mark.parametrize(
    ("host", "change", "needed"),
    [
        ("127.0.0.1", {}, False),
        ("0.0.0.0", {}, True),  # noqa: S104
        ("127.0.0.1", {"web_hosts": "figures.example"}, True),
        ("127.0.0.1", {"web_login": True}, True),
    ],
)
def test_login_is_asked_for_as_soon_as_others_reach_the_pages(
    settings: Settings, host: str, change: dict[str, Any], needed: bool
) -> None:
    assert must_log_in(settings.model_copy(update=change), host) is needed


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return initialise(tmp_path / "home")


def test_pages_others_reach_do_not_start_without_an_owner(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="no owner has an account"):
        build_app(settings, host="0.0.0.0")  # noqa: S104


def test_the_real_pages_stand_behind_the_door(settings: Settings, accounts: Accounts) -> None:
    exposed = settings.model_copy(update={"web_hosts": "figures.example"})
    browser = Browser(build_app(exposed, accounts=accounts))

    assert browser.get("/").header("location") == "/login?next=%2F"
    assert browser.get("/", host="evil.example").status == 400
    assert "default-src 'self'" in browser.get("/login").header("content-security-policy")
    browser.log_in("ben", PASSWORD)
    assert browser.get("/").header("location").startswith("/dashboards/")
    assert browser.get("/evolve/revenue/2026-06-01").status == 403
    assert browser.get(browser.get("/").header("location")).status in (200, 503)  # no database here


def test_weak_passwords_and_strange_names_are_refused(accounts: Accounts) -> None:
    for name, password in [
        ("cleo", "short"),
        ("cleo", "aaaaaaaaaaaaaaaa"),
        ("cleo", "cleo-cleo-2026"),
        ("C L", PASSWORD),
    ]:
        with pytest.raises(UsageError):
            accounts.add(name, "employee", password)
    with pytest.raises(UsageError, match="has an account"):
        accounts.add("ada", "employee", PASSWORD)


def test_accounts_file_is_private_and_holds_no_password(accounts: Accounts, tmp_path: Path) -> None:
    file = tmp_path / "users.json"

    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in file.read_text() and "$argon2id$" in file.read_text()


@pytest.mark.parametrize(
    "text", ["", "{}", '{"users": [{"name": "x"}]}', '{"users": [{"name":"x","role":"god","password":"y"}]}']
)
def test_damaged_accounts_file_lets_nobody_in(tmp_path: Path, text: str) -> None:
    (tmp_path / "users.json").write_text(text)

    with pytest.raises(SettingsError):
        Accounts(tmp_path / "users.json", CHEAP).all()


def test_commands_read_the_password_from_stdin_only(settings: Settings) -> None:
    home = ["--home", str(settings.home)]
    runner = CliRunner()

    added = runner.invoke(command_line, ["users", "add", "ada", "--role", "owner", *home], input=f"{PASSWORD}\n")
    listed = runner.invoke(command_line, ["users", "list", "--json", *home])
    changed = runner.invoke(command_line, ["users", "password", "ada", *home], input="another-good-password\n")
    removed = runner.invoke(command_line, ["users", "remove", "ada", *home])

    assert [each.exit_code for each in (added, listed, changed, removed)] == [0, 0, 0, 0]
    assert '"users": [{"name": "ada", "role": "owner"}]' in listed.stdout
    assert PASSWORD not in added.output
    assert Accounts.of(settings).all() == []
