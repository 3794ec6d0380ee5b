-- What is told late never replaces what is newer: one rule, asked by every select whose rows come again. Lists of stores
-- and employees and what items and deliveries tell of suppliers are held to it too.
create function core.may_replace(
    updated_at timestamptz, arrival bigint, known_updated_at timestamptz, known_arrival bigint
) returns boolean
language sql immutable parallel safe
return known_arrival is null
or (coalesce(updated_at, '-infinity'), arrival) >= (coalesce(known_updated_at, '-infinity'), known_arrival);
comment on function core.may_replace is
'Whether a version may take the place of the known one: the source''s own update time decides, then the order received.';
grant execute on function core.may_replace to transformer;

select core_history.add_column(
    'stores', 'source_updated_at', 'timestamptz',
    'When the list of stores last changed the store, as it says; null where it says nothing.'
);
select core_history.add_column(
    'suppliers', 'source_updated_at', 'timestamptz',
    'When the item changed, or the delivery came, that told of the supplier last; null where it says nothing.'
);
select core_history.add_column(
    'employees', 'source_updated_at', 'timestamptz',
    'When the list of employees last changed the person, as it says; null where it says nothing.'
);
select core_history.add_column(
    'employees', 'is_listed', 'boolean not null default false',
    'Whether a list of employees has the person, not only receipts.'
);
-- Only a list tells these of a person.
update core.employees set is_listed = true where job_title is not null or started_on is not null;
