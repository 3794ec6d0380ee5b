-- One row per step and source, per currency of it, and per store of that. A step is `first known`, or a cause for which
-- receipts of the days were changed afterwards. Reads core_history.sales, core_history.sales_versions, ops.runs, ops.loads.
-- Each version enters the figures when it becomes known and leaves them when it is closed; what first entered and all that
-- came after add up to what core says now. A refund enters as a change when the receipt it reverses was known before it.
with promise as (
    select
        contract.source,
        contract.time_zone,
        contract.closing_time,
        contract.warn_after_hours
    from unnest(%(sources)s::text[], %(time_zones)s::text[], %(closing_times)s::time[], %(hours)s::integer[])
        as contract (source, time_zone, closing_time, warn_after_hours)
),

heard as (
    select
        load.source,
        min(run.known_at) as first_loaded_at
    from ops.runs as run
    inner join ops.loads as load on run.load_ids[1] = load.load_id  -- a batch is of one source
    where run.known_at is not null and run.row_count > 0
    group by load.source
),

versions as (
    select
        sale_id,
        source,
        store_id,
        currency_code,
        business_date,
        coalesce(net_amount, 0.00) as net_amount,
        reverses_sale_id,
        known_from,
        change_cause,
        known_to,
        closed_cause,
        known_from = min(known_from) over (partition by sale_id) as is_first_here
    from core_history.sales
    where
        business_date between %(first_day)s and %(last_day)s
        and (%(source)s::text is null or source = %(source)s)
),

-- Other days' versions are looked up, receipt by receipt, only where nothing here tells: of those that were corrected
-- onto these days, and of refunds.
entered as (
    select
        version.*,
        case
            when not version.is_first_here then version.change_cause
            when version.change_cause in ('new', 'late') then 'first known'
            when
                exists (
                    select from core_history.sales_versions as earlier
                    where version.sale_id = earlier.sale_id and version.known_from > earlier.known_from
                )
                then version.change_cause
            when
                exists (
                    select from core_history.sales as reversed
                    where version.reverses_sale_id = reversed.sale_id and version.known_from > reversed.known_from
                )
                then version.change_cause
            else 'first known'
        end as step,
        -- The day ends when its tills close, by the clock of the source.
        (version.business_date + 1 + promise.closing_time) at time zone promise.time_zone
        + make_interval(hours => promise.warn_after_hours) as promised_by
    from versions as version
    left join promise on version.source = promise.source
),

steps as (
    select
        entered.source,
        entered.currency_code,
        entered.store_id,
        entered.step,
        entered.sale_id,
        entered.net_amount,
        entered.promised_by < heard.first_loaded_at as is_backfilled,
        entered.promised_by >= heard.first_loaded_at and entered.known_from > entered.promised_by as is_late,
        entered.known_from - entered.promised_by as delay
    from entered
    left join heard on entered.source = heard.source
    union all
    select
        source,
        currency_code,
        store_id,
        closed_cause as step,
        sale_id,
        -net_amount as net_amount,
        false as is_backfilled,
        false as is_late,
        null as delay
    from versions
    where known_to is not null
)

select
    steps.source,
    steps.currency_code,
    steps.store_id,
    steps.step,
    min(heard.first_loaded_at) as first_loaded_at,
    count(distinct steps.sale_id) as receipts,
    sum(steps.net_amount) as net_amount,
    count(*) filter (where steps.is_late) as late,
    coalesce(sum(steps.net_amount) filter (where steps.is_late), 0.00) as late_amount,
    count(*) filter (where steps.is_backfilled) as backfilled,
    coalesce(sum(steps.net_amount) filter (where steps.is_backfilled), 0.00) as backfilled_amount,
    extract(epoch from percentile_cont(0.5) within group (order by steps.delay) filter (where steps.is_late))
    ::double precision as median_delay,
    extract(epoch from max(steps.delay) filter (where steps.is_late))::double precision as longest_delay
from steps
left join heard on steps.source = heard.source
group by
    grouping sets (
        (steps.source, steps.step),
        (steps.source, steps.currency_code, steps.step),
        (steps.source, steps.currency_code, steps.store_id, steps.step)
    )
order by steps.source asc, steps.currency_code asc nulls first, steps.store_id asc nulls first, steps.step asc
