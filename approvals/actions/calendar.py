"""Setting a tenant's business hours."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from approvals import calendars
from approvals.errors import Invalid
from approvals.models import Calendar
from console.audit import log
from console.tenants import access
from console.tenants.access import Actor


@transaction.atomic
def put_calendar(actor: Actor, zone: Any, days: Any, holidays: Any = ()) -> Calendar:
    """Say when people work; see calendars. What waits already keeps its times. Raises access.Forbidden, Invalid."""
    access.require(actor, "admin")
    try:
        calendars.read(zone, days, holidays)
    except calendars.Invalid as fault:
        raise Invalid(fault.field, fault.message) from None
    kept, _ = Calendar.objects.update_or_create(
        tenant=actor.tenant,
        defaults={"zone": zone, "days": days, "holidays": sorted(holidays), "updated_by": actor.name[:200]},
    )
    log.record(actor, "calendar.set", "calendar", actor.tenant.pk, zone=zone, days=days, holidays=len(holidays))
    return kept
