-- One row per store, source, day and currency that is new to the store, which has sold for four weeks in another one.
-- Reads checked_sales, marts.daily_store_sales.
with sold as (
    select source, store_id, business_date, currency_code, count(*) as receipt_count
    from checked_sales
    where (%(known_at)s::timestamptz is null or known_from = %(known_at)s)
    group by source, store_id, business_date, currency_code
)

select
    sold.source || ' ' || sold.store_id || ' ' || sold.business_date as key,
    format(
        '%%s receipts in %%s, in which the store sold nothing in the 28 days before',
        sold.receipt_count,
        sold.currency_code
    ) as found
from sold
inner join lateral (
    select
        count(distinct before.business_date) as days,
        bool_or(before.currency_code = sold.currency_code) as is_known
    from marts.daily_store_sales as before
    where
        before.store_id = sold.store_id
        and before.source = sold.source
        and before.business_date between sold.business_date - 28 and sold.business_date - 1
) as history on history.days >= 14 and not history.is_known
