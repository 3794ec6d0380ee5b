-- One row per catalogue of people in which more than one address in a hundred is another's as well. Reads core.customers.
-- The key names the first of them by id; addresses stay where they are.
with addresses as (
    select min(customer_id::text) as first_id, count(*) as people
    from core.customers
    where email is not null and not is_deleted
    group by lower(email)
)

select
    'customer ' || first_id as key,
    format('%%s people share one address', people) as found
from addresses
where people > 1
