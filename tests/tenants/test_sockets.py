"""Who is at the other end of a websocket."""

import pytest
from django.test import Client

from console.tenants import actions
from console.tenants.sockets import actor_for_websocket


def handshake(client=None, **headers):
    found = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    if client is not None:
        found[b"cookie"] = f"theme=dark; sayso_session={client.cookies['sayso_session'].value}; x=y".encode()
    return {"type": "websocket", "path": "/ws/queue/", "headers": list(found.items())}


def test_a_session_is_its_user_in_its_tenant(world):
    member = world.northwind.reviewer
    assert actor_for_websocket(handshake(member.client)) == member.actor
    assert actor_for_websocket(handshake(world.stranger)) is None
    member.client.logout()


def test_a_token_is_its_holder(world):
    actor = actor_for_websocket(handshake(Authorization=f"Bearer {world.fabrikam.operator.token}"))
    assert (actor.tenant, actor.role, actor.kind) == (world.fabrikam.tenant, "operator", "token")


def test_a_bad_token_is_nobody_whatever_the_cookie(world):
    scope = handshake(world.northwind.reviewer.client, authorization="Bearer sayso_nonsense")
    assert actor_for_websocket(scope) is None


@pytest.mark.parametrize(
    "cookie", ["", "sayso_session=", "sayso_session=nonsense", "a=b", '"; =;;sayso_session="', "\xff\x00"]
)
def test_no_good_cookie_is_nobody(world, cookie):
    assert actor_for_websocket(handshake(cookie=cookie)) is None


def test_asked_again_it_hears_of_changes(world):
    north, member = world.northwind, world.northwind.reviewer
    scope = handshake(member.client)
    assert actor_for_websocket(scope) is not None
    with north.scope():
        actions.add_member(north.admin.actor, member.user, "operator")
    assert actor_for_websocket(scope).role == "operator"
    with north.scope():
        actions.remove_member(north.admin.actor, member.user.id)
    assert actor_for_websocket(scope) is None


def test_a_changed_password_ends_other_sessions(world):
    member = world.northwind.reviewer
    scope = handshake(member.client)
    member.user.set_password("another one entirely")
    member.user.save()
    assert actor_for_websocket(scope) is None


def test_logging_out_ends_the_session(world):
    client = Client()
    client.force_login(world.northwind.reviewer.user)
    scope = handshake(client)
    assert actor_for_websocket(scope) is not None
    client.logout()
    assert actor_for_websocket(scope) is None
