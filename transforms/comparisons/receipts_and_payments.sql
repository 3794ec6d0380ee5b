-- One row per finding about a receipt and its payments: class, reason, the amount it adds to payments less revenue, and
-- the records that prove it. What is left of a receipt without proof has the class residual.
-- Reads core.sales, core.payments. A payment is what was taken: revenue, tax, tips, gift cards sold.
with receipts as (
    select
        sale.sale_id,
        sale.source,
        sale.store_id,
        sale.business_date,
        sale.event,
        sale.raw_id,
        sale.net_amount,
        coalesce(sale.tax_amount, 0) as tax_amount,
        coalesce(sale.tip_amount, 0) as tip_amount,
        coalesce(sale.gift_card_amount, 0) as gift_card_amount
    from core.sales as sale
    where
        sale.business_date between %(first_day)s and %(last_day)s
        and sale.source = any(%(ours)s)
        and sale.currency_code = %(currency)s
        and sale.net_amount is not null
),

-- The same payment told twice: one reference and one amount, under two numbers.
told as (
    select
        payment.sale_id,
        payment.amount,
        payment.raw_id,
        payment.source_payment_id is not null
        and row_number() over (
            partition by payment.sale_id, payment.source_payment_id, payment.amount order by payment.payment_number
        ) > 1 as is_repeat
    from receipts
    inner join core.payments as payment on receipts.sale_id = payment.sale_id
),

paid as (
    select
        sale_id,
        sum(amount) filter (where not is_repeat) as amount,
        coalesce(sum(amount) filter (where is_repeat), 0) as repeat_amount,
        array_agg(raw_id order by raw_id) as raw_ids
    from told
    group by sale_id
),

-- A source of which no payment was ever told tells none; of the others a receipt without one lacks it.
telling as (
    select named.source
    from unnest(%(ours)s::text[]) as named (source)
    where
        exists (
            select from core.sales as sale
            inner join core.payments as payment on sale.sale_id = payment.sale_id
            where sale.source = named.source
        )
),

compared as (
    select
        receipts.*,
        paid.repeat_amount,
        paid.raw_ids as paid_raw_ids,
        paid.sale_id is not null as is_paid,
        telling.source is not null as is_told,
        paid.amount - receipts.net_amount - receipts.tax_amount - receipts.tip_amount - receipts.gift_card_amount
            as left_amount
    from receipts
    left join paid on receipts.sale_id = paid.sale_id
    left join telling on receipts.source = telling.source
),

-- A tip or tax that is exactly what lacks was not paid this way: neither is a finding.
judged as (
    select
        compared.*,
        case when compared.left_amount = -compared.tip_amount then 0 else compared.tip_amount end as paid_tip_amount,
        case
            when
                compared.left_amount = -compared.tax_amount and compared.left_amount <> -compared.tip_amount
                then 0
            else compared.tax_amount
        end
            as paid_tax_amount
    from compared
)

select
    finding.class,
    finding.reason,
    judged.business_date,
    judged.store_id,
    null::uuid as product_id,
    judged.sale_id::text as record,
    finding.amount,
    array[judged.raw_id] as our_raw_ids,
    coalesce(judged.paid_raw_ids, '{}') as their_raw_ids
from judged
cross join
    lateral (
        values
        (
            'definition',
            'cancelled receipts take no payment',
            case when not judged.is_paid and judged.event in ('void', 'voided') then -judged.net_amount end
        ),
        (
            'scope',
            'the source tells of no payments',
            case
                when
                    not judged.is_paid and judged.event not in ('void', 'voided') and not judged.is_told
                    then -judged.net_amount
            end
        ),
        (
            'missing',
            'receipt without a payment',
            case
                when
                    not judged.is_paid and judged.event not in ('void', 'voided') and judged.is_told
                    then -judged.net_amount
            end
        ),
        ('definition', 'tax is in payments, not in revenue', case when judged.is_paid then judged.paid_tax_amount end),
        (
            'definition',
            'tips are in payments, not in revenue',
            case when judged.is_paid then judged.paid_tip_amount end
        ),
        (
            'definition',
            'gift cards sold are in payments, not in revenue',
            case when judged.is_paid then judged.gift_card_amount end
        ),
        ('duplicate', 'the same payment told twice', case when judged.is_paid then judged.repeat_amount end),
        (
            'error',
            'the payment of the receipt has another amount',
            case
                when judged.is_paid
                    then
                        judged.left_amount
                        + judged.tip_amount
                        + judged.tax_amount
                        - judged.paid_tip_amount
                        - judged.paid_tax_amount
            end
        )
    ) as finding (class, reason, amount)
where finding.amount <> 0
