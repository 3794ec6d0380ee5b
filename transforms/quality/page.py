"""
docs/quality.md: how the data are checked, and every check there is.
"""

from __future__ import annotations

from pathlib import Path

from transforms.quality.checks import Check, load_checks

MADE_BY = "<!-- Made by `python -m panpan.documentation`; the list from transforms/checks, the text from {}. -->"
TEXT = Path(__file__).with_name("quality.md")
LAYERS = {
    "raw": "What was received",
    "formatted": "What could be read of it",
    "core": "The model of the business",
    "marts": "What dashboards show",
    "ops": "Backups",
}


def page() -> str:
    """The page: the written part, then the checks by layer."""
    parts = [MADE_BY.format("transforms/quality/quality.md"), TEXT.read_text(encoding="utf-8").strip()]
    known = load_checks().values()
    parts.append(
        f"## The checks\n\n{len(known)} checks. *Blocks*: made inside a run too, before its results are shown."
    )
    for layer, title in LAYERS.items():
        parts.append(f"### {title}\n\n{_table([check for check in known if check.layer == layer])}")
    return "\n\n".join(parts) + "\n"


def _table(checks: list[Check]) -> str:
    rows = [
        f"| `{check.id}` | {check.severity} | {'yes' if check.blocks else ''} | {check.owner} | {check.meaning} |"
        for check in checks
    ]
    return "\n".join(
        ["| check | severity | blocks | owner | it fails when |", "| --- | --- | --- | --- | --- |", *rows]
    )
