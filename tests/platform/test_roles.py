"""Roles on a Postgres from outside, through one login."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from console import environment
from console.up import roles
from console.up.places import Refused
from console.up.stores import SUPERUSER


def as_login(login: str, database: str) -> str:
    parts = urlsplit(os.environ["SAYSO_OWNER_DATABASE_URL"])
    return urlunsplit((parts.scheme, f"{login}@", f"/{database}", parts.query, ""))


@pytest.fixture
def outside(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A database of its own, and the login that owns it; may it create roles? (the parameter)"""
    name = f"test_outside_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(as_login(SUPERUSER, "postgres"), autocommit=True) as admin:
        attributes = sql.SQL("CREATEROLE" if request.param else "NOCREATEROLE")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN {}").format(sql.Identifier(name), attributes))
        if request.param:  # who creates a role may grant it; these were made by another
            for role in roles.ROLES:
                admin.execute(
                    sql.SQL("GRANT {} TO {} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE").format(
                        sql.Identifier(role), sql.Identifier(name)
                    )
                )
        admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
        yield name, name
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in roles.ROLES:
            admin.execute(sql.SQL("REVOKE {} FROM {} CASCADE").format(sql.Identifier(role), sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


own_server = pytest.mark.skipif(
    "SAYSO_TEST_VALKEY" not in os.environ, reason="a Postgres from outside: its roles are not ours"
)


@own_server
@pytest.mark.parametrize("outside", [True], indirect=True)
def test_a_login_that_may_make_roles_acts_behind_the_wall_and_as_the_owner(outside):
    login, database = outside
    url = as_login(login, database)
    roles.make(url)
    roles.make(url)  # a second start finds everything as it was
    for role in ("sayso_app", "sayso_owner"):
        settings = environment.database(url, role)
        with psycopg.connect(url, options=settings["OPTIONS"]["options"], autocommit=True) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)
            connection.execute("RESET ROLE")  # falls back to the role, not to the login
            assert connection.execute("SELECT current_user").fetchone() == (role,)
            if role == "sayso_app":
                with connection.transaction():
                    connection.execute("SET LOCAL ROLE sayso_system")
                    assert connection.execute("SELECT current_user").fetchone() == ("sayso_system",)
            else:
                connection.execute("CREATE TABLE by_the_owner (n int)")


@own_server
@pytest.mark.parametrize("outside", [False], indirect=True)
def test_a_login_that_may_not_is_told_who_must(outside):
    login, database = outside
    with pytest.raises(Refused, match="may not make Sayso's roles") as refusal:
        roles.make(as_login(login, database))
    assert "\n" not in str(refusal.value)


def test_a_database_that_is_not_there_is_one_line():
    with pytest.raises(Refused, match="^cannot connect to the database: ") as refusal:
        roles.make("postgresql://x@/y?host=/nowhere")
    assert "\n" not in str(refusal.value)
