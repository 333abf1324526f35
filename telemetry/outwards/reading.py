"""Which runs have something new to tell, and the facts of one, from Postgres. Call inside a system scope."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import connection

from console import tracing
from console.durable.digest import expand
from console.durable.steps import Kind, Step
from console.runs import record
from console.runs.models import RunStatus
from console.tenants import display
from console.tenants.display import Display
from telemetry.outwards.trees import Attributes, Facts, Provider, Request

CONTENT_LIMIT = 16_000  # characters of an attribute with content
_PROVIDERS = {"azure": "azure.ai.openai"}  # ours that the conventions call otherwise


@dataclass(frozen=True, slots=True)
class Due:
    """A run that has parked or ended at ``moment``, and what has been told of it: steps up to ``through``."""

    run_id: UUID
    tenant_id: UUID
    moment: datetime
    ended: bool
    through: int


def due(since: datetime, limit: int) -> list[Due]:
    """Runs that have parked or ended after ``since`` and were not told since then, the earliest first."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"since": since, "limit": limit})
        return [Due(*row) for row in cursor.fetchall()]


_ONE = """
    SELECT r.id, r.tenant_id, r.{when} AS moment, {ended} AS ended, COALESCE(t.through, 0) AS through
    FROM runs_run r LEFT JOIN outwards_told t ON t.tenant_id = r.tenant_id AND t.run_id = r.id
    WHERE r.{when} > %(since)s AND (t.moment IS NULL OR t.moment < r.{when})
    ORDER BY r.{when} LIMIT %(limit)s
"""
_DUE = (
    f"SELECT * FROM (({_ONE.format(when='ended_at', ended='true')}) UNION ALL"  # noqa: S608  # ours
    f" ({_ONE.format(when='waiting_since', ended='false')})) AS due ORDER BY moment LIMIT %(limit)s"
)


def facts(run_id: UUID, contents: bool = False) -> Facts | None:
    """What is told of a run; None where it is gone. ``contents``: with what was said, opened, as far as the tenant shows it
    to everyone, and blotted out as on every page."""
    with connection.cursor() as cursor:
        cursor.execute(_RUN, [run_id])
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(_REQUESTS, [run_id])
        requests = tuple(_request(each) for each in cursor.fetchall())
    (
        tenant_id, slug, workflow, revision, status, reason, created, started, ended, asked, answered, smoke, trace,
        request_id, before, before_trace, credentials,
    ) = row  # fmt: skip
    names = json.loads(credentials) if isinstance(credentials, str) else credentials
    return Facts(
        origin=tracing.origin(run_id, trace, request_id),
        tenant=slug,
        workflow=workflow,
        revision=revision,
        status=status,
        stop_reason=reason,
        created_at=created,
        started_at=started,
        ended_at=ended,
        input_tokens=asked,
        output_tokens=answered,
        failed=status == RunStatus.FAILED,
        smoke=smoke,
        before=tracing.origin(before, before_trace) if before else None,
        steps=record.steps(run_id, payload=False),
        requests=requests,
        providers=_providers(tenant_id, names),
        contents=_contents(record.steps(run_id), _display(tenant_id)) if contents else {},
    )


_RUN = """
    SELECT r.tenant_id, t.slug, w.slug, v.number, r.status, r.stop_reason, r.created_at, r.started_at, r.ended_at,
           r.input_tokens, r.output_tokens, r.smoke_test_id IS NOT NULL, r.trace_context, r.request_id,
           b.id, b.trace_context, v.body -> 'credential'
    FROM runs_run r JOIN tenants_tenant t ON t.id = r.tenant_id JOIN workflows_workflow w ON w.id = r.workflow_id
    JOIN workflows_revision v ON v.id = r.revision_id
    LEFT JOIN runs_run b ON b.id = COALESCE(r.retry_of_id, r.fork_of_id)
    WHERE r.id = %s
"""
_REQUESTS = """
    SELECT q.id, q.scope, q.n, q.kind, q.status, q.agent, q.tool, q.rule_name, q.approvers, q.created_at, q.decided_at,
           q.verdict, q.decided_trace,
           (SELECT json_agg(json_build_array(v.at, v.verdict) ORDER BY v.at) FROM approvals_vote v
            WHERE v.request_id = q.id)
    FROM approvals_approvalrequest q WHERE q.run_id = %s ORDER BY q.created_at, q.id
"""


def _request(row: tuple[Any, ...]) -> Request:
    votes = json.loads(row[13]) if isinstance(row[13], str) else row[13] or []
    return Request(*[*row[:13], tuple((datetime.fromisoformat(at), verdict) for at, verdict in votes)])


def _providers(tenant_id: UUID, given: Any) -> dict[str, Provider]:
    """Agents' providers by the credentials that the revision names, as these are now."""
    names: Mapping[str, str] = given if isinstance(given, dict) else {"*": given or "default"}
    with connection.cursor() as cursor:
        cursor.execute(_CREDENTIALS, [tenant_id, [*names.values(), "default"]])
        known = {name: _provider(provider, base_url) for name, provider, base_url in cursor.fetchall()}
    return {agent: known[name] for agent, name in {"*": "default", **names}.items() if name in known}


_CREDENTIALS = "SELECT name, provider, base_url FROM tenants_credential WHERE tenant_id = %s AND name = ANY(%s)"


def _provider(name: str, base_url: str) -> Provider:
    try:
        place = urlsplit(base_url)
        port = place.port or {"https": 443, "http": 80}.get(place.scheme)
    except ValueError:
        return Provider(_PROVIDERS.get(name, name))
    return Provider(_PROVIDERS.get(name, name), place.hostname or "", port if place.hostname else None)


def _display(tenant_id: UUID) -> Display:
    return display.outside([tenant_id]).get(tenant_id) or display.to_programs(None)


def _contents(steps: list[Step], shown: Display) -> dict[tuple[str, int], Attributes]:
    found: dict[tuple[str, int], Attributes] = {}
    if not shown.shown:
        return found
    for step, request in expand(steps):
        if step.kind is Kind.TOOL:
            told = {"gen_ai.tool.call.arguments": request, "gen_ai.tool.call.result": step.result}
        elif step.kind is Kind.MODEL:
            asked = request.get("messages") if isinstance(request, dict) else request
            told = {"gen_ai.input.messages": asked, "gen_ai.output.messages": step.result}
        else:
            continue
        found[step.scope, step.n] = {
            name: json.dumps(shown.of(value), ensure_ascii=False, default=str)[:CONTENT_LIMIT]
            for name, value in told.items()
            if value is not None
        }
    return found
