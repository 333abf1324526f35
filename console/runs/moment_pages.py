"""Stepping through a run: its page as it stood after each entry of its journal. Links all the way; nothing is executed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from console.runs import moments, step_pages
from console.runs.models import Run
from console.tenants import crypto
from console.tenants.access import Actor
from console.tenants.display import Display

_PROBLEM = "There is no such point: give the number of an entry, from 0 to {}."


def moment(request: HttpRequest, actor: Actor, run: Run, shown: Display) -> HttpResponse:
    """The run at ``?at=N``; 422 where that is no number, the end where it is beyond it."""
    text = request.GET.get("at", "")
    known = text.isascii() and text.isdecimal() and len(text) < 10
    found = moments.moment(run, int(text) if known else 0, shown)
    detail = step_pages.of(actor, run, found.step.seq, shown, outcome=found.ended) if found.step else None
    context = {
        **(detail or {}),
        "section": "runs",
        "run": run,
        "display": shown,
        "moment": found,
        "detail": detail,
        "problem": "" if known else _PROBLEM.format(found.entries),
        "input": shown.of(crypto.unseal_json(run.tenant_id, "run.input", bytes(run.sealed_input))),
        "lists": [(name, getattr(found.account, name)) for name in ("maybe", "done", "failed", "not_done")],
        "may_fork": False,
    }
    return render(request, "runs/moment.html", context, status=200 if known else 422)
