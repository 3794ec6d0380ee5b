"""
Who gets mails: groups of people, each with address, language and time zone.

Comes in: alerts/people.yaml of the home; without it the people named for Metabase, in the reports' time zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import getaddresses
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from panpan.alerting.rules import Language
from panpan.errors import ContractError
from panpan.settings import Settings

ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


class Person(BaseModel):
    """Somebody who gets mails."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str = Field(pattern=ADDRESS, max_length=254)
    name: str = ""
    language: Language = "en"
    time_zone: Zone = "UTC"


_FILE: TypeAdapter[dict[str, list[Person]]] = TypeAdapter(dict[str, list[Person]])


def load_people(settings: Settings) -> dict[str, list[Person]]:
    """
    Groups by name.

    Errors: ContractError naming the file and the fault.
    """
    if settings.people_file.exists():
        try:
            said = yaml.safe_load(settings.people_file.read_text(encoding="utf-8")) or {}
            return _FILE.validate_python(said)
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ContractError(
                f"{settings.people_file.name} is wrong", cause=str(error), next=f"correct {settings.people_file}"
            ) from error
    # A simulated home has an owner too: its mails go no further than the catcher.
    owner = settings.n8n_owner_email if settings.simulated else None
    return {
        "owners": _named(settings.metabase_owners or owner, settings.report_time_zone),
        "employees": _named(settings.metabase_employees, settings.report_time_zone),
    }


def recipients(people: dict[str, list[Person]], to: Iterable[str]) -> list[Person]:
    """The people of groups and addresses, each once, in order. A group nobody is in gives nobody."""
    known = {person.address.lower(): person for group in people.values() for person in group}
    chosen: dict[str, Person] = {}
    for word in to:
        found = [known.get(word.lower()) or Person(address=word)] if "@" in word else people.get(word, [])
        chosen.update({person.address.lower(): person for person in found})
    return list(chosen.values())


def _named(text: str | None, zone: str) -> list[Person]:
    return [
        Person(address=address, name=name, time_zone=zone) for name, address in getaddresses([text or ""]) if address
    ]
