"""One run's page: what it said, what it asked people, what it did, and where the time went. Its cancel button."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from approvals import actions, listing, showing
from approvals.errors import RunOver
from approvals.models import ApprovalRequest
from console.durable import SCHEMA_VERSION
from console.runs import effects, figures, forks, moment_pages, retries, step_pages, told, waterfall
from console.runs.actions import Refused, status_payload
from console.runs.feed import run_topic
from console.runs.models import TERMINAL, FeedEvent, FeedTopic, Run, Step
from console.tenants import access, crypto, display
from console.tenants.access import Actor, actor_of
from console.tenants.display import Display
from console.workflows.reasons import ABOUT, StopReason

_RUN = Run.objects.select_related("workflow__current", "revision")
MESSAGES = 200  # of the feed, at first
STEPS = 200  # of the journal, a page
AGAIN = 50  # retries and forks of a run that its page lists


@require_safe
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run, live; with ``?at=N`` as it stood when its journal had N entries, with ``?step=N`` opened at a step."""
    actor = actor_of(request)
    row = access.get(_RUN, actor, pk=run_id)
    shown = display.of(actor)
    row.title, row.stop_detail = shown.title(row.title), shown.words(row.stop_detail)
    if "at" in request.GET:
        return moment_pages.moment(request, actor, row, shown)
    step = step_pages.of(actor, row, number, shown) if (number := _number(request.GET.get("step"))) else None
    asked = list(_requests(actor, row))
    context = {
        "section": "runs",
        "run": row,
        "display": shown,
        "status": status_payload(row),
        "problem": request.GET.get("refused", "")[:500] or ("" if step or not number else "There is no such step."),
        "about": ABOUT[StopReason(row.stop_reason)] if row.stop_reason in set(StopReason) else None,
        **_journal(actor, row, _number(request.GET.get("steps"))),
        "requests": [
            {**item, "title": showing.title(shown, item["kind"], item["title"])} for item in listing.items(asked)
        ],
        "too_new": row.status == "queued" and row.journal_version > SCHEMA_VERSION,
        **_done_to_the_world(row, shown),
        "retries": figures.retries(row.pk),
        **_fall(actor, row, asked, request.GET.get("window", ""), number),
        "opened": step,
        "open_step": number if step else 0,
        "input": shown.of(crypto.unseal_json(row.tenant_id, "run.input", bytes(row.sealed_input))),
        "result": shown.of(crypto.unseal_json(row.tenant_id, "run.result", bytes(row.sealed_result)))
        if row.sealed_result
        else None,
        "before": _diverged_at(actor, row),
        "again": _again(actor, row),
        "beside": _beside(actor, row),
        **_feed(actor, row, request.GET.get("messages") == "all", shown),
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


def _beside(actor: Actor, row: Run) -> list[tuple[str, UUID]]:
    """Runs that this one may be compared with: what it was made of, and the last that went well before it."""
    found = [("the run it is a retry of", row.retry_of_id), ("the run it was forked from", row.fork_of_id)]
    rows = access.all(Run, actor).filter(workflow=row.workflow_id, status="completed", smoke_test=None)
    before = rows.filter(created_at__lt=row.created_at).order_by("-created_at", "-id").values_list("pk", flat=True)
    found.append(("the last completed run before it", before.first()))
    return [(words, key) for words, key in found if key is not None]


def _number(text: str | None) -> int:
    """A number of an address; 0 where there is none, or nonsense."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _journal(actor: Actor, row: Run, after: int) -> dict[str, Any]:
    """A page of the journal."""
    steps = list(access.all(Step, actor).filter(run=row, seq__gt=after).order_by("seq")[: STEPS + 1])
    more = f"?steps={steps[STEPS - 1].seq}#journal" if len(steps) > STEPS else ""
    return {"steps": steps[:STEPS], "more_steps": more}


def _fall(actor: Actor, row: Run, asked: list[ApprovalRequest], wanted: str, step: int) -> dict[str, Any]:
    """Where the time went, one window of the journal; what a run that is over left open ends with it.

    Of a run that goes on it is the last window, else the first, unless one is asked for, or the one with a step.
    """
    every, extent = access.all(Step, actor).filter(run=row), figures.extent(row.pk)
    last = max(extent.steps - 1, 0) // waterfall.WINDOW
    at = last if row.ended_at is None else 0
    if step:
        at = every.filter(seq__lt=step).count() // waterfall.WINDOW
    at = min(_number(wanted) if wanted.isdecimal() else at, last)
    first = at * waterfall.WINDOW
    steps = list(every.order_by("seq")[first : first + waterfall.WINDOW])
    began, until = row.started_at or row.created_at, row.ended_at or timezone.now()
    sums, names = figures.by_agent(row.pk), waterfall.decided_by(asked)
    window = {
        "pages": last > 0, "first": first + 1, "last": first + len(steps), "many": extent.steps,
        "before": at - 1 if at > 0 else None, "after": at + 1 if at < last else None,
    }  # fmt: skip
    queued = row.created_at if at == 0 and row.started_at else None
    return {
        "fall": waterfall.chart(steps, began, until, names, sums, queued),
        "window": window,
        "entries": extent.entries,
    }


def _diverged_at(actor: Actor, row: Run) -> int | None:
    if row.stop_reason != StopReason.DIVERGENCE:
        return None
    steps = access.all(Step, actor).filter(run=row).only("scope", "n", "seq").order_by("seq")
    return forks.diverged_at(row, steps)


def _done_to_the_world(row: Run, shown: Display) -> dict[str, Any]:
    """Of a run that is over: the effects it had, may have had, and did not have."""
    if row.ended_at is None:
        return {}
    found = effects.account(row, effects.rows(row), over=True)
    lists = [("maybe", found.maybe), ("done", found.done), ("failed", found.failed), ("not_done", found.not_done)]
    effects.open_up(row, [effect for _, each in lists for effect in each[: effects.SHOWN]], shown)
    return {"account": found, "account_lists": lists}


def _requests(actor: Actor, row: Run) -> Any:
    rows = access.all(ApprovalRequest, actor).filter(run=row).select_related("workflow")
    return rows.defer("sealed_request", "sealed_decision").order_by("created_at", "id")


def _feed(actor: Actor, row: Run, everything: bool, display: Display) -> dict[str, Any]:
    """The last messages, oldest first, and the sequence number up to which the page is told.

    The number is read first: what comes in between is then sent again, which changes nothing on the page.
    """
    topic = run_topic(row.pk)
    seq = access.all(FeedTopic, actor).filter(name=topic).values_list("last_seq", flat=True).first() or 0
    rows = access.all(FeedEvent, actor).filter(topic=topic, kind="message")
    events = told.messages(rows) if everything else told.messages(rows, MESSAGES + 1)
    earlier = not everything and len(events) > MESSAGES
    shown = events[-MESSAGES:] if earlier else events
    return {"messages": [step_pages.seen(event.payload, display) for event in shown], "earlier": earlier, "seq": seq}


def _buttons(actor: Actor, row: Run) -> dict[str, Any]:
    may = actor.role in ("operator", "admin")
    over = row.status in TERMINAL
    allowed = False
    if may and over:
        try:
            allowed = bool(retries.revision_for(row))
        except Refused:
            allowed = False
    may_keep = actor.role == "admin" and over and row.smoke_test_id is None and not row.probe
    may_fork = may and not forks.refusal(row)
    return {"may_cancel": may and not over, "may_retry": allowed, "may_keep": may_keep, "may_fork": may_fork}
