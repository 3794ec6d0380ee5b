"""
Source contracts: what a source sends and how a received text becomes a typed value.

Comes in: transforms/sources/*.toml, and the owner's own in $PANPAN_HOME/sources (they win by name).
Goes out: frozen Contract objects. Nothing here reads data.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from panpan.errors import ContractError

SHIPPED = Path(__file__).parent / "sources"

System = Literal["pos", "crm", "inventory"]
ValueType = Literal["text", "decimal", "money", "cents", "date", "time", "timestamp", "boolean"]
Kind = Literal[
    "sale_lines",
    "customers",
    "products",
    "stores",
    "employees",
    "stock_levels",
    "stock_movements",
    "deliveries",
]
Drift = Literal["evolve", "freeze", "discard_row", "discard_value"]

# The typed columns a kind may fill; a contract naming another one is wrong.
COLUMNS: Mapping[Kind, frozenset[str]] = {
    "sale_lines": frozenset(
        [
            "receipt_number",
            "sold_at",
            "sold_on",
            "sold_time",
            "time_zone",
            "store",
            "customer",
            "customer_name",
            "customer_email",
            "customer_phone",
            "customer_postal_code",
            "loyalty_card",
            "employee",
            "employee_name",
            "channel",
            "event",
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
            "payment_reference",
            "payment_method",
            "card_brand",
            "card_last_digits",
            "reverses_receipt_number",
            "note",
            "updated_at",
        ]
    ),
    "customers": frozenset(
        [
            "customer",
            "first_name",
            "last_name",
            "full_name",
            "email",
            "phone",
            "postal_code",
            "loyalty_card",
            "customer_since",
            "is_deleted",
            "merged_customers",
            "pos_customer",
            "stage",
            "updated_at",
        ]
    ),
    "products": frozenset(
        [
            "product_key",
            "product_name",
            "category",
            "kind",
            "unit",
            "list_price",
            "unit_cost",
            "reorder_level",
            "supplier",
            "supplier_name",
            "is_active",
            "updated_at",
        ]
    ),
    "stores": frozenset(["store", "store_name", "kind", "city", "updated_at"]),
    "employees": frozenset(
        ["employee", "first_name", "last_name", "full_name", "job_title", "started_on", "updated_at"]
    ),
    "stock_levels": frozenset(["product_key", "store", "on_hand_quantity", "unit", "reorder_level", "counted_at"]),
    "stock_movements": frozenset(
        [
            "movement",
            "product_key",
            "store",
            "kind",
            "quantity",
            "unit",
            "unit_cost",
            "moved_at",
            "moved_on",
            "updated_at",
        ]
    ),
    "deliveries": frozenset(
        [
            "delivery",
            "supplier",
            "supplier_name",
            "store",
            "delivered_at",
            "product_key",
            "quantity",
            "unit",
            "unit_cost",
            "expires_on",
        ]
    ),
}
# What a record of a kind is nothing without: of each group the contract names one.
NEEDED: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    "sale_lines": (("receipt_number",), ("sold_at", "sold_on"), ("product_name",)),
    "customers": (("customer",),),
    "products": (("product_key",),),
    "stores": (("store",),),
    "employees": (("employee",),),
    "stock_levels": (("product_key",), ("on_hand_quantity",)),
    "stock_movements": (("movement",), ("product_key",), ("moved_at", "moved_on")),
    "deliveries": (("delivery",), ("supplier",), ("product_key",), ("quantity",), ("delivered_at",)),
}


# Units of one measure: how many of the measure's first one they are.
UNITS: Mapping[str, tuple[str, Fraction]] = {
    "kg": ("kg", Fraction(1)),
    "g": ("kg", Fraction(1, 1000)),
    "t": ("kg", Fraction(1000)),
    "l": ("l", Fraction(1)),
    "dl": ("l", Fraction(1, 10)),
    "cl": ("l", Fraction(1, 100)),
    "ml": ("l", Fraction(1, 1000)),
    "pcs": ("pcs", Fraction(1)),
    "ea": ("pcs", Fraction(1)),
    "pair": ("pcs", Fraction(2)),
    "dozen": ("pcs", Fraction(12)),
    "gross": ("pcs", Fraction(144)),
}
# Ids a system gives anew when an item is deleted and created again, so that no key may be made of them.
RECREATED_IDS = frozenset(["token", "catalog_object_id"])
# Of a receipt's own values: those that are spread over its lines, and those that stand on each of them.
SPREAD_COLUMNS = ("gross_amount", "discount_amount", "net_amount", "tax_amount")
RECEIPT_COLUMNS = frozenset(
    [
        *SPREAD_COLUMNS,
        "tip_amount",
        "currency_code",
        "channel",
        "store",
        "customer",
        "customer_name",
        "customer_email",
        "customer_phone",
        "customer_postal_code",
        "loyalty_card",
        "employee",
        "employee_name",
        "payment_reference",
        "payment_method",
        "card_brand",
        "card_last_digits",
        "reverses_receipt_number",
        "note",
    ]
)


def unit_ratio(unit: str, wanted: str) -> Fraction | None:
    """How many of the wanted unit one unit is; None where they are not of one measure."""
    (measure, size), (other, wanted_size) = (UNITS.get(name.lower(), (name, Fraction(0))) for name in (unit, wanted))
    return size / wanted_size if measure == other and size and wanted_size else None


def is_recreated_id(column: str) -> bool:
    """Whether a received column holds ids that change when an item is created again."""
    return column.lower().rpartition(".")[2] in RECREATED_IDS


class Part(BaseModel):
    """A piece of a contract: unchangeable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Value(Part):
    """How one typed column comes out of one or more received ones."""

    source: str | list[str] | None = Field(None, alias="from", description="received column, or several joined by /")
    pick: Literal["join", "first"] = Field(
        "join", description="of several columns: join all, or take the first that has a text"
    )
    type: ValueType = "text"
    format: str | list[str] | None = Field(None, description="strptime form of dates and times")
    missing: list[str] = Field(default=[], description="texts that mean nothing here, beside the entity's")
    required: bool = False
    default: str | None = Field(None, description="text taken where nothing was received")
    map: dict[str, str] = Field(default={}, description="received text -> meaning; others stay")
    only: list[str] = Field(default=[], description="allowed results; others are rejected")
    fold: bool = Field(False, description="letter case and inner blanks carry no meaning (keys)")
    whole: bool = Field(False, description="an id: 150040.0 means 150040, and 1.5E+05 has lost its digits")

    @model_validator(mode="after")
    def comes_from_somewhere(self) -> Value:
        if self.source is None and self.default is None:
            raise ValueError("a value needs 'from' or 'default'")
        return self

    @property
    def received(self) -> list[str]:
        """Names of the received columns it reads."""
        return [self.source] if isinstance(self.source, str) else list(self.source or [])

    @property
    def formats(self) -> list[str]:
        return [self.format] if isinstance(self.format, str) else list(self.format or [])


class Unpivot(Part):
    """One received row holds several movements: column -> kind of movement and sign."""

    column: str
    kind: str
    sign: Literal[1, -1] = 1


class When(Part):
    """Tells records by a received text: which column, and what it says there (any text at all, where none is named)."""

    column: str
    texts: list[str] = Field(default=[], alias="is")
    of: Literal["receipt", "line"] = "receipt"


class Entity(Part):
    """One kind of record a source sends."""

    entity: str = Field(description="raw table of the records")
    kind: Kind
    format: Literal["csv", "json", "xml"] = "csv"
    recognised_by: list[str] = Field(default=[], description="header names that tell this entity's files")
    records: str | None = Field(None, description="json: key of the list; xml: name of the element")
    explode: str | None = Field(None, description="json, xml: list inside a record that gives one row each")
    returns: str | None = Field(None, description="json: list inside a record that gives reversed rows")
    record_id: list[str] = Field(default=[], description="received columns that name the record at the source")
    encodings: list[str] = Field(default=["utf-8"], description="tried in this order when there is no BOM")
    delimiter: str = ","
    ignored: list[str] = Field(default=[], description="known columns nothing reads")
    unknown_columns: Drift = "evolve"
    missing: list[str] = Field(default=[""], description="texts that mean nothing")
    decimal_mark: Literal[".", ","] = "."
    refunds: Literal["event", "same_receipt", "negative_quantity", "none"] = "none"
    refund_amounts: Literal["negative", "positive"] = Field(
        "negative", description="how the numbers of a refund come; here they are negative"
    )
    void_when: When | None = Field(None, description="the flag of a receipt or line that was cancelled, yet is there")
    gift_card_when: When | None = Field(None, description="the flag of a line that sells a gift card: no revenue")
    tax_included: bool = Field(False, description="amounts received hold the tax")
    tax_rate: Decimal | None = Field(None, ge=0, lt=1, decimal_places=4, description="where no tax is received")
    per_receipt: dict[str, Literal["repeated", "first_line"]] = Field(
        default={}, description="columns that hold the receipt's own value: on each line, or on the first alone"
    )
    units: dict[str, str] = Field(default={}, description="received unit -> the unit to count in")
    discount_sign: Literal["negative", "positive"] = "negative"
    rebuild_amounts: bool = Field(False, description="a missing net amount is quantity x unit price")
    unknown_amounts: Literal["keep", "reject"] = "reject"
    full_set: bool = Field(False, description="a load holds all records there are, so what is absent has ended")
    unpivot: list[Unpivot] = []
    warn_after_hours: int | None = Field(None, description="late after so many hours; unset: the source's")
    error_after_hours: int | None = Field(None, description="silent after so many hours; unset: the source's")
    columns: dict[str, Value]

    @model_validator(mode="after")
    def columns_are_of_its_kind(self) -> Entity:
        unknown = sorted(set(self.columns) - COLUMNS[self.kind])
        if unknown:
            raise ValueError(
                f"{self.kind} has no column {', '.join(unknown)}; known: {', '.join(sorted(COLUMNS[self.kind]))}"
            )
        needed = [*NEEDED[self.kind]]
        if self.kind == "stock_movements" and not self.unpivot:
            needed += [("kind",), ("quantity",)]
        absent = [" or ".join(names) for names in needed if not set(names) & set(self.columns)]
        if absent:
            raise ValueError(f"{self.kind} needs column {', '.join(absent)}")
        return self

    @model_validator(mode="after")
    def rules_have_what_they_need(self) -> Entity:
        key = self.columns.get("product_key")
        tokens = [name for name in key.received if is_recreated_id(name)] if key else []
        if tokens:
            raise ValueError(f"product_key can't come from {', '.join(tokens)}: it changes when the item is re-created")
        if self.tax_included and self.tax_rate is None and "tax_amount" not in self.columns:
            raise ValueError("tax_included needs tax_rate or a column tax_amount")
        strange = sorted(set(self.per_receipt) - (RECEIPT_COLUMNS & set(self.columns)))
        if strange:
            raise ValueError(f"per_receipt can't name {', '.join(strange)}")
        for unit, wanted in self.units.items():
            if unit_ratio(unit, wanted) is None:
                raise ValueError(f"units: no factor leads from {unit} to {wanted}; known: {', '.join(UNITS)}")
        return self

    @property
    def flags(self) -> list[When]:
        """The flags it tells records by."""
        return [flag for flag in (self.void_when, self.gift_card_when) if flag is not None]

    @property
    def needs_whole_receipts(self) -> bool:
        """Whether a line can't be understood without the others of its receipt."""
        return bool(self.per_receipt) or self.void_when is not None

    @property
    def known_columns(self) -> set[str]:
        """Every received column this contract knows of."""
        used = {name for value in self.columns.values() for name in value.received}
        used |= {flag.column for flag in self.flags} | {part.column for part in self.unpivot}
        return used | set(self.ignored) | set(self.recognised_by)


class Store(Part):
    """A place that sells or keeps stock."""

    store_id: str
    store_name: str
    kind: Literal["shop", "delivery", "warehouse", "unknown"] = "shop"


class Contract(Part):
    """One source: who owns it, how its values read, what it sends."""

    source: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str
    system: System
    owner: str
    time_zone: str
    closing_time: datetime.time = Field(
        datetime.time(0), description="sales before this clock time belong to the day before"
    )
    currency_code: str = Field(pattern=r"^[A-Z]{3}$")
    catalogue: str = Field(description="sources of one catalogue mean the same product by the same key")
    channel: str = "store"
    warn_after_hours: int = 36
    error_after_hours: int = 72
    stores: dict[str, Store] = Field(
        default={}, description="received value -> store; others become stores of their own"
    )
    default_store: Store | None = Field(None, description="the store of records that name none")
    zones: dict[str, str] = Field(default={}, description="received zone name -> IANA name")
    country: str | None = Field(
        None, pattern=r"^[A-Z]{2}$", description="ISO 3166 country in which its phone numbers are dialled"
    )
    api: dict[str, Any] | None = Field(None, description="how n8n pulls it: see panpan/ingest")
    entities: list[Entity]

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{name!r} is no IANA time zone") from None
        return name

    @field_validator("zones")
    @classmethod
    def zones_are_known(cls, zones: dict[str, str]) -> dict[str, str]:
        for name in zones.values():
            cls.zone_is_known(name)
        return zones

    def entity_of_header(self, header: list[str]) -> Entity | None:
        """The CSV entity all of whose telling names stand in the header; the most telling one wins."""
        names = set(header)
        fitting = [
            e for e in self.entities if e.format == "csv" and e.recognised_by and names.issuperset(e.recognised_by)
        ]
        return max(fitting, key=lambda e: len(e.recognised_by), default=None)

    def entity_named(self, name: str) -> Entity:
        """The entity by its raw table. Errors: ContractError."""
        for entity in self.entities:
            if entity.entity == name:
                return entity
        raise ContractError(
            f"source {self.source} sends no {name!r}",
            cause=f"its contract knows {', '.join(e.entity for e in self.entities)}",
            next=f"add the entity to {self.source}.toml",
        )


def load_contract(path: Path) -> Contract:
    """Read one contract. Errors: ContractError naming file, place and fault."""
    try:
        contract = Contract.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ContractError(f"contract {path} can't be read", next=f"correct {path}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ContractError(f"contract {path} is wrong", cause=faults, next=f"correct {path}") from None
    if contract.source != path.stem:
        raise ContractError(
            f"contract {path} is wrong",
            cause=f"it says source {contract.source!r}",
            next="give the file the source's name",
        )
    return contract


def load_contracts(own: Path | None = None) -> dict[str, Contract]:
    """All contracts by source; one of the owner's replaces the shipped one of the same name."""
    folders = [SHIPPED, *([own] if own and own.is_dir() else [])]
    paths = {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}
    return {source: load_contract(path) for source, path in sorted(paths.items())}


def find_contract(source: str, own: Path | None = None) -> Contract:
    """The contract of one source. Errors: ContractError naming the known sources."""
    contracts = load_contracts(own)
    if source not in contracts:
        raise ContractError(
            f"there is no source {source!r}",
            cause=f"known sources: {', '.join(contracts)}",
            next=f"bin/panpan sources infer FILE --as {source}",
        )
    return contracts[source]
