"""The pages under /platform/. TenantMiddleware lets platform admins alone come here, outside any tenant's scope."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from console.platform import figures
from console.tenants import platform
from console.tenants.actions import Invalid
from console.tenants.models import User
from telemetry.alerts import across

FIELDS = ("slug", "name", "username", "person", "email")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def overview(request: HttpRequest) -> HttpResponse:
    """How all tenants fare, what they stand on, and a form that makes another."""
    typed = {name: request.POST.get(name, "").replace("\x00", "").strip()[:500] for name in FIELDS}
    errors: dict[str, str] = {}
    made: tuple[Any, ...] = ()
    if request.method == "POST":
        assert isinstance(request.user, User)  # noqa: S101  # the middleware has looked
        try:
            made = platform.create(
                request.user, typed["slug"], typed["name"], typed["username"],
                person=typed["person"], email=typed["email"],
            )  # fmt: skip
            typed = {}
        except Invalid as fault:
            # What is wrong with the admin's name is said at the admin's name.
            field = fault.field if fault.field in FIELDS else "username"
            errors[field] = fault.message
    return _overview(request, 422 if errors else 200, typed=typed, errors=errors, made=made)


def _overview(request: HttpRequest, status: int, **more: Any) -> HttpResponse:
    words, after = (request.GET.get(name, "").replace("\x00", "").strip()[:200] for name in ("q", "after"))
    page = figures.tenants(words, after)
    checks, workers = figures.health_of_all()
    context = {
        "page": page,
        "words": words,
        "next": "?" + urlencode({"q": words, "after": page.next}) if page.next else "",
        "checks": checks,
        "ill": sum(not check.ok for check in checks),
        "workers": workers,
        "alerts": across.firing(timezone.now()),
        "here": "?" + urlencode({"q": words, "after": after}),
        **more,
    }
    return render(request, "platform/overview.html", context, status=status)


@require_POST
def enter(request: HttpRequest, slug: str) -> HttpResponse:
    """Look into a tenant, for a reason."""
    try:
        platform.enter(request, slug, request.POST.get("reason", ""))
    except Invalid as fault:
        return _overview(request, 422, refused={"slug": slug, "says": fault.message}, typed={}, errors={})
    return redirect("runs")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Back from a tenant."""
    platform.leave(request)
    return redirect("platform")
