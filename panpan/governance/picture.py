"""
The graph as a picture: sources at the left, what people see at the right, a line for each that reads the other.

Comes in: a graph. Goes out: SVG text that needs no style sheet; a page may light up the group a reader points at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape

from panpan.governance.graph import Graph, Node, collapsed

COLUMNS = {
    "Sources": ("source",),
    "Core": ("core",),
    "Marts": ("marts",),
    "Metrics": ("metric",),
    "Dashboards, alerts": ("dashboard", "alert"),
}
SEE_ALL = ("marts.check_results", "marts.alerts")  # lines from everything would hide the others
WIDTH, HEIGHT, GAP, SPACE, TOP, MARGIN = 196, 24, 8, 70, 46, 26
SWEEPS = 4  # after so many the places hardly move any more
FONT = "ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"
INK, EDGE, LINE = "#1f2937", "#64748b", "#94a3b8"


@dataclass(frozen=True)
class Place:
    """Where a node stands: its column and the middle of its left side."""

    column: int
    x: int
    y: int


def draw(graph: Graph, links: Mapping[str, str] | None = None) -> str:
    """The picture; `links` gives the page of a node by its key. A group is a node and the lines to its readers."""
    shown = collapsed(graph, [layer for layers in COLUMNS.values() for layer in layers])
    shown |= {key: replace(shown[key], reads=()) for key in SEE_ALL if key in shown}
    shown = {
        key: node for key, node in shown.items() if node.reads or any(key in each.reads for each in shown.values())
    }
    places = _places(shown)
    readers = {key: [each for each, node in shown.items() if key in node.reads] for key in shown}
    width = 2 * MARGIN + len(COLUMNS) * WIDTH + (len(COLUMNS) - 1) * SPACE
    height = max((place.y for place in places.values()), default=TOP) + HEIGHT
    heads = [
        f'<text x="{_left(column)}" y="24" font-size="14" font-weight="600">{escape(title)}</text>'
        for column, title in enumerate(COLUMNS)
    ]
    # From left to right: a box hides the lines that pass behind it.
    in_order = sorted(shown, key=lambda key: (places[key].column, places[key].y))
    parts = [_drawn(shown[key], places, readers[key], (links or {}).get(key)) for key in in_order]
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    look = f'font-family="{FONT}" font-size="12" fill="{INK}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="flow" {size} {look} role="img" aria-labelledby="flow-title">'
    )
    title = '<title id="flow-title">From which source each table, metric, dashboard and alert comes</title>'
    return "\n".join([head, title, *heads, *parts, "</svg>"]) + "\n"


def _left(column: int) -> int:
    return MARGIN + column * (WIDTH + SPACE)


def _places(shown: Graph) -> dict[str, Place]:
    """Each node near the middle of what it reads and of what reads it, so that lines cross little."""
    columns = [[key for key, node in shown.items() if node.layer in layers] for layers in COLUMNS.values()]
    near: dict[str, set[str]] = {key: set(node.reads) for key, node in shown.items()}
    for key, node in shown.items():
        for read in node.reads:
            near[read].add(key)
    tallest = max(map(len, columns))
    height = {key: _height(row, keys, tallest) for keys in columns for row, key in enumerate(sorted(keys))}
    for _ in range(SWEEPS):
        for keys in columns:
            wanted = {key: sum(height[each] for each in near[key]) / len(near[key]) for key in keys}
            keys.sort(key=lambda key: (wanted[key], key))
            height |= {key: _height(row, keys, tallest) for row, key in enumerate(keys)}
    return {key: Place(n, _left(n), TOP + round(height[key])) for n, keys in enumerate(columns) for key in keys}


def _height(row: int, keys: list[str], tallest: int) -> float:
    """The middle of a row; shorter columns are spread over the height of the tallest."""
    return (row + 0.5) * tallest * (HEIGHT + GAP) / len(keys)


def _drawn(node: Node, places: Mapping[str, Place], readers: list[str], link: str | None) -> str:
    place = places[node.key]
    paths = "".join(f'<path d="{_line(place, places[reader])}"/>' for reader in readers)
    lines = f'<g fill="none" stroke="{LINE}" stroke-opacity=".55">{paths}</g>'
    kind = {"dashboard": "Dashboard: ", "alert": "Alert: "}.get(node.layer, "")
    words = escape((kind + node.name.replace("_", " ")).replace("Alert: metabase.", "Metabase: "))
    label = f'<text x="{place.x + 10}" y="{place.y + 4}">{words}</text>'
    if link:
        label = f'<a href="{escape(link)}">{label}</a>'
    says = escape(f"{node.made_by}; responsible: {', '.join(node.owners)}")
    box = f'<rect x="{place.x}" y="{place.y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="5"'
    box += f' fill="#fff" stroke="{EDGE}"/>'
    return f"<g><title>{says}</title>{lines}{box}{label}</g>"


def _line(start: Place, end: Place) -> str:
    """From the right side of one to the left side of the other; within a column around their right sides."""
    right = start.x + WIDTH
    if start.column == end.column:
        out = right + SPACE // 3
        return f"M{right} {start.y}C{out} {start.y} {out} {end.y} {right} {end.y}"
    middle = (right + end.x) // 2
    if start.column > end.column:  # goals: a metric's figures kept as a mart
        return f"M{start.x} {start.y}L{end.x + WIDTH} {end.y}"
    return f"M{right} {start.y}C{middle} {start.y} {middle} {end.y} {end.x} {end.y}"
