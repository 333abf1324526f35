"""The platform admin's pages: numbers of every tenant, none of their content, and a look inside for a reason on record."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from approvals.models import Sighting
from console.audit.models import AuditRecord
from console.platform import figures
from console.runs.models import Run
from console.tenants import platform
from console.tenants.models import Membership, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.tenants.sockets import actor_for_websocket
from telemetry.alerts import across
from telemetry.alerts.models import Incident, Silence
from tests.approvals.desk import Desk, refund
from tests.nonsense import TEXTS
from tests.world import World, make_user

NEW = {
    "slug": "adatum",
    "name": "Adatum & Søn",
    "username": "anna",
    "person": "Anna Lind",
    "email": "anna@adatum.example",
}
REASON = "Ticket 4711: runs end as model_error"


@pytest.fixture
def petra(world: World) -> Client:
    """A browser of a platform admin who is a member nowhere."""
    user = make_user("petra")
    user.is_superuser = True
    user.save()
    client = Client()
    client.force_login(user)
    return client


def text_of(answer: Any, status: int = 200) -> str:
    assert answer.status_code == status, answer.content.decode()[:500]
    return answer.content.decode()


def records(tenant: Tenant, action: str) -> list[AuditRecord]:
    with tenant_scope(tenant):
        return list(AuditRecord.objects.filter(tenant_id=tenant.id, action=action))


def test_it_is_there_for_platform_admins_alone(world: World, petra: Client) -> None:
    text_of(petra.get("/platform/"))
    for member in (*world.northwind.members, *world.fabrikam.members):
        assert member.client.get("/platform/").status_code == 404
        assert member.client.post("/platform/", NEW).status_code == 404
        assert member.client.post("/platform/fabrikam/enter/", {"reason": REASON}).status_code == 404
        assert member.client.post("/platform/leave/").status_code == 404
    assert world.stranger.get("/platform/").status_code == 404
    assert Client().get("/platform/").status_code == 302
    assert petra.get("/queue/").headers["Location"] == "/platform/"
    assert petra.get("/platform/leave/").status_code == 405
    User.objects.filter(username="petra").update(is_superuser=False)
    assert petra.get("/platform/").status_code == 404


def test_it_shows_numbers_and_no_content(desk: Desk, petra: Client) -> None:
    desk.waiting(refund(40.0), refund(70.0, n=1))
    queued = desk.start("Refund to Ingrid Olsen")
    with desk.house.scope():
        Run.objects.filter(pk=queued.pk).update(ready_at=timezone.now() - timedelta(minutes=7))
        failed = desk.start("Say nothing")
        Run.objects.filter(pk=failed.pk).update(status="failed", stop_reason="model_error", ended_at=timezone.now())
    (_, one) = figures.tenants().tenants
    assert one.tenant.slug == "northwind" and one.runs == {"queued": 1, "running": 0, "waiting": 1}
    assert (one.pending, one.in_doubt, one.ended_badly) == (2, 0, 1) and one.active_at
    page = text_of(petra.get("/platform/"))
    assert "Northwind" in page and "Fabrikam" in page and "7 min" in page
    assert "Ingrid" not in page and "Refund" not in page and "A-17" not in page


def test_a_thousand_tenants_cost_as_many_queries_as_two(
    world: World, petra: Client, django_assert_num_queries: Any
) -> None:
    figures.tenants()
    with django_assert_num_queries(10):
        assert figures.tenants().count == 2
    with system_scope("a test"):
        Tenant.objects.bulk_create(Tenant(slug=f"t-{n:04}", name=f"Tenant {n}" * 12) for n in range(1000))
    with django_assert_num_queries(10):
        page = figures.tenants()
    assert (page.count, len(page.tenants), page.next) == (1002, 50, "t-0047")
    assert figures.tenants(after=page.next).tenants[0].tenant.slug == "t-0048"
    assert [one.tenant.slug for one in figures.tenants("northw").tenants] == ["northwind"]
    assert "The next 50" in text_of(petra.get("/platform/"))
    assert "No tenant is called so" in text_of(petra.get("/platform/?q=nobody"))


def test_a_tenant_is_made_with_its_first_admin(petra: Client) -> None:
    page = text_of(petra.post("/platform/", NEW))
    assert "Adatum &amp; Søn is there" in page
    password = page.partition('id="first-password">')[2].partition("<")[0]
    with system_scope("a test"):
        tenant = Tenant.objects.get(slug="adatum")
        (member,) = Membership.objects.select_related("user").filter(tenant=tenant)
    assert (member.user.username, member.user.name, member.role) == ("anna", "Anna Lind", "admin")
    assert member.user.first_password and member.user.check_password(password)
    (made,) = records(tenant, "platform.created")
    assert made.actor_name == "Petra" and password not in str(made.detail)
    again = text_of(petra.post("/platform/", NEW | {"username": "other"}), 422)
    assert "There is a tenant adatum already" in again


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("slug", "", "1 to 60 small letters"),
        ("slug", "Two Words", "1 to 60 small letters"),
        ("slug", "x" * 61, "1 to 60 small letters"),
        ("name", " ", "1 to 200 printable"),
        ("name", "x" * 201, "1 to 200 printable"),
        ("username", "", "A user name is"),
        ("username", "admin.northwind", "This user name is taken"),
        ("email", "nobody", "no e-mail address"),
    ],
)
def test_what_makes_no_tenant_says_why_and_makes_nothing(petra: Client, field: str, value: str, says: str) -> None:
    assert says in text_of(petra.post("/platform/", NEW | {field: value}), 422)
    with system_scope("a test"):
        assert not Tenant.objects.filter(slug="adatum").exists()
    assert not User.objects.filter(username="anna").exists()


def test_a_look_inside_takes_a_reason_and_can_change_nothing(desk: Desk, petra: Client) -> None:
    run, (request,) = desk.waiting(refund(40.0))
    for short in ("", "because", " " * 30, "\x00" * 30, "x" * 501):
        assert "Say in 10 to 500" in text_of(petra.post("/platform/northwind/enter/", {"reason": short}), 422)
    assert petra.get("/runs/").status_code == 302
    assert petra.post("/platform/nowhere/enter/", {"reason": REASON}).status_code == 404
    assert petra.post("/platform/northwind/enter/", {"reason": REASON}).headers["Location"] == "/runs/"
    (entered,) = records(desk.house.tenant, "platform.entered")
    assert entered.actor_name == "Petra" and entered.detail["reason"] == REASON
    places = (
        "/queue/",
        f"/queue/{request.pk}/",
        "/runs/",
        f"/runs/{run.pk}/",
        "/people/",
        "/audit/",
        "/workflows/",
        "/events/",
    )
    for path in (*places, "/rules/", "/tools/", "/standing/", "/workflows/refund-desk/"):
        page = text_of(petra.get(path))
        assert "You look into Northwind as a platform admin" in page and REASON in page, path
    with desk.house.scope():
        assert not Sighting.objects.exists()
    for path in ("/credentials/", "/limits/", "/runs/new/"):
        assert petra.get(path).status_code == 403, path
    for path in (
        f"/queue/{request.pk}/decide/",
        f"/runs/{run.pk}/cancel/",
        "/runs/new/",
        "/people/",
        "/switch/fabrikam/",
    ):
        assert petra.post(path, {"verdict": "approve", "reason": "x"}).status_code == 403, path
    assert desk.request(request).status == "pending"
    assert petra.post("/platform/leave/").headers["Location"] == "/platform/"
    assert petra.post("/platform/leave/").status_code == 302
    assert len(records(desk.house.tenant, "platform.left")) == 1
    assert petra.get("/runs/").headers["Location"] == "/platform/"


def test_a_look_ends_after_an_hour_and_with_the_right(
    world: World, petra: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    petra.post("/platform/northwind/enter/", {"reason": REASON})
    assert petra.get("/runs/").status_code == 200
    User.objects.filter(username="petra").update(is_superuser=False)
    assert petra.get("/runs/").status_code == 403
    User.objects.filter(username="petra").update(is_superuser=True)
    assert petra.get("/runs/").status_code == 200
    later = timezone.now() + timedelta(minutes=61)
    monkeypatch.setattr(platform.timezone, "now", lambda: later)
    assert petra.get("/runs/").status_code == 302


def test_a_platform_admin_who_is_a_member_keeps_their_role(world: World) -> None:
    User.objects.filter(pk=world.northwind.operator.user.pk).update(is_superuser=True)
    client = world.northwind.operator.client
    assert "platform admin" in text_of(client.get("/platform/"))
    assert "Start a run" in text_of(client.get("/runs/"))


@pytest.mark.parametrize("text", TEXTS)
def test_nonsense_is_refused(petra: Client, text: str) -> None:
    for name in NEW:
        answer = petra.post("/platform/", NEW | {name: text, "slug": "Not a slug"})
        assert answer.status_code in (400, 413, 422)
    assert petra.post("/platform/northwind/enter/", {"reason": text}).status_code in (302, 400, 413, 422)
    assert petra.get("/platform/", {"q": text, "after": text}).status_code in (200, 400)


def test_the_command_makes_and_unmakes_one(world: World) -> None:
    said = io.StringIO()
    call_command("add_platform_admin", "paul", stdout=said)
    user = User.objects.get(username="paul")
    password = said.getvalue().partition("password: ")[2].split()[0]
    assert user.is_superuser and user.first_password and user.check_password(password)
    client = Client()
    client.force_login(user)
    assert client.get("/platform/").headers["Location"].startswith("/you/password/")
    text_of(client.get("/you/password/"))
    client.post("/you/password/", {"old": password, "new": "a long new password", "again": "a long new password"})
    assert client.get("/platform/").status_code == 200
    call_command("add_platform_admin", "paul", "--remove", stdout=said)
    assert client.get("/platform/").status_code == 404


def test_a_look_inside_hears_what_happens_and_no_longer_than_it_lasts(world: World, petra: Client) -> None:
    scope = {"headers": [(b"cookie", f"sayso_session={petra.cookies['sayso_session'].value}".encode())]}
    assert actor_for_websocket(scope) is None
    petra.post("/platform/northwind/enter/", {"reason": REASON})
    actor = actor_for_websocket(scope)
    assert actor is not None and (actor.tenant, actor.role) == (world.northwind.tenant, platform.VISITOR)
    petra.post("/platform/leave/")
    assert actor_for_websocket(scope) is None


def test_what_fires_in_all_tenants_is_told_in_numbers(
    world: World, petra: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none in any tenant" in text_of(petra.get("/platform/"))
    now = timezone.now()

    def fires(house: Any, rule: str, severity: str, hours: int) -> None:
        with house.scope():
            Incident.objects.create(
                tenant=house.tenant, rule_id=UUID(int=len(rule)), name=rule, figure="abnormal", severity=severity,
                remind_hours=24, created_at=now - timedelta(hours=hours), first=9, worst=9, latest=9, window_start=now,
                window_end=now, because="Mostly Ingrid",
            )  # fmt: skip

    fires(world.northwind, "Known", "high", 9)
    fires(world.northwind, "Refunds of Ingrid", "medium", 3)
    fires(world.fabrikam, "Bad", "high", 2)
    fires(world.fabrikam, "Worse", "high", 1)
    with world.fabrikam.scope():
        over = Incident.objects.filter(name="Worse")
        over.update(ended_at=now)
        fires(world.fabrikam, "Again", "low", 5)
    with world.northwind.scope():
        Silence.objects.create(
            tenant=world.northwind.tenant, rule_id=UUID(int=len("Known")), reason="We know", created_at=now,
            until=now + timedelta(hours=1), created_by="Olga",
        )  # fmt: skip
    found = across.firing(now)
    assert [(one.slug, one.by, one.silent) for one in found.worst] == [
        ("fabrikam", {"high": 1, "medium": 0, "low": 1}, 0),
        ("northwind", {"high": 0, "medium": 1, "low": 0}, 1),
    ]
    assert found.worst[0].since == now - timedelta(hours=5) and found.worst[1].since == now - timedelta(hours=3)
    assert (found.tenants, found.by, found.silent) == (2, {"high": 1, "medium": 1, "low": 1}, 1)
    shown = " ".join(text_of(petra.get("/platform/")).split())
    assert "2 tenants: 1 high, 1 medium, 1 low, 1 silent" in shown and "/platform/?q=fabrikam#why-fabrikam" in shown
    assert "Ingrid" not in shown and "Known" not in shown and "We know" not in shown
    later = across.firing(now + timedelta(hours=2))  # the silence is over
    assert later.by == {"high": 2, "medium": 1, "low": 1} and later.silent == 0
    monkeypatch.setattr(across, "MOST", 1)
    assert "The 1 worst of 2 tenants." in text_of(petra.get("/platform/"))
