"""
The pages and what guards them.

Comes in: settings. Goes out: a Starlette application. Pages are made from metabase.preview's views by
templates with autoescape; nothing a source sent is ever put into a page as anything but text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metabase.answers import Answer
from metabase.desired import audience, web_address
from metabase.export import to_csv, to_json, to_xlsx
from metabase.formats import write_moment
from metabase.parameters import Filters
from metabase.preview import Preview, UnknownPage, status_sentences
from metabase.sheets import to_pdf, to_png
from panpan.errors import DatabaseError, PanpanError, SettingsError, UsageError
from panpan.settings import Settings
from panpan.status import as_json, read_status
from panpan.templates import templates
from panpan.web import asking, catalogue, evolution, flow, forecasts, mails, receipts, reconciliation, status
from panpan.web.accounts import Accounts, Role
from panpan.web.login import Door, current, must_log_in

FOLDER = Path(__file__).parent
# A foreign name made to point at this machine (DNS rebinding) must not be able to read the figures.
OUR_HOSTS = ["127.0.0.1", "localhost"]
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
STATUSES: dict[type[PanpanError], int] = {UnknownPage: 404, UsageError: 400, DatabaseError: 503}
MEDIA_TYPES = {
    "csv": "text/csv",
    "pdf": "application/pdf",
    "png": "image/png",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
HEADLINES = {
    400: "That can't be shown",
    404: "There is no such page",
    405: "This page can only be read",
    500: "Something went wrong here",
    503: "The figures can't be read right now",
}


def build_app(
    settings: Settings, preview: Preview | None = None, *, host: str = "127.0.0.1", accounts: Accounts | None = None
) -> Starlette:
    """
    The application. Nothing is connected until the first page is asked for.

    host: the address it will listen on; beyond this machine a login is asked for (panpan/web/login.py).
    Errors: SettingsError when a login is asked for and no owner has an account; ContractError when a question or
    dashboard file is wrong.
    """
    pages = Pages(settings, preview or Preview(settings))
    accounts = accounts or Accounts.of(settings)
    required = must_log_in(settings, host)
    if required and not accounts.has_owner():
        raise SettingsError(
            "others can reach the web pages, and no owner has an account",
            next="bin/panpan users add NAME --role owner",
        )
    routes = [
        Route("/", pages.overview),
        Route("/dashboards/{name}.pdf", pages.dashboard_pdf),
        Route("/dashboards/{name}.png", pages.dashboard_png),
        Route("/dashboards/{name}.xlsx", pages.dashboard_xlsx),
        Route("/dashboards/{name}", pages.dashboard),
        Route("/questions/{name}.csv", pages.question_csv),
        Route("/questions/{name}.xlsx", pages.question_xlsx),
        Route("/questions/{name}.json", pages.question_json),
        Route("/questions/{name}", pages.question),
        Route("/ask", pages.ask),
        Route("/catalogue", pages.catalogue),
        Route("/flow", pages.flow),
        Route("/forecast", pages.forecast),
        Route("/evolve/{metric}/{day}", pages.evolve),
        Route("/reconcile/{metric}/{period}", pages.reconciliation),
        Route("/receipts/metric/{metric}/{period}", pages.receipts_of_metric),
        Route("/receipts/question/{name}", pages.receipts_of_card),
        Route("/receipts/raw/{raw_id}", pages.raw_record),
        Route("/receipts/{kind}/{name:path}", pages.receipts_of_thing),
        Route("/mails", pages.mails),
        Route("/mails/{name}", pages.mail),
        Route("/mails/{name}/html", pages.mail_html),
        Route("/mails/{name}/parts/{number:int}", pages.mail_part),
        Route("/unsubscribe/{token}", pages.unsubscribe, methods=["GET", "POST"]),
        Route("/status", pages.status),
        Route("/status.json", pages.status_json),
        Route("/health", pages.health),
        Mount("/static", StaticFiles(directory=FOLDER / "static")),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(SafeHeaders),
            Middleware(TrustedHostMiddleware, allowed_hosts=[*OUR_HOSTS, *hosts(settings)], www_redirect=False),
            Middleware(
                Door, accounts=accounts, required=required, may=pages.may, first=pages.first, render=pages.render
            ),
        ],
        exception_handlers={
            PanpanError: pages.explained,
            HTTPException: pages.refused,
            Exception: pages.broken,
        },
    )


class Pages:
    """One method per page; each runs in a thread of its own, since the driver waits."""

    def __init__(self, settings: Settings, preview: Preview) -> None:
        self.settings = settings
        self.preview = preview
        dashboards = [each for each in preview.catalogue.dashboards.values() if audience(each) == "everyone"]
        self._for_everyone = {
            "dashboards": {dashboard.name for dashboard in dashboards},
            "questions": {name for dashboard in dashboards for name in dashboard.question_names()},
        }
        self.templates = templates(FOLDER / "templates")
        self.templates.globals.update(
            dashboards=preview.catalogue.dashboards,
            status_sentences=status_sentences,
            moment=write_moment,
            visitor=current,
            has_mails=settings.simulated,
        )

    def overview(self, request: Request) -> Response:
        return self._page("overview.html", view=self.preview.overview(), query="", here="overview")

    def dashboard(self, request: Request) -> Response:
        view = self.preview.dashboard(request.path_params["name"], _filters(request))
        return self._page(
            "dashboard.html",
            view=view,
            query=_query(view.filters),
            asked=_filters(request),
            here=view.dashboard.name,
        )

    def dashboard_pdf(self, request: Request) -> Response:
        view = self.preview.dashboard(request.path_params["name"], _filters(request))
        return attached(to_pdf(view), f"{view.dashboard.name}.pdf")

    def dashboard_png(self, request: Request) -> Response:
        view = self.preview.dashboard(request.path_params["name"], _filters(request))
        return attached(to_png(view), f"{view.dashboard.name}.png")

    def dashboard_xlsx(self, request: Request) -> Response:
        """A workbook with a sheet for each question of the dashboard."""
        name = request.path_params["name"]
        answers = self.preview.downloads(self.preview.questions_of(name), _filters(request))
        return attached(to_xlsx([(whole(answer), sources) for answer, sources in answers]), f"{name}.xlsx")

    def dashboard_file(self, name: str) -> str:
        """A dashboard as one HTML file that needs no server; its links lead to the pages here."""
        view = self.preview.dashboard(name, Filters())
        style = (FOLDER / "static" / "panpan.css").read_text(encoding="utf-8")
        template = self.templates.get_template("dashboard.html")
        page = template.render(view=view, query="", asked=Filters(), here=name, style=style)
        return page.replace('href="/', f'href="{web_address(self.settings)}/')

    def question(self, request: Request) -> Response:
        view = self.preview.question(request.path_params["name"], _filters(request))
        return self._page(
            "question.html", view=view, query=_query(view.filters), asked=_filters(request), here="question"
        )

    def question_csv(self, request: Request) -> Response:
        answer, _ = self.preview.download(request.path_params["name"], _filters(request))
        return attached(to_csv(whole(answer)), f"{answer.question.name}.csv")

    def question_xlsx(self, request: Request) -> Response:
        answer, sources = self.preview.download(request.path_params["name"], _filters(request))
        return attached(to_xlsx([(whole(answer), sources)]), f"{answer.question.name}.xlsx")

    def question_json(self, request: Request) -> Response:
        answer, sources = self.preview.download(request.path_params["name"], _filters(request))
        return JSONResponse(to_json(answer, sources), status_code=500 if answer.failure else 200)

    def evolve(self, request: Request) -> Response:
        """How one day's figure came to be what it is."""
        view = evolution.view(self.settings, **request.path_params, asked=dict(request.query_params))
        return self._page("evolve.html", view=view, query="", here="evolve")

    def reconciliation(self, request: Request) -> Response:
        """Why two systems say different things of a metric."""
        asked = dict(request.query_params)
        view = reconciliation.view(self.settings, **request.path_params, asked=asked)
        return self._page("reconcile.html", view=view, here="reconcile")

    def receipts_of_metric(self, request: Request) -> Response:
        """The receipts behind a metric's figure."""
        asked = dict(request.query_params)
        view = receipts.metric_view(self.settings, **request.path_params, asked=asked, path=request.url.path)
        return self._page("receipts.html", view=view, here="receipts")

    def receipts_of_thing(self, request: Request) -> Response:
        """What a plan, receipt, customer, product or stock count is made of."""
        asked = dict(request.query_params)
        view = receipts.thing_view(self.settings, **request.path_params, asked=asked, path=request.url.path)
        return self._page("receipts.html", view=view, here="receipts")

    def receipts_of_card(self, request: Request) -> Response:
        """The receipts behind what a card shows: those of its metric, else the loads it was made of."""
        name, filters = request.path_params["name"], _filters(request)
        asked = dict(request.query_params)
        address = receipts.clicked_address(self.preview, name, filters, asked)
        if address := address or receipts.card_address(self.preview, name, filters):
            return RedirectResponse(address, status_code=303)
        view = receipts.card_view(self.settings, self.preview, name, filters)
        return self._page("receipts_card.html", view=view, here="receipts")

    def raw_record(self, request: Request) -> Response:
        """One record as it was received, beside what was read from it."""
        view = receipts.raw_view(self.settings, **request.path_params)
        return self._page("raw_record.html", view=view, here="receipts")

    def ask(self, request: Request) -> Response:
        """A question in plain words."""
        view = asking.view(self.settings, request.query_params.get("q", ""))
        return self._page("ask.html", view=view, query="", here="ask")

    def forecast(self, request: Request) -> Response:
        """What the next days may bring, with its error."""
        return self._page("forecast.html", view=forecasts.view(self.settings), query="", here="forecast")

    def catalogue(self, request: Request) -> Response:
        """Where to find which figure."""
        return self._page("catalogue.html", view=catalogue.view(self.settings), query="", here="catalogue")

    def flow(self, request: Request) -> Response:
        """From which source each table, metric, dashboard and alert comes."""
        picture = flow.picture(self.settings, self.preview.catalogue)
        return self._page("flow.html", picture=picture, query="", here="flow")

    def mails(self, request: Request) -> Response:
        """The mails a simulated home caught."""
        return self._page("mails.html", mails=mails.listed(self.settings), here="mails")

    def mail(self, request: Request) -> Response:
        return self._page("mail.html", mail=mails.find(self.settings, request.path_params["name"]), here="mails")

    def mail_html(self, request: Request) -> Response:
        """The mail as its reader sees it, for a frame: shut in by headers of its own."""
        found = mails.find(self.settings, request.path_params["name"])
        return HTMLResponse(found.html, headers=mails.SANDBOX)

    def mail_part(self, request: Request) -> Response:
        content = mails.part(self.settings, request.path_params["name"], request.path_params["number"])
        return Response(content, media_type="application/octet-stream", headers={"content-disposition": "attachment"})

    def unsubscribe(self, request: Request) -> Response:
        """What the link in a mail ends; asked for by GET, done by POST, so that no link checker does it."""
        stop = mails.unsubscribe(self.settings, request.path_params["token"], do=request.method == "POST")
        return self._page("unsubscribe.html", stop=stop, here="unsubscribe")

    def status(self, request: Request) -> Response:
        """How everything stands, also when the database is down."""
        found = read_status(self.settings)
        return self._page("status.html", status=503 if found.failure else 200, view=status.view(found), here="status")

    def status_json(self, request: Request) -> Response:
        """The same for programs."""
        found = read_status(self.settings)
        return JSONResponse({"ok": not found.failure, **as_json(found)}, status_code=503 if found.failure else 200)

    def health(self, request: Request) -> Response:
        """For programs that watch: whether a page asked for now would have figures."""
        if self.preview.is_reachable():
            return JSONResponse({"ok": True, "database": "reachable"})
        return JSONResponse({"ok": False, "database": "not reachable", "next": "bin/panpan up"}, status_code=503)

    def explained(self, request: Request, error: Exception) -> Response:
        """Our own errors: what happened and what to do."""
        if not isinstance(error, PanpanError):
            raise error
        status = next((code for kind, code in STATUSES.items() if isinstance(error, kind)), 500)
        cause = error.explained_cause() if status != 503 else None  # it names hosts and roles
        return self._error(request, status, error.message, cause, error.next)

    def refused(self, request: Request, error: Exception) -> Response:
        """Pages that don't exist and requests that aren't GET."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._error(request, status, f"Nothing is kept at {request.url.path[:200]}.", None, None)

    def broken(self, request: Request, error: Exception) -> Response:
        """What nobody foresaw. The server's log has the details; the page has none."""
        said = "The page could not be made. The log of panpan's web pages says why."
        answer = self._error(request, 500, said, None, "bin/panpan doctor")
        answer.headers.update(HEADERS)  # Starlette answers this one outside of all middleware
        return answer

    def may(self, role: Role, path: str) -> bool:
        """What a role may open: an owner everything, an employee the dashboards made for everyone and nothing new."""
        if role == "owner" or path == "/logout":
            return True
        kind, _, name = path.strip("/").partition("/")
        return name.partition(".")[0] in self._for_everyone.get(kind, ())

    def first(self) -> str:
        """Where an employee begins: the first dashboard made for everyone; none means the page that says no."""
        return next((f"/dashboards/{name}" for name in sorted(self._for_everyone["dashboards"])), "/dashboards/none")

    def render(self, template: str, **values: Any) -> str:
        """A template as text."""
        return self.templates.get_template(template).render(**values)

    def _page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self.templates.get_template(template).render(**values), status_code=status)

    def _error(self, request: Request, status: int, message: str, cause: str | None, next_step: str | None) -> Response:
        if request.url.path.endswith(".json"):
            facts = {"ok": False, "error": message, "cause": cause, "next": next_step}
            return JSONResponse(facts, status_code=status)
        headline = HEADLINES.get(status, HEADLINES[500])
        return self._page(
            "error.html",
            status=status,
            headline=headline,
            message=message,
            cause=cause,
            next_step=next_step,
            here="error",
        )


class SafeHeaders:
    """Puts the protective headers on every answer, refusals included; a page may bring stricter ones of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def whole(answer: Answer) -> Answer:
    """An answer that may be downloaded. Errors: DatabaseError when the question failed."""
    if answer.failure:
        raise DatabaseError(f"{answer.question.title} could not be worked out", cause=answer.failure)
    return answer


def attached(content: str | bytes, name: str) -> Response:
    """A file to be kept."""
    kind = MEDIA_TYPES[name.rpartition(".")[2]]
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def hosts(settings: Settings) -> list[str]:
    """The names others reach the pages by."""
    return [name.strip() for name in (settings.web_hosts or "").split(",") if name.strip()]


def _filters(request: Request) -> Filters:
    query: Mapping[str, str] = request.query_params
    return Filters.from_query(query)


def _query(filters: Filters) -> str:
    """The same filters for a link, with the question mark; empty when there are none."""
    given = {name: str(value) for name, value in filters.given().items()}
    return f"?{urlencode(given)}" if given else ""
