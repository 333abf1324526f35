"""How the people of the demo's history answer a request: who, after how long, having looked or not. Pure, given chance."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.demo.story import Case

DAY = (8, 18)  # hours (UTC) in which people are at work, Monday to Friday
MINUTE = 60.0

_NO = (
    "The order is older than thirty days.",
    "The amount does not fit the receipt.",
    "Ask the customer for a picture first.",
)
_PLAINER = "Too technical: say it in plain words."
_EDITED = "The customer kept a part of it."


@dataclass(frozen=True, slots=True)
class Ask:
    """What is known of a request: ``made`` and the agenda by the story's time."""

    kind: str
    made: datetime
    approvers: int = 1
    group: str = ""
    arguments: Mapping[str, Any] | None = None
    agenda: tuple[tuple[str, datetime], ...] = ()  # (what time will do, when)
    asked: int = 0  # how often the run was asked about the like before


@dataclass(frozen=True, slots=True)
class Move:
    """``who`` (the first reviewer is 0) does ``what``, ``after`` so many seconds: shown, opened, read; a verdict; or
    cancel (the operator), time (the agenda)."""

    what: str
    after: float
    who: int = 0
    reason: str = ""
    arguments: Mapping[str, Any] | None = None
    answer: str | None = None


def answer(case: Case, ask: Ask, chance: random.Random) -> list[Move]:
    """What is done about a request, in order."""
    if case.people in ("silent", "late") and ask.agenda:
        moves, at = _by_time(ask, until="expire" if case.people == "silent" else "escalate")
        if case.people == "silent":
            return moves
        return [*moves, *_by(0, ask, case, chance, at, _verdict(ask, case, 0, chance))]
    if case.people == "cancel" and ask.asked == 0:
        return [Move("cancel", _until_seen(ask.made, chance, 20))]
    if case.people == "escalate" and ask.kind == "tool" and ask.asked == 0 and ask.approvers == 1:
        first = _by(
            1, ask, case, chance, ask.made, Move("escalate", 0, reason="Somebody who knows the customer should.")
        )
        later = ask.made + timedelta(seconds=sum(move.after for move in first))
        return [*first, *_by(0, ask, case, chance, later, _verdict(ask, case, 0, chance))]
    order = [0, 1] if ask.group == "on-call" or chance.random() < 0.55 else [1, 0]
    moves, at = [], ask.made
    for who in order[: min(ask.approvers, 2)]:
        verdict = _verdict(ask, case, who, chance)
        if moves and verdict.what == "edit":
            verdict = Move("approve", 0)
        mine = _by(who, ask, case, chance, at, verdict)
        moves += mine
        at += timedelta(seconds=sum(move.after for move in mine))
        if verdict.what in ("reject", "terminate"):
            break
        if verdict.what == "edit" and ask.approvers > 1:
            break  # an edit voids what was said before; whoever is asked then is asked anew
    return moves


def _by_time(ask: Ask, until: str) -> tuple[list[Move], datetime]:
    moves, at = [], ask.made
    for what, when in ask.agenda:
        moves.append(Move("time", max((when - at).total_seconds(), 1.0)))
        at = when
        if what == until:
            break
    return moves, at


def _by(who: int, ask: Ask, case: Case, chance: random.Random, since: datetime, verdict: Move) -> list[Move]:
    """One person's way to a verdict: the first reviewer opens and reads, the second mostly just decides."""
    wait = _until_seen(since, chance, 6 if who == 0 else 3)
    said = Move(verdict.what, chance.uniform(12, 70), who, verdict.reason, verdict.arguments, verdict.answer)
    looks = chance.random() < (0.95 if who == 0 else _looks(case.tenant))
    if not looks:
        return [Move("shown", wait, who), Move(said.what, chance.uniform(4, 14), *_rest(said))]
    reading = chance.uniform(15, 90) if ask.kind == "tool" else chance.uniform(25, 160)
    moves = [Move("shown", wait, who), Move("opened", chance.uniform(5, 60), who)]
    if chance.random() < 0.8:
        moves.append(Move("read", reading, who))
    return [*moves, said]


def _rest(move: Move) -> Sequence[Any]:
    return (move.who, move.reason, move.arguments, move.answer)


def _looks(tenant: str) -> float:
    """How often the second reviewer of a house opens what they decide."""
    return 0.3 if tenant == "northwind" else 0.7


def _verdict(ask: Ask, case: Case, who: int, chance: random.Random) -> Move:
    if ask.kind == "question":
        return Move("respond", 0, answer=f"It is {case.reference}.")
    if case.people == "terminate" and ask.asked == 0:
        return Move("terminate", 0, reason="This customer is under investigation.")
    if case.people == "stubborn" and ask.kind == "final":
        return Move("reject", 0, reason=_PLAINER)
    if case.people == "reject" and ask.asked == 0:
        return Move("reject", 0, reason=chance.choice(_NO) if ask.kind == "tool" else _PLAINER)
    roll = chance.random()
    if ask.kind == "tool" and ask.arguments and "amount" in ask.arguments and roll < 0.09 and who == 0:
        less = {**ask.arguments, "amount": round(float(ask.arguments["amount"]) * 0.8, 2)}
        return Move("edit", 0, reason=_EDITED, arguments=less)
    if roll > (0.93 if who == 0 else 0.99) and ask.asked == 0:
        return Move("reject", 0, reason=chance.choice(_NO) if ask.kind == "tool" else _PLAINER)
    return Move("approve", 0)


def _until_seen(since: datetime, chance: random.Random, minutes: float) -> float:
    """Seconds until somebody looks: within minutes at work, at the beginning of the next day of work otherwise."""
    wait = chance.lognormvariate(0, 0.9) * minutes * MINUTE
    if _at_work(since) or chance.random() < 0.25:
        return wait
    opens = since.replace(minute=0, second=0, microsecond=0)
    while not _at_work(opens):
        opens += timedelta(hours=1)
    return (opens - since).total_seconds() + wait * 2


def _at_work(at: datetime) -> bool:
    return at.weekday() < 5 and DAY[0] <= at.hour < DAY[1]
