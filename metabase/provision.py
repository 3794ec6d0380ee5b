"""
From an address to a client that may do everything: health, version, the first administrator, the key.

Comes in: settings. Goes out: a `Client`. An unclaimed Metabase hands its set-up token to whoever asks first, so it is
claimed at once, and that the door is shut is proven by trying it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from metabase.client import Client, MetabaseError, MetabaseRefused
from metabase.versions import check_version
from panpan.settings import Settings

KEY_NAME = "panpan"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
HEALTH_SECONDS = 300
Keep = Callable[[str, str], None]
"""Told a setting's name and a secret; must have written it down for good when it returns."""


@dataclass(frozen=True)
class Server:
    """A Metabase as it presents itself to everybody."""

    tag: str
    is_claimed: bool
    setup_token: str | None
    notes: tuple[str, ...] = ()


def look_at(client: Client, *, seconds: float = HEALTH_SECONDS) -> Server:
    """
    Wait for health and read what the server says of itself.

    Errors: MetabaseError when it does not get well, or its version is below the security floor.
    """
    client.wait_until_healthy(seconds)
    properties: dict[str, Any] = client.get("/api/session/properties")
    tag = (properties.get("version") or {}).get("tag")
    newer = check_version(tag)
    address = urlsplit(client.url)
    open_wire = address.scheme == "http" and address.hostname not in LOCAL_HOSTS
    notes = [newer] if newer else []
    notes += [f"{client.url} is not encrypted: the administrator's key can be read on the way"] if open_wire else []
    return Server(str(tag), bool(properties.get("has-user-setup")), properties.get("setup-token"), tuple(notes))


def need_url(settings: Settings) -> str:
    """
    The address of Metabase.

    Errors: MetabaseError when there is none.
    """
    if settings.metabase_url:
        return settings.metabase_url
    raise MetabaseError(
        "there is no Metabase to speak to",
        cause="PANPAN_METABASE_URL is not set",
        next="set it, as in http://127.0.0.1:3000; until then `panpan metabase preview` shows the dashboards",
    )


def enter(client: Client, settings: Settings) -> None:
    """
    Speak as administrator from now on: by the key, else as the person. Writes nothing.

    Errors: MetabaseError when neither is known or both are refused.
    """
    if settings.metabase_api_key is not None:
        client.use_key(settings.metabase_api_key)
        try:
            need_administrator(client)
            return
        except MetabaseRefused as error:
            if error.status != 401 or settings.metabase_admin_password is None:
                raise
    if settings.metabase_admin_password is None:
        raise MetabaseError(
            "this Metabase has an administrator, whom we do not know",
            cause="neither PANPAN_METABASE_API_KEY nor PANPAN_METABASE_ADMIN_PASSWORD is set",
            next="make an API key for group Administrators in its admin settings and set PANPAN_METABASE_API_KEY",
        )
    client.log_in(settings.metabase_admin_email, settings.metabase_admin_password)
    need_administrator(client)


def need_administrator(client: Client) -> None:
    """Errors: MetabaseError when the key or person is no administrator."""
    if not client.get("/api/user/current").get("is_superuser"):
        raise MetabaseError(
            "this key or person is no administrator of Metabase", next="use one of group Administrators"
        )


def claim(client: Client, server: Server, settings: Settings, keep: Keep) -> None:
    """
    Create the first administrator, prove that nobody else can, and log in.

    The password is kept before it is used: a run that is killed in between can still log in.
    Errors: MetabaseError when the set-up can't be shown to be closed.
    """
    if server.setup_token is None:
        raise MetabaseError("Metabase has no administrator and gives no set-up token", next="restart it, then again")
    password = settings.metabase_admin_password or new_password()
    if settings.metabase_admin_password is None:
        keep("metabase_admin_password", password.get_secret_value())
    person = {"email": settings.metabase_admin_email, "first_name": "Panpan", "last_name": "Administrator"}
    body = {
        "token": server.setup_token,
        "user": person | {"password": password.get_secret_value()},
        "prefs": {"site_name": "PanPan"},
    }
    client.post("/api/setup", body)
    prove_closed(client, body)
    client.log_in(settings.metabase_admin_email, password)


def prove_closed(client: Client, body: dict[str, Any]) -> None:
    """
    Try to take the server again with the very same token.

    Errors: MetabaseError when anything but a refusal comes back, or the token is still told.
    """
    properties = client.get("/api/session/properties")
    told = properties.get("setup-token")
    if told is not None or not properties.get("has-user-setup"):
        raise MetabaseError("Metabase still tells its set-up token", next="stop it: anybody could take it over")
    try:
        client.post("/api/setup", body)
    except MetabaseRefused as error:
        if error.status in (400, 403):
            return
        raise
    raise MetabaseError("Metabase can be set up a second time", next="stop it: anybody could take it over")


def ensure_key(client: Client, settings: Settings, keep: Keep) -> None:
    """
    An API key of our own for later runs, kept by the caller; made anew when its secret was lost.

    The client goes on with the key. A second run finds it in the settings and writes nothing.
    """
    if settings.metabase_api_key is not None:
        client.use_key(settings.metabase_api_key)
        try:
            need_administrator(client)
            return
        except MetabaseRefused as error:
            if error.status != 401 or settings.metabase_admin_password is None:
                raise
            client.log_in(settings.metabase_admin_email, settings.metabase_admin_password)
    elif not client.is_known:
        enter(client, settings)
    there = [row for row in client.get_list("/api/api-key") if row.get("name") == KEY_NAME]
    if there:
        made = client.put(f"/api/api-key/{there[0]['id']}/regenerate")
    else:
        groups = client.get_list("/api/permissions/group")
        administrators = next(row["id"] for row in groups if row.get("magic_group_type") == "admin")
        made = client.post("/api/api-key", {"name": KEY_NAME, "group_id": administrators})
    secret = str(made["unmasked_key"])
    keep("metabase_api_key", secret)
    client.use_key(SecretStr(secret))


def new_password() -> SecretStr:
    """Long, and with every kind of character that Metabase's strictest rule asks for."""
    return SecretStr(f"{secrets.token_urlsafe(24)}-Pa7n")
