"""The cast of the tests: two tenants, each with an admin, an operator and two reviewers, and an outsider.

    def test_something(world):
        with world.northwind.scope():
            ...                                       # the database, as northwind's code sees it
        world.northwind.reviewer.client.get("/queue/")        # a browser that is logged in
        world.fabrikam.operator.api.get("/api/v1/runs")       # a script with a token
        world.northwind.admin.actor                           # who the actions are given

Nothing here is mocked: rows are made by the product's own actions, once a session, and copied for each test.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.hashers import get_hasher, make_password
from django.db import connection
from django.test import Client, override_settings

from console.tenants import access, actions, group_actions, scopes
from console.tenants.access import Actor
from console.tenants.models import Membership, ServiceAccount, Tenant, User
from tests.copies import Copies

PEOPLE = ("admin", "operator", "reviewer", "reviewer2")  # of each tenant; a digit is no part of the role
PASSWORD = "correct horse battery staple"  # noqa: S105 - everybody's, in tests


@dataclass(eq=False)
class Member:
    """A person in a tenant, and the ways in which they come."""

    tenant: Tenant
    user: User
    role: str

    @cached_property
    def actor(self) -> Actor:
        return Actor(tenant=self.tenant, role=self.role, kind="user", id=self.user.id, name=self.user.name)

    @cached_property
    def client(self) -> Client:
        """A browser with this person's session, in this tenant."""
        client = Client()
        client.force_login(self.user)
        session = client.session
        session["tenant"] = self.tenant.slug
        session.save()
        return client

    @cached_property
    def token(self) -> str:
        """The text of an API token of this person."""
        with scopes.tenant_scope(self.tenant):
            return actions.create_token(self.actor, user=self.user, role=self.role, name="tests")[1]

    @cached_property
    def api(self) -> Api:
        return Api(self.token)


class Api:
    """A script: JSON in, JSON out, a bearer token in every call."""

    def __init__(self, token: str | None, **headers: str) -> None:
        self.headers = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        self.client = Client(headers=self.headers, raise_request_exception=False)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(path, query)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """POST ``body`` as JSON, with an Idempotency-Key where one is given."""
        return self._send(self.client.post, path, body, key)

    def put(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return self._send(self.client.put, path, body, key)

    def delete(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        return self._send(self.client.delete, path, body, key)

    def _send(self, method: Callable[..., Any], path: str, body: Any, key: str | None) -> Any:
        headers = {"Idempotency-Key": key} if key else None
        return method(path, {} if body is None else body, content_type="application/json", headers=headers)


@dataclass(eq=False)
class House:
    """A tenant and its people."""

    tenant: Tenant
    admin: Member
    operator: Member
    reviewer: Member
    reviewer2: Member

    def scope(self) -> AbstractContextManager[None]:
        return scopes.tenant_scope(self.tenant)

    @cached_property
    def system(self) -> Actor:
        return access.system_actor(self.tenant)

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.admin, self.operator, self.reviewer, self.reviewer2)

    def service(self, name: str = "robot", role: str = "operator") -> tuple[ServiceAccount, str]:
        """A service account and the text of its token."""
        with self.scope():
            service = actions.add_service_account(self.admin.actor, name)
            return service, actions.create_token(self.admin.actor, service=service, role=role, name=name)[1]


@dataclass(eq=False)
class World:
    northwind: House
    fabrikam: House
    outsider: User

    @cached_property
    def stranger(self) -> Client:
        """A browser in which the outsider, who belongs nowhere, is logged in."""
        client = Client()
        client.force_login(self.outsider)
        return client

    @property
    def houses(self) -> tuple[House, House]:
        return (self.northwind, self.fabrikam)


@functools.cache
def _password(algorithm: str) -> str:
    return make_password(PASSWORD, hasher=algorithm)


def make_user(username: str) -> User:
    """A person with PASSWORD who belongs to no tenant."""
    first = username.partition(".")[0].title()
    return User.objects.create(username=username, first_name=first, password=_password(get_hasher().algorithm))


def make_house(slug: str, name: str) -> House:
    """A tenant with its four people, named "<role>.<tenant>", and the group ``finance`` of its two reviewers."""
    with scopes.system_scope("tests: a tenant"):
        tenant = actions.create_tenant(slug, name)
    with scopes.tenant_scope(tenant):
        people = {}
        for who in PEOPLE:
            member = Member(tenant, make_user(f"{who}.{slug}"), who.rstrip("2"))
            actions.add_member(access.system_actor(tenant), member.user, member.role)
            people[who] = member
        reviewers = [people[who].user.id for who in ("reviewer", "reviewer2")]
        group_actions.put_group(access.system_actor(tenant), "finance", "Whoever may pay.", reviewers)
    return House(tenant, **people)


def make_world() -> World:
    return World(make_house("northwind", "Northwind"), make_house("fabrikam", "Fabrikam"), make_user("outsider"))


HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]  # the first writes


@pytest.fixture(scope="session")
def cast(django_db_setup: None, django_db_blocker: Any) -> Generator[Copies]:
    """What make_world wrote, to be copied; nothing of it stays in the database."""
    with django_db_blocker.unblock(), override_settings(PASSWORD_HASHERS=HASHERS):
        copies = Copies(make_world)
        connection.close()
    yield copies


def copied_world(cast: Copies) -> World:
    """A cast of new people, as make_world would have made it."""
    made = cast.put(Tenant, User, Membership)
    users = {user.username: user for user in made[User]}
    roles = {(row.tenant_id, row.user_id): row.role for row in made[Membership]}
    houses = {}
    for tenant in made[Tenant]:
        people = {who: users[f"{who}.{tenant.slug}"] for who in PEOPLE}
        houses[tenant.slug] = House(
            tenant, **{who: Member(tenant, user, roles[tenant.id, user.id]) for who, user in people.items()}
        )
    return World(outsider=users["outsider"], **houses)


@pytest.fixture
def world(db: None, cast: Copies, settings: Any) -> World:
    """The cast, in the test's database; with transactional_db where the test asks for that."""
    # The product's own hasher is slow on purpose, and it is Django's to test.
    settings.PASSWORD_HASHERS = HASHERS
    return copied_world(cast)
