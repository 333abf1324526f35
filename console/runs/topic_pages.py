"""Pages of events: which event starts what and what the last ones did, one event, and the form that publishes another."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from console import paging
from console.runs import topics
from console.runs.actions import AtLimit
from console.runs.inputs import LIMIT
from console.runs.models import TERMINAL, Run, TopicEvent
from console.tenants import access, display
from console.tenants.access import Actor, actor_of
from console.workflows import subscriptions
from console.workflows.models import Workflow

Json = Any
PUBLISHERS = ("operator", "admin")
SHOWN = 3  # runs of an event, and refusals, in the list
_FIELDS = ("type", "id", "source")
_RUNS = Run.objects.select_related("workflow").only(
    "id", "title", "status", "stop_reason", "created_at", "workflow__slug", "workflow__name"
)


@require_safe
def events(request: HttpRequest) -> HttpResponse:
    """Which topics start which workflows, and the tenant's events, newest first."""
    actor = actor_of(request)
    filters = {name: request.GET.get(name, "").strip().replace("\x00", "")[: topics.LONGEST] for name in ("type", "id")}
    rows = access.all(TopicEvent.objects.annotate(created_at=F("at")), actor)  # what paging orders by
    try:
        found, after = paging.page(rows.filter(**_wanted(filters)), request.GET.get("after"), paging.LIMIT)
    except paging.BadCursor:
        return redirect("events")
    subscribed = _subscribed(actor)
    context = {
        "section": "events",
        "subscribed": subscribed,
        "example": _example([one["topic"] for one in subscribed]),
        "events": _with_what_they_did(actor, found),
        "next": "?" + urlencode({**filters, "after": after}) if after else "",
        "shown": SHOWN,
        "filters": filters,
        "filtered": any(filters.values()),
        "may_publish": actor.role in PUBLISHERS,
        "site": request.build_absolute_uri("/").rstrip("/"),
    }
    return render(request, "runs/events.html", context)


@require_safe
def event(request: HttpRequest, key: UUID) -> HttpResponse:
    """One event and all that it started. ``said`` in the address is what its publisher is told."""
    actor = actor_of(request)
    [row] = _with_what_they_did(actor, [access.get(TopicEvent, actor, pk=key)])
    context = {
        "section": "events",
        "event": row,
        "said": request.GET.get("said", ""),
        "moving": any(run and run.status not in TERMINAL for _, run in row.started),  # type: ignore[attr-defined]
        "may_publish": actor.role in PUBLISHERS,
    }
    return render(request, "runs/event.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """The form that publishes an event."""
    actor = actor_of(request)
    access.require(actor, *PUBLISHERS)
    typed = {name: request.POST.get(name, "").strip() for name in _FIELDS}
    typed |= {"data": request.POST.get("data", "").replace("\r\n", "\n"), "as": request.POST.get("as", "text")}
    status, errors, before = 200, {}, None
    if request.method == "POST":
        done, status, errors = _publish(actor, typed)
        if status != 422:
            before = access.all(TopicEvent, actor).filter(topic_type=typed["type"], event_id=typed["id"]).first()
        if done and before:
            return redirect(f"/events/{before.pk}/?said={'again' if done.again else 'published'}")
    else:
        typed["type"] = request.GET.get("type", "").removesuffix("*")[: subscriptions.LONGEST]
    context = {
        "section": "events",
        "typed": typed,
        "errors": errors,
        "before": before,
        "topics": [one["topic"] for one in _subscribed(actor)],
        "limit_kb": LIMIT // 1024,
    }
    return render(request, "runs/event_new.html", context, status=status)


def _publish(actor: Actor, typed: dict[str, str]) -> tuple[topics.Published | None, int, dict[str, str]]:
    """What was done; or the status that answers it, and faults by field."""
    data, said = _data(typed)
    event = (typed["type"], typed["id"], typed["source"], data)
    faults = {**dict(topics.faults(*event)), **({"data": said} if said else {})}
    if faults:
        return None, 422, {name: f"It {message}." for name, message in faults.items()}
    try:
        with transaction.atomic():  # a refusal is answered with a page, and what was begun must not stay for that
            return topics.publish(actor, *event), 200, {}
    except topics.Conflict as conflict:
        return None, 409, {"id": str(conflict)}
    except AtLimit as limit:
        return None, 429, {"form": f"Nothing was published. {limit}"}


def _data(typed: dict[str, str]) -> tuple[Json, str]:
    """The data that was typed, and what is wrong with how it was."""
    if typed["as"] != "json":
        return typed["data"], ""
    try:
        value = json.loads(typed["data"])
    except (ValueError, RecursionError) as error:
        return "", f"is no JSON: {error}"
    return value, "" if isinstance(value, dict) else "is JSON, but no object: that begins with { and ends with }"


def _wanted(filters: dict[str, str]) -> dict[str, str]:
    """A type is looked for as a subscription would: exactly, or with a * at its end as a prefix."""
    wanted = {"event_id": filters["id"]} if filters["id"] else {}
    if filters["type"].endswith("*"):
        return {**wanted, "topic_type__startswith": filters["type"][:-1]}
    return {**wanted, "topic_type": filters["type"]} if filters["type"] else wanted


def _example(spellings: list[str]) -> str:
    """A topic type that would start something, where any would."""
    exact = next((one for one in spellings if not one.endswith("*")), None)
    return exact or next((f"{one[:-1]}example" for one in spellings if one != "*"), "support_ticket")


def _subscribed(actor: Actor) -> list[dict[str, Any]]:
    """Each topic type and prefix, and the workflows whose current revision is subscribed to it."""
    rows = access.all(Workflow, actor).exclude(current=None).order_by("name", "slug")
    found: dict[str, list[dict[str, str]]] = {}
    for slug, name, spellings in rows.values_list("slug", "name", "current__body__topics"):
        for spelling in dict.fromkeys(spellings or []):
            found.setdefault(spelling, []).append({"slug": slug, "name": name})
    return [{"topic": topic, "workflows": workflows} for topic, workflows in sorted(found.items())]


def _with_what_they_did(actor: Actor, found: list[TopicEvent]) -> list[TopicEvent]:
    """The events, each with ``started``, pairs of {id, workflow} and the run if it is still there, and ``refused``."""
    answers = [topics.answer(one) for one in found]
    wanted = {each["id"] for answer in answers for each in answer.runs}
    runs = {str(run.pk): run for run in access.all(_RUNS, actor).filter(pk__in=wanted)}
    shown = display.of(actor)
    for run in runs.values():
        run.title = shown.title(run.title)
    for one, answer in zip(found, answers, strict=True):
        one.started = [(each, runs.get(each["id"])) for each in answer.runs]  # type: ignore[attr-defined]
        # What a refusal says may quote the data that was refused.
        one.refused = [{**each, "message": shown.words(each["message"])} for each in answer.refused]  # type: ignore[attr-defined]
    return found
