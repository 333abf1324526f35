"""What a team may do without a person, in plain words: read from a revision's body and the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from console.durable.steps import Safety
from console.workflows.catalogue import UnknownTool
from console.workflows.limits import size
from console.workflows.outline import kind
from console.workflows.oversight import meaning, says_never, where
from console.workflows.registry import Registry
from console.workflows.rule_words import rule_sentences

Json = Any
WORDING = 2  # raise it when ``paragraph`` says the same in other words: every contract is then written down anew


class Waived(Protocol):
    """What the paragraph reads of a waiver that is in force."""

    @property
    def stage(self) -> str: ...
    @property
    def proposed_by_name(self) -> str: ...
    @property
    def consented_by_name(self) -> str: ...
    @property
    def expires_at(self) -> datetime: ...


def paragraph(
    body: Mapping[str, Json],
    tools: Registry,
    *,
    oversight: Mapping[str, Json],
    limits: Mapping[str, Json],
    waivers: Sequence[Waived] = (),
    outgrown: Sequence[tuple[Waived, Sequence[str]]] = (),
    rules: Sequence[Mapping[str, Json]] = (),
) -> str:
    """The behaviour contract of a revision: what it may do alone, what stops, who agrees, what is reviewed, what ends it.

    ``oversight`` is what holds, where ``body`` may say NEVER; ``limits`` are those of a run that starts now; ``waivers`` are
    in force, ``outgrown`` would be if the revision did no more than was assessed (with what it does more), and ``rules`` are
    the organisation's own. It says nothing that changes by itself, so that the same words mean
    the same behaviour.
    """
    effective = {**body, "oversight": oversight}
    alone, asks, always = _sorted_tools(effective, tools)
    says = [_first(asks, always, alone)]
    if alone:
        says.append(f"Without a person it may use {_list(alone)}.")
    says += [f"A call of {rule_sentences(rule)}" for rule in body.get("rules") or []]
    says += [f"By the organisation's own rules a call of {rule_sentences(rule)}" for rule in rules]
    reviews = oversight.get("max_reviews", 3)
    team = kind(body.get("team"))
    says.append(meaning(oversight.get("mode") or "TERMINATE", team, reviews=reviews))
    for agent, mode in (oversight.get("stages") or {}).items():
        says.append(f"Of {agent}: {_low(meaning(mode, team, stage=True, reviews=reviews))}")
    says += _never(body, oversight, waivers, outgrown)
    if body.get("output_contract"):
        says.append("A result that does not fit the output contract ends the run as a contract violation.")
    says.append(_ends(limits))
    return " ".join(says)


def _never(
    body: Mapping[str, Json],
    oversight: Mapping[str, Json],
    waivers: Sequence[Waived],
    outgrown: Sequence[tuple[Waived, Sequence[str]]],
) -> Iterator[str]:
    """On whose word NEVER holds and until when, or that it does not."""
    held = set(says_never({"oversight": oversight}))
    for stage in says_never(body):
        past = next((one for one in outgrown if one[0].stage in (stage, "")), None)
        if stage not in held and past is not None:
            yield (
                f"The revision says NEVER for {where(stage)}, and goes beyond what {past[0].consented_by_name} consented to: "
                f"{'; '.join(past[1])}. So TERMINATE holds instead."
            )
            continue
        if stage not in held:
            yield f"The revision says NEVER for {where(stage)}, which is not in force, so TERMINATE holds instead."
            continue
        ground = next((one for one in waivers if one.stage in (stage, "")), None)
        if ground is not None:
            yield (
                f"NEVER holds for {where(stage)} on the risk assessment of {ground.proposed_by_name} with the consent of "
                f"{ground.consented_by_name}, until {ground.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC; then it is TERMINATE."
            )


def _ends(limits: Mapping[str, Json]) -> str:
    ends = [f"{limits['max_turns']:,} turns", f"{limits['max_tokens']:,} tokens", f"{limits['max_cost']} US dollars"]
    return f"A run ends at the latest after {', '.join(ends)} or {_span(limits['run_timeout'])} of machine time."


def _span(limit: str) -> str:
    minutes, seconds = divmod(int(size(limit)), 60)
    if not seconds and minutes >= 60 and minutes % 60 == 0:
        return f"{minutes // 60:,} h"
    return f"{minutes:,} min" if not seconds else f"{minutes:,} min {seconds} s" if minutes else f"{seconds} s"


def _low(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def behaviour(body: Mapping[str, Json], tools: Registry) -> list[str]:
    """Sentences for the workflow page; the first says the most."""
    alone, asks, always = _sorted_tools(body, tools)
    says = [_first(asks, always, alone)]
    if alone:
        says.append(f"Without a person it may use {_list(alone)}.")
    says += [rule_sentences(rule) for rule in body.get("rules") or []]
    says.append(_oversight(body.get("oversight") or {}))
    stages = (body.get("oversight") or {}).get("stages") or {}
    says += [f"{agent}: {_STAGE[mode]}" for agent, mode in stages.items() if mode in _STAGE]
    limits = body.get("limits") or {}
    if limits.get("max_cost") is not None:
        says.append(f"It stops when a run has cost {limits['max_cost']} US dollars.")
    return says


_STAGE = {
    "ALWAYS": "a person reads each of its messages before the others do, and decides its actions.",
    "TERMINATE": "a person reviews the last message of its turn.",
    "NEVER": "its messages are not reviewed.",
}


def _first(asks: Sequence[str], always: Sequence[str], alone: Sequence[str]) -> str:
    stops = [*asks, *always]
    if stops:
        return f"The team stops and asks a person before each call of {_list(stops)}."
    if alone:
        return "No tool of this team stops for a person."
    return "This team has no tools: it can only talk."


def _sorted_tools(body: Mapping[str, Json], tools: Registry) -> tuple[list[str], list[str], list[str]]:
    """Names of tools that may run alone, that ask, and that ask because oversight is ALWAYS where they are used."""
    alone: dict[str, None] = {}
    asks: dict[str, None] = {}
    always: dict[str, None] = {}
    oversight = body.get("oversight") or {}
    for agent, tool in tools_of(body.get("team")):
        name, known = str(tool.get("name", "?")), tool.get("catalogue") or tool.get("name") or ""
        try:
            spec = tools.get(str(known), tool.get("version"))
        except UnknownTool:
            continue  # calls of it fail: it does nothing with or without a person
        mode = (oversight.get("stages") or {}).get(agent) or oversight.get("mode") or "TERMINATE"
        if spec.approval != "allow":
            asks[name] = None
        elif mode == "ALWAYS" and spec.safety is not Safety.READ_ONLY:
            always[name] = None
        else:
            alone[name] = None
    return list(alone), list(asks), list(always)


def tools_of(node: Json, agent: str = "") -> Iterator[tuple[str, Mapping[str, Json]]]:
    """(agent, configuration) of each tool in a component document."""
    if isinstance(node, Mapping):
        config = node.get("config")
        if node.get("component_type") == "agent" and isinstance(config, Mapping):
            agent = str(config.get("name") or agent)
        if node.get("component_type") == "tool" and isinstance(config, Mapping) and "name" in config:
            yield agent, config
        for value in node.values():
            yield from tools_of(value, agent)
    elif isinstance(node, list):
        for value in node:
            yield from tools_of(value, agent)


def _oversight(oversight: Mapping[str, Json]) -> str:
    mode = oversight.get("mode") or "TERMINATE"
    if mode == "ALWAYS":
        return (
            "A person reads every message before the team goes on, and decides every action that is more than reading."
        )
    if mode == "NEVER":
        return "Nobody reviews the result before it counts."
    return "A person reviews the result before it counts."


def _list(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
