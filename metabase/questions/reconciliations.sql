-- One row per comparison of two systems and class of difference, the newest period compared of each.
-- Reads marts.reconciliation.
with newest as (
    select
        metric,
        comparison,
        catalogue,
        currency_code,
        max(last_day) as last_day
    from marts.reconciliation
    group by metric, comparison, catalogue, currency_code
)

select
    case
        when compared.class = 'residual' and compared.gross_amount <> 0 then 'unexplained'
        when compared.class = 'residual' then 'explained'
        else 'proven'
    end as proof_state,
    compared.metric,
    replace(compared.comparison, '_', ' ') as comparison,
    compared.class,
    compared.amount,
    compared.record_count,
    compared.our_amount,
    compared.their_amount,
    compared.currency_code,
    compared.first_day,
    compared.last_day,
    compared.reconciled_at,
    compared.catalogue
from newest
inner join marts.reconciliation as compared
    on
        newest.metric = compared.metric
        and newest.comparison = compared.comparison
        and newest.catalogue = compared.catalogue
        and newest.currency_code = compared.currency_code
        and newest.last_day = compared.last_day
order by
    compared.metric,
    compared.comparison,
    compared.catalogue,
    compared.currency_code,
    compared.first_day,
    case when compared.class = 'residual' then 2 else 1 end,
    compared.class
