"""How long figures are kept: a setting of admins. What a shorter time deletes, and when, is said before it is saved."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from console.tenants import access
from console.tenants.access import actor_of
from telemetry import retention
from telemetry.models import Retention
from telemetry.windows import BadQuery

FIELDS = ("hours", "days")


@require_http_methods(["GET", "HEAD", "POST"])
def retention_form(request: HttpRequest) -> HttpResponse:
    """The setting. What deletes figures is asked once more; ``sure`` repeats what was said, so that a tab left open deletes
    nothing else."""
    actor, now = actor_of(request), timezone.now()
    access.require(actor, "admin")
    kept = retention.of(actor.tenant.id)
    typed = {name: request.POST.get(name, str(getattr(kept, name))).strip()[:20] for name in FIELDS}
    errors: dict[str, str] = {}
    going: list[retention.Going] = []
    if request.method == "POST":
        try:
            wanted = retention.checked(*(_whole(typed[name]) for name in FIELDS))
            going = retention.going(actor.tenant.id, wanted, now)
            if not going or request.POST.get("sure") == _said(typed):
                retention.put(actor, wanted.hours, wanted.days)
                return redirect("/retention/?saved=1")
        except BadQuery as fault:
            errors = {fault.field: fault.message}
    context = {
        "section": "retention",
        "saved": "saved" in request.GET,
        "typed": typed,
        "errors": errors,
        "going": going,
        "said": _said(typed),
        "least": retention.LEAST_HOURS,
        "most": retention.MOST,
        "usual": retention.Kept(),
        "last": access.all(Retention, actor).first(),
    }
    return render(request, "telemetry/retention.html", context, status=422 if errors else 200)


def _whole(text: str) -> int:
    """The number that was typed; what is none is no number of days either."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else -1


def _said(typed: dict[str, str]) -> str:
    return f"{typed['hours']} {typed['days']}"
