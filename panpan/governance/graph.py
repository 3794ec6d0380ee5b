"""
The graph of the whole: which sources feed which tables, metrics, dashboards and alerts, and through what.

Comes in: contracts, workflows, selects, the catalogue, dashboards, alert rules; no database is asked. Goes out: nodes
by name, each with what it reads, the file it is made by and who answers for it. It goes by tables, not by columns: what
does not come after a node can't be touched by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from metabase.alert_files import load_mails
from metabase.catalogue import Catalogue, Question, load_catalogue
from panpan.alerting.rules import load_rules
from panpan.errors import CheckFailed
from panpan.ingest.sources import FILES_WEBHOOK
from panpan.settings import CHECKOUT, Settings
from transforms.contract import Contract, Kind, load_contracts
from transforms.goals import GOAL_PROGRESS, load_goals
from transforms.metrics import load_metrics

LAYERS = ("source", "raw", "formatted", "core", "ops", "marts", "metric", "question", "dashboard", "alert")
ADMINISTRATOR = "Administrator"  # answers for what the platform says of itself

_READ = re.compile(r"\b(?:from|join)\s+\(*\s*((?:core|marts|ops)\.)?(\w+)", re.IGNORECASE)
_VIEW = re.compile(r"^CREATE VIEW marts\.(\w+) AS\n(.*?);$", re.MULTILINE | re.DOTALL)
_MADE = re.compile(r"^CREATE TABLE (core|marts)\.(\w+) \(", re.MULTILINE)
# What transforms/matching makes of persons, and the kinds that tell of them.
PERSONS = ("customers", "customer_sources", "customer_facts", "customer_match_candidates")
OF_PERSONS = ("customers", "sale_lines")
# Tables that code fills, not a select of their name: its file, and what it reads.
BY_CODE: dict[str, tuple[str, tuple[str, ...]]] = {
    "core.customer_match_decisions": ("transforms/matching/decisions.py", ()),
    "marts.published_figures": ("transforms/published.py", ("marts.daily_store_sales",)),
    "marts.reconciliation": ("transforms/reconcile.py", ("core.sales", "core.sale_lines", "core.stock_movements")),
    "marts.sales_forecast": ("transforms/sales_forecast.py", ("metric.revenue",)),
    "marts.alert_heartbeat": ("panpan/alerting/evaluate.py", ()),
}


@dataclass(frozen=True)
class Node:
    """One thing that holds or shows data: what it reads, the file it is made by, who answers for it."""

    layer: str
    name: str
    reads: tuple[str, ...]
    made_by: str
    owners: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """layer.name; raw tables carry their schema in the name: raw_pos.sale_lines."""
        return self.name if self.layer == "raw" else f"{self.layer}.{self.name}"


Graph = dict[str, Node]


def load_graph(settings: Settings, catalogue: Catalogue | None = None) -> Graph:
    """
    Every node by key, what is read before what reads it.

    catalogue: the dashboards, where they have been read already; reading them takes most of the time.
    Errors: CheckFailed naming a circle; ContractError for a file that is wrong.
    """
    contracts = load_contracts(settings.own_contracts)
    found = {
        node.key: node
        for node in (
            *_received(contracts.values()),
            *_core(contracts.values()),
            *_marts(),
            *_shown(settings, catalogue or load_catalogue()),
        )
    }
    found |= {node.key: node for node in _operations(found.values())}
    return _owned({key: found[key] for key in _in_order(found)})


def downstream(graph: Graph, roots: Iterable[str]) -> Graph:
    """The nodes that read the roots, or read a node that does; the roots themselves not."""
    reached = set(roots)
    return {key: node for key, node in graph.items() if key not in reached and _reach(reached, key, node)}


def upstream(graph: Graph, root: str) -> Graph:
    """The nodes that a node stands on."""
    wanted = set(graph[root].reads)
    for key in reversed(graph):
        if key in wanted:
            wanted.update(graph[key].reads)
    return {key: node for key, node in graph.items() if key in wanted}


def collapsed(graph: Graph, layers: Collection[str]) -> Graph:
    """The nodes of some layers only; each reads those of them that it reads through the others."""
    through: dict[str, set[str]] = {}
    for key, node in graph.items():
        seen = set[str]().union(*(through[read] for read in node.reads)) if node.reads else set[str]()
        through[key] = {key} if node.layer in layers else seen
        if node.layer in layers:
            graph = {**graph, key: replace(node, reads=tuple(sorted(seen)))}
    return {key: node for key, node in graph.items() if node.layer in layers}


def _reach(reached: set[str], key: str, node: Node) -> bool:
    if reached.isdisjoint(node.reads):
        return False
    reached.add(key)
    return True


def _in_order(nodes: Mapping[str, Node]) -> list[str]:
    try:
        order = list(TopologicalSorter({key: nodes[key].reads for key in sorted(nodes)}).static_order())
    except CycleError as error:
        raise CheckFailed("what reads what goes in a circle", cause=" -> ".join(error.args[1])) from error
    if unknown := [key for key in order if key not in nodes]:
        raise CheckFailed(f"nothing makes {', '.join(unknown)}", cause="it is read, and no file fills it")
    return order


def _owned(graph: Graph) -> Graph:
    """Who answers for a table are those who answer for what it stands on."""
    owned: Graph = {}
    for key, node in graph.items():
        above = {owner for read in node.reads for owner in owned[read].owners}
        owned[key] = replace(node, owners=node.owners or tuple(sorted(above)) or (ADMINISTRATOR,))
    return owned


# --- from the sources to the formatted kinds ----------------------------------------------------------------------


def _received(contracts: Iterable[Contract]) -> Iterator[Node]:
    workflows = dict(_webhooks())
    raw: dict[str, tuple[set[str], set[str]]] = {}
    kinds: dict[str, set[str]] = {}
    for contract in contracts:
        yield Node("source", contract.source, (), _contract_file(contract), (contract.owner,))
        workflow = workflows[str((contract.api or {}).get("webhook", FILES_WEBHOOK))]
        for entity in contract.entities:
            table = f"raw_{contract.system}.{entity.entity}"
            sources, through = raw.setdefault(table, (set(), set()))
            sources.add(f"source.{contract.source}")
            through.add(f"n8n_workflows/{workflow}.json")
            kinds.setdefault(entity.kind, set()).add(table)
    for name, (sources, through) in raw.items():
        yield Node("raw", name, tuple(sorted(sources)), ", ".join(sorted(through)))
    for name, tables in kinds.items():
        yield Node("formatted", name, tuple(sorted(tables)), "transforms/formatted")


def _contract_file(contract: Contract) -> str:
    shipped = f"transforms/sources/{contract.source}.toml"
    return shipped if (CHECKOUT / shipped).is_file() else f"sources/{contract.source}.toml of the home"


def _webhooks() -> Iterator[tuple[str, str]]:
    """Each webhook's path with the name of its workflow."""
    for path in sorted((CHECKOUT / "n8n_workflows").glob("*.json")):
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
            if node["type"].endswith(".webhook"):
                yield node["parameters"]["path"], path.stem


# --- core and marts ----------------------------------------------------------------------------------------------


def _core(contracts: Iterable[Contract]) -> Iterator[Node]:
    kinds = {entity.kind for contract in contracts for entity in contract.entities}
    selects = _selects("core")
    # Whatever is placed somewhere names a store; the contract says what it is called.
    selects["stage_seen_stores"] = {f"stage_{kind}" for kind in ("sale_lines", "stores", "stock_levels", "deliveries")}
    selects |= {name: {f"stage_{kind}" for kind in OF_PERSONS} for name in PERSONS}
    for name in _tables("core"):
        if place := BY_CODE.get(f"core.{name}"):
            yield Node("core", name, place[1], place[0])
            continue
        made_by = "transforms/matching" if name in PERSONS else f"transforms/core/{name}.sql"
        yield Node("core", name, tuple(sorted(_through(name, selects, kinds))), made_by)


def _through(name: str, selects: Mapping[str, set[str]], kinds: set[Kind]) -> set[str]:
    """What a table of core is made from, through the temporary results between: formatted kinds and other tables."""
    known, found, waiting = set[str](), set[str](), [name]
    while waiting:
        for read in selects.get(waiting.pop(), set[str]()) - known:
            known.add(read)
            if read.startswith("core."):
                found.add(read)
            elif read.removeprefix("stage_") in kinds:
                found.add(f"formatted.{read.removeprefix('stage_')}")
            else:
                waiting.append(read)
    return found - {f"core.{name}"}


def _marts() -> Iterator[Node]:
    selects = _selects("marts")
    for name in _tables("marts"):
        if place := BY_CODE.get(f"marts.{name}"):
            yield Node("marts", name, place[1], place[0])
        elif name == "check_results":
            checked = set[str]().union(*_selects("checks").values())
            yield Node("marts", name, _of_tables(checked, "marts.check_results"), "transforms/checks")
        elif name == GOAL_PROGRESS.name:
            metrics = {f"metric.{goal.metric}" for goal in load_goals()}
            yield Node("marts", name, tuple(sorted(metrics)), "transforms/goals.py")
        else:
            yield Node("marts", name, _of_tables(selects[name], f"marts.{name}"), f"transforms/marts/{name}.sql")
    for name, body in _VIEW.findall(_schema()):
        yield Node("marts", name, _of_tables(_reads(body)), "db/schema.sql")
    for metric in load_metrics().values():
        marts = {f"marts.{reading.mart}" for reading in metric.readings}
        yield Node(
            "metric", metric.name, tuple(sorted(marts)), f"transforms/metrics/{metric.name}.yaml", (metric.owner,)
        )


def _tables(schema: str) -> list[str]:
    return [name for found, name in _MADE.findall(_schema()) if found == schema]


def _schema() -> str:
    return (CHECKOUT / "db" / "schema.sql").read_text(encoding="utf-8")


def _selects(layer: str) -> dict[str, set[str]]:
    """The selects of a layer by name, with what each reads: tables with their schema, temporary results without."""
    folder = CHECKOUT / "transforms" / layer
    return {path.stem: _reads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))}


def _reads(text: str) -> set[str]:
    return {schema + name for schema, name in _READ.findall(re.sub(r"--.*", "", text))}


def _of_tables(reads: set[str], itself: str = "") -> tuple[str, ...]:
    return tuple(sorted(read for read in reads - {itself} if "." in read))


def _operations(nodes: Collection[Node]) -> Iterator[Node]:
    """The tables in which the platform keeps what it did, as far as something above shows or checks them."""
    told = {
        "ops.loads": [node.key for node in nodes if node.layer == "raw"],
        "ops.alert_states": [node.key for node in nodes if node.layer == "alert"],
    }
    for key in sorted({read for node in nodes for read in node.reads if read.startswith("ops.")}):
        yield Node("ops", key.removeprefix("ops."), tuple(told.get(key, ())), "db/schema.sql")


# --- what people see ---------------------------------------------------------------------------------------------


def _shown(settings: Settings, catalogue: Catalogue) -> Iterator[Node]:
    mails = load_mails(catalogue)
    for question in catalogue.questions.values():
        yield Node(
            "question", question.name, _asked(question), f"metabase/questions/{question.name}.yaml", (question.owner,)
        )
    for dashboard in catalogue.dashboards.values():
        questions = {f"question.{name}" for name in dashboard.question_names()}
        yield Node("dashboard", dashboard.name, tuple(sorted(questions)), f"metabase/dashboards/{dashboard.name}.yaml")
    for rule in load_rules(settings).values():
        figures = [f"metric.{rule.figures.metric}"] if rule.figures else []
        reads = (*figures, *_of_tables(_reads(rule.sql)))
        yield Node("alert", rule.name, reads, f"panpan/alerting/rules/{rule.name}.yaml", (rule.owner,))
    for name, question in mails.questions.items():
        yield Node("alert", f"metabase.{name}", _asked(question), f"metabase/alerts/{name}.yaml", (question.owner,))
    for report in mails.reports.values():
        yield Node(
            "alert",
            f"metabase.{report.name}",
            (f"dashboard.{report.dashboard}",),
            f"metabase/alerts/{report.name}.yaml",
        )


def _asked(question: Question) -> tuple[str, ...]:
    """What a question stands on: the metric its cells are of, or the marts its own SQL reads."""
    if question.cells:
        return (f"metric.{question.metric}",)
    return _of_tables(_reads(question.sql))
