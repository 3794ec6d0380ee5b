-- The right to be forgotten: what was erased and when, without saying whom, and how a person is known again when a
-- source sends the same record once more. Only the owner erases; the worker reads the keys.
create table ops.erasures (
    erasure_id bigint generated always as identity primary key,
    customer_id uuid not null,
    erased_at timestamptz not null default clock_timestamp(),
    erased_by text not null,
    reason text not null,
    counts jsonb not null,
    places_left bigint not null,
    backups_until date not null
);
comment on table ops.erasures is 'One row per customer erased: the receipt, which names nobody.';
comment on column ops.erasures.erasure_id is 'Number of the erasure.';
comment on column ops.erasures.customer_id is 'The customer, by the id that stays on its sales.';
comment on column ops.erasures.erased_at is 'When it was done.';
comment on column ops.erasures.erased_by is 'Who did it.';
comment on column ops.erasures.reason is 'Why, in the words of who did it; must not name the customer.';
comment on column ops.erasures.counts is 'What was changed: records, documents, files, rows by kind.';
comment on column ops.erasures.places_left is 'Places where the scan afterwards still found a value of the person; 0 is the proof.';
comment on column ops.erasures.backups_until is 'By when the last backup set from before has aged out, as they are kept now.';

create table ops.erased_keys (
    source text not null,
    kind text not null,
    salt bytea not null,
    key_hash bytea not null,
    erasure_id bigint not null references ops.erasures,
    primary key (key_hash),
    constraint erased_keys_kind_is_known_check check (kind in ('id', 'email', 'phone', 'loyalty_card'))
);
comment on table ops.erased_keys is 'One row per thing an erased person would be known by again, as a salted hash.';
comment on column ops.erased_keys.source is 'Source of an id; empty where any source may tell it.';
comment on column ops.erased_keys.kind is 'id, email, phone or loyalty_card.';
comment on column ops.erased_keys.salt is 'Salt of this installation''s hashes.';
comment on column ops.erased_keys.key_hash is 'HMAC-SHA256 of kind, source and value under the salt.';
comment on column ops.erased_keys.erasure_id is 'The erasure it belongs to.';

revoke all on ops.erasures, ops.erased_keys from transformer;
grant select on ops.erasures, ops.erased_keys to transformer;
