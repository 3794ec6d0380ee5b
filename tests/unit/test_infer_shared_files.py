"""
Contracts proposed for the real files of the shared data folder, checked by reading the files with pandas alone.

A file that is not there is skipped with its path as the reason.
"""

from __future__ import annotations

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from panpan.settings import CHECKOUT
from transforms.contract import Contract, Entity
from transforms.infer import Options, Proposal, propose

SHARED = Path(os.environ.get("PANPAN_SHARED_DATA") or CHECKOUT.parent / "shared" / "data")


def shared(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def entity_of(proposal: Proposal) -> Entity:
    return Contract.model_validate(tomllib.loads(proposal.contract_text)).entities[0]


def received(path: Path, **options: Any) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, **options)


def receipts(frame: pd.DataFrame, entity: Entity) -> int:
    """How many receipts the proposal's columns make of the file."""
    return int((~frame.duplicated(entity.columns["receipt_number"].received)).sum())


def total(texts: pd.Series) -> Decimal:
    return sum((Decimal(text.replace("$", "").replace(",", "")) for text in texts), Decimal(0))


def test_pizzaplace_has_a_receipt_per_id_and_the_price_is_the_amount() -> None:
    path = shared("pizzaplace_2015/pizzaplace.csv.gz")

    proposal = propose(path, "pizzaplace")

    entity, frame = entity_of(proposal), received(path)
    assert entity.columns["receipt_number"].source == "id"
    assert receipts(frame, entity) == 21_350
    assert total(frame[str(entity.columns["net_amount"].source)]) == Decimal("817860.05")
    assert proposal.row_count == len(frame) == 49_574
    assert entity.columns["quantity"].default == "1"
    assert {n: entity.columns[n].source for n in ("product_key", "variation", "category")} == {
        "product_key": "name",
        "variation": "size",
        "category": "type",
    }


def test_cdnow_receipts_are_what_a_customer_bought_on_a_day() -> None:
    path = shared("cdnow/cdnow_transactions.csv")

    proposal = propose(path, "cdnow")

    entity, frame = entity_of(proposal), received(path)
    assert entity.columns["receipt_number"].source == ["id", "date"]
    assert entity.columns["customer"].source == "id"
    assert frame[str(entity.columns["customer"].source)].nunique() == 2_357
    assert entity.columns["sold_on"].format == "%Y%m%d"
    assert entity.columns["quantity"].source == "cds_bought"
    assert total(frame[str(entity.columns["net_amount"].source)]) == Decimal("244091.94")
    assert any("2,357" in d.evidence and "_id" in d.evidence for d in proposal.decisions if d.about == "customer")


def test_french_till_has_comma_decimals_euros_and_no_total() -> None:
    path = shared("french_bakery/french_bakery_raw_format_excerpt.csv")

    proposal = propose(path, "french")

    entity, frame = entity_of(proposal), received(path)
    assert entity.decimal_mark == ","
    assert 'currency_code = "EUR"' in proposal.contract_text
    assert entity.rebuild_amounts and "net_amount" not in entity.columns
    assert receipts(frame, entity) == frame["ticket_number"].nunique() == 23
    assert "#1" in entity.ignored
    mapped = frame["Quantity"].map(entity.columns["quantity"].map)
    assert (mapped.astype(float) == frame["Quantity"].astype(float)).all()
    assert any(d.certainty == "warning" and ".0" in d.evidence for d in proposal.decisions)


def test_french_sample_has_the_month_first_and_a_mark_at_its_beginning() -> None:
    path = shared("french_bakery/french_bakery_sample_1295.csv")

    proposal = propose(path, "sample")

    entity, frame = entity_of(proposal), received(path, encoding="utf-8-sig")
    assert entity.columns["sold_on"].format == "%m/%d/%Y"
    assert entity.columns["sold_time"].format == "%I:%M:%S %p"
    assert pd.to_datetime(frame["date"], format="%m/%d/%Y").notna().all()
    assert receipts(frame, entity) == 778
    assert "ID" in entity.ignored
    assert entity.columns["net_amount"].source == "Total"
    assert next(d.certainty for d in proposal.decisions if d.about == "sold_on") == "proven"


def test_dirty_cafe_totals_are_rebuilt_and_words_for_missing_are_known() -> None:
    path = shared("dirty_cafe/dirty_cafe_sales.csv")

    proposal = propose(path, "cafe", Options(currency="USD"))

    entity, frame = entity_of(proposal), received(path)
    assert {"ERROR", "UNKNOWN"} <= set(entity.missing)
    assert entity.rebuild_amounts
    readable = frame.loc[~frame["Total Spent"].isin(entity.missing), "Total Spent"]
    assert (len(readable), total(readable)) == (9_498, Decimal("84763.50"))
    assert receipts(frame, entity) == 10_000
    assert entity.columns["channel"].map == {"In-store": "store", "Takeaway": "takeaway"}
    assert 'currency_code = "USD"' in proposal.contract_text


def test_bread_basket_has_no_amounts_and_keeps_them_unknown() -> None:
    path = shared("bread_basket/BreadBasket_DMS.csv")

    entity = entity_of(propose(path, "bread"))

    assert receipts(received(path), entity) == 9_531
    assert entity.unknown_amounts == "keep"
    assert "net_amount" not in entity.columns
    assert entity.columns["product_key"].missing == ["NONE"]


def test_coffee_counter_restarts_by_day_and_store() -> None:
    path = shared("coffee_3stores_2019/201904_sales_reciepts.csv.gz")

    proposal = propose(path, "coffee")

    entity, frame = entity_of(proposal), received(path)
    assert set(entity.columns["receipt_number"].received) == {"transaction_id", "transaction_date", "sales_outlet_id"}
    assert receipts(frame, entity) == 39_271
    assert entity.columns["net_amount"].source == "line_item_amount"
    assert not entity.rebuild_amounts
    assert total(frame["line_item_amount"]) == Decimal("233635.95")
    assert entity.columns["customer"].missing == ["0"]
    assert any("230 rows" in d.evidence for d in proposal.decisions)


@pytest.mark.parametrize("name", ["item_sales_may", "items-2026-06-12-2026-06-17", "items-2026-06-30-2026-07-01"])
def test_square_exports_agree_with_the_shipped_contract(name: str) -> None:
    path = shared(f"square_items/{name}.csv")

    proposal = propose(path, "square")

    entity = entity_of(proposal)
    contract = Contract.model_validate(tomllib.loads(proposal.contract_text))
    assert contract.time_zone == "America/New_York"
    assert contract.zones == {"Eastern Time (US & Canada)": "America/New_York"}
    assert entity.refunds == "event" and entity.discount_sign == "negative"
    assert entity.columns["event"].map["Refund"] == "refund"
    assert {
        n: entity.columns[n].source for n in ("receipt_number", "net_amount", "gross_amount", "discount_amount")
    } == {
        "receipt_number": "Transaction ID",
        "net_amount": "Net Sales",
        "gross_amount": "Gross Sales",
        "discount_amount": "Discounts",
    }


def test_shopify_subtotal_is_proven_by_gross_less_discounts() -> None:
    path = shared("api_samples/shopify_orders_flat_24rows.csv")

    proposal = propose(path, "shopify")

    entity, frame = entity_of(proposal), received(path)
    names = ("gross_amount", "discount_amount", "net_amount")
    gross, discount, net = (frame[str(entity.columns[n].source)].map(Decimal) for n in names)
    assert (gross - discount == net).all()
    assert entity.discount_sign == "positive"
    assert entity.columns["currency_code"].source == "currency"
    assert receipts(frame, entity) == 24
    assert any(d.certainty == "warning" and "refunded" in d.evidence for d in proposal.decisions)
