"""A first password, which an admin knows: it is changed before anything else is shown."""

from __future__ import annotations

import pytest
from django.test import Client

from console.audit.models import AuditRecord
from console.demo import seed
from console.tenants import actions, people_actions
from console.tenants.models import User
from console.tenants.sockets import actor_for_websocket
from tests.tenants.test_sockets import handshake
from tests.world import PASSWORD, Api, House, World

PAGE = "/you/password/"
NEW = "harbour-lantern-42"


@pytest.fixture
def invited(world: World) -> tuple[User, str]:
    """Somebody who was just added to northwind, and their first password."""
    north = world.northwind
    with north.scope():
        return people_actions.invite(north.admin.actor, "nia", name="Nia Moe", role="reviewer")


def logged_in(name: str, password: str, after: str = "") -> Client:
    client = Client()
    answer = client.post("/login/", {"username": name, "password": password, "next": after})
    assert (answer.status_code, answer["Location"]) == (302, after or "/queue/")
    return client


def change(client: Client, old: str, new: str = NEW, **more: str) -> tuple[int, str]:
    answer = client.post(PAGE, {"old": old, "new": new, "again": new, **more})
    return answer.status_code, answer.get("Location", "") or answer.content.decode()


def test_nothing_else_opens_until_it_is_changed(invited: tuple[User, str]) -> None:
    _, password = invited
    client = logged_in("nia", password)
    for path in ("/", "/queue/", "/people/", "/you/", "/runs/new/", "/nothing/", "/login/"):
        answer = client.get(path, follow=True)
        assert answer.redirect_chain[-1][0].startswith(PAGE) and len(answer.redirect_chain) <= 2, path
        page = answer.content.decode()
        assert answer.status_code == 200 and "Choose one of your own: until then nothing else opens." in page
        assert 'aria-label="Main"' not in page and "ws-connect" not in page and "<script" not in page
    assert client.post("/runs/new/", {"workflow": "refund-desk"})["Location"] == f"{PAGE}?next=/"
    assert client.head("/queue/")["Location"] == f"{PAGE}?next=/queue/"
    assert change(client, password) == (302, "/queue/")
    assert client.get("/queue/").status_code == client.get(PAGE).status_code == 200
    assert b"Password until now" in client.get(PAGE).content
    again = logged_in("nia", NEW)
    assert again.get("/queue/").status_code == 200
    user = User.objects.get(username="nia")
    assert not user.first_password and user.check_password(NEW)


def test_one_goes_on_where_one_was_going(invited: tuple[User, str]) -> None:
    client = logged_in("nia", invited[1], "/runs/?status=waiting")
    answer = client.get("/runs/?status=waiting")
    assert answer["Location"] == f"{PAGE}?next=/runs/%3Fstatus%3Dwaiting"
    assert 'value="/runs/?status=waiting"' in client.get(answer["Location"]).content.decode()
    assert change(client, invited[1], next="https://evil.example/")[1] == "/queue/"


@pytest.mark.parametrize(
    ("old", "new", "again", "said"),
    [
        ("wrong", NEW, NEW, "This is not your password."),
        ("", "", "", "This is not your password."),
        ("{first}", "{first}", "{first}", "This is the password you have. Choose another."),
        ("{first}", "short", "short", "too short"),
        ("{first}", "nia-moe-nia", "another-one", "This is not the same."),
        ("{first}", "a\x00" * 3, "a\x00" * 3, "too short"),
        ("{first}" + "\x00", "{first}" + "\x00", "{first}" + "\x00", "Choose another."),
    ],
)
def test_what_is_wrong_changes_nothing(invited: tuple[User, str], old: str, new: str, again: str, said: str) -> None:
    user, first = invited
    client = logged_in("nia", first)
    given = {"old": old.format(first=first), "new": new.format(first=first), "again": again.format(first=first)}
    answer = client.post(PAGE, given | {"next": "/runs/"})
    page = answer.content.decode()
    assert answer.status_code == 422 and said in page and "aria-invalid" in page and 'value="/runs/"' in page
    assert client.get("/queue/")["Location"].startswith(PAGE)
    user.refresh_from_db()
    assert user.first_password and user.check_password(first)
    assert first not in page


def test_sent_twice_it_is_changed_once(world: World, invited: tuple[User, str]) -> None:
    client = logged_in("nia", invited[1])
    assert change(client, invited[1])[0] == 302
    status, page = change(client, invited[1], "another-lantern-43")
    assert status == 422 and "Password until now" in page
    assert User.objects.get(username="nia").check_password(NEW)
    with world.northwind.scope():
        assert AuditRecord.objects.filter(action="member.password").count() == 1


def test_a_fragment_sends_the_whole_page_there(invited: tuple[User, str]) -> None:
    client = logged_in("nia", invited[1])
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/queue/?x=1"}
    for answer in (client.get("/queue/", headers=headers), client.post("/queue/views/", headers=headers)):
        assert (answer.status_code, answer["HX-Redirect"], answer.content) == (403, f"{PAGE}?next=/queue/", b"")


def test_no_socket_listens_until_it_is_changed(invited: tuple[User, str]) -> None:
    client = logged_in("nia", invited[1])
    assert actor_for_websocket(handshake(client)) is None
    change(client, invited[1])
    actor = actor_for_websocket(handshake(client))
    assert actor is not None and actor.name == "Nia Moe"


def test_one_can_log_out_instead(invited: tuple[User, str]) -> None:
    client = logged_in("nia", invited[1])
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get(PAGE)["Location"].startswith("/login/")


def test_a_token_goes_on(world: World, invited: tuple[User, str]) -> None:
    north: House = world.northwind
    with north.scope():
        _, text = actions.create_token(north.admin.actor, user=invited[0], role="reviewer", name="script")
    assert Api(text).get("/api/v1/me").json()["name"] == "Nia Moe"
    assert Api(text).get("/api/v1/approvals").status_code == 200


def test_everybody_else_is_left_alone(world: World) -> None:
    for member in world.northwind.members:
        assert member.client.get("/queue/").status_code == 200
    assert not User.objects.filter(first_password=True).exists()
    client = Client()
    client.force_login(world.outsider)
    User.objects.filter(pk=world.outsider.pk).update(first_password=True)
    assert client.get("/queue/").status_code == client.get(PAGE).status_code == 403


def test_a_member_who_comes_back_keeps_what_they_have(world: World) -> None:
    north = world.northwind
    with north.scope():
        actions.remove_member(north.admin.actor, north.operator.user.id)
        assert people_actions.invite(north.admin.actor, "operator.northwind", role="operator")[1] == ""
    assert logged_in("operator.northwind", PASSWORD).get("/queue/").status_code == 200


def test_the_page_of_people_says_so(world: World) -> None:
    given = {"do": "invite", "username": "nia", "name": "Nia", "role": "operator"}
    page = world.northwind.admin.client.post("/people/", given).content.decode()
    assert "When they first log in they choose one of their own" in page
    assert User.objects.get(username="nia").first_password
    refused = world.northwind.operator.client.post("/people/", given | {"username": "noa"})
    assert refused.status_code == 403 and not User.objects.filter(username="noa").exists()


def test_the_demo_s_people_click_straight_through(world: World) -> None:
    seed.seed()
    assert User.objects.filter(username="rita", first_password=False).exists()
