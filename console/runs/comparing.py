"""Two runs step by step: which steps they share, where they part, and what differs there.

Steps are put side by side by their identity (scope, n), in the order in which the first run began them. Two steps are the
same where they asked the same and were told the same; names that a provider makes up for a call, and who decided a gate
when, do not count. Facts are joined in the database; words are read of one page, and, for the headline, of the first SCAN
pairs until one differs. So a comparison of two runs of ten thousand steps costs no more than one of two thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from console.durable.run import GATES
from console.durable.steps import Step
from console.runs import record

Json = Any
SCAN = 1000  # pairs that are read in search of the first difference
CHUNK = 250  # pairs read at once
PAGE = 50  # pairs on a page
_MADE_UP = {"id", "call_id"}  # of a call: names that a provider gives it, others each time
_DECIDED = ("verdict", "reason", "arguments", "answer", "result")
REQUEST, RESULT, STATUS, NAME = "request", "result", "status", "name"


@dataclass(slots=True)
class Place:
    """Where one identity stands in both runs; None where a run has no such step. ``copied``: one was made of the other."""

    scope: str
    n: int
    a: int | None
    b: int | None
    copied: bool = False


@dataclass(slots=True)
class Pair:
    """Two steps of one identity, of which one may be missing. ``differs`` says in what, and is empty where they are the
    same; of a step that only one run has it is empty, too."""

    scope: str
    n: int
    a: Step | None
    b: Step | None
    differs: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """same, differs, only_a, or only_b."""
        if self.a is None or self.b is None:
            return "only_b" if self.a is None else "only_a"
        return "differs" if self.differs else "same"

    @property
    def one(self) -> Step:
        """Whichever there is."""
        if self.a is None and self.b is None:
            raise ValueError("a pair is of one step at least")
        return self.a or self.b  # type: ignore[return-value]


@dataclass(slots=True)
class Parting:
    """Where two runs part. ``pair`` is None where they do not, as far as was looked (``whole``: to the end)."""

    pair: Pair | None
    before: int  # steps that are the same until then
    whole: bool


def count(a: UUID, b: UUID) -> int:
    """How many identities the two runs have together. One query."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({_PLACES}) places", {"a": a, "b": b})  # noqa: S608 - our own text
        return int(cursor.fetchone()[0])


def places(a: UUID, b: UUID, first: int, many: int) -> list[Place]:
    """Identities of the two runs, in order. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_PLACES} {_ORDER} LIMIT %(many)s OFFSET %(first)s", {"a": a, "b": b, "many": many, "first": first}
        )
        return [Place(*row) for row in cursor.fetchall()]


def pairs(a: UUID, b: UUID, found: Sequence[Place]) -> list[Pair]:
    """The steps at these places, with what they asked and said as it is stored. Two queries."""
    ones = {step.seq: step for step in record.chosen(a, [place.a for place in found if place.a is not None])}
    others = {step.seq: step for step in record.chosen(b, [place.b for place in found if place.b is not None])}
    return [_pair(place, ones.get(place.a or 0), others.get(place.b or 0)) for place in found]


def parting(a: UUID, b: UUID) -> Parting:
    """The first pair, in order, that is not the same."""
    if a == b:
        return Parting(None, 0, whole=True)
    before = 0
    for first in range(0, SCAN, CHUNK):
        found = places(a, b, first, CHUNK)
        unsure = [place for place in found if not place.copied]
        for pair in pairs(a, b, unsure):
            if pair.state != "same":
                at = next(i for i, place in enumerate(found) if (place.scope, place.n) == (pair.scope, pair.n))
                return Parting(pair, before + at, whole=True)
        before += len(found)
        if len(found) < CHUNK:
            return Parting(None, before, whole=True)
    return Parting(None, before, whole=False)


def alike(one: Json, other: Json) -> bool:
    """Whether two values say the same, but for names that a provider has made up."""
    return bool(_bare(one) == _bare(other))


def _pair(place: Place, a: Step | None, b: Step | None) -> Pair:
    found = Pair(place.scope, place.n, a, b)
    if a is None or b is None:
        return found
    if (a.kind, a.name) != (b.kind, b.name):
        found.differs.append(NAME)
    if a.digest != b.digest and not alike(a.request, b.request):
        found.differs.append(REQUEST)
    if not alike(_told(a), _told(b)):
        found.differs.append(RESULT)
    if a.status != b.status:
        found.differs.append(STATUS)
    return found


def _told(step: Step) -> Json:
    """What came of a step, without what it used and who decided it when."""
    result = step.error if step.error is not None else step.result
    if not isinstance(result, dict):
        return result
    if step.kind in GATES:
        return {name: result.get(name) for name in _DECIDED}
    if step.kind == "model" and "content" in result:
        return {name: result.get(name) for name in ("content", "thought", "finish_reason")}
    return result


def _bare(value: Json) -> Json:
    if isinstance(value, dict):
        made_up = _MADE_UP if "name" in value or "tool" in value else ()
        return {name: _bare(each) for name, each in value.items() if name not in made_up}
    return [_bare(each) for each in value] if isinstance(value, list) else value


# What a fork or a retry was given is a copy, byte by byte: sealed anew, nothing would be the same.
_PLACES = """
SELECT coalesce(a.scope, b.scope) AS scope, coalesce(a.n, b.n) AS n, a.seq AS a, b.seq AS b,
       coalesce((a.digest, a.status, a.kind, a.name) = (b.digest, b.status, b.kind, b.name)
                AND pa.request = pb.request AND pa.result IS NOT DISTINCT FROM pb.result, false) AS copied
FROM (SELECT * FROM runs_step WHERE run_id = %(a)s) a
FULL JOIN (SELECT * FROM runs_step WHERE run_id = %(b)s) b ON a.scope = b.scope AND a.n = b.n
LEFT JOIN runs_steppayload pa ON pa.run_id = a.run_id AND pa.seq = a.seq AND (a.inherited OR b.inherited)
LEFT JOIN runs_steppayload pb ON pb.run_id = b.run_id AND pb.seq = b.seq AND (a.inherited OR b.inherited)
"""
_ORDER = "ORDER BY coalesce(a.seq, b.seq), a.seq IS NULL, b.seq"
