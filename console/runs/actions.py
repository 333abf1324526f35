"""The transitions of a run. Each runs inside the caller's scope (``tenant_scope`` for people, ``system_scope`` for workers).

    start ----> queued --claim--> running --park--> waiting
                  ^                  |  |              |
                  |<-----release-----'  |              |
                  |<---------------wake-+--------------'
                  '--- finish: from any of them, once, to completed, failed or cancelled

Every transition is one conditional UPDATE: it says False (or None) when somebody else was first, and terminal is final.
The lease is counted by database time; ``token`` is the fence under which a worker may write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.utils import timezone

from console.audit import log as audit
from console.durable import SCHEMA_VERSION
from console.runs import admission, feed, forks, inputs, retries, wakeups
from console.runs.admission import AtLimit
from console.runs.beginning import autogen_version, begin, create, status_payload
from console.runs.changing import LET_GO, PARK, STOP_WAITING, update
from console.runs.forks import Repeats
from console.runs.models import TERMINAL, Run, RunStatus
from console.runs.retries import Refused
from console.runs.totals import Totals
from console.tenants import access, crypto
from console.tenants.access import Actor, require
from console.workflows import rollouts
from console.workflows.errors import Invalid
from console.workflows.models import Revision, SmokeTest, Workflow

__all__ = [
    "AtLimit",
    "Claim",
    "Invalid",
    "Refused",
    "Repeats",
    "Trial",
    "claim",
    "finish",
    "fork",
    "lose",
    "park",
    "release",
    "renew",
    "request_cancel",
    "retry",
    "start",
    "status_payload",
    "autogen_version",
    "too_new",
    "wake",
]

LEASE_S = 10
UNCHANGED: Any = object()  # of a fork: what is not edited
_FORKED = Run.objects.select_for_update(no_key=True, of=("self",)).select_related("workflow", "revision")
_ENDED = tuple(str(status) for status in TERMINAL)


@dataclass(frozen=True, slots=True)
class Trial:
    """A run is to test a revision, with a case of its smoke test."""

    test: SmokeTest
    revision: Revision
    case: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to advance a run until the lease runs out. ``run`` is as it was read under the claim."""

    run: Run
    token: int
    wake: int

    @property
    def run_id(self) -> UUID:
        """Of the claimed run."""
        return self.run.id


def start(
    actor: Actor,
    workflow: Workflow,
    input: Any,
    topic_source: str = "",
    metadata: Mapping[str, Any] | None = None,
    retry_of: Run | None = None,
    trial: Trial | None = None,
) -> Run:
    """Start a run of the workflow's current revision, or of the one on trial; the wake-up is sent on commit.

    Raises Invalid (field, message), AtLimit, and access.Forbidden: operators and admins start runs.
    """
    require(actor, "operator", "admin")
    run_id = uuid4()
    revision = trial.revision if trial else rollouts.choose(workflow, run_id, topic_source) or workflow.current
    if revision is None:
        raise Invalid("workflow", f"{workflow.slug} has no revision yet")
    inputs.check(input, revision.body.get("input_schema"))
    admission.check(actor.tenant)
    run = create(actor, workflow, revision, crypto.seal_json(actor.tenant.id, "run.input", input), inputs.title(input))
    run.id = run_id
    run.topic_source = topic_source
    run.metadata = dict(metadata or {})
    run.retry_of = retry_of
    if trial:
        run.smoke_test, run.smoke_case = trial.test, trial.case
    run.save(force_insert=True)
    begin(run, wakeups.queue_of(actor.tenant, workflow))
    audit.record(actor, "run.started", "run", run.id, workflow=workflow.slug, revision=revision.number)
    return run


def retry(actor: Actor, run: Run) -> Run:
    """A new run that keeps what ``run`` did up to its last good step. Raises Refused (with the reason) and Forbidden."""
    require(actor, "operator", "admin")
    revision = retries.revision_for(run)
    admission.check(actor.tenant)
    again = create(actor, revision.workflow, revision, bytes(run.sealed_input), run.title)
    again.oversight = retries.oversight_for(run, again)
    again.topic_source = run.topic_source
    again.metadata = run.metadata
    again.retry_of = run
    again.autogen_version, again.journal_version = run.autogen_version, run.journal_version  # of what it keeps
    again.save(force_insert=True)
    kept = retries.copy_record(run, again)
    begin(again, wakeups.queue_of(actor.tenant, revision.workflow))
    audit.record(actor, "run.retried", "run", again.id, retry_of=str(run.id), kept_steps=kept, reason=run.stop_reason)
    return again


def fork(
    actor: Actor,
    run: Run,
    from_step: int,
    *,
    input: Any = UNCHANGED,
    answer: Any = UNCHANGED,
    repeat_effects: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> Run:
    """A new run of the same revision, with what ``run`` had recorded before its step ``from_step``, which is done anew.

    ``input`` takes the place of the old one (from the first step only); ``answer`` that of what a model, or a tool that
    only reads, said at the step. ``repeat_effects``: the actor knows what may happen again. ``run`` stays as it is.
    Raises Refused, Invalid, Repeats (with what would happen again), AtLimit and Forbidden.
    """
    require(actor, "operator", "admin")
    edits = [name for name, value in ((forks.INPUT, input), (forks.ANSWER, answer)) if value is not UNCHANGED]
    if len(edits) > 1:
        raise Invalid("answer", "cannot be edited together with the input; fork twice")
    edit = "".join(edits)
    # Locked: it must not go on, where it waits, while its record is read and copied.
    run = access.get(_FORKED, actor, pk=run.pk)
    found = forks.plan(run, from_step, edit)
    sealed, title, anew = bytes(run.sealed_input), run.title, None
    if edit == forks.INPUT:
        inputs.check(input, run.revision.body.get("input_schema"))
        sealed, title = crypto.seal_json(actor.tenant.id, "run.input", input), inputs.title(input)
    elif edit == forks.ANSWER:
        [anew] = [one.step for one in found.kept if one.old == from_step]
        anew = forks.edited(anew, answer, actor, timezone.now())
    if found.effects and not repeat_effects:
        raise Repeats(found.effects)
    admission.check(actor.tenant)
    again = create(actor, run.workflow, run.revision, sealed, title)
    again.oversight = forks.oversight(found, again)
    again.topic_source = run.topic_source
    again.autogen_version, again.journal_version = run.autogen_version, run.journal_version  # of what it keeps
    again.metadata = run.metadata if metadata is None else dict(metadata)
    again.fork_of, again.forked_at, again.fork_edited = run, from_step, edit
    again.save(force_insert=True)
    forks.copy_record(found, again, anew)
    begin(again, wakeups.queue_of(actor.tenant, run.workflow))
    repeated = [effect.step for effect in found.effects]
    audit.record(
        actor, "run.forked", "run", again.id,
        fork_of=str(run.id), from_step=from_step, edited=edit, kept_steps=len(found.kept), may_repeat_steps=repeated,
    )  # fmt: skip
    return again


def claim(run_id: UUID | str, owner: str) -> Claim | None:
    """Take the lease of a queued run, or None when it is not there to be taken. System scope.

    A run whose journal is of a newer version than this process knows is left to a newer worker.
    """
    rows = update(
        "status = 'running', token = token + 1, lease_until = clock_timestamp() + %s, lease_owner = %s,"
        " leased_at = clock_timestamp(), started_at = COALESCE(started_at, clock_timestamp()),"
        " queue_s = queue_s + GREATEST(0, COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - ready_at), 0)),"
        " ready_at = NULL, wake_at = NULL, journal_version = GREATEST(journal_version, %s)",
        "id = %s AND status = 'queued' AND journal_version <= %s",
        [timedelta(seconds=LEASE_S), owner[:100], SCHEMA_VERSION, run_id, SCHEMA_VERSION],
    )
    return Claim(rows[0], rows[0].token, rows[0].wake) if rows else None


def too_new() -> int:
    """How many ready runs have a journal of a later version than this process knows: a newer worker must take them."""
    return Run.objects.filter(status=RunStatus.QUEUED, journal_version__gt=SCHEMA_VERSION).count()


def renew(held: Sequence[tuple[UUID, int]]) -> dict[UUID, tuple[int, bool]]:
    """Prolong the leases of (run, token) pairs in one statement: {run: (wake, cancel_requested)} of those still held.

    A run that is missing from the answer has been lost. Rows are locked in order, as the journal's writer does.
    """
    if not held:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(RENEW, renew_parameters(held))
        return {row[0]: (row[1], row[2]) for row in cursor.fetchall()}


RENEW = f"""
    WITH held AS (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS h(id, token)),
    mine AS (SELECT r.id FROM runs_run r JOIN held USING (id, token)
             WHERE r.status = 'running' ORDER BY r.id FOR NO KEY UPDATE OF r)
    UPDATE runs_run SET lease_until = clock_timestamp() + interval '{LEASE_S} seconds'
    WHERE id IN (SELECT id FROM mine) RETURNING id, wake, cancel_requested
"""  # noqa: S608  # a number of ours


LOOK = """
    SELECT r.id, r.wake, r.cancel_requested FROM runs_run r
    JOIN unnest(%s::uuid[], %s::bigint[]) AS h(id, token) USING (id, token) WHERE r.status = 'running'
"""


def renew_parameters(held: Sequence[tuple[UUID, int]]) -> list[Any]:
    """Parameters of RENEW, and of LOOK, which says the same and prolongs nothing."""
    return [[run_id for run_id, _ in held], [token for _, token in held]]


def park(
    run: Run | UUID,
    token: int,
    wake_seen: int,
    wake_at: datetime | None = None,
    totals: Totals | None = None,
    for_person: bool = True,
) -> bool:
    """Let go of a run that waits for decisions, or until ``wake_at``. False: the token is stale.

    Under the row's lock: when the wake counter moved past ``wake_seen``, or a cancel was asked for, the run is made
    ready at once instead of waiting.
    """
    unmoved = "(wake = %s AND NOT cancel_requested)"
    rows = update(
        f"status = CASE WHEN {unmoved} THEN 'waiting' ELSE 'queued' END,"
        f" ready_at = CASE WHEN {unmoved} THEN NULL ELSE clock_timestamp() END,"
        f" wake_at = CASE WHEN {unmoved} THEN %s::timestamptz END,"
        f" waiting_since = CASE WHEN {unmoved} AND %s THEN clock_timestamp() END, {PARK}",
        "id = %s AND status = 'running' AND token = %s",
        [wake_seen, wake_seen, wake_seen, wake_at, wake_seen, for_person, _id(run), token],
        totals,
    )
    return _tell_let_go(rows)


def release(run: Run | UUID, token: int, totals: Totals | None = None) -> bool:
    """Give a run back in the middle of its work (a worker leaves): it is ready again. False: the token is stale."""
    rows = update(
        f"status = 'queued', ready_at = clock_timestamp(), {LET_GO}",
        "id = %s AND status = 'running' AND token = %s",
        [_id(run), token],
        totals,
    )
    return _tell_let_go(rows)


def lose(run: Run | UUID, token: int, losses: int) -> bool:
    """The lease of a worker has run out: make the run ready for another. ``losses`` is how many there were in a row.

    So has one that ends later than any can: the database's clock was set back, and whoever lives has renewed since.

    False: the worker is back, or somebody was first.
    """
    rows = update(
        "status = 'queued', ready_at = clock_timestamp(), lost_leases = %s, leased_at = NULL, lease_until = NULL,"
        " lease_owner = '', active_s = active_s + GREATEST(0, COALESCE(EXTRACT(EPOCH FROM lease_until - leased_at), 0))",
        "id = %s AND status = 'running' AND token = %s AND NOT lease_until BETWEEN clock_timestamp()"
        f" AND clock_timestamp() + {2 * LEASE_S} * interval '1 second'",
        [losses, _id(run), token],
    )
    return _tell_let_go(rows)


def finish(
    run: Run | UUID,
    token: int | None,
    status: str,
    stop_reason: str,
    detail: str = "",
    result: Any = None,
    totals: Totals | None = None,
) -> bool:
    """End a run. With a token: by the worker that holds it. With None: by a person or by time, whatever it is doing;
    the token is raised then, so that a worker in the middle of it can write nothing more. False: too late, or stale."""
    run_id = _id(run)
    sealed = None
    if result is not None:
        tenant_id = (
            run.tenant_id if isinstance(run, Run) else Run.objects.values_list("tenant_id", flat=True).get(pk=run)
        )
        sealed = crypto.seal_json(tenant_id, "run.result", result)
    where: str = "id = %s AND status = 'running' AND token = %s"
    values: list[Any] = [run_id, token]
    if token is None:
        where, values = "id = %s AND status <> ALL(%s)", [run_id, list(_ENDED)]
    rows = update(
        "status = %s, stop_reason = %s, stop_detail = %s, sealed_result = %s, ended_at = clock_timestamp(),"
        " queue_s = queue_s + COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - ready_at), 0),"
        f" ready_at = NULL, wake_at = NULL, {STOP_WAITING}, {LET_GO}",
        where,
        [str(status), str(stop_reason), detail.replace("\x00", "\ufffd")[:4000], sealed, *values],
        totals,
        token_step=1 if token is None else 0,
    )
    if rows:
        if rows[0].status != RunStatus.COMPLETED:  # a team that is done has nothing under way
            with connection.cursor() as cursor:
                cursor.execute(_LEFT_OPEN, [run_id])
        feed.publish(rows[0].tenant_id, feed.run_topic(run_id), "status", status_payload(rows[0]))
        if token is None:
            transaction.on_commit(lambda: feed.nudge(run_id), robust=True)
    return bool(rows)


def wake(run: Run | UUID) -> bool:
    """Something that the run waits for has come: raise its wake counter and make it ready if it waits.

    On commit a worker is told: by a wake-up when the run is ready, by a nudge when one is at work on it.
    False: the run is over.
    """
    run_id = _id(run)
    rows = update(
        "wake = wake + 1, status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END,"
        " ready_at = CASE WHEN status = 'waiting' THEN clock_timestamp() ELSE ready_at END,"
        f" wake_at = CASE WHEN status = 'waiting' THEN NULL ELSE wake_at END, {STOP_WAITING}",
        "id = %s AND status <> ALL(%s)",
        [run_id, list(_ENDED)],
    )
    if not rows:
        return False
    if rows[0].status == RunStatus.QUEUED:
        # Before what screens are told: somebody waits for this one.
        wakeups.send_on_commit(rows[0], resume=True, queue=rows[0].queue)
        feed.publish(rows[0].tenant_id, feed.run_topic(run_id), "status", status_payload(rows[0]))
    else:
        transaction.on_commit(lambda: feed.nudge(run_id), robust=True)
    return True


def request_cancel(run: Run | UUID) -> bool:
    """Ask the worker that holds a running run to end it as cancelled. False: no worker holds it (finish it instead)."""
    rows = update("cancel_requested = true", "id = %s AND status = 'running'", [_id(run)])
    if rows:
        transaction.on_commit(lambda: feed.nudge(rows[0].id), robust=True)
    return bool(rows)


# A call that was begun, and of which nobody will record an outcome any more: it may have happened.
_LEFT_OPEN = """
    UPDATE runs_step SET status = 'in_doubt'
    WHERE run_id = %s AND settled IS NULL AND kind = 'tool' AND status = 'intent'
"""


def _tell_let_go(rows: list[Run]) -> bool:
    if not rows:
        return False
    run = rows[0]
    feed.publish(run.tenant_id, feed.run_topic(run.id), "status", status_payload(run))
    if run.status == RunStatus.QUEUED:
        wakeups.send_on_commit(run, resume=True, queue=run.queue)
    return True


def _id(run: Run | UUID | str) -> UUID | str:
    return run.id if isinstance(run, Run) else run
