"""The oversight that holds, beside what a revision asks for: NEVER is a wish until two admins stand for it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from console.agents.documents import Finding

Json = Any
FALLBACK = "TERMINATE"
SPENDING = ("max_tokens", "max_cost")


def says_never(body: Mapping[str, Json]) -> list[str]:
    """Where a revision's body says NEVER: "" for the whole workflow, and the agents' names."""
    oversight = body.get("oversight") or {}
    whole = [""] if oversight.get("mode") == "NEVER" else []
    return whole + [agent for agent, mode in (oversight.get("stages") or {}).items() if mode == "NEVER"]


def where(stage: str) -> str:
    """What a stage's name stands for, in words."""
    return stage or "the whole workflow"


def lacking(body: Mapping[str, Json], *upper: Mapping[str, Json]) -> list[tuple[str, str]]:
    """(field, message) of what NEVER needs and is not there: a contract for the result, and limits that somebody set.

    ``upper`` are the limits of the tenant and the workflow; the product's defaults are nobody's decision.
    """
    found = []
    if not body.get("output_contract"):
        found.append(
            ("output_contract", "is missing: NEVER needs a schema that the result must fit; add it in a revision")
        )
    levels = [*upper, body.get("limits") or {}]
    if not any(level.get("max_turns") is not None for level in levels):
        found.append(("limits.max_turns", "is missing: NEVER needs it set, in the revision or under Limits"))
    if not any(level.get(name) is not None for level in levels for name in SPENDING):
        found.append(
            ("limits.max_tokens", "is missing: NEVER needs max_tokens or max_cost set, in the revision or under Limits")
        )
    return found


def held(body: Mapping[str, Json], waived: Collection[str]) -> dict[str, Json]:
    """The oversight of ``body`` where NEVER is in force in ``waived`` alone ("" is for every stage, too).

    The body's own object where nothing falls back.
    """
    given: dict[str, Json] = body.get("oversight") or {}
    fallen = [stage for stage in says_never(body) if stage not in waived and "" not in waived]
    if not fallen:
        return given
    kept = dict(given)
    if "" in fallen:
        kept["mode"] = FALLBACK
    if given.get("stages"):
        kept["stages"] = {agent: FALLBACK if agent in fallen else mode for agent, mode in given["stages"].items()}
    return kept


def findings(body: Mapping[str, Json], holding: Mapping[str, Json]) -> list[Finding]:
    """What to say about a revision whose NEVER is not in force."""
    fallen = set(says_never(body)) - set(says_never({"oversight": holding}))
    said = f"NEVER is not in force: until a risk assessment with an expiry date has a second admin's consent, this is {FALLBACK}."
    return [
        Finding(f"$.oversight.stages.{stage}" if stage else "$.oversight.mode", said, "info")
        for stage in says_never(body)
        if stage in fallen
    ]


def meaning(mode: str, team: str, *, stage: bool = False, reviews: int = 3) -> str:
    """What a mode means for a kind of team (AutoGen's class name), or for one of its stages, in plain words."""
    times = "once" if reviews == 1 else f"at most {reviews} times"
    if mode == "ALWAYS":
        whose = "each of its messages before the others see it" if stage else "every message before the others see it"
        return f"A person reads {whose}, and decides every action that is more than reading."
    if mode == "NEVER":
        return "Nobody reviews its messages." if stage else "Nobody reviews the result before it counts."
    if stage:
        back = f"a rejection sends it back with the reason, {times}, and then ends the run"
        return (
            f"A person reviews the last message of its turn; {back}."
            if reviews
            else ("A person reviews the last message of its turn; a rejection ends the run.")
        )
    if team == "GraphFlow" or not reviews:
        return "A person reviews the result before it counts; a rejection ends the run as rejected."
    return (
        "A person reviews the result before it counts; a rejection sends the team back to work with the reason, "
        f"{times}, and then ends the run."
    )
