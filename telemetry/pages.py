"""The insights of a tenant, and of the platform: is it well, for whom not, since when, because of what, at what cost?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import Max
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.runs.models import Run
from console.templatetags.sayso import usd
from console.tenants import access
from console.tenants.access import actor_of
from console.tenants.scopes import system_scope
from console.workflows.models import Workflow
from telemetry import address, histogram, notable, panels, query
from telemetry.address import Asked
from telemetry.charts import Chart
from telemetry.models import Cursor
from telemetry.panels import Board
from telemetry.people import SEE_NAMES
from telemetry.query import Scope, Totals

SPLITS = ("workflow", "model", "agent", "topic")
PLATFORM_SPLITS = ("tenant", "model")
HISTORY = {"demo": "history"}  # metadata of runs that the demo has moved to earlier days; see console/demo/history.py


@never_cache
@require_safe
def insights(request: HttpRequest) -> HttpResponse:
    """A tenant's."""
    actor = actor_of(request)
    now = timezone.now()
    asked = address.read(request.GET, now, SPLITS)
    workflows = dict(access.all(Workflow, actor).order_by("slug").values_list("slug", "id"))
    if asked.workflow and asked.workflow not in workflows:
        asked.faults.append("“workflow” is none of this organisation's: all workflows are shown.")
        asked.workflow = ""
    scope, names = Scope(actor.tenant.id, workflows.get(asked.workflow)), actor.role in SEE_NAMES
    board = Board(scope, asked.window, now, asked.workflow, names=names)
    if request.GET.get("chart"):
        return _file(request, board, asked)
    compared, revisions = _revisions(board, asked, workflows)
    context = {
        **_context(request, board, asked),
        "section": "insights",
        "workflows": list(workflows),
        "revisions": revisions,
        "compared": compared,
        "demo": access.all(Run, actor).filter(metadata__contains=HISTORY).exists(),
    }
    return render(request, "telemetry/insights.html", context)


@never_cache
@require_safe
def platform(request: HttpRequest) -> HttpResponse:
    """Of all tenants together: numbers, and nothing that a tenant has said or named. Platform admins alone come here."""
    now = timezone.now()
    asked = address.read(request.GET, now, PLATFORM_SPLITS)
    asked.workflow = ""
    with system_scope("the platform's insights"):
        board = Board(Scope(None), asked.window, now, links=False)
        if request.GET.get("chart"):
            return _file(request, board, asked)
        context = {**_context(request, board, asked), "workflows": None, "revisions": []}
        return render(request, "telemetry/platform.html", context)


def _builders(board: Board, asked: Asked) -> dict[str, Callable[[], Chart]]:
    """The charts of a page, in its order, by their id."""
    found: dict[str, Callable[[], Chart]] = {
        "stops": lambda: panels.stops(board),
        "cost": lambda: panels.cost(board, asked.by, asked.by),
        "machine": lambda: panels.machine(board),
        "human": lambda: panels.human(board),
        "throughput": lambda: panels.throughput(board),
        "queue": lambda: panels.queue(board),
        "requests": lambda: panels.requests(board),
        "waits": lambda: panels.waits(board),
        "models": lambda: panels.models(board),
    }
    if board.scope.tenant is not None and board.names:
        found["reviewers"] = lambda: panels.reviewers(board)
    return found


def _file(request: HttpRequest, board: Board, asked: Asked) -> HttpResponse:
    """One chart as CSV."""
    build = _builders(board, asked).get(request.GET["chart"])
    if build is None:
        raise Http404("There is no such chart.")
    chart = build()
    name = f"sayso-{chart.id}-{board.window.start:%Y%m%d}-{board.window.end:%Y%m%d}.csv"
    return HttpResponse(
        chart.csv(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _context(request: HttpRequest, board: Board, asked: Asked) -> dict[str, Any]:
    now = query.totals(board.scope, board.window, board.now)
    before = query.totals(board.scope, board.window.before(), board.window.start)
    noted = notable.of(board, asked.by)
    tiles = _tiles(board, now, before)
    read = Cursor.objects.aggregate(at=Max("at"))["at"]
    return {
        "here": request.path,
        "asked": asked,
        "typed": {
            name: getattr(board.window, side).strftime("%Y-%m-%dT%H:%M")
            for name, side in (("from", "start"), ("to", "end"))
        },
        "custom": not asked.range,
        "kept": [(name, value) for name, value in (("range", asked.range), ("by", asked.by)) if value],
        "faults": asked.faults,
        "presets": [
            {"words": words, "link": asked.address(range=name), "on": name == asked.range}
            for name, words in address.PRESETS.items()
        ],
        "splits": [
            {"words": name, "link": asked.address(by=name), "on": name == asked.by}
            for name in (SPLITS if board.scope.tenant else PLATFORM_SPLITS)
        ],
        "live": asked.live,
        "say": f"{asked.words}, against the time before",
        "window_words": asked.words,
        "csv": asked.address(),
        "tiles": tiles,
        "tiles_print": _print([asdict(now), asdict(before)]),
        "notable": noted,
        "notable_print": _print([asdict(one) for one in noted]),
        "nothing": not (now.runs or now.ended or now.calls or now.pending),
        "charts": [build() for build in _builders(board, asked).values()],
        "error": f"{histogram.ERROR:.0%}",
        "as_of": read,
    }


def _tiles(board: Board, now: Totals, before: Totals) -> list[dict[str, Any]]:
    """The five numbers that say whether it is well."""
    each = now.cost / now.ended if now.ended else None
    return [
        {
            "id": "runs", "words": "runs", "value": now.runs, "before": before.runs, "unit": "count",
            "link": board.within(on="started"),
        },
        {
            "id": "well", "words": "ended as they should", "value": now.well_share, "before": before.well_share,
            "unit": "share", "good": "up", "link": board.within(on="ended", like="abnormal"),
        },
        {
            "id": "machine", "words": "machine time p95", "value": now.machine[1], "before": before.machine[1],
            "unit": "seconds", "good": "down", "link": board.within(on="ended", sort="machine"),
        },
        {
            "id": "wait", "words": "approval wait p95, with those still open", "value": now.wait_p95,
            "before": before.wait_p95, "unit": "seconds", "good": "down", "link": "/queue/?whose=all" if board.links else "",
        },
        {
            "id": "cost", "words": "cost", "value": now.cost, "before": before.cost, "unit": "dollars",
            "more": " · ".join(
                filter(None, [f"{usd(each)} a run" if each else "", f"{now.unpriced:,} calls unpriced" if now.unpriced else ""])
            ),
            "link": board.within(on="ended", sort="cost"),
        },
    ]  # fmt: skip


def _revisions(board: Board, asked: Asked, workflows: dict[str, UUID]) -> tuple[str, list[query.Revision]]:
    """The revisions of the chosen workflow, or of the one with the most runs, side by side."""
    slug = asked.workflow
    if not slug:
        bars = board.bars("ended", "workflow")
        slug = bars[0].key if bars else ""
    if slug not in workflows:
        return "", []
    return slug, query.revisions_side_by_side(board.scope, board.window, workflows[slug])


def _print(said: Any) -> str:
    return hashlib.blake2s(json.dumps(said, default=str).encode(), digest_size=8).hexdigest()
