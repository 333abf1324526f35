"""The pages of rules: the organisation's and a workflow's. What a draft would have done is told before it is saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from approvals import backtest, rule_actions, rule_draft, rule_form, trials
from approvals.models import RuleSet
from approvals.rule_draft import Sheet
from console.runs.models import Run
from console.tenants import access, display, groups
from console.tenants.access import Actor, actor_of
from console.workflows.errors import Invalid, Refused
from console.workflows.models import Revision, Workflow
from console.workflows.rule_words import rule_sentences

Json = Any
TRIERS = ("operator", "admin")
OFFERED = 30  # runs to choose from
VERSIONS = 20


@dataclass
class _Said:
    """What an action came to."""

    saved: int | None = None
    context: dict[str, Json] = field(default_factory=dict)
    error: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
def rules(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The organisation's rules, or a workflow's; and the draft that is being written on the page."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug) if slug else None
    held, number = trials.now(actor, workflow)
    sheet, said = rule_draft.of(held), _Said()
    if request.method == "POST":
        access.require(actor, *TRIERS)
        do = request.POST.get("do", "")
        sheet = rule_draft.read(request.POST, do)
        number = _number(request.POST.get("of", ""), number)
        if sheet.good:
            said = _do(actor, workflow, sheet, do, request)
        if said.saved is not None:
            return redirect(f"{request.path}?saved={said.saved}")
    context = {
        **_about(actor, workflow, request),
        "sheet": sheet,
        "listed": [_line(raw) for raw in sheet.rules or []],
        "number": number,
        "changed": sheet.rules != held,
        "error": said.error,
        **said.context,
    }
    bad = said.error or sheet.faults or sheet.errors
    return render(request, "approvals/rules.html", context, status=422 if bad else 200)


def _do(actor: Actor, workflow: Workflow | None, sheet: Sheet, do: str, request: HttpRequest) -> _Said:
    """Try, backtest or save a draft that is good."""
    try:
        if do == "save":
            return _save(actor, workflow, sheet, request)
        if do == "backtest":
            weeks = trials.weeks(_number(request.POST.get("weeks", "4"), 0))
            rate = trials.rate(request.POST.get("rate", "").strip()[:40])
            draft = trials.draft(actor, workflow, sheet.rules)
            return _Said(context={"result": backtest.run(draft, weeks, timezone.now(), rate)})
        if do == "try":
            return _try(actor, workflow, sheet, request.POST.get("run", ""))
    except Invalid as fault:
        return _Said(error=f"The {fault.field.replace('_', ' ')} {fault.message}.")
    except Refused as refused:
        sheet.faults = [(each.path, each.message) for each in refused.findings if each.level == "error"]
    return _Said()


def _save(actor: Actor, workflow: Workflow | None, sheet: Sheet, request: HttpRequest) -> _Said:
    reason, of = request.POST.get("reason", ""), _number(request.POST.get("of", ""), -1)
    if workflow is None:
        return _Said(saved=rule_actions.put_rules(actor, sheet.rules, reason, of=of)[0].number)
    return _Said(saved=rule_actions.revise_rules(actor, workflow, sheet.rules, reason, of=of)[0].number)


def _try(actor: Actor, workflow: Workflow | None, sheet: Sheet, key: str) -> _Said:
    if not key:
        return _Said(error="Choose a run to try the rules on.")
    runs = Run.objects.select_related("workflow")
    run = access.get(runs if workflow is None else runs.filter(workflow=workflow), actor, pk=key)
    tried = backtest.try_on(trials.draft(actor, workflow, sheet.rules), run.pk)
    run.title = display.of(actor).title(run.title)
    return _Said(context={"tried": tried, "tried_run": run})


def _about(actor: Actor, workflow: Workflow | None, request: HttpRequest) -> dict[str, Json]:
    """What the page shows besides the draft."""
    runs = (
        access.all(Run, actor).filter(smoke_test=None, probe=False).select_related("workflow").order_by("-created_at")
    )
    runs = runs.filter(workflow=workflow) if workflow else runs
    offered = list(runs.defer("sealed_input", "sealed_result")[:OFFERED])
    shown = display.of(actor)
    for one in offered:
        one.title = shown.title(one.title)
    saved = request.GET.get("saved", "")
    typed = request.POST
    return {
        "section": "workflows" if workflow else "rules",
        "workflow": workflow,
        "may_try": actor.role in TRIERS,
        "may_save": actor.role == "admin",
        "runs": offered,
        "chosen": typed.get("run", request.GET.get("run", "")),
        "weeks": backtest.WEEKS,
        "chosen_weeks": _number(typed.get("weeks", ""), 4),
        "rate": typed.get("rate", "")[:40],
        "reason": typed.get("reason", "")[:500],
        "saved": saved if saved.isdecimal() and len(saved) < 9 else "",
        "choices": rule_form.CHOICES,
        "groups": groups.names(actor.tenant.id),
        "versions": _versions(actor, workflow),
    }


def _versions(actor: Actor, workflow: Workflow | None) -> list[tuple[int, str, str, Json]]:
    """(number, author, reason, at), newest first."""
    if workflow is None:
        rows = access.all(RuleSet, actor).order_by("-number")
        return list(rows.values_list("number", "author_name", "reason", "at")[:VERSIONS])
    made = access.all(Revision, actor).filter(workflow=workflow).order_by("-number")
    return list(made.values_list("number", "author_name", "reason", "created_at")[:VERSIONS])


def _line(raw: dict[str, Json]) -> dict[str, Json]:
    said = rule_sentences(raw).replace("any tool", "Any tool", 1)  # a tool's own name stays as it is written
    return {"name": raw["name"], "effect": raw["effect"], "says": said}


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else otherwise
