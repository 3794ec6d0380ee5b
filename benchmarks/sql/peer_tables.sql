-- The tables of the peers, in schema peer: those of core and marts with their keys, checks and indexes, without lineage
-- and history. `items` is the export as text, one column per column of the file.
create schema peer;

create table peer.stores (like core.stores including all);
create table peer.products (like core.products including all);
create table peer.customers (like core.customers including all);
create table peer.sales (like core.sales including all);
create table peer.sale_lines (like core.sale_lines including all);
create table peer.payments (like core.payments including all);
create table peer.daily_store_sales (like marts.daily_store_sales including all);
create table peer.monthly_store_sales (like marts.monthly_store_sales including all);
create table peer.daily_product_sales (like marts.daily_product_sales including all);
create table peer.customer_activity (like marts.customer_activity including all);

do $$
declare
    place record;
begin
    for place in
        select table_name, string_agg(format('drop %I', column_name), ', ') as drops
        from information_schema.columns
        where table_schema = 'peer'
        and column_name in (
            'raw_id', 'load_id', 'document_id', 'valid_from', 'known_from', 'change_cause', 'rule_version'
        )
        group by table_name
    loop
        execute format('alter table peer.%I %s', place.table_name, place.drops);
    end loop;
end
$$;

alter table peer.sales
add foreign key (store_id) references peer.stores,
add foreign key (customer_id) references peer.customers,
add foreign key (reverses_sale_id) references peer.sales;
alter table peer.sale_lines
add foreign key (sale_id) references peer.sales,
add foreign key (product_id) references peer.products;
alter table peer.payments add foreign key (sale_id) references peer.sales;
