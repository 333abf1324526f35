"""A request about a call of which nobody knows whether it happened: what there is to go by, and what speaks against an
answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from approvals.errors import Invalid
from approvals.models import ApprovalRequest
from approvals.words import DID_NOT
from console.runs import evidence, record
from console.runs.evidence import Heard
from console.runs.models import Step

Json = Any
_DOUBT = re.compile(r"/doubt(?:/\d+)?\Z")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a call in doubt. ``cause`` says how it came to that; ``tries`` are those before this one."""

    step: Step
    worker: str
    cause: str
    tries: list[dict[str, Json]]
    heard: Heard | None
    after: timedelta | None  # from the beginning of the call to what was heard of it

    @property
    def says(self) -> str:
        """done, failed or nothing: what came in late."""
        return self.heard.status if self.heard is not None and self.heard.status != evidence.UNKNOWN else ""


def step_scope(request: ApprovalRequest) -> str:
    """The scope of the step that a request in doubt is about; its number is the request's own."""
    return _DOUBT.sub("", request.scope)


def known(request: ApprovalRequest) -> Known | None:
    """What there is to go by, None where its step is gone. Three queries."""
    scope = step_scope(request)
    step = Step.objects.filter(tenant=request.tenant_id, run=request.run_id, scope=scope, n=request.n).first()
    if step is None:
        return None
    heard = evidence.of_steps(request.run_id, [(scope, request.n)]).get((scope, request.n))
    error = record.error_of(step)
    cause = f"{error.get('message', '')}" if error else ""
    tries = [one for one in step.attempts if isinstance(one, dict)]
    after = heard.at - heard.began if heard is not None and heard.at and heard.began else None
    return Known(step, step.worker, cause, tries, heard, after)


def as_json(what: Known) -> dict[str, Json]:
    """As the API tells it."""
    heard = what.heard
    late = heard and {"status": heard.status, "at": heard.at, "result": heard.result, "error": heard.error}
    step = what.step
    return {
        "step": step.seq, "began_at": step.started_at, "worker": what.worker, "key": step.key, "cause": what.cause,
        "heard": late or None,
    }  # fmt: skip


def read_result(text: str) -> Json:
    """What somebody typed as the outcome: JSON where it begins as an object or a list, else the text; None where there
    is nothing. Raises Invalid."""
    said = text.replace("\r\n", "\n").strip()
    if said[:1] not in ("{", "["):
        return said or None
    try:
        return json.loads(said)
    except RecursionError:
        raise Invalid("result", "is nested too deeply") from None
    except ValueError as fault:
        raise Invalid("result", f"begins as JSON and is none: {fault}") from None


def contradicted(request: ApprovalRequest, answer: str | None) -> str:
    """What to say to somebody whose ``answer`` the evidence contradicts, so that the call would be made twice; else
    nothing."""
    if request.kind != "in_doubt" or answer != DID_NOT:
        return ""
    place = (step_scope(request), request.n)
    heard = evidence.of_steps(request.run_id, [place]).get(place)
    if heard is None or heard.status != evidence.DONE:
        return ""
    tool = request.tool or "the call"
    return f"must be true: {tool} answered{_when(heard.at)} that it was done. If you are sure that it was not, say so"


def _when(at: datetime | None) -> str:
    return f" at {at:%H:%M:%S UTC}" if at else ""
