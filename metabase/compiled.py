"""
Questions the catalogue can say: a metric by dimensions over the newest days, as SQL in Metabase's notation.

Comes in: a metric's name and `Cells`. Goes out: the question's SQL, in which the figures are the compiler's own select
word for word, only its parameters become filters; and for an answer the query that gives the same figures through any
other door (value, alerts, reports, receipts), with one plan id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, model_validator

from panpan.errors import ContractError
from transforms.compiler import Plan, Query, cell_query, compile_query
from transforms.metrics import CURRENCY, Metric, find_metric
from transforms.periods import spelled

SALES = "daily_store_sales"
WITH_STORE_NAMES = (SALES, "monthly_store_sales", "inventory_status", "inventory_turnover", "waste")
# The days a question is compiled for only shape its statement; whole months, so that monthly marts are found.
FIRST_SAMPLE, LAST_SAMPLE, DAYS_SAMPLE = date(2026, 1, 1), date(2026, 6, 30), date(2026, 6, 2)
PARAMETER = re.compile(r"%\((\w+)\)s")
FILTERED = re.compile(r"\(((?:[^()]|\([^()]*\))*)\)::text = %\(where_source\)s and ")

CellFilter = Literal["source", "currency", "days", "to"]  # days: from and to


class Cells(BaseModel):
    """
    The figures of a question: the metric by dimensions, over so many of the newest days or months of the data.

    names: what the answer calls the compiler's columns (value, compared, day, store, first_day, last_day ...).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: tuple[str, ...] = ()
    newest_days: int | None = Field(None, ge=1)
    newest_months: int | None = Field(None, ge=1)
    back_days: int = Field(0, ge=0)  # end so many days before the newest
    compare: Literal["same-weekday-last-week", "same-weekday-last-year"] | None = None
    filters: tuple[CellFilter, ...] = ()
    largest_first: bool = False
    names: dict[str, str] = {}

    @model_validator(mode="after")
    def _window_fits(self) -> Cells:
        if self.newest_days and self.newest_months:
            raise ValueError("newest_days or newest_months, not both")
        if (self.filters or self.compare or self.back_days) and not self.has_days:
            raise ValueError("filters, compare and back_days need newest_days or newest_months")
        return self

    @property
    def has_days(self) -> bool:
        return bool(self.newest_days or self.newest_months)

    def name(self, column: str) -> str:
        """What the answer calls a column of the compiler."""
        return self.names.get(column, column)


def compiled_sql(metric_name: str, cells: Cells) -> str:
    """
    The question's statement.

    Errors: UsageError for what the metric can't be asked; ContractError when its filters can't be made optional.
    """
    metric = find_metric(metric_name)
    is_amount = metric.unit == "currency"
    where = {"source": "", **({"currency": ""} if is_amount else {})}
    where = {name: "" for name in where if name != "source" or "source" in cells.filters}
    plan = compile_query(Query(metric_name, cells.by, where, _sample(cells), cells.compare), LAST_SAMPLE)
    [mart] = dict.fromkeys(re.findall(r"from marts\.(\w+)", plan.sql))
    figures = FILTERED.sub(lambda found: f"[[({found[1]})::text = {{{{source}}}} and ]]", plan.sql)
    figures = PARAMETER.sub(lambda found: _from_scope(found[1], plan), figures).replace("%%", "%")
    if "scope.first_day" in figures and not cells.has_days:
        raise ContractError(f"{metric_name} has days, so its question must say how many", next="newest_days: 90")
    has_scope = cells.has_days or is_amount
    parts = [("scope", _scope(plan, mart, cells, is_amount))] if has_scope else []
    parts += [("figures", figures)]
    if "store" in cells.by:
        parts.append(("stores", _stores(mart)))
    steps = ",\n\n".join(f"{name} as (\n{_indented(text)}\n)" for name, text in parts)
    return "\n".join(
        [
            f"-- One row per {' and '.join(cells.by) or 'question'}, compiled from metric {metric.name}, "
            f"version {metric.version} (transforms/metrics/{metric.name}.yaml).",
            f"with {steps}",
            "",
            _outer(cells, is_amount, has_scope),
        ]
    )


def base_plan(metric_name: str, cells: Cells) -> Plan:
    """The plan of everything the question could show: all days, no filter. Its id stands on the card."""
    return compile_query(Query(metric_name, cells.by), LAST_SAMPLE)


def plan_of(metric_name: str, cells: Cells, rows: list[dict[str, Any]], source: str | None) -> Plan | None:
    """The plan that gives the rows of an answer, with the filters it was asked with; None without rows."""
    if not rows:
        return None
    row = rows[0]
    where = {"source": source} if source and "source" in cells.filters else {}
    if find_metric(metric_name).unit == "currency":
        where["currency"] = row[CURRENCY]
    first, last = row.get(cells.name("first_day")), row.get(cells.name("last_day"))
    period = spelled(first, last) if cells.has_days and first and last else "all"
    return compile_query(Query(metric_name, cells.by, where, period, cells.compare), last or date.today())


def receipts_address(plan: Plan, cells: Cells, row: Mapping[str, Any]) -> str:
    """Where the receipts of one row's figure are, on our pages."""
    known = {name: row[cells.name(name)] for name in plan.query.by}
    known |= {CURRENCY: row[CURRENCY]} if CURRENCY in row else {}
    query = cell_query(plan, known)
    where = f"?{urlencode(query.where)}" if query.where else ""
    return f"/receipts/metric/{query.metric}/{query.period}{where}"


def _sample(cells: Cells) -> str:
    if not cells.has_days:
        return "all"
    if cells.newest_days == 1:
        return LAST_SAMPLE.isoformat()
    return spelled(DAYS_SAMPLE if cells.newest_days else FIRST_SAMPLE, LAST_SAMPLE)


def _from_scope(parameter: str, plan: Plan) -> str:
    """What stands in the place of a parameter of the compiler."""
    if parameter == "where_currency":
        return "(select scope.currency_code from scope)"
    column = parameter.removeprefix("compared_")
    if column not in ("first_day", "last_day"):
        raise ContractError(f"parameter {parameter} of {plan.metric.name} can't be a filter")
    back = (plan.parameters[column] - plan.parameters[parameter]).days
    shifted = f"scope.{column}" + (f" - {back}" if back else "")
    return f"(select {shifted} from scope)"  # noqa: S608  # a name of ours and a number


def _scope(plan: Plan, mart: str, cells: Cells, is_amount: bool) -> str:
    """
    One row: the days, and the currency, the figures are of.

    With filters they are those of the sales, so that all cards of a page mean the same; else of the metric's own mart.
    """
    where = [f"[[and {CURRENCY} = {{{{currency}}}}]]"] if is_amount and "currency" in cells.filters else []
    if not cells.has_days:
        return "\n".join(_scope_lines([CURRENCY], mart, [f"and {CURRENCY} is not null", *where], "count(*)"))
    of_sales = bool(cells.filters)
    mart, day = (SALES, "business_date") if of_sales else (mart, _day_column(plan, mart))
    where = (["[[and source = {{source}}]]"] if "source" in cells.filters else []) + where
    ends = {"days", "to"} & set(cells.filters)
    where += [f"[[and {day} <= {{{{date_to}}}}]]"] if ends else []
    newest = f"max({day})" + (f" - {cells.back_days}" if cells.back_days else "")
    first = f"{newest} - {cells.newest_days - 1}" if cells.newest_days and cells.newest_days > 1 else newest
    asked = "[[cast({{date_from}} as date), ]]"
    if cells.newest_months:
        first = f"(date_trunc('month', {newest}) - interval '{cells.newest_months - 1} months')::date"
        asked = "[[date_trunc('month', cast({{date_from}} as date))::date, ]]"
    if "days" in cells.filters:
        first = f"coalesce({asked}{first})"
    columns = [*([CURRENCY] if is_amount else []), f"{first} as first_day", f"{newest} as last_day"]
    return "\n".join(_scope_lines(columns, mart, where, "sum(ticket_count)" if of_sales else "count(*)", is_amount))


def _scope_lines(columns: list[str], mart: str, where: list[str], most: str, grouped: bool = True) -> list[str]:
    lines = ["select", ",\n".join(f"    {column}" for column in columns), f"from marts.{mart}", "where", "    true"]
    lines += [f"    {each}" for each in where]
    if grouped:
        return [*lines, f"group by {CURRENCY}", f"order by {most} desc, {CURRENCY} asc", "limit 1"]
    return [*lines, "having count(*) > 0"]


def _day_column(plan: Plan, mart: str) -> str:
    return next(each.day_column for each in plan.metric.readings if each.mart == mart and each.day_column)


def _stores(mart: str) -> str:
    """Names of the stores; two of one name are told apart by their ids."""
    return "\n".join(
        [
            "select",
            "    store_id,",
            "    max(store_name)",
            "    || case",
            "        when count(*) over (partition by max(store_name)) > 1 then ' (' || store_id || ')' else ''",
            "    end as store_name",
            f"from marts.{mart if mart in WITH_STORE_NAMES else SALES}",
            "group by store_id",
        ]
    )


def _outer(cells: Cells, is_amount: bool, has_scope: bool) -> str:
    """What is shown of the figures, with the names of stores and the days they are of."""
    figures = [*cells.by, "value", *(("compared", "change", "change_share") if cells.compare else ())]
    columns = [_as("figures", name, cells.name(name)) for name in figures]
    if "store" in cells.by:
        columns.insert(cells.by.index("store"), "coalesce(stores.store_name, figures.store) as store_name")
    columns += [f"figures.{CURRENCY}"] if is_amount else []
    if cells.has_days:
        columns += [_as("scope", name, cells.name(name)) for name in ("first_day", "last_day")]
    order = [f"figures.{name}" for name in cells.by]
    if cells.largest_first:
        order.insert(0, "figures.value desc nulls last")
    return "\n".join(
        [
            "select",
            ",\n".join(f"    {column}" for column in columns),
            "from figures",
            *(["cross join scope"] if has_scope else []),
            *(["left join stores on figures.store = stores.store_id"] if "store" in cells.by else []),
            *([f"order by {', '.join(order)}"] if order else []),
        ]
    )


def _as(table: str, column: str, name: str) -> str:
    return f"{table}.{column}" + (f" as {name}" if name != column else "")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def definition_of(metric: Metric, more: str) -> str:
    """What the figures mean: the catalogue's words, then what the question adds."""
    return f"{metric.definition.strip()} {more.strip()}".strip()
