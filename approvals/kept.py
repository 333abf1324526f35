"""What approvals keeps in the files of an export: the organisation's own rules, and its business hours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from approvals import rule_actions, rule_sets
from approvals.actions.calendar import put_calendar
from approvals.errors import Invalid
from approvals.models import Calendar
from console.tenants import access
from console.tenants.access import Actor
from console.workflows import changes, files
from console.workflows.changes import Change
from console.workflows.files import Fault, same
from console.workflows.parts import Part
from console.workflows.work import Work

Json = Any
Document = Mapping[str, Json]


def _rules(actor: Actor) -> dict[str, Json] | None:
    held = rule_sets.current(actor.tenant.id)
    return None if held is None else {"rules": held.rules}


def _put_rules(work: Work, document: Document, stored: Document | None) -> None:
    """Make the next version of the rules, with the reason that the apply was given."""
    if "rules" not in document:
        work.faults.append(
            Fault(files.RULES, "$.rules", "is missing: it is a list of rules, and an empty one for none")
        )
        return
    before, rules = stored["rules"] if stored else [], document["rules"]
    if same(before, rules):
        return
    with work.at(files.RULES):
        made, findings = rule_actions.put_rules(work.actor, rules, work.reason)
        work.changes.append(Change(files.RULES, "version", str(made.number - 1) if stored else "", str(made.number)))
        work.changes += changes.of_bodies(files.RULES, {"rules": before}, {"rules": rules})
        work.notes += [f"{files.RULES}: {finding.path}: {finding.message}" for finding in findings]


def _hours(actor: Actor) -> dict[str, Json] | None:
    found = access.all(Calendar, actor).first()
    return None if found is None else {"zone": found.zone, "days": found.days, "holidays": found.holidays}


def _put_hours(work: Work, document: Document, stored: Document | None) -> None:
    """Set the hours. What waits already keeps its times."""
    zone, days, holidays = document.get("zone"), document.get("days"), document.get("holidays", [])
    dated = sorted(holidays) if all(isinstance(day, str) for day in holidays) else holidays
    after = {"zone": zone, "days": days, "holidays": dated}
    if same(after, stored):
        return
    try:
        put_calendar(work.actor, zone, days, holidays)
    except Invalid as refusal:
        work.faults.append(Fault(files.HOURS, f"$.{refusal.field}", refusal.message))
        return
    work.changes += changes.of_values(files.HOURS, stored or {}, after)


RULES = Part(files.RULES, "the organisation's own rules", {"rules": list}, _rules, _put_rules)
HOURS = Part(files.HOURS, "the business hours", {"zone": str, "days": dict, "holidays": list}, _hours, _put_hours)
