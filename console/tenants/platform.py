"""What a platform admin does: make tenants, and look into one, for a reason that stays in that tenant's own record.

A platform admin is a user with ``is_superuser``. That gives no role in any tenant: who decides, starts or configures there is
a member.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from console.audit import log
from console.tenants import actions, people_actions, scopes
from console.tenants.access import Actor, Forbidden, NotFound, system_actor
from console.tenants.actions import Invalid
from console.tenants.models import Role, Tenant, User

VISIT = timedelta(hours=1)
VISITOR = (
    "visitor"  # the role of a platform admin who looks into a tenant: it is asked for nowhere, so it may do nothing
)
_KEY = "visit"  # in the session
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Visit:
    """A platform admin's look into a tenant, until it ends by itself."""

    tenant_id: UUID
    until: datetime
    reason: str


def may(user: User | AnonymousUser | Any) -> bool:
    """Whether somebody is a platform admin."""
    return isinstance(user, User) and user.is_superuser and user.is_active


def create(
    by: User, slug: str, name: str, username: str, *, person: str = "", email: str = ""
) -> tuple[Tenant, User, str]:
    """Make a tenant with its first admin; returns both, and the admin's first password, which is never to be had again.

    Raises Forbidden, Invalid. Call outside any scope: it is one transaction.
    """
    _require(by)
    slug, name = slug.strip(), " ".join(name.split())
    if len(slug) > 60 or not _SLUG.fullmatch(slug):
        raise Invalid("slug", "A short name is 1 to 60 small letters, digits and hyphens, such as north-wind.")
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid("name", "The name is 1 to 200 printable characters.")
    with scopes.system_scope("a platform admin makes a tenant"):
        if Tenant.objects.filter(slug=slug).exists():
            raise Invalid("slug", f"There is a tenant {slug} already.")
        tenant = actions.create_tenant(slug, name, by=by.name)
        with scopes.tenant_scope(tenant):
            actor = system_actor(tenant, by.name)
            user, password = people_actions.invite(actor, username, name=person, email=email, role=Role.ADMIN)
            log.record(_as(by, tenant), "platform.created", "tenant", tenant.id, slug=slug, admin=user.username)
    return tenant, user, password


def enter(request: HttpRequest, slug: str, reason: str) -> Visit:
    """Begin to look into a tenant, for an hour and without doing anything; its own record says who, when and why.

    Raises Forbidden, NotFound, Invalid. Call outside any scope.
    """
    by = _require(request.user)
    reason = " ".join(reason.replace("\x00", "").split())
    if not 10 <= len(reason) <= 500:
        raise Invalid("reason", "Say in 10 to 500 characters why: the people of this tenant read it in their record.")
    until = timezone.now() + VISIT
    with scopes.system_scope("a platform admin looks into a tenant"):
        tenant = Tenant.objects.filter(slug=slug).first()
        if tenant is None:
            raise NotFound("No such tenant.")
        with scopes.tenant_scope(tenant):
            log.record(_as(by, tenant), "platform.entered", "tenant", tenant.id, reason=reason, until=until.isoformat())
    request.session[_KEY] = {"tenant": str(tenant.id), "until": until.isoformat(), "reason": reason}
    return Visit(tenant.id, until, reason)


def leave(request: HttpRequest) -> None:
    """End one's look into a tenant; again changes nothing. Call outside any scope."""
    visit = visit_of(request)
    request.session.pop(_KEY, None)
    if visit is not None and isinstance(request.user, User):
        with scopes.tenant_scope(visit.tenant_id):
            tenant = Tenant.objects.get(pk=visit.tenant_id)
            log.record(_as(request.user, tenant), "platform.left", "tenant", tenant.id)


def visit_of(request: HttpRequest) -> Visit | None:
    """The look that a session is at, while it lasts and its user still is a platform admin."""
    kept = request.session.get(_KEY)
    if not kept or not may(request.user):
        return None
    visit = Visit(UUID(kept["tenant"]), datetime.fromisoformat(kept["until"]), kept["reason"])
    return visit if timezone.now() < visit.until else None


def visitor(user: User, tenant: Tenant) -> Actor:
    """Who somebody is while they look into a tenant."""
    return _as(user, tenant)


def _require(user: Any) -> User:
    if not isinstance(user, User) or not may(user):
        raise Forbidden("This takes a platform admin.")
    return user


def _as(user: User, tenant: Tenant) -> Actor:
    return Actor(tenant=tenant, role=VISITOR, kind="user", id=user.id, name=user.name)
