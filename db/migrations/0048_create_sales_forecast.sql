-- What was expected of each store's days, kept with the error it had in its test, to be compared with what came.
create table marts.sales_forecast (
    made_on date not null,
    store_id text not null,
    currency_code char(3) not null,
    business_date date not null,
    expected_amount numeric(14, 2) not null,
    model text not null,
    off_by_amount numeric(14, 2) not null,
    off_by_share numeric(12, 4),
    other_model text not null,
    other_off_by_amount numeric(14, 2) not null,
    other_off_by_share numeric(12, 4),
    tested_days integer not null,
    says text not null,
    plan_id text not null,
    input_hash text not null,
    made_at timestamptz not null,
    constraint sales_forecast_pkey primary key (made_on, store_id, currency_code, business_date),
    constraint sales_forecast_day_is_ahead_check check (business_date > made_on),
    constraint sales_forecast_amount_is_not_negative_check check (expected_amount >= 0),
    constraint sales_forecast_error_is_not_negative_check check (
        off_by_amount >= 0 and off_by_share >= 0 and other_off_by_amount >= 0 and other_off_by_share >= 0
    ),
    constraint sales_forecast_is_tested_check check (tested_days > 0),
    constraint sales_forecast_models_are_known_check check (
        model in ('seasonal naive', 'exponential smoothing')
        and other_model in ('seasonal naive', 'exponential smoothing')
        and model <> other_model
    )
);
comment on table marts.sales_forecast is
'One row per day it was made on, store, currency and day ahead. What was expected stays when the day has come; only what was made on the newest day is made again when the days before it change.';
comment on column marts.sales_forecast.made_on is 'Last day known when it was made.';
comment on column marts.sales_forecast.store_id is 'Store.';
comment on column marts.sales_forecast.currency_code is 'Currency of the amounts, ISO 4217.';
comment on column marts.sales_forecast.business_date is 'Day it is about, one of the 14 after made_on.';
comment on column marts.sales_forecast.expected_amount is 'Revenue expected; never to be shown without off_by_amount.';
comment on column marts.sales_forecast.model is 'Model by which: the one that was less off in the test. seasonal naive: as on the same weekday a week before.';
comment on column marts.sales_forecast.off_by_amount is 'How far the model was off in the test, as a mean per day (MAE).';
comment on column marts.sales_forecast.off_by_share is 'The same as a share of what was sold on the days of the test (WAPE); null where nothing was.';
comment on column marts.sales_forecast.other_model is 'Model it was tested against.';
comment on column marts.sales_forecast.other_off_by_amount is 'How far the other model was off, per day.';
comment on column marts.sales_forecast.other_off_by_share is 'The same as a share of what was sold.';
comment on column marts.sales_forecast.tested_days is 'Days of the test; each was forecast from days before it alone.';
comment on column marts.sales_forecast.says is 'Why this model, in words.';
comment on column marts.sales_forecast.plan_id is 'Plan of the revenue it was made from: panpan trace plan:ID.';
comment on column marts.sales_forecast.input_hash is 'SHA-256 of that revenue day by day; the same days are not worked out again.';
comment on column marts.sales_forecast.made_at is 'When it was worked out.';
