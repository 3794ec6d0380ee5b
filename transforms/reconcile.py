"""
One metric from every system that reports it: the difference between two of them, split by cause, on evidence.

Comes in: a metric and a period. Goes out: what each side says, the difference, how much of it each class explains, and
the residual. A class takes an amount only with records that prove it; what is left stays residual. Kept in
ops.reconciliations (with a finding per record), marts.reconciliation and the register ops.discrepancies.

comparisons/<name>.sql gives the findings, comparisons/<name>_totals.sql both sides summed by themselves: the residual
is worked out from these, so a finding too many or too few shows in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as PgConnection
from psycopg2.extras import RealDictCursor, execute_values

from db.connection import Role, connect
from panpan.errors import UsageError
from panpan.settings import Settings
from transforms.contract import Contract, Kind, load_contracts
from transforms.metrics import Metric, find_metric
from transforms.periods import days_of

FOLDER = Path(__file__).parent / "comparisons"
CLASSES = ("timing", "definition", "scope", "missing", "duplicate", "error")
RESIDUAL = "residual"
WINDOW_DAYS = 3  # a record this many days off is still the same record
MOST_FINDINGS = 50
STATUSES = ("open", "accepted", "resolved")
REGISTER = (
    "discrepancy_id", "metric", "comparison", "catalogue", "currency_code", "class", "reason", "amount", "first_day",
    "last_day", "status", "canonical", "decided_at", "first_seen_at", "last_seen_at",
)  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """Two ways a metric is reported: ours is the system of record, theirs is compared with it."""

    name: str
    metric: str
    ours: str
    theirs: str
    our_kind: Kind
    their_kind: Kind
    is_money: bool = False


COMPARISONS = {
    each.metric: each
    for each in (
        Comparison("receipts_and_payments", "revenue", "receipts", "payments", "sale_lines", "sale_lines", True),
        Comparison("receipts_and_stock", "items", "receipts", "stock movements", "sale_lines", "stock_movements"),
        Comparison("receipts_and_crm", "new_customers", "receipts", "the CRM", "sale_lines", "customers"),
    )
}


@dataclass(frozen=True)
class Reason:
    """One cause: its class, what it is, what it adds to the difference, how much it moves, and in how many records."""

    kind: str
    reason: str
    amount: Decimal
    gross: Decimal
    records: int


@dataclass(frozen=True)
class Pair:
    """Both sides of one comparison, of the sources that share a catalogue (and currency)."""

    our_sources: tuple[str, ...]
    their_sources: tuple[str, ...]
    catalogue: str
    currency: str | None
    ours: Decimal
    theirs: Decimal
    our_records: int
    their_records: int
    reasons: tuple[Reason, ...]

    @property
    def difference(self) -> Decimal:
        return self.theirs - self.ours

    @property
    def classes(self) -> dict[str, Decimal]:
        """What each class adds to the difference, classes that take nothing too."""
        return {kind: sum((r.amount for r in self.reasons if r.kind == kind), Decimal(0)) for kind in CLASSES}

    @property
    def gross(self) -> dict[str, Decimal]:
        """How much each class moves: amounts that cancel each other count too."""
        return {kind: sum((r.gross for r in self.reasons if r.kind == kind), Decimal(0)) for kind in CLASSES}

    @property
    def residual(self) -> Decimal:
        """What no record explains."""
        return self.difference - sum(self.classes.values(), Decimal(0))


@dataclass(frozen=True)
class Reconciliation:
    """A metric of a period, reconciled. pairs: one per catalogue and currency both sides of which are known."""

    metric: Metric
    comparison: Comparison
    first_day: date
    last_day: date
    pairs: tuple[Pair, ...] = field(default=())

    @property
    def difference(self) -> Decimal:
        return sum((pair.difference for pair in self.pairs), Decimal(0))

    @property
    def residual(self) -> Decimal:
        return sum((pair.residual for pair in self.pairs), Decimal(0))

    @property
    def classes(self) -> dict[str, Decimal]:
        return {kind: sum((pair.classes[kind] for pair in self.pairs), Decimal(0)) for kind in CLASSES}


def reconcile(
    settings: Settings, metric: str, period: str, today: date, catalogue: str | None = None, currency: str | None = None
) -> Reconciliation:
    """
    Compare what each system says of a metric, explain the difference and keep the result.

    Amounts of several currencies are never added: without one named, the currency most receipts are in is taken.
    A second run of the same replaces the first.
    Errors: UsageError for a metric only one system reports, an unknown period, or nothing to compare.
    """
    with connect(settings, "transformer") as connection:
        found = _examine(connection, settings, metric, period, today, catalogue, currency)
        for pair in found.pairs:
            _keep(connection, found, pair)
    return found


def refresh(settings: Settings, today: date) -> int:
    """
    Reconcile every comparison of last month and of this one, when a load ended since the last time.

    Gives how many were made. A second call right after makes none.
    """
    with connect(settings, "transformer") as connection, connection.cursor() as cursor:
        cursor.execute(
            """
            select coalesce(max(finished_at), '-infinity')
                > (select coalesce(max(reconciled_at), '-infinity') from ops.reconciliations)
            from ops.loads where status = 'loaded'
            """
        )
        [(is_due,)] = cursor.fetchall()
    made = 0
    for metric in COMPARISONS if is_due else ():
        for period in ("last-month", "month-to-date"):
            with suppress(UsageError):  # of a new business one side may not have told anything yet
                reconcile(settings, metric, period, today)
                made += 1
    return made


def examine(
    settings: Settings, metric: str, period: str, today: date, catalogue: str | None = None, currency: str | None = None
) -> tuple[Reconciliation, list[dict[str, Any]]]:
    """
    The same without keeping anything, as role web, and the findings to look at first: one row per record and cause.

    Errors: as `reconcile`.
    """
    with connect(settings, "web") as connection:
        found = _examine(connection, settings, metric, period, today, catalogue, currency)
        largest = [row for pair in found.pairs for row in _largest(connection, pair)]
    return found, sorted(largest, key=_rank)[:MOST_FINDINGS]


def _rank(finding: Mapping[str, Any]) -> tuple[bool, bool, Decimal]:
    """What nobody can explain first, what one side just never tells last; large ones before small ones."""
    kind = finding["class"]
    return kind != RESIDUAL, kind in ("scope", "definition"), -abs(finding["amount"])


def _largest(connection: PgConnection, pair: Pair) -> list[dict[str, Any]]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            sql.SQL(
                """
                select finding.class, finding.reason, finding.business_date, store.store_name, product.product_name,
                    finding.record, finding.amount, finding.our_raw_ids, finding.their_raw_ids
                from {} as finding
                left join core.stores as store using (store_id)
                left join core.products as product using (product_id)
                order by finding.class <> 'residual', finding.class in ('scope', 'definition'),
                    abs(finding.amount) desc, finding.record
                limit {}
                """
            ).format(sql.Identifier(f"findings_{pair.catalogue}"), sql.Literal(MOST_FINDINGS))
        )
        return [dict(row) for row in cursor.fetchall()]


def _examine(
    connection: PgConnection,
    settings: Settings,
    metric: str,
    period: str,
    today: date,
    catalogue: str | None,
    currency: str | None,
) -> Reconciliation:
    """Every pair of a metric, its findings left in temporary tables of the connection."""
    definition = find_metric(metric)
    comparison = COMPARISONS.get(metric)
    if comparison is None:
        raise UsageError(f"{metric} is reported by one system alone", cause=f"compared: {', '.join(COMPARISONS)}")
    first, last = days_of(period, today)
    first, last = max(first, date(1900, 1, 8)), min(last, date(9999, 1, 1))  # the window reaches beyond
    currency = (currency or _main_currency(connection, first, last)) if comparison.is_money else None
    pairs = [
        compare(connection, comparison, sides, name, currency, first, last)
        for name, sides in _sides(load_contracts(settings.own_contracts).values(), comparison).items()
        if catalogue in (None, name)
    ]
    known = tuple(pair for pair in pairs if pair.our_records and (pair.their_records or comparison.is_money))
    if not known:
        raise UsageError(
            f"there is nothing to compare {metric} of {period} with",
            cause=f"needs {comparison.ours} and {comparison.theirs} of one catalogue",
            next="bin/panpan ingest status",
        )
    return Reconciliation(definition, comparison, first, last, known)


def _sides(contracts: Any, comparison: Comparison) -> dict[str, tuple[list[str], list[str]]]:
    """By catalogue: the sources of both sides."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for contract in contracts:
        ours, theirs = found.setdefault(contract.catalogue, ([], []))
        if _sends(contract, comparison.our_kind):
            ours.append(contract.source)
        if _sends(contract, comparison.their_kind):
            theirs.append(contract.source)
    return {name: sides for name, sides in found.items() if all(sides)}


def _sends(contract: Contract, kind: Kind) -> bool:
    is_list_of_persons = kind == "customers"
    return any(entity.kind == kind for entity in contract.entities) and not (
        is_list_of_persons and contract.system != "crm"
    )


def _main_currency(connection: PgConnection, first: date, last: date) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select currency_code from marts.daily_store_sales where business_date between %s and %s
            group by currency_code order by sum(ticket_count) desc, currency_code limit 1
            """,
            (first, last),
        )
        found = cursor.fetchone()
    return str(found[0]) if found else "EUR"


@cache
def comparison_text(name: str) -> str:
    """A select of comparisons/, read once."""
    return (FOLDER / f"{name}.sql").read_text(encoding="utf-8")


def compare(
    connection: PgConnection,
    comparison: Comparison,
    sides: tuple[Sequence[str], Sequence[str]],
    catalogue: str,
    currency: str | None,
    first: date,
    last: date,
) -> Pair:
    """One pair's totals and findings; these stay in the temporary table findings_<catalogue>."""
    parameters = {
        "ours": list(sides[0]),
        "theirs": list(sides[1]),
        "currency": currency,
        "first_day": first,
        "last_day": last,
        "window_days": WINDOW_DAYS,
    }
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(comparison_text(f"{comparison.name}_totals"), parameters)
        [totals] = cursor.fetchall()
        table = sql.Identifier(f"findings_{catalogue}")
        cursor.execute(
            sql.SQL("create temporary table {} on commit drop as ").format(table)
            + sql.SQL(comparison_text(comparison.name)),
            parameters,
        )
        cursor.execute(
            sql.SQL(
                """
                select class as kind, reason, sum(amount) as amount, sum(abs(amount)) as gross,
                    count(*)::integer as records
                from {} group by class, reason order by sum(abs(amount)) desc, class, reason
                """
            ).format(table)
        )
        reasons = tuple(Reason(**row) for row in cursor.fetchall())
    return Pair(
        tuple(sides[0]),
        tuple(sides[1]),
        catalogue,
        currency,
        totals["our_amount"],
        totals["their_amount"],
        totals["our_records"],
        int(totals["their_records"]),
        reasons,
    )


# --- keeping -------------------------------------------------------------------------------------------------


def _keep(connection: PgConnection, found: Reconciliation, pair: Pair) -> None:
    """The result, its findings, the mart and the register; what was kept of the same days is replaced."""
    key = {
        "metric": found.metric.name,
        "comparison": found.comparison.name,
        "catalogue": pair.catalogue,
        "currency_code": pair.currency or "",
        "first_day": found.first_day,
        "last_day": found.last_day,
    }
    with connection.cursor() as cursor:
        _delete(cursor, "ops.reconciliations", key)
        cursor.execute(
            """
            insert into ops.reconciliations
                (metric, comparison, catalogue, currency_code, first_day, last_day, our_sources, their_sources,
                    our_amount, their_amount, residual_amount)
            values (%(metric)s, %(comparison)s, %(catalogue)s, %(currency_code)s, %(first_day)s, %(last_day)s,
                %(ours)s, %(theirs)s, %(our_amount)s, %(their_amount)s, %(residual)s)
            returning reconciliation_id
            """,
            {
                **key,
                "ours": list(pair.our_sources),
                "theirs": list(pair.their_sources),
                "our_amount": pair.ours,
                "their_amount": pair.theirs,
                "residual": pair.residual,
            },
        )
        [(number,)] = cursor.fetchall()
        cursor.execute(
            sql.SQL(
                """
                insert into ops.reconciliation_findings
                    (reconciliation_id, finding_number, class, reason, business_date, store_id, product_id, record,
                        amount, our_raw_ids, their_raw_ids)
                select %s, row_number() over (order by abs(amount) desc, class, reason, record), class, reason,
                    business_date, store_id, product_id, record, amount, coalesce(our_raw_ids, '{{}}'),
                    coalesce(their_raw_ids, '{{}}')
                from {}
                """
            ).format(sql.Identifier(f"findings_{pair.catalogue}")),
            (number,),
        )
        _delete(cursor, "marts.reconciliation", key)
        kept = [*((kind, pair.classes[kind], pair.gross[kind]) for kind in CLASSES), _residual_row(pair)]
        counts = {kind: sum(r.records for r in pair.reasons if r.kind == kind) for kind in (*CLASSES, RESIDUAL)}
        execute_values(
            cursor,
            """
            insert into marts.reconciliation (metric, comparison, catalogue, currency_code, first_day, last_day,
                our_sources, their_sources, our_amount, their_amount, class, amount, gross_amount, record_count)
            values %s
            """,
            [
                (
                    *key.values(),
                    ", ".join(pair.our_sources),
                    ", ".join(pair.their_sources),
                    pair.ours,
                    pair.theirs,
                    kind,
                    amount,
                    gross,
                    counts[kind],
                )
                for kind, amount, gross in kept
            ],
        )
        _register(cursor, key, pair)


def _residual_row(pair: Pair) -> tuple[str, Decimal, Decimal]:
    gross = sum((r.gross for r in pair.reasons if r.kind == RESIDUAL), Decimal(0))
    return RESIDUAL, pair.residual, max(gross, abs(pair.residual))


def _delete(cursor: Any, table: str, key: Mapping[str, Any]) -> None:
    conditions = sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in key
    )
    cursor.execute(sql.SQL("delete from {} where {}").format(sql.Identifier(*table.split(".")), conditions), key)


def _register(cursor: Any, key: Mapping[str, Any], pair: Pair) -> None:
    """Each cause once in the register; one that was resolved and is back is open again."""
    rows = [
        (key["metric"], key["comparison"], pair.catalogue, key["currency_code"], r.kind, r.reason, r.amount,
         key["first_day"], key["last_day"])
        for r in pair.reasons
    ]  # fmt: skip
    if rows:
        execute_values(
            cursor,
            """
            insert into ops.discrepancies as known
                (metric, comparison, catalogue, currency_code, class, reason, amount, first_day, last_day)
            values %s
            on conflict (metric, comparison, catalogue, currency_code, class, reason) do update
            set amount = excluded.amount, first_day = excluded.first_day, last_day = excluded.last_day,
                last_seen_at = now(),
                status = case when known.status = 'resolved' then 'open' else known.status end
            """,
            rows,
        )


# --- reading -------------------------------------------------------------------------------------------------


def discrepancies(settings: Settings, status: str | None = None, role: Role = "transformer") -> list[dict[str, Any]]:
    """
    The register, the open ones and the largest first; role web is not shown the words and the name of a decision.

    Errors: UsageError for an unknown status.
    """
    if status not in (None, *STATUSES):
        raise UsageError(f"{status!r} is no status", cause=f"known: {', '.join(STATUSES)}")
    shown = [*REGISTER, *(() if role == "web" else ("decision", "decided_by"))]
    with connect(settings, role) as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            sql.SQL(
                """
                select {} from ops.discrepancies where %s::text is null or status = %s
                order by status <> 'open', abs(amount) desc, discrepancy_id
                """
            ).format(sql.SQL(", ").join(map(sql.Identifier, shown))),
            (status, status),
        )
        return [dict(row) for row in cursor.fetchall()]


def decide(
    settings: Settings, discrepancy_id: int, status: str, decision: str, canonical: str | None, by: str
) -> dict[str, Any]:
    """
    Write down what was decided about a discrepancy: which side counts, why, and who said so.

    Errors: UsageError for an unknown number or status, or a decision without words or name.
    """
    if status not in STATUSES:
        raise UsageError(f"{status!r} is no status", cause=f"known: {', '.join(STATUSES)}")
    if not decision.strip() or not by.strip():
        raise UsageError("a decision needs words and a name", next="add --decision TEXT --by NAME")
    with connect(settings, "transformer") as connection, connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(
            """
            update ops.discrepancies
            set status = %s, decision = %s, canonical = %s, decided_by = %s, decided_at = now()
            where discrepancy_id = %s returning *
            """,
            (status, decision, canonical, by, discrepancy_id),
        )
        found = cursor.fetchone()
    if found is None:
        raise UsageError(f"there is no discrepancy {discrepancy_id}", next="bin/panpan reconcile list")
    return dict(found)
