-- The relational model. Ids are md5 of (namespace, source's key) as uuid, so that the same source record gives the
-- same id on every run and in every rebuild. Lineage (source, raw_id, load_id) is on every row.

create function core.key(variadic parts text[]) returns uuid
language sql immutable parallel safe
return md5(array_to_string(parts, chr(31)))::uuid;
grant execute on function core.key to transformer;

create table core.stores (
    store_id text primary key,
    store_name text not null,
    kind text not null,
    time_zone text not null,
    closing_time time not null,
    city text,
    source text not null,
    raw_id bigint,
    load_id bigint,
    constraint stores_kind_is_known_check check (kind in ('shop', 'delivery', 'warehouse', 'unknown'))
);

create table core.suppliers (
    supplier_id uuid primary key,
    supplier_name text not null,
    source text not null,
    source_supplier_id text not null,
    raw_id bigint,
    load_id bigint,
    unique (source, source_supplier_id)
);

create table core.products (
    product_id uuid primary key,
    catalogue text not null,
    product_key text not null,
    product_name text not null,
    category text,
    kind text not null default 'sold',
    unit text,
    list_price numeric(14, 4),
    currency_code char(3),
    is_master boolean not null default false,
    named_at timestamptz,
    source text not null,
    raw_id bigint,
    load_id bigint,
    unique (catalogue, product_key),
    constraint products_kind_is_known_check check (kind in ('sold', 'ingredient'))
);

create table core.customers (
    customer_id uuid primary key,
    full_name text,
    email text,
    phone text,
    postal_code text,
    loyalty_card text,
    customer_since date,
    is_deleted boolean not null default false,
    source text not null,
    raw_id bigint,
    load_id bigint
);

create table core.customer_sources (
    source text not null,
    source_customer_id text not null,
    customer_id uuid not null references core.customers,
    matching_rule text not null,
    matching_score numeric(4, 3) not null,
    raw_id bigint,
    load_id bigint,
    primary key (source, source_customer_id),
    constraint customer_sources_score_is_a_share_check check (matching_score between 0 and 1)
);
create index customer_sources_customer_id_idx on core.customer_sources (customer_id);

create table core.employees (
    employee_id uuid primary key,
    full_name text,
    job_title text,
    started_on date,
    source text not null,
    source_employee_id text not null,
    raw_id bigint,
    load_id bigint,
    unique (source, source_employee_id)
);

create table core.sales (
    sale_id uuid primary key,
    source text not null,
    receipt_number text not null,
    event text not null,
    store_id text not null references core.stores,
    customer_id uuid references core.customers,
    employee_id uuid references core.employees,
    channel text,
    sold_at timestamptz not null,
    business_date date not null,
    currency_code char(3) not null,
    line_count integer not null,
    gross_amount numeric(14, 2),
    discount_amount numeric(14, 2),
    net_amount numeric(14, 2),
    tax_amount numeric(14, 2),
    tip_amount numeric(14, 2),
    payment_reference text,
    reverses_receipt_number text,
    reverses_sale_id uuid references core.sales,
    source_updated_at timestamptz,
    document_id bigint not null,
    raw_id bigint not null,
    load_id bigint not null,
    unique (source, receipt_number),
    constraint sales_event_is_known_check check (event in ('sale', 'refund', 'voided', 'void')),
    constraint sales_only_reversals_reverse_check check (event in ('refund', 'void') or reverses_sale_id is null)
);
create index sales_business_date_store_id_idx on core.sales (business_date, store_id);
create index sales_customer_id_idx on core.sales (customer_id, business_date) where customer_id is not null;
-- A refund finds its sale by the payment they share.
create index sales_payment_reference_idx on core.sales (source, payment_reference) where payment_reference is not null;
create index sales_reverses_sale_id_idx on core.sales (reverses_sale_id) where reverses_sale_id is not null;

create table core.sale_lines (
    sale_id uuid not null references core.sales,
    line_number integer not null,
    business_date date not null,
    product_id uuid references core.products,
    product_name text not null,
    variation text,
    modifiers text,
    quantity numeric(14, 4),
    unit_price numeric(14, 4),
    gross_amount numeric(14, 2),
    discount_amount numeric(14, 2),
    net_amount numeric(14, 2),
    tax_amount numeric(14, 2),
    currency_code char(3) not null,
    amount_origin text not null,
    note text,
    raw_id bigint not null,
    load_id bigint not null,
    primary key (sale_id, line_number),
    constraint sale_lines_quantity_is_not_zero_check check (quantity <> 0),
    constraint sale_lines_amount_origin_is_known_check check (amount_origin in ('received', 'rebuilt', 'unknown')),
    constraint sale_lines_unknown_amount_is_null_check check ((amount_origin = 'unknown') = (net_amount is null))
);
create index sale_lines_business_date_product_id_idx on core.sale_lines (business_date, product_id);
create index sale_lines_raw_id_idx on core.sale_lines (raw_id);

create table core.payments (
    sale_id uuid not null references core.sales,
    payment_number integer not null,
    method text,
    card_brand text,
    card_last_digits text,
    amount numeric(14, 2),
    currency_code char(3) not null,
    source_payment_id text,
    raw_id bigint not null,
    load_id bigint not null,
    primary key (sale_id, payment_number)
);

create table core.inventory (
    product_id uuid primary key references core.products,
    sku text not null,
    unit text,
    unit_cost numeric(14, 4),
    reorder_level numeric(14, 4),
    supplier_id uuid references core.suppliers,
    is_active boolean not null default true,
    source_updated_at timestamptz,
    source text not null,
    raw_id bigint not null,
    load_id bigint not null
);

create table core.stock_levels (
    product_id uuid not null references core.products,
    store_id text not null references core.stores,
    on_hand_quantity numeric(14, 4) not null,
    reorder_level numeric(14, 4),
    counted_at timestamptz,
    source text not null,
    raw_id bigint not null,
    load_id bigint not null,
    primary key (product_id, store_id)
);

create table core.stock_movements (
    movement_id uuid primary key,
    source text not null,
    source_movement_id text not null,
    product_id uuid not null references core.products,
    store_id text not null references core.stores,
    kind text not null,
    quantity numeric(14, 4) not null,
    unit_cost numeric(14, 4),
    moved_at timestamptz not null,
    business_date date not null,
    source_updated_at timestamptz,
    raw_id bigint not null,
    load_id bigint not null,
    unique (source, source_movement_id),
    constraint stock_movements_kind_is_known_check
    check (kind in ('opening', 'delivery', 'production', 'sale', 'use', 'waste', 'count', 'transfer', 'return'))
);
create index stock_movements_product_id_store_id_idx on core.stock_movements (product_id, store_id, business_date);

create table core.deliveries (
    delivery_id uuid not null,
    line_number integer not null,
    source text not null,
    source_delivery_id text not null,
    supplier_id uuid not null references core.suppliers,
    store_id text not null references core.stores,
    product_id uuid not null references core.products,
    delivered_at timestamptz not null,
    quantity numeric(14, 4) not null,
    unit_cost numeric(14, 4),
    expires_on date,
    raw_id bigint not null,
    load_id bigint not null,
    primary key (delivery_id, line_number)
);
