"""What people do about a request besides deciding it: take it in hand, comment, put it off, approve the like."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals import actions, listing, showing, standings
from approvals.actions.bulk import MOST
from approvals.actions.calendar import put_calendar
from approvals.calendars import DAYS, faults
from approvals.card import card as card_of
from approvals.errors import Conflict, Invalid
from approvals.filters import FILTERS
from approvals.models import ApprovalRequest, Calendar, RequestStatus, StandingApproval
from approvals.pages import CARD, show
from approvals.reading import many
from console.tenants import access, display, groups
from console.tenants.access import Actor, actor_of

PAGE = 50
HOURS = {"hour": 1, "afternoon": 4, "tomorrow": 24, "week": 168}


@require_POST
def hand(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """Take it, take it over, let go of it, give it to a colleague, put it off, comment on it."""
    actor, typed = actor_of(request), request.POST
    deeds: dict[str, Callable[[], object]] = {
        "claim": lambda: actions.claim(actor, request_id),
        "take": lambda: actions.claim(actor, request_id, take_over=True),
        "release": lambda: actions.release(actor, request_id),
        "assign": lambda: actions.assign(actor, request_id, typed.get("to", "")),
        "comment": lambda: actions.comment(actor, request_id, typed.get("text", "")),
        "snooze": lambda: actions.snooze(actor, request_id, _until(typed.get("for", ""))),
        "wake": lambda: actions.snooze(actor, request_id, None),
        "standing": lambda: _grant(actor, request_id, typed),
    }
    deed = deeds.get(typed.get("do", ""))
    access.get(ApprovalRequest, actor, pk=request_id)
    status, problem = 200, ""
    if deed is None:
        status, problem = 422, f"do: must be one of {', '.join(deeds)}"
    else:
        try:
            deed()
        except Conflict as refusal:
            status, problem = 409, str(refusal)
        except access.Forbidden as refusal:
            status, problem = 403, str(refusal)
        except Invalid as fault:
            status, problem = 422, f"{fault.field.capitalize().replace('_', ' ')} {fault.message}"
    if status == 200 and not request.headers.get("HX-Request"):
        return redirect("queue-item", request_id)
    card = card_of(actor, access.get(CARD, actor, pk=request_id), typed.dict() if problem else None)
    return show(request, actor, card, status, problem=problem)


@require_http_methods(["GET", "HEAD", "POST"])
def like(request: HttpRequest, request_id: UUID) -> HttpResponse:
    """The requests that are like one, to be decided together: each is listed with its arguments and ticked by hand."""
    actor = actor_of(request)
    first = access.get(CARD, actor, pk=request_id)
    said: dict[str, Any] = {"answers": [], "problem": "", "typed": request.POST}
    status = 200
    if request.method == "POST":
        try:
            ids = request.POST.getlist("id")
            digests = {key[7:]: value for key, value in request.POST.items() if key.startswith("digest-")}
            said["answers"] = actions.decide_many(
                actor, ids, request.POST.get("verdict", ""), request.POST.get("reason", ""), digests
            )
        except Invalid as fault:
            status, said["problem"] = 422, f"{fault.field.capitalize()} {fault.message}"
    rows, shown = _like(actor, first), display.of(actor)
    for row in (first, *rows):
        row.title = showing.title(showing.for_request(actor, row.status, shown), row.kind, row.title)
    told = {answer.id: answer for answer in said["answers"]}
    context = {
        "section": "queue",
        "first": first,
        "rows": list(zip(rows, showing.requests(actor, many(rows)), strict=True)),
        "most": MOST,
        "done": sum(not answer.problem for answer in told.values()),
        "refused": [answer for answer in told.values() if answer.problem],
        "titles": {
            str(row.pk): shown.title(row.title) for row in access.all(ApprovalRequest, actor).filter(pk__in=list(told))
        },
        **said,
    }
    return render(request, "approvals/like.html", context, status=status)


@require_POST
def views(request: HttpRequest) -> HttpResponse:
    """Keep the filters of the list under a name, or forget a view."""
    actor, typed = actor_of(request), request.POST
    if typed.get("forget"):
        actions.forget_view(actor, typed["forget"])
        return redirect("queue")
    given = dict(parse_qsl(typed.get("filters", "")[:2000].replace("\x00", "")))
    filters = {name: value[:100] for name, value in given.items() if name in FILTERS}
    try:
        actions.keep_view(actor, typed.get("name", ""), filters)
    except Invalid as fault:
        return render(
            request, "_error.html", {"status": 422, "title": "This view was not kept", "detail": f"Its name {fault.message}."},
            status=422,
        )  # fmt: skip
    return redirect("/queue/?" + urlencode(filters))


@require_http_methods(["GET", "HEAD", "POST"])
def standing(request: HttpRequest) -> HttpResponse:
    """Who approved what in advance, until when, and how often that was used."""
    actor = actor_of(request)
    problem, status = "", 200
    if request.method == "POST":
        try:
            actions.revoke(actor, request.POST.get("revoke", ""))
            return redirect("standing")
        except Conflict as refusal:
            problem, status = str(refusal), 409
    rows = standings.listed(access.all(StandingApproval, actor)).order_by("-created_at", "-id")
    shown = [{**standings.shown(row), "mine": row.owner_id == actor.id} for row in rows[: PAGE * 4]]
    shown.sort(key=lambda row: row["state"] != "active")
    context = {"section": "standing", "rows": shown, "problem": problem}
    return render(request, "approvals/standing.html", context, status=status)


@require_safe
def uses(request: HttpRequest, standing_id: UUID) -> HttpResponse:
    """Every use of one approval in advance."""
    actor = actor_of(request)
    row = access.get(standings.listed(access.all(StandingApproval, actor)), actor, pk=standing_id)
    used = access.all(ApprovalRequest, actor).filter(standing=row).order_by("-decided_at")[: PAGE * 4]
    context = {
        "section": "standing",
        "standing": standings.shown(row),
        "uses": showing.items(actor, listing.items(list(used.select_related("workflow")))),
    }
    return render(request, "approvals/standing_uses.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def hours(request: HttpRequest) -> HttpResponse:
    """The business hours that rules can count in."""
    actor = actor_of(request)
    access.require(actor, "admin")
    errors: dict[str, str] = {}
    kept = access.all(Calendar, actor).first()
    typed = _typed_hours(kept)
    if request.method == "POST":
        typed = {name: request.POST.get(name, "").strip() for name in typed}
        try:
            days = {
                day: [typed[f"{day}_from"], typed[f"{day}_to"]]
                for day in DAYS
                if typed[f"{day}_from"] or typed[f"{day}_to"]
            }
            put_calendar(actor, typed["zone"], days, typed["holidays"].split())
            return redirect("/hours/?saved=1")
        except Invalid as fault:
            errors = {fault.field: fault.message, **faults(typed["zone"], days, typed["holidays"].split())}
    week = [(day, typed[f"{day}_from"], typed[f"{day}_to"], errors.get(f"days.{day}", "")) for day in DAYS]
    context = {
        "section": "hours",
        "typed": typed,
        "week": week,
        "errors": errors,
        "kept": kept,
        "saved": "saved" in request.GET,
    }
    return render(request, "approvals/hours.html", context, status=422 if errors else 200)


def _typed_hours(kept: Calendar | None) -> dict[str, str]:
    days = kept.days if kept else {}
    found = {"zone": kept.zone if kept else "", "holidays": "\n".join(kept.holidays) if kept else ""}
    for day in DAYS:
        found[f"{day}_from"], found[f"{day}_to"] = days.get(day, ("", ""))
    return found


def _like(actor: Actor, first: ApprovalRequest) -> list[ApprovalRequest]:
    rows = listing.pending(actor, kind=first.kind).select_related("workflow").defer(None)
    rows = rows.filter(workflow=first.workflow_id, tool=first.tool, group=first.group, approvers=first.approvers,
        rule_name=first.rule_name,
    )  # fmt: skip
    return list(listing.mine(actor, rows, groups.of(actor)).filter(status=RequestStatus.PENDING)[:MOST])


def _grant(actor: Actor, request_id: UUID, typed: Any) -> StandingApproval:
    scope, _, same = typed.get("like", "").partition("-")
    end = typed.get("until", "")
    try:  # the field of a form has no zone: it is the reader's, whose browser names it; without one it is UTC
        zone = ZoneInfo(typed.get("zone") or "UTC")
        end = datetime.fromisoformat(end).replace(tzinfo=zone).isoformat() if end else end
    except (ValueError, KeyError, OSError):
        pass  # said by the action, as of any other text
    return actions.grant(
        actor, request_id, scope=scope, same=same, expires_at=end, reason=typed.get("standing_reason", "")
    )


def _until(text: str) -> datetime:
    if text not in HOURS:
        raise Invalid("for", f"must be one of {', '.join(HOURS)}")
    return timezone.now() + timedelta(hours=HOURS[text])
