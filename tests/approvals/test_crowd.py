"""Two hundred people who decide one request at the same moment, each over HTTP with a token of their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from approvals.models import ApprovalRequest, Vote
from console.audit.models import AuditRecord
from console.runs.models import Run
from console.tenants.models import Membership, User
from console.tenants.tokens import create_token
from tests.approvals.desk import Desk, make_desk, refund
from tests.serving import serving
from tests.world import World

PEOPLE = 200


@pytest.fixture
def server(transactional_db: None) -> Iterator[str]:
    with serving() as address:
        yield address


def crowd(desk: Desk) -> list[str]:
    """Two hundred reviewers, and a token of each."""
    with desk.house.scope():
        people = User.objects.bulk_create([User(username=f"p{n}", first_name=f"P{n}") for n in range(PEOPLE)])
        Membership.objects.bulk_create(
            [Membership(tenant=desk.house.tenant, user=each, role="reviewer") for each in people]
        )
        return [create_token(desk.house.tenant, user=each, role="reviewer", name="crowd")[1] for each in people]


def all_at_once(server: str, request: ApprovalRequest, tokens: list[str], bodies: list[dict[str, Any]]) -> list[Any]:
    """What each hears: (status, body). Every call is on its way before the first is answered."""

    async def everybody() -> list[Any]:
        limits = httpx.Limits(max_connections=PEOPLE)
        async with httpx.AsyncClient(base_url=f"http://{server}", timeout=60, limits=limits) as http:
            calls = [
                http.post(
                    f"/api/v1/approvals/{request.pk}/decisions",
                    json=body, headers={"Authorization": f"Bearer {token}"},
                )
                for token, body in zip(tokens, bodies, strict=True)
            ]  # fmt: skip
            return [(each.status_code, each.json()) for each in await asyncio.gather(*calls)]

    return asyncio.run(everybody())


@pytest.mark.parametrize("quorum", [1, 3])
def test_two_hundred_people_decide_one_request(world: World, server: str, woken: list[str], quorum: int) -> None:
    rule = {"name": "all", "effect": "require", "approvers": quorum}
    desk = make_desk(world.northwind, {"team": {}, "rules": [rule]})
    tokens = crowd(desk)
    run, [request] = desk.waiting(refund())
    before = desk.now(run).wake
    woken.clear()
    heard = all_at_once(server, request, tokens, [{"verdict": "approve", "reason": f"{n}"} for n in range(PEOPLE)])
    assert Counter(status for status, _ in heard) == {201: quorum, 409: PEOPLE - quorum}
    decided = [body for status, body in heard if status == 201 and body["status"] == "decided"]
    assert len(decided) == 1 and len(decided[0]["votes"]) == quorum
    winner = decided[0]["decision"]
    for status, body in heard:
        if status == 409:
            assert body["title"] == "Already decided" and body["decision"] == winner
            assert body["detail"].startswith(f"{winner['by']} approved this at ")
    with desk.house.scope():
        assert Vote.objects.filter(request=request, voided=False).values("voter_id").distinct().count() == quorum
        assert Vote.objects.count() == quorum
        told = Counter(AuditRecord.objects.filter(object_id=str(request.pk)).values_list("action", flat=True))
        assert told["request.decided"] == 1 and told["request.voted"] == quorum - 1
        assert Run.objects.get(pk=run.pk).wake == before + 1
    assert woken == [str(run.pk)] and desk.now(run).status == "queued"


def test_forty_who_do_not_agree_make_one_decision(world: World, server: str, woken: list[str]) -> None:
    desk = make_desk(world.northwind, {"team": {}})
    tokens = crowd(desk)[:40]
    run, [request] = desk.waiting(refund())
    edited = {"order": "A-17", "amount": 1.0}
    said: list[dict[str, Any]] = [
        {"verdict": "approve"}, {"verdict": "reject", "reason": "no"}, {"verdict": "edit", "arguments": edited},
        {"verdict": "terminate"},
    ]  # fmt: skip
    heard = all_at_once(server, request, tokens, [said[n % 4] for n in range(40)])
    assert Counter(status for status, _ in heard) == {201: 1, 409: 39}
    now = desk.request(request)
    with desk.house.scope():
        assert [vote.verdict for vote in Vote.objects.all()] == [now.verdict]
    assert desk.now(run).status == ("cancelled" if now.verdict == "terminate" else "queued")
