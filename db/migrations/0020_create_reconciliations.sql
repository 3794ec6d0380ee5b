-- One metric told by two systems: what each says, what explains the difference, and what was decided about it.

create table ops.reconciliations (
    reconciliation_id bigint generated always as identity primary key,
    metric text not null,
    comparison text not null,
    catalogue text not null,
    currency_code text not null default '',
    first_day date not null,
    last_day date not null,
    our_sources text[] not null,
    their_sources text[] not null,
    our_amount numeric(18, 4) not null,
    their_amount numeric(18, 4) not null,
    residual_amount numeric(18, 4) not null,
    reconciled_at timestamptz not null default now(),
    unique (metric, comparison, catalogue, currency_code, first_day, last_day)
);
comment on table ops.reconciliations is 'One row per metric, comparison, catalogue, currency and period, as reconciled last.';
comment on column ops.reconciliations.reconciliation_id is 'Our number of it.';
comment on column ops.reconciliations.metric is 'Metric that was compared.';
comment on column ops.reconciliations.comparison is 'What was compared: receipts_and_payments, receipts_and_stock, receipts_and_crm.';
comment on column ops.reconciliations.catalogue is 'Catalogue the sources of both sides share.';
comment on column ops.reconciliations.currency_code is 'Currency of the amounts; empty where they are none.';
comment on column ops.reconciliations.first_day is 'First day compared.';
comment on column ops.reconciliations.last_day is 'Last day compared.';
comment on column ops.reconciliations.our_sources is 'Sources of the system of record.';
comment on column ops.reconciliations.their_sources is 'Sources it was compared with.';
comment on column ops.reconciliations.our_amount is 'What the system of record says.';
comment on column ops.reconciliations.their_amount is 'What the other says.';
comment on column ops.reconciliations.residual_amount is 'What of their_amount - our_amount no record explains.';
comment on column ops.reconciliations.reconciled_at is 'When it was compared.';

create table ops.reconciliation_findings (
    reconciliation_id bigint not null references ops.reconciliations on delete cascade,
    finding_number bigint not null,
    class text not null,
    reason text not null,
    business_date date,
    store_id text,
    product_id uuid,
    record text not null,
    amount numeric(18, 4) not null,
    our_raw_ids bigint[] not null,
    their_raw_ids bigint[] not null,
    primary key (reconciliation_id, finding_number),
    constraint reconciliation_findings_class_is_known_check
    check (class in ('timing', 'definition', 'scope', 'missing', 'duplicate', 'error', 'residual'))
);
comment on table ops.reconciliation_findings is 'One row per record that differs and cause, the largest first.';
comment on column ops.reconciliation_findings.reconciliation_id is 'Comparison it was found in.';
comment on column ops.reconciliation_findings.finding_number is 'Place among the findings of the comparison, the largest first.';
comment on column ops.reconciliation_findings.class is 'timing, definition, scope, missing, duplicate, error; residual where no record says why.';
comment on column ops.reconciliation_findings.reason is 'The cause in words.';
comment on column ops.reconciliation_findings.business_date is 'Day of the record.';
comment on column ops.reconciliation_findings.store_id is 'Store of the record; null where it has none.';
comment on column ops.reconciliation_findings.product_id is 'Product of the record; null where it has none.';
comment on column ops.reconciliation_findings.record is 'What differs: a receipt, a person, or product/store/day.';
comment on column ops.reconciliation_findings.amount is 'What it adds to their_amount - our_amount.';
comment on column ops.reconciliation_findings.our_raw_ids is 'Raw records of the system of record that prove it.';
comment on column ops.reconciliation_findings.their_raw_ids is 'Raw records of the other side that prove it.';

create table ops.discrepancies (
    discrepancy_id bigint generated always as identity primary key,
    metric text not null,
    comparison text not null,
    catalogue text not null,
    currency_code text not null default '',
    class text not null,
    reason text not null,
    amount numeric(18, 4) not null,
    first_day date not null,
    last_day date not null,
    status text not null default 'open',
    decision text,
    canonical text,
    decided_by text,
    decided_at timestamptz,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    unique (metric, comparison, catalogue, currency_code, class, reason),
    constraint discrepancies_status_is_known_check check (status in ('open', 'accepted', 'resolved')),
    constraint discrepancies_decision_has_a_name_check
    check (status = 'open' or (decision is not null and decided_by is not null))
);
comment on table ops.discrepancies is 'One row per cause of a difference between two systems: the register, and what was decided.';
comment on column ops.discrepancies.discrepancy_id is 'Number it is decided by.';
comment on column ops.discrepancies.metric is 'Metric the systems disagree on.';
comment on column ops.discrepancies.comparison is 'What was compared.';
comment on column ops.discrepancies.catalogue is 'Catalogue of the sources.';
comment on column ops.discrepancies.currency_code is 'Currency of the amount; empty where it is none.';
comment on column ops.discrepancies.class is 'Class of the cause.';
comment on column ops.discrepancies.reason is 'The cause in words.';
comment on column ops.discrepancies.amount is 'What it added to the difference when it was seen last.';
comment on column ops.discrepancies.first_day is 'First day of the period it was seen in last.';
comment on column ops.discrepancies.last_day is 'Last day of that period.';
comment on column ops.discrepancies.status is 'open; accepted: known and left so; resolved: the cause is mended. Open again when it is seen after that.';
comment on column ops.discrepancies.decision is 'What was decided, in words.';
comment on column ops.discrepancies.canonical is 'Which side counts: a source, or what the owner calls it.';
comment on column ops.discrepancies.decided_by is 'Who decided.';
comment on column ops.discrepancies.decided_at is 'When it was decided.';
comment on column ops.discrepancies.first_seen_at is 'When it was seen first.';
comment on column ops.discrepancies.last_seen_at is 'When it was seen last.';

create table marts.reconciliation (
    metric text not null,
    comparison text not null,
    catalogue text not null,
    currency_code text not null,
    first_day date not null,
    last_day date not null,
    our_sources text not null,
    their_sources text not null,
    our_amount numeric(18, 4) not null,
    their_amount numeric(18, 4) not null,
    class text not null,
    amount numeric(18, 4) not null,
    gross_amount numeric(18, 4) not null,
    record_count integer not null,
    reconciled_at timestamptz not null default now(),
    primary key (metric, comparison, catalogue, currency_code, first_day, last_day, class)
);
comment on table marts.reconciliation is
'One row per metric, comparison, catalogue, currency, period and class, as reconciled last; the amounts of the classes and the residual add up to their_amount - our_amount.';
comment on column marts.reconciliation.metric is 'Metric that was compared.';
comment on column marts.reconciliation.comparison is 'What was compared.';
comment on column marts.reconciliation.catalogue is 'Catalogue of the sources.';
comment on column marts.reconciliation.currency_code is 'Currency of the amounts; empty where they are none.';
comment on column marts.reconciliation.first_day is 'First day compared.';
comment on column marts.reconciliation.last_day is 'Last day compared.';
comment on column marts.reconciliation.our_sources is 'Sources of the system of record.';
comment on column marts.reconciliation.their_sources is 'Sources it was compared with.';
comment on column marts.reconciliation.our_amount is 'What the system of record says; the same in all classes, so never to be added up over them.';
comment on column marts.reconciliation.their_amount is 'What the other says; the same in all classes.';
comment on column marts.reconciliation.class is 'timing, definition, scope, missing, duplicate, error; residual: no record says why.';
comment on column marts.reconciliation.amount is 'What the class adds to the difference.';
comment on column marts.reconciliation.gross_amount is 'How much it moves: amounts that cancel each other count too.';
comment on column marts.reconciliation.record_count is 'Records that prove it.';
comment on column marts.reconciliation.reconciled_at is 'When it was compared.';

-- A period reconciled again replaces what was kept of it; the register keeps everything.
grant delete on ops.reconciliations, ops.reconciliation_findings to transformer;
