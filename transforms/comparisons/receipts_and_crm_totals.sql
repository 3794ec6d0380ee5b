-- One row per side: what each reports, counted by itself. Reads core.sales, core.funnel_events.
select
    bought.persons as our_amount,
    became.contacts as their_amount,
    bought.persons as our_records,
    became.contacts as their_records
from (
    select count(*)::numeric as persons
    from (
        select customer_id
        from core.sales
        where event = 'sale' and customer_id is not null and source = any(%(ours)s)
        group by customer_id
        having min(business_date) between %(first_day)s and %(last_day)s
    ) as new
) as bought
cross join (
    select count(*)::numeric as contacts
    from core.funnel_events
    where
        funnel = 'lifecycle'
        and stage = 'customer'
        and source = any(%(theirs)s)
        and customer_id is not null
        and reached_on between %(first_day)s and %(last_day)s
) as became
