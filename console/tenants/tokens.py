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

from django.db import connection
from django.utils import timezone

from console.tenants import scopes
from console.tenants.access import Actor
from console.tenants.models import ApiToken, ServiceAccount, Tenant, User

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
    with connection.cursor() as cursor:  # by hand: each call of the API asks, and the ORM takes longer than Postgres
        cursor.execute(_LOOKUP, [tenant_id, digest, now])
        found = cursor.fetchone()
    if found is None:
        return None
    token_id, role, used, user_id, username, first, last, holds, service_id, service, *tenant_row = found
    if not holds:
        return None
    name: str = User(username=username, first_name=first, last_name=last).name if user_id else service
    if used is None or now - used > _USED_EVERY:
        # The caller's transaction holds this row from here on: another call of the same token must not wait for it.
        free = ApiToken.objects.filter(tenant_id=tenant_id, id=token_id).select_for_update(skip_locked=True)
        ApiToken.objects.filter(id__in=free.values("id")).update(last_used_at=now)
    tenant = Tenant.from_db(connection.alias, ["id", "slug", "name", "is_demo", "queue", "created_at"], tenant_row)
    return Actor(tenant=tenant, role=role, kind="token", id=user_id or service_id, name=name, token_id=token_id)


# A token never outlives the role it was made for: its user must still hold it. Every token is of one user or service.
_LOOKUP = """
    SELECT k.id, k.role, k.last_used_at, u.id, u.username, u.first_name, u.last_name,
           CASE WHEN u.id IS NULL THEN s.active ELSE u.is_active AND EXISTS (
               SELECT 1 FROM tenants_membership m
               WHERE m.tenant_id = k.tenant_id AND m.user_id = u.id AND m.active AND m.role = k.role
           ) END,
           s.id, s.name, t.id, t.slug, t.name, t.is_demo, t.queue, t.created_at
    FROM tenants_apitoken k
    JOIN tenants_tenant t ON t.id = k.tenant_id
    LEFT JOIN tenants_user u ON u.id = k.user_id
    LEFT JOIN tenants_serviceaccount s ON s.id = k.service_id
    WHERE k.tenant_id = %s AND k.digest = %s AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > %s)
"""
