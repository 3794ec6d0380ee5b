"""
The CRM: contacts by time of change, in HubSpot's form.

Comes in: `GET /crm/v3/objects/contacts`. Goes out: contacts sorted by last change, then id, and where the
next page begins; archived contacts only when asked for.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from panpan.simulate.contacts import Contact, contact_json
from panpan.simulate.faults import Faults
from panpan.simulate.replies import BadQuestion, CutShort, html_reply, json_reply, moment_given, whole_number
from panpan.simulate.world import World

LIMIT_MOST = 100
DEFAULT_PROPERTIES = "createdate,email,firstname,hs_object_id,lastmodifieddate,lastname"


def unauthorized() -> Response:
    """The answer to a wrong or missing token."""
    return _error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")


def list_contacts(world: World, faults: Faults, request: Request) -> Response:
    """One page of contacts, or one of the CRM's ways of failing."""
    failure = _failure(faults)
    if failure is not None:
        return failure
    try:
        return json_reply(_page(world, faults, request))
    except BadQuestion as error:
        return _error(400, "VALIDATION_ERROR", str(error))


def _failure(faults: Faults) -> Response | None:
    if faults.strikes("crm_down"):
        return CutShort()
    if faults.strikes("crm_rate_limited"):
        return _rate_limited({"Retry-After": "1"})
    if faults.strikes("crm_rate_limited_silent"):
        return _rate_limited({})
    if faults.strikes("crm_html"):
        return html_reply("We'll be right back", 200)
    return None


def _page(world: World, faults: Faults, request: Request) -> dict[str, Any]:
    limit = whole_number(request, "limit", 10, LIMIT_MOST)
    after = request.query_params.get("after")
    if after and not after.isdecimal():
        raise BadQuestion(f"after is {after!r}, expected what paging.next.after said")
    contacts, offset = _chosen(world, request), int(after or 0)
    if offset and faults.strikes("crm_moves_under_paging"):
        offset -= 1
    until = offset + limit
    if faults.strikes("crm_empty_page"):
        until = offset
    wanted = request.query_params.get("properties", DEFAULT_PROPERTIES).split(",")
    page: dict[str, Any] = {"results": [contact_json(each, wanted) for each in contacts[offset:until]]}
    if until < len(contacts):
        following = after if after and faults.strikes("crm_repeated_cursor") else str(until)
        link = str(request.url.include_query_params(after=following))
        page["paging"] = {"next": {"after": following, "link": link}}
    return page


def _chosen(world: World, request: Request) -> list[Contact]:
    is_archived = request.query_params.get("archived", "false") == "true"
    since = _moment(request.query_params.get("updatedAfter"))
    return [each for each in world.contacts if each.archived == is_archived and each.updated_at >= since]


def _moment(text: str | None) -> int:
    """ISO text, or the milliseconds themselves, as milliseconds since 1970; 0 when not given."""
    if not text or text.isdecimal():
        return int(text or 0)
    moment = moment_given("updatedAfter", text)
    if moment.tzinfo is None:
        raise BadQuestion(f"updatedAfter is {text!r}, which has no zone")
    return round(moment.timestamp() * 1000)


def _rate_limited(headers: dict[str, str]) -> Response:
    body = {
        "status": "error",
        "message": "You have reached your secondly limit.",
        "errorType": "RATE_LIMIT",
        "correlationId": "5f1d3b0a-0000-4000-8000-000000000429",
        "policyName": "SECONDLY",
    }
    return json_reply(body, 429, headers)


def _error(status: int, category: str, message: str) -> Response:
    correlation = f"5f1d3b0a-0000-4000-8000-000000000{status}"
    body = {"status": "error", "message": message, "correlationId": correlation, "category": category}
    return json_reply(body, status)
