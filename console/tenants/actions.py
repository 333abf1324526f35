"""What changes tenants, members, tokens and credentials. Each deed writes its audit row in the same transaction."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from console.audit import log
from console.tenants import access, crypto, tokens
from console.tenants.access import Actor
from console.tenants.models import (
    Absence,
    ApiToken,
    Credential,
    GroupMember,
    Membership,
    Role,
    ServiceAccount,
    Tenant,
    User,
)

AZURE = ("api_version", "deployment", "auth")
AZURE_API = "2024-10-21"  # the newest of Azure OpenAI's stable versions for chat completions


class Invalid(ValueError):
    """What was asked for makes no sense; ``field`` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class Conflict(Exception):
    """What is there stands against it. The text is a sentence for people."""


def create_tenant(slug: str, name: str, *, is_demo: bool = False, by: str = "Sayso") -> Tenant:
    """Make a tenant and its data key. Call under a system_scope: nobody is inside a tenant that is not there yet."""
    with transaction.atomic():
        tenant = Tenant.objects.create(slug=slug, name=name, is_demo=is_demo)
        crypto.create_key(tenant.id)
        log.record(access.system_actor(tenant, by), "tenant.created", "tenant", tenant.id, slug=slug)
    return tenant


def add_member(actor: Actor, user: User, role: str) -> Membership:
    """Give a user a role in the actor's tenant, or another role than before. Raises Forbidden, Invalid, Conflict."""
    access.require(actor, Role.ADMIN)
    if role not in Role.values:
        raise Invalid("role", f"A role is one of {', '.join(Role.values)}.")
    with transaction.atomic():
        if role != Role.ADMIN:
            _keep_an_admin(actor, user)
        before = access.all(Membership, actor).filter(user=user).first()
        member, _ = Membership.objects.update_or_create(
            tenant=actor.tenant, user=user, defaults={"role": role, "active": True}
        )
        was = before.role if before and before.active else None
        log.record(actor, "member.added", "user", user.id, role=role, was=was, name=user.name)
    return member


def remove_member(actor: Actor, user_id: UUID) -> None:
    """End a membership: sessions and tokens of that person stop working here at once, and no group has them any more.

    Raises Forbidden, NotFound, Conflict.
    """
    access.require(actor, Role.ADMIN)
    with transaction.atomic():
        member = access.get(
            Membership.objects.select_related("user"), actor, for_update=True, user_id=user_id, active=True
        )
        _keep_an_admin(actor, member.user)
        member.active = False
        member.save(update_fields=["active"])
        # Whoever comes back later comes back to no group that they were forgotten in.
        inside = access.all(GroupMember, actor).filter(user_id=user_id)
        groups = sorted(inside.values_list("group__name", flat=True))
        inside.delete()
        access.all(Absence, actor).filter(Q(user_id=user_id) | Q(delegate_id=user_id)).delete()
        log.record(actor, "member.removed", "user", user_id, role=member.role, name=member.user.name, groups=groups)


def _keep_an_admin(actor: Actor, user: User) -> None:
    """Raise Conflict where ``user`` is the last admin. Locks the admins: two cannot take the role from each other.

    Whoever runs the installation can make another with add_member, so what that command wants, it does.
    """
    if actor.kind == "system":
        return
    admins = access.all(Membership, actor).filter(active=True, role=Role.ADMIN).order_by("id")
    if list(admins.select_for_update().values_list("user_id", flat=True)) == [user.id]:
        raise Conflict(
            f"{user.name} is the last admin of {actor.tenant.name}. Make somebody else an admin first: without one, "
            "nobody could change anything here."
        )


def add_service_account(actor: Actor, name: str) -> ServiceAccount:
    """Make a service account. Raises Forbidden, Invalid."""
    access.require(actor, Role.ADMIN)
    _check_name("name", name, 100)
    if access.all(ServiceAccount, actor).filter(name=name).exists():
        raise Invalid("name", "There is a service account of that name.")
    with transaction.atomic():
        service = ServiceAccount.objects.create(tenant=actor.tenant, name=name)
        log.record(actor, "service_account.added", "service_account", service.id, name=name)
    return service


def create_token(
    actor: Actor,
    *,
    user: User | None = None,
    service: ServiceAccount | None = None,
    role: str,
    name: str,
    secret: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Make an API token; its text is returned this once. Admins make any, members their own. Raises Forbidden, Invalid.

    A user's token has the role that the user has. A service account's has any.
    """
    if (user is None) == (service is None):
        raise Invalid("user", "A token belongs to a user or to a service account.")
    if user is None or user.id != actor.id or actor.kind != "user":
        access.require(actor, Role.ADMIN)
    if role not in Role.values:
        raise Invalid("role", f"A role is one of {', '.join(Role.values)}.")
    _check_name("name", name, 100)
    if user and not access.all(Membership, actor).filter(user=user, active=True, role=role).exists():
        raise Invalid("role", f"{user.name} does not have the role {role} here.")
    if service and service.tenant_id != actor.tenant.id:
        raise access.NotFound("No such service account.")
    with transaction.atomic():
        token, text = tokens.create_token(
            actor.tenant, user=user, service=service, role=role, name=name, secret=secret, expires_at=expires_at
        )
        holder = user or service
        log.record(actor, "token.created", "token", token.id, role=role, prefix=token.prefix, holder=str(holder))
    return token, text


def revoke_token(actor: Actor, token_id: UUID | str) -> ApiToken:
    """End a token; again changes nothing. Admins end any, members their own. Raises Forbidden, NotFound."""
    with transaction.atomic():
        token = access.get(ApiToken, actor, for_update=True, id=token_id)
        if token.user_id is None or token.user_id != actor.id:
            access.require(actor, Role.ADMIN)
        if token.revoked_at is None:
            token.revoked_at = timezone.now()
            token.save(update_fields=["revoked_at"])
            log.record(actor, "token.revoked", "token", token.id, prefix=token.prefix)
    return token


def put_credential(
    actor: Actor,
    name: str,
    *,
    provider: str,
    base_url: str,
    api_key: str,
    region: str = "",
    zone: str = "",
    api_version: str = "",
    deployment: str = "",
    auth: str = "",
) -> Credential:
    """Make or replace a credential of the actor's tenant. Raises Forbidden, Invalid.

    ``provider`` "azure" is Azure OpenAI, and takes ``api_version``, ``deployment`` (by default the model's name) and
    ``auth`` ("key", or "token" for an Entra ID token); any other is reached as OpenAI is.

    An empty ``api_key`` keeps the key there is, so that a form need not show it to change the rest, unless the address
    changes: a key is never sent to a place that it was not given for.
    """
    access.require(actor, Role.ADMIN)
    _check_name("name", name, 100)
    _check_name("provider", provider, 60)
    _check_url(base_url)
    if not api_key.isprintable() or len(api_key) > 2000:
        raise Invalid("api_key", "The key is printable and at most 2000 characters.")
    for field, value in (("region", region), ("zone", zone)):
        if len(value) > 60 or not value.isprintable():
            raise Invalid(field, f"The {field} is at most 60 printable characters.")
    options = _azure(provider, base_url, {"api_version": api_version, "deployment": deployment, "auth": auth})
    with transaction.atomic():
        before = access.all(Credential, actor).select_for_update().filter(name=name).first()
        if not api_key and before is None:
            raise Invalid("api_key", "A new credential needs a key.")
        if not api_key and before is not None and before.base_url != base_url:
            raise Invalid("api_key", "Another address needs the key again.")
        fields: dict[str, Any] = {
            "provider": provider,
            "base_url": base_url,
            "options": options,
            "region": region.strip(),
            "zone": zone.strip(),
            "updated_by": actor.name[:200],
        }
        if api_key:
            fields["sealed_key"] = crypto.seal(actor.tenant.id, "credential", api_key.encode())
        credential, _ = Credential.objects.update_or_create(tenant=actor.tenant, name=name, defaults=fields)
        log.record(
            actor, "credential.put", "credential", credential.id,
            name=name, provider=provider, base_url=base_url, region=region, zone=zone, key_changed=bool(api_key),
            **options,
        )  # fmt: skip
    return credential


def _azure(provider: str, base_url: str, given: dict[str, str]) -> dict[str, str]:
    """What only Azure OpenAI takes, checked."""
    given = {name: value.strip() for name, value in given.items() if value.strip()}
    if provider != "azure":
        if given:
            raise Invalid(next(iter(given)), "Only the provider azure takes this.")
        return {}
    if not base_url:
        raise Invalid("base_url", "Azure OpenAI needs the resource's address, such as https://name.openai.azure.com.")
    given.setdefault("api_version", AZURE_API)
    for name, value in given.items():
        if len(value) > 100 or not value.isprintable():
            raise Invalid(name, "At most 100 printable characters.")
    if given.get("auth", "key") not in ("key", "token"):
        raise Invalid("auth", "This is key or token.")
    return given


def _check_name(field: str, value: str, limit: int) -> None:
    if not value.strip() or len(value) > limit or not value.isprintable():
        raise Invalid(field, f"The {field} is 1 to {limit} printable characters.")


def _check_url(base_url: str) -> None:
    """Syntax only: where a credential may reach is decided when a client is made."""
    if not base_url:
        return
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good or len(base_url) > 500 or not base_url.isprintable() or " " in base_url:
        raise Invalid("base_url", "The address is an http or https URL of at most 500 characters.")
    if parts.username or parts.password:
        raise Invalid("base_url", "The address carries no user or password; the key goes into its own field.")


def api_key_of(credential: Credential) -> str:
    """The key in the clear, for the client that is about to use it. Raises crypto.SealError."""
    return crypto.unseal(credential.tenant_id, "credential", credential.sealed_key).decode()
