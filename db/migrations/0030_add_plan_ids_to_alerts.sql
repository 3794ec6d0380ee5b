-- A figure in a mail leads to its receipts by the plan it was asked with, the same that `panpan value` names.
alter table ops.alert_states add column plan_id text;
comment on column ops.alert_states.plan_id is
'Plan of the value last seen, where the metric compiler gave it; null for what is no figure of a metric.';
alter table ops.alert_events add column plan_id text;
comment on column ops.alert_events.plan_id is
'Plan of the value, where the metric compiler gave it; null for what is no figure of a metric.';
