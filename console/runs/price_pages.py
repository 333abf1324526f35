"""What models cost: the page with the organisation's own prices, beside what its runs ask."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from console.runs import models_used
from console.tenants import access
from console.tenants.access import Actor, actor_of
from console.workflows import price_actions, prices
from console.workflows.errors import Conflict, Invalid

FIELDS = ("model", *price_actions.KINDS)
SPARE = 3  # empty rows


@require_http_methods(["GET", "HEAD", "POST"])
def price_list(request: HttpRequest) -> HttpResponse:
    """The organisation's list; a row without a model is none."""
    actor = actor_of(request)
    access.require(actor, "admin")
    if request.method != "POST":
        return render(request, "runs/prices.html", _shown(actor) | {"saved": request.GET.get("saved", "")})
    rows = _typed(request)
    try:
        given = [_filled(row) for row in rows]
        price_actions.put_prices(actor, given, request.POST.get("reason", ""), of=_looked_at(request))
    except price_actions.Faulty as faulty:
        for place, name, said in faulty.faults:
            rows[place].setdefault("errors", {}).setdefault(name or "model", f"It {said}.")
        return _again(request, actor, rows, "Nothing was saved: look at the rows that are marked.")
    except Invalid as fault:
        return _again(request, actor, rows, f"Nothing was saved: {fault.field} {fault.message}.")
    except Conflict as late:
        return _again(request, actor, rows, f"Nothing was saved. {late}", 409)
    return redirect(f"{request.path}?saved=1")


def _again(
    request: HttpRequest, actor: Actor, rows: list[dict[str, Any]], said: str, status: int = 422
) -> HttpResponse:
    shown = _shown(actor, rows) | {"said": said, "reason": request.POST.get("reason", "")}
    if status == 409:
        shown["version"] = request.POST.get("version", "")
    return render(request, "runs/prices.html", shown, status=status)


def _typed(request: HttpRequest) -> list[dict[str, Any]]:
    """The rows in which anything stands."""
    columns = [request.POST.getlist(name)[: price_actions.MOST + SPARE + 200] for name in FIELDS]
    length = max(len(column) for column in columns)
    columns = [[*column, *[""] * (length - len(column))] for column in columns]
    rows = [dict(zip(FIELDS, values, strict=True)) for values in zip(*columns, strict=True)]
    # A model that is only proposed has no price yet.
    return [row for row in rows if any(row[name].strip() for name in price_actions.KINDS) or row["model"].strip()]


def _filled(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FIELDS}


def _looked_at(request: HttpRequest) -> int | None:
    """The version that the form was made from. Raises Invalid."""
    text = request.POST.get("version", "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid("version", "must be a number; open the page again")
    return int(text) if text else None


def _shown(actor: Actor, rows: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    held = prices.current(actor.tenant.id)
    own = prices.table(held) if held else prices.NO_LIST
    used = models_used.of(actor.tenant.id, own)
    if rows is None:
        rows = [{name: entry[name] or "" for name in FIELDS} for entry in (held.prices if held else [])]
    return {
        "section": "prices",
        "held": held,
        "version": own.number,
        "used": [each.out() for each in used],
        "unpriced": sum(each.rates is None for each in used),
        "days": models_used.DAYS,
        "runs": models_used.RUNS,
        "rows": [*rows, *({} for _ in range(SPARE))],
        "own_by": f"{actor.tenant.slug} {own.number}",
    }
