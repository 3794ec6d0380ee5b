"""
Who may do what in the database: roles, their rights, what everybody may do.
"""

from __future__ import annotations

from dataclasses import dataclass

from db.connection import connect
from db.migrate import LOGIN_ROLES
from panpan.doctor.check import Checks, Verdict, none_of
from panpan.settings import Settings

OURS = {*LOGIN_ROLES, "postgres", "n8n", "metabase"}
# Role -> the schemas whose tables it may read or write; what is not named here may do neither.
LIMITED = {"bi": ("marts", "masked"), "loader": ()}
MIGRATE = "bin/panpan up sets rights again; a right you gave by hand is taken back by `revoke`"
MEMBERSHIPS = {("backup", "pg_read_all_data")}

POWERS = """
select rolname, array_remove(array[
    case when rolsuper then 'superuser' end, case when rolcreaterole then 'createrole' end,
    case when rolcreatedb then 'createdb' end, case when rolreplication then 'replication' end,
    case when rolbypassrls then 'bypassrls' end], null)
from pg_roles where rolcanlogin
"""
NO_VERIFIER = "select rolname from pg_authid where rolcanlogin and coalesce(rolpassword, '') not like 'SCRAM-SHA-256$%'"
MEMBERS = """
select member.rolname, given.rolname
from pg_auth_members
join pg_roles as member on member.oid = pg_auth_members.member
join pg_roles as given on given.oid = pg_auth_members.roleid
where member.rolname !~ '^pg_' and member.rolname <> 'postgres'
"""
OPEN_DATABASES = """
select datname from pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba))) as entry
where entry.grantee = 0 and entry.privilege_type in ('CONNECT', 'CREATE') and datallowconn and not datistemplate
"""
OPEN_SCHEMAS = """
select nspname from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as entry
where entry.grantee = 0 and entry.privilege_type = 'CREATE' and nspname !~ '^pg_temp'
"""
OPEN_TABLES = """
select format('%I.%I', relnamespace::regnamespace, relname)
from pg_class, aclexplode(relacl) as entry
where entry.grantee = 0 and relnamespace::regnamespace::text !~ '^(pg_catalog|information_schema)$'
"""
OPEN_FUNCTIONS = """
select pg_proc.oid::regprocedure::text
from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) as entry
where entry.grantee = 0 and prosecdef and pronamespace::regnamespace::text !~ '^(pg_catalog|information_schema)$'
"""
LOOSE_FUNCTIONS = """
select pg_proc.oid::regprocedure::text from pg_proc
where prosecdef and pronamespace::regnamespace::text !~ '^(pg_catalog|information_schema)$'
    and not coalesce(proconfig, '{}')::text ~ 'search_path'
"""
REACHED = """
select relnamespace::regnamespace::text || '.' || relname
from pg_class
where relkind in ('r', 'p', 'v', 'm') and not relnamespace::regnamespace::text = any (%(schemas)s)
    and relnamespace::regnamespace::text !~ '^(pg_catalog|information_schema|pg_toast)'
    and has_schema_privilege(%(role)s, relnamespace, 'usage')
    and has_table_privilege(%(role)s, oid, 'select, insert, update, delete, truncate')
"""
WRITES = """
select relnamespace::regnamespace::text || '.' || relname
from pg_class
where relkind in ('r', 'p') and relnamespace::regnamespace::text !~ '^(pg_catalog|information_schema|pg_toast)'
    and has_schema_privilege(%(role)s, relnamespace, 'usage')
    and has_table_privilege(%(role)s, oid, 'insert, update, delete, truncate')
"""
CREATES = "select nspname from pg_namespace where nspname !~ '^pg_' and has_schema_privilege(%(role)s, oid, 'create')"

checks = Checks()


@dataclass(frozen=True)
class Access:
    """Every field but the first lists what should not be, in words; empty is well."""

    logins: set[str]
    powers: list[str]
    without_verifier: list[str]
    memberships: list[str]
    open_databases: list[str]
    open_schemas: list[str]
    open_tables: list[str]
    open_functions: list[str]
    loose_functions: list[str]
    reached: dict[str, list[str]]
    written: dict[str, list[str]]
    creating: dict[str, list[str]]


def look(settings: Settings) -> Access:
    """
    Ask the catalogues of the server and of the warehouse, as superuser: only it sees the verifiers.

    Errors: DatabaseError when it can't be reached.
    """
    with connect(settings, "postgres") as connection, connection.cursor() as cursor:

        def names(statement: str, **values: object) -> list[str]:
            cursor.execute(statement, values or None)
            return [str(row[0]) for row in cursor.fetchall()]

        cursor.execute(POWERS)
        powers = dict(cursor.fetchall())
        cursor.execute(MEMBERS)
        members = set(cursor.fetchall())
        return Access(
            logins=set(powers),
            powers=[f"{name}: {', '.join(has)}" for name, has in powers.items() if has and name != "postgres"],
            without_verifier=names(NO_VERIFIER),
            memberships=[f"{member} in {group}" for member, group in sorted(members - MEMBERSHIPS)],
            open_databases=names(OPEN_DATABASES),
            open_schemas=names(OPEN_SCHEMAS),
            open_tables=names(OPEN_TABLES),
            open_functions=names(OPEN_FUNCTIONS),
            loose_functions=names(LOOSE_FUNCTIONS),
            reached={role: names(REACHED, role=role, schemas=list(may)) for role, may in LIMITED.items()},
            written={role: names(WRITES, role=role) for role in ("bi", "backup")},
            creating={role: names(CREATES, role=role) for role in ("bi", "loader", "backup")},
        )


def _by_role(found: dict[str, list[str]]) -> list[str]:
    return [f"{role}: {name}" for role, names in found.items() for name in names]


@checks.add("roles-known", "error", Access, security=True)
def roles_known(access: Access) -> Verdict:
    fix = "`drop role` those you don't know"
    return none_of(sorted(access.logins - OURS), "every login is one of ours", "logins not of ours", fix)


@checks.add("roles-powers", "error", Access, security=True)
def roles_powers(access: Access) -> Verdict:
    fix = "`alter role NAME nosuperuser nocreaterole nocreatedb noreplication nobypassrls`"
    return none_of(access.powers, "no role but postgres has powers over the server", "too powerful", fix)


@checks.add("roles-passwords", "error", Access, security=True)
def roles_passwords(access: Access) -> Verdict:
    what = "no SCRAM verifier"
    return none_of(access.without_verifier, "every login has a SCRAM verifier", what, "bin/panpan up sets it")


@checks.add("roles-memberships", "error", Access, security=True)
def roles_memberships(access: Access) -> Verdict:
    fix = "`revoke GROUP from ROLE`"
    return none_of(access.memberships, "no role borrows the rights of another", "borrowed rights", fix)


@checks.add("grants-databases", "error", Access, security=True)
def grants_databases(access: Access) -> Verdict:
    return none_of(access.open_databases, "databases are closed to everybody else", "open to everybody", MIGRATE)


@checks.add("grants-schemas", "error", Access, security=True)
def grants_schemas(access: Access) -> Verdict:
    return none_of(access.open_schemas, "nobody may create in a schema uncalled", "anybody may create in", MIGRATE)


@checks.add("grants-tables", "error", Access, security=True)
def grants_tables(access: Access) -> Verdict:
    return none_of(access.open_tables, "no table is open to everybody", "open to everybody", MIGRATE)


@checks.add("grants-functions", "error", Access, security=True)
def grants_functions(access: Access) -> Verdict:
    all_well = "functions with their owner's rights are granted by name"
    return none_of(access.open_functions, all_well, "anybody may call with its owner's rights", MIGRATE)


@checks.add("functions-search-path", "error", Access, security=True)
def functions_search_path(access: Access) -> Verdict:
    fix = "add `set search_path = pg_catalog, pg_temp` in a new migration"
    return none_of(access.loose_functions, "functions name their search path", "search path left to the caller", fix)


@checks.add("grants-reached", "error", Access, security=True)
def grants_reached(access: Access) -> Verdict:
    all_well = "bi reaches marts and masked only, loader no table at all"
    return none_of(_by_role(access.reached), all_well, "reached without need", MIGRATE)


@checks.add("grants-written", "error", Access, security=True)
def grants_written(access: Access) -> Verdict:
    return none_of(_by_role(access.written), "bi and backup write nothing", "may write", MIGRATE)


@checks.add("grants-created", "error", Access, security=True)
def grants_created(access: Access) -> Verdict:
    all_well = "bi, loader and backup create nothing"
    return none_of(_by_role(access.creating), all_well, "may create", MIGRATE)
