"""What a person said to a request: which verdicts each kind takes, and what must come with them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from approvals.errors import Invalid

Json = Any

_PROPOSAL = ("approve", "edit", "reject", "escalate", "terminate")
VERDICTS: dict[str, tuple[str, ...]] = {
    "tool": _PROPOSAL,
    "message": _PROPOSAL,
    "final": _PROPOSAL,
    "question": ("respond", "escalate", "terminate"),
    "in_doubt": ("respond", "terminate"),
}
HAPPENED = "happened"
DID_NOT = "did not happen"
MAX_REASON = 4_000  # characters
MAX_ANSWER = 64_000  # characters
MAX_RESULT = 256 * 1024  # bytes as JSON: what a tool may return


@dataclass(frozen=True, slots=True)
class Words:
    """A verdict and what came with it. ``digest`` is of the arguments, or the answer, that it speaks of."""

    verdict: str
    reason: str = ""
    arguments: Json = None
    answer: str | None = None
    result: Json = None
    digest: str = ""

    def contents(self) -> dict[str, Json]:
        """What is sealed with the vote."""
        return {"reason": self.reason, "arguments": self.arguments, "answer": self.answer, "result": self.result}


def read(
    kind: str,
    verdict: str,
    reason: str,
    arguments: Json,
    answer: str | None,
    result: Json,
    by_rule: Collection[str] = (),
) -> Words:
    """The words, checked for a request of ``kind``. ``by_rule``: the verdicts that its rule allows, if it names any.

    Raises Invalid naming the field that is missing or too much.
    """
    if verdict not in VERDICTS[kind]:
        raise Invalid("verdict", f"must be one of {', '.join(VERDICTS[kind])} for a request of kind {kind}")
    allowed = allowed_by(kind, by_rule)
    if verdict not in allowed:
        raise Invalid("verdict", f"must be one of {', '.join(allowed)}: the rule that asked allows no other")
    reason = (reason or "").strip()
    if len(reason) > MAX_REASON:
        raise Invalid("reason", f"is longer than {MAX_REASON} characters")
    if verdict == "reject" and not reason:
        raise Invalid("reason", "is needed: the team reads it and goes on from there")
    takes = _takes(kind, verdict)
    for field, value in (("arguments", arguments), ("answer", answer), ("result", result)):
        if value is not None and field not in takes:
            raise Invalid(field, f"does not go with {verdict} of a request of kind {kind}")
    if "arguments" in takes and not isinstance(arguments, dict):
        raise Invalid("arguments", "must be an object of named values")
    if "answer" in takes:
        answer = _answer(kind, answer)
    if answer == DID_NOT and kind == "in_doubt" and result is not None:
        raise Invalid("result", "a call that did not happen has no result")
    if answer == HAPPENED and kind == "in_doubt" and result is None:
        raise Invalid("result", "is needed: what did the call return, as JSON or as text?")
    if result is not None and (fault := _unkept(result)):
        raise Invalid("result", fault)
    return Words(verdict, reason, arguments, answer, result)


def allowed_by(kind: str, by_rule: Collection[str]) -> list[str]:
    """The verdicts of a kind that a rule leaves; a rule that names none leaves all."""
    return [each for each in VERDICTS[kind] if not by_rule or each in by_rule]


def _unkept(result: Json) -> str | None:
    """Why a result cannot be kept and told to the team, or None."""
    try:
        text = json.dumps(result, allow_nan=False)
    except (ValueError, TypeError):
        return "must be JSON: a text, a number, true, false, a list or an object"
    except RecursionError:
        return "is nested too deeply"
    if len(text.encode()) > MAX_RESULT:
        return f"is longer than {MAX_RESULT // 1024} kB as JSON; say what matters"
    if isinstance(result, str) and not result.strip():
        return "is needed: what did the call return, as JSON or as text?"
    return None


def _takes(kind: str, verdict: str) -> tuple[str, ...]:
    if verdict == "edit":
        return ("arguments",) if kind == "tool" else ("answer",)
    if verdict == "respond":
        return ("answer", "result") if kind == "in_doubt" else ("answer",)
    return ()


def _answer(kind: str, answer: str | None) -> str:
    if not isinstance(answer, str) or not answer.strip():
        raise Invalid("answer", f"must be {HAPPENED!r} or {DID_NOT!r}" if kind == "in_doubt" else "must be a text")
    if len(answer) > MAX_ANSWER:
        raise Invalid("answer", f"is longer than {MAX_ANSWER} characters")
    if kind == "in_doubt" and answer not in (HAPPENED, DID_NOT):
        raise Invalid("answer", f"must be {HAPPENED!r} or {DID_NOT!r}")
    return answer
