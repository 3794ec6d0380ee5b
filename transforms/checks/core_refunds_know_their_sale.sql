-- One row per source and kind, where more than 30 percent of the last 60 days' reversals name no sale though earlier ones do,
-- or though the source tells of payments by which they are found. Reads core.sales.
select
    source || ' ' || event as key,
    format('%%s of %%s name no sale', count(*) filter (where reverses_sale_id is null), count(*)) as found
from core.sales
where event in ('refund', 'void') and business_date between %(today)s - 60 and %(today)s
group by source, event
having
    count(*) >= 5
    and count(*) filter (where reverses_sale_id is null) > count(*) * 0.3
    and bool_or(payment_reference is not null or reverses_receipt_number is not null)
