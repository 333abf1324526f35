"""The three database roles, and the check that this process acts as the right one.

sayso_owner   owns every table; serves migrations only
sayso_app     everything else; held behind the wall
sayso_system  for one transaction at a time (scopes.system_scope); sees every tenant

sayso_app may *become* sayso_system but must not *inherit* it: with INHERIT the wall is void, and nothing says so.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections

OWNER = "sayso_owner"
APP = "sayso_app"
SYSTEM = "sayso_system"

_ROLE_SQL = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
       pg_has_role(r.oid, %(system)s, 'USAGE'),
       pg_has_role(r.oid, %(owner)s, 'USAGE'),
       COALESCE((SELECT pg_has_role(r.oid, %(system)s, 'SET')), false)
FROM pg_roles r WHERE r.rolname = current_user
"""


class WrongRole(ImproperlyConfigured):
    """The process would act with rights that void the tenant wall, or without those it needs."""


def assert_app_role(using: str = DEFAULT_DB_ALIAS) -> None:
    """Refuse to go on unless the connection acts as an ordinary role behind the wall. Raises WrongRole."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_roles WHERE rolname IN (%s, %s)", [OWNER, SYSTEM])
        if cursor.fetchone()[0] != 2:
            raise WrongRole(f"The database lacks the roles {OWNER} and {SYSTEM}; see the README on an own database.")
        cursor.execute(_ROLE_SQL, {"system": SYSTEM, "owner": OWNER})
        name, superuser, bypass, inherits_system, inherits_owner, may_be_system = cursor.fetchone()
    faults = [
        text
        for wrong, text in (
            (name != APP, f"is not {APP}"),
            (superuser, "is a superuser"),
            (bypass, "has BYPASSRLS"),
            (inherits_owner, f"has the rights of {OWNER}"),
            (inherits_system, f"inherits {SYSTEM}"),
            (not may_be_system, f"may not SET ROLE {SYSTEM}"),
        )
        if wrong
    ]
    if faults:
        raise WrongRole(f"Sayso does not start: the database role {name} {', '.join(faults)}.")


def grant_default_privileges(using: str, **_: Any) -> None:
    """Before a migration: what the owner creates from now on, the application and system roles may use."""
    to = f"TO {APP}, {SYSTEM}"
    with connections[using].cursor() as cursor:
        cursor.execute(f"GRANT USAGE ON SCHEMA public {to}")
        for what in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
            cursor.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {what} {to}")
