"""
Metabase, as anybody who reaches it sees it: version and known holes, set-up, sharing; with our key also its content.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests

from panpan.doctor.check import Checks, Verdict, bad, well
from panpan.doctor.floors import products
from panpan.errors import ServerError
from panpan.local.n8n_api import loopback_session
from panpan.settings import Settings

NONE = "there is no Metabase"
APPLY = "bin/panpan metabase apply sets it again"
SECONDS = 2

checks = Checks()


@dataclass(frozen=True)
class Reports:
    """version is empty where there is no Metabase; has_sample is None where we have no key to look."""

    version: str = ""
    has_setup_token: bool = False
    has_public_sharing: bool = False
    has_tracking: bool = False
    has_sample: bool | None = None
    administrators: tuple[str, ...] = ()


def look(settings: Settings) -> Reports:
    """
    Ask its public properties; databases and administrators with our key.

    Errors: ServerError when one is set and does not answer.
    """
    if not settings.metabase_url:
        return Reports()
    with loopback_session() as session:
        try:
            properties = session.get(f"{settings.metabase_url}/api/session/properties", timeout=SECONDS).json()
        except (requests.RequestException, ValueError) as error:
            raise ServerError("Metabase does not answer") from error
        has_sample: bool | None = None
        administrators: tuple[str, ...] = ()
        if settings.metabase_api_key:
            session.headers["X-API-Key"] = settings.metabase_api_key.get_secret_value()
            with suppress(requests.RequestException, ValueError):
                databases = _rows(session.get(f"{settings.metabase_url}/api/database", timeout=SECONDS).json())
                has_sample = any(row.get("is_sample") for row in databases)
                users = _rows(session.get(f"{settings.metabase_url}/api/user", timeout=SECONDS).json())
                administrators = tuple(row["email"] for row in users if row.get("is_superuser"))
    return Reports(
        version=str(properties["version"]["tag"]),
        has_setup_token=properties.get("setup-token") is not None,
        has_public_sharing=bool(properties.get("enable-public-sharing")),
        has_tracking=bool(properties.get("anon-tracking-enabled")),
        has_sample=has_sample,
        administrators=administrators,
    )


def _rows(content: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = content["data"] if isinstance(content, dict) else content
    return rows


@checks.add("metabase-version", "error", Reports)
def metabase_version(reports: Reports) -> Verdict:
    if not reports.version:
        return well(NONE)
    known = products()["metabase"]
    holes = known.holes_of(reports.version)
    if known.is_below(reports.version) or holes:
        ids = ", ".join(hole.id for hole in holes) or "its line gets no more fixes"
        fix = f"raise it to v{known.container} or later, after bin/panpan backups create: docs/upgrade.md"
        return bad(f"Metabase {reports.version} has known holes: {ids}", fix)
    return well(f"Metabase {reports.version}")


@checks.add("metabase-setup", "error", Reports, security=True)
def metabase_setup(reports: Reports) -> Verdict:
    if reports.has_setup_token:
        return bad("Metabase has no administrator: the first visitor becomes it", "bin/panpan metabase apply")
    return well("Metabase's set-up is closed" if reports.version else NONE)


@checks.add("metabase-sharing", "error", Reports, security=True)
def metabase_sharing(reports: Reports) -> Verdict:
    if reports.has_public_sharing:
        return bad("Metabase lets figures be shared by public links", APPLY)
    return well("no public links" if reports.version else NONE)


@checks.add("metabase-tracking", "note", Reports, security=True)
def metabase_tracking(reports: Reports) -> Verdict:
    if reports.has_tracking:
        return bad("Metabase tells its maker how it is used", APPLY)
    return well("Metabase tells nobody how it is used" if reports.version else NONE)


@checks.add("metabase-sample", "warning", Reports, security=True)
def metabase_sample(reports: Reports) -> Verdict:
    if reports.has_sample:
        return bad("Metabase's sample database is there", "bin/panpan metabase apply removes it")
    return well("no sample database" if reports.version else NONE)


@checks.add("metabase-administrators", "warning", Reports, security=True)
def metabase_administrators(reports: Reports) -> Verdict:
    if len(reports.administrators) > 2:
        found = ", ".join(reports.administrators)
        return bad(f"{len(reports.administrators)} people may change anything: {found}", "make the others employees")
    return well("at most two people may change anything" if reports.version else NONE)
