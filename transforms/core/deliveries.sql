-- One row per line of a supplier's delivery, from the latest document that tells of the delivery, also when an earlier
-- document's load comes late. Reads stage_deliveries, core.deliveries.
select
    core.key(%(source)s, 'delivery', line.delivery) as delivery_id,
    (row_number() over (partition by line.delivery order by line.raw_id, line.stage_id))::integer as line_number,
    %(source)s as source,
    line.delivery as source_delivery_id,
    core.key(%(source)s, 'supplier', line.supplier) as supplier_id,
    line.store_id,
    core.key(%(catalogue)s, line.product_key) as product_id,
    line.delivered_at,
    line.quantity,
    line.unit_cost,
    line.expires_on,
    line.raw_id,
    line.load_id,
    line.delivered_at as valid_from
from stage_deliveries as line
inner join (
    select delivery, max(document_id) as document_id
    from stage_deliveries
    group by delivery
) as latest on line.delivery = latest.delivery and line.document_id = latest.document_id
left join (
    select delivery_id, max(raw_id) as raw_id
    from core.deliveries
    where delivery_id in (select core.key(%(source)s, 'delivery', staged.delivery) from stage_deliveries as staged)
    group by delivery_id
) as known on core.key(%(source)s, 'delivery', line.delivery) = known.delivery_id
where core.may_replace(null, line.document_id, null, known.raw_id / %(raw_ids_per_document)s)
