"""Pages of runs that need no requests: the list and the start form. (A step: step_pages.py. One run's page
shows its requests too: see approvals/run_pages.py.)"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Max, Q, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from console import paging
from console.runs import actions, crowd, inputs, listing
from console.runs.models import TERMINAL, Run, RunStatus, Step
from console.templatetags.sayso import STATUS_WORDS
from console.tenants import access, display
from console.tenants.access import Actor, actor_of
from console.tenants.models import Membership
from console.workflows.models import Workflow
from console.workflows.reasons import StopReason

_LISTED = (
    Run.objects.select_related("workflow", "revision")
    .defer("sealed_input", "sealed_result", "metadata", "revision__body", "workflow__description")
    .annotate(demo=KeyTextTransform("demo", "metadata"))  # the one thing in it that a list shows
)
_STATUSES = [(str(status), STATUS_WORDS[status]) for status in RunStatus]
STARTERS = ("operator", "admin")


@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    """The runs of the tenant, newest first."""
    actor = actor_of(request)
    wanted = listing.read(request.GET)
    shown = display.of(actor)
    if not shown.shown and wanted.words["q"]:  # what is hidden cannot be guessed at by looking for it either
        wanted.faults.append("“q” looks in titles, which your organisation hides from you")
        wanted.words["q"] = ""
    rows = listing.narrowed(access.all(_LISTED, actor).filter(smoke_test=None, probe=False), wanted)
    try:
        page = listing.page(rows, wanted, shown, request.GET.get("after"))
    except paging.BadCursor:
        return redirect("runs")
    counts = _counts(actor)
    context = {
        "section": "runs",
        "runs": page.runs,
        "next": "?" + urlencode({**_asked(wanted), "after": page.after}) if page.after else "",
        "looked": page.looked,
        "later": "after" in request.GET,
        "wanted": wanted,
        "order": listing.SORTS[wanted.sort][0] if wanted.sort else "",
        "many": listing.MANY,
        "kept": [(name, value) for name, value in _asked(wanted).items() if name in listing.MORE],
        "filters": wanted.words,
        "filtered": bool(_asked(wanted)),
        "statuses": _STATUSES,
        "reasons": [str(reason) for reason in StopReason],
        "workflows": access.all(Workflow, actor).order_by("slug").values_list("slug", flat=True),
        "counts": counts,
        "crowd": crowd.of(actor, counts),
        "may_start": actor.role in STARTERS,
    }
    return render(request, "runs/list.html", context)


def _asked(wanted: listing.Wanted) -> dict[str, str]:
    return {name: value for name, value in wanted.words.items() if value}


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form that starts a run."""
    actor = actor_of(request)
    if actor.role not in STARTERS:
        who = (
            Membership.objects.filter(role__in=STARTERS, active=True)
            .select_related("user")
            .order_by("-role", "user__username")
        )
        starters = [each.user.name for each in access.all(who, actor)[:5]]
        return render(request, "runs/not_yours.html", {"section": "runs", "starters": starters}, status=403)
    workflows = list(
        access.all(Workflow.objects.select_related("current"), actor).exclude(current=None).order_by("created_at")
    )
    slug = (request.POST if request.method == "POST" else request.GET).get("workflow", "")
    chosen = next((one for one in workflows if one.slug == slug), None)
    errors: dict[str, str] = {}
    wait = 0
    if request.method == "POST":
        try:
            run = _start(actor, chosen, request.POST.get("input", ""))
        except actions.Invalid as fault:
            errors["workflow" if fault.field == "workflow" else "input"] = _sentence(fault)
        except actions.AtLimit as limit:
            errors["form"], wait = f"Nothing was started. {limit}", limit.wait
        else:
            return redirect("run", run.pk)
    chosen = chosen or (workflows[0] if workflows else None)
    schema = chosen.current.body.get("input_schema") if chosen and chosen.current else None
    context = {
        "section": "runs",
        "workflows": workflows,
        "chosen": chosen,
        "schema": schema,
        "input": request.POST.get("input", ""),
        "errors": errors,
        "limit_kb": inputs.LIMIT // 1024,
        "crowd": crowd.of(actor),
    }
    response = render(request, "runs/new.html", context, status=429 if wait else 422 if errors else 200)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


@require_POST
def retry(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A new run that keeps what the old one did."""
    actor = actor_of(request)
    run = access.get(Run.objects.select_related("workflow__current", "revision"), actor, pk=run_id)
    try:
        again = actions.retry(actor, run)
    except (actions.Refused, actions.AtLimit) as refusal:
        return redirect(f"/runs/{run.pk}/?" + urlencode({"refused": str(refusal)}))
    return redirect("run", again.pk)


def _start(actor: Actor, workflow: Workflow | None, text: str) -> Run:
    if workflow is None:
        raise actions.Invalid("workflow", "is not one of this organisation's")
    schema = workflow.current.body.get("input_schema") if workflow.current else None
    return actions.start(actor, workflow, inputs.read(text, bool(schema)))


def _sentence(fault: actions.Invalid) -> str:
    where = fault.field if fault.field.startswith("input") and fault.field != "input" else f"The {fault.field}"
    return f"{where} {fault.message}."


def _counts(actor: Actor) -> dict[str, Any]:
    """waiting, open, failed (in the last day), and what waits for a worker; in_doubt are calls of runs not over."""
    yesterday = timezone.now() - timedelta(days=1)
    lately = Q(status=RunStatus.FAILED, ended_at__gte=yesterday)
    rows = access.all(Run, actor).filter(~Q(status__in=TERMINAL) | lately, smoke_test=None, probe=False)
    doubtful = access.all(Step, actor).filter(status="in_doubt", run__ended_at=None).order_by().values("status")
    counts = rows.aggregate(
        waiting=Count("id", filter=Q(status=RunStatus.WAITING)), open=Count("id", filter=~Q(status__in=TERMINAL)),
        failed=Count("id", filter=lately), in_doubt=Max(Subquery(doubtful.annotate(many=Count("seq")).values("many"))),
        **crowd.FIGURES,
    )  # fmt: skip
    return {**counts, "in_doubt": counts["in_doubt"] or 0}
