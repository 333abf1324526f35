"""Pages of people and their organisation: log-in, switching, credentials, the audit record."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template import loader
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from console.audit.models import AuditRecord
from console.tenants import access, actions, sessions
from console.tenants.access import Actor, actor_of
from console.tenants.models import Credential, User

PAGE = 50
_SHOWN = ("provider", "base_url", "region", "zone")
FIELDS = (*_SHOWN, "api_key", *actions.AZURE)
_PLACES = {
    "run": "/runs/{}/",
    "request": "/queue/{}/",
    "credential": "/credentials/",
    "topic_event": "/events/{}/",
    "user": "/people/{}/",
}


@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    """Log in. The answer to a wrong name and a wrong password is the same."""
    given = request.POST if request.method == "POST" else request.GET
    after = _after(request)
    context: dict[str, Any] = {"next": after}
    if request.method == "POST":
        name = given.get("username", "").strip().replace("\x00", "")
        if sessions.begin(request, name, given.get("password", "")) is not None:
            return redirect(after)
        context |= {"username": name, "error": "User name and password do not match. Both are case-sensitive."}
    elif request.user.is_authenticated:
        return redirect(after)
    return render(request, "tenants/login.html", context, status=401 if "error" in context else 200)


@require_POST
def logout(request: HttpRequest) -> HttpResponse:
    """Log out."""
    sessions.end(request)
    return redirect("login")


@sensitive_post_parameters("old", "new", "again")
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """One's own password. Somebody else gave the first one: it is changed before anything else is shown."""
    errors: dict[str, str] = {}
    first = isinstance(request.user, User) and request.user.first_password
    if request.method == "POST":
        old, new, again = (request.POST.get(name, "").replace("\x00", "") for name in ("old", "new", "again"))
        errors = sessions.put_password(request, old, new) if new == again else {"again": "is not the same"}
        if not errors:
            return redirect(_after(request) if first else "/you/password/?changed=1")
    context = {"section": "you", "errors": errors, "changed": "changed" in request.GET, "next": _after(request)}
    template = "tenants/first_password.html" if first else "tenants/password.html"
    return render(request, template, context, status=422 if errors else 200)


@require_POST
def switch(request: HttpRequest, slug: str) -> HttpResponse:
    """Work in another of the signed-in person's organisations."""
    sessions.switch(request, slug)
    return redirect("queue")


@sensitive_post_parameters("api_key")
@require_http_methods(["GET", "HEAD", "POST"])
def credentials(request: HttpRequest) -> HttpResponse:
    """How teams reach their models. Keys go in and never come out."""
    actor = actor_of(request)
    access.require(actor, "admin")
    name, errors = request.POST.get("name", "").strip(), {}
    if request.method == "POST":
        fields = {field: request.POST.get(field, "").strip() for field in FIELDS}
        try:
            actions.put_credential(actor, name, **fields)
            return redirect("/credentials/?" + urlencode({"saved": name}))
        except actions.Invalid as fault:
            errors = {fault.field: fault.message}
    rows = list(access.all(Credential, actor).order_by("name"))
    for row in rows:
        mine = bool(errors) and row.name == name
        row.typed = request.POST if mine else {**row.options, **{f: getattr(row, f) for f in _SHOWN}}  # type: ignore[attr-defined]
        row.errors = errors if mine else {}  # type: ignore[attr-defined]
    fresh = errors and all(row.name != name for row in rows)
    context = {
        "section": "credentials",
        "credentials": rows,
        "saved": request.GET.get("saved", "")[:100],
        "fresh": {"typed": request.POST, "errors": errors} if fresh else {},
    }
    return render(request, "tenants/credentials.html", context, status=422 if errors else 200)


def _after(request: HttpRequest) -> str:
    """Where somebody wanted to go, when it is a page of ours; else the queue."""
    after = (request.POST if request.method == "POST" else request.GET).get("next", "")
    ours = url_has_allowed_host_and_scheme(after, {request.get_host()}, require_https=request.is_secure())
    return after if ours else "/queue/"


@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    actor = actor_of(request)
    filters = {name: request.GET.get(name, "").strip().replace("\x00", "")[:100] for name in ("type", "object", "who")}
    wanted = {"type": "object_type", "object": "object_id__startswith", "who": "actor_name__icontains"}
    mine = AuditRecord.objects.filter(tenant_id=actor.tenant.id)
    if actor.role != "admin":
        mine = mine.exclude(object_type="probe")  # who may have to decide one must not read here which it is
    rows = mine.filter(**{wanted[name]: value for name, value in filters.items() if value})
    after = request.GET.get("after", "")
    if after.isdecimal() and len(after) < 19:
        rows = rows.filter(id__lt=int(after))
    found = list(rows.order_by("-id")[: PAGE + 1])
    for record in found:
        record.href = _place(actor, record)  # type: ignore[attr-defined]
    context = {
        "section": "audit",
        "records": found[:PAGE],
        "next": "?" + urlencode({**filters, "after": found[PAGE - 1].pk}) if len(found) > PAGE else "",
        "filters": filters,
        "filtered": any(filters.values()),
        "types": mine.order_by("object_type").values_list("object_type", flat=True).distinct(),
    }
    return render(request, "tenants/audit.html", context)


def _place(actor: Actor, record: AuditRecord) -> str:
    """Where the object of a record can be looked at, or ""."""
    if record.object_type == "credential" and actor.role != "admin":
        return ""
    return _PLACES.get(record.object_type, "").format(record.object_id)


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that was not read to its end, with the limit that it passed. No scope is open here."""
    large, detail = isinstance(exception, RequestDataTooBig), ""
    if large:
        detail = f"It is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes, which is the limit."
    elif isinstance(exception, TooManyFieldsSent):
        detail = f"It has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields, which is the limit."
    return HttpResponse(loader.get_template("400.html").render({"detail": detail}), status=413 if large else 400)
