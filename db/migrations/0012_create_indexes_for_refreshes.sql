-- What a refresh looks up must not be searched for in the whole history: each index names the query it is for.
-- Before, a refresh of 1,000 lines read all receipts twice and a mart once, and cost more with every year.

-- transforms/core/sale_reversals.sql: refunds and voids of a source whose sale is not known yet. Few at any time.
create index sales_open_reversals_idx on core.sales (source)
where event in ('refund', 'void') and reverses_sale_id is null;
-- transforms/core/withdrawn_voids.sql: voids of the receipts that came again.
create index sales_voids_idx on core.sales (source, reverses_receipt_number) where event = 'void';
-- transforms/published.py, publish_figures: what the cells of the affected days said last. Its key begins with the metric.
create index published_figures_business_date_idx on marts.published_figures (business_date, store_id, source);

-- transforms/merge.py, _name_returns: was a row deleted before? Mostly none ever was, and the index is empty.
do $$
declare
    versions record;
begin
    for versions in
        select class.relname from pg_class as class
        where class.relnamespace = 'core_history'::regnamespace and class.relkind = 'r'
        and class.relname like '%\_versions'
    loop
        execute format(
            'create index %I on core_history.%I ((true)) where closed_cause = ''delete''',
            versions.relname || '_deleted_idx', versions.relname
        );
    end loop;
end
$$;
