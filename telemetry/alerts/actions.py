"""What people change: rules and silences. Each deed writes its audit row with it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from approvals.errors import Conflict, Invalid
from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from telemetry.alerts import checking, terms
from telemetry.alerts.models import AlertRule, Incident, Silence, State

MOST = 50  # rules of a tenant
SILENCES = 100  # at once
_MEANS = ("figure", "narrowed", "hours", "condition", "threshold", "weeks", "least", "for_minutes")


@transaction.atomic
def add_rule(actor: Actor, given: Mapping[str, Any], now: datetime) -> AlertRule:
    """Make a rule. Raises Forbidden, Invalid, Conflict."""
    access.require(actor, "admin")
    made = terms.rule(actor, given, now)
    if access.all(AlertRule, actor).count() >= MOST:
        raise Conflict(f"There are {MOST} rules, which is the limit: delete one that nobody needs.")
    _free(actor, made)
    made.save(force_insert=True)
    log.record(actor, "alert_rule.added", "alert_rule", made.pk, **_told(made))
    return made


@transaction.atomic
def change_rule(actor: Actor, key: UUID | str, given: Mapping[str, Any], now: datetime) -> AlertRule:
    """Replace a rule. Where it means something else now, or is switched off, what fires ends, and it begins anew.

    Raises Forbidden, NotFound, Invalid."""
    access.require(actor, "admin")
    was = access.get(AlertRule, actor, for_update=True, pk=key)
    new = terms.rule(actor, given, now)
    new.pk, new._state.adding = was.pk, False
    _free(actor, new)
    before = _told(was)
    anew = any(getattr(was, name) != getattr(new, name) for name in _MEANS) or was.active != new.active
    for name in (*terms.FIELDS, "updated_by"):
        setattr(was, name, getattr(new, name))
    was.turn += 1
    if anew:
        what = "the rule was changed" if was.active else "the rule was switched off"
        checking.end(actor, was, now, f"{was.name}: {what} by {actor.name}")
        was.state, was.pending_since, was.clear_since, was.flapping = State.OK, None, None, False
        was.usual, was.value, was.low, was.high, was.note, was.checked_at = {}, None, None, None, "", None
    was.save()
    log.record(actor, "alert_rule.changed", "alert_rule", was.pk, before=before, **_told(was))
    return was


@transaction.atomic
def switch(actor: Actor, key: UUID | str, on: bool, now: datetime) -> AlertRule:
    """Switch a rule on or off; again changes nothing. Raises Forbidden, NotFound."""
    access.require(actor, "admin")
    rule = access.get(AlertRule, actor, for_update=True, pk=key)
    if rule.active != on:
        checking.end(actor, rule, now, f"{rule.name}: the rule was switched off by {actor.name}")
        rule.active, rule.turn, rule.state = on, rule.turn + 1, State.OK
        rule.pending_since, rule.clear_since, rule.flapping, rule.updated_by = None, None, False, actor.name[:200]
        rule.save()
        log.record(actor, f"alert_rule.switched_{'on' if on else 'off'}", "alert_rule", rule.pk, name=rule.name)
    return rule


@transaction.atomic
def delete_rule(actor: Actor, key: UUID | str, now: datetime) -> AlertRule:
    """Delete a rule; its incidents stay. Raises Forbidden, NotFound."""
    access.require(actor, "admin")
    rule = access.get(AlertRule, actor, for_update=True, pk=key)
    checking.end(actor, rule, now, f"{rule.name}: the rule was deleted by {actor.name}")
    log.record(actor, "alert_rule.deleted", "alert_rule", rule.pk, **_told(rule))
    kept = rule.pk
    rule.delete()
    rule.pk = kept
    return rule


@transaction.atomic
def silence(actor: Actor, rule: str, reason: str, until: Any, now: datetime) -> Silence:
    """Tell nobody of a rule (empty: of any) until then. Raises Forbidden, NotFound, Invalid, Conflict."""
    access.require(actor, "operator", "admin")
    found = access.get(AlertRule, actor, pk=rule) if rule else None
    end, why = terms.until(actor, until, now), terms.reason(reason)
    if access.all(Silence, actor).filter(until__gt=now, ended_by="").count() >= SILENCES:
        raise Conflict(f"There are {SILENCES} silences already; end one of them first.")
    made = Silence.objects.create(
        tenant=actor.tenant, rule_id=found.pk if found else None, reason=why, until=end, created_at=now,
        created_by=actor.name[:200],
    )  # fmt: skip
    quiet = access.all(Incident, actor).filter(ended_at=None)
    (quiet.filter(rule_id=found.pk) if found else quiet).update(silenced=True)
    name = found.name if found else "all"
    log.record(actor, "alert.silenced", "alert_silence", made.pk, rule=name, until=end, reason=why)
    return made


@transaction.atomic
def wake(actor: Actor, key: UUID | str, now: datetime) -> Silence:
    """End a silence before its time. Raises Forbidden, NotFound, Conflict where it has ended."""
    access.require(actor, "operator", "admin")
    found = access.get(Silence, actor, for_update=True, pk=key)
    if found.ended_by or found.until <= now:
        raise Conflict("This silence has ended already.")
    found.until, found.ended_by = now, actor.name[:200]
    found.save(update_fields=["until", "ended_by"])
    log.record(actor, "alert.silence_ended", "alert_silence", found.pk)
    return found


def _free(actor: Actor, rule: AlertRule) -> None:
    if access.all(AlertRule, actor).filter(name=rule.name).exclude(pk=rule.pk).exists():
        raise Invalid("name", "There is a rule of that name; choose another.")


def _told(rule: AlertRule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in terms.FIELDS}
