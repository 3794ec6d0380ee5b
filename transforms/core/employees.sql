-- One row per employee named in the batch. Reads stage_employees (the source's list), stage_sale_lines, core.employees.
-- An older list never replaces a newer one.
with listed as (
    select distinct on (item.employee) item.*
    from stage_employees as item
    left join core.employees as known
        on core.key(%(source)s, 'employee', item.employee) = known.employee_id and known.is_listed
    where core.may_replace(item.updated_at, item.raw_id, known.source_updated_at, known.raw_id)
    order by item.employee asc, item.updated_at desc nulls last, item.raw_id desc
),

seller as (
    select
        employee, max(employee_name) as employee_name, min(raw_id) as raw_id, min(load_id) as load_id
    from stage_sale_lines
    where employee is not null
    group by employee
),

named as (
    select employee from listed
    union
    select employee from seller
)

select
    core.key(%(source)s, 'employee', named.employee) as employee_id,
    coalesce(listed.full_name, known.full_name, seller.employee_name) as full_name,
    coalesce(listed.job_title, known.job_title) as job_title,
    coalesce(listed.started_on, known.started_on) as started_on,
    listed.employee is not null or coalesce(known.is_listed, false) as is_listed,
    coalesce(listed.updated_at, known.source_updated_at) as source_updated_at,
    %(source)s as source,
    named.employee as source_employee_id,
    coalesce(listed.raw_id, known.raw_id, seller.raw_id) as raw_id,
    coalesce(listed.load_id, known.load_id, seller.load_id) as load_id
from named
left join listed on named.employee = listed.employee
left join seller on named.employee = seller.employee
left join core.employees as known on core.key(%(source)s, 'employee', named.employee) = known.employee_id
