"""Who sees what runs said: the tenant's setting, and the one function through which contents go on their way to a screen.

Contents are what is inside a run's steps: prompts, answers, arguments, results, the input and the result, what the team
said. Facts about steps (which, when, how long, tokens, cost, digests) are not. The journal keeps everything as it was;
only what is shown is hidden or blotted out, so the setting can be changed either way at any time, and replay, forks and
checks do not notice.

A run's name is the beginning of its input, and so it is contents too, and what it said when it stopped is.

Not subject to it: a request that waits, to a reviewer. An approval binds the exact arguments that were shown, and nobody
can answer for what they were not shown; see approvals/showing.py.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from console.tenants import access
from console.tenants.access import Actor
from console.tenants.masks import Masker
from console.tenants.models import Role, TenantDisplay

Json = Any
EVERYONE, REVIEWERS, ADMINS = "everyone", "reviewers", "admins"
SHOWN_TO = {
    EVERYONE: "everyone in the organisation",
    REVIEWERS: "reviewers and admins",
    ADMINS: "admins",
}
HIDDEN = "Hidden by your organisation's setting."
TITLE = "title hidden"
_ROLES: dict[str, frozenset[str]] = {REVIEWERS: frozenset({Role.REVIEWER, Role.ADMIN}), ADMINS: frozenset({Role.ADMIN})}


@dataclass(slots=True)
class Display:
    """What one viewer may see. Made for one page or call: see Masker."""

    shown: bool
    masker: Masker
    shown_to: str = EVERYONE

    @property
    def plain(self) -> bool:
        """Whether everything is shown as it is."""
        return self.shown and not self.masker

    @property
    def sentence(self) -> str:
        """What the page says about it; empty where everything is shown as it is."""
        if not self.shown:
            return f"{HIDDEN} What runs said is shown to {SHOWN_TO[self.shown_to]}."
        return "Your organisation has some things blotted out here." if self.masker else ""

    def of(self, value: Json) -> Json:
        """The contents as this viewer may see them: blotted out where masks say so, or HIDDEN in place of anything."""
        if value is None or (self.shown and not self.masker):
            return value
        return self.masker.of(value) if self.shown else HIDDEN

    def title(self, text: str) -> str:
        """A run's name, which is the beginning of its input; where it is hidden lists still say which run by its number."""
        if not text or self.plain:
            return text
        return self.masker.text(text) if self.shown else TITLE.capitalize()

    def words(self, text: str) -> str:
        """A text that may be empty, such as what a run said when it stopped."""
        return str(self.of(text)) if text else text


def of(actor: Actor) -> Display:
    """What the actor may see. One query."""
    return made(actor, kept(actor))


def to_programs(setting: dict[str, Json] | None) -> Display:
    """What another program is told under a setting: it has no role, so no more than everyone may see."""
    shown = setting is None or setting["shown_to"] == EVERYONE
    return Display(shown, Masker(setting["masks"], setting["patterns"]) if setting else Masker())


def outside(tenants: Collection[UUID]) -> dict[UUID, Display]:
    """What programs and places outside are told of each tenant's contents, of those that have a setting. One query; call
    inside a scope of theirs."""
    rows = TenantDisplay.objects.filter(tenant__in=tenants).values("tenant_id", "shown_to", "masks", "patterns")
    return {row["tenant_id"]: to_programs(row) for row in rows}


def kept(actor: Actor) -> dict[str, Json] | None:
    """The setting of the actor's tenant; None where there is none. One query."""
    return access.all(TenantDisplay, actor).values("shown_to", "masks", "patterns").first()


def made(actor: Actor, setting: dict[str, Json] | None) -> Display:
    """What the actor may see under a setting."""
    if setting is None:
        return Display(True, Masker())
    roles = _ROLES.get(setting["shown_to"])
    shown = roles is None or actor.kind == "system" or actor.role in roles
    return Display(shown, Masker(setting["masks"], setting["patterns"]), setting["shown_to"])
