"""What a retry may keep: the record up to the last good step, and never a way around a person's no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet

from console.agents.oversight import Oversight
from console.runs import spending
from console.runs.models import TERMINAL, Run, Step
from console.tenants import crypto
from console.workflows import limits, waived
from console.workflows.models import Revision, Workflow
from console.workflows.reasons import StopReason


class Refused(Exception):
    """This run cannot be retried; the message says why, and what to do instead."""

    title = "This run cannot be retried"


@dataclass(frozen=True, slots=True)
class Retriable:
    """``rows`` can be retried as things stand, and are ``left``; ``refused`` says of the others why not, and how many."""

    rows: QuerySet[Run]
    left: int
    refused: Sequence[tuple[str, int]]


def retriable(rows: QuerySet[Run]) -> Retriable:
    """Which of ``rows``, runs of one tenant that ended for a reason that allows it, can be retried as things stand.

    What stands against one is that nobody reviewed what has to be reviewed now (``oversight_for``): the same for all runs
    of a revision that began under the same oversight. Three queries, and a few for each revision that says NEVER.
    """
    alike = list(rows.order_by().values_list("revision", "oversight").annotate(Count("id")))
    revisions = Revision.objects.select_related("workflow").in_bulk({key for key, _, _ in alike})
    own = limits.of_tenant(next(iter(revisions.values())).tenant_id) if revisions else {}
    now = {key: waived.effective(one.workflow, one.body, own) for key, one in revisions.items()}
    left, refused, against = 0, dict[str, int](), Q()
    for key, had, many in alike:
        try:
            oversight_for(Run(revision=revisions[key], oversight=had), Run(oversight=now[key]))
            left += many
        except Refused as refusal:
            refused[str(refusal)] = refused.get(str(refusal), 0) + many
            against |= Q(revision=key, oversight__isnull=True) if had is None else Q(revision=key, oversight=had)
    return Retriable(rows.exclude(against) if against else rows, left, list(refused.items()))


def revision_for(run: Run) -> Revision:
    """The revision that a retry of ``run`` takes. Raises Refused.

    It is the run's own; after a limit it is the workflow's current one, if that differs by raised limits alone.
    """
    if run.status not in TERMINAL:
        raise Refused(f"The run is still {run.status}; only a run that has ended can be retried.")
    if run.probe:
        raise Refused("This was an oversight probe, in which no team ran: there is nothing to do again.")
    if run.smoke_test_id is not None:
        raise Refused("This run was part of a smoke test, in which nothing is done; run the whole test again.")
    try:
        reason = StopReason(run.stop_reason)
    except ValueError:
        raise Refused(f"The run ended with the unknown reason {run.stop_reason!r}.") from None
    about = reason.about
    if about.retryable:
        return run.revision
    if not about.limit:
        raise Refused(f"{about.sentence} {about.remedy}".strip() if about.remedy else "A completed run is not retried.")
    workflow = Workflow.objects.select_related("current").get(pk=run.workflow_id)
    current = workflow.current
    if current is None or not (_raised(run, workflow, current, about.limit) or _room_again(run, reason)):
        raise Refused(f"{about.sentence} {about.remedy}")
    if _without_limits(run.revision.body) != _without_limits(current.body):
        raise Refused(
            f"{about.sentence} The current revision changes more than its limits, so the record does not fit it; "
            "start a new run."
        )
    return current


def oversight_for(run: Run, again: Run) -> dict[str, Any]:
    """The oversight of a retry: never less than ``run`` had, nor than a run gets that starts now. Raises Refused.

    ``again`` has what a run gets that starts now.
    """
    had = Oversight.of(run.body)
    now = Oversight.of({"oversight": again.oversight})
    kept = {**(run.body.get("oversight") or {})}
    for agent in had.stages:
        if had.stages[agent] == "NEVER" and now.stages.get(agent) != "NEVER":
            raise Refused(
                f"Nobody reviewed {agent} in this run, and now its messages are reviewed, so the record does not fit; "
                "start a new run."
            )
    if had.mode == "NEVER":  # the result comes after everything that is kept
        kept["mode"] = now.mode
    return kept


def copy_record(run: Run, again: Run) -> int:
    """Copy the steps that ``again`` inherits, with their payloads as they are sealed; returns how many.

    Kept is what was settled up to the last good step, numbered anew without gaps. A call that may have had an effect and
    whose outcome is unknown is kept as an open step wherever it stands, so that it is asked about and not done again (an
    idempotent one is called again, with its key); and with it what was settled before it began, failures that the team
    went on from included: it came of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COPY_STEPS, {"run": run.id, "again": again.id, "stopped": _stopped_seqs(run)})
        kept = cursor.rowcount
        cursor.execute(_COPY_PAYLOADS, {"run": run.id, "again": again.id})
    return kept


def _stopped_seqs(run: Run) -> list[int]:
    """Failed steps that ended the run: replaying one would end the new run in the same way."""
    failed = Step.objects.filter(run=run, status="failed").values_list("seq", flat=True)
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq, tenant_id, result FROM runs_steppayload WHERE run_id = %s AND seq = ANY(%s)",
            [run.id, list(failed)],
        )
        for seq, tenant_id, sealed in cursor.fetchall():
            outcome = crypto.unseal_json(tenant_id, "step.result", bytes(sealed)) if sealed else {}
            if (outcome.get("error") or {}).get("stop"):
                found.append(seq)
    return found


_COPY_STEPS = """
WITH unknown AS (
    SELECT seq FROM runs_step
    WHERE run_id = %(run)s AND settled IS NULL AND kind = 'tool' AND safety IN ('idempotent', 'neither')
), last AS (
    SELECT GREATEST(0, MAX(settled) FILTER (WHERE status = 'done'), (SELECT MAX(seq) FROM unknown)) AS good
    FROM runs_step WHERE run_id = %(run)s
), kept AS (
    SELECT s.* FROM runs_step s, last
    WHERE s.run_id = %(run)s AND NOT s.seq = ANY(%(stopped)s)
      AND (s.settled <= last.good OR s.seq IN (SELECT seq FROM unknown))
), places AS (
    SELECT place, ROW_NUMBER() OVER (ORDER BY place) AS anew
    FROM (SELECT seq AS place FROM kept UNION SELECT settled FROM kept WHERE settled IS NOT NULL) AS p
)
INSERT INTO runs_step (run_id, tenant_id, seq, settled, scope, n, kind, status, safety, name, agent, digest, key,
                       verdict, attempts, usage, cost, priced_by, inherited, started_at, first_token_at, ended_at,
                       worker, token)
SELECT %(again)s, k.tenant_id, b.anew, e.anew, k.scope, k.n, k.kind,
       CASE WHEN k.settled IS NULL AND k.safety = 'idempotent' THEN 'intent' ELSE k.status END,
       k.safety, k.name, k.agent, k.digest, k.key, k.verdict, k.attempts, k.usage, k.cost, k.priced_by, true,
       k.started_at, k.first_token_at, k.ended_at, k.worker, 0
FROM kept k JOIN places b ON b.place = k.seq LEFT JOIN places e ON e.place = k.settled
"""
_COPY_PAYLOADS = """
INSERT INTO runs_steppayload (run_id, tenant_id, seq, request, result)
SELECT a.run_id, p.tenant_id, a.seq, p.request, p.result
FROM runs_step a
JOIN runs_step s ON s.run_id = %(run)s AND s.scope = a.scope AND s.n = a.n
JOIN runs_steppayload p ON p.run_id = s.run_id AND p.seq = s.seq
WHERE a.run_id = %(again)s
"""


def _without_limits(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "limits"}


def _raised(run: Run, workflow: Workflow, current: Revision, names: tuple[str, ...]) -> bool:
    """Whether at least one of the limits would be higher today than it was for the run."""
    upper = (limits.of_tenant(run.tenant_id), workflow.limits)
    # A run that began before there was a limit of this name had none that it could have come up against.
    before = (
        {**limits.DEFAULTS, **run.limits}
        if run.limits
        else limits.effective(*upper, run.revision.body.get("limits") or {})
    )
    after = limits.effective(*upper, current.body.get("limits") or {})
    return any(limits.size(after[name]) > limits.size(before[name]) for name in names)


def _room_again(run: Run, reason: StopReason) -> bool:
    """Whether a run was stopped by the tenant's budget of the day, and there is some left: on another day, or raised."""
    if reason is not StopReason.BUDGET or spending.OF_DAY not in run.stop_detail:
        return False
    cap = limits.of_tenant(run.tenant_id).get("max_cost_per_day")
    day = spending.today(run.tenant_id)
    return cap is None or day.spent + day.reserved < Decimal(str(cap))
