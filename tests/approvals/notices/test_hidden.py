"""What an organisation hides leaves the house no more than it is shown inside: tests/pages/test_hidden.py, for channels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from approvals.notices import actions
from console.runs.models import Run
from console.tenants import display_actions
from tests.approvals.desk import Desk, refund
from tests.approvals.notices.carrier import Post
from tests.approvals.notices.conftest import make
from tests.pages.test_hidden import SECRET

NTFY = "ntfy://ntfy.example.com/secret-topic"


def put(desk: Desk, shown_to: str, *patterns: dict[str, str]) -> None:
    with desk.house.scope():
        display_actions.put(desk.house.admin.actor, shown_to, [], list(patterns))


@pytest.fixture
def outlets(desk: Desk, settings: Any) -> Desk:
    """A desk with one channel of each kind that says titles, and a reviewer and an admin who are written to."""
    settings.SAYSO_EGRESS_ALLOW = ["ntfy.example.com"]
    make(desk, "hook", include_title=True)
    make(desk, "people", kind="email", address="a@example.com", include_title=True)
    make(desk, "chat", kind="chat", address=NTFY, include_title=True)
    for member in (desk.house.reviewer, desk.house.admin):
        with desk.house.scope():
            actions.subscribe(member.actor, "all")
    return desk


def told(desk: Desk, post: Post) -> dict[str, str]:
    """All that is said of a request's life, from waiting to its run's end, by the way it is said."""
    _, [request] = desk.waiting(refund(title=f"Refund {SECRET}", arguments={"order": SECRET, "amount": 40.0}))
    with desk.house.scope():
        Run.objects.filter(pk=request.run_id).update(title=f"About {SECRET}")
    post.round()
    desk.decide(desk.house.reviewer, request, "terminate", reason="no")
    post.round()
    found: dict[str, str] = {}
    for way, sent in post.carrier.sent:
        found[way] = found.get(way, "") + json.dumps(sent)
    assert set(found) == {"post", "mail", "chat"} and found["post"].count("https://sayso.example.com/") >= 3
    return found


def test_what_everyone_sees_is_said(outlets: Desk, post: Post) -> None:
    for said in told(outlets, post).values():
        assert f"Refund {SECRET}" in said and f"About {SECRET}" in said


@pytest.mark.parametrize("shown_to", ["admins", "reviewers"])
def test_what_is_hidden_from_anybody_is_said_nowhere(outlets: Desk, post: Post, shown_to: str) -> None:
    put(outlets, shown_to)
    found = told(outlets, post)
    assert SECRET not in json.dumps(found)
    assert "A call of issue_refund waits for a decision." in found["mail"] and "Refund desk: " in found["chat"]
    assert "/queue/" in found["mail"] and "/queue/" in found["chat"]  # the card, where those who may see it do


def test_what_is_blotted_out_is_so_there(outlets: Desk, post: Post) -> None:
    put(outlets, "everyone", {"name": "name", "pattern": SECRET})
    found = told(outlets, post)
    assert SECRET not in json.dumps(found)
    assert all("Refund [name hidden]" in found[way] or "Refund (name hidden)" in found[way] for way in found), found


def test_other_organisations_go_on_as_before(outlets: Desk, post: Post, world: Any) -> None:
    with world.fabrikam.scope():
        display_actions.put(world.fabrikam.admin.actor, "admins", [], [])
    assert SECRET in told(outlets, post)["post"]


def test_what_comes_to_be_hidden_is_not_said_again(desk: Desk, post: Post, deliveries: Any) -> None:
    make(desk, "hook", include_title=True)
    run, [request] = desk.waiting(refund(title=f"Refund {SECRET}"))
    post.round()
    [sent] = deliveries()
    put(desk, "admins")
    with desk.house.scope():
        actions.redeliver(desk.house.admin.actor, sent.pk)
    post.round()
    first, again = (json.loads(each["body"]) for _, each in post.carrier.sent)
    assert first["data"].pop("title") == f"Refund {SECRET}" and first == again
    assert SECRET not in desk.house.admin.client.get(f"/deliveries/{sent.pk}/").content.decode()
