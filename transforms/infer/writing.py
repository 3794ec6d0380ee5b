"""
A draft as the TOML of a contract, every guess with its evidence above it.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping

from transforms.contract import COLUMNS
from transforms.infer.board import Board
from transforms.infer.decisions import Draft, DraftValue
from transforms.infer.masters import KEYS
from transforms.infer.options import Options
from transforms.infer.reading import DELIMITER_NAMES

WIDTH = 110
# Column order inside the contract, and the columns that tell a file of this source from any other.
ORDER = [
    "receipt_number",
    "event",
    "sold_at",
    "sold_on",
    "sold_time",
    "time_zone",
    "store",
    "employee",
    "employee_name",
    "customer",
    "customer_name",
    "loyalty_card",
    "channel",
    "product_key",
    "product_name",
    "category",
    "variation",
    "modifiers",
    "quantity",
    "unit_price",
    "gross_amount",
    "discount_amount",
    "net_amount",
    "tax_amount",
    "tip_amount",
    "currency_code",
    "payment_method",
    "payment_reference",
    "card_brand",
    "card_last_digits",
    "reverses_receipt_number",
    "note",
    "updated_at",
]
TELLING = (
    "receipt_number",
    "sold_at",
    "sold_on",
    "product_key",
    "net_amount",
    "unit_price",
    "quantity",
    "customer",
)
MOST_TELLING = 6
ENTITY_KEYS = ("refunds", "discount_sign", "rebuild_amounts", "unknown_amounts")
DEFAULTS: Mapping[str, object] = {
    "refunds": "none", "discount_sign": "negative", "rebuild_amounts": False, "unknown_amounts": "reject",
}  # fmt: skip


def write_contract(name: str, file_name: str, board: Board, draft: Draft, options: Options) -> str:
    """The contract's text."""
    assumed = "" if options.owner else " # assumed: who answers for this source"
    part = " of a larger file" if board.table.sampled else ""
    lines = [
        *_comment(f"Proposed from {file_name} ({board.table.row_count:,} rows{part}). "
                  "Each guess has its evidence above it; a wrong one is corrected here, without code."),
        f"source = {_text(name)}",
        f"title = {_text(title_of(name))}",
        f"system = {_text(options.system)}",
        f"owner = {_text(options.owner or 'Owner')}{assumed}",
        *_remarks(draft, "time_zone"),
        f"time_zone = {_text(draft.time_zone)}",
        *_remarks(draft, "currency_code"),
        f"currency_code = {_text(draft.currency_code)}",
        f"catalogue = {_text(name)}",
        "warn_after_hours = 168",
        "error_after_hours = 336",
        *_default_store(name, draft),
        *_zones(draft),
        "",
        "[[entities]]",
        *_entity(board, draft),
        "",
        "[entities.columns]",
        *_columns(draft),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def title_of(name: str) -> str:
    """A source's name as words."""
    return name.replace("_", " ").capitalize()


def _default_store(name: str, draft: Draft) -> list[str]:
    if "store" in draft.columns:
        return []
    store = f"default_store = {{ store_id = {_text(name)}, store_name = {_text(title_of(name))} }}"
    return [*_remarks(draft, "default_store"), store]


def _zones(draft: Draft) -> list[str]:
    if not draft.zones:
        return []
    return ["", "[zones]", *(f"{_text(received)} = {_text(zone)}" for received, zone in draft.zones.items())]


def _entity(board: Board, draft: Draft) -> list[str]:
    table = board.table
    ignored = _ignored(board, draft)
    mark = DELIMITER_NAMES[table.delimiter]
    told_by = (
        "the mark at its beginning"
        if table.has_bom
        else "its bytes" + (f" ({table.odd_text!r} reads well)" if table.odd_text else "")
    )
    lines = [
        f"entity = {_text(draft.kind)}",
        f"kind = {_text(draft.kind)}",
        f"recognised_by = {_list(telling_columns(draft))}",
        f"record_id = {_list(_record_id(draft))}",
        *_comment(f"told by {told_by}"),
        f"encodings = {_list([table.encoding])}",
        f"delimiter = {_text(table.delimiter)} # {mark}; lines end with {table.line_end}",
        *_remarks(draft, "missing"),
        f"missing = {_list(_missing(board, draft)[0])}",
        *_remarks(draft, "decimal_mark"),
        f"decimal_mark = {_text(',' if _decimal_comma(draft) else '.')}",
    ]
    for key in ENTITY_KEYS if draft.kind == "sale_lines" else ():
        value = draft.entity.get(key, DEFAULTS[key])
        lines += [*_remarks(draft, key), f"{key} = {_value(value)}"]
    return [*lines, *_remarks(draft, "ignored"), *_long_list("ignored", ignored)] if ignored else lines


def _decimal_comma(draft: Draft) -> bool:
    return any(d.about == "decimal_mark" and d.choice == "comma" for d in draft.decisions)


def telling_columns(draft: Draft) -> list[str]:
    """Received columns that tell this layout: those of its key columns, names the file gave itself."""
    wanted = TELLING if draft.kind == "sale_lines" else tuple(draft.columns)
    names = [name for column in wanted if column in draft.columns for name in draft.columns[column].received]
    named = [name for name in dict.fromkeys(names) if not name.startswith("#")]
    return named[:MOST_TELLING]


def _record_id(draft: Draft) -> list[str]:
    keys = ("receipt_number",) if draft.kind == "sale_lines" else KEYS[draft.kind]
    return list(dict.fromkeys(name for key in keys if key in draft.columns for name in draft.columns[key].received))


def _missing(board: Board, draft: Draft) -> tuple[list[str], dict[str, list[str]]]:
    """Texts that mean nothing: those of the whole entity, and those of one received column only."""
    used = {name for value in draft.columns.values() for name in value.received}
    typed = {name for value in draft.columns.values() if value.type != "text" for name in value.received}
    places: dict[str, list[str]] = {}
    for column in board.table.columns:
        if column.name in used:
            for text in filter(str.strip, column.missing_counts):
                places.setdefault(text, []).append(column.name)
    general = [t for t, names in places.items() if len(names) > 1 or typed & set(names)]
    own: dict[str, list[str]] = {}
    for text, names in places.items():
        if text not in general:
            own.setdefault(names[0], []).append(text)
    return ["", *general], own


def settle_missing(board: Board, draft: Draft) -> None:
    """Decide on the words for missing, and give each typed column its own ones."""
    general, own = _missing(board, draft)
    counts = {c.name: c.missing_counts for c in board.table.columns}
    for text in general[1:]:
        rows = {name: found[text] for name, found in counts.items() if text in found}
        shown = ", ".join(f"{name} {count:,}" for name, count in list(rows.items())[:4])
        draft.decide("missing", f"{text!r} means missing", f"{text!r} stands for a missing value (rows: {shown})")
    told: set[tuple[str, str]] = set()
    for meaning, value in draft.columns.items():
        for name in value.received:
            for text in own.get(name, []):
                value.missing.append(text)
                if (name, text) in told:
                    continue
                told.add((name, text))
                draft.decide(
                    meaning,
                    f"{text!r} means missing",
                    f"{text!r} on {counts[name][text]:,} rows of {name} is taken for missing",
                )


def _ignored(board: Board, draft: Draft) -> list[str]:
    used = {name for value in draft.columns.values() for name in value.received}
    return [column.name for column in board.table.columns if column.name not in used]


def _columns(draft: Draft) -> list[str]:
    lines: list[str] = []
    order = [c for c in ORDER if c in draft.columns] + [c for c in draft.columns if c not in ORDER]
    for name in order:
        if name not in COLUMNS[draft.kind]:  # type: ignore[index]  # the draft's kind is one of the contract's
            continue
        skip = "" if name not in ("currency_code", "time_zone") else name
        lines += [] if skip else _remarks(draft, name)
        lines.append(f"{name} = {_column(draft.columns[name])}")
    return lines


def _column(value: DraftValue) -> str:
    parts: list[str] = []
    if value.source is not None:
        parts.append(f"from = {_value(value.source)}")
    if value.default is not None:
        parts.append(f"default = {_text(value.default)}")
    if value.type != "text":
        parts.append(f"type = {_text(value.type)}")
    if value.format:
        parts.append(f"format = {_value(value.format[0] if len(value.format) == 1 else value.format)}")
    if value.missing:
        parts.append(f"missing = {_list(value.missing)}")
    if value.map:
        parts.append("map = { " + ", ".join(f"{_text(k)} = {_text(v)}" for k, v in value.map.items()) + " }")
    if value.only:
        parts.append(f"only = {_list(value.only)}")
    parts += [f"{flag} = true" for flag in ("required", "fold") if getattr(value, flag)]
    return "{ " + ", ".join(parts) + " }"


# --- TOML --------------------------------------------------------------------------------------------------


def _remarks(draft: Draft, about: str) -> list[str]:
    return [line for remark in draft.remarks(about) for line in _comment(remark)]


def _comment(text: str) -> list[str]:
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return textwrap.wrap(plain, WIDTH, initial_indent="# ", subsequent_indent="#     ", break_long_words=False)


def _text(value: str) -> str:
    """A basic string; JSON's escapes are TOML's, save for the delete character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value) if isinstance(value, str) else _list(value)  # type: ignore[arg-type]  # lists of texts are left


def _long_list(key: str, values: list[str]) -> list[str]:
    short = f"{key} = {_list(values)}"
    if len(short) <= WIDTH:
        return [short]
    body = textwrap.wrap(
        ", ".join(_text(v).replace(" ", "\0") for v in values),
        WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{key} = [", *(f"    {line}".replace("\0", " ") for line in body), "]"]
