"""The three database roles, made where the login may make them.

``sayso_owner`` owns the tables and serves migrations; ``sayso_app`` is who everything else acts as; ``sayso_system`` is taken
for one transaction to claim and sweep. WITH INHERIT FALSE is what keeps the tenant wall standing: with it, sayso_app would
see every tenant through sayso_system's policies without ever asking.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from console.up.places import Refused

ROLES = {
    "sayso_owner": "LOGIN CREATEDB NOSUPERUSER NOBYPASSRLS",
    "sayso_app": "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE",
    "sayso_system": "NOLOGIN NOSUPERUSER NOBYPASSRLS",
}


def make(url: str, *, database: str | None = None) -> None:
    """Make the missing roles through ``url`` and, for a store of our own, ``database`` owned by sayso_owner.

    For a login from outside (``database`` None) the login becomes a member of the roles, so that it may act as them.
    Raises Refused with the statements that somebody with the right must run, when this login may not.
    """
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
            if connection.info.server_version < 160000:
                raise Refused("Sayso needs Postgres 16 or later (roles WITH INHERIT FALSE, SET TRUE)")
            _make(connection, database)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Refused(
            f"the login of DATABASE_URL may not make Sayso's roles ({str(error).strip().splitlines()[0]}): as an administrator, "
            "create sayso_owner, sayso_app and sayso_system as the README says, and grant them to it"
        ) from error
    except psycopg.OperationalError as error:
        raise Refused(f"cannot connect to the database: {str(error).strip().splitlines()[0]}") from error


def _make(connection: psycopg.Connection, database: str | None) -> None:
    there = {
        row[0] for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(ROLES)])
    }
    for role, attributes in ROLES.items():
        if role not in there:
            connection.execute(sql.SQL("CREATE ROLE {} " + attributes).format(sql.Identifier(role)))  # type: ignore[arg-type]
    member = connection.execute(
        """SELECT 1 FROM pg_auth_members m WHERE m.roleid = 'sayso_system'::regrole AND m.member = 'sayso_app'::regrole
           AND m.set_option AND NOT m.inherit_option"""
    ).fetchone()
    if member is None:
        connection.execute("GRANT sayso_system TO sayso_app WITH INHERIT FALSE, SET TRUE")
    if database is not None:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER sayso_owner").format(sql.Identifier(database)))
        return
    user = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = session_user").fetchone()
    assert user is not None  # noqa: S101 - a session's user has a row
    login, superuser = user
    for role in ROLES:
        if login == role or superuser:
            continue
        if not connection.execute("SELECT pg_has_role(session_user, %s, 'SET')", [role]).fetchone()[0]:  # type: ignore[index]
            connection.execute(
                sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(
                    sql.Identifier(role), sql.Identifier(login)
                )
            )
    # Migrations create tables as sayso_owner; the test suite creates databases as it.
    granted = connection.execute("SELECT has_schema_privilege('sayso_owner', 'public', 'CREATE')").fetchone()
    if not granted[0]:  # type: ignore[index]
        connection.execute("GRANT CREATE, USAGE ON SCHEMA public TO sayso_owner")
