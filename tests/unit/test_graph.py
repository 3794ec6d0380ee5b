"""The graph of the whole: nothing without a source or an owner, no circle, and a picture of it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from defusedxml import ElementTree

from db.connection import connect
from panpan.errors import CheckFailed
from panpan.governance.graph import BY_CODE, Graph, collapsed, downstream, load_graph, upstream
from panpan.governance.picture import COLUMNS, HEIGHT, draw
from panpan.settings import CHECKOUT, Settings
from transforms.metrics import load_metrics

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def shipped(server: Settings) -> Graph:
    """The graph of what is shipped."""
    return load_graph(server)


def test_every_relation_of_core_and_marts_is_in_the_graph_and_every_node_has_an_owner(
    shipped: Graph, warehouse: Settings
) -> None:
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
            " where table_schema in ('core', 'marts')"
        )
        relations = {name for (name,) in cursor.fetchall()}

    assert relations == {key for key, node in shipped.items() if node.layer in ("core", "marts")}
    assert [key for key, node in shipped.items() if not node.owners] == []


def test_views_read_what_the_database_says_they_read(shipped: Graph, warehouse: Settings) -> None:
    with connect(warehouse, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select view_schema || '.' || view_name, array_agg(distinct table_schema || '.' || table_name)
            from information_schema.view_table_usage
            where view_schema = 'marts'
            group by 1
            """
        )
        used = dict(cursor.fetchall())

    assert used
    assert {view: sorted(shipped[view].reads) for view in used} == {view: sorted(read) for view, read in used.items()}


def test_files_named_in_the_graph_are_there(shipped: Graph) -> None:
    named = {file for node in shipped.values() for file in node.made_by.split(", ")}

    assert sorted(file for file in named if not (CHECKOUT / file).exists()) == []


def test_every_metric_stands_on_a_source(shipped: Graph) -> None:
    for name in load_metrics():
        assert any(node.layer == "source" for node in upstream(shipped, f"metric.{name}").values()), name


def test_waste_comes_from_stock_and_never_from_the_crm(shipped: Graph) -> None:
    above = upstream(shipped, "metric.waste")

    assert {"source.inventory", "raw_inventory.movements", "core.stock_movements", "marts.waste"} <= above.keys()
    assert "source.crm" not in above
    assert "metric.waste" not in downstream(shipped, ["source.crm"])


def test_downstream_and_upstream_say_the_same(shipped: Graph) -> None:
    for key in ("source.pos", "core.sales", "marts.daily_store_sales", "metric.revenue"):
        below = downstream(shipped, [key])
        assert below.keys() == {other for other in shipped if key in upstream(shipped, other)}


def test_collapsed_graph_keeps_who_stands_on_whom(shipped: Graph) -> None:
    few = collapsed(shipped, ("source", "dashboard"))

    assert {node.layer for node in few.values()} == {"source", "dashboard"}
    for key, node in few.items():
        assert set(node.reads) == {other for other in upstream(shipped, key) if other in few}


@pytest.mark.parametrize(
    ("reads", "said"),
    [("alert.reconciliation_residual", "circle"), ("core.nothing", "nothing makes core.nothing")],
)
def test_circle_or_a_table_nobody_fills_is_told(
    server: Settings, monkeypatch: pytest.MonkeyPatch, reads: str, said: str
) -> None:
    monkeypatch.setitem(BY_CODE, "marts.reconciliation", ("transforms/reconcile.py", (reads,)))

    with pytest.raises(CheckFailed, match=said):
        load_graph(server)


def test_contract_of_the_home_is_a_source_of_the_graph(server: Settings, tmp_path: Path) -> None:
    shipped_file = CHECKOUT / "transforms" / "sources" / "bread_basket.toml"
    text = shipped_file.read_text(encoding="utf-8").replace('source = "bread_basket"', 'source = "corner"')
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "corner.toml").write_text(text, encoding="utf-8")

    found = load_graph(server.model_copy(update={"home": tmp_path}))

    assert found["source.corner"].made_by == "sources/corner.toml of the home"
    assert "source.corner" in found["raw_pos.sale_lines"].reads


def test_picture_shows_each_node_once_and_none_lies_on_another(shipped: Graph) -> None:
    root = ElementTree.fromstring(draw(shipped, {"metric.revenue": "/catalogue#revenue"}))

    boxes = [(int(box.get("x")), int(box.get("y"))) for box in root.iter(f"{SVG}rect")]
    labels = [label.text for label in root.iter(f"{SVG}text")]
    assert len(set(boxes)) == len(boxes) == len(labels) - len(COLUMNS)
    for left in {x for x, _ in boxes}:
        heights = sorted(y for x, y in boxes if x == left)
        assert all(lower - upper >= HEIGHT for upper, lower in pairwise(heights))
    assert [link.get("href") for link in root.iter(f"{SVG}a")] == ["/catalogue#revenue"]


def test_picture_of_a_node_alone_is_a_picture(shipped: Graph) -> None:
    ElementTree.fromstring(draw({"source.pos": shipped["source.pos"]}))
