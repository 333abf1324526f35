"""The ledger of deeds that are done once: see console/agents/deeds.py for what it is for. Call inside a scope.

A deed's place is (tenant, scope, action), and one row. Who may do it is decided under that row's lock, in the transaction
that says ``begun``; of two who come at once one has it, and the other hears who. The run's token is read in the same
transaction, so a worker that has lost its run begins nothing any more.

What a row says may be behind: a worker dies between a deed and its row. So of a deed that is not at its end the step
that did it is asked, which is what a person answered where one was asked.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from console.agents.deeds import Deed, Found
from console.durable.errors import Fenced
from console.durable.steps import Json
from console.runs.models import TERMINAL, LedgerEntry, Run
from console.tenants import crypto

FIELD = "ledger.result"
RUN = "run"
SOURCE = "topic_source"
KEY = 200  # characters of an idempotency key


def origin(run: Run) -> UUID:
    """The run at the beginning of the retries and forks that led to this one: a deed is done once in all of them."""
    parent = run.retry_of_id or run.fork_of_id
    if parent is None:
        return run.id
    with connection.cursor() as cursor:
        cursor.execute(_ORIGIN, [parent])
        row = cursor.fetchone()
    return run.id if row is None else UUID(str(row[0]))


def scope_of(kind: str, first: UUID, source: str) -> str:
    """Where a deed is done once: in the run and its retries, or in all runs of its topic source, where it has one."""
    return f"source:{source}" if kind == SOURCE and source else f"run:{first}"


def key_of(tenant_id: UUID, scope: str, action: str) -> str:
    """The idempotency key that the tool gets. A source's is told apart by tenant: others may use the same names."""
    where, _, name = scope.partition(":")
    key = f"{name}:{action}" if where == "run" else f"{tenant_id.hex[:12]}:{name}:{action}"
    if len(key) <= KEY:
        return key
    return f"{key[: KEY - 33]}~{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def keys_of(run: Run) -> set[str]:
    """The idempotency keys of the deeds that ``run``, or a run that it was made of, has in the ledger.

    What a run that is made of it does again under one of them is answered from the ledger, and not done.
    """
    entries = LedgerEntry.objects.filter(tenant_id=run.tenant_id).filter(
        Q(scope=scope_of(RUN, origin(run), "")) | Q(run_id=run.id)
    )
    return {key_of(run.tenant_id, *place) for place in entries.exclude(status="failed").values_list("scope", "action")}


def begin(run: Run, token: int, scope: str, deed: Deed, sure: bool) -> Found:
    """Take a deed for a step of ``run``, or say why that must not be. Raises Fenced when the token is stale.

    ``sure``: a person said that it has not happened. Saying the same again is harmless: it is the step's own then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM runs_run WHERE id = %s FOR SHARE", [run.id])
        row = cursor.fetchone()
        if row is None or row[0] != token:
            raise Fenced(f"run {run.id} is advanced by somebody else now")
    place = [run.tenant_id, scope, deed.action]
    facts = [deed.tool, deed.version, deed.digest, run.id, deed.step, deed.n]
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [*place, *facts])
        if cursor.rowcount:
            return Found("ours")
    entry = LedgerEntry.objects.select_for_update().get(tenant_id=run.tenant_id, scope=scope, action=deed.action)
    found = _judged(entry, run, deed, sure, key_of(run.tenant_id, scope, deed.action))
    if found.state == "ours":
        with connection.cursor() as cursor:
            cursor.execute(_TAKE, [*facts, entry.pk])
    return found


def end(run: Run, scope: str, deed: Deed, status: str, result: Json = None) -> bool:
    """Say what came of a deed. False: it is another's by now. The token does not matter: what happened has happened."""
    sealed = crypto.seal_json(run.tenant_id, FIELD, result) if status == "done" else None
    rows = LedgerEntry.objects.filter(
        tenant_id=run.tenant_id, scope=scope, action=deed.action, run_id=run.id, step=deed.step, n=deed.n,
        status__in=("begun", "unknown"),
    )  # fmt: skip
    return bool(rows.update(status=status, sealed_result=sealed, ended_at=timezone.now()))


def _judged(entry: LedgerEntry, run: Run, deed: Deed, sure: bool, key: str) -> Found:
    """What a row that is there already says to a step that wants the deed."""
    if entry.status == "failed":
        return Found("ours")
    state, result = _state(entry, run, deed, key)
    told: dict[str, Any] = {
        "run": str(entry.run_id), "step": f"{entry.step}#{entry.n}", "at": _iso(entry.ended_at or entry.begun_at),
        "tool": entry.tool,
    }  # fmt: skip
    if entry.tool != deed.tool or entry.digest != deed.digest:
        # A person may have changed the arguments of a call of which it is known that it never happened.
        return Found("ours") if _is_own(entry, run, deed) and sure else Found("other", **told)
    if state == "done":
        return Found("done", **told, result=result)
    if _is_own(entry, run, deed):
        return Found("ours")  # the same step, begun anew: the engine has asked whoever must be asked
    if state == "under_way":
        return Found("under_way", **told)
    return Found("ours") if sure or deed.idempotent else Found("unknown", **told)


def _is_own(entry: LedgerEntry, run: Run, deed: Deed) -> bool:
    return (entry.run_id, entry.step, entry.n) == (run.id, deed.step, deed.n)


def _state(entry: LedgerEntry, run: Run, deed: Deed, key: str) -> tuple[str, Json]:
    """done (with its result), under_way or unknown."""
    if entry.status == "done":
        sealed = entry.sealed_result
        return "done", crypto.unseal_json(entry.tenant_id, FIELD, bytes(sealed)) if sealed else None
    with connection.cursor() as cursor:
        cursor.execute(_STEP, [entry.run_id, entry.step, entry.n])
        row = cursor.fetchone()
        if row is None or row[0] != "done":
            # A retry takes over a call that is in doubt, and a person may have answered there.
            cursor.execute(_INHERITED, [run.id, key, deed.step, deed.n])
            row = cursor.fetchone() or row
    if row is None:
        return "unknown", None
    status, kept, run_status = row
    if status == "done":
        outcome = crypto.unseal_json(entry.tenant_id, "step.result", bytes(kept)) if kept else {}
        return "done", outcome.get("result")
    if status == "intent" and run_status not in TERMINAL and entry.status == "begun":
        return "under_way", None
    return "unknown", None


def _iso(at: datetime) -> str:
    return at.isoformat()


_ORIGIN = """
WITH RECURSIVE before AS (
    SELECT id, COALESCE(retry_of_id, fork_of_id) AS parent, 1 AS far FROM runs_run WHERE id = %s
    UNION ALL SELECT r.id, COALESCE(r.retry_of_id, r.fork_of_id), b.far + 1
    FROM runs_run r JOIN before b ON r.id = b.parent WHERE b.far < 1000
) SELECT id FROM before ORDER BY far DESC LIMIT 1
"""
_BEGIN = """
    INSERT INTO runs_ledgerentry (tenant_id, scope, action, tool, version, digest, run_id, step, n, status, begun_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'begun', clock_timestamp())
    ON CONFLICT (tenant_id, scope, action) DO NOTHING
"""
_TAKE = """
    UPDATE runs_ledgerentry SET tool = %s, version = %s, digest = %s, run_id = %s, step = %s, n = %s, status = 'begun',
        begun_at = clock_timestamp(), ended_at = NULL, sealed_result = NULL WHERE id = %s
"""
_INHERITED = """
    SELECT s.status, p.result, '' FROM runs_step s
    LEFT JOIN runs_steppayload p ON p.run_id = s.run_id AND p.seq = s.seq
    WHERE s.run_id = %s AND s.key = %s AND s.status = 'done' AND s.inherited AND NOT (s.scope = %s AND s.n = %s)
    ORDER BY s.seq LIMIT 1
"""
_STEP = """
    SELECT s.status, p.result, r.status FROM runs_step s JOIN runs_run r ON r.id = s.run_id
    LEFT JOIN runs_steppayload p ON p.run_id = s.run_id AND p.seq = s.seq
    WHERE s.run_id = %s AND s.scope = %s AND s.n = %s
"""
