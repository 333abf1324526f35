"""What is wrong now, since when, and who has been told?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from approvals.errors import Conflict, Invalid
from console import paging
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows.models import Workflow
from console.workflows.reasons import StopReason
from telemetry import asking
from telemetry.alerts import actions, figuring, reading, saying, states, telling, terms
from telemetry.alerts.models import AlertRule, Condition, Incident, Severity, State
from telemetry.figures import FIGURES

SHOWN = 20  # incidents of the history at once
_NEW = {
    "figure": "abnormal_share", "hours": "3", "condition": "unusual", "weeks": "6", "least": "10", "for_minutes": "5",
    "severity": "medium", "remind_hours": "24", "active": "yes", "threshold": "", "name": "",
}  # fmt: skip
_CONDITIONS = [("unusual", "is outside what is usual"), ("above", "is above"), ("below", "is below")]
_UNTIL = [("1h", "1 hour"), ("8h", "8 hours"), ("monday", "until Monday"), ("own", "until the time below")]


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def alerts(request: HttpRequest) -> HttpResponse:
    """What fires, what is silent, the rules, and what there was; the forms for a rule and a silence."""
    actor = actor_of(request)
    if request.method == "POST":
        return _do(request, actor)
    return _page(request, actor, _typed_of(actor, request.GET.get("edit", "")))


@never_cache
@require_safe
def alert(request: HttpRequest, key: UUID) -> HttpResponse:
    """One alert: where every notice of it leads."""
    actor = actor_of(request)
    row = access.get(Incident, actor, pk=key)
    context = {"section": "alerts", "one": _shown(actor, [row])[0], "may": actor.role in ("operator", "admin")}
    return render(request, "telemetry/alert.html", context)


def _do(request: HttpRequest, actor: Actor) -> HttpResponse:
    """One deed, or why not."""
    given, now = request.POST, timezone.now()
    what = given.get("do", "")
    typed = _typed(request) if what in ("save", "preview") else dict(_NEW)
    try:
        if what == "preview":
            access.require(actor, "admin")
            rule = terms.rule(actor, _given(typed), now)
            found = figuring.backtest(actor, rule, now)
            return _page(request, actor, typed, preview={"found": found[::-1], "days": figuring.BACK, "rule": rule})
        said = _deed(actor, what, request, typed, now)
    except Invalid as fault:
        return _page(request, actor, typed, fault=fault, of=what, status=422)
    except Conflict as refusal:
        return _page(request, actor, typed, refusal=str(refusal), status=409)
    messages.success(request, said)
    return redirect("alerts")


def _deed(actor: Actor, what: str, request: HttpRequest, typed: dict[str, str], now: Any) -> str:
    """What was done, as a sentence. Raises Invalid, Conflict, Forbidden, NotFound."""
    given = request.POST
    key = given.get("rule", "").strip()
    if what == "save":
        if typed.get("edit"):
            return f"Saved {actions.change_rule(actor, typed['edit'], _given(typed), now).name}."
        return f"Made {actions.add_rule(actor, _given(typed), now).name}. It is looked at within a minute."
    if what == "silence":
        until = given.get("until", "")
        made = actions.silence(
            actor, key, given.get("reason", ""), given.get("own", "") if until == "own" else until, now
        )
        return f"Silent until {made.until:%-d %b, %H:%M} UTC. What fires is recorded, and nobody is told."
    if what == "wake":
        actions.wake(actor, given.get("silence", ""), now)
        return "The silence is over. What still fires is told once."
    if what in ("on", "off"):
        return f"{actions.switch(actor, key, what == 'on', now).name} is {what}."
    if what == "delete":
        return f"Deleted {actions.delete_rule(actor, key, now).name}. What it found stays below."
    raise Conflict("This page does not know that button; reload it.")


def _page(
    request: HttpRequest,
    actor: Actor,
    typed: dict[str, str],
    *,
    fault: Invalid | None = None,
    of: str = "",
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    now = timezone.now()
    rules = list(access.all(AlertRule, actor).order_by("-active", "name"))
    names = {str(rule.pk): rule.name for rule in rules}
    quiet = telling.silences(actor.tenant, now)
    open_now = list(access.all(Incident, actor).filter(ended_at=None).order_by("created_at"))
    hushed = {one.pk for one in open_now if any(telling.hushes(each, one.rule_id) for each in quiet)}
    try:
        past, after = paging.page(access.all(Incident, actor).exclude(ended_at=None), request.GET.get("after"), SHOWN)
    except paging.BadCursor:
        return redirect("alerts")
    may = actor.role in ("operator", "admin")
    context = {
        "section": "alerts",
        "firing": _shown(actor, [one for one in open_now if one.pk not in hushed]),
        "hushed": _shown(actor, [one for one in open_now if one.pk in hushed]),
        "quiet": [{**reading.silence(each), "of": names.get(str(each.rule_id), "")} for each in quiet],
        "rules": [_stands(rule) for rule in rules],
        "past": _shown(actor, past),
        "after": after,
        "names": names,
        "listens": reading.listens(actor.tenant),
        "may": may,
        "fault": fault,
        "fault_of": of,
        "typed": typed,
        "asked": request.POST if of == "silence" else {},
        "enough": states.ENOUGH,
        "cap": telling.CAP,
        **(_choices(actor) if actor.role == "admin" else {}),
        "until": _UNTIL,
        **more,
    }
    return render(request, "telemetry/alerts.html", context, status=status)


def _choices(actor: Actor) -> dict[str, Any]:
    tables: dict[str, list[Any]] = {}
    kinds = {"telemetry_runrollup": "Runs", "telemetry_steprollup": "Calls", "telemetry_approvalrollup": "Approvals"}
    for figure in FIGURES.values():
        tables.setdefault(kinds[figure.table], []).append((figure.name, f"{figure.title} ({figure.unit})"))
    return {
        "figures": tables.items(),
        "conditions": _CONDITIONS,
        "severities": Severity.values,
        "workflows": access.all(Workflow, actor).order_by("slug").values_list("slug", flat=True),
        "reasons": [(str(each), str(each).replace("_", " ")) for each in StopReason],
        "more_open": ("agent", "model", "tool", "topic", "revision"),
    }


def _shown(actor: Actor, rows: list[Incident]) -> list[dict[str, Any]]:
    told = reading.told(actor, rows)
    return [
        {
            **reading.alert(row),
            "says": saying.says(row),
            "worst_says": saying.value_of(row.figure, row.worst) if row.worst != row.latest else "",
            "in_digest": row.in_digest,
            "hushed": row.hushed,
            "sent": [each for notice in row.notices for each in told.get(notice, [])],
        }
        for row in rows
    ]


def _stands(rule: AlertRule) -> dict[str, Any]:
    """A rule with its value against its bound, in small words."""
    held = saying.bound(rule.figure, rule.low, rule.high)
    unknown = rule.low is None and rule.high is None
    return {
        **reading.rule(rule),
        "terms": saying.terms(rule),
        "now": saying.value_of(rule.figure, rule.value) if rule.checked_at else "",
        "held": "" if unknown else f"it fires {held}",
        "tone": {State.FIRING: "harm", State.PENDING: "wait", State.OK: "good"}.get(State(rule.state), ""),
        "word": {"no_data": "cannot say", "pending": "about to fire"}.get(rule.state, rule.state),
    }


def _typed(request: HttpRequest) -> dict[str, str]:
    names: Iterable[str] = (*_NEW, *asking.NARROWED, "edit")
    return {name: request.POST.get(name, "").strip()[:400] for name in names}


def _given(typed: dict[str, str]) -> dict[str, Any]:
    narrowed = {name: typed[name] for name in asking.NARROWED if typed.get(name)}
    return {**typed, "narrowed": narrowed, "active": typed.get("active") == "yes"}


def _typed_of(actor: Actor, key: str) -> dict[str, str]:
    """The form of a rule that is there, or of a new one. Raises NotFound."""
    if not key:
        return dict(_NEW)
    rule = access.get(AlertRule, actor, pk=key)
    told = {name: getattr(rule, name) for name in terms.FIELDS if name != "narrowed"}
    told["threshold"] = "" if rule.condition == Condition.UNUSUAL else f"{rule.threshold:g}"
    told["active"] = "yes" if rule.active else ""
    return {**{name: str(value) for name, value in told.items()}, **rule.narrowed, "edit": str(rule.pk)}
