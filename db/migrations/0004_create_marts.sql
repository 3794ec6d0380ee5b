-- What readers see: one grain each, stated in the table's comment. Each is filled by transforms/marts/<table>.sql.

create table marts.daily_store_sales (
    business_date date not null,
    store_id text not null,
    store_name text not null,
    source text not null,
    channel text not null,
    currency_code char(3) not null,
    ticket_count integer not null,
    refund_count integer not null,
    customer_count integer not null,
    item_quantity numeric(16, 4),
    gross_amount numeric(16, 2),
    discount_amount numeric(16, 2),
    refund_amount numeric(16, 2),
    net_amount numeric(16, 2),
    tax_amount numeric(16, 2),
    unknown_amount_line_count integer not null,
    primary key (business_date, store_id, source, channel, currency_code)
);
comment on table marts.daily_store_sales is 'One row per business date, store, source, channel and currency.';

create table marts.monthly_store_sales (
    month date not null,
    store_id text not null,
    store_name text not null,
    source text not null,
    currency_code char(3) not null,
    ticket_count integer not null,
    refund_count integer not null,
    customer_count integer not null,
    item_quantity numeric(16, 4),
    gross_amount numeric(16, 2),
    discount_amount numeric(16, 2),
    refund_amount numeric(16, 2),
    net_amount numeric(16, 2),
    tax_amount numeric(16, 2),
    primary key (month, store_id, source, currency_code)
);
comment on table marts.monthly_store_sales is 'One row per month, store, source and currency.';

create table marts.daily_product_sales (
    business_date date not null,
    store_id text not null,
    source text not null,
    product_id uuid not null,
    product_name text not null,
    category text,
    currency_code char(3) not null,
    quantity numeric(16, 4),
    net_amount numeric(16, 2),
    ticket_count integer not null,
    primary key (business_date, store_id, source, product_id, currency_code)
);
comment on table marts.daily_product_sales is 'One row per business date, store, source, product and currency.';

create table marts.customer_activity (
    month date not null,
    customer_id uuid not null,
    source text not null,
    currency_code char(3) not null,
    ticket_count integer not null,
    net_amount numeric(16, 2),
    first_purchase_on date not null,
    last_purchase_on date not null,
    is_new boolean not null,
    primary key (month, customer_id, source, currency_code)
);
comment on table marts.customer_activity is 'One row per month, known customer, source and currency with a purchase in it.';

create table marts.inventory_status (
    product_id uuid not null,
    store_id text not null,
    sku text not null,
    product_name text not null,
    category text,
    kind text not null,
    store_name text not null,
    unit text,
    on_hand_quantity numeric(14, 4) not null,
    reorder_level numeric(14, 4),
    daily_use_quantity numeric(14, 4),
    days_of_cover numeric(10, 1),
    is_low boolean not null,
    inventory_value numeric(16, 2),
    counted_at timestamptz,
    primary key (product_id, store_id)
);
comment on table marts.inventory_status is 'One row per product and store that keeps stock of it, as last counted.';

create table marts.data_freshness (
    source text primary key,
    title text not null,
    last_load_at timestamptz,
    last_record_at timestamptz,
    warn_after_hours integer not null,
    error_after_hours integer not null,
    row_count bigint not null,
    reject_count bigint not null
);
comment on table marts.data_freshness is 'One row per source that has sent anything.';
