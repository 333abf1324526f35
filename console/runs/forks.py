"""What a fork keeps of a run, what it would do to the world again, and what may be edited on the way.

A fork is a new run of the same revision that begins with the part of the old record that does not depend on one step
(durable/forks.py says exactly which), and does that step anew, or takes it to have said something else. From the first
step nothing is kept: it is the same team over again, with other input if wished.

An edit puts words into a model's mouth or into the answer of a tool that only reads. It never stands for a person's
decision, and never for an effect on the world: nobody forks themselves an approval or a payment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import connection

from console.agents.oversight import Oversight
from console.agents.results import RESULT_LIMIT
from console.durable.forks import Kept, has_effect, keep
from console.durable.run import GATES, REVIEW
from console.durable.steps import Kind, Safety, Status, Step
from console.runs import inputs, ledger, record, retries
from console.runs.models import TERMINAL, Run, RunStatus
from console.runs.retries import Refused
from console.tenants import crypto
from console.tenants.access import Actor
from console.workflows import registry
from console.workflows.errors import Invalid
from console.workflows.reasons import StopReason

Json = Any
INPUT, ANSWER = "input", "answer"  # what may be edited
_NOTHING_USED = {"input_tokens": 0, "output_tokens": 0}
_FOR_NOTHING: dict[str, Any] = {"usage": None, "cost": None, "priced_by": "", "first_token_at": None}


class CannotFork(Refused):
    """This run cannot be forked as it is now; the message says why, and what to do instead."""

    title = "This run cannot be forked"


class Repeats(Exception):
    """What the fork would do to the world again; whoever forks must say that they know."""

    def __init__(self, effects: Sequence[Effect]) -> None:
        many = "an effect" if len(effects) == 1 else f"{len(effects)} effects"
        super().__init__(
            f"From there on the old run had {many} on the world, which the fork may have again. "
            "Look at them, and send repeat_effects: true to go ahead."
        )
        self.effects = list(effects)


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect on the world that a fork may have again. ``state`` is done, unknown, or waiting (the old run may still
    do it); ``title`` is what people read; ``step`` is its number in the old run."""

    step: int
    scope: str
    index: int
    tool: str
    title: str
    state: str

    def out(self) -> dict[str, Json]:
        """As the API shows it."""
        return {name: getattr(self, name) for name in ("step", "scope", "index", "tool", "title", "state")}


@dataclass(frozen=True)
class Plan:
    """A fork of ``run``, before it is made. ``at`` is the step that is done anew, or, with ``edit`` "answer", answered;
    None only in a run without a step. ``kept`` is what the fork begins with."""

    run: Run
    from_step: int
    at: Step | None
    steps: list[Step]
    kept: list[Kept]
    edit: str

    @property
    def effects(self) -> list[Effect]:
        """What may happen again, in the order in which it happened."""
        return [effect for effect, once in self._again if not once]

    @property
    def once(self) -> list[Effect]:
        """What the team may ask for again and does not get done: its tools name their deeds, and the ledger has these."""
        return [effect for effect, once in self._again if once]

    @cached_property
    def _again(self) -> list[tuple[Effect, bool]]:
        there = {one.old for one in self.kept}
        again = [step for step in self.steps if step.seq not in there and (has_effect(step) or self._may_come(step))]
        if not again:
            return []
        keys = ledger.keys_of(self.run)
        return list(zip(Titles(self.run, self.steps).of(again), (step.key in keys for step in again), strict=True))

    @property
    def open(self) -> list[Step]:
        """Kept calls whose outcome nobody knows: they are asked about."""
        return [one.step for one in self.kept if one.step.settled is None]

    @cached_property
    def editable(self) -> dict[str, Json]:
        """What may be edited here ("input", "answer"), and what it is now."""
        found: dict[str, Json] = {}
        if self.from_step == 1:
            found[INPUT] = crypto.unseal_json(self.run.tenant_id, "run.input", bytes(self.run.sealed_input))
        if self.at is not None and not _unanswerable(self.at):
            found[ANSWER] = said(self.at)
        return found

    def _may_come(self, step: Step) -> bool:
        """Whether a run that still waits may do what a person is asked about at this gate."""
        asked = self.run.status == RunStatus.WAITING and step.settled is None and step.kind in GATES
        shown = step.request if isinstance(step.request, dict) else {}
        return asked and step.scope.endswith(REVIEW) and shown.get("safety") != Safety.READ_ONLY


def plan(run: Run, from_step: int, edit: str = "") -> Plan:
    """What a fork of ``run`` from a step would be; ``edit`` is what would be edited. Reading only.

    Raises CannotFork, and Invalid for a step that there is not, or an edit that cannot be.
    """
    if why := refusal(run):
        raise CannotFork(why)
    steps = record.steps(run.id)
    at = next((step for step in steps if step.seq == from_step), None)
    if at is None and (steps or from_step != 1):
        raise Invalid("from_step", _no_such(steps, from_step))
    if edit == INPUT and from_step != 1:
        raise Invalid(INPUT, "can only be edited from the first step: set from_step to 1")
    if edit == ANSWER:
        if fault := "a run without a step says nothing" if at is None else _unanswerable(at):
            raise Invalid(ANSWER, fault)
    kept = [] if at is None or (from_step == 1 and edit != ANSWER) else keep(steps, at, answered=edit == ANSWER)
    found = Plan(run, from_step, at, steps, kept, edit)
    if found.open and run.status not in TERMINAL:
        raise CannotFork(
            f"What came of the call at step {next(one.old for one in kept if one.step.settled is None)} is not known, and "
            "both runs would ask about it. Answer that first, or cancel the run, or fork from a step before it."
        )
    return found


def refusal(run: Run) -> str:
    """Why the run cannot be forked at all, in a sentence; empty where it can."""
    if run.probe:  # the sentence fits while its request waits, too: it gives nothing away
        return "Nothing of this run is in its journal, so there is no step to fork it from."
    if run.smoke_test_id is not None:
        return "This run was part of a smoke test, in which nothing is done; run the whole test again."
    if run.status not in (*TERMINAL, RunStatus.WAITING):
        return f"The run is {run.status}, so its record still grows. Fork it when it has ended or waits for a person."
    return ""


def diverged_at(run: Run, steps: Sequence[Any]) -> int | None:
    """The number of the step at which a run's record stopped fitting, of its ``steps`` (rows or engine's); else None."""
    if run.stop_reason != StopReason.DIVERGENCE:
        return None
    return next((step.seq for step in steps if run.stop_detail.startswith(f"{step.scope}#{step.n} ")), None)


def oversight(found: Plan, again: Run) -> dict[str, Json]:
    """The oversight of the fork: never less than the old run had, nor than a run gets that starts now. Raises CannotFork.

    ``again`` has what a run gets that starts now.
    """
    try:
        return retries.oversight_for(found.run, again)
    except Refused as refusal:
        if found.kept:
            raise CannotFork(f"{str(refusal).removesuffix('start a new run.')}fork it from the first step.") from None
    kept: dict[str, Json] = {**(found.run.body.get("oversight") or {})}
    now = Oversight.of({"oversight": again.oversight})
    kept["mode"] = now.mode if kept.get("mode") == "NEVER" else kept.get("mode", now.mode)
    kept["stages"] = {
        agent: now.of_stage(agent) if mode == "NEVER" else mode for agent, mode in (kept.get("stages") or {}).items()
    }
    return kept


def edited(step: Step, answer: Json, actor: Actor, now: datetime) -> Step:
    """The step as if it had said ``answer``: a model's words, or what a tool that only reads had found. It says who put
    it so, and costs nothing. Raises Invalid."""
    inputs.check_size(answer, ANSWER, RESULT_LIMIT)
    result = answer
    if step.kind is Kind.MODEL:
        if not isinstance(answer, str) or not answer.strip():
            raise Invalid(ANSWER, "must be text, and not empty: what the model is taken to have said")
        result = {"content": answer, "finish_reason": "stop", "usage": dict(_NOTHING_USED), "cost": None}
    told = {
        "started_at": now.isoformat(), "ended_at": now.isoformat(), "cause": "edited",
        "by": actor.name, "by_id": str(actor.id) if actor.id else None,
    }  # fmt: skip
    return replace(step, status=Status.DONE, result=result, error=None, attempts=[told], **_FOR_NOTHING)


def said(step: Step) -> Json:
    """What the step said, as it can be edited: a model's text (or, where it called tools, nothing), a tool's result."""
    if step.kind is Kind.MODEL:
        content = step.result.get("content") if isinstance(step.result, dict) else None
        return content if isinstance(content, str) else ""
    return step.result if step.error is None else ""


def copy_record(found: Plan, again: Run, anew: Step | None) -> None:
    """Write what ``again`` begins with: facts as they are, payloads as they are sealed. ``anew`` is the edited step, with
    its place in the fork."""
    places = [[one.old, one.step.seq, one.step.settled, str(one.step.status)] for one in found.kept]
    columns: list[list[Any]] = [list(column) for column in zip(*places, strict=True)] or [[], [], [], []]
    named = dict(zip(("old", "seq", "settled", "status"), columns, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_COPY, {"run": found.run.id, "again": again.id, **named})
        if anew is not None:
            sealed = record.seal_outcome(again.tenant_id, anew)
            cursor.execute(
                _EDIT, {"again": again.id, "seq": anew.seq, "attempts": record.facts(anew.attempts), "result": sealed}
            )


class Titles:
    """What calls are about, in the words that people read when they approve them."""

    def __init__(self, run: Run, steps: Sequence[Step]) -> None:
        self._run = run
        self._gates = {(step.scope, step.n): step for step in steps if step.kind in GATES}
        self._specs = registry.as_pinned(registry.of(run.tenant_id), run.body)

    def of(self, steps: Sequence[Step]) -> list[Effect]:
        """The effects of calls, and of gates that stand before one."""
        return [
            Effect(
                step.seq, step.scope, step.n, step.name, self._title(step),
                "waiting" if step.kind in GATES else "done" if step.status is Status.DONE else "unknown",
            )
            for step in steps
        ]  # fmt: skip

    def _title(self, step: Step) -> str:
        gate = step if step.kind in GATES else self._gates.get((step.scope + REVIEW, step.n))
        shown: Mapping[str, Json] = gate.request if gate is not None and isinstance(gate.request, dict) else {}
        decided = gate.result if gate is not None and isinstance(gate.result, dict) else {}
        asked = step.request if isinstance(step.request, dict) else {}
        if decided.get("verdict") != "edit" and shown.get("title"):
            return str(shown["title"])
        arguments = decided["arguments"] if decided.get("verdict") == "edit" else asked.get("arguments")
        spec = self._specs.get(step.name)
        return spec.headline(arguments) if spec is not None else step.name or "A call of a tool"


def _no_such(steps: Sequence[Step], number: int) -> str:
    if not steps:
        return "must be 1: the run has no step, so there is nothing but its beginning"
    before = max((step.seq for step in steps if step.seq < number), default=None)
    near = f"; the one before that is {before}" if before else ""
    return f"{number} is no step of this run. Its steps are numbered as seq says, from 1 to {steps[-1].seq}{near}"


def _unanswerable(step: Step) -> str:
    """Why the step's answer cannot be edited; empty where it can."""
    if step.kind in GATES:
        return (
            "cannot be given for a person's decision: only a reviewer decides. Fork without an answer, and they are "
            "asked anew"
        )
    if step.safety is not Safety.READ_ONLY:
        return (
            f"cannot be given for {step.name or 'this call'}, which changes something in the world: only what really "
            "happened counts. Fork without an answer, from this step or the model's before it"
        )
    return "" if step.settled is not None else "cannot be given for a step that has not ended"


_COPY = """
WITH kept AS (
    SELECT * FROM unnest(%(old)s::int[], %(seq)s::int[], %(settled)s::int[], %(status)s::text[])
        AS k(old, seq, settled, status)
), facts AS (
    INSERT INTO runs_step (run_id, tenant_id, seq, settled, scope, n, kind, status, safety, name, agent, digest, key,
                           verdict, attempts, usage, cost, priced_by, inherited, started_at, first_token_at, ended_at,
                           worker, token)
    SELECT %(again)s, s.tenant_id, k.seq, k.settled, s.scope, s.n, s.kind,
           CASE WHEN k.settled IS NULL AND s.safety = 'idempotent' THEN 'intent' ELSE k.status END, s.safety, s.name,
           s.agent, s.digest,
           s.key, s.verdict, s.attempts, s.usage, s.cost, s.priced_by, true, s.started_at,
           s.first_token_at, CASE WHEN k.settled IS NOT NULL THEN s.ended_at END, s.worker, 0
    FROM kept k JOIN runs_step s ON s.run_id = %(run)s AND s.seq = k.old
)
INSERT INTO runs_steppayload (run_id, tenant_id, seq, request, result, evidence)
SELECT %(again)s, p.tenant_id, k.seq, p.request, CASE WHEN k.settled IS NOT NULL THEN p.result END, p.evidence
FROM kept k JOIN runs_steppayload p ON p.run_id = %(run)s AND p.seq = k.old
"""

_EDIT = """
WITH facts AS (
    UPDATE runs_step SET status = 'done', attempts = %(attempts)s::jsonb, usage = NULL, cost = NULL,
        priced_by = '', first_token_at = NULL
    WHERE run_id = %(again)s AND seq = %(seq)s
)
UPDATE runs_steppayload SET result = %(result)s WHERE run_id = %(again)s AND seq = %(seq)s
"""
