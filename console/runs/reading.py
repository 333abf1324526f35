"""Steps with what they asked and said, in full, without reading the whole journal.

A prompt is kept as its difference from the one before it in its scope, so one is put together from that scope alone,
up to where it stands. Everything else is read by itself. A page of a run of any length costs what it shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from console.durable.digest import expand
from console.durable.steps import Kind, Step
from console.runs import models, record

Json = Any


@dataclass(slots=True)
class Whole:
    """A step and its request in full. ``kept`` messages of a prompt are those of the scope's previous one; None where
    the request is no prompt, or could not be put together because a step before it is missing."""

    step: Step
    request: Json
    kept: int | None = None


def whole(run_id: UUID, seqs: Iterable[int]) -> list[Whole]:
    """Steps in full, by seq. At most two queries."""
    found = record.chosen(run_id, sorted(set(seqs)))
    ends: dict[str, int] = {}
    for step in found:
        if step.kind is Kind.MODEL and _is_difference(step.request):
            ends[step.scope] = max(ends.get(step.scope, 0), step.n)
    known: Mapping[tuple[str, int], Json] = (
        {(step.scope, step.n): request for step, request in expand(record.up_to(run_id, ends))} if ends else {}
    )
    return [_whole(step, known) for step in found]


def one(run_id: UUID, seq: int) -> Whole | None:
    """One step in full; None where there is no such step."""
    return next(iter(whole(run_id, [seq])), None)


def at(run_id: UUID, scope: str, n: int) -> Whole | None:
    """The step of an identity in full; None where a run has none. At most three queries."""
    seq = models.Step.objects.filter(run=run_id, scope=scope, n=n).values_list("seq", flat=True).first()
    return None if seq is None else one(run_id, seq)


def _whole(step: Step, known: Mapping[tuple[str, int], Json]) -> Whole:
    if (step.scope, step.n) in known and _is_difference(step.request):
        request = known[(step.scope, step.n)]
        told = not _is_difference(request)
        return Whole(step, request, step.request["keep"] if told else None)
    return Whole(step, step.request)


def _is_difference(request: Json) -> bool:
    return isinstance(request, dict) and request.keys() >= {"keep", "add"}
