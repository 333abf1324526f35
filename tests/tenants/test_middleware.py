"""Who is asking, over HTTP: sessions, tokens, the scope around a response, and what is rolled back."""

import pytest
import redis
from django.db import connection
from django.test import Client

from console.tenants import actions, limits
from console.tenants.models import ServiceAccount
from tests.world import PASSWORD, Api

pytestmark = pytest.mark.urls("tests.tenants.urls")


@pytest.fixture(autouse=True)
def a_login_page(settings, tmp_path):
    (tmp_path / "login-of-tests.html").write_text("{{ form.errors }}")
    for name in ("403.html", "404.html", "500.html"):
        (tmp_path / name).write_text("{{ exception }}")
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [tmp_path], "APP_DIRS": False}]


def names(house):
    with house.scope():
        return sorted(ServiceAccount.objects.values_list("name", flat=True))


# --- pages ---


def test_a_stranger_is_sent_to_log_in_and_back(world):
    answer = Client().get("/who/?a=1")
    assert (answer.status_code, answer["Location"]) == (302, "/login/?next=/who/%3Fa%3D1")
    assert Client().post("/write/well/")["Location"] == "/login/?next=/"
    htmx = Client().get("/who/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/queue/?x=1"})
    assert (htmx.status_code, htmx["HX-Redirect"]) == (401, "/login/?next=/queue/")
    assert Client().get("/healthz").content == b"ok"
    assert names(world.northwind) == []


def test_a_member_is_an_actor(world):
    member = world.northwind.reviewer
    assert member.client.get("/who/").json() == {
        "tenant": "northwind", "role": "reviewer", "kind": "user", "id": str(member.user.id), "tenants": ["northwind"],
    }  # fmt: skip


def test_what_a_tenant_is_shown_is_kept_in_no_cache(world):
    assert world.northwind.reviewer.client.get("/who/")["Cache-Control"] == "private, no-store"
    assert world.northwind.reviewer.api.get("/api/nothing/")["Cache-Control"] == "private, no-store"
    assert "Cache-Control" not in Client().get("/healthz")


def test_logging_in_renews_the_session_and_logging_out_is_a_post(world):
    client = Client()
    client.cookies["sayso_session"] = "fixed-by-somebody-else-0000000000"
    answer = client.post("/login/", {"username": "reviewer.northwind", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/queue/")
    key = client.cookies["sayso_session"].value
    assert key != "fixed-by-somebody-else-0000000000"
    assert client.cookies["sayso_session"]["httponly"] is True
    assert client.get("/who/").json()["role"] == "reviewer"
    assert client.get("/logout/").status_code == 405
    assert client.get("/who/").status_code == 200
    assert client.post("/logout/").status_code == 302
    assert client.get("/who/").status_code == 302
    client.cookies["sayso_session"] = key
    assert client.get("/who/").status_code == 302


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "nobody"}, {"username": "a\x00"}])
def test_a_wrong_password_is_nobody(world, wrong):
    client = Client()
    good = {"username": "reviewer.northwind", "password": PASSWORD}
    assert client.post("/login/", good | wrong).status_code == 200
    assert client.get("/who/").status_code == 302


def test_login_goes_to_no_other_site(world):
    good = {"username": "reviewer.northwind", "password": PASSWORD}
    assert Client().post("/login/?next=https://evil.example/", good)["Location"] == "/queue/"


def test_switching_among_ones_own_tenants_only(world):
    member = world.northwind.reviewer
    with world.fabrikam.scope():
        actions.add_member(world.fabrikam.admin.actor, member.user, "operator")
    client = Client()
    client.force_login(member.user)
    assert client.get("/who/").json()["tenant"] == "fabrikam"  # the first by name
    assert client.post("/switch/northwind/").content == b"Northwind"
    assert client.get("/who/").json() | {"id": ""} == {
        "tenant": "northwind", "role": "reviewer", "kind": "user", "id": "", "tenants": ["fabrikam", "northwind"],
    }  # fmt: skip
    with world.northwind.scope():
        actions.remove_member(world.northwind.admin.actor, member.user.id)
    assert client.get("/who/").json()["tenant"] == "fabrikam"
    assert client.post("/switch/northwind/").status_code == 404
    assert world.northwind.admin.client.post("/switch/fabrikam/").status_code == 404


def test_who_belongs_nowhere_gets_no_page_but_can_leave(world):
    answer = world.stranger.get("/who/")
    assert answer.status_code == 403
    assert b"not a member of any tenant" in answer.content
    assert world.stranger.post("/write/well/").status_code == 403
    assert world.stranger.get("/nowhere/").status_code in (403, 404)
    assert world.stranger.post("/logout/").status_code == 302


def test_the_scope_is_still_there_when_the_template_is_rendered(world):
    world.northwind.service("alpha")
    world.fabrikam.service("beta")
    assert world.northwind.reviewer.client.get("/lazy/").content == b"alpha;"
    assert world.fabrikam.reviewer.client.get("/lazy/").content == b"beta;"


@pytest.mark.parametrize(
    ("how", "status"), [("well", 200), ("raises", 500), ("forbidden", 403), ("answers-422", 422), ("answers-500", 500)]
)
def test_a_failed_page_has_written_nothing(world, how, status):
    client = world.northwind.reviewer.client
    client.raise_request_exception = False
    assert client.post(f"/write/{how}/").status_code == status
    assert names(world.northwind) == (["page well"] if how == "well" else [])


@pytest.mark.django_db(transaction=True)
def test_a_failed_page_rolls_back_for_good(world):
    client = world.northwind.reviewer.client
    client.raise_request_exception = False
    assert client.post("/write/raises/").status_code == 500
    assert not connection.in_atomic_block
    assert names(world.northwind) == []
    assert client.post("/write/well/").status_code == 200
    assert names(world.northwind) == ["page well"]


# --- the API ---


def test_a_token_is_an_actor_and_a_session_is_none(world):
    answer = world.northwind.operator.api.get("/api/v1/who").json()
    assert (answer["tenant"], answer["role"], answer["kind"]) == ("northwind", "operator", "token")
    assert world.northwind.operator.client.get("/api/v1/who").status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer sayso_x", "Bearer \x00", "Bearer é"])
def test_no_good_token_is_401(world, header):
    answer = Client(headers={"Authorization": header}).get("/api/v1/who")
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["status"] == 401


def test_wrong_tenant_404_wrong_role_403_and_both_are_problems(world):
    service, _ = world.northwind.service("alpha")
    path = f"/api/v1/things/{service.id}"
    assert world.northwind.operator.api.get(path).json() == {"name": "alpha"}
    for api, where, status in (
        (world.fabrikam.operator.api, path, 404),
        (world.northwind.operator.api, "/api/v1/things/nonsense", 404),
        (world.northwind.reviewer.api, path, 403),
    ):
        answer = api.get(where)
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status


@pytest.mark.parametrize(("then", "status"), [("", 201), ("refuse", 409), ("raise", 404)])
def test_a_call_that_reports_an_error_has_changed_nothing(world, then, status):
    assert world.northwind.operator.api.post("/api/v1/things", {"name": "x", "then": then}).status_code == status
    assert names(world.northwind) == (["x"] if status == 201 else [])


def test_a_token_has_its_calls_a_minute(world, settings):
    settings.SAYSO_RATE_LIMIT = 3
    moments = [1_000_000_000.0 + second for second in (0, 1, 2, 3, 19, 20)]  # the minute ends at ...020
    key = world.northwind.operator.token[-32:]
    assert [limits.take(key, now) for now in moments] == [None, None, None, 17, 1, None]
    assert limits.take("another" + key, moments[3]) is None


def test_too_many_calls_are_429_with_retry_after(world, settings):
    settings.SAYSO_RATE_LIMIT = 0
    answer = world.northwind.operator.api.get("/api/v1/who")
    assert (answer.status_code, answer["Content-Type"]) == (429, "application/problem+json")
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_the_limiter_lets_calls_through_when_redis_is_gone(world, monkeypatch):
    gone = redis.Redis.from_url("unix:///nowhere/redis.sock")
    monkeypatch.setattr(limits, "_client", lambda: gone)  # the process's own client stays, with its open connection
    assert world.northwind.operator.api.get("/api/v1/who").status_code == 200


def test_a_token_sent_in_the_address_is_nobody(world):
    assert Api(None).get("/api/v1/who", token=world.northwind.operator.token).status_code == 401
