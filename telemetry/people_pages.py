"""Do we still look? A page for the team itself."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from console.tenants.access import actor_of
from telemetry import people_charts, people_query
from telemetry.deciders import RAPID, WORDS_A_MINUTE
from telemetry.people import SAMPLE, SEE_NAMES, figures
from telemetry.people_query import DAYS, ONLY, BadQuery
from telemetry.people_stats import ENOUGH, FEW

BY = {"all": "all", "team": "by who is asked", "workflow": "by workflow", "rule": "by rule"}


@require_safe
def looking(request: HttpRequest) -> HttpResponse:
    """The figures of a window, as the viewer may see them."""
    actor, now = actor_of(request), timezone.now()
    error, given = "", request.GET
    try:
        window, days = people_query.window(given, now)
    except BadQuery as fault:
        error = f"{fault.field} {fault.message}; what you see is the last 30 days."
        window, days = people_query.window({}, now)
    found = figures(actor, window)
    context = {
        "section": "looking",
        "error": error,
        "days": days,
        "choices": DAYS,
        "it": found,
        "plot": people_charts.scatter(found.points) if found.points else None,
        "size": (people_charts.WIDTH, people_charts.HEIGHT, people_charts.LEFT, people_charts.BOTTOM),
        "heat": people_charts.heat(found.heat) if found.heat else [],
        "hours": range(24),
        "probes": [(words, [one for one in found.probes if one.by == by]) for by, words in BY.items()],
        "speed": WORDS_A_MINUTE,
        "rapid": RAPID,
        "sample": SAMPLE,
        "enough": ENOUGH,
        "few": FEW,
    }
    return render(request, "telemetry/people.html", context, status=422 if error else 200)


@require_safe
def decisions(request: HttpRequest) -> HttpResponse:
    """The decisions behind a cell or a figure."""
    actor, now = actor_of(request), timezone.now()
    context: dict[str, Any] = {"section": "looking", "days": 30}
    try:
        window, context["days"] = people_query.window(request.GET, now)
        what = people_query.narrow(request.GET)
    except BadQuery as fault:
        context["error"] = f"{fault.field} {fault.message}."
        return render(request, "telemetry/decisions.html", context, status=422)
    rows, more = people_query.decisions(actor, window, what)
    context |= {"rows": rows, "more": more, "what": what, "only": ONLY[what.only], "names": actor.role in SEE_NAMES}
    context["day"] = people_charts.DAYS[what.day - 1] if what.day else ""
    return render(request, "telemetry/decisions.html", context)
