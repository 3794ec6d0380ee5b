-- One row per kind of address of which more than 2 percent look like something else. Reads core.customers.
select
    kind.name as key,
    format('%%s of %%s', count(*) filter (where kind.is_odd), count(*)) as found
from core.customers as customer
cross join
    lateral (
        values
        ('e-mail', customer.email, customer.email !~ '^[^@\s]+@[^@\s]+$'),
        ('telephone', customer.phone, customer.phone !~ '^[0-9+()/. \-]+$')
    ) as kind (name, value, is_odd)
where kind.value is not null
group by kind.name
having count(*) filter (where kind.is_odd) > greatest(2, count(*) * 0.02)
