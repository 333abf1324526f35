"""Behaviour contracts as pages: every version, what changed between two, and all of them as text to keep elsewhere."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from console.tenants import access
from console.tenants.access import actor_of
from console.workflows import contracts
from console.workflows.diff import words
from console.workflows.models import BehaviourContract, Workflow

LISTED = 200


@require_safe
def behaviour(request: HttpRequest, slug: str) -> HttpResponse:
    """The versions of what the team may do without a person, and the words that differ between two of them."""
    workflow = access.get(Workflow.objects.select_related("current"), actor_of(request), slug=slug)
    kept = list(contracts.versions(workflow)[:LISTED])
    newer = _of(kept, request.GET.get("to", ""), 0)
    older = _of(kept, request.GET.get("from", ""), kept.index(newer) + 1 if newer in kept else 1)
    context = {
        "section": "workflows",
        "workflow": workflow,
        "versions": kept,
        "newer": newer,
        "older": older,
        "words": words(older.text, newer.text) if older and newer else [],
    }
    return render(request, "workflows/behaviour.html", context)


@require_safe
def export(request: HttpRequest, slug: str) -> HttpResponse:
    """All versions as plain text, the newest first, each with the digest of its words."""
    actor = actor_of(request)
    workflow = access.get(Workflow.objects.select_related("current"), actor, slug=slug)
    told = [
        f"{_line(workflow.name)}: what this team may do without a person",
        f"{actor.tenant.name}, {workflow.slug}",
        "",
    ]
    for one in contracts.versions(workflow):
        told += [
            f"Version {one.number}, since {one.at:%Y-%m-%d %H:%M:%S} UTC, revision {one.revision.number}",
            f"because: {_line(one.because)}",
            f"sha256: {one.sha256}",
            "",
            one.text,
            "",
        ]
    if len(told) == 3:
        told += ["No version has been written down yet. What is true now:", "", contracts.text_of(workflow), ""]
    answer = HttpResponse("\n".join(told), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{workflow.slug}-behaviour.txt"'
    return answer


def _of(kept: list[BehaviourContract], number: str, otherwise: int) -> BehaviourContract | None:
    if not number:
        return kept[otherwise] if otherwise < len(kept) else None
    found: Any = next((one for one in kept if str(one.number) == number), None)
    if found is None:
        raise Http404("There is no such version.")
    return found  # type: ignore[no-any-return]


def _line(text: str) -> str:
    return " ".join(text.split())
