"""Tool calls of the past, as the journal and the requests tell them: what was called, what the policy said then, and what
people decided. Call inside a tenant's scope.

A call that stopped, or was refused, has a gate's step with everything that a person was shown. One that ran by itself has
the call's own step alone: what the policy had read of its tool is taken from its verdict, and from the catalogue.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from approvals.actions.requests import facts_of
from approvals.policy import Facts
from console.durable.steps import Ask
from console.runs.models import Run
from console.tenants import crypto
from console.workflows import registry
from console.workflows.catalogue import UnknownTool
from console.workflows.models import Revision
from console.workflows.registry import Registry

Json = Any
CHUNK = 200  # payloads that are in memory at once
REVIEW = "/review"


@dataclass(frozen=True, slots=True)
class Said:
    """What became of a request. ``looked_s`` is from opening it to the decision, ``waited_s`` from its making."""

    status: str  # pending, decided, expired, moot
    verdict: str
    approvers: int
    looked_s: float | None
    waited_s: float | None


@dataclass(frozen=True, slots=True)
class Past:
    """A call of a tool: what was asked of the policy, and what came of it. ``body`` is the revision's."""

    run: Run
    seq: int
    at: datetime
    ask: Ask
    effect: str  # what the policy said then: allow, deny or require
    rule: Mapping[str, Json] | None
    reason: str
    people: int  # that were needed then
    said: Said | None
    body: Mapping[str, Json]
    facts: Facts


@dataclass(slots=True)
class Found:
    """Calls to be read. ``cut``: there were more than ``limit``, and the oldest were left out."""

    rows: list[dict[str, Any]]
    cut: bool


def find(
    tenant_id: UUID,
    *,
    workflow_id: UUID | None = None,
    run_id: UUID | None = None,
    since: datetime | None = None,
    limit: int = 20_000,
) -> Found:
    """The calls of a tenant, a workflow or one run, newest first, without what they said. Tests of revisions and probes are
    no history, and what a retry took over from an earlier run is that run's."""
    where = ["r.tenant_id = %(tenant)s", "r.smoke_test_id IS NULL", "NOT r.probe", "s.verdict IS NOT NULL"]
    if workflow_id is not None:
        where.append("r.workflow_id = %(workflow)s")
    if since is not None:
        where += ["s.started_at >= %(since)s", "(r.ended_at IS NULL OR r.ended_at >= %(since)s)"]
    where.append("NOT s.inherited" if run_id is None else "r.id = %(run)s")
    query = _CALLS.format(where=" AND ".join(where))
    given = {"tenant": tenant_id, "workflow": workflow_id, "run": run_id, "since": since, "limit": limit + 1}
    with connection.cursor() as cursor:
        cursor.execute(query, given)
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    return Found(rows[:limit], len(rows) > limit)


def read(tenant_id: UUID, found: Sequence[Mapping[str, Any]]) -> Iterator[Past | None]:
    """Each call with what it said; None for one whose payload is gone."""
    runs = _Runs(tenant_id)
    tools = registry.of(tenant_id)
    for start in range(0, len(found), CHUNK):
        chunk = found[start : start + CHUNK]
        payloads = _payloads(tenant_id, chunk)
        runs.load({row["run_id"] for row in chunk})
        for row in chunk:
            request = payloads.get((row["run_id"], row["seq"]))
            yield None if not isinstance(request, dict) else _past(row, request, runs, tools)


class _Runs:
    """Runs, their revisions and what conditions see of them, each read once."""

    def __init__(self, tenant_id: UUID) -> None:
        self._tenant_id = tenant_id
        self._revisions: dict[UUID, Revision] = {}
        self.known: dict[UUID, tuple[Run, Facts]] = {}

    def load(self, wanted: set[UUID]) -> None:
        """Read those that are not known yet."""
        missing = wanted - self.known.keys()
        rows = Run.objects.select_related("workflow", "tenant").defer("sealed_input", "sealed_result")
        runs = list(rows.filter(tenant=self._tenant_id, pk__in=missing)) if missing else []
        new = {run.revision_id for run in runs} - self._revisions.keys()
        if new:
            self._revisions |= Revision.objects.filter(tenant=self._tenant_id).in_bulk(new)
        for run in runs:
            run.revision = self._revisions[run.revision_id]  # one object, so that its rules are prepared once
            self.known[run.pk] = (run, facts_of(run))


def _payloads(tenant_id: UUID, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[UUID, int], Json]:
    with connection.cursor() as cursor:
        cursor.execute(_PAYLOADS, [[row["run_id"] for row in rows], [row["seq"] for row in rows]])
        sealed = cursor.fetchall()
    found = {}
    for run_id, seq, blob in sealed:
        data = crypto.unseal(tenant_id, "step.request", blob)
        found[run_id, seq] = json.loads(data.decode("utf-8", "surrogatepass"))
    return found


def _past(row: Mapping[str, Any], request: dict[str, Json], runs: _Runs, tools: Registry) -> Past:
    run, facts = runs.known[row["run_id"]]
    verdict = row["verdict"]
    if isinstance(verdict, (str, bytes)):
        verdict = json.loads(verdict)
    detail = verdict.get("detail") or {}
    gate = row["kind"] == "review"
    shown = request if gate else _as_shown(row, request, detail, tools)
    scope = row["scope"] if gate else row["scope"] + REVIEW
    return Past(
        run=run,
        seq=row["seq"],
        at=row["started_at"],
        ask=Ask(scope, row["n"], "tool", row["digest"], shown, row["agent"], row["name"]),
        effect=verdict["effect"],
        rule=detail.get("rule"),
        reason=verdict.get("reason") or "",
        people=(row["approvers"] or detail.get("approvers") or 1) if verdict["effect"] == "require" else 0,
        said=_said(row),
        body=run.revision.body,
        facts=facts,
    )


def _as_shown(
    row: Mapping[str, Any], request: Mapping[str, Json], detail: Mapping[str, Json], tools: Registry
) -> dict[str, Json]:
    """What the policy had read of a call that ran by itself. Without a rule, the tool had said that it may."""
    shown: dict[str, Json] = {"tool": request.get("tool"), "arguments": request.get("arguments")}
    shown |= {"safety": row["safety"], "risk": detail.get("risk") or "", "approval": "allow"}
    if detail.get("rule") is not None:
        version = request.get("version")
        try:
            shown["approval"] = tools.get(row["name"], version if isinstance(version, int) else None).approval
        except UnknownTool:
            shown["approval"] = "unknown"
    return shown


def _said(row: Mapping[str, Any]) -> Said | None:
    if row["status"] is None:
        return None
    looked = waited = None
    if row["status"] == "decided" and row["decided_at"] is not None:
        waited = (row["decided_at"] - row["created_at"]).total_seconds()
        if row["opened_at"] is not None and row["opened_at"] <= row["decided_at"]:
            looked = (row["decided_at"] - row["opened_at"]).total_seconds()
    return Said(row["status"], row["decision"], row["approvers"], looked, waited)


_COLUMNS = (
    "run_id", "seq", "scope", "n", "kind", "digest", "name", "agent", "safety", "verdict", "started_at",
    "status", "decision", "approvers", "created_at", "decided_at", "opened_at",
)  # fmt: skip
_CALLS = """
    SELECT s.run_id, s.seq, s.scope, s.n, s.kind, s.digest, s.name, s.agent, s.safety, s.verdict, s.started_at,
        q.status, q.verdict, q.approvers, q.created_at, q.decided_at, g.opened_at
    FROM runs_run r
    JOIN runs_step s ON s.run_id = r.id
    LEFT JOIN approvals_approvalrequest q
        ON q.tenant_id = r.tenant_id AND q.run_id = s.run_id AND q.scope = s.scope AND q.n = s.n
    LEFT JOIN approvals_sighting g
        ON g.tenant_id = q.tenant_id AND g.request_id = q.id AND g.viewer_id = q.decided_by_id
    WHERE {where}
        AND ((s.kind = 'review' AND s.name <> '') OR (s.kind = 'tool' AND NOT EXISTS (
            SELECT 1 FROM runs_step v
            WHERE v.run_id = s.run_id AND v.scope = s.scope || '/review' AND v.n = s.n)))
    ORDER BY s.started_at DESC, s.run_id, s.seq DESC
    LIMIT %(limit)s
"""
_PAYLOADS = """
    SELECT run_id, seq, request FROM runs_steppayload
    WHERE (run_id, seq) IN (SELECT * FROM unnest(%s::uuid[], %s::int[]))
"""
