"""Smoke tests on pages: what a revision must still do, whether it does, and keeping a run as a case of it."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from console.runs import smoke as trials
from console.runs.admission import AtLimit
from console.runs.models import Run
from console.tenants import access, display
from console.tenants.access import Actor, actor_of
from console.tenants.display import Display
from console.workflows import actions, smoke
from console.workflows.errors import Invalid, Refused
from console.workflows.models import SmokeTest, Workflow

Json = Any
SHOWN = 10  # tests on the page
EXAMPLE = [
    {
        "name": "what this case is about",
        "input": "what a run is started with",
        "stubs": {"a_tool": {"result": {"what": "it answers"}}},
        "expect": {"stop_reason": "completed", "tools": ["a_tool"], "asked": []},
    }
]


@require_http_methods(["GET", "HEAD", "POST"])
def smoke_tests(request: HttpRequest, slug: str) -> HttpResponse:
    """A workflow's cases, and how its revisions did."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    errors: dict[str, Json] = {}
    if request.method == "POST":
        errors = _change(actor, workflow, request)
        if not errors:
            return redirect("workflow-smoke", slug)
    suite, shown = smoke.of(workflow), display.of(actor)
    rows = access.all(SmokeTest.objects.select_related("revision"), actor).filter(workflow=workflow)
    tests = list(rows.order_by("-started_at")[:SHOWN])
    context = {
        "section": "workflows",
        "workflow": workflow,
        "suite": suite,
        "said": [_says(case, shown) for case in suite.cases],
        "tests": [(test, _seen(trials.outcomes(test), shown)) for test in tests],
        "running": any(test.status == "running" for test in tests),
        "revisions": workflow.revisions.defer("body").order_by("-number")[:50],
        "chosen": request.POST.get("number") or request.GET.get("revision", ""),
        "text": request.POST.get("cases") or json.dumps(suite.cases or EXAMPLE, indent=2, ensure_ascii=False),
        "required": "required" in request.POST if request.POST.get("do") == "keep" else suite.required,
        "errors": errors,
        "may_test": actor.role in ("operator", "admin"),
    }
    return render(request, "runs/smoke.html", context, status=422 if errors else 200)


def _change(actor: Actor, workflow: Workflow, request: HttpRequest) -> dict[str, Json]:
    """Faults: ``cases`` a list of findings, or ``test`` a sentence. None when it is done."""
    post = request.POST
    try:
        if post.get("do") == "test":
            number = post.get("number", "")
            number = int(number) if number.isdecimal() and len(number) < 9 else 0
            trials.start(actor, workflow, number, promote="promote" in post)
        else:
            value = {"required": "required" in post, "cases": json.loads(post.get("cases", ""))}
            actions.put_smoke(actor, workflow, value)
    except Refused as refused:
        return {"cases": [(each.path, each.message) for each in refused.findings]}
    except Invalid as fault:
        return {"test": f"The {fault.field} {fault.message}."}
    except AtLimit as limit:
        return {"test": str(limit)}
    except (ValueError, RecursionError) as error:
        return {"cases": [("$.cases", f"is not JSON: {error}")]}
    return {}


def _seen(cases: list[dict[str, Json]], shown: Display) -> list[dict[str, Json]]:
    """What came of a test; its faults may quote what its runs said."""
    return [{**case, "faults": [shown.words(fault) for fault in case["faults"]]} for case in cases]


def _says(case: dict[str, Json], shown: Display) -> dict[str, Json]:
    """A case as people read it."""
    expect = case.get("expect") or {}
    text = case["input"] if isinstance(case["input"], str) else json.dumps(case["input"], ensure_ascii=False)
    wants = [f"ends as {expect.get('stop_reason') or 'completed'}"]
    for key, some, none in (("tools", "calls", "calls no tool"), ("asked", "asks a person about", "asks nobody")):
        if expect.get(key) is not None:
            wants.append(f"{some} {', '.join(expect[key])}" if expect[key] else none)
    if expect.get("contract"):
        wants.append("its result fits a schema")
    return {
        "name": case["name"],
        "input": shown.words(text),
        "wants": "; ".join(wants),
        "rejects": case.get("decide") == "reject",
    }


@require_POST
def keep(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Keep what a run came to as a case of its workflow's smoke tests."""
    actor = actor_of(request)
    run = access.get(Run.objects.select_related("workflow"), actor, pk=run_id)
    try:
        trials.keep(actor, run, request.POST.get("name", "").strip())
    except (Invalid, Refused) as fault:
        context = {"section": "runs", "workflow": run.workflow, "error": _sentence(fault)}
        return render(request, "workflows/refused.html", context, status=422)
    return redirect("workflow-smoke", run.workflow.slug)


def _sentence(fault: Invalid | Refused) -> str:
    if isinstance(fault, Invalid):
        return f"The {fault.field} {fault.message}."
    return " ".join(f"{each.path.rpartition('.')[2]}: {each.message}." for each in fault.findings)
