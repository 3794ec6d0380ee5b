"""
What a request may hold: our own small schemas always, the OpenAPI subset beside the checkout where it is present.

Keys a route does not declare are taken out before the handler sees them, as Metabase does, and noted.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

CHECKOUT = Path(__file__).resolve().parents[2]
OPENAPI = Path(
    os.environ.get("PANPAN_METABASE_OPENAPI") or CHECKOUT.parent / "shared" / "metabase" / "openapi-subset.json"
)

TEXT = {"type": "string", "minLength": 1}
MAYBE_TEXT = {"type": ["string", "null"], "minLength": 1}
WHOLE = {"type": "integer", "minimum": 1}
MAYBE_WHOLE = {"type": ["integer", "null"], "minimum": 1}
FLAG = {"type": ["boolean", "null"]}
MAP = {"type": "object"}
LIST = {"type": "array", "items": {"type": "object"}}
EMAIL = {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"}


def thing(required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required or [], "properties": properties}


PARAMETER = thing(
    ["id", "type"], id=TEXT, type=TEXT, name={"type": "string"}, slug={"type": "string"}, sectionId=TEXT, default={},
    required={"type": "boolean"}, target={"type": "array"},
    values_query_type={"enum": ["none", "list", "search", None]},
    values_source_type={"enum": ["static-list", "card", None]}, values_source_config=MAP,
    isMultiSelect={"type": "boolean"}, filteringParameters={"type": "array"},
)  # fmt: skip
DASHCARD = thing(
    ["id", "row", "col", "size_x", "size_y"], id={"type": "integer"}, card_id=MAYBE_WHOLE,
    dashboard_tab_id={"type": ["integer", "null"]}, row={"type": "integer", "minimum": 0},
    col={"type": "integer", "minimum": 0}, size_x=WHOLE, size_y=WHOLE, series=LIST, visualization_settings=MAP,
    parameter_mappings={"type": "array", "items": thing(
        ["parameter_id", "target"], parameter_id=TEXT, target={"type": "array"}, card_id=MAYBE_WHOLE)},
)  # fmt: skip
RECIPIENT = thing(
    ["type"], id=WHOLE, notification_handler_id=WHOLE, user_id=MAYBE_WHOLE, permissions_group_id=MAYBE_WHOLE,
    type={"enum": ["notification-recipient/user", "notification-recipient/group", "notification-recipient/raw-value"]},
    details={"type": ["object", "null"]},
)  # fmt: skip
NOTIFICATION = thing(
    ["payload_type"], id=WHOLE, payload_id=MAYBE_WHOLE, creator_id=MAYBE_WHOLE, active=FLAG,
    payload_type={"enum": ["notification/card", "notification/system-event"]},
    payload=thing(["card_id"], id=MAYBE_WHOLE, card_id=WHOLE, send_once={"type": "boolean"},
                  send_condition={"enum": ["has_result", "goal_above", "goal_below"]}),
    subscriptions={"type": "array", "items": thing(
        ["type"], id=WHOLE, notification_id=WHOLE, type={"enum": ["notification-subscription/cron"]},
        cron_schedule=TEXT, ui_display_type={"enum": ["cron/raw", "cron/builder", None]})},
    handlers={"type": "array", "items": thing(
        ["channel_type"], id=WHOLE, notification_id=WHOLE, channel_type={"enum": ["channel/email", "channel/http"]},
        channel_id=MAYBE_WHOLE, template_id=MAYBE_WHOLE, active=FLAG,
        recipients={"type": "array", "items": RECIPIENT})},
)  # fmt: skip
PULSE = {
    "name": TEXT,
    "cards": {"type": "array", "minItems": 1, "items": thing(
        ["id", "include_csv", "include_xls"], id=WHOLE, include_csv={"type": "boolean"},
        include_xls={"type": "boolean"}, dashboard_card_id=MAYBE_WHOLE)},
    "channels": {"type": "array", "minItems": 1, "items": thing(
        ["channel_type", "enabled", "schedule_type"], channel_type={"enum": ["email"]}, enabled={"type": "boolean"},
        schedule_type={"enum": ["hourly", "daily", "weekly", "monthly"]}, details=MAP,
        schedule_hour={"type": ["integer", "null"], "minimum": 0, "maximum": 23},
        schedule_day={"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun", None]},
        schedule_frame={"enum": ["first", "mid", "last", None]},
        recipients={"type": "array", "items": {
            "type": "object", "anyOf": [{"required": ["id"]}, {"required": ["email"]}]}})},
    "collection_id": MAYBE_WHOLE, "parameters": {"type": ["array", "null"]}, "skip_if_empty": FLAG,
}  # fmt: skip
CARD = {
    "name": TEXT, "type": {"enum": ["question", "model", "metric"]}, "description": MAYBE_TEXT, "display": TEXT,
    "dataset_query": {"type": "object"}, "visualization_settings": MAP, "collection_id": MAYBE_WHOLE,
    "collection_position": MAYBE_WHOLE, "parameters": {"type": ["array", "null"], "items": PARAMETER},
    "parameter_mappings": {"type": ["array", "null"]}, "result_metadata": {"type": ["array", "null"]},
    "cache_ttl": MAYBE_WHOLE, "entity_id": MAYBE_TEXT, "dashboard_id": MAYBE_WHOLE, "dashboard_tab_id": MAYBE_WHOLE,
}  # fmt: skip
DASHBOARD = {
    "name": TEXT, "description": {"type": ["string", "null"]}, "parameters": {"type": "array", "items": PARAMETER},
    "collection_id": MAYBE_WHOLE, "collection_position": MAYBE_WHOLE, "cache_ttl": MAYBE_WHOLE,
}  # fmt: skip
DATABASE = {
    "name": TEXT, "engine": TEXT, "details": MAP, "is_full_sync": FLAG, "is_on_demand": FLAG, "auto_run_queries": FLAG,
    "cache_ttl": MAYBE_WHOLE, "schedules": MAP, "description": {"type": ["string", "null"]}, "settings": MAP,
}  # fmt: skip
USER = {
    "email": EMAIL, "first_name": MAYBE_TEXT, "last_name": MAYBE_TEXT, "is_superuser": FLAG,
    "user_group_memberships": {"type": ["array", "null"], "items": thing(["id"], id=WHOLE)},
    "login_attributes": {"type": ["object", "null"]}, "locale": {"type": ["string", "null"]},
}  # fmt: skip
SMTP = thing(["email-smtp-host"])
SMTP["properties"] = {
    "email-smtp-host": {"type": ["string", "null"]}, "email-smtp-port": {"type": ["integer", "null"]},
    "email-smtp-security": {"enum": ["none", "ssl", "tls", "starttls", None]},
    "email-smtp-username": {"type": ["string", "null"]}, "email-smtp-password": {"type": ["string", "null"]},
}  # fmt: skip
GRAPH = thing(["groups"], revision={"type": ["integer", "null"]}, groups=MAP)

# (method, path as in OpenAPI) -> what its body may hold. Routes without a body are not named.
OWN: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/setup"): thing(
        ["token", "user", "prefs"], token=TEXT,
        user=thing(["email", "password"], email=EMAIL, password=TEXT, first_name=MAYBE_TEXT, last_name=MAYBE_TEXT),
        prefs=thing(["site_name"], site_name=TEXT, site_locale=MAYBE_TEXT, allow_tracking={}), database={}),
    ("POST", "/api/session"): thing(["username", "password"], username=TEXT, password=TEXT),
    ("POST", "/api/api-key"): thing(["name", "group_id"], name=TEXT, group_id=WHOLE),
    ("POST", "/api/database"): thing(["name", "engine", "details"], **DATABASE),
    ("PUT", "/api/database/{id}"): thing([], **DATABASE),
    ("POST", "/api/collection"): thing(["name"], name=TEXT, description=MAYBE_TEXT, parent_id=MAYBE_WHOLE),
    ("PUT", "/api/collection/{id}"): thing(
        [], name=TEXT, description=MAYBE_TEXT, parent_id=MAYBE_WHOLE, archived=FLAG),
    ("PUT", "/api/collection/graph"): GRAPH,
    ("PUT", "/api/permissions/graph"): GRAPH,
    ("POST", "/api/card"): thing(["name", "dataset_query", "display", "visualization_settings"], **CARD),
    ("PUT", "/api/card/{id}"): thing([], **CARD, archived=FLAG, enable_embedding=FLAG),
    ("POST", "/api/dataset"): thing(
        ["database"], type={}, database=WHOLE, native=thing(["query"], query=TEXT) | {"additionalProperties": True},
        parameters={"type": "array"}) | {"additionalProperties": True},
    ("POST", "/api/dashboard"): thing(["name"], **DASHBOARD),
    ("PUT", "/api/dashboard/{id}"): thing(
        [], **DASHBOARD, archived=FLAG, width={"enum": ["fixed", "full"]}, auto_apply_filters=FLAG,
        dashcards={"type": ["array", "null"], "items": DASHCARD}, enable_embedding=FLAG, embedding_params=MAP,
        tabs={"type": ["array", "null"], "items": thing(
            ["id", "name"], id={"type": "integer"}, name=TEXT, position={})}),
    ("POST", "/api/notification"): NOTIFICATION,
    ("PUT", "/api/notification/{id}"): NOTIFICATION,
    ("POST", "/api/pulse"): thing(["name", "cards", "channels"], **PULSE, dashboard_id=MAYBE_WHOLE),
    ("PUT", "/api/pulse/{id}"): thing([], **PULSE, archived=FLAG),
    ("PUT", "/api/email"): SMTP,
    ("PUT", "/api/setting/{key}"): thing(["value"], value={}),
    ("POST", "/api/permissions/group"): thing(["name"], name=TEXT),
    ("POST", "/api/permissions/membership"): thing(
        ["group_id", "user_id"], group_id=WHOLE, user_id=WHOLE, is_group_manager=FLAG),
    ("POST", "/api/user"): thing(["email"], **USER),
    ("PUT", "/api/user/{id}"): thing([], **USER),
    ("PUT", "/api/table/{id}"): thing(
        [], display_name=MAYBE_TEXT, description={"type": ["string", "null"]}, visibility_type=MAYBE_TEXT),
    ("PUT", "/api/field/{id}"): thing(
        [], display_name=MAYBE_TEXT, description=MAYBE_TEXT, visibility_type=MAYBE_TEXT, semantic_type=MAYBE_TEXT),
}  # fmt: skip

# Routes of Metabase's own source (warehouse_schema_rest/api: table.clj, field.clj) beyond the OpenAPI subset.
BEYOND_OPENAPI = (("PUT", "/api/table/{id}"), ("PUT", "/api/field/{id}"))
# Bodies a reader sends back whole, with everything the server added to them: extra keys there are no mistake.
SENT_BACK = (("PUT", "/api/notification/{id}"),)
# Parts whose keys are free.
FREE = (
    "details",
    "visualization_settings",
    "dataset_query",
    "groups",
    "embedding_params",
    "login_attributes",
    "settings",
)


@cache
def openapi() -> dict[str, Any] | None:
    return json.loads(OPENAPI.read_text(encoding="utf-8")) if OPENAPI.exists() else None


@cache
def openapi_validator(method: str, path: str) -> Draft202012Validator | None:
    document = openapi()
    operation = (document or {}).get("paths", {}).get(path, {}).get(method.lower(), {})
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return Draft202012Validator({**schema, "components": document["components"]}) if schema else None


@cache
def own_validator(method: str, path: str) -> Draft202012Validator | None:
    schema = OWN.get((method, path))
    return Draft202012Validator(schema) if schema else None


def faults(method: str, path: str, body: Any) -> dict[str, str]:
    """What is wrong with a body, by field."""
    found = {}
    for validator in (own_validator(method, path), openapi_validator(method, path)):
        if validator is not None:
            for error in validator.iter_errors(body):
                found[".".join(map(str, error.absolute_path)) or "body"] = error.message[:300]
    return found


def undeclared_parameters(method: str, path: str, names: set[str]) -> set[str]:
    """Query parameters the OpenAPI subset does not know for this route."""
    document = openapi()
    if document is None or (method, path) in BEYOND_OPENAPI:
        return set()
    operation = document["paths"].get(path, {}).get(method.lower())
    if operation is None:
        return {f"route {method} {path}"}
    declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "query"}
    return names - declared


def strip(method: str, path: str, body: Any) -> tuple[Any, list[str]]:
    """The body without undeclared keys, and which those were."""
    schema = OWN.get((method, path))
    if schema is None:
        return body, []
    return _strip(schema, body, "")


def _strip(schema: dict[str, Any], value: Any, place: str) -> tuple[Any, list[str]]:
    if isinstance(value, list) and "items" in schema:
        parts = [_strip(schema["items"], each, f"{place}[]") for each in value]
        return [part for part, _ in parts], [name for _, names in parts for name in names]
    properties = schema.get("properties")
    if not isinstance(value, dict) or not properties or schema.get("additionalProperties"):
        return value, []
    kept, lost = {}, []
    for key, part in value.items():
        if key not in properties:
            lost.append(f"{place}.{key}".lstrip("."))
        elif key in FREE:
            kept[key] = part
        else:
            kept[key], deeper = _strip(properties[key], part, f"{place}.{key}")
            lost += deeper
    return kept, lost
