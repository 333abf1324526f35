"""The refund desk over HTTP: its model a server on the loopback, its refund an HTTP tool of a bank there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from approvals.models import ApprovalRequest
from console.demo.documents import WORKFLOWS
from console.runs.models import Run
from console.tenants import actions as tenants
from console.workflows import catalogue
from tests.runs.turns import Worker, pending
from tests.telemetry.collector import Bank
from tests.world import House, World

BODY: dict[str, Any] = next(demo.body for demo in WORKFLOWS if demo.slug == "refund-desk")
ASKED = "Refund order A-1001, 250 EUR, it arrived broken"


@dataclass
class Desk:
    """``workers`` makes a worker process, as far as a run can tell."""

    house: House
    bank: Bank
    workers: Callable[[], Worker]

    def start(self, **headers: str) -> Run:
        """POST /runs."""
        api = self.house.operator.api
        made = api.client.post(
            "/api/v1/runs", {"workflow": "refund-desk", "input": ASKED}, "application/json", headers=headers
        )
        assert made.status_code == 202, made.content
        return self.now(made.json()["id"])

    def now(self, run: Any) -> Run:
        with self.house.scope():
            return Run.objects.get(pk=getattr(run, "pk", run))

    def advance(self, run: Run) -> Run:
        """Another worker takes it as far as it goes."""
        worker = self.workers()
        try:
            assert worker.advance(run.pk)
        finally:
            worker.close()
        return self.now(run)

    def decide(self, run: Run, verdict: str = "approve", **headers: str) -> ApprovalRequest:
        """POST /approvals/{id}/decisions to the one request that waits."""
        [request] = pending(run)
        path = f"/api/v1/approvals/{request.pk}/decisions"
        said = {"verdict": verdict, **({"reason": "No."} if verdict == "reject" else {})}
        api = self.house.reviewer.api
        made = api.client.post(path, said, "application/json", headers=headers)
        assert made.status_code == 201, made.content
        with self.house.scope():
            return ApprovalRequest.objects.get(pk=request.pk)

    def finish(self, run: Run) -> Run:
        """Approve the refund's result, too, which is reviewed: nobody has waived that here."""
        self.decide(run)
        return self.advance(run)


def make_desk(world: World, model: str, bank: Bank, workers: Callable[[], Worker]) -> Desk:
    """The workflow in northwind, made as an admin makes it."""
    house = world.northwind
    with house.scope():
        means = {"provider": "openai", "base_url": f"{model}/v1", "api_key": "sk-none-of-your-business"}
        tenants.put_credential(house.admin.actor, "default", **means)
    spec = catalogue.get("issue_refund", 1)
    tool = {"kind": "http", "url": bank.url, "schema": spec.schema, "effect": "neither", "risk": "high"}
    api = house.admin.api
    assert api.put("/api/v1/tools/bank", {**tool, "description": spec.description}).status_code == 200
    assert api.post("/api/v1/workflows", {"slug": "refund-desk", "name": "Refund desk"}).status_code == 201
    body = copy.deepcopy(BODY)
    body["tools"]["issue_refund"] = "bank"
    body["rules"] = []
    made = api.post("/api/v1/workflows/refund-desk/revisions", body)
    assert made.status_code == 201, made.content
    return Desk(house, bank, workers)
