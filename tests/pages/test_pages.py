"""Every page: who may open it, what it answers to the wrong method, tenant, role and moment, and what a list costs."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from approvals import listing
from approvals.models import ApprovalRequest, Sighting
from console.audit.models import AuditRecord
from console.runs.models import Run
from console.tenants.actions import add_member
from console.tenants.models import TenantLimits
from console.tenants.sessions import FAILURES
from tests.approvals.desk import Desk, asking, make_desk, refund
from tests.world import PASSWORD, World


def places(desk: Desk) -> list[str]:
    """One address of every page that any member may read."""
    run, [request] = desk.waiting(refund())
    return [
        "/queue/",
        f"/queue/{request.pk}/",
        "/runs/",
        f"/runs/{run.pk}/",
        "/workflows/",
        "/workflows/refund-desk/",
        "/audit/",
    ]


def test_every_member_may_read(desk: Desk, world: World) -> None:
    for path in places(desk):
        for member in world.northwind.members:
            assert member.client.get(path).status_code == 200, (path, member.role)
        assert member.client.post(path).status_code == 405, path


def test_a_head_is_answered_like_a_get_and_opens_nothing(desk: Desk, world: World) -> None:
    for path in [*places(desk), "/runs/new/", "/credentials/"]:
        answer = world.northwind.admin.client.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
    assert Client().head("/login/").status_code == 200
    with world.northwind.scope():
        assert not Sighting.objects.exists()


def test_coming_going_and_being_refused_are_recorded(world: World) -> None:
    north, fabrikam, client = world.northwind, world.fabrikam, Client()
    user = north.reviewer.user
    with fabrikam.scope():
        add_member(fabrikam.admin.actor, user, "reviewer")
    client.post("/login/", {"username": user.username, "password": "wrong-one"})
    client.post("/login/", {"username": "my-password-by-mistake", "password": PASSWORD})
    client.post("/login/", {"username": user.username, "password": PASSWORD})
    client.post("/switch/northwind/")
    client.post("/logout/")
    around = ["session.refused", "session.began", "session.ended"]
    for house, expected in ((north, [*around[:2], "session.switched", around[2]]), (fabrikam, around)):
        with house.scope():
            rows = AuditRecord.objects.filter(tenant_id=house.tenant.id, action__startswith="session.").order_by("id")
            assert [row.action for row in rows] == expected
            assert {(row.actor_id, row.object_id, row.actor_name) for row in rows} == {
                (user.pk, str(user.pk), user.name)
            }
            assert not any("wrong-one" in str(row.detail) or "mistake" in str(row.detail) for row in rows)


def test_guessing_passwords_does_not_flood_the_record(world: World) -> None:
    north = world.northwind
    for _ in range(FAILURES + 3):
        assert Client().post("/login/", {"username": north.operator.user.username, "password": "x"}).status_code == 401
    with north.scope():
        found = AuditRecord.objects.filter(tenant_id=north.tenant.id, action="session.refused").count()
    assert FAILURES <= found <= 2 * FAILURES < 2 * (FAILURES + 3)  # the minute may turn in between


def test_a_reviewer_is_told_who_starts_runs(desk: Desk, world: World) -> None:
    answer = world.northwind.reviewer.client.get("/runs/new/")
    page = answer.content.decode()
    assert answer.status_code == 403
    assert world.northwind.operator.user.name in page and 'href="/queue/"' in page and 'href="/runs/"' in page
    assert world.northwind.reviewer.client.get("/queue/").content.decode().count("An operator starts runs") == 1


def test_another_tenant_finds_nothing(desk: Desk, world: World) -> None:
    for path in places(desk)[1::2][:2] + ["/workflows/refund-desk/"]:
        assert world.fabrikam.admin.client.get(path).status_code == 404, path
    assert "A-17" not in world.fabrikam.reviewer.client.get("/queue/").content.decode()
    assert "A-17" not in world.fabrikam.reviewer.client.get("/runs/").content.decode()


def test_nobody_is_sent_to_the_log_in_page_and_outsiders_are_refused(desk: Desk, world: World) -> None:
    for path in places(desk):
        answer = Client().get(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/login/?next=")
        assert world.stranger.get(path).status_code == 403


@pytest.mark.parametrize(
    ("path", "roles"),
    [("/runs/new/", {"operator", "admin"}), ("/credentials/", {"admin"})],
)
def test_forms_are_for_their_roles(desk: Desk, world: World, path: str, roles: set[str]) -> None:
    for member in world.northwind.members:
        expected = 200 if member.role in roles else 403
        assert member.client.get(path).status_code == expected
        assert member.client.post(path, {}).status_code == (422 if member.role in roles else 403)


def test_deciding_once_twice_by_the_wrong_people_and_in_the_wrong_way(desk: Desk, world: World) -> None:
    _, [request] = desk.waiting(refund())
    path = f"/queue/{request.pk}/decide/"
    here, there = world.northwind, world.fabrikam
    assert here.reviewer.client.get(path).status_code == 405
    assert here.operator.client.post(path, {"verdict": "approve"}).status_code == 403
    assert there.reviewer.client.post(path, {"verdict": "approve"}).status_code == 404
    assert here.reviewer.client.post(path, {"verdict": "shrug"}).status_code == 422
    assert here.reviewer.client.post(path, {"verdict": "reject", "reason": " "}).status_code == 422
    stale = here.reviewer.client.post(path, {"verdict": "approve", "digest": "0" * 64})
    assert stale.status_code == 409 and "was changed" in stale.content.decode()
    assert desk.request(request).status == "pending"
    assert here.reviewer.client.post(path, {"verdict": "approve"}).status_code == 302
    late = here.reviewer2.client.post(path, {"verdict": "reject", "reason": "no"})
    assert late.status_code == 409
    assert "Too late." in late.content.decode() and "Reviewer approved this" in late.content.decode().replace("\n", " ")
    assert desk.request(request).verdict == "approve"


def test_what_was_typed_survives_a_refusal(desk: Desk, world: World) -> None:
    _, [request] = desk.waiting(refund())
    form = {"verdict": "edit", "form": "json", "arguments": "{order: A-17}", "reason": "a typo of mine"}
    answer = world.northwind.reviewer.client.post(f"/queue/{request.pk}/decide/", form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "is not JSON" in page and "{order: A-17}" in page and "a typo of mine" in page


def test_a_workflow_is_renamed_on_its_page(desk: Desk, world: World) -> None:
    address = "/workflows/refund-desk/name/"
    admin = world.northwind.admin.client
    wrong = admin.post(address, {"name": " ", "description": "Kept as <b>typed</b>"})
    assert wrong.status_code == 422
    assert "The name must be 1 to 200 characters." in wrong.content.decode()
    assert "Kept as &lt;b&gt;typed&lt;/b&gt;</textarea>" in wrong.content.decode()
    assert (
        admin.post(address, {"name": "Refunds", "description": "Pays back."})["Location"] == "/workflows/refund-desk/"
    )
    page = world.northwind.reviewer.client.get("/workflows/refund-desk/").content.decode()
    assert "<h1>Refunds</h1>" in page and "Pays back." in page and "Rename" not in page
    assert admin.post(address, {"name": "Refunds", "description": "Pays back."}).status_code == 302
    with desk.house.scope():
        said = AuditRecord.objects.filter(action__in=("workflow.name", "workflow.description"))
        assert said.count() == 2
    for other in (world.northwind.operator, world.northwind.reviewer):
        assert other.client.post(address, {"name": "No"}).status_code == 403
    assert world.fabrikam.admin.client.post(address, {"name": "No"}).status_code == 404


def test_arguments_nested_beyond_reading_are_refused_beside_them(desk: Desk, world: World) -> None:
    _, [request] = desk.waiting(refund(arguments={"order": "A-17", "amount": 40.0}))
    form = {"verdict": "edit", "form": "json", "arguments": "[" * 100_000}
    answer = world.northwind.reviewer.client.post(f"/queue/{request.pk}/decide/", form)
    assert answer.status_code == 422 and "is not JSON" in answer.content.decode()


def test_code_is_shown_with_every_space_of_it(desk: Desk, world: World) -> None:
    code = "for i in range(3):\n    if i:\n        print(i < 2)\n"
    _, [request] = desk.waiting(refund(arguments={"order": code, "amount": 40.0}))
    page = world.northwind.reviewer.client.get(f"/queue/{request.pk}/").content.decode()
    assert re.search(r"<pre[^>]*>for i in range\(3\):\n    if i:\n        print\(i &lt; 2\)\n</pre>", page)


def test_arguments_that_are_not_json_are_shown_and_cannot_be_approved(desk: Desk, world: World) -> None:
    broken = refund(arguments={"_unparsable": "{order: A-17, <b>amount</b>"}, fault="The arguments are not valid JSON.")
    _, [request] = desk.waiting(broken)
    page = world.northwind.reviewer.client.get(f"/queue/{request.pk}/").content.decode()
    assert "They are not JSON" in page
    assert "&lt;b&gt;amount&lt;/b&gt;" in page and "<b>amount</b>" not in page
    assert 'value="approve"' not in page and 'value="reject"' in page


def test_cancel_and_retry(desk: Desk, world: World) -> None:
    run, [request] = desk.waiting(refund())
    here = world.northwind
    assert here.reviewer.client.post(f"/runs/{run.pk}/cancel/").status_code == 403
    assert world.fabrikam.admin.client.post(f"/runs/{run.pk}/cancel/").status_code == 404
    assert here.operator.client.post(f"/runs/{run.pk}/cancel/").status_code == 302
    assert here.operator.client.post(f"/runs/{run.pk}/cancel/").status_code == 302  # again changes nothing
    assert desk.now(run).status == "cancelled" and desk.request(request).status == "moot"
    again = here.operator.client.post(f"/runs/{run.pk}/retry/")
    assert again.status_code == 302 and str(run.pk) not in again["Location"]
    refused = here.operator.client.post(again["Location"] + "retry/", follow=True)
    assert "only a run that has ended" in refused.content.decode()


def test_log_in_goes_where_it_should_and_nowhere_else(world: World) -> None:
    form = {"username": "reviewer.northwind", "password": PASSWORD}
    assert Client().post("/login/", {**form, "next": "/audit/"})["Location"] == "/audit/"
    assert Client().post("/login/", {**form, "next": "https://elsewhere.example/"})["Location"] == "/queue/"
    wrong, unknown = ({**form, **change} for change in ({"password": "x"}, {"username": "x\x00"}))
    assert Client().post("/login/", wrong).status_code == Client().post("/login/", unknown).status_code == 401
    assert Client(enforce_csrf_checks=True).post("/login/", form).status_code == 403


def test_a_stranger_to_the_other_tenant_cannot_switch_to_it(world: World) -> None:
    assert world.northwind.admin.client.post("/switch/fabrikam/").status_code == 404
    assert world.northwind.admin.client.post("/switch/northwind/").status_code == 302


def test_too_large_an_input_says_its_limit_and_keeps_the_text(desk: Desk, world: World) -> None:
    answer = world.northwind.operator.client.post("/runs/new/", {"workflow": "refund-desk", "input": "x" * 70_000})
    assert answer.status_code == 422
    assert "the limit is 65,536" in answer.content.decode() and "x" * 70_000 in answer.content.decode()


def test_at_the_limit_the_form_and_the_retry_say_so(desk: Desk, world: World) -> None:
    client, run = world.northwind.operator.client, desk.start()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="failed", stop_reason="model_error", ended_at=timezone.now())
        TenantLimits.objects.create(tenant=desk.house.tenant, limits={"max_runs": 1})
    desk.start()
    answer = client.post("/runs/new/", {"workflow": "refund-desk", "input": "Refund order A-99"})
    assert answer.status_code == 429 and "Refund order A-99" in answer.content.decode()
    assert "Nothing was started. 1 runs are at work" in answer.content.decode()
    again = client.post(f"/runs/{run.pk}/retry/", follow=True)
    assert "1 runs are at work" in again.content.decode()


@pytest.mark.parametrize(
    ("input", "said"),
    [
        ('{"a": "\\ud800"}', "is not JSON"),
        ('{"a": ' * 200 + "1" + "}" * 200, "is nested more than 100 levels deep"),
        ('{"a": ' * 9_000 + "1" + "}" * 9_000, "is not JSON"),
    ],
)
def test_json_that_cannot_be_kept_is_refused_at_the_door(world: World, input: str, said: str) -> None:
    make_desk(world.northwind, {"team": {}, "input_schema": {"type": "object"}}, "strict")
    answer = world.northwind.operator.client.post("/runs/new/", {"workflow": "strict", "input": input})
    assert answer.status_code == 422 and said in answer.content.decode()


def test_addresses_that_make_no_sense(desk: Desk, world: World) -> None:
    client = world.northwind.reviewer.client
    for path in (
        f"/queue/{uuid4()}/",
        f"/runs/{uuid4()}/",
        f"/runs/{uuid4()}/steps/1/",
        "/workflows/none/",
        "/nothing/",
    ):
        assert client.get(path).status_code == 404, path
    odd = ["/queue/?after=x", f"/queue/?after={uuid4()}", "/queue/?kind=%00", "/runs/?after=x", "/runs/?q=%00"]
    for path in [*odd, "/audit/?after=x"]:
        assert client.get(path, follow=True).status_code == 200, path


# The session and user, the membership (two), the scope's settings (four), one's groups, what may be shown, and the page's
# own few. Rows cost nothing.
@pytest.mark.parametrize(("path", "queries"), [("/queue/", 22), ("/runs/", 16)])
def test_a_list_costs_the_same_however_long_it_is(
    desk: Desk, world: World, django_assert_max_num_queries: Any, path: str, queries: int
) -> None:
    client = world.northwind.reviewer.client
    for length in (1, 12):
        desk.waiting(*(refund(1250.0, n=length * 100 + n) for n in range(length)))
        with django_assert_max_num_queries(queries):
            client.get(path)


def test_the_queue_is_ordered_and_paged_by_what_presses(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [refund(n=n, risk=risk) for n, risk in enumerate(["low", "high", "medium", "high", "low", "high"])]
    _, rows = desk.waiting(*asks, asking("question", question="Which?"))
    with desk.house.scope():
        soon = timezone.now() + timedelta(minutes=5)
        ApprovalRequest.objects.filter(pk=rows[5].pk).update(due_at=soon, falls=soon)
    expected = [str(rows[n].pk) for n in (5, 1, 3, 2, 0, 4, 6)]
    monkeypatch.setattr(listing, "PAGE", 3)
    with desk.house.scope():
        found, after = [], ""
        for _ in range(4):
            page, after = listing.page(listing.pending(world.northwind.reviewer.actor), after)
            found += [str(row.pk) for row in page]
            if not after:
                break
    assert found == expected


def test_runs_are_found_by_words_status_and_reason(desk: Desk, world: World) -> None:
    client = world.northwind.operator.client
    desk.start("Refund order B-99")
    run = desk.start("Something else")
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="failed", stop_reason="timeout", ended_at=timezone.now())
    assert "Something else" not in client.get("/runs/?q=b-99").content.decode()
    assert "B-99" not in client.get("/runs/?reason=timeout").content.decode()
    assert "Something else" in client.get("/runs/?status=failed&workflow=refund-desk").content.decode()
    assert "No run is like that" in client.get("/runs/?workflow=none").content.decode()


def test_what_is_counted_is_counted_no_further_than_anybody_needs(
    desk: Desk, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.waiting(*(refund(n=n) for n in range(4)))
    monkeypatch.setattr(listing, "COUNTED", 2)
    page = world.northwind.reviewer.client.get("/queue/").content.decode()
    assert "2+ waiting" in page and '<span class="count" id="waiting-count">2+</span>' in page
    with desk.house.scope():
        assert listing.totals(listing.pending(world.northwind.reviewer.actor, risk="high"))["total"] == 3
        assert listing.totals(listing.pending(world.northwind.reviewer.actor, risk="low"))["total"] == 0
