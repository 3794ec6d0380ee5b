-- One row per employee named in the batch. Reads stage_employees (the source's list), stage_sale_lines.
with listed as (
    select distinct on (employee) employee, full_name, job_title, started_on, raw_id, load_id
    from stage_employees
    order by employee asc, raw_id desc
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
    %(source)s as source,
    named.employee as source_employee_id,
    coalesce(listed.raw_id, known.raw_id, seller.raw_id) as raw_id,
    coalesce(listed.load_id, known.load_id, seller.load_id) as load_id
from named
left join listed on named.employee = listed.employee
left join seller on named.employee = seller.employee
left join core.employees as known on core.key(%(source)s, 'employee', named.employee) = known.employee_id
