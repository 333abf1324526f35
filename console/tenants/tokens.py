"""API tokens: ``sayso_<tenant id, 32 hex digits>_<secret>``.

The tenant in the token is a claim, and only says behind which wall to look for the digest: the lookup needs no right
to see other tenants. The secret is random and long, so an unsalted digest is enough.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from console.tenants import scopes
from console.tenants.access import Actor
from console.tenants.models import ApiToken, Membership, ServiceAccount, Tenant, User

_SHAPE = re.compile(r"sayso_([0-9a-f]{32})_([A-Za-z0-9_-]{32,200})")
_VISIBLE = 6  # characters of the secret that people see
_USED_EVERY = timedelta(minutes=1)  # last_used_at is no log: one write a minute


def digest_of(bearer: str) -> str:
    """The sha256 of a whole token, in hex."""
    return hashlib.sha256(bearer.encode()).hexdigest()


def create_token(
    tenant: Tenant,
    *,
    user: User | None = None,
    service: ServiceAccount | None = None,
    role: str,
    name: str,
    secret: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make a token for a user or a service account, in the caller's scope; the text is never to be had again.

    ``secret`` (32 or more of A-Z a-z 0-9 _ -) is for tokens derived from an instance's key; it is random by default.
    Raises ValueError. Use ``actions.create_token`` where somebody asks for it: that checks and records.
    """
    secret = secret or secrets.token_urlsafe(32)
    text = f"sayso_{tenant.id.hex}_{secret}"
    if not _SHAPE.fullmatch(text):
        raise ValueError("A token's secret is 32 to 200 letters, digits, - and _.")
    token = ApiToken.objects.create(
        tenant=tenant,
        user=user,
        service=service,
        role=role,
        name=name,
        prefix=secret[:_VISIBLE],
        digest=digest_of(text),
        expires_at=expires_at,
    )
    return token, text


@contextmanager
def token_scope(bearer: str) -> Iterator[Actor | None]:
    """A token's actor, inside the tenant_scope of its tenant; None, outside any scope, for a token that is no good."""
    shape = _SHAPE.fullmatch(bearer)
    if shape is None:
        yield None
        return
    tenant_id = UUID(shape[1])
    with scopes.tenant_scope(tenant_id):
        actor = _actor(tenant_id, digest_of(bearer))
        if actor is not None:
            yield actor
            return
    yield None


def authenticate(bearer: str) -> Actor | None:
    """The actor of a token that is known, not revoked, not expired, and whose holder still has the token's role."""
    with token_scope(bearer) as actor:
        return actor


def _actor(tenant_id: UUID, digest: str) -> Actor | None:
    now = timezone.now()
    token = (
        ApiToken.objects.select_related("tenant", "user", "service")
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=now), tenant_id=tenant_id, digest=digest, revoked_at=None)
        .first()
    )
    if token is None:
        return None
    holder: User | ServiceAccount
    if token.user is not None:
        # A token never outlives the role it was made for.
        member = Membership.objects.filter(tenant_id=tenant_id, user_id=token.user_id, active=True, role=token.role)
        if not token.user.is_active or not member.exists():
            return None
        holder = token.user
    else:
        assert token.service is not None  # noqa: S101 - a check constraint says so
        if not token.service.active:
            return None
        holder = token.service
    if token.last_used_at is None or now - token.last_used_at > _USED_EVERY:
        # The caller's transaction holds this row from here on: another call of the same token must not wait for it.
        free = ApiToken.objects.filter(tenant_id=tenant_id, id=token.id).select_for_update(skip_locked=True)
        ApiToken.objects.filter(id__in=free.values("id")).update(last_used_at=now)
    return Actor(tenant=token.tenant, role=token.role, kind="token", id=holder.id, name=holder.name, token_id=token.id)
