"""What a risk assessment was written of: a team's tools and their risks, its limits, and its output contract.

A waiver holds for what was assessed and for less: fewer or safer tools, lower limits. Whatever a revision made later may
do beyond that, nobody has stood for; ``beyond`` says what it is. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from console.workflows.behaviour import tools_of
from console.workflows.catalogue import UnknownTool
from console.workflows.limits import NAMES, size
from console.workflows.registry import Registry

Json = Any
LIMITS = ("max_turns", "max_tokens", "max_cost", "run_timeout")
_RISKS = {"low": 0, "medium": 1, "high": 2}  # what is not known counts as the highest
_SAFETY = {"read_only": 0, "idempotent": 1, "neither": 2}
_SAYS = {"read_only": "only read", "idempotent": "be repeated without harm", "neither": "act"}


def taken(body: Mapping[str, Json], stage: str, tools: Registry, limits: Mapping[str, Json]) -> dict[str, Json]:
    """What there is to assess of ``stage`` ("" for the whole team) of a revision's ``body``, as JSON.

    ``limits`` are those of a run that starts now. A tool that cannot be used is no part of it.
    """
    found: dict[str, dict[str, str]] = {}
    for agent, config in tools_of(body.get("team")):
        if stage and agent != stage:
            continue
        try:
            spec = tools.get(str(config.get("catalogue") or config.get("name") or ""), config.get("version"))
        except UnknownTool:
            continue
        about = {"risk": spec.risk, "safety": spec.safety.value, "approval": spec.approval}
        found[spec.name] = _worse(found[spec.name], about) if spec.name in found else about
    contract = json.dumps(body.get("output_contract"), sort_keys=True)
    return {
        "tools": found,
        "limits": {name: limits[name] for name in LIMITS},
        "contract": hashlib.sha256(contract.encode()).hexdigest(),
    }


def beyond(then: Mapping[str, Json], now: Mapping[str, Json]) -> list[str]:
    """What is ``now`` that was not ``then``, a clause for each; empty where the assessment covers it."""
    found = []
    for name, about in now["tools"].items():
        was = then["tools"].get(name)
        if was is None:
            found.append(f"it may use {name}, which was not assessed")
            continue
        if _rank(_RISKS, about["risk"]) > _rank(_RISKS, was["risk"]):
            found.append(f"{name} is of {about['risk']} risk, and was of {was['risk']}")
        if _rank(_SAFETY, about["safety"]) > _rank(_SAFETY, was["safety"]):
            found.append(f"{name} can {_SAYS[about['safety']]}, and could {_SAYS[was['safety']]}")
        if about["approval"] == "allow" and was["approval"] != "allow":
            found.append(f"{name} stops for nobody any more")
    for name in LIMITS:
        if size(now["limits"][name]) > size(then["limits"][name]):
            found.append(f"its limit of {_named(name)} is {now['limits'][name]}, and was {then['limits'][name]}")
    if now["contract"] != then["contract"]:
        found.append("its output contract is another")
    return found


def _worse(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Of two versions of a tool in one team, the worse of each."""
    return {
        "risk": max(one["risk"], other["risk"], key=lambda each: _rank(_RISKS, each)),
        "safety": max(one["safety"], other["safety"], key=lambda each: _rank(_SAFETY, each)),
        "approval": "allow" if "allow" in (one["approval"], other["approval"]) else one["approval"],
    }


def _rank(order: Mapping[str, int], value: str) -> int:
    return order.get(value, max(order.values()))


def _named(limit: str) -> str:
    return NAMES[limit].removesuffix(" of a run")
