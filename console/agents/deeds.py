"""Deeds that are done once: tools that name their deed ("refund {order}") are answered from a ledger when it comes again.

    nothing, or a failed one --begin--> begun --done-----> done: answered from the ledger ever after
                                          |----failed----> failed: surely not done, may be done
                                          '----unknown---> unknown: a person is asked, or an idempotent tool called again

The ledger says ``begun`` before the tool is called, and durably; so a crash at any point leaves a deed that is begun, and
whoever comes next finds out from its step what became of it, and never just does it again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from console.agents.pacing import Pace
from console.agents.tools import ToolSpec, as_text, clip
from console.durable.bodies import Call
from console.durable.digest import digest
from console.durable.errors import OutcomeUnknown
from console.durable.steps import Done, Json, Safety

log = logging.getLogger(__name__)

LOOKS = (0.2, 0.5, 1.0, 2.0, 3.0)  # seconds between two looks at a deed that another run is doing


@dataclass(frozen=True)
class Deed:
    """What is to be done, and by which step. ``scope`` is the tool's word for where it is done once."""

    scope: str
    action: str
    tool: str
    version: int
    digest: str  # of the arguments
    idempotent: bool
    step: str
    n: int


@dataclass(frozen=True)
class Found:
    """What the ledger says. ``state``: ours (go ahead), done, under_way, unknown, or other (arguments or tool differ).

    ``run`` (its id), ``step`` and ``at`` (ISO) say who did it, or is at it; ``result`` what came of it.
    """

    state: str
    run: str = ""
    step: str = ""
    at: str = ""
    tool: str = ""
    result: Json = None

    @property
    def whose(self) -> str:
        """In words."""
        return f"run r-{self.run.replace('-', '')[:6]}"


class Ledger(Protocol):
    """The deeds of a tenant, for one run."""

    def key(self, scope: str, action: str) -> str:
        """The idempotency key of a deed, at most 200 characters."""

    async def begin(self, deed: Deed, sure: bool) -> Found:
        """Take the deed, durably, if it may be done. ``sure``: a person said that it did not happen."""

    async def end(self, deed: Deed, status: str, result: Json = None) -> None:
        """Say what came of a deed that is ours: done, failed (surely) or unknown. Never raises."""


def deed_of(spec: ToolSpec, action: str, arguments: Json, call: Call) -> Deed:
    """The deed of a call."""
    idempotent = spec.safety is Safety.IDEMPOTENT
    return Deed(
        spec.action_scope, action, spec.name, spec.version, digest(arguments), idempotent, call.scope, call.n
    )  # fmt: skip


async def once(
    ledger: Ledger, deed: Deed, call: Call, pace: Pace, seconds: float, do: Callable[[], Awaitable[tuple[Done, str]]]
) -> Done:
    """Do it, unless it was done already. ``do`` returns its outcome and whether that is done, failed or unknown.

    Raises OutcomeUnknown when nobody knows whether it was done before, and what ``do`` raises.
    """
    started = pace.clock()
    try:
        found = await _taken(ledger, deed, call, pace, seconds)
    except Exception as error:
        log.exception("%s#%s: the ledger of deeds cannot be asked about %s", call.scope, call.n, deed.tool)
        said = f"The ledger of deeds cannot be asked: {type(error).__name__}."
        if call.again == "worker_lost":
            raise OutcomeUnknown(f"{said} What an earlier try came to is not known") from error
        return Done(f"Nothing was done. {said}", failed=True)
    if found.state != "ours":
        told = {"run": found.run, "step": found.step} if found.run else {}
        cause = "ledger" if found.state == "done" else f"ledger_{found.state}"
        ended = pace.clock().isoformat()
        call.attempts.append({"started_at": started.isoformat(), "ended_at": ended, "cause": cause, **told})
        return _answered(deed, found)
    try:
        done, status = await do()
    except OutcomeUnknown:
        await ledger.end(deed, "unknown")
        raise
    await ledger.end(deed, status, done.value if status == "done" else None)
    return done


async def _taken(ledger: Ledger, deed: Deed, call: Call, pace: Pace, seconds: float) -> Found:
    """The ledger's word; another run that is at it is waited for, as long as the call may take."""
    waited, looks = 0.0, list(LOOKS)
    while True:
        found = await ledger.begin(deed, call.again == "in_doubt")
        pause = looks.pop(0) if len(looks) > 1 else looks[0]
        if found.state != "under_way" or waited + pause > seconds - 1:
            return found
        await pace.sleep(pause)
        waited += pause


def _answered(deed: Deed, found: Found) -> Done:
    if found.state == "done":
        said = f"[Done already, by {found.whose}, and not done again: this is the result that was recorded then.]"
        return Done(f"{as_text(found.result)}\n\n{said}")
    what = f'"{clip(deed.action, 80)}"'
    if found.state == "under_way":
        return Done(
            f"Nothing was done. {found.whose.capitalize()} is doing {what} at this moment, and it must not be done twice.",
            failed=True,
        )
    if found.state == "other":
        how = "with another tool" if found.tool != deed.tool else "with other arguments"
        return Done(
            f"Nothing was done. Conflict: {what} was done, or begun, {how} before, by {found.whose}. It can be done only"
            " once; if this is meant as something else, it needs another name.",
            failed=True,
        )
    raise OutcomeUnknown(f"{found.whose.capitalize()} began {what} before, and nobody knows whether it was done.")
