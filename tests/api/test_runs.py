"""Runs over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from console.audit.models import AuditRecord
from console.durable.digest import History
from console.runs import feed, record
from console.runs.models import Run, Step, StepPayload
from console.tenants import crypto
from tests.api.problems import problem
from tests.approvals.desk import Desk, refund

FIELDS = {
    "id", "workflow", "revision", "status", "stop_reason", "stop_detail", "result", "usage", "cost", "timings", "created_at"
}  # fmt: skip


def start(desk: Desk, **body: Any) -> Any:
    return desk.house.operator.api.post(
        "/api/v1/runs", {"workflow": "refund-desk", "input": "Refund order A-17", **body}
    )


def test_start(desk: Desk) -> None:
    response = start(desk, topic_source="mail:42", metadata={"ticket": 7})
    assert response.status_code == 202
    run = response.json()
    assert run.keys() >= FIELDS
    assert (run["workflow"], run["revision"], run["status"], run["stop_reason"]) == ("refund-desk", 1, "queued", None)
    assert (run["topic_source"], run["metadata"], run["title"]) == ("mail:42", {"ticket": 7}, "Refund order A-17")
    assert run["timings"] == {"queue_s": 0, "model_s": 0, "tool_s": 0, "waiting_s": 0, "resume_s": 0}
    assert desk.house.reviewer.api.get(f"/api/v1/runs/{run['id']}").json() == run
    with desk.house.scope():
        assert AuditRecord.objects.filter(action="run.started", object_id=run["id"]).count() == 1


@pytest.mark.parametrize("workflow", ["nothing", "", "Refund-Desk"])
def test_an_unknown_workflow(desk: Desk, workflow: str) -> None:
    problem(start(desk, workflow=workflow), 404, "workflow")


def test_another_tenants_workflow_is_as_unknown(desk: Desk, world: Any) -> None:
    body = {"workflow": "refund-desk", "input": "x"}
    foreign = problem(world.fabrikam.operator.api.post("/api/v1/runs", body), 404, "workflow")
    unknown = problem(world.fabrikam.operator.api.post("/api/v1/runs", {**body, "workflow": "zzz"}), 404, "workflow")
    assert foreign == unknown


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": "   "}, "input"),
        ({"input": None}, "input"),
        ({"input": [1]}, "input"),
        ({"input": {}}, "input"),
        ({"topic_source": "x" * 201}, "topic_source"),
        ({"topic_source": 7}, "topic_source"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {"x": "y" * 9000}}, "metadata"),
        ({"workflow": None}, "workflow"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_does_not_fit(desk: Desk, body: Any, field: str) -> None:
    problem(start(desk, **body), 422, field)
    with desk.house.scope():
        assert Run.objects.count() == 0


def test_what_is_missing(desk: Desk) -> None:
    problem(desk.house.operator.api.post("/api/v1/runs", {}), 422, "workflow", "input")


def test_an_input_beyond_the_limit_hears_the_limit(desk: Desk) -> None:
    assert "64 kB" in problem(start(desk, input="x" * 70_000), 422, "input")["detail"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"workflow": "refund-desk", "input": "a\\u0000b"}',
        b'{"workflow": "refund-desk", "input": "x", "topic_source": "\\ud800"}',
        b'{"workflow": "refund-desk", "input": "x", "metadata": {"\\u0000": 1}}',
        b'{"workflow": "refund-desk", "input": "x", "metadata": {"a": [1e999]}}',
        b'{"workflow": "refund-desk", "input": {"a": -Infinity}}',
    ],
)
def test_what_no_database_keeps_is_refused_at_the_door(desk: Desk, text: bytes) -> None:
    response = desk.house.operator.api.client.post("/api/v1/runs", text, content_type="application/json")
    problem(response, 400)


def test_list_filters(desk: Desk) -> None:
    queued = desk.start()
    waiting, _ = desk.waiting(refund())
    api = desk.house.reviewer.api
    assert [run["id"] for run in api.get("/api/v1/runs").json()["items"]] == [str(waiting.pk), str(queued.pk)]
    assert [run["id"] for run in api.get("/api/v1/runs", status="queued").json()["items"]] == [str(queued.pk)]
    assert len(api.get("/api/v1/runs", workflow="refund-desk").json()["items"]) == 2
    assert api.get("/api/v1/runs", workflow="nothing").json()["items"] == []
    assert len(api.get("/api/v1/runs", status="", workflow="", cursor="").json()["items"]) == 2
    problem(api.get("/api/v1/runs", status="resting"), 422, "status")


def test_waiting_counts_while_it_waits(desk: Desk) -> None:
    run, _ = desk.waiting(refund())
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(waiting_since=datetime.now(UTC) - timedelta(minutes=5), waiting_s=10)
    timings = desk.house.reviewer.api.get(f"/api/v1/runs/{run.pk}").json()["timings"]
    assert 310 <= timings["waiting_s"] < 330


def test_cost_is_null_where_a_price_is_unknown(desk: Desk) -> None:
    run = desk.start()
    for unpriced, cost in ((0, "0.125000"), (2, None)):
        with desk.house.scope():
            Run.objects.filter(pk=run.pk).update(
                cost=Decimal("0.125"), unpriced_steps=unpriced, input_tokens=10, output_tokens=3
            )
        found = desk.house.reviewer.api.get(f"/api/v1/runs/{run.pk}").json()
        assert (found["cost"], found["unpriced_steps"]) == (cost, unpriced)
        assert found["usage"] == {"input_tokens": 10, "output_tokens": 3}


def test_the_result_is_opened(desk: Desk) -> None:
    run = desk.start()
    with desk.house.scope():
        sealed = crypto.seal_json(desk.house.tenant.id, "run.result", {"answer": "Done"})
        Run.objects.filter(pk=run.pk).update(status="completed", stop_reason="completed", sealed_result=sealed)
    found = desk.house.reviewer.api.get(f"/api/v1/runs/{run.pk}").json()
    assert (found["status"], found["result"]) == ("completed", {"answer": "Done"})


def test_messages(desk: Desk) -> None:
    run = desk.start()
    with desk.house.scope():
        for index in range(3):
            message = {
                "index": index,
                "source": "payer",
                "type": "TextMessage",
                "content": f"m{index}",
                "at": "2026-01-01",
            }
            feed.publish(desk.house.tenant.id, feed.run_topic(run.pk), "message", message, index=index)
            feed.publish(desk.house.tenant.id, feed.run_topic(run.pk), "step", {"seq": index})
    api = desk.house.reviewer.api
    whole = api.get(f"/api/v1/runs/{run.pk}/messages").json()
    assert [each["content"] for each in whole["items"]] == ["m0", "m1", "m2"]
    assert whole["items"][0] == {
        "source": "payer",
        "index": 0,
        "type": "TextMessage",
        "content": "m0",
        "at": "2026-01-01",
    }
    first = api.get(f"/api/v1/runs/{run.pk}/messages", limit=2).json()
    rest = api.get(f"/api/v1/runs/{run.pk}/messages", limit=2, cursor=first["next"]).json()
    assert first["items"] + rest["items"] == whole["items"] and rest["next"] is None
    problem(api.get(f"/api/v1/runs/{run.pk}/messages", cursor="x"), 422, "cursor")


def write_step(desk: Desk, run: Run, seq: int, n: int, request: Any, digest: str, **more: Any) -> None:
    at = datetime(2026, 1, 1, 12, 0, seq, tzinfo=UTC)
    tenant = desk.house.tenant
    Step.objects.create(
        run=run, tenant=tenant, seq=seq, settled=seq, scope="payer/model", n=n, kind="model", status="done",
        digest=digest, started_at=at, ended_at=at, **more,
    )  # fmt: skip
    StepPayload.objects.create(
        run=run,
        tenant=tenant,
        seq=seq,
        request=crypto.seal_json(tenant.id, "step.request", request),
        result=crypto.seal_json(tenant.id, "step.result", {"result": {"content": f"r{seq}"}, "error": None}),
    )


def test_steps_show_the_whole_prompt(desk: Desk) -> None:
    run = desk.start()
    history = History()
    messages = [{"content": "system"}]
    with desk.house.scope():
        for seq in (1, 2, 3):
            messages = [*messages, {"content": f"turn {seq}"}]
            stored, digest = history.request(messages, {"tools": []})
            write_step(desk, run, seq, seq - 1, stored, digest, cost=Decimal("0.01"), usage={"input_tokens": seq})
        assert record.steps(run.pk)[2].request["keep"] == 3
    api = desk.house.reviewer.api
    whole = api.get(f"/api/v1/runs/{run.pk}/steps").json()
    assert [each["seq"] for each in whole["items"]] == [1, 2, 3]
    last = whole["items"][2]
    assert last["request"]["messages"] == messages
    assert (last["scope"], last["index"], last["kind"], last["status"]) == ("payer/model", 2, "model", "done")
    assert (last["result"], last["usage"], last["cost"]) == ({"content": "r3"}, {"input_tokens": 3}, "0.01")
    assert last["started_at"] == last["ended_at"] == "2026-01-01T12:00:03Z"
    first = api.get(f"/api/v1/runs/{run.pk}/steps", limit=2).json()
    rest = api.get(f"/api/v1/runs/{run.pk}/steps", limit=2, cursor=first["next"]).json()
    assert first["items"] + rest["items"] == whole["items"] and rest["next"] is None


def test_cancel_is_final(desk: Desk) -> None:
    run, [request] = desk.waiting(refund())
    address = f"/api/v1/runs/{run.pk}/cancel"
    done = desk.house.operator.api.post(address)
    assert (done.status_code, done.json()["status"], done.json()["stop_reason"]) == (200, "cancelled", "cancelled")
    assert "already ended" in problem(desk.house.operator.api.post(address), 409)["detail"]
    assert desk.request(request).status == "moot"


def test_retry_goes_on_in_a_new_run(desk: Desk) -> None:
    run = desk.start()
    address = f"/api/v1/runs/{run.pk}/retry"
    problem(desk.house.operator.api.post(address), 409)
    desk.house.operator.api.post(f"/api/v1/runs/{run.pk}/cancel")
    response = desk.house.operator.api.post(address)
    assert response.status_code == 202
    again = response.json()
    assert (again["retry_of"], again["status"]) == (str(run.pk), "queued")


@pytest.mark.parametrize("reason", ["rejected", "contract_violation", "terminated"])
def test_there_is_no_retry_around_a_no(desk: Desk, reason: str) -> None:
    run = desk.start()
    with desk.house.scope():
        Run.objects.filter(pk=run.pk).update(status="failed", stop_reason=reason)
    problem(desk.house.operator.api.post(f"/api/v1/runs/{run.pk}/retry"), 409)
