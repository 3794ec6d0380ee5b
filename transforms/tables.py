"""
The tables transforms fill, each by the select of its name in transforms/core or transforms/marts, in their order.
"""

from __future__ import annotations

from transforms.merge import Table

# Order matters: what is referred to comes before what refers to it.
DIMENSIONS = (
    Table("core", "stores", ("store_id",), bookkeeping=("source_updated_at",)),
    Table("core", "suppliers", ("supplier_id",), bookkeeping=("source_updated_at",)),
    Table("core", "products", ("product_id",), bookkeeping=("named_at", "source_updated_at")),
    Table("core", "employees", ("employee_id",), bookkeeping=("is_listed", "source_updated_at")),
)
# Filled by transforms/matching, from what the sources tell of customers.
CUSTOMERS = Table("core", "customers", ("customer_id",))
CUSTOMER_SOURCES = Table("core", "customer_sources", ("source", "source_customer_id"))
CUSTOMER_FACTS = Table(
    "core",
    "customer_facts",
    ("source", "source_customer_id", "origin", "attribute", "part"),
    replaced_by=("source", "source_customer_id", "origin"),
    bookkeeping=("told_at",),
)
CUSTOMER_MATCH_CANDIDATES = Table(
    "core",
    "customer_match_candidates",
    ("source", "source_customer_id", "other_source", "other_source_customer_id"),
    replaced_by=("source", "source_customer_id"),
    replaced_within="affected_records",
)
MATCHING = (CUSTOMERS, CUSTOMER_SOURCES, CUSTOMER_FACTS, CUSTOMER_MATCH_CANDIDATES)
SALES = (
    Table("core", "sales", ("sale_id",), bookkeeping=("source_updated_at",)),
    # Within the receipts that came: one may have lost its last line, or its payment when it was cancelled.
    Table("core", "sale_lines", ("sale_id", "line_number"), ("sale_id",), replaced_within="winning_receipts"),
    Table("core", "payments", ("sale_id", "payment_number"), ("sale_id",), replaced_within="winning_receipts"),
)
STOCK = (
    Table("core", "stock_levels", ("product_id", "store_id")),
    Table("core", "stock_movements", ("movement_id",), bookkeeping=("source_updated_at",)),
    Table("core", "deliveries", ("delivery_id", "line_number"), replaced_by=("delivery_id",)),
)
INVENTORY = Table("core", "inventory", ("product_id",), bookkeeping=("source_updated_at",))
SALES_MARTS = (
    Table(
        "marts",
        "daily_store_sales",
        ("business_date", "store_id", "source", "channel", "currency_code"),
        replaced_by=("business_date", "store_id", "source"),
        replaced_within="affected_days",
    ),
    Table(
        "marts",
        "monthly_store_sales",
        ("month", "store_id", "source", "currency_code"),
        replaced_by=("month", "store_id", "source"),
        replaced_within="affected_months",
    ),
    Table(
        "marts",
        "daily_product_sales",
        ("business_date", "store_id", "source", "product_id", "currency_code"),
        replaced_by=("business_date", "store_id", "source"),
        replaced_within="affected_days",
    ),
    Table(
        "marts",
        "customer_activity",
        ("month", "customer_id", "source", "currency_code"),
        replaced_by=("customer_id",),
        replaced_within="affected_customers",
    ),
    Table(
        "marts",
        "daily_customers",
        ("business_date", "customer_id", "store_id", "source", "channel", "currency_code"),
        replaced_by=("customer_id",),
        replaced_within="affected_customers",
    ),
)
# After daily_customers, which says since when somebody is a customer.
CUSTOMER_KIND_SALES = Table(
    "marts",
    "daily_customer_kind_sales",
    ("business_date", "store_id", "source", "channel", "currency_code", "customer_kind"),
    replaced_by=("business_date", "store_id", "source"),
    replaced_within="affected_kind_days",
)
CUSTOMER_RETENTION = Table(
    "marts", "customer_retention", ("month",), replaced_by=("month",), replaced_within="affected_retention_months"
)
CUSTOMER_COHORTS = Table("marts", "customer_cohorts", ("cohort_month", "months_since", "currency_code"), is_full=True)
FUNNEL_EVENTS = Table(
    "core", "funnel_events", ("event_id",), replaced_by=("subject_id",), replaced_within="affected_subjects"
)
SALES_FUNNEL = Table(
    "marts",
    "sales_funnel",
    ("month", "funnel", "stage_number"),
    replaced_by=("month",),
    replaced_within="affected_funnel_months",
)
STOCK_MARTS = (Table("marts", "inventory_status", ("product_id", "store_id"), is_full=True),)
MOVEMENT_MARTS = (
    Table(
        "marts",
        "waste",
        ("business_date", "store_id", "source", "product_id"),
        replaced_by=("business_date", "store_id", "source"),
        replaced_within="affected_stock_days",
    ),
    Table(
        "marts",
        "inventory_turnover",
        ("month", "store_id", "source", "product_id"),
        replaced_by=("month", "store_id", "source", "product_id"),
        replaced_within="affected_stock_months",
    ),
)
DATA_FRESHNESS = Table("marts", "data_freshness", ("source",))
# Every table, parents before what refers to them: what a rebuild compares.
ALL_CORE = (*DIMENSIONS, *MATCHING, *SALES, INVENTORY, *STOCK, FUNNEL_EVENTS)
CUSTOMER_MARTS = (CUSTOMER_KIND_SALES, CUSTOMER_COHORTS, CUSTOMER_RETENTION)
ALL_MARTS = (*SALES_MARTS, *CUSTOMER_MARTS, SALES_FUNNEL, *STOCK_MARTS, *MOVEMENT_MARTS, DATA_FRESHNESS)
