-- What somebody writes by hand for one file of known layout: text to core in one statement per table, no history, no
-- lineage, nothing checked that the tables do not check. Reads peer.items.
analyze peer.items;

insert into peer.stores (store_id, store_name, kind, time_zone, closing_time, source)
select distinct
    lower(split_part("Location", ' ', 2)),
    "Location",
    'shop',
    'Europe/Madrid',
    '04:00'::time,
    'pos'
from peer.items;

insert into peer.products
(product_id, catalogue, product_key, product_name, category, kind, currency_code, is_master, named_at, source)
select distinct on (product_key)
    md5('panpan' || chr(31) || product_key)::uuid,
    'panpan',
    product_key,
    "Item",
    nullif("Category", 'None'),
    'sold',
    'EUR',
    false,
    ("Date" || ' ' || "Time")::timestamp at time zone 'Europe/Madrid',
    'pos'
from (select *, coalesce(nullif("SKU", ''), "Item") as product_key from peer.items) as item
order by product_key asc, "Date" desc, "Time" desc;

insert into peer.customers (customer_id, full_name, loyalty_card, source)
select
    md5('pos' || chr(31) || 'customer' || chr(31) || "Customer ID")::uuid,
    max("Customer Name"),
    max(nullif("Customer Reference ID", '')),
    'pos'
from peer.items
where "Customer ID" <> ''
group by "Customer ID";

create temporary table typed on commit drop as
select
    ordinal,
    "Transaction ID" as receipt_number,
    md5('pos' || chr(31) || "Transaction ID")::uuid as sale_id,
    case "Event Type" when 'Refund' then 'refund' else 'sale' end as event,
    lower(split_part("Location", ' ', 2)) as store_id,
    case
        when "Customer ID" <> '' then md5('pos' || chr(31) || 'customer' || chr(31) || "Customer ID")::uuid
    end as customer_id,
    case "Dining Option" when 'To Go' then 'takeaway' else 'store' end as channel,
    ("Date" || ' ' || "Time")::timestamp at time zone 'Europe/Madrid' as sold_at,
    (("Date" || ' ' || "Time")::timestamp - interval '4 hours')::date as business_date,
    md5('panpan' || chr(31) || coalesce(nullif("SKU", ''), "Item"))::uuid as product_id,
    "Item" as product_name,
    nullif("Price Point Name", '') as variation,
    nullif("Modifiers Applied", '') as modifiers,
    nullif("Notes", '') as note,
    "Qty"::numeric(14, 4) as quantity,
    translate("Gross Sales", '€,', '')::numeric(14, 2) as gross_amount,
    -translate("Discounts", '€,', '')::numeric(14, 2) as discount_amount,
    translate("Net Sales", '€,', '')::numeric(14, 2) as net_amount,
    translate("Tax", '€,', '')::numeric(14, 2) as tax_amount,
    nullif("Payment ID", '') as payment_reference,
    nullif("Card Brand", '') as card_brand,
    nullif("PAN Suffix", '') as card_last_digits
from peer.items;
analyze typed;

insert into peer.sales
(
    sale_id, source, receipt_number, event, store_id, customer_id, channel, sold_at, business_date, currency_code,
    line_count, gross_amount, discount_amount, net_amount, tax_amount, payment_reference
)
select
    sale_id,
    'pos',
    receipt_number,
    min(event),
    min(store_id),
    max(customer_id::text)::uuid,
    min(channel),
    min(sold_at),
    min(business_date),
    'EUR',
    count(*),
    sum(gross_amount),
    sum(discount_amount),
    sum(net_amount),
    sum(tax_amount),
    max(payment_reference)
from typed
group by receipt_number, sale_id;

insert into peer.sale_lines
(
    sale_id, line_number, business_date, product_id, product_name, variation, modifiers, quantity,
    gross_amount, discount_amount, net_amount, tax_amount, currency_code, amount_origin, note
)
select
    sale_id,
    row_number() over (partition by receipt_number order by ordinal),
    business_date,
    product_id,
    product_name,
    variation,
    modifiers,
    quantity,
    gross_amount,
    discount_amount,
    net_amount,
    tax_amount,
    'EUR',
    'received',
    note
from typed;

insert into peer.payments
(sale_id, payment_number, method, card_brand, card_last_digits, amount, currency_code, source_payment_id)
select
    sale_id,
    1,
    case when max(card_brand) is not null then 'card' end,
    max(card_brand),
    max(card_last_digits),
    sum(net_amount + tax_amount),
    'EUR',
    max(payment_reference)
from typed
group by receipt_number, sale_id
having max(payment_reference) is not null;

analyze peer.sales;
analyze peer.sale_lines;
