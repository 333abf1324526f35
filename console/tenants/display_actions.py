"""What changes who sees the contents of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from console.audit import log
from console.tenants import access, display, masks
from console.tenants.access import Actor
from console.tenants.actions import Invalid
from console.tenants.models import Role, TenantDisplay

Json = Any


def put(actor: Actor, shown_to: Json, kinds: Json, patterns: Json) -> TenantDisplay:
    """Set to whom contents are shown and what is blotted out of them, for the whole tenant, from now on.

    ``kinds`` are names of masks.KINDS; ``patterns`` are ``{"name", "pattern"}``. Raises Forbidden, Invalid (its field is
    shown_to, masks, or patterns[i].name or .pattern).
    """
    access.require(actor, Role.ADMIN)
    if not isinstance(shown_to, str) or shown_to not in display.SHOWN_TO:
        raise Invalid("shown_to", f"must be one of {', '.join(display.SHOWN_TO)}")
    if not isinstance(kinds, list) or any(not isinstance(each, str) or each not in masks.KINDS for each in kinds):
        raise Invalid("masks", f"must be a list of {', '.join(masks.KINDS)}")
    kept = {
        "shown_to": shown_to,
        "masks": [each for each in masks.KINDS if each in kinds],
        "patterns": _patterns(patterns),
    }
    with transaction.atomic():
        access.all(TenantDisplay, actor).select_for_update().first()
        before = access.all(TenantDisplay, actor).values("shown_to", "masks", "patterns").first()
        found, _ = TenantDisplay.objects.update_or_create(
            tenant=actor.tenant, defaults={**kept, "updated_by": actor.name[:200]}
        )
        log.record(actor, "tenant.display", "tenant", actor.tenant.id, before=before, after=kept)
    return found


def _patterns(value: Json) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise Invalid("patterns", "must be a list of objects with name and pattern")
    if len(value) > masks.PATTERNS:
        raise Invalid("patterns", f"are more than {masks.PATTERNS}; join some with |")
    found: list[dict[str, str]] = []
    for place, one in enumerate(value):
        where = f"patterns[{place}]"
        if not isinstance(one, Mapping) or set(one) != {"name", "pattern"}:
            raise Invalid(where, "must be an object with name and pattern")
        name, pattern = one["name"], one["pattern"]
        if not isinstance(name, str) or not masks.NAME.fullmatch(name):
            raise Invalid(f"{where}.name", "must be 1 to 40 letters, digits, spaces, dots and hyphens")
        if name in [each["name"] for each in found]:
            raise Invalid(f"{where}.name", "is there twice")
        if not isinstance(pattern, str) or "\x00" in pattern:
            raise Invalid(f"{where}.pattern", "must be a regular expression, as text without NUL")
        try:
            masks.check(pattern)
        except masks.BadPattern as fault:
            raise Invalid(f"{where}.pattern", str(fault)) from None
        found.append({"name": name, "pattern": pattern})
    return found
