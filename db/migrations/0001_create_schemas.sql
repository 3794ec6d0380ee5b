-- One schema per source system for what was received, one each for the model, what readers see, and operations.
-- Rights follow the data's way: loader adds to raw through functions only, transformer reads raw and writes core
-- and marts, bi reads marts. Nothing is granted to public.

create schema raw_pos;
create schema raw_crm;
create schema raw_inventory;
create schema core;
create schema marts;

grant usage on schema ops to loader, transformer;
grant usage on schema raw_pos, raw_crm, raw_inventory, core, marts to transformer;
grant usage on schema marts to bi;

-- A function is executable by public unless told otherwise.
alter default privileges revoke execute on functions from public;

alter default privileges in schema raw_pos, raw_crm, raw_inventory grant select, insert on tables to transformer;
alter default privileges in schema ops grant select, insert, update on tables to transformer;
alter default privileges in schema core grant select, insert, update, delete on tables to transformer;
alter default privileges in schema marts grant select, insert, update, delete on tables to transformer;
alter default privileges in schema marts grant select on tables to bi;
