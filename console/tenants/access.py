"""The explicit half of the tenant wall: every lookup of a tenant's row goes through here.

A row of another tenant does not exist (NotFound), and neither does one whose id makes no sense. A role that may not
is Forbidden. Both are Django's own 404 and 403, so that pages and API alike turn them into the right answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

from console.tenants.models import Tenant

M = TypeVar("M", bound=Model)


class NotFound(Http404):
    """There is no such thing in the actor's tenant."""


class Forbidden(PermissionDenied):
    """The actor's role may not do this."""


@dataclass(frozen=True)
class Actor:
    """Who does something, where, and as what. ``id`` is the user's or service account's, also for a token."""

    tenant: Tenant
    role: str  # reviewer, operator, admin; system
    kind: Literal["user", "token", "system"]
    id: UUID | None
    name: str
    token_id: UUID | None = None


def system_actor(tenant: Tenant, name: str = "Sayso") -> Actor:
    """The product itself, acting in a tenant. Passes every role check."""
    return Actor(tenant=tenant, role="system", kind="system", id=None, name=name)


def all(model: type[M] | QuerySet[M], actor: Actor) -> QuerySet[M]:  # noqa: A001 - reads as access.all(Run, actor)
    """The actor's tenant's rows of a model, or of a query on it."""
    queryset = model if isinstance(model, QuerySet) else model._default_manager.all()
    return queryset.filter(tenant_id=actor.tenant.id)


def get(model: type[M] | QuerySet[M], actor: Actor, *, for_update: bool = False, **lookup: Any) -> M:
    """One row of the actor's tenant. Raises NotFound; ``for_update`` locks the row itself, not what it is joined to."""
    queryset = all(model, actor)
    if for_update:
        queryset = queryset.select_for_update(of=("self",))
    if any(isinstance(value, str) and "\x00" in value for value in lookup.values()):
        raise NotFound(f"No such {queryset.model._meta.verbose_name}.")
    try:
        return queryset.get(**lookup)
    except (queryset.model.DoesNotExist, ValidationError, ValueError, TypeError):
        raise NotFound(f"No such {queryset.model._meta.verbose_name}.") from None


def require(actor: Actor, *roles: str) -> None:
    """Raise Forbidden unless the actor has one of the roles."""
    if actor.kind != "system" and actor.role not in roles:
        raise Forbidden(f"This takes the role {' or '.join(roles)}; you are {actor.role} here.")


def actor_of(request: HttpRequest) -> Actor:
    """The actor that the middleware found. Raises Forbidden on a path that is open to anybody."""
    actor: Actor | None = getattr(request, "actor", None)
    if actor is None:
        raise Forbidden("Nobody is signed in.")
    return actor
