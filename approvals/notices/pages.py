"""The pages of channels: the list, one channel with its log, one delivery; and what a person wants to be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from approvals.errors import Conflict, Invalid
from approvals.notices import actions, chat, checking, reading
from approvals.notices.events import EVENTS
from approvals.notices.models import Channel, ChannelKind, Delivery, DeliveryStatus, Subscription, Wants
from console import paging
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.tenants.models import Role
from console.workflows.models import Workflow

_DELIVERIES = Delivery.objects.select_related("notice")
_LISTS = ("events", "workflows", "risks")


@sensitive_post_parameters("address")
@require_http_methods(["GET", "HEAD", "POST"])
def channels(request: HttpRequest) -> HttpResponse:
    """All channels, and the form for another."""
    actor = actor_of(request)
    access.require(actor, "admin")
    typed: dict[str, Any] = {"kind": ChannelKind.WEBHOOK, "events": ["request.created", "request.escalated"]}
    errors: dict[str, str] = {}
    if request.method == "POST":
        typed = _typed(request)
        name = typed.pop("name")
        if access.all(Channel, actor).filter(name=name.replace("\x00", "")).exists():
            errors = {"name": "There is a channel of that name; choose another."}
        else:
            saved, secret, errors = _put(actor, name, typed)
            if saved is not None:
                return _one(request, actor, saved, secret=secret, fresh=True)
        typed["name"] = name
    rows = reading.channels(actor, access.all(Channel, actor).order_by("name"))
    context = {**_form(actor, typed, errors), "channels": rows}
    return render(request, "notices/channels.html", context, status=422 if errors else 200)


@sensitive_post_parameters("address")
@require_http_methods(["GET", "HEAD", "POST"])
def channel(request: HttpRequest, name: str) -> HttpResponse:
    """One channel: its form and its log."""
    actor = actor_of(request)
    access.require(actor, "admin")
    row = access.get(Channel, actor, name=name)
    if request.method != "POST":
        return _one(request, actor, row)
    typed = _typed(request)
    typed.pop("name")
    saved, secret, errors = _put(actor, name, typed)
    if saved is None:
        return _one(request, actor, row, typed=typed, errors=errors)
    if secret:
        return _one(request, actor, saved, secret=secret)
    messages.success(request, "Saved. It holds for what happens from now on.")
    return redirect("channel", name)


@require_POST
def do(request: HttpRequest, name: str) -> HttpResponse:
    """What the buttons of a channel do."""
    actor, what = actor_of(request), request.POST.get("do", "")
    try:
        if what == "rotate":
            secret = actions.rotate(actor, name)
            return _one(request, actor, access.get(Channel, actor, name=name), secret=secret, rotated=True)
        said = _do(actor, name, what)
    except Conflict as refusal:
        messages.error(request, str(refusal))
        return _one(request, actor, access.get(Channel, actor, name=name), status=409)
    messages.success(request, said)
    return redirect("channels") if what == "delete" else redirect("channel", name)


@require_safe
def delivery(request: HttpRequest, key: UUID) -> HttpResponse:
    """One delivery: what was sent, and what was answered."""
    actor = actor_of(request)
    access.require(actor, "admin")
    row = access.get(_DELIVERIES.select_related("channel"), actor, pk=key, channel__isnull=False)
    context = {"section": "channels", "delivery": reading.in_full(row), "channel": row.channel}
    return render(request, "notices/delivery.html", context)


@require_POST
def redeliver(request: HttpRequest, key: UUID) -> HttpResponse:
    """Send it again."""
    try:
        actions.redeliver(actor_of(request), key)
    except Conflict as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "On its way again, under the same id.")
    return redirect("delivery", key)


@require_http_methods(["GET", "HEAD", "POST"])
def you(request: HttpRequest) -> HttpResponse:
    """What the signed-in person wants to be told, by mail and in this browser."""
    actor = actor_of(request)
    error = ""
    if request.method == "POST":
        try:
            actions.subscribe(actor, request.POST.get("wants", ""))
            messages.success(request, "Saved.")
            return redirect("you")
        except Invalid as fault:
            error = fault.message
    row = access.all(Subscription, actor).filter(user_id=actor.id).first()
    context = {
        "section": "you",
        "wants": row.wants if row else Wants.OFF,
        "choices": _FOR_ADMINS if actor.role == Role.ADMIN else _CHOICES,
        "email": getattr(request.user, "email", ""),
        "mail": settings.EMAIL_SET_UP,
        "error": error,
    }
    return render(request, "notices/you.html", context, status=422 if error else 200)


_CHOICES = [
    (Wants.OFF, "Nothing"),
    (Wants.ALL, "Every request that waits for me, at once, and comments that mention me"),
    (Wants.URGENT, "Only reminders, escalations and comments that mention me"),
]
# An admin decides nothing; a request waits for them only in so far as they alone can put somebody into its group.
_FOR_ADMINS = [
    (Wants.OFF, "Nothing"),
    (Wants.ALL, "Every alert, requests that wait for a group without a reviewer, and comments that mention me"),
    (
        Wants.URGENT,
        "Only alerts of high severity, reminders and escalations of such requests, and comments that mention me",
    ),
]


def _do(actor: Actor, name: str, what: str) -> str:
    """One deed, and what is to be said of it. Raises Conflict, Forbidden, NotFound."""
    if what == "test":
        actions.test(actor, name)
        return "A test is on its way; the log below says what becomes of it."
    if what in ("on", "off"):
        actions.switch(actor, name, what == "on")
        return f"Switched {what}."
    if what == "delete":
        actions.delete_channel(actor, name)
        return f"Deleted {name} and its log."
    if what == "redeliver":
        number = actions.redeliver_failed(actor, name)
        return f"{number} on their way again." if number else "Nothing has failed."
    raise Conflict("This page does not know that button; reload it.")


def _typed(request: HttpRequest) -> dict[str, Any]:
    given = request.POST
    typed: dict[str, Any] = {name: given.get(name, "").strip() for name in ("name", "kind", "address")}
    typed |= {name: given.getlist(name) for name in _LISTS}
    typed["groups"] = given.get("groups", "").split(",")
    return typed | {"include_title": given.get("include_title") == "yes", "active": given.get("active", "yes") == "yes"}


def _put(actor: Actor, name: str, typed: Mapping[str, Any]) -> tuple[Channel | None, str, dict[str, str]]:
    """The channel and its new secret, or faults by field."""
    try:
        return (*actions.put_channel(actor, name, **typed), {})
    except Invalid as fault:
        return None, "", {fault.field: fault.message}


def _form(actor: Actor, typed: Mapping[str, Any], errors: Mapping[str, str]) -> dict[str, Any]:
    """What the form of a channel needs."""
    return {
        "section": "channels",
        "typed": {**typed, "groups": ", ".join(each.strip() for each in typed.get("groups", ()) if each.strip())},
        "errors": errors,
        "kinds": [("webhook", "Signed webhook"), ("chat", "Chat: Slack, Teams and others"), ("email", "E-mail")],
        "all_events": EVENTS.items(),
        "all_risks": checking.RISKS,
        "all_workflows": access.all(Workflow, actor).order_by("slug").values_list("slug", flat=True),
        "examples": chat.EXAMPLES,
        "mail": settings.EMAIL_SET_UP,
    }


def _one(
    request: HttpRequest,
    actor: Actor,
    row: Channel,
    *,
    typed: Any = None,
    errors: Any = None,
    status: int = 0,
    **more: Any,
) -> HttpResponse:
    """The page of a channel. A new secret is on it this once: nothing keeps it where it could be read again."""
    wanted = request.GET.get("status", "")
    rows = access.all(_DELIVERIES, actor).filter(channel=row)
    wanted = wanted if wanted in DeliveryStatus.values else ""
    try:
        found, after = paging.page(
            rows.filter(status=wanted) if wanted else rows, request.GET.get("after"), paging.LIMIT
        )
    except paging.BadCursor:
        return redirect("channel", row.name)
    [shown] = reading.channels(actor, [row])
    before = {**shown, "address": "\n".join(reading.recipients(row))}
    context = {
        **_form(actor, before if typed is None else typed, errors or {}),
        "channel": shown,
        "deliveries": [reading.delivery(each) for each in found],
        "states": DeliveryStatus.values,
        "wanted": wanted,
        "next": "?" + urlencode({"status": wanted, "after": after}) if after else "",
        "overlap": row.previous_until if row.previous_until and row.previous_until > timezone.now() else None,
        **more,
    }
    return render(request, "notices/channel.html", context, status=status or (422 if errors else 200))
