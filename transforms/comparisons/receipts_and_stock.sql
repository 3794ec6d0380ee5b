-- One row per finding about a product's sales of a store and day, told by receipts and by stock movements: class, reason,
-- the quantity it adds to movements less receipts, and the records that prove it. What is left of a cell (product,
-- store, day) without proof has the class residual: a difference alone proves nothing.
-- Reads core.sales, core.sale_lines, core.stock_movements, core.stock_levels, marts.daily_product_sales.
with lines as (
    select
        line.product_id,
        sale.store_id,
        sale.business_date as day,
        sale.sale_id,
        sale.source,
        sale.event,
        coalesce(sale.channel, 'unknown') as channel,
        line.quantity,
        line.raw_id,
        coalesce(
            sale.event = 'sale' and line.net_amount < line.quantity * line.unit_price
            and coalesce(line.discount_amount, 0) = 0,
            false
        ) as is_cut_price
    from core.sales as sale
    inner join core.sale_lines as line on sale.sale_id = line.sale_id
    where
        sale.business_date between %(first_day)s::date - %(window_days)s and %(last_day)s::date + %(window_days)s
        and sale.source = any(%(ours)s)
        and line.product_id is not null
        and line.quantity is not null
),

-- A receipt that came twice: one till, moment, customer and amount, the same lines, another number.
contents as (
    select
        sale_id,
        array_agg(product_id || ' ' || quantity order by product_id, quantity) as content
    from lines
    where event = 'sale'
    group by sale_id
),

repeats as (
    select sale_id
    from (
        select
            sale.sale_id,
            row_number() over (
                partition by
                    sale.source, sale.store_id, sale.sold_at, sale.customer_id, sale.net_amount, contents.content
                order by sale.receipt_number
            ) as number
        from contents
        inner join core.sales as sale on contents.sale_id = sale.sale_id
    ) as numbered
    where number > 1
),

sold as (
    select
        lines.product_id,
        lines.store_id,
        lines.day,
        coalesce(sum(lines.quantity) filter (where lines.event = 'sale'), 0) as sold,
        coalesce(sum(lines.quantity) filter (where lines.event = 'refund'), 0) as returned,
        coalesce(sum(lines.quantity) filter (where lines.event in ('void', 'voided')), 0) as cancelled,
        coalesce(sum(lines.quantity) filter (where lines.is_cut_price), 0) as cut,
        coalesce(sum(lines.quantity) filter (where repeats.sale_id is not null), 0) as repeated,
        array_agg(lines.raw_id order by lines.raw_id) as raw_ids,
        array_agg(lines.raw_id order by lines.raw_id) filter (where lines.event = 'refund') as returned_raw_ids,
        array_agg(lines.raw_id order by lines.raw_id) filter (where lines.event in ('void', 'voided'))
            as cancelled_raw_ids,
        array_agg(lines.raw_id order by lines.raw_id) filter (where lines.is_cut_price) as cut_raw_ids,
        array_agg(lines.raw_id order by lines.raw_id) filter (where repeats.sale_id is not null) as repeated_raw_ids
    from lines
    left join repeats on lines.sale_id = repeats.sale_id
    group by lines.product_id, lines.store_id, lines.day
),

moves as (
    select
        movement_id,
        product_id,
        store_id,
        business_date as day,
        source,
        kind,
        quantity,
        -quantity as taken,
        raw_id
    from core.stock_movements
    where
        business_date between %(first_day)s::date - %(window_days)s and %(last_day)s::date + %(window_days)s
        and source = any(%(theirs)s)
),

moved as (
    select
        product_id,
        store_id,
        day,
        sum(taken) as moved,
        array_agg(raw_id order by raw_id) as raw_ids
    from moves
    where kind = 'sale'
    group by product_id, store_id, day
),

cells as (
    select
        coalesce(sold.product_id, moved.product_id) as product_id,
        coalesce(sold.store_id, moved.store_id) as store_id,
        coalesce(sold.day, moved.day) as day,
        sold.product_id is not null as is_sold,
        coalesce(sold.sold, 0) as sold,
        coalesce(sold.returned, 0) as returned,
        coalesce(sold.cancelled, 0) as cancelled,
        coalesce(sold.cut, 0) as cut,
        coalesce(sold.repeated, 0) as repeated,
        moved.product_id is not null as is_moved,
        coalesce(moved.moved, 0) as moved,
        coalesce(sold.raw_ids, '{}') as our_raw_ids,
        coalesce(sold.returned_raw_ids, '{}') as returned_raw_ids,
        coalesce(sold.cancelled_raw_ids, '{}') as cancelled_raw_ids,
        coalesce(sold.cut_raw_ids, '{}') as cut_raw_ids,
        coalesce(sold.repeated_raw_ids, '{}') as repeated_raw_ids,
        coalesce(moved.raw_ids, '{}') as their_raw_ids
    from sold
    full join moved
        on sold.product_id = moved.product_id and sold.store_id = moved.store_id and sold.day = moved.day
),

-- scope: what a side never tells of, in all that is known of it.
stock_of_store as (
    select
        store_id,
        product_id,
        min(business_date) as first_day,
        max(business_date) as last_day
    from core.stock_movements
    where kind = 'sale' and source = any(%(theirs)s)
    group by store_id, product_id
),

stock_days as (
    select
        store_id,
        min(first_day) as first_day,
        max(last_day) as last_day
    from stock_of_store
    group by store_id
),

till_of_store as (
    select
        store_id,
        product_id,
        min(business_date) as first_day,
        max(business_date) as last_day
    from marts.daily_product_sales
    where source = any(%(ours)s)
    group by store_id, product_id
),

till_days as (
    select
        store_id,
        min(first_day) as first_day,
        max(last_day) as last_day
    from till_of_store
    group by store_id
),

scoped as (
    select
        cells.*,
        case
            when cells.is_moved and cells.is_sold then null
            when cells.is_sold and stock_days.store_id is null then 'the stock system does not tell of this store'
            when
                cells.is_sold
                and not exists (select from stock_of_store as any_store where any_store.product_id = cells.product_id)
                then 'the stock system does not keep this product'
            when cells.is_sold and stock_of_store.product_id is null
                then 'the stock system does not keep this product in this store'
            when cells.is_sold and cells.day not between stock_days.first_day and stock_days.last_day
                then 'the stock system does not tell of these days'
            when cells.is_moved and till_days.store_id is null then 'there is no till in this store'
            when
                cells.is_moved
                and not exists (select from till_of_store as any_till where any_till.product_id = cells.product_id)
                then 'the tills do not sell this product'
            when cells.is_moved and cells.day not between till_days.first_day and till_days.last_day
                then 'the tills do not tell of these days'
        end as scope_reason
    from cells
    left join stock_days on cells.store_id = stock_days.store_id
    left join till_days on cells.store_id = till_days.store_id
    left join stock_of_store
        on cells.store_id = stock_of_store.store_id and cells.product_id = stock_of_store.product_id
),

-- definition: what a side counts otherwise, when that shows in most of the cells it could show in.
returns_kept_out as (
    select
        coalesce(count(*) filter (where moved = sold) >= count(*) filter (where moved = sold + returned), true) as yes
    from scoped
    where returned <> 0 and is_moved
),

counted as (
    select
        scoped.*,
        (select returns_kept_out.yes from returns_kept_out)
        and scoped.scope_reason is null
        and scoped.moved <> scoped.sold + scoped.returned + scoped.cancelled as are_returns_kept_out
    from scoped
),

based as (
    select
        counted.*,
        counted.sold
        + case when counted.are_returns_kept_out then 0 else counted.returned + counted.cancelled end as expected,
        counted.moved
        - counted.sold
        - case when counted.are_returns_kept_out then 0 else counted.returned + counted.cancelled end as base_left
    from counted
),

units as (
    select
        product_id,
        store_id,
        factor
    from (
        select
            product_id,
            store_id,
            factor,
            count(*) as cells,
            sum(count(*)) over (partition by product_id, store_id) as all_cells
        from (
            select
                product_id,
                store_id,
                case
                    when moved > expected and mod(moved, expected) = 0 then moved / expected
                    when moved < expected and mod(expected, moved) = 0 then -expected / moved
                    else 1
                end as factor
            from based
            where scope_reason is null and expected > 0 and moved > 0
        ) as factors
        group by product_id, store_id, factor
    ) as grouped
    where factor <> 1 and cells >= 5 and cells >= 0.8 * all_cells
),

cut_prices as (
    select product_id
    from based
    where scope_reason is null and cut > 0 and is_moved
    group by product_id
    having
        count(*) filter (where moved = expected - cut) >= 5
        and count(*) filter (where moved = expected - cut) >= 0.5 * count(*)
),

channel_cells as (
    select
        lines.product_id,
        lines.store_id,
        lines.day,
        lines.source,
        lines.channel,
        sum(lines.quantity) as quantity
    from lines
    where lines.event = 'sale'
    group by lines.product_id, lines.store_id, lines.day, lines.source, lines.channel
),

left_out_channels as (
    select
        channel_cells.source,
        channel_cells.channel
    from channel_cells
    inner join based
        on
            channel_cells.product_id = based.product_id
            and channel_cells.store_id = based.store_id
            and channel_cells.day = based.day
    where based.scope_reason is null
    group by channel_cells.source, channel_cells.channel
    having
        count(*) filter (where based.moved = based.expected - channel_cells.quantity and based.is_moved) >= 5
        and count(*) filter (where based.moved = based.expected - channel_cells.quantity) >= 0.8 * count(*)
),

unreported as (
    select
        lines.product_id,
        lines.store_id,
        lines.day,
        sum(lines.quantity) as quantity,
        min(lines.channel) as channel,
        array_agg(lines.raw_id order by lines.raw_id) as raw_ids
    from left_out_channels
    inner join lines on left_out_channels.source = lines.source and left_out_channels.channel = lines.channel
    where lines.event = 'sale'
    group by lines.product_id, lines.store_id, lines.day
),

defined as (
    select
        based.*,
        case when units.product_id is not null and (
            based.moved = based.expected * units.factor or based.moved * -units.factor = based.expected
        ) then based.base_left else 0 end as unit_amount,
        case
            when cut_prices.product_id is not null and based.moved = based.expected - based.cut then -based.cut else 0
        end
            as cut_amount,
        case when based.moved = based.expected - unreported.quantity then -unreported.quantity else 0 end
            as channel_amount,
        unreported.channel,
        unreported.raw_ids as channel_raw_ids
    from based
    left join units on based.product_id = units.product_id and based.store_id = units.store_id
    left join cut_prices on based.product_id = cut_prices.product_id
    left join unreported
        on
            based.product_id = unreported.product_id
            and based.store_id = unreported.store_id
            and based.day = unreported.day
),

explained as (
    select
        defined.*,
        case
            when
                defined.scope_reason is not null
                or defined.unit_amount <> 0
                or defined.channel_amount <> 0
                or defined.cut_amount <> 0
                then 0
            else defined.base_left
        end as open_amount
    from defined
),

-- timing: a movement whose removal makes its own day right, and which is what lacks on a day near by.
strays as (
    select
        moves.movement_id,
        moves.product_id,
        moves.store_id,
        moves.day,
        moves.taken,
        moves.raw_id
    from moves
    inner join explained
        on
            moves.product_id = explained.product_id
            and moves.store_id = explained.store_id
            and moves.day = explained.day
    where moves.kind = 'sale' and explained.open_amount = moves.taken
),

late_pairs as (
    select
        lonely.product_id,
        lonely.store_id,
        lonely.day as sold_on,
        strays.day as moved_on,
        strays.taken,
        strays.movement_id,
        lonely.our_raw_ids,
        array[strays.raw_id] as their_raw_ids,
        row_number() over (
            partition by lonely.product_id, lonely.store_id, lonely.day
            order by abs(strays.day - lonely.day), strays.day, strays.movement_id
        ) as place_of_day
    from explained as lonely
    inner join strays
        on
            lonely.product_id = strays.product_id
            and lonely.store_id = strays.store_id
            and abs(strays.day - lonely.day) between 1 and %(window_days)s
            and lonely.sold = strays.taken
    where not lonely.is_moved and lonely.open_amount < 0
),

late as (
    select *
    from (
        select
            late_pairs.*,
            row_number() over (
                partition by late_pairs.product_id, late_pairs.store_id, late_pairs.moved_on
                order by abs(late_pairs.moved_on - late_pairs.sold_on), late_pairs.sold_on
            ) as place_of_movement
        from late_pairs
        where late_pairs.place_of_day = 1
    ) as placed
    where place_of_movement = 1
),

timed as (
    select
        explained.*,
        late_out.sold_on is not null as is_late,
        late_in.moved_on is not null as is_stray,
        coalesce(late_out.their_raw_ids, late_in.their_raw_ids) as late_raw_ids,
        coalesce(late_in.our_raw_ids, late_out.our_raw_ids) as late_our_raw_ids
    from explained
    left join late as late_out
        on
            explained.product_id = late_out.product_id
            and explained.store_id = late_out.store_id
            and explained.day = late_out.sold_on
    left join late as late_in
        on
            explained.product_id = late_in.product_id
            and explained.store_id = late_in.store_id
            and explained.day = late_in.moved_on
),

-- duplicate: one of two equal movements of a day, or a receipt that came twice, is exactly what is too much.
doubled as (
    select
        moves.product_id,
        moves.store_id,
        moves.day,
        moves.taken,
        array_agg(moves.raw_id order by moves.raw_id) as raw_ids
    from moves
    where moves.kind = 'sale'
    group by moves.product_id, moves.store_id, moves.day, moves.taken
    having count(*) > 1
),

-- error: the stock record contradicts itself. Sources whose days always come out even (produced = sold + wasted), and
-- counts that differ from the sum of all movements.
balances as (
    select
        product_id,
        store_id,
        day,
        min(source) as source,
        sum(quantity) as balance
    from moves
    group by product_id, store_id, day
),

even_sources as (
    select source
    from balances
    group by source
    having count(*) >= 5 and count(*) filter (where balance = 0) >= 0.9 * count(*)
),

ledgers as (
    select
        level.product_id,
        level.store_id,
        level.on_hand_quantity - ledger.quantity as gap
    from core.stock_levels as level
    inner join (
        select
            product_id,
            store_id,
            sum(quantity) as quantity
        from core.stock_movements
        where source = any(%(theirs)s)
        group by product_id, store_id
    ) as ledger on level.product_id = ledger.product_id and level.store_id = ledger.store_id
    where level.source = any(%(theirs)s) and level.on_hand_quantity <> ledger.quantity
),

judged as (
    select
        timed.*,
        case
            when timed.open_amount = 0 or timed.is_late or timed.is_stray then 'none'
            when timed.open_amount > 0 and doubled.taken = timed.open_amount then 'doubled'
            when timed.open_amount < 0 and timed.repeated = -timed.open_amount then 'repeated'
            when not timed.is_moved then 'no movement'
            when timed.is_moved and timed.sold = 0 then 'no receipt'
            when
                even_sources.source is not null
                and balances.balance <> 0
                and sign(balances.balance) = -sign(timed.open_amount)
                and abs(timed.open_amount) <= abs(balances.balance)
                then 'uneven'
            else 'open'
        end as verdict
    from timed
    left join doubled
        on
            timed.product_id = doubled.product_id
            and timed.store_id = doubled.store_id
            and timed.day = doubled.day
            and timed.open_amount = doubled.taken
    left join balances
        on timed.product_id = balances.product_id and timed.store_id = balances.store_id and timed.day = balances.day
    left join even_sources on balances.source = even_sources.source
),

settled as (
    select
        judged.*,
        judged.verdict = 'open' and (
            ledgers.gap = judged.open_amount
            or ledgers.gap = sum(judged.open_amount) filter (where judged.verdict = 'open')
                over (partition by judged.product_id, judged.store_id)
        ) as is_gap
    from judged
    left join ledgers on judged.product_id = ledgers.product_id and judged.store_id = ledgers.store_id
)

select
    finding.class,
    finding.reason,
    settled.day as business_date,
    settled.store_id,
    settled.product_id,
    settled.product_id::text || '/' || settled.store_id || '/' || settled.day as record,
    finding.amount,
    finding.our_raw_ids,
    finding.their_raw_ids
from settled
cross join
    lateral (
        values
        (
            'scope',
            settled.scope_reason,
            case
                when
                    settled.scope_reason is not null
                    then settled.moved - settled.sold - settled.returned - settled.cancelled
                else 0
            end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'definition',
            'returned goods are not put back into stock',
            case when settled.are_returns_kept_out then -settled.returned else 0 end,
            settled.returned_raw_ids,
            settled.their_raw_ids
        ),
        (
            'definition',
            'cancelled receipts take nothing from stock',
            case when settled.are_returns_kept_out then -settled.cancelled else 0 end,
            settled.cancelled_raw_ids,
            settled.their_raw_ids
        ),
        (
            'definition',
            'the stock is kept in another unit',
            settled.unit_amount,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'definition',
            'the stock does not count pieces sold below their price',
            case when settled.unit_amount = 0 and settled.channel_amount = 0 then settled.cut_amount else 0 end,
            settled.cut_raw_ids,
            settled.their_raw_ids
        ),
        (
            'scope',
            'the stock system does not count channel ' || settled.channel,
            case when settled.unit_amount = 0 then settled.channel_amount else 0 end,
            settled.channel_raw_ids,
            settled.their_raw_ids
        ),
        (
            'timing',
            'the movement is booked on another day',
            case when settled.is_late or settled.is_stray then settled.open_amount else 0 end,
            settled.late_our_raw_ids,
            settled.late_raw_ids
        ),
        (
            'duplicate',
            'the same movement is booked twice',
            case when settled.verdict = 'doubled' then settled.open_amount else 0 end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'duplicate',
            'the same receipt came twice',
            case when settled.verdict = 'repeated' then settled.open_amount else 0 end,
            settled.repeated_raw_ids,
            settled.their_raw_ids
        ),
        (
            'missing',
            'receipts without a stock movement',
            case when settled.verdict = 'no movement' then settled.open_amount else 0 end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'missing',
            'stock movement without a receipt',
            case when settled.verdict = 'no receipt' then settled.open_amount else 0 end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'error',
            'the stock record of the day contradicts itself',
            case when settled.verdict = 'uneven' then settled.open_amount else 0 end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'error',
            'the count differs from the movements by as much',
            case when settled.is_gap then settled.open_amount else 0 end,
            settled.our_raw_ids,
            settled.their_raw_ids
        ),
        (
            'residual',
            'no record says why',
            case
                when settled.verdict = 'open' and not coalesce(settled.is_gap, false) then settled.open_amount else 0
            end,
            settled.our_raw_ids,
            settled.their_raw_ids
        )
    ) as finding (class, reason, amount, our_raw_ids, their_raw_ids)
where finding.amount <> 0 and settled.day between %(first_day)s and %(last_day)s
