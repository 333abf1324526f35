"""Between rows of the journal and the engine's steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from console import prepared
from console.durable.steps import Kind, Safety, Status, Step
from console.runs import models
from console.tenants import crypto

PAYLOAD_LIMIT = 1024 * 1024  # bytes as JSON, of a request and of a result; tools are cut at 256 kB long before

# Made once: json.dumps makes an encoder at every call that has options.
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_loose = json.JSONEncoder(default=str).encode


class PayloadTooLarge(ValueError):
    """A step's request or result is larger than the journal keeps."""


def steps(run_id: UUID | str, *, payload: bool = True) -> list[Step]:
    """The journal of a run, in order; without ``payload``, facts alone (request, result and error are None).

    Call inside a tenant or system scope.
    """
    with prepared.cursor() as cursor:
        cursor.execute(_WITH_PAYLOAD if payload else _FACTS, [run_id])
        return [_step(row) for row in cursor.fetchall()]


def facts_of(keys: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Step]:
    """The facts of steps by (run, seq), without payload; what is no step is left out."""
    with prepared.cursor() as cursor:
        cursor.execute(_BY_KEY, [[run for run, _ in keys], [seq for _, seq in keys]])
        return {(str(row[-1]), row[4]): _step(row) for row in cursor.fetchall()}


def chosen(run_id: UUID | str, seqs: Sequence[int]) -> list[Step]:
    """Some steps of a run with their payload, by seq; numbers that are no step's are passed over.

    Of a step whose payload was erased there are the facts alone.
    """
    with prepared.cursor() as cursor:
        cursor.execute(_CHOSEN, [run_id, list(seqs)])
        return [_step(row) for row in cursor.fetchall()]


def up_to(run_id: UUID | str, ends: Mapping[str, int]) -> list[Step]:
    """With their payload, the steps of some scopes, each up to its n-th: what a prompt is put together from."""
    with prepared.cursor() as cursor:
        cursor.execute(_UP_TO, [run_id, list(ends), list(ends.values())])
        return [_step(row) for row in cursor.fetchall()]


def error_of(step: models.Step) -> dict[str, Any]:
    """The error that is kept with a step; of one in doubt, how it came to that. Empty where there is none."""
    rows = models.StepPayload.objects.filter(tenant=step.tenant_id, run=step.run_id, seq=step.seq)
    sealed = rows.values_list("result", flat=True).first()
    outcome = _load(crypto.unseal(step.tenant_id, "step.result", bytes(sealed))) if sealed else {}
    error = outcome.get("error")
    return error if isinstance(error, dict) else {}


def seal_request(tenant_id: UUID, step: Step) -> bytes:
    """The request of a step as it is stored. Raises PayloadTooLarge."""
    return crypto.seal(tenant_id, "step.request", _dump(step, "request", step.request))


def seal_outcome(tenant_id: UUID, step: Step, field: str = "step.result") -> bytes | None:
    """The result and error of a settled step as they are stored; None while there is none. Raises PayloadTooLarge."""
    if step.status in (Status.INTENT, Status.IN_DOUBT) and step.result is None and step.error is None:
        return None
    return crypto.seal(tenant_id, field, _dump(step, "result", {"result": step.result, "error": step.error}))


def facts(value: Any) -> str | None:
    """JSON text for a jsonb column, which cannot hold a NUL character."""
    return None if value is None else _loose(value).replace("\\u0000", "\\ufffd")


def _dump(step: Step, what: str, value: Any) -> bytes:
    # In the order of the keys: a team may print what it is handed back, and must print the same again.
    data = _compact(value).encode("utf-8", "surrogatepass")
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadTooLarge(
            f"The {what} of {step.name or step.scope} is {len(data):,} bytes; the journal keeps at most {PAYLOAD_LIMIT:,}."
        )
    return data


_COLUMNS = (
    "s.tenant_id, s.scope, s.n, s.kind, s.seq, s.digest, s.started_at, s.status, s.settled, s.safety, s.name, s.agent,"
    " s.key, s.verdict, s.attempts, s.usage, s.cost, s.ended_at, s.inherited, s.first_token_at,"
    " s.priced_by"
)
_FACTS = f"SELECT {_COLUMNS}, NULL, NULL FROM runs_step s WHERE s.run_id = %s ORDER BY s.seq"  # noqa: S608
_BY_KEY = (
    f"SELECT {_COLUMNS}, NULL, NULL, s.run_id FROM unnest(%s::uuid[], %s::int[]) AS k(run, seq)"  # noqa: S608
    " JOIN runs_step s ON s.run_id = k.run AND s.seq = k.seq"
)
_WITH_PAYLOAD = (
    f"SELECT {_COLUMNS}, p.request, p.result FROM runs_step s"  # noqa: S608
    " JOIN runs_steppayload p ON p.run_id = s.run_id AND p.seq = s.seq WHERE s.run_id = %s ORDER BY s.seq"
)
# A step whose payload was erased is still a step.
_CHOSEN = _WITH_PAYLOAD.replace(" JOIN runs_steppayload", " LEFT JOIN runs_steppayload").replace(
    " ORDER BY", " AND s.seq = ANY(%s::int[]) ORDER BY"
)
_UP_TO = _WITH_PAYLOAD.replace(
    " WHERE s.run_id = %s",
    " JOIN (SELECT %s::uuid AS run_id) wanted ON wanted.run_id = s.run_id"
    " JOIN unnest(%s::text[], %s::int[]) AS ends(scope, n) ON s.scope = ends.scope AND s.n <= ends.n",
)


def _step(row: tuple[Any, ...]) -> Step:
    tenant_id = row[0]
    verdict, attempts, usage = (json.loads(v) if isinstance(v, (str, bytes)) else v for v in row[13:16])
    outcome = _load(crypto.unseal(tenant_id, "step.result", row[22])) if row[22] is not None else {}
    return Step(
        scope=row[1],
        n=row[2],
        kind=Kind(row[3]),
        seq=row[4],
        digest=row[5],
        request=_load(crypto.unseal(tenant_id, "step.request", row[21])) if row[21] is not None else None,
        started_at=row[6],
        status=Status(row[7]),
        settled=row[8],
        safety=Safety(row[9]) if row[9] else Safety.READ_ONLY,
        name=row[10],
        agent=row[11],
        key=row[12],
        verdict=verdict,
        result=outcome.get("result"),
        error=outcome.get("error"),
        attempts=attempts or [],
        usage=usage,
        cost=_plain(row[16]),
        ended_at=row[17],
        inherited=row[18],
        first_token_at=row[19],
        priced_by=row[20],
    )


def _plain(cost: Decimal | None) -> str | None:
    return None if cost is None else format(cost.normalize(), "f")


def _load(data: bytes) -> Any:
    return json.loads(data.decode("utf-8", "surrogatepass"))
