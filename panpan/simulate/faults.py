"""
What can go wrong at a source, by name: the table of faults and which of them are on.

Comes in: a switch, in process or over `/control/faults`. Goes out: "strike now" to the part that plays it.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

from panpan.errors import UsageError

FAULTS = {
    "crm_rate_limited": "The CRM answers 429 and asks to wait one second.",
    "crm_rate_limited_silent": "The CRM answers 429 and doesn't say how long to wait.",
    "crm_html": "The CRM answers 200 with an HTML maintenance page instead of JSON.",
    "crm_repeated_cursor": "The CRM gives back the same `after` it was asked with, so paging never ends.",
    "crm_moves_under_paging": "A contact stands at the end of one page and at the start of the next.",
    "crm_down": "The CRM closes the connection in the middle of its answer.",
    "crm_empty_page": "The CRM gives a page without contacts that still names a next page.",
    "inventory_500": "The inventory system answers 500.",
    "inventory_slow": "The inventory system answers only after some seconds.",
    "inventory_broken_xml": "The list of supplier deliveries stops before its last tags are closed.",
    "inventory_page_repeats": "A page after the first holds the rows of the page before it.",
    "inventory_truncated_json": "The inventory system's JSON stops in the middle.",
    "inventory_code_error": "The inventory system answers 200, but the code in the body says it failed.",
    "pos_api_502_html": "A gateway before the POS API answers 502 with an HTML page.",
    "pos_api_duplicate_orders": "A page of orders holds three of its orders twice.",
    "pos_api_late_orders": "Five orders taken offline three days ago arrive only now.",
    "pos_api_wrong_token": "The POS API no longer accepts the token it accepted before.",
    "pos_api_rate_limited": "The POS API answers 429 with the code RATE_LIMITED.",
    "pos_empty": "The export is a file of no bytes.",
    "pos_truncated": "The export is cut off in the middle of a row.",
    "pos_other_layout": "The file is another report of the same POS.",
    "pos_utf16": "The export was saved again as UTF-16.",
    "pos_latin1": "The export was saved again in the Western European encoding of Windows.",
    "pos_bom": "The export begins with a byte order mark.",
    "pos_unknown_column": "A column nobody knows stands in the middle of the export.",
    "pos_line_breaks": "Notes of the export hold line breaks inside quoted cells.",
    "pos_header_only": "The export has a header and no rows.",
    "pos_duplicate_file": "The export was downloaded twice and lies there under a second name.",
    "pos_bad_values": "Three rows of the export hold an amount, a date and a quantity nobody can read.",
}
FILE_FAULTS = tuple(name for name in FAULTS if name.startswith("pos_") and not name.startswith("pos_api_"))


@dataclass(slots=True)
class _Switch:
    on: bool = False
    times_left: int | None = None
    struck: int = 0


class Faults:
    """Which faults are on, and for how many strikes more; safe to use from several threads."""

    def __init__(self, slow_seconds: float = 5.0) -> None:
        self.slow_seconds = slow_seconds
        self._switches = {name: _Switch() for name in FAULTS}
        self._lock = Lock()

    def switch(self, name: str, on: bool = True, times: int | None = None) -> None:
        """
        Turn a fault on or off; `times` is how often it strikes before it turns itself off.

        Errors: UsageError for a name that isn't in the table, or times below 1.
        """
        if name not in self._switches:
            raise UsageError(f"there is no fault {name!r}", next="GET /control/faults lists them")
        if times is not None and times < 1:
            raise UsageError(f"times is {times}, expected 1 or more")
        with self._lock:
            known = self._switches[name]
            known.on, known.times_left = on, times if on else None

    def strikes(self, name: str) -> bool:
        """Whether the fault strikes now; counts the strike."""
        with self._lock:
            known = self._switches[name]
            if not known.on:
                return False
            known.struck += 1
            if known.times_left is not None:
                known.times_left -= 1
                known.on = known.times_left > 0
            return True

    def listing(self) -> list[dict[str, Any]]:
        """One entry per fault: name, description, on, times_left (None: until turned off), struck."""
        with self._lock:
            return [
                {
                    "name": name,
                    "description": FAULTS[name],
                    "on": known.on,
                    "times_left": known.times_left if known.on else None,
                    "struck": known.struck,
                }
                for name, known in self._switches.items()
            ]
