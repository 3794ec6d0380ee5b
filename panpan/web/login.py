"""
The door of the pages: who is asking, what they may see, and that a form was really sent by its page.

Comes in: requests. Goes out: the same requests with a visitor, or the login page, or a refusal. On this machine alone
the pages are open and everybody is the owner; as soon as others can reach them a login is asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from panpan.settings import Settings
from panpan.web.accounts import Account, Accounts, Role
from panpan.web.sessions import LONGEST_SECONDS, Sessions, Throttle

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PUBLIC = ("/login", "/health", "/static/")
# Who knows such a link got it by mail; mail programs post to it without having seen a page (RFC 8058).
SELF_PROVING = "/unsubscribe/"
DATA_ENDINGS = (".json", ".csv", ".xlsx", ".pdf", ".png")
LARGEST_FORM = 64 * 1024
MOST_FIELDS = 100
FORM_FIELD = "form_token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Render = Callable[..., str]
May = Callable[[Role, str], bool]


@dataclass
class Visitor:
    """Who asks. `form_token` goes into every form; using it makes the browser keep what it belongs to."""

    name: str
    role: Role
    secret: str
    key: bytes = field(repr=False)
    may: May = field(repr=False, default=lambda *_: True)
    has_form: bool = False

    @property
    def form_token(self) -> str:
        self.has_form = True
        return token_of(self.key, self.secret)

    def sees(self, path: str) -> bool:
        """Whether this visitor may open a page."""
        return self.may(self.role, path)


VISITOR: ContextVar[Visitor | None] = ContextVar("visitor", default=None)


class Refused(Exception):
    """A request that is not answered: status and a sentence."""

    def __init__(self, status: int, sentence: str, wait: float = 0.0) -> None:
        self.status, self.sentence, self.wait = status, sentence, wait
        super().__init__(sentence)


class Door:
    """
    ASGI middleware around the pages.

    required: whether a login is asked for; may: what each role sees; first: where those begin who may not see `/`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        accounts: Accounts,
        required: bool,
        may: May,
        first: Callable[[], str],
        render: Render,
        sessions: Sessions | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.app, self.accounts, self.required = app, accounts, required
        self.may, self.first, self.render = may, first, render
        self.sessions, self.throttle = sessions or Sessions(), throttle or Throttle()
        self.key = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        visitor = self.visitor(request)
        remembered = VISITOR.set(visitor)
        try:
            await self.answer(request, visitor, send)
        except Refused as refusal:
            await self.refusal(request, refusal)(scope, receive, self.keeping(request, visitor, send))
        finally:
            VISITOR.reset(remembered)

    async def answer(self, request: Request, visitor: Visitor, send: Send) -> None:
        """Answer the door's own pages, pass on what this visitor may see. Errors: Refused."""
        path = request.url.path
        needs_form = request.method not in SAFE_METHODS and not path.startswith(SELF_PROVING)
        body = await self.form_of(request, visitor) if needs_form else b""
        kept = self.keeping(request, visitor, send)
        if path == "/login" and self.required:
            await (await self.login(request, visitor, body))(request.scope, request.receive, kept)
        elif path == "/logout" and self.required and request.method == "POST":
            await self.logout(request)(request.scope, request.receive, send)
        elif self.required and not visitor.name and not is_public(path):
            await self.ask_to_log_in(request)(request.scope, request.receive, send)
        elif visitor.name and not is_public(path) and not self.may(visitor.role, path):
            if path != "/":
                raise Refused(403, "This page is for owners.")
            await RedirectResponse(self.first(), status_code=303)(request.scope, request.receive, send)
        else:
            receive = again(body, request.receive) if needs_form else request.receive
            await self.app(request.scope, receive, kept)

    def visitor(self, request: Request) -> Visitor:
        """Who asks: the account of a living session, else nobody (who is the owner where no login is asked for)."""
        token = request.cookies.get(cookie_name(request), "")
        session = self.sessions.find(token) if self.required and token else None
        account = self.accounts.find(session.name) if session else None
        if session and account and hmac.compare_digest(account.fingerprint, session.fingerprint):
            return Visitor(account.name, account.role, token, self.key, self.may)
        secret = request.cookies.get(form_cookie_name(request)) or secrets.token_urlsafe(32)
        return Visitor("", "employee" if self.required else "owner", secret, self.key, self.may)

    async def form_of(self, request: Request, visitor: Visitor) -> bytes:
        """The body of a form that its own page sent. Errors: Refused when it is another's, or too large."""
        origin = request.headers.get("origin")
        if request.headers.get("sec-fetch-site") == "cross-site" or (origin and not is_own(origin, request)):
            raise Refused(403, "This form was sent by another page.")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise Refused(413, "This form is too large.")
        given = request.headers.get("x-form-token") or fields(body).get(FORM_FIELD, "")
        if not hmac.compare_digest(given.encode(), token_of(self.key, visitor.secret).encode()):
            raise Refused(403, "This form is too old. Open its page again.")
        return body

    async def login(self, request: Request, visitor: Visitor, body: bytes) -> Response:
        """The login page, or what comes of it."""
        target = own_path(request.query_params.get("next", "/"))
        if request.method in SAFE_METHODS:
            if visitor.name:
                return RedirectResponse(target, status_code=303)
            return self.page(visitor, target)
        form = fields(body)
        name = form.get("name", "").strip().lower()[:100]
        who = {"account": hashlib.sha256(name.encode()).hexdigest(), "address": address_of(request)}
        if (wait := self.throttle.attempt(**who)) > 0:
            sentence = f"Too many tries. Wait {wait:.0f} seconds."
            return self.page(visitor, target, sentence, 429, {"retry-after": f"{wait:.0f}"})
        account = await run_in_threadpool(self.accounts.verify, name, form.get("password", ""))
        if account is None:
            return self.page(visitor, target, "Name or password is wrong.", 401)
        self.throttle.succeeded(**who)
        self.sessions.end(request.cookies.get(cookie_name(request), ""))
        return self.welcome(request, account, target)

    def welcome(self, request: Request, account: Account, target: str) -> Response:
        """To the page that was asked for, with a new session."""
        answer = RedirectResponse(target, status_code=303)
        token = self.sessions.begin(account)
        put_cookie(answer, request, cookie_name(request), token, LONGEST_SECONDS)
        answer.delete_cookie(form_cookie_name(request))
        return answer

    def logout(self, request: Request) -> Response:
        """End the session."""
        self.sessions.end(request.cookies.get(cookie_name(request), ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(cookie_name(request), secure=is_encrypted(request), httponly=True, samesite="lax")
        return answer

    def ask_to_log_in(self, request: Request) -> Response:
        """People are led to the login page, programs are told."""
        path = request.url.path
        if path.endswith(DATA_ENDINGS) or request.method not in SAFE_METHODS:
            return JSONResponse({"ok": False, "error": "a login is needed", "next": "/login"}, status_code=401)
        target = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': target})}", status_code=303)

    def page(
        self,
        visitor: Visitor,
        target: str,
        sentence: str = "",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The login page, which tells nothing of what lies behind it."""
        action = f"/login?{urlencode({'next': target})}"
        text = self.render("login.html", action=action, form_token=visitor.form_token, sentence=sentence)
        return HTMLResponse(text, status_code=status, headers=headers)

    def refusal(self, request: Request, refusal: Refused) -> Response:
        """A refused request, in words."""
        if request.url.path.endswith(".json"):
            return JSONResponse({"ok": False, "error": refusal.sentence}, status_code=refusal.status)
        return HTMLResponse(self.render("refused.html", sentence=refusal.sentence), status_code=refusal.status)

    def keeping(self, request: Request, visitor: Visitor, send: Send) -> Send:
        """Send, and let the browser keep what a shown form belongs to."""
        name = form_cookie_name(request)

        async def send_with_cookie(message: Message) -> None:
            is_new = visitor.has_form and not visitor.name and request.cookies.get(name) != visitor.secret
            if message["type"] == "http.response.start" and is_new:
                holder = Response()
                put_cookie(holder, request, name, visitor.secret, LONGEST_SECONDS)
                MutableHeaders(scope=message).append("set-cookie", holder.headers["set-cookie"])
            await send(message)

        return send_with_cookie


def must_log_in(settings: Settings, host: str) -> bool:
    """Whether others than this machine's users can reach the pages: by the address listened on, or by a name."""
    return settings.web_login or bool(settings.web_hosts) or host not in LOOPBACK


def token_of(key: bytes, secret: str) -> str:
    """What a form must bring that belongs to this secret of the browser."""
    return hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()


def fields(body: bytes) -> dict[str, str]:
    """The fields of a form sent as application/x-www-form-urlencoded; the last of a repeated name counts."""
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:  # also what is no UTF-8
        return {}


def own_path(target: str) -> str:
    """The page to go to after the login: a path of ours, else the first page. Never another server."""
    is_path = target.startswith("/") and not target.startswith("//") and target.isprintable() and "\\" not in target
    parts = urlsplit(target) if is_path else None
    return target if parts and not parts.scheme and not parts.netloc else "/"


def is_own(origin: str, request: Request) -> bool:
    """Whether a form's origin is this very site."""
    return urlsplit(origin).netloc == request.headers.get("host")


def is_public(path: str) -> bool:
    """What everybody may ask for: the login itself, how it looks, whether the server lives, no more mails."""
    return path in PUBLIC or path.startswith(("/static/", SELF_PROVING))


def is_encrypted(request: Request) -> bool:
    """Whether the browser reached us by TLS, as the proxy in front says."""
    return request.url.scheme == "https"


def cookie_name(request: Request) -> str:
    """With the prefix a browser takes from the very host and over TLS only, where there is TLS."""
    return "__Host-session" if is_encrypted(request) else "session"


def form_cookie_name(request: Request) -> str:
    return "__Host-form" if is_encrypted(request) else "form"


def put_cookie(answer: Response, request: Request, name: str, value: str, seconds: int) -> None:
    """No script reads it, no other site's form sends it."""
    answer.set_cookie(
        name, value, max_age=seconds, path="/", secure=is_encrypted(request), httponly=True, samesite="lax"
    )


def address_of(request: Request) -> str:
    """The address that asks, as the trusted proxy says."""
    return request.client.host if request.client else "unknown"


def again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the page behind the door; then what the browser does next."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def current() -> Visitor | None:
    """Who asks now; None outside of a request."""
    return VISITOR.get()
