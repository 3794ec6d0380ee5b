-- What the catalogue's last metrics and the goals read: sales by kind of customer, retention by month, goal progress.

create table marts.daily_customer_kind_sales (
    business_date date not null,
    store_id text not null,
    source text not null,
    channel text not null,
    currency_code char(3) not null,
    customer_kind text not null,
    ticket_count integer not null,
    gross_amount numeric(16, 2),
    discount_amount numeric(16, 2),
    refund_amount numeric(16, 2),
    net_amount numeric(16, 2),
    primary key (business_date, store_id, source, channel, currency_code, customer_kind),
    constraint daily_customer_kind_sales_kind_is_known_check check (customer_kind in ('new', 'returning', 'unknown'))
);
comment on table marts.daily_customer_kind_sales is
'One row per business date, store, source, channel, currency and kind of customer. The kinds of a cell add up to its row in marts.daily_store_sales.';
comment on column marts.daily_customer_kind_sales.business_date is 'Day the receipts count for.';
comment on column marts.daily_customer_kind_sales.store_id is 'Store.';
comment on column marts.daily_customer_kind_sales.source is 'Source the receipts came from.';
comment on column marts.daily_customer_kind_sales.channel is 'Channel; unknown where the source tells none.';
comment on column marts.daily_customer_kind_sales.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column marts.daily_customer_kind_sales.customer_kind is 'new (the day of the customer''s first purchase ever, at any source), returning (a later day), unknown (no known customer).';
comment on column marts.daily_customer_kind_sales.ticket_count is 'Receipts of sales.';
comment on column marts.daily_customer_kind_sales.gross_amount is 'Before discounts; sales only.';
comment on column marts.daily_customer_kind_sales.discount_amount is 'Discounts; sales only.';
comment on column marts.daily_customer_kind_sales.refund_amount is 'Paid back, positive.';
comment on column marts.daily_customer_kind_sales.net_amount is 'Net of discounts and refunds, tax excluded where told apart; null where no amount is known.';

create table marts.customer_retention (
    month date primary key,
    earlier_count integer not null,
    retained_count integer not null,
    constraint customer_retention_retained_came_earlier_check check (retained_count between 0 and earlier_count)
);
comment on table marts.customer_retention is
'One row per month that is over and before which, in the month before, known customers bought.';
comment on column marts.customer_retention.month is 'First day of the month.';
comment on column marts.customer_retention.earlier_count is 'Known customers who bought in the month before, whatever store or source.';
comment on column marts.customer_retention.retained_count is 'Of these, how many bought in the month too.';

create table marts.goal_progress (
    goal text not null,
    day date not null,
    title text not null,
    owner text not null,
    metric text not null,
    unit text not null,
    currency_code char(3),
    start_on date not null,
    end_on date not null,
    base_value numeric(18, 4),
    target_value numeric(18, 4),
    value numeric(18, 4),
    expected_value numeric(18, 4),
    verdict text not null,
    plan_id text not null,
    base_plan_id text not null,
    refreshed_at timestamptz not null,
    primary key (goal, day),
    constraint goal_progress_verdict_is_known_check check (
        verdict in ('on track', 'behind', 'reached', 'missed', 'unknown')
    )
);
comment on table marts.goal_progress is 'One row per goal and day from its start to its end, as far as figures are there.';
comment on column marts.goal_progress.goal is 'Name of the goal: its file in transforms/goals.';
comment on column marts.goal_progress.day is 'Day looked at, as its end.';
comment on column marts.goal_progress.title is 'What is to be reached, in words.';
comment on column marts.goal_progress.owner is 'Who answers for the goal.';
comment on column marts.goal_progress.metric is 'Metric of the catalogue that measures it.';
comment on column marts.goal_progress.unit is 'Unit of the metric.';
comment on column marts.goal_progress.currency_code is 'Currency of an amount, ISO 4217; null otherwise.';
comment on column marts.goal_progress.start_on is 'First day of the goal.';
comment on column marts.goal_progress.end_on is 'Last day of the goal.';
comment on column marts.goal_progress.base_value is 'The metric in the period the goal starts from; null where unknown.';
comment on column marts.goal_progress.target_value is 'What the metric shall be at the end.';
comment on column marts.goal_progress.value is 'The metric by the day: added up since the start, or the level then; null where unknown.';
comment on column marts.goal_progress.expected_value is 'What it should be by the day to arrive in time, in a straight line.';
comment on column marts.goal_progress.verdict is 'on track or behind while the goal runs, reached or missed on its last day, unknown without a figure.';
comment on column marts.goal_progress.plan_id is 'Plan of the value: panpan trace plan:ID.';
comment on column marts.goal_progress.base_plan_id is 'Plan of the base value.';
comment on column marts.goal_progress.refreshed_at is 'When the row was worked out.';
