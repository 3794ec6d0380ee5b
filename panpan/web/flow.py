"""
The page that shows where everything comes from: the graph as a picture whose boxes lead on.

Comes in: settings, the dashboards. Goes out: SVG. Contracts and rules are read anew, so what changed shows at once.
"""

from __future__ import annotations

from metabase.catalogue import Catalogue
from panpan.governance.graph import load_graph
from panpan.governance.picture import draw
from panpan.settings import Settings

PAGES = {"metric": "/catalogue#{}", "dashboard": "/dashboards/{}"}


def picture(settings: Settings, catalogue: Catalogue) -> str:
    """The whole graph; a metric leads to its definition, a dashboard to itself."""
    graph = load_graph(settings, catalogue)
    links = {key: PAGES[node.layer].format(node.name) for key, node in graph.items() if node.layer in PAGES}
    return draw(graph, links)
