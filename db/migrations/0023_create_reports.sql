-- Reports that were mailed, byte for byte: what was said can be said again, and compared.

create table ops.reports (
    report_id bigint generated always as identity primary key,
    name text not null,
    language text not null,
    as_of timestamptz not null,
    first_day date not null,
    last_day date not null,
    plan_ids text[] not null,
    subject text not null,
    body bytea not null,
    text_body text not null,
    sha256 text not null,
    constraint reports_name_is_known_check check (name in ('daily', 'weekly'))
);
create index reports_name_last_day_idx on ops.reports (name, last_day);
comment on table ops.reports is 'One row per report made for mailing, in one language; never changed.';
comment on column ops.reports.report_id is 'Our number of the report.';
comment on column ops.reports.name is 'daily or weekly.';
comment on column ops.reports.language is 'Language it is written in.';
comment on column ops.reports.as_of is 'Moment of knowledge: what became known later is not in it.';
comment on column ops.reports.first_day is 'First day it tells of.';
comment on column ops.reports.last_day is 'Last day it tells of.';
comment on column ops.reports.plan_ids is 'Plans of its figures: panpan trace plan:ID.';
comment on column ops.reports.subject is 'Its title and days.';
comment on column ops.reports.body is 'The page byte for byte, pictures inside.';
comment on column ops.reports.text_body is 'The same as plain text.';
comment on column ops.reports.sha256 is 'Checksum of the page.';
revoke update on ops.reports from transformer;

alter table ops.mails add column report_id bigint references ops.reports;
comment on column ops.mails.report_id is 'Report it carries; null for mails about alerts.';
create unique index mails_report_id_recipient_key on ops.mails (report_id, recipient) where report_id is not null;
