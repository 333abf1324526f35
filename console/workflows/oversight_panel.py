"""What the pages say about a workflow's oversight: each mode, what it means for this team, and whether NEVER holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from console.tenants.access import Actor
from console.workflows import limits, waived
from console.workflows.models import Revision, Waiver, Workflow
from console.workflows.outline import config, kind, nodes
from console.workflows.oversight import meaning, says_never

Json = Any
WORDS = {  # the safe one first
    "TERMINATE": "the result is reviewed",
    "ALWAYS": "every message is reviewed",
    "NEVER": "nothing is reviewed by itself",
}


def panel(
    actor: Actor, row: Workflow, revision: Revision | None, typed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The panel of the workflow's page, with what was ``typed`` into its form; nothing without a revision."""
    if revision is None:
        return {}
    all_waivers = waived.of(row)
    proposed = [one for one in all_waivers if waived.state(one) == "proposed"]
    lines = rows(row, revision)
    return {
        "oversight_rows": lines,
        "oversight_form": _form(revision.body, typed),
        "modes": [(mode, WORDS[mode]) for mode in WORDS],
        "stage_modes": list(WORDS),
        "fallen": [line for line in lines if line["fallen"]],
        "waivers_kept": len(all_waivers),
        "asks": next((one for one in proposed if one.proposed_by_id != actor.id), None)
        if actor.role == "admin"
        else None,
        "asked": bool(proposed),
    }


def _form(body: Mapping[str, Json], typed: Mapping[str, str] | None) -> dict[str, Json]:
    oversight = body.get("oversight") or {}
    stages = oversight.get("stages") or {}
    if typed is not None:
        chosen = [(name, typed.get(f"stage:{name}", "")) for name in agents(body)]
        said = {
            "mode": typed.get("mode", ""),
            "reviews": typed.get("max_reviews", ""),
            "reason": typed.get("reason", ""),
        }
        return {**said, "stages": chosen}
    kept = {"mode": oversight.get("mode") or "TERMINATE", "reviews": oversight.get("max_reviews", 3), "reason": ""}
    return {**kept, "stages": [(name, stages.get(name, "")) for name in agents(body)]}


def rows(row: Workflow, revision: Revision) -> list[dict[str, Json]]:
    """``who``, ``mode`` (that holds), ``means``, ``fallen`` (NEVER that does not hold), ``beyond`` (what a waiver did
    not foresee) and ``until``, the workflow first."""
    body = revision.body
    oversight = waived.of_now(row, body)
    own = limits.of_tenant(row.tenant_id) if says_never(body) else {}
    held, past = waived.holding(row, body, own) if says_never(body) else ([], [])
    never = set(says_never(body))
    modes = {"": oversight.get("mode") or "TERMINATE", **(oversight.get("stages") or {})}
    found = []
    for stage, mode in modes.items():
        means = meaning(mode, kind(body.get("team")), stage=bool(stage), reviews=oversight.get("max_reviews", 3))
        found.append(
            {
                "who": stage,
                "mode": mode,
                "means": means,
                "fallen": stage in never and mode != "NEVER",
                "until": _until(held, stage) if mode == "NEVER" else None,
                "beyond": next((why for one, why in past if one.stage in (stage, "")), []),
            }
        )
    return found


def agents(body: Mapping[str, Json]) -> list[str]:
    """Names of the team's agents, and of stages that the oversight names beside them."""
    named = [str(config(node)["name"]) for node in nodes(body.get("team"), "agent") if config(node).get("name")]
    return list(dict.fromkeys([*named, *((body.get("oversight") or {}).get("stages") or {})]))


def _until(held: list[Waiver], stage: str) -> Any:
    return next((one.expires_at for one in held if one.stage in (stage, "")), None)
