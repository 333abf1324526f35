"""The pages of the queue: the list, the request beside it, and what a person says to it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from approvals import actions, fields, in_doubt, listing, showing
from approvals.card import card as card_of
from approvals.card import mark
from approvals.errors import AlreadyVoted, Changed, Claimed, Invalid, TooLate
from approvals.filters import FILTERS, marked, starter
from approvals.models import PRESSING, ApprovalRequest, RequestKind, RequestStatus, SavedView
from approvals.reading import many
from console.runs.models import FeedTopic
from console.templatetags.sayso import KIND_WORDS
from console.tenants import access, groups
from console.tenants.access import Actor, actor_of
from console.tenants.display import Display
from console.workflows.models import Workflow

CARD = ApprovalRequest.objects.select_related("workflow", "run__revision")
_KINDS = [(str(kind), KIND_WORDS[kind].capitalize() + ("s" if kind != "in_doubt" else "")) for kind in RequestKind]


@require_safe
def queue(request: HttpRequest) -> HttpResponse:
    """What waits for a person, most pressing first."""
    actor = actor_of(request)
    if request.GET.get("part") == "say":
        rows, filters, of = _rows(request, actor)
        query = urlencode({name: value for name, value in filters.items() if value})
        return render(request, "approvals/_say.html", {**listing.totals(rows, of), "query": query})
    return render(request, "approvals/queue.html", _around(request, actor))


@require_safe
def item(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """One request, beside the list."""
    actor = actor_of(request)
    row = access.get(CARD, actor, pk=request_id)
    if actor.id is not None and request.method == "GET":
        actions.saw(actor, row, "opened")
    card = card_of(actor, row, edit=request.GET.get("edit", ""))
    return show(request, actor, card)


@require_POST
def decide(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Say a verdict to a request; whatever becomes of it, the answer is the card as it stands now."""
    actor, typed = actor_of(request), request.POST
    row = access.get(CARD, actor, pk=request_id)
    verdict = typed.get("verdict", "")
    try:
        said = _said(row, verdict, typed)
        actions.decide(actor, request_id, verdict, typed.get("reason", ""), digest=typed.get("digest") or None, **said)
    except (TooLate, AlreadyVoted, Changed, Claimed) as refusal:
        card = card_of(actor, access.get(CARD, actor, pk=request_id))
        late = isinstance(refusal, TooLate) and refusal.request.status == RequestStatus.DECIDED
        return show(request, actor, card, 409, too_late=late, problem="" if late else str(refusal))
    except access.Forbidden as refusal:
        card = card_of(actor, access.get(CARD, actor, pk=request_id))
        return show(request, actor, card, 403, problem=str(refusal))
    except Invalid as fault:
        edit = ("json" if typed.get("form") == "json" else "1") if verdict == "edit" else ""
        card = card_of(actor, row, typed.dict(), edit)
        mark(card, fault.field, fault.message)
        return show(request, actor, card, 422, problem=_problem(fault))
    if request.headers.get("HX-Request"):
        return show(request, actor, card_of(actor, access.get(CARD, actor, pk=request_id)))
    return redirect("queue-item", request_id)


@require_POST
def seen(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """A browser says that a request was listed ("shown") or read to its end ("read")."""
    actor = actor_of(request)
    try:
        actions.saw(actor, access.get(ApprovalRequest, actor, pk=request_id), request.POST.get("what", ""))
    except Invalid as fault:
        return HttpResponse(str(fault), status=422, content_type="text/plain")
    return HttpResponse(status=204)


def _problem(fault: Invalid) -> str:
    """What is wrong, as the card says it."""
    if fault.field == "despite_evidence":
        return "By what came in late, it was done. Read it below; if you are sure that it was not, say so beside the button."
    return f"{fault.field.capitalize()} {fault.message}"


def _said(row: ApprovalRequest, verdict: str, typed: Any) -> dict[str, Any]:
    """What goes with a verdict, read from the form. Raises Invalid."""
    if verdict == "edit" and row.kind == "tool":
        if typed.get("form") == "json":
            return {"arguments": fields.read_json(typed.get("arguments", ""))}
        shown = many([row])[0]
        return {"arguments": fields.read(shown["content"].get("schema"), shown["arguments"], typed)}
    if verdict == "respond" and row.kind == "in_doubt":
        return {
            "answer": typed.get("answer"),
            "result": in_doubt.read_result(typed.get("result", "")),
            "despite_evidence": typed.get("despite_evidence") == "1",
        }
    return {"answer": typed.get("answer")} if verdict in ("edit", "respond") else {}


def show(request: HttpRequest, actor: Actor, card: dict[str, Any], status: int = 200, **more: Any) -> HttpResponse:
    """The card, by itself for a page that has the rest already, or beside the list."""
    context = {"card": card, "selected": card["item"]["id"], **more}
    if request.headers.get("HX-Request"):
        return render(request, "approvals/_card_only.html", context, status=status)
    return render(
        request, "approvals/queue.html", {**_around(request, actor, card["setting"]), **context}, status=status
    )


def _rows(
    request: HttpRequest, actor: Actor
) -> tuple[QuerySet[ApprovalRequest], dict[str, str], frozenset[str] | None]:
    """What the address asks for, how it was read, and whose groups it is narrowed to (None: everybody's)."""
    filters = {name: request.GET.get(name, "").replace("\x00", "")[:100] for name in FILTERS}
    if filters["whose"] not in ("mine", "all"):
        filters["whose"] = "mine" if actor.role == "reviewer" else "all"
    rows = listing.pending(actor, **{name: filters[name] for name in FILTERS[1:]})
    if filters["whose"] == "all":
        return rows, filters, None
    of = groups.of(actor)
    return listing.mine(actor, rows, of), filters, of


def _around(request: HttpRequest, actor: Actor, setting: Display | None = None) -> dict[str, Any]:
    """The list and its header; ``setting``, what the actor may see, spares a query."""
    wanted, filters, of = _rows(request, actor)
    rows, after = listing.page(marked(actor, wanted), request.GET.get("after", ""), of)
    workflows = {each.pk: each for each in access.all(Workflow, actor).order_by("slug")}
    for row in rows:
        row.workflow = workflows[row.workflow_id]
    topic = access.all(FeedTopic, actor).filter(name=f"queue:{actor.tenant.id}").values_list("last_seq", flat=True)
    kept = {name: value for name, value in filters.items() if value}
    narrowed, totals = any(filters[name] for name in FILTERS[1:]), listing.totals(wanted, of)
    return {
        "section": "queue",
        "items": showing.items(actor, listing.items(rows), setting),
        "filters": filters,
        "starter": starter(actor, filters["starter"]) or "-" if filters["starter"] else "",
        "holder": {"me": actor.id, "nobody": "-"}.get(filters["held"], ""),
        "kept": kept,
        "query": urlencode(kept),
        "narrowed": narrowed,
        "kinds": _KINDS,
        "risks": list(PRESSING),
        "workflows": [each.slug for each in workflows.values()],
        "groups": groups.names(actor.tenant.id),
        "mine": " ".join(sorted(of)) if of is not None else None,
        "views": access.all(SavedView, actor).filter(owner_id=actor.id).order_by("name") if actor.id else [],
        "next": "?" + urlencode({**kept, "after": after}) if after else "",
        "seq": next(iter(topic), 0),
        "may_start": actor.role in ("operator", "admin"),
        **totals,
        **({"waiting": totals["total"]} if not narrowed and (of is None) == (actor.role != "reviewer") else {}),
    }
