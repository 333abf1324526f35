"""Smoke tests over HTTP: a workflow's kept cases, and the tests of its revisions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Router, Schema, Status
from pydantic import ConfigDict

from console.runs import smoke as trials
from console.tenants import access, display
from console.tenants.access import actor_of
from console.tenants.display import Display
from console.workflows import actions, smoke
from console.workflows.models import SmokeTest, Workflow

Json = Any
router = Router(tags=["smoke tests"])

LISTED = 50


class SuiteOut(Schema):
    """``required``: a revision has to pass all cases before new runs take it. A case has name, input, decide (approve or
    reject), answer, stubs (from tools to {result} or {fails}) and expect (stop_reason, tools, asked, contract)."""

    required: bool
    cases: list[dict[str, Json]]


class TestIn(Schema):
    """``promote``: new runs take the revision when it passes."""

    model_config = ConfigDict(extra="forbid")

    promote: bool = False


class OutcomeOut(Schema):
    """``passed`` is null while the run is under way; ``faults`` say what was not as expected. ``tools`` were called, and
    calls of those in ``asked`` waited for a person."""

    name: str
    run: str | None
    passed: bool | None
    faults: list[str]
    status: str
    stop_reason: str
    tools: list[str]
    asked: list[str]


class TestOut(Schema):
    """``status``: running, passed or failed. ``note`` says what became of the promotion."""

    id: str
    revision: int
    status: str
    promote: bool
    note: str
    cases: list[OutcomeOut]
    started_by: str
    started_at: datetime
    ended_at: datetime | None


class TestsOut(Schema):
    items: list[TestOut]
    next: str | None


@router.get("/workflows/{slug}/smoke", response=SuiteOut, summary="A workflow's smoke tests")
def get_suite(request: HttpRequest, slug: str) -> Any:
    actor = actor_of(request)
    suite = smoke.of(access.get(Workflow, actor, slug=slug)).plain()
    shown = display.of(actor)
    return suite if shown.plain else {**suite, "cases": [_case(case, shown) for case in suite["cases"]]}


@router.put("/workflows/{slug}/smoke", response=SuiteOut, summary="Keep a workflow's smoke tests")
def put_suite(request: HttpRequest, slug: str, body: Annotated[Json, Body()]) -> Any:
    actor = actor_of(request)
    return actions.put_smoke(actor, access.get(Workflow, actor, slug=slug), body).plain()


@router.post(
    "/workflows/{slug}/revisions/{number}/smoke-tests",
    response={202: TestOut},
    summary="Put a revision through its workflow's smoke tests",
)
def start_test(request: HttpRequest, slug: str, number: int, body: TestIn) -> Any:
    actor = actor_of(request)
    workflow = access.get(Workflow, actor, slug=slug)
    return Status(202, _test_out(trials.start(actor, workflow, number, promote=body.promote), display.of(actor)))


@router.get("/workflows/{slug}/smoke-tests", response=TestsOut, summary="The last smoke tests, newest first")
def list_tests(request: HttpRequest, slug: str) -> Any:
    actor = actor_of(request)
    rows = access.all(SmokeTest.objects.select_related("revision"), actor)
    found = rows.filter(workflow=access.get(Workflow, actor, slug=slug)).order_by("-started_at")[:LISTED]
    shown = display.of(actor)
    return {"items": [_test_out(each, shown) for each in found], "next": None}


@router.get("/workflows/{slug}/smoke-tests/{test_id}", response=TestOut, summary="One smoke test")
def get_test(request: HttpRequest, slug: str, test_id: str) -> Any:
    actor = actor_of(request)
    rows = SmokeTest.objects.select_related("revision")
    test = access.get(rows, actor, workflow=access.get(Workflow, actor, slug=slug), pk=test_id)
    return _test_out(test, display.of(actor))


def _case(case: dict[str, Json], shown: Display) -> dict[str, Json]:
    """A case without what a run is given and told in it, which was a run's own once."""
    return {**case, **{name: shown.of(case[name]) for name in ("input", "stubs", "answer") if name in case}}


def _test_out(test: SmokeTest, shown: Display) -> dict[str, Json]:
    """A test; its faults may quote what its runs said."""
    plain = ("status", "promote", "note", "started_by", "started_at", "ended_at")
    cases = [{**one, "faults": [shown.words(fault) for fault in one["faults"]]} for one in trials.outcomes(test)]
    told = {"id": str(test.id), "revision": test.revision.number, "cases": cases}
    return {**told, **{name: getattr(test, name) for name in plain}}
