"""Steps as JSON, and back. Written out, so that a renamed field cannot slip through both ways."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from console.durable import Kind, Safety, Status, Step

LATER = ("first_token_at", "priced_by")  # facts that older journals of the same version say nothing of


def to_json(step: Step) -> dict[str, Any]:
    """A step as it is kept in a golden journal."""
    form = asdict(step)
    for name in ("started_at", "ended_at", "first_token_at"):
        form[name] = form[name] and form[name].isoformat()
    return {name: value for name, value in form.items() if value or name not in LATER}


def from_json(form: dict[str, Any]) -> Step:
    """The step of a golden journal."""
    return Step(
        scope=form["scope"],
        n=form["n"],
        kind=Kind(form["kind"]),
        seq=form["seq"],
        digest=form["digest"],
        request=form["request"],
        started_at=datetime.fromisoformat(form["started_at"]),
        status=Status(form["status"]),
        settled=form["settled"],
        safety=Safety(form["safety"]),
        name=form["name"],
        agent=form["agent"],
        key=form["key"],
        verdict=form["verdict"],
        result=form["result"],
        error=form["error"],
        attempts=form["attempts"],
        usage=form["usage"],
        cost=form["cost"],
        ended_at=form["ended_at"] and datetime.fromisoformat(form["ended_at"]),
        inherited=form["inherited"],
        first_token_at=datetime.fromisoformat(form["first_token_at"]) if form.get("first_token_at") else None,
        priced_by=form.get("priced_by", ""),
    )
