"""The page on which admins say to whom the contents of runs are shown, and what is blotted out of them."""

from __future__ import annotations

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.tenants import access, display, display_actions, masks
from console.tenants.access import actor_of
from console.tenants.actions import Invalid
from console.tenants.models import TenantDisplay

_SENTENCES = {"shown_to": "Choose one of the three.", "masks": "There is no such mask."}


@require_http_methods(["GET", "HEAD", "POST"])
def display_form(request: HttpRequest) -> HttpResponse:
    """The setting. Own patterns are written one a line, as ``name: pattern``."""
    actor = actor_of(request)
    access.require(actor, "admin")
    kept = access.all(TenantDisplay, actor).first()
    shown_to, kinds = (kept.shown_to, kept.masks) if kept else (display.EVERYONE, [])
    text = "\n".join(f"{one['name']}: {one['pattern']}" for one in kept.patterns) if kept else ""
    errors: dict[str, str] = {}
    if request.method == "POST":
        shown_to, kinds = request.POST.get("shown_to", ""), request.POST.getlist("masks")
        text = request.POST.get("patterns", "")
        try:
            display_actions.put(actor, shown_to, kinds, _read(text))
            return redirect("/display/?saved=1")
        except Invalid as fault:
            errors = _told(fault)
    context = {
        "section": "display",
        "saved": "saved" in request.GET,
        "kept": kept,
        "choices": [(name, words, name == shown_to) for name, words in display.SHOWN_TO.items()],
        "kinds": [(name, words, name in kinds) for name, words in masks.KINDS.items()],
        "patterns": text,
        "errors": errors,
    }
    return render(request, "tenants/display.html", context, status=422 if errors else 200)


def _read(text: str) -> list[Mapping[str, str]]:
    """The patterns of lines. Raises Invalid for a line without a name."""
    found: list[Mapping[str, str]] = []
    for line in text[:20_000].splitlines():
        name, colon, pattern = line.partition(":")
        if not line.strip():
            continue
        if not colon:
            raise Invalid("patterns", f"need a name before a colon; the line “{line[:60]}” has none")
        found.append({"name": name.strip(), "pattern": pattern.strip()})
    return found


def _told(fault: Invalid) -> dict[str, str]:
    field, _, rest = fault.field.partition("[")
    if field != "patterns":
        return {field: _SENTENCES[field]}
    place, _, part = rest.partition("].")
    which = f"Line {int(place) + 1}: the {part} {fault.message}." if part else f"The patterns {fault.message}."
    return {"patterns": which}
