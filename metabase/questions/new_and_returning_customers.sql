-- One row per month and kind of customer (new, returning); the 13 newest months unless a first day is given.
-- Reads marts.customer_activity. A customer counts once a month, however often they came. New means new
-- to the business: first purchase at any source, whichever is asked for (is_new looks at one source only).
with firsts as (
    select
        customer_id,
        date_trunc('month', min(first_purchase_on))::date as first_month
    from marts.customer_activity
    group by customer_id
),

asked as (
    select distinct
        month,
        customer_id
    from marts.customer_activity
    where
        true
        [[and source = {{source}}]]
        [[and currency_code = {{currency}}]]
        [[and month <= {{date_to}}]]
),

scope as (
    select
        coalesce(
            [[date_trunc('month', cast({{date_from}} as date)), ]]
            max(month) - interval '12 months'
        ) as first_month
    from asked
)

select
    asked.month,
    case when asked.month = firsts.first_month then 'New' else 'Returning' end as customer_kind,
    count(*) as customer_count
from asked
inner join firsts on asked.customer_id = firsts.customer_id
cross join scope
where asked.month >= scope.first_month
group by asked.month, asked.month = firsts.first_month
order by asked.month asc, asked.month = firsts.first_month desc
