"""
Our own web pages, as a stranger's browser meets them: protective headers, foreign host names.
"""

from __future__ import annotations

from dataclasses import dataclass

import requests

from panpan.doctor.check import Checks, Verdict, bad, none_of, well
from panpan.errors import ServerError
from panpan.local.n8n_api import loopback_session
from panpan.settings import Settings

SECONDS = 2
WANTED = {
    "content-security-policy": "default-src 'self'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
RESTART = "bin/panpan down, then bin/panpan up; a proxy in front must let these headers through"

checks = Checks()


@dataclass(frozen=True)
class Pages:
    """
    missing_headers: names of protective headers an answer lacks; takes_foreign_host: DNS rebinding would work.
    hosts: names others reach the pages by; asks_login: a stranger is sent to the login; address: as readers use it.
    """

    missing_headers: list[str]
    takes_foreign_host: bool
    hosts: str
    asks_login: bool
    address: str


def look(settings: Settings) -> Pages:
    """
    Ask the server as itself, as a stranger, and under a name that isn't its own.

    Errors: ServerError when it does not answer.
    """
    answer = ask_pages(settings, "health")
    stranger = ask_pages(settings, "questions/none.json")
    foreign = ask_pages(settings, "health", host="rebound.attacker.example")
    return Pages(
        missing_headers=[name for name, value in WANTED.items() if value not in answer.headers.get(name, "")],
        takes_foreign_host=foreign.ok,
        hosts=settings.web_hosts or "",
        asks_login=stranger.status_code == 401,
        address=settings.web_url or "",
    )


def ask_pages(settings: Settings, path: str, host: str = "localhost") -> requests.Response:
    """One page as somebody gets it who calls the server by a name. Errors: ServerError when it does not answer."""
    with loopback_session() as session:
        try:
            address = f"http://{settings.web_host}:{settings.web_port}/{path}"
            return session.get(address, headers={"host": host}, timeout=SECONDS)
        except requests.RequestException as error:
            raise ServerError("the web pages do not answer") from error


@checks.add("web-headers", "error", Pages, security=True)
def web_headers(pages: Pages) -> Verdict:
    return none_of(pages.missing_headers, "answers carry their protective headers", "answers lack", RESTART)


@checks.add("web-hosts", "error", Pages, security=True)
def web_hosts(pages: Pages) -> Verdict:
    if pages.takes_foreign_host:
        return bad("the pages answer under foreign names (DNS rebinding)", RESTART)
    return well("the pages answer under their own names only")


@checks.add("web-login", "error", Pages, security=True)
def web_login(pages: Pages) -> Verdict:
    if pages.hosts and not pages.asks_login:
        return bad(f"others reach the pages as {pages.hosts} without a login", RESTART)
    return well("a login is asked for" if pages.asks_login else "the pages are open to this machine's users only")


@checks.add("web-encrypted", "error", Pages, security=True)
def web_encrypted(pages: Pages) -> Verdict:
    if pages.hosts and not pages.address.startswith("https://"):
        fix = "put a proxy with TLS in front and set PANPAN_WEB_URL to its https:// address: docs/security.md"
        return bad(f"others reach the pages as {pages.hosts}, passwords may travel readable", fix)
    return well("passwords travel encrypted, or not at all")
