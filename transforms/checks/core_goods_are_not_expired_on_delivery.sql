-- One row per delivered line of the last 60 days that had expired. Reads core.deliveries.
select
    source || ' delivery ' || source_delivery_id || ' line ' || line_number as key,
    format('expired on %%s, delivered on %%s', expires_on, delivered_at::date) as found
from core.deliveries
where delivered_at > %(now)s - interval '60 days' and expires_on < delivered_at::date
