"""
What n8n's SQL functions need to know of each source, from contracts and settings into ops.source_settings.

Comes in: contracts with their `[api]` table. Goes out: one row per source; `kind` is files, api, or retired
when its contract is gone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import psycopg2
from psycopg2.extensions import connection as PgConnection  # the driver's own name is too plain
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from panpan.errors import ContractError, UsageError
from panpan.settings import Settings

FILES_WEBHOOK = "pos-files"
PLACEHOLDERS = ("page_size", "page", "cursor", "window_from", "window_to")
SIMULATED_PATHS = {"pos_api_url": "pos-api", "crm_url": "crm", "inventory_url": "inventory"}


class SourceContract(Protocol):
    """The part of a source's contract that matters here."""

    @property
    def source(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def api(self) -> Mapping[str, Any] | None: ...


class Part(BaseModel):
    """A piece of the `[api]` table: unchangeable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(Part):
    """One list of records of an API; a pull of it is one load."""

    entity: str = Field(description="raw table of the records")
    name: str = Field("", description="tells endpoints of one entity apart; unset: the entity")
    method: Literal["GET", "POST"] = "GET"
    path: str = Field(pattern=r"^/")
    paging: Literal["single", "cursor", "pages", "xml_pages"] = "single"
    page_size: int | None = Field(None, ge=1)
    media_type: str = "application/json"
    records: str = Field(description="JSON path of the list of records; XML: name of the root element")
    cursor: str | None = Field(None, description="JSON path of the next cursor; absent on the last page")
    has_more: str | None = Field(None, description="JSON path of true or false")
    updated_at: str | None = Field(None, description="JSON path of the records' change times: the watermark")
    code: str | None = Field(None, description="key of the answer that must be 0")
    parameters: dict[str, str] = {}
    body: dict[str, Any] | None = None

    @model_validator(mode="after")
    def fits_together(self) -> Endpoint:
        needed = {"cursor": self.cursor, "pages": self.has_more}
        if self.paging in needed and needed[self.paging] is None:
            raise ValueError(f"paging {self.paging} needs {'cursor' if self.paging == 'cursor' else 'has_more'}")
        if self.body is not None and self.method == "GET":
            raise ValueError("a body needs method POST")
        asked = _placeholders([*self.parameters.values(), *_texts(self.body)])
        if unknown := sorted(asked - set(PLACEHOLDERS)):
            raise ValueError(f"no value is called {', '.join(unknown)}; known: {', '.join(PLACEHOLDERS)}")
        if self.paging in ("cursor", "pages", "xml_pages"):
            wanted = "cursor" if self.paging == "cursor" else "page"
            if wanted not in asked:
                raise ValueError(f"paging {self.paging} never sends {{{wanted}}}")
        if "window_from" in asked and self.updated_at is None:
            raise ValueError("{window_from} needs updated_at, which says where change times are")
        return self


class Api(Part):
    """How n8n pulls a source."""

    webhook: str = Field(description="path of the workflow's webhook")
    url_setting: str | None = Field(None, description="setting that holds the address")
    base_url: str | None = Field(None, description="the address itself, where no setting holds it")
    overlap_minutes: int = Field(10, ge=0, description="how far before the watermark a pull begins")
    max_attempts: int = Field(5, ge=1, le=20)
    retry_base_seconds: float = Field(2.0, ge=0, description="wait before the second attempt; doubles")
    pause_seconds: float = Field(0.0, ge=0, le=60, description="politeness between two pages")
    abandon_after_seconds: int = Field(300, ge=1, description="silence after which a pull counts as dead")
    max_pages: int = Field(100_000, ge=1)
    endpoints: list[Endpoint] = Field(min_length=1)

    @model_validator(mode="after")
    def has_one_address(self) -> Api:
        if (self.url_setting is None) == (self.base_url is None):
            raise ValueError("give either url_setting or base_url")
        if self.url_setting is not None and self.url_setting not in SIMULATED_PATHS:
            raise ValueError(f"no setting {self.url_setting!r}; there are {', '.join(SIMULATED_PATHS)}")
        names = [endpoint.name or endpoint.entity for endpoint in self.endpoints]
        if len(set(names)) < len(names):
            raise ValueError("two endpoints have one name")
        return self


@dataclass(frozen=True)
class KnownSource:
    """A source as n8n's functions know it."""

    source: str
    kind: Literal["files", "api"]
    webhook: str
    has_address: bool


def sync_source_settings(connection: PgConnection, contracts: Iterable[SourceContract], settings: Settings) -> None:
    """
    Make ops.source_settings say what contracts and settings say. A second run changes nothing.

    Errors: ContractError naming source, place and fault of a wrong `[api]` table.
    """
    wanted = {contract.source: (contract.system, source_settings(contract, settings)) for contract in contracts}
    with connection.cursor() as cursor:
        for source, (system, values) in wanted.items():
            check_paths(connection, source, values)
            cursor.execute(
                "insert into ops.source_settings as s (source, system, settings) values (%s, %s, %s::jsonb)"
                " on conflict (source) do update"
                " set system = excluded.system, settings = excluded.settings, updated_at = now()"
                " where (s.system, s.settings) is distinct from (excluded.system, excluded.settings)",
                (source, system, json.dumps(values)),
            )
        cursor.execute(
            """update ops.source_settings set settings = '{"kind": "retired"}', updated_at = now()"""
            " where source <> all(%s) and settings ->> 'kind' <> 'retired'",
            (list(wanted),),
        )


def source_settings(contract: SourceContract, settings: Settings) -> dict[str, Any]:
    """The settings of one source: where files lie, or how its API is pulled."""
    if contract.api is None:
        home = str(settings.home.absolute())
        return {
            "kind": "files",
            "webhook": FILES_WEBHOOK,
            "home": home,
            "inline_bytes": settings.inline_bytes,
        }
    try:
        api = Api.model_validate(contract.api)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, ('api', *e['loc'])))}: {e['msg']}" for e in error.errors())
        raise ContractError(
            f"contract of {contract.source} is wrong", cause=faults, next=f"correct {contract.source}.toml"
        ) from None
    values = api.model_dump(exclude_none=True, exclude={"url_setting", "webhook"})
    values["base_url"] = base_url(api, settings)  # null: nobody has said where it is, and n8n's rounds pass it by
    for endpoint in values["endpoints"]:
        endpoint["name"] = endpoint["name"] or endpoint["entity"]
    return {"kind": "api", "webhook": api.webhook, "api": values}


def base_url(api: Api, settings: Settings) -> str | None:
    """The address of an API: its own, the setting's, or where the home says so the simulated system's."""
    if api.url_setting is None:
        return str(api.base_url).rstrip("/")
    given: str | None = getattr(settings, api.url_setting)
    simulated = f"http://127.0.0.1:{settings.simulate_port}/{SIMULATED_PATHS[api.url_setting]}"
    if given is None and not settings.simulated:
        return None
    return (given or simulated).rstrip("/")


def check_paths(connection: PgConnection, source: str, values: Mapping[str, Any]) -> None:
    """
    Let the server read every JSON path once.

    Errors: ContractError naming the path it can't read.
    """
    for endpoint in values.get("api", {}).get("endpoints", []):
        keys = () if endpoint["paging"] == "xml_pages" else ("records", "cursor", "has_more", "updated_at")
        for path in (endpoint[key] for key in keys if key in endpoint):
            with connection.cursor() as cursor:
                cursor.execute("select pg_input_is_valid(%s, 'jsonpath')", (path,))
                if cursor.fetchone() != (True,):
                    raise ContractError(
                        f"contract of {source} is wrong",
                        cause=f"api endpoint {endpoint['name']}: {path!r} is no JSON path",
                        next=f"correct {source}.toml",
                    )


def known_sources(connection: PgConnection) -> dict[str, KnownSource]:
    """Every source n8n may deliver, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select source, settings ->> 'kind', settings ->> 'webhook',"
            " settings ->> 'kind' = 'files' or settings -> 'api' ->> 'base_url' is not null"
            " from ops.source_settings"
            " where settings ->> 'kind' <> 'retired' order by source"
        )
        return {row[0]: KnownSource(*row) for row in cursor.fetchall()}


def find_source(connection: PgConnection, source: str) -> KnownSource:
    """One source. Errors: UsageError naming the known ones."""
    try:
        sources = known_sources(connection)
    except psycopg2.errors.UndefinedTable:
        sources = {}
    if source not in sources:
        raise UsageError(
            f"there is no source {source!r}",
            cause=f"known sources: {', '.join(sources) or 'none yet'}",
            next="bin/panpan sources list" if sources else "bin/panpan up",
        )
    return sources[source]


def _placeholders(texts: Iterable[str]) -> set[str]:
    return {text[1:-1] for text in texts if text.startswith("{") and text.endswith("}")}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []
