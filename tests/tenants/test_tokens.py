"""API tokens, from their making to their end."""

from datetime import timedelta

import pytest
from django.utils import timezone

from console.audit.models import AuditRecord
from console.tenants import actions, tokens
from console.tenants.access import Forbidden, NotFound
from console.tenants.models import ApiToken, ServiceAccount
from console.tenants.scopes import system_scope


def everything():
    with system_scope("a test"):
        return list(ApiToken.objects.order_by("created_at"))


def test_a_token_is_its_holder_in_its_tenant(world):
    member = world.northwind.reviewer
    actor = tokens.authenticate(member.token)
    assert (actor.tenant, actor.role, actor.kind, actor.id, actor.name) == (
        world.northwind.tenant, "reviewer", "token", member.user.id, "Reviewer",
    )  # fmt: skip
    service, text = world.fabrikam.service("nightly", role="admin")
    actor = tokens.authenticate(text)
    assert (actor.tenant, actor.role, actor.id, actor.name) == (world.fabrikam.tenant, "admin", service.id, "nightly")


def test_only_a_digest_is_kept(world):
    text = world.northwind.reviewer.token
    (token,) = everything()
    secret = text.split("_", 2)[2]
    assert (token.prefix, token.digest) == (secret[:6], tokens.digest_of(text))
    assert secret not in str(token.__dict__)
    with world.northwind.scope():
        assert secret not in str(list(AuditRecord.objects.values()))


def test_what_is_no_token_is_nobody(world):
    text = world.northwind.reviewer.token
    north, fab = world.northwind.tenant.id.hex, world.fabrikam.tenant.id.hex
    for wrong in (
        "",
        "sayso_",
        text[:-1],
        text + "A",
        text.upper(),
        text.replace(north, fab),
        f"sayso_{north}_" + "x" * 43,
    ):
        assert tokens.authenticate(wrong) is None


def test_expired_and_revoked_tokens_are_nobody(world):
    north, now = world.northwind, timezone.now()
    with north.scope():
        make = {"user": north.reviewer.user, "role": "reviewer", "name": "t"}
        old, old_text = actions.create_token(north.admin.actor, **make, expires_at=now - timedelta(seconds=1))
        new, new_text = actions.create_token(north.admin.actor, **make, expires_at=now + timedelta(hours=1))
    assert tokens.authenticate(old_text) is None
    assert tokens.authenticate(new_text) is not None
    with north.scope():
        assert actions.revoke_token(north.reviewer.actor, new.id).revoked_at is not None
        actions.revoke_token(north.reviewer.actor, new.id)
        assert AuditRecord.objects.filter(action="token.revoked").count() == 1
    assert tokens.authenticate(new_text) is None


def test_a_token_ends_with_its_holders_role(world):
    north = world.northwind
    text = north.reviewer.token
    with north.scope():
        actions.add_member(north.admin.actor, north.reviewer.user, "operator")
    assert tokens.authenticate(text) is None
    with north.scope():
        actions.add_member(north.admin.actor, north.reviewer.user, "reviewer")
    assert tokens.authenticate(text) is not None
    with north.scope():
        actions.remove_member(north.admin.actor, north.reviewer.user.id)
    assert tokens.authenticate(text) is None

    text = north.operator.token
    north.operator.user.is_active = False
    north.operator.user.save()
    assert tokens.authenticate(text) is None

    service, text = north.service()
    with north.scope():
        ServiceAccount.objects.filter(id=service.id).update(active=False)
    assert tokens.authenticate(text) is None


def test_use_is_noted_to_the_minute(world):
    text = world.northwind.reviewer.token
    tokens.authenticate(text)
    (first,) = everything()
    assert timezone.now() - first.last_used_at < timedelta(minutes=1)
    tokens.authenticate(text)
    assert everything()[0].last_used_at == first.last_used_at
    with world.northwind.scope():
        ApiToken.objects.update(last_used_at=timezone.now() - timedelta(minutes=2))
    tokens.authenticate(text)
    assert everything()[0].last_used_at > first.last_used_at


def test_who_may_make_and_end_which(world):
    north, fab = world.northwind, world.fabrikam
    make = {"role": "reviewer", "name": "t"}
    with north.scope():
        token, _ = actions.create_token(north.reviewer.actor, user=north.reviewer.user, **make)
        with pytest.raises(Forbidden):
            actions.create_token(north.reviewer.actor, user=north.reviewer2.user, **make)
        with pytest.raises(actions.Invalid, match="does not have the role admin"):
            actions.create_token(north.reviewer.actor, user=north.reviewer.user, role="admin", name="t")
        with pytest.raises(actions.Invalid, match="does not have the role"):
            actions.create_token(north.admin.actor, user=fab.reviewer.user, **make)
        with pytest.raises(actions.Invalid, match="a user or to a service account"):
            actions.create_token(north.admin.actor, **make)
        with pytest.raises(actions.Invalid, match="one of"):
            actions.create_token(north.admin.actor, user=north.reviewer.user, role="god", name="t")
        with pytest.raises(Forbidden):
            actions.revoke_token(north.reviewer2.actor, token.id)
        as_token = tokens.authenticate(north.reviewer.token)
        with pytest.raises(Forbidden):  # a leaked token makes no more of its kind
            actions.create_token(as_token, user=north.reviewer.user, **make)
    with fab.scope(), pytest.raises(NotFound):
        actions.revoke_token(fab.admin.actor, token.id)
    with north.scope():
        actions.revoke_token(north.admin.actor, token.id)
    service, _ = fab.service()
    with north.scope(), pytest.raises(NotFound):
        actions.create_token(north.admin.actor, service=service, **make)


def test_a_given_secret_is_long_and_plain(world):
    north = world.northwind
    make = {"user": north.admin.user, "role": "admin", "name": "demo"}
    with north.scope():
        _, text = actions.create_token(north.admin.actor, **make, secret="a" * 32)
        assert text == f"sayso_{north.tenant.id.hex}_{'a' * 32}"
        for bad in ("short", "ü" * 40, "a b" * 20):
            with pytest.raises(ValueError, match="32 to 200"):
                actions.create_token(north.admin.actor, **make, secret=bad)
    assert tokens.authenticate(text).role == "admin"
