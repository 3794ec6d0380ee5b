-- What each table and column means, in plain words: the database, Metabase and docs/data_dictionary.md show the same.
-- Amounts are in the row's currency_code; moments are UTC; a load_id or raw_id names where a row came from.

-- ops: what was loaded, when, by whom, and what went wrong.

comment on table ops.applied_migrations is 'One row per file of db/migrations that was applied to this database.';
comment on column ops.applied_migrations.name is 'Name of the file.';
comment on column ops.applied_migrations.sha256 is 'Checksum of the file when it was applied, hexadecimal; an edited file is refused.';
comment on column ops.applied_migrations.applied_at is 'When it was applied.';

comment on table ops.source_settings is 'One row per source: what the loading functions need to know of it, written from its contract.';
comment on column ops.source_settings.source is 'Name of the source, one word everywhere.';
comment on column ops.source_settings.system is 'System it belongs to (pos, crm, inventory), which names the raw schema.';
comment on column ops.source_settings.settings is 'Kind (files, api, retired), webhook, and addresses, pages and limits of the API or the inbox.';
comment on column ops.source_settings.updated_at is 'When the settings last changed.';

comment on table ops.watermarks is 'One row per API endpoint: up to which change time its records are here.';
comment on column ops.watermarks.source is 'Name of the source.';
comment on column ops.watermarks.entity is 'Name of the endpoint.';
comment on column ops.watermarks.watermark is 'Latest change time received by a whole pull, never after its start; the next pull asks from a little before.';
comment on column ops.watermarks.moved_at is 'When the watermark last moved.';

comment on table ops.loads is 'One row per load: a file, or one pull of one API endpoint. A load is taken as a whole or not at all.';
comment on column ops.loads.load_id is 'Our number of the load; every row brought by it carries it.';
comment on column ops.loads.source is 'Name of the source.';
comment on column ops.loads.entity is 'API loads: raw table of the records. Null for files, whose header tells it.';
comment on column ops.loads.run_key is 'Key of the run that brought it; one run may bring several loads.';
comment on column ops.loads.workflow is 'Name of the n8n workflow.';
comment on column ops.loads.execution_id is 'Number of the execution in n8n.';
comment on column ops.loads.file_name is 'Name of the file; null for API loads.';
comment on column ops.loads.sha256 is 'Checksum of the file; the same bytes are loaded once. Null for API loads.';
comment on column ops.loads.window_from is 'API loads: start of the asked window of change times; null asks for everything.';
comment on column ops.loads.document_count is 'Documents received: 1 for a file, else the pages.';
comment on column ops.loads.byte_count is 'Size of the documents, bytes.';
comment on column ops.loads.record_count is 'Records found in the documents; null until the worker took the load.';
comment on column ops.loads.row_count is 'Typed rows made of the records (a record may hold several lines); null until taken.';
comment on column ops.loads.reject_count is 'Records refused with a reason when the load was taken; null until then.';
comment on column ops.loads.profile is 'Rows and net amount by origin (received, rebuilt, unknown) before any was refused, and unknown columns; null until taken.';
comment on column ops.loads.status is 'open (arriving), received (whole, waits for the worker), loaded, refused (can''t be read), duplicate, failed (did not arrive).';
comment on column ops.loads.reason is 'Why it was refused, failed or is a duplicate, in a sentence; null otherwise.';
comment on column ops.loads.started_at is 'When it began to arrive.';
comment on column ops.loads.received_at is 'When it was here as a whole; null before, and for loads that never were.';
comment on column ops.loads.finished_at is 'When it got its last status; null while open or received.';
comment on column ops.loads.newest_record_at is 'Latest moment a record of it speaks of (sale, change, count, movement); null where none does.';

comment on table ops.inbox_files is 'One row per file seen in the inbox; a file that changed or came again has a new row.';
comment on column ops.inbox_files.file_id is 'Our number of the file.';
comment on column ops.inbox_files.source is 'Name of the source, from the folder the file lay in.';
comment on column ops.inbox_files.name is 'Name of the file.';
comment on column ops.inbox_files.byte_count is 'Size, bytes.';
comment on column ops.inbox_files.modified_at is 'When the file was last written to, by its file system.';
comment on column ops.inbox_files.sha256 is 'Checksum when it was registered; what arrives must have the same.';
comment on column ops.inbox_files.found_at is 'When it was first seen.';
comment on column ops.inbox_files.load_id is 'Load that took it, or that failed on it; null while it waits.';
comment on column ops.inbox_files.state is 'waiting, taken (delivered), or gone (removed, replaced or failed; what still lies there is registered anew).';

comment on table ops.load_requests is 'One row per request a pull sent to an API, each try of each page.';
comment on column ops.load_requests.request_id is 'Our number of the request.';
comment on column ops.load_requests.load_id is 'Load it belongs to.';
comment on column ops.load_requests.page is 'Page asked for, from 1.';
comment on column ops.load_requests.attempt is 'Which try of the page, from 1.';
comment on column ops.load_requests.method is 'GET or POST.';
comment on column ops.load_requests.url is 'Address asked; holds no token.';
comment on column ops.load_requests.body is 'What was sent with a POST; null for GET.';
comment on column ops.load_requests.sent_at is 'When n8n was told to send it.';
comment on column ops.load_requests.answered_at is 'When the answer was handed in; null: none was.';
comment on column ops.load_requests.http_status is 'HTTP status of the answer; null where the source gave none.';
comment on column ops.load_requests.verdict is 'ok (kept), retry, failed (the load ended), stale (the load had ended); null while unanswered.';
comment on column ops.load_requests.cursor_sent is 'Cursor asked with; null on first pages and where pages are numbered.';
comment on column ops.load_requests.cursor_received is 'Cursor of the next page; null on the last page and where pages are numbered.';
comment on column ops.load_requests.document_id is 'Document the answer became; null unless the verdict is ok.';
comment on column ops.load_requests.wait_seconds is 'Seconds to wait before the next request; null while unanswered.';
comment on column ops.load_requests.records_hash is 'Checksum of the page''s records, by which a repeated page is noticed; null for empty or refused pages.';
comment on column ops.load_requests.fault is 'What was wrong with the answer; null where nothing was.';

comment on table ops.requested_windows is 'One row per backfill: a pull of a window somebody asked for, which moves no watermark.';
comment on column ops.requested_windows.run_key is 'Key of the run that pulls it.';
comment on column ops.requested_windows.source is 'Name of the source.';
comment on column ops.requested_windows.window_from is 'First change time asked for.';
comment on column ops.requested_windows.window_to is 'End of the window, not included.';
comment on column ops.requested_windows.requested_at is 'When it was asked for.';

comment on table ops.workflow_errors is 'One row per failed run of an n8n workflow, written by the workflow report_failure.';
comment on column ops.workflow_errors.error_id is 'Our number of the error.';
comment on column ops.workflow_errors.workflow is 'Name of the workflow; null where n8n did not say.';
comment on column ops.workflow_errors.execution_id is 'Number of the execution in n8n; null where it never started.';
comment on column ops.workflow_errors.node is 'Step it failed at; null where n8n did not say.';
comment on column ops.workflow_errors.message is 'What n8n said.';
comment on column ops.workflow_errors.details is 'Everything n8n handed over; null when above 100,000 characters.';
comment on column ops.workflow_errors.happened_at is 'When it was reported.';

comment on table ops.runs is 'One row per batch the worker took: loads of one source in one transaction, written when it was done.';
comment on column ops.runs.run_id is 'Our number of the run.';
comment on column ops.runs.step is 'What was done; load: received loads into the model.';
comment on column ops.runs.load_ids is 'Loads of the batch, the refused ones included.';
comment on column ops.runs.row_count is 'Typed rows made.';
comment on column ops.runs.reject_count is 'Records refused.';
comment on column ops.runs.status is 'running, done or failed; a batch is written as done, and one that failed leaves no row.';
comment on column ops.runs.error is 'Why it failed; null otherwise.';
comment on column ops.runs.started_at is 'When it started.';
comment on column ops.runs.finished_at is 'When it ended.';

comment on table ops.rejects is 'One row per record that could not be read by its contract, with the first reason. Nothing is deleted here.';
comment on column ops.rejects.reject_id is 'Our number of the reject.';
comment on column ops.rejects.raw_id is 'Raw record it is about.';
comment on column ops.rejects.load_id is 'Load that brought the record.';
comment on column ops.rejects.source is 'Name of the source.';
comment on column ops.rejects.entity is 'Raw table of the record.';
comment on column ops.rejects.reason is 'Why it was refused, in a sentence.';
comment on column ops.rejects.column_name is 'Received column at fault, or ours where several are; null where no single one is.';
comment on column ops.rejects.received_value is 'Text received in that column; null where none was or none is to blame.';
comment on column ops.rejects.payload is 'The whole record as received.';
comment on column ops.rejects.rejected_at is 'When it was first refused.';
comment on column ops.rejects.resolved_at is 'When its load was taken again and the record passed; null while it is still refused.';

-- raw: what was received. The columns of all documents tables are the same, and those of all tables of records.

comment on table raw_pos.documents is 'One row per file or API page received from the points of sale, byte for byte.';
comment on table raw_crm.documents is 'One row per API page received from the CRM, byte for byte.';
comment on table raw_inventory.documents is 'One row per API page received from the inventory system, byte for byte.';
comment on table raw_pos.sale_lines is 'One row per line of a POS export, in each file that holds it.';
comment on table raw_pos.orders is 'One row per order of the POS API, each time it was received.';
comment on table raw_pos.customers is 'One row per line of a POS customer list, in each file that holds it.';
comment on table raw_pos.products is 'One row per line of a POS product list, in each file that holds it.';
comment on table raw_pos.stores is 'One row per line of a POS store list, in each file that holds it.';
comment on table raw_pos.employees is 'One row per line of a POS staff list, in each file that holds it.';
comment on table raw_pos.stock_days is 'One row per line of a daily count (made, sold, wasted) of a product in a store, in each file that holds it.';
comment on table raw_crm.contacts is 'One row per contact of the CRM, each time it was received.';
comment on table raw_inventory.items is 'One row per item of the inventory system, each time it was received.';
comment on table raw_inventory.levels is 'One row per item and place with its stock, each time it was received.';
comment on table raw_inventory.movements is 'One row per movement of stock, each time it was received.';
comment on table raw_inventory.deliveries is 'One row per supplier delivery with all its lines, each time it was received.';

do $$
declare
    v_schema text;
    v_table text;
    v_column text;
    v_meaning text;
begin
    for v_schema, v_table in
        select schemaname, tablename from pg_tables
        where schemaname in ('raw_pos', 'raw_crm', 'raw_inventory')
    loop
        for v_column, v_meaning in
            select meaning.column_name, meaning.words
            from (values
                (true, 'document_id', 'Our number of the document, unique over all systems.'),
                (true, 'load_id', 'Load that brought it.'),
                (true, 'entity', 'API pages: raw table of the records. Null for files, whose header tells it.'),
                (true, 'name', 'Name of the file, or request and page.'),
                (true, 'media_type', 'API pages: application/json or application/xml. Null for files.'),
                (true, 'content', 'The bytes as received; null for large files, which lie in the archive.'),
                (true, 'stored_path', 'Large files: where the bytes lie, from the home folder. Null for the others.'),
                (true, 'byte_count', 'Size, bytes.'),
                (true, 'sha256', 'Checksum of the bytes.'),
                (true, 'received_at', 'When it was received.'),
                (false, 'raw_id', 'document_id x 100,000,000 + position: names the document and the place in it.'),
                (false, 'document_id', 'Document it stands in.'),
                (false, 'load_id', 'Load that brought it.'),
                (false, 'position', 'Place in the document, from 1; the header of a file is not counted.'),
                (false, 'source_record_id', 'What the source calls the record, parts joined by /; null where it has no name.'),
                (false, 'payload', 'The record as received: values are texts (API: as in the answer), by received name.'),
                (false, 'payload_hash', 'Checksum (sha256) of the payload''s text.')
            ) as meaning (is_of_document, column_name, words)
            where meaning.is_of_document = (v_table = 'documents')
        loop
            execute format('comment on column %I.%I.%I is %L', v_schema, v_table, v_column, v_meaning);
        end loop;
    end loop;
end
$$;

-- core: the business as it is now.

comment on table core.stores is 'One row per place that sells or keeps stock.';
comment on column core.stores.store_id is 'Our name of the store: as the contract says, else source:received name.';
comment on column core.stores.store_name is 'Name as people say it.';
comment on column core.stores.kind is 'shop, delivery, warehouse, or unknown (only mentioned, nowhere described).';
comment on column core.stores.time_zone is 'IANA time zone of its clock.';
comment on column core.stores.closing_time is 'Clock time up to which sales belong to the day before; 00:00 is midnight.';
comment on column core.stores.city is 'City; null where no list told it.';
comment on column core.stores.source is 'Source that named the store first.';
comment on column core.stores.raw_id is 'Record of a store list that describes it; null where none does.';
comment on column core.stores.load_id is 'Load of that record; null where there is none.';

comment on table core.suppliers is 'One row per supplier named by an item or a delivery.';
comment on column core.suppliers.supplier_id is 'Our id of the supplier, from source and source_supplier_id.';
comment on column core.suppliers.supplier_name is 'Latest spelling of the name; the source''s id where no name came.';
comment on column core.suppliers.source is 'Source that knows the supplier.';
comment on column core.suppliers.source_supplier_id is 'What that source calls the supplier.';
comment on column core.suppliers.raw_id is 'Record that names the supplier.';
comment on column core.suppliers.load_id is 'Load of that record.';

comment on table core.products is 'One row per product or ingredient of a catalogue.';
comment on column core.products.product_id is 'Our id of the product, from catalogue and product_key.';
comment on column core.products.catalogue is 'Catalogue; sources of one catalogue mean the same product by the same key.';
comment on column core.products.product_key is 'Key in the catalogue: article number, or folded name where there is none.';
comment on column core.products.product_name is 'Name from a product list, else from the newest sale.';
comment on column core.products.category is 'Category; null where no source told it.';
comment on column core.products.kind is 'sold or ingredient.';
comment on column core.products.unit is 'Unit that quantities of it are in; null where not told.';
comment on column core.products.list_price is 'Price of one unit by the product list; null where no list has it.';
comment on column core.products.currency_code is 'Currency of list_price, ISO 4217.';
comment on column core.products.is_master is 'Whether a product list describes it; if not, it is known by sales or stock only.';
comment on column core.products.named_at is 'Newest sale that named it; null where it was never sold.';
comment on column core.products.source is 'Source that named it first.';
comment on column core.products.raw_id is 'Record that describes or mentions it.';
comment on column core.products.load_id is 'Load of that record.';

comment on table core.customers is 'One row per customer, as one source knows the person.';
comment on column core.customers.customer_id is 'Our id of the customer.';
comment on column core.customers.full_name is 'Whole name; null where not told.';
comment on column core.customers.email is 'E-mail address in lower case; null where not told.';
comment on column core.customers.phone is 'Phone number as received; null where not told.';
comment on column core.customers.postal_code is 'Postal code; null where not told.';
comment on column core.customers.loyalty_card is 'Number of the loyalty card; null where not told.';
comment on column core.customers.customer_since is 'Day the source took the customer in; null where not told.';
comment on column core.customers.is_deleted is 'Whether the source has archived or deleted the customer.';
comment on column core.customers.source is 'Source that knows the customer.';
comment on column core.customers.raw_id is 'Record that describes or mentions the customer.';
comment on column core.customers.load_id is 'Load of that record.';

comment on table core.customer_sources is 'One row per customer of a source: which of our customers it is.';
comment on column core.customer_sources.source is 'Name of the source.';
comment on column core.customer_sources.source_customer_id is 'What the source calls the customer.';
comment on column core.customer_sources.customer_id is 'Our customer.';
comment on column core.customer_sources.matching_rule is 'Rule that says so; "own record": the customer was made from this very record.';
comment on column core.customer_sources.matching_score is 'How sure the rule is, from 0 to 1.';
comment on column core.customer_sources.raw_id is 'First record that names the customer.';
comment on column core.customer_sources.load_id is 'Load of that record.';

comment on table core.employees is 'One row per employee named by a staff list or a receipt.';
comment on column core.employees.employee_id is 'Our id of the employee, from source and source_employee_id.';
comment on column core.employees.full_name is 'Whole name; null where not told.';
comment on column core.employees.job_title is 'Job; null where not told.';
comment on column core.employees.started_on is 'First day at work; null where not told.';
comment on column core.employees.source is 'Source that knows the employee.';
comment on column core.employees.source_employee_id is 'What that source calls the employee.';
comment on column core.employees.raw_id is 'Record that describes or mentions the employee.';
comment on column core.employees.load_id is 'Load of that record.';

comment on table core.sales is 'One row per receipt, refunds and voids included as rows of their own.';
comment on column core.sales.sale_id is 'Our id of the receipt, from source and receipt_number.';
comment on column core.sales.source is 'Source that sent the receipt.';
comment on column core.sales.receipt_number is 'Number of the receipt at the source; the reversal of a void ends with #void.';
comment on column core.sales.event is 'sale, refund, voided (a sale called off), or void (what takes the voided sale back).';
comment on column core.sales.store_id is 'Store that sold.';
comment on column core.sales.customer_id is 'Customer; null where the receipt names none.';
comment on column core.sales.employee_id is 'Employee who sold; null where the receipt names none.';
comment on column core.sales.channel is 'Way of selling: store, takeaway, delivery, or the source''s own word.';
comment on column core.sales.sold_at is 'Moment of the sale; the start of the business day where only a day was received.';
comment on column core.sales.business_date is 'Day it counts for, by the clock and closing time of the source.';
comment on column core.sales.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column core.sales.line_count is 'Lines of the receipt.';
comment on column core.sales.gross_amount is 'Before discounts; negative on refunds and voids; null where a line''s amount is unknown.';
comment on column core.sales.discount_amount is 'Taken off the gross amount, positive on sales; null where a line''s amount is unknown.';
comment on column core.sales.net_amount is 'Gross less discount, tax excluded where the source tells it apart; negative on refunds and voids; null: a line is unknown.';
comment on column core.sales.tax_amount is 'Tax beside the net amount; null where the source tells none.';
comment on column core.sales.tip_amount is 'Tip beside the net amount; null where the source tells none.';
comment on column core.sales.payment_reference is 'What the source calls the payment; a refund may share its sale''s. Null where not told.';
comment on column core.sales.reverses_receipt_number is 'Refunds and voids: the receipt they name; null where they name none.';
comment on column core.sales.reverses_sale_id is 'Refunds and voids: the sale they take back; null where it is not known yet.';
comment on column core.sales.source_updated_at is 'When the source last changed the receipt; null where it does not say.';
comment on column core.sales.document_id is 'Document whose version of the receipt counts.';
comment on column core.sales.raw_id is 'First raw record of the receipt.';
comment on column core.sales.load_id is 'Load of that record.';

comment on table core.sale_lines is 'One row per line of a receipt; two equal lines are two things sold.';
comment on column core.sale_lines.sale_id is 'Receipt of the line.';
comment on column core.sale_lines.line_number is 'Place in the receipt, from 1, in the order received.';
comment on column core.sale_lines.business_date is 'Day the line counts for.';
comment on column core.sale_lines.product_id is 'Product; null where the line names none.';
comment on column core.sale_lines.product_name is 'Name of the product as it stood on the receipt.';
comment on column core.sale_lines.variation is 'Size or kind chosen; null where none was told.';
comment on column core.sale_lines.modifiers is 'Wishes and extras as received; null where there were none.';
comment on column core.sale_lines.quantity is 'How many; negative on refunds and voids; null where unknown.';
comment on column core.sale_lines.unit_price is 'Price of one as received; null where not told.';
comment on column core.sale_lines.gross_amount is 'Before discounts; null where unknown.';
comment on column core.sale_lines.discount_amount is 'Taken off the gross amount, positive on sales; null where unknown.';
comment on column core.sale_lines.net_amount is 'Gross less discount, tax excluded where the source tells it apart; null where unknown.';
comment on column core.sale_lines.tax_amount is 'Tax beside the net amount; null where the source tells none.';
comment on column core.sale_lines.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column core.sale_lines.amount_origin is 'Where net_amount is from: received, rebuilt (quantity x unit price), or unknown.';
comment on column core.sale_lines.note is 'Note as received; null where there was none.';
comment on column core.sale_lines.raw_id is 'Raw record of the line.';
comment on column core.sale_lines.load_id is 'Load of that record.';

comment on table core.payments is 'One row per receipt whose payment the source tells of.';
comment on column core.payments.sale_id is 'Receipt that was paid.';
comment on column core.payments.payment_number is 'Place among the receipt''s payments; 1 as long as sources tell of one.';
comment on column core.payments.method is 'card, cash, wallet, or the source''s own word; null where not told.';
comment on column core.payments.card_brand is 'Brand of the card; null where not told.';
comment on column core.payments.card_last_digits is 'Last digits of the card; null where not told.';
comment on column core.payments.amount is 'Net amount, tax and tip of the receipt; null where a line''s amount is unknown.';
comment on column core.payments.currency_code is 'Currency of the amount, ISO 4217.';
comment on column core.payments.source_payment_id is 'What the source calls the payment; null where not told.';
comment on column core.payments.raw_id is 'First raw record of the receipt.';
comment on column core.payments.load_id is 'Load of that record.';

comment on table core.inventory is 'One row per item the inventory system lists; one to one with its product.';
comment on column core.inventory.product_id is 'Product the item is.';
comment on column core.inventory.sku is 'Article number in the inventory system.';
comment on column core.inventory.unit is 'Unit that quantities are in; null where not told.';
comment on column core.inventory.unit_cost is 'Cost of one unit in the source''s currency; null where not told.';
comment on column core.inventory.reorder_level is 'Stock below which to order, over all stores; null where none is set.';
comment on column core.inventory.supplier_id is 'Usual supplier; null where not told.';
comment on column core.inventory.is_active is 'Whether the item is in use; true where the source does not say.';
comment on column core.inventory.source_updated_at is 'When the source last changed the item; null where it does not say.';
comment on column core.inventory.source is 'Source that lists the item.';
comment on column core.inventory.raw_id is 'Record that describes the item.';
comment on column core.inventory.load_id is 'Load of that record.';

comment on table core.stock_levels is 'One row per product and store: what was there when last counted.';
comment on column core.stock_levels.product_id is 'Product counted.';
comment on column core.stock_levels.store_id is 'Store it lies in.';
comment on column core.stock_levels.on_hand_quantity is 'What was there, in the product''s unit; may be negative where more was booked out than in.';
comment on column core.stock_levels.reorder_level is 'Stock below which this store orders; null: that of core.inventory counts.';
comment on column core.stock_levels.counted_at is 'When it was counted; null where the source does not say.';
comment on column core.stock_levels.source is 'Source that counted.';
comment on column core.stock_levels.raw_id is 'Record of the count.';
comment on column core.stock_levels.load_id is 'Load of that record.';

comment on table core.stock_movements is 'One row per movement of stock, in its latest version.';
comment on column core.stock_movements.movement_id is 'Our id of the movement, from source and source_movement_id.';
comment on column core.stock_movements.source is 'Source that tells of it.';
comment on column core.stock_movements.source_movement_id is 'What that source calls the movement.';
comment on column core.stock_movements.product_id is 'Product that moved.';
comment on column core.stock_movements.store_id is 'Store whose stock changed.';
comment on column core.stock_movements.kind is 'opening, delivery, production, sale, use, waste, count, transfer or return.';
comment on column core.stock_movements.quantity is 'Change of the stock in the product''s unit; negative for what left.';
comment on column core.stock_movements.unit_cost is 'Cost of one unit in the source''s currency; null where not told.';
comment on column core.stock_movements.moved_at is 'Moment of the movement; the start of the business day where only a day was received.';
comment on column core.stock_movements.business_date is 'Day it counts for.';
comment on column core.stock_movements.source_updated_at is 'When the source last changed the movement; null where it does not say.';
comment on column core.stock_movements.raw_id is 'Record of the movement.';
comment on column core.stock_movements.load_id is 'Load of that record.';

comment on table core.deliveries is 'One row per line of a supplier''s delivery, from the latest document that tells of it.';
comment on column core.deliveries.delivery_id is 'Our id of the delivery, from source and source_delivery_id.';
comment on column core.deliveries.line_number is 'Place in the delivery, from 1, in the order received.';
comment on column core.deliveries.source is 'Source that tells of it.';
comment on column core.deliveries.source_delivery_id is 'What that source calls the delivery.';
comment on column core.deliveries.supplier_id is 'Supplier who delivered.';
comment on column core.deliveries.store_id is 'Store it was delivered to.';
comment on column core.deliveries.product_id is 'Product delivered.';
comment on column core.deliveries.delivered_at is 'Moment of the delivery.';
comment on column core.deliveries.quantity is 'What came, in the product''s unit.';
comment on column core.deliveries.unit_cost is 'Cost of one unit in the source''s currency; null where not told.';
comment on column core.deliveries.expires_on is 'Last day of use; null where not told.';
comment on column core.deliveries.raw_id is 'Record of the delivery.';
comment on column core.deliveries.load_id is 'Load of that record.';

-- marts: what readers see.

comment on column marts.daily_store_sales.business_date is 'Day the sales count for.';
comment on column marts.daily_store_sales.store_id is 'Store.';
comment on column marts.daily_store_sales.store_name is 'Name of the store.';
comment on column marts.daily_store_sales.source is 'Source the receipts came from.';
comment on column marts.daily_store_sales.channel is 'Way of selling: store, takeaway, delivery, the source''s own word, or unknown.';
comment on column marts.daily_store_sales.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column marts.daily_store_sales.ticket_count is 'Receipts of sales; refunds, voids and voided sales are not counted.';
comment on column marts.daily_store_sales.refund_count is 'Receipts of refunds.';
comment on column marts.daily_store_sales.customer_count is 'Different known customers; receipts without a customer are not counted.';
comment on column marts.daily_store_sales.item_quantity is 'Things sold less things returned or voided; null where no quantity is known.';
comment on column marts.daily_store_sales.gross_amount is 'Sales before discounts and refunds; null where no amount is known.';
comment on column marts.daily_store_sales.discount_amount is 'Discounts on sales, positive; null where no amount is known.';
comment on column marts.daily_store_sales.refund_amount is 'Net amount of refunds, positive; 0 where there was none.';
comment on column marts.daily_store_sales.net_amount is 'Revenue: net of discounts, refunds and voids, tax excluded where told apart; null where no amount is known.';
comment on column marts.daily_store_sales.tax_amount is 'Tax beside the net amount, refunds taken off; null where the source tells none.';
comment on column marts.daily_store_sales.unknown_amount_line_count is 'Lines whose amount is unknown; their receipts are missing from the amounts.';

comment on column marts.monthly_store_sales.month is 'First day of the month.';
comment on column marts.monthly_store_sales.store_id is 'Store.';
comment on column marts.monthly_store_sales.store_name is 'Name of the store.';
comment on column marts.monthly_store_sales.source is 'Source the receipts came from.';
comment on column marts.monthly_store_sales.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column marts.monthly_store_sales.ticket_count is 'Receipts of sales; refunds, voids and voided sales are not counted.';
comment on column marts.monthly_store_sales.refund_count is 'Receipts of refunds.';
comment on column marts.monthly_store_sales.customer_count is 'Different known customers of the month; not the sum of its days.';
comment on column marts.monthly_store_sales.item_quantity is 'Things sold less things returned or voided; null where no quantity is known.';
comment on column marts.monthly_store_sales.gross_amount is 'Sales before discounts and refunds; null where no amount is known.';
comment on column marts.monthly_store_sales.discount_amount is 'Discounts on sales, positive; null where no amount is known.';
comment on column marts.monthly_store_sales.refund_amount is 'Net amount of refunds, positive; 0 where there was none.';
comment on column marts.monthly_store_sales.net_amount is 'Revenue: net of discounts, refunds and voids, tax excluded where told apart; null where no amount is known.';
comment on column marts.monthly_store_sales.tax_amount is 'Tax beside the net amount, refunds taken off; null where the source tells none.';

comment on column marts.daily_product_sales.business_date is 'Day the sales count for.';
comment on column marts.daily_product_sales.store_id is 'Store.';
comment on column marts.daily_product_sales.source is 'Source the receipts came from.';
comment on column marts.daily_product_sales.product_id is 'Product; lines that name none are not here.';
comment on column marts.daily_product_sales.product_name is 'Name of the product when the day was last worked out.';
comment on column marts.daily_product_sales.category is 'Category of the product; null where no source told it.';
comment on column marts.daily_product_sales.currency_code is 'Currency of net_amount, ISO 4217.';
comment on column marts.daily_product_sales.quantity is 'Sold less returned or voided; null where no quantity is known.';
comment on column marts.daily_product_sales.net_amount is 'Revenue: net of discounts, refunds and voids; null where no amount is known.';
comment on column marts.daily_product_sales.ticket_count is 'Receipts of sales with the product.';

comment on column marts.customer_activity.month is 'First day of the month.';
comment on column marts.customer_activity.customer_id is 'Customer.';
comment on column marts.customer_activity.source is 'Source the receipts came from.';
comment on column marts.customer_activity.currency_code is 'Currency of net_amount, ISO 4217.';
comment on column marts.customer_activity.ticket_count is 'Receipts of sales in the month.';
comment on column marts.customer_activity.net_amount is 'Net amount of these sales; refunds are not taken off; null where no amount is known.';
comment on column marts.customer_activity.first_purchase_on is 'Day of the first purchase ever at this source.';
comment on column marts.customer_activity.last_purchase_on is 'Day of the last purchase in the month.';
comment on column marts.customer_activity.is_new is 'Whether the first purchase ever was in this month.';

comment on column marts.inventory_status.product_id is 'Product.';
comment on column marts.inventory_status.store_id is 'Store.';
comment on column marts.inventory_status.sku is 'Article number.';
comment on column marts.inventory_status.product_name is 'Name of the product.';
comment on column marts.inventory_status.category is 'Category; null where no source told it.';
comment on column marts.inventory_status.kind is 'sold or ingredient.';
comment on column marts.inventory_status.store_name is 'Name of the store.';
comment on column marts.inventory_status.unit is 'Unit of the quantities; null where not told.';
comment on column marts.inventory_status.on_hand_quantity is 'What was there when last counted.';
comment on column marts.inventory_status.reorder_level is 'Stock below which to order: the store''s, else the product''s; null where none is set.';
comment on column marts.inventory_status.daily_use_quantity is 'Mean a day of what was sold, used and wasted in the 28 days to the store''s last movement; null where nothing was.';
comment on column marts.inventory_status.days_of_cover is 'Days the stock lasts at that use; null where nothing was used.';
comment on column marts.inventory_status.is_low is 'Whether the stock is below its reorder level; false where none is set.';
comment on column marts.inventory_status.inventory_value is 'Stock x unit cost, in the inventory system''s currency; null where the cost is unknown.';
comment on column marts.inventory_status.counted_at is 'When it was counted; null where the source does not say.';

comment on column marts.data_freshness.source is 'Name of the source.';
comment on column marts.data_freshness.title is 'Name as people say it.';
comment on column marts.data_freshness.last_load_at is 'When the last good load arrived.';
comment on column marts.data_freshness.last_record_at is 'Latest moment a record speaks of; null where no record tells a moment.';
comment on column marts.data_freshness.warn_after_hours is 'Age, in hours, from which the source is late.';
comment on column marts.data_freshness.error_after_hours is 'Age, in hours, from which something is wrong.';
comment on column marts.data_freshness.row_count is 'Typed rows of all good loads, repeats included.';
comment on column marts.data_freshness.reject_count is 'Records these loads refused when they were taken.';
