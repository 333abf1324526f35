"""Who sees the contents of runs, over HTTP. Every member reads the setting; admins change it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict

from console.tenants import access, display, display_actions
from console.tenants.access import actor_of
from console.tenants.actions import Invalid
from console.tenants.models import TenantDisplay
from console.tenants.problems import problem

Json = Any
router = Router(tags=["tenants"])


class DisplayIn(Schema):
    """What is left out of ``masks`` and ``patterns`` is not blotted out any more."""

    model_config = ConfigDict(extra="forbid")

    shown_to: Literal["everyone", "reviewers", "admins"]
    masks: list[Literal["email", "card", "iban"]] = []
    patterns: list[dict[str, str]] = []


class DisplayOut(Schema):
    """To whom prompts, answers, arguments and results are shown, and what is blotted out of them for everybody."""

    shown_to: str
    masks: list[str]
    patterns: list[dict[str, str]]
    updated_at: datetime | None
    updated_by: str


@router.get("/display", response=DisplayOut, summary="To whom the contents of runs are shown, and what is blotted out")
def get_display(request: HttpRequest) -> Any:
    kept = access.all(TenantDisplay, actor_of(request)).first()
    return kept or {"shown_to": display.EVERYONE, "masks": [], "patterns": [], "updated_at": None, "updated_by": ""}


@router.put("/display", response=DisplayOut, summary="Set to whom the contents of runs are shown")
def put_display(request: HttpRequest, body: DisplayIn) -> Any:
    try:
        return display_actions.put(actor_of(request), body.shown_to, list(body.masks), body.patterns)
    except Invalid as fault:
        errors = [{"field": fault.field, "message": fault.message}]
        return problem(422, f"{fault.field} {fault.message}.", errors=errors)
