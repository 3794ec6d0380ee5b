-- One row per source with more than 10 percent of its active items without a cost. Reads core.inventory.
select
    source as key,
    format('%%s of %%s items have no cost', count(*) filter (where coalesce(unit_cost, 0) = 0), count(*)) as found
from core.inventory
where is_active
group by source
having count(*) filter (where coalesce(unit_cost, 0) = 0) > count(*) * 0.1
