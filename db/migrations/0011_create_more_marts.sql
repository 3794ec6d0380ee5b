-- Who moves on and who drops out (funnel_events), and the marts that read it, customers and stock movements.

create table core.funnel_events (
    event_id uuid primary key,
    funnel text not null,
    stage text not null,
    subject_id uuid not null,
    -- Checked at commit: customers that became another person's go before the events follow.
    customer_id uuid references core.customers deferrable initially deferred,
    sale_id uuid references core.sales deferrable initially deferred,
    source_customer_id text,
    reached_at timestamptz not null,
    reached_on date not null,
    entered_on date not null,
    source text not null,
    raw_id bigint not null,
    load_id bigint not null,
    constraint funnel_events_stage_is_of_its_funnel_check check (
        (
            funnel = 'lifecycle'
            and stage in (
                'subscriber', 'lead', 'marketing qualified', 'sales qualified', 'opportunity', 'customer', 'evangelist'
            )
        )
        or (funnel = 'purchases' and stage in ('first purchase', 'repeat purchase'))
        or (funnel = 'orders' and stage in ('placed', 'completed', 'refunded', 'cancelled'))
    ),
    constraint funnel_events_contact_is_of_the_lifecycle_check check (
        (funnel = 'lifecycle') = (source_customer_id is not null)
    ),
    constraint funnel_events_nothing_is_before_the_entry_check check (entered_on <= reached_on)
);
-- The events of a customer or an order are replaced as a set.
create index funnel_events_subject_id_idx on core.funnel_events (subject_id);
-- What a contact reached is looked up by the contact when it comes again.
create index funnel_events_source_customer_id_idx on core.funnel_events (source, source_customer_id)
where source_customer_id is not null;
-- marts.sales_funnel is worked out by the month of entry.
create index funnel_events_entered_on_idx on core.funnel_events (entered_on);
-- A receipt that goes, and a customer who goes, are looked for here by their foreign keys.
create index funnel_events_sale_id_idx on core.funnel_events (sale_id) where sale_id is not null;
create index funnel_events_customer_id_idx on core.funnel_events (customer_id) where customer_id is not null;

comment on table core.funnel_events is
'One row per stage a contact, customer or delivery order reached: CRM lifecycle, purchases, orders. Each stage once.';
comment on column core.funnel_events.event_id is 'Our id: the same for the same contact, customer or order and stage.';
comment on column core.funnel_events.funnel is
'lifecycle (stages of a CRM contact), purchases (of a known customer), orders (of a delivery order).';
comment on column core.funnel_events.stage is
'lifecycle: subscriber, lead, marketing qualified, sales qualified, opportunity, customer, evangelist; purchases: first purchase, repeat purchase (the second); orders: placed, completed, refunded, cancelled.';
comment on column core.funnel_events.subject_id is
'Who or what moved: the customer_id, for orders the sale_id of the order. Contacts of one person share it.';
comment on column core.funnel_events.customer_id is 'Customer; null for orders of nobody known.';
comment on column core.funnel_events.sale_id is
'Receipt by which the stage was reached: the purchase, the order, the first refund of the order; null in the lifecycle.';
comment on column core.funnel_events.source_customer_id is 'Contact of the source; null outside the lifecycle.';
comment on column core.funnel_events.reached_at is
'When: of a purchase or refund its moment, of an order placed its moment; of an order completed or cancelled its last change, and of a contact the first change that shows the stage, which is by when it was reached at the latest.';
comment on column core.funnel_events.reached_on is 'Business date of a receipt; of a contact, and of an order''s last change, the day in the zone of the source.';
comment on column core.funnel_events.entered_on is 'Day the subject reached its first stage of this funnel.';
comment on column core.funnel_events.source is 'Name of the source that told of it.';
comment on column core.funnel_events.raw_id is 'Raw record that shows it; for receipts the first of the receipt.';
comment on column core.funnel_events.load_id is 'Load that brought that record.';

select core_history.keep('funnel_events', '{event_id}');

create table marts.daily_customers (
    business_date date not null,
    customer_id uuid not null,
    store_id text not null,
    source text not null,
    channel text not null,
    currency_code char(3) not null,
    ticket_count integer not null,
    net_amount numeric(16, 2),
    first_purchase_on date not null,
    primary key (business_date, customer_id, store_id, source, channel, currency_code)
);
-- The days of a customer are replaced as a set.
create index daily_customers_customer_id_idx on marts.daily_customers (customer_id);
comment on table marts.daily_customers is
'One row per business date, known customer, store, source, channel and currency with a purchase. Customers do not add up over days, stores or currencies: count the different ones.';
comment on column marts.daily_customers.business_date is 'Day the purchases count for.';
comment on column marts.daily_customers.customer_id is 'Customer.';
comment on column marts.daily_customers.store_id is 'Store.';
comment on column marts.daily_customers.source is 'Source the receipts came from.';
comment on column marts.daily_customers.channel is 'Channel; unknown where the source tells none.';
comment on column marts.daily_customers.currency_code is 'Currency of net_amount, ISO 4217.';
comment on column marts.daily_customers.ticket_count is 'Receipts of sales; refunds, voids and voided sales are not counted.';
comment on column marts.daily_customers.net_amount is 'Net amount of these sales; refunds are not taken off; null where no amount is known.';
comment on column marts.daily_customers.first_purchase_on is 'Day of the customer''s first purchase ever, at any source.';

create table marts.customer_cohorts (
    cohort_month date not null,
    months_since integer not null,
    currency_code char(3) not null,
    month date not null,
    customer_count integer not null,
    active_count integer not null,
    retained_share numeric(5, 4) not null,
    net_amount numeric(16, 2),
    primary key (cohort_month, months_since, currency_code),
    constraint customer_cohorts_share_is_of_its_cohort_check check (active_count between 0 and customer_count)
);
comment on table marts.customer_cohorts is
'One row per cohort month, months since then and currency, up to the newest month anybody of a cohort bought or was refunded in; a month in which none of the cohort came has a row with 0. A cohort is the known customers whose first purchase in the currency was in that month.';
comment on column marts.customer_cohorts.cohort_month is 'First day of the month of the first purchase.';
comment on column marts.customer_cohorts.months_since is 'Whole months from the cohort''s month to month; 0 is the cohort''s own.';
comment on column marts.customer_cohorts.currency_code is 'Currency of the purchases, ISO 4217; who buys in two currencies is in a cohort of each.';
comment on column marts.customer_cohorts.month is 'First day of the month looked at; the newest may not be over.';
comment on column marts.customer_cohorts.customer_count is 'Customers of the cohort; the same in all its months, so never to be added up over them.';
comment on column marts.customer_cohorts.active_count is 'Of these, how many bought in the month.';
comment on column marts.customer_cohorts.retained_share is 'active_count of customer_count, 0 to 1.';
comment on column marts.customer_cohorts.net_amount is 'What they bought in the month, net of discounts and of the refunds of the month that name them, tax excluded where told apart; null where no amount is known.';

create table marts.waste (
    business_date date not null,
    store_id text not null,
    source text not null,
    product_id uuid not null,
    product_name text not null,
    category text,
    store_name text not null,
    unit text,
    currency_code char(3) not null,
    produced_quantity numeric(16, 4) not null,
    waste_quantity numeric(16, 4) not null,
    waste_share numeric(20, 4),
    cost_amount numeric(16, 2),
    primary key (business_date, store_id, source, product_id)
);
comment on table marts.waste is
'One row per business date, store, source and product that was produced or thrown away.';
comment on column marts.waste.business_date is 'Day of the movements.';
comment on column marts.waste.store_id is 'Store.';
comment on column marts.waste.source is 'Source of the movements.';
comment on column marts.waste.product_id is 'Product.';
comment on column marts.waste.product_name is 'Name of the product.';
comment on column marts.waste.category is 'Category of the product; null where no source told it.';
comment on column marts.waste.store_name is 'Name of the store.';
comment on column marts.waste.unit is 'Unit of the quantities; null where not told. Quantities of different units never add up.';
comment on column marts.waste.currency_code is 'Currency of cost_amount: the source''s, ISO 4217.';
comment on column marts.waste.produced_quantity is 'Produced on the day; 0 where nothing was.';
comment on column marts.waste.waste_quantity is 'Thrown away, positive; what was booked back is taken off.';
comment on column marts.waste.waste_share is 'waste_quantity of produced_quantity; null where nothing was produced that day. Above 1 when what was baked before is thrown away too.';
comment on column marts.waste.cost_amount is 'Thrown away x the cost booked with it; 0 where nothing was thrown away, null where a cost is unknown.';

create table marts.inventory_turnover (
    month date not null,
    store_id text not null,
    source text not null,
    product_id uuid not null,
    product_name text not null,
    category text,
    store_name text not null,
    unit text,
    currency_code char(3) not null,
    opening_quantity numeric(16, 4) not null,
    received_quantity numeric(16, 4) not null,
    produced_quantity numeric(16, 4) not null,
    sold_quantity numeric(16, 4) not null,
    used_quantity numeric(16, 4) not null,
    waste_quantity numeric(16, 4) not null,
    other_quantity numeric(16, 4) not null,
    closing_quantity numeric(16, 4) not null,
    average_quantity numeric(16, 4) not null,
    turnover numeric(20, 4),
    unit_cost numeric(14, 4),
    average_amount numeric(16, 2),
    cost_amount numeric(16, 2),
    primary key (month, store_id, source, product_id),
    constraint inventory_turnover_quantities_add_up_check check (
        closing_quantity
        = opening_quantity + received_quantity + produced_quantity + other_quantity
        - sold_quantity - used_quantity - waste_quantity
    )
);
comment on table marts.inventory_turnover is
'One row per month, store, source and product, from its first movement to the newest month any movement of the source is of.';
comment on column marts.inventory_turnover.month is 'First day of the month; the newest may not be over.';
comment on column marts.inventory_turnover.store_id is 'Store.';
comment on column marts.inventory_turnover.source is 'Source of the movements.';
comment on column marts.inventory_turnover.product_id is 'Product.';
comment on column marts.inventory_turnover.product_name is 'Name of the product.';
comment on column marts.inventory_turnover.category is 'Category of the product; null where no source told it.';
comment on column marts.inventory_turnover.store_name is 'Name of the store.';
comment on column marts.inventory_turnover.unit is 'Unit of the quantities; null where not told. Quantities of different units never add up.';
comment on column marts.inventory_turnover.currency_code is 'Currency of the costs: the source''s, ISO 4217.';
comment on column marts.inventory_turnover.opening_quantity is 'Stock by the movements at the start of the month, and what was booked as opening stock within it.';
comment on column marts.inventory_turnover.received_quantity is 'Delivered by suppliers.';
comment on column marts.inventory_turnover.produced_quantity is 'Produced.';
comment on column marts.inventory_turnover.sold_quantity is 'Sold, positive.';
comment on column marts.inventory_turnover.used_quantity is 'Used up in production, positive.';
comment on column marts.inventory_turnover.waste_quantity is 'Thrown away, positive.';
comment on column marts.inventory_turnover.other_quantity is 'Counts, transfers and returns: added less taken.';
comment on column marts.inventory_turnover.closing_quantity is 'Stock by the movements at the end of the month: opening + received + produced + other - sold - used - waste. Negative where more was booked out than in.';
comment on column marts.inventory_turnover.average_quantity is 'Mean of opening and closing stock.';
comment on column marts.inventory_turnover.turnover is 'Times the average stock was sold or used; null where there was no stock on average.';
comment on column marts.inventory_turnover.unit_cost is 'Latest cost booked with a movement up to the end of the month; null where none was.';
comment on column marts.inventory_turnover.average_amount is 'average_quantity x unit_cost; null where the cost is unknown.';
comment on column marts.inventory_turnover.cost_amount is 'Cost booked with what was sold and used; 0 where nothing was, null where a cost is unknown.';

create table marts.sales_funnel (
    month date not null,
    funnel text not null,
    stage_number integer not null,
    stage text not null,
    entered_count integer not null,
    reached_count integer not null,
    last_count integer not null,
    conversion_share numeric(5, 4),
    primary key (month, funnel, stage_number),
    constraint sales_funnel_nobody_appears_on_the_way_check check (
        last_count <= reached_count and reached_count <= entered_count
    )
);
comment on table marts.sales_funnel is
'One row per month of entry, funnel and stage: how far those who entered in the month have come until now. The last_count of a month and funnel add up to its entered_count.';
comment on column marts.sales_funnel.month is 'First day of the month in which the subject reached its first stage.';
comment on column marts.sales_funnel.funnel is 'lifecycle (people in the CRM), purchases (known customers), orders (delivery orders).';
comment on column marts.sales_funnel.stage_number is 'Place of the stage in its funnel, from 1.';
comment on column marts.sales_funnel.stage is 'Name of the stage; see core.funnel_events.';
comment on column marts.sales_funnel.entered_count is 'People or orders that entered the funnel in the month; the same in all its stages, so never to be added up over them.';
comment on column marts.sales_funnel.reached_count is 'Of these, how many reached the stage, or one that only follows it.';
comment on column marts.sales_funnel.last_count is 'Of these, how many have this stage as their last: of the stages reached the one of the highest number.';
comment on column marts.sales_funnel.conversion_share is 'reached_count of those who reached the stage it follows (entered_count for the first); null where there was none.';

-- Several purchases of one person at several sources are one history: new is who is new to the business.
comment on column marts.customer_activity.first_purchase_on is 'Day of the first purchase ever, at any source.';
comment on column marts.customer_activity.is_new is 'Whether the first purchase ever, at any source, was in this month.';
-- A customer's months are replaced as a set; the first month in a currency is looked up for customer_cohorts.
create index customer_activity_customer_id_idx on marts.customer_activity (customer_id, currency_code, month);
-- customer_cohorts and sale_reversals of a month look for its refunds, few among many receipts.
create index sales_refunds_business_date_idx on core.sales (business_date) where event = 'refund';

alter table marts.inventory_status add column source text, add column currency_code char(3);
comment on column marts.inventory_status.source is 'Source that counted; null in rows not refreshed since this column exists.';
comment on column marts.inventory_status.currency_code is 'Currency of inventory_value, ISO 4217; null in rows not refreshed since this column exists.';
comment on column marts.inventory_status.inventory_value is 'Stock x unit cost, in currency_code; null where the cost is unknown.';
update marts.inventory_status as status set source = level.source, currency_code = product.currency_code
from core.stock_levels as level
inner join core.products as product on level.product_id = product.product_id
where status.product_id = level.product_id and status.store_id = level.store_id;

-- Movements of a day and store, for marts.waste, and the newest day of all; the index of 0003 leads with the product.
create index stock_movements_business_date_store_id_idx on core.stock_movements (business_date, store_id);
