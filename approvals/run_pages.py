"""One run's page: what it said, what it asked people, what it did, and where the time went. Its cancel button."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from approvals import actions, listing
from approvals.errors import RunOver
from approvals.models import ApprovalRequest
from console.durable import SCHEMA_VERSION
from console.runs import effects, forks, retries, waterfall
from console.runs.actions import Refused, status_payload
from console.runs.feed import run_topic
from console.runs.models import TERMINAL, FeedEvent, FeedTopic, Run, Step
from console.tenants import access, crypto
from console.tenants.access import Actor, actor_of
from console.workflows.reasons import ABOUT, StopReason

_RUN = Run.objects.select_related("workflow__current", "revision")
MESSAGES = 200  # of the feed, at first
STEPS = 200  # of the journal, a page
AGAIN = 50  # retries and forks of a run that its page lists


@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run, live."""
    actor = actor_of(request)
    row = access.get(_RUN, actor, pk=run_id)
    steps = list(access.all(Step, actor).filter(run=row).order_by("seq"))
    asked = list(_requests(actor, row))
    after = int(after) if (after := request.GET.get("steps", "")).isdecimal() and len(after) < 9 else 0
    page = [step for step in steps if step.seq > after]
    context = {
        "section": "runs",
        "run": row,
        "status": status_payload(row),
        "problem": request.GET.get("refused", "")[:500],
        "about": ABOUT[StopReason(row.stop_reason)] if row.stop_reason in set(StopReason) else None,
        "steps": page[:STEPS],
        "more_steps": f"?steps={page[STEPS - 1].seq}#journal" if len(page) > STEPS else "",
        "requests": listing.items(asked),
        "too_new": row.status == "queued" and row.journal_version > SCHEMA_VERSION,
        **_done_to_the_world(row, steps),
        "retries": _retries(steps),
        "fall": waterfall.chart(
            steps, row.started_at or row.created_at, row.ended_at or timezone.now(), waterfall.decided_by(asked)
        ),
        "input": crypto.unseal_json(row.tenant_id, "run.input", bytes(row.sealed_input)),
        "result": crypto.unseal_json(row.tenant_id, "run.result", bytes(row.sealed_result))
        if row.sealed_result
        else None,
        "before": forks.diverged_at(row, steps),
        "again": _again(actor, row),
        **_feed(actor, row, request.GET.get("messages") == "all"),
        **_buttons(actor, row),
    }
    return render(request, "runs/detail.html", context)


@require_POST
def cancel(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """End a run now."""
    actor = actor_of(request)
    try:
        actions.cancel_run(actor, access.get(Run, actor, pk=run_id))
    except RunOver:
        pass  # it ended while the button was being pressed; the page says how
    return redirect("run", run_id)


def _again(actor: Actor, row: Run) -> list[Run]:
    """The runs that were made of this one, oldest first."""
    rows = access.all(Run, actor).filter(Q(retry_of=row) | Q(fork_of=row)).order_by("created_at", "id")
    return list(rows.only("status", "stop_reason", "retry_of", "fork_of", "forked_at", "fork_edited")[:AGAIN])


def _fall(row: Run, steps: list[Step], asked: list[ApprovalRequest]) -> waterfall.Chart:
    """Where the time went; what a run that is over left open ends with it."""
    until = row.ended_at or timezone.now()
    return waterfall.chart(steps, row.started_at or row.created_at, until, waterfall.decided_by(asked))


def _done_to_the_world(row: Run, steps: list[Step]) -> dict[str, Any]:
    """Of a run that is over: the effects it had, may have had, and did not have."""
    if row.ended_at is None:
        return {}
    found = effects.account(row, steps, over=True)
    lists = [("maybe", found.maybe), ("done", found.done), ("failed", found.failed), ("not_done", found.not_done)]
    effects.open_up(row, [effect for _, each in lists for effect in each[: effects.SHOWN]])
    return {"account": found, "account_lists": lists}


def _requests(actor: Actor, row: Run) -> Any:
    rows = access.all(ApprovalRequest, actor).filter(run=row).select_related("workflow")
    return rows.defer("sealed_request", "sealed_decision").order_by("created_at", "id")


def _feed(actor: Actor, row: Run, everything: bool) -> dict[str, Any]:
    """The last messages, oldest first, and the sequence number up to which the page is told.

    The number is read first: what comes in between is then sent again, which changes nothing on the page.
    """
    topic = run_topic(row.pk)
    seq = access.all(FeedTopic, actor).filter(name=topic).values_list("last_seq", flat=True).first() or 0
    events = access.all(FeedEvent, actor).filter(topic=topic, kind="message").order_by("-seq")
    rows = list(events if everything else events[: MESSAGES + 1])
    earlier = not everything and len(rows) > MESSAGES
    shown = reversed(rows[:MESSAGES] if earlier else rows)
    messages = [crypto.unseal_json(event.tenant_id, "feed", bytes(event.sealed)) for event in shown]
    return {"messages": messages, "earlier": earlier, "seq": seq}


def _retries(steps: list[Step]) -> dict[str, Any]:
    """How many tries failed, and of the last one why."""
    failed = [attempt for step in steps if isinstance(step.attempts, list) for attempt in step.attempts[:-1]]
    cause = failed[-1].get("cause") if failed and isinstance(failed[-1], dict) else ""
    return {"count": len(failed), "words": str(cause or "")[:60]}


def _buttons(actor: Actor, row: Run) -> dict[str, Any]:
    may = actor.role in ("operator", "admin")
    over = row.status in TERMINAL
    allowed = False
    if may and over:
        try:
            allowed = bool(retries.revision_for(row))
        except Refused:
            allowed = False
    may_keep = actor.role == "admin" and over and row.smoke_test_id is None
    may_fork = may and not forks.refusal(row)
    return {"may_cancel": may and not over, "may_retry": allowed, "may_keep": may_keep, "may_fork": may_fork}
