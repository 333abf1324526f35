"""Once a minute: every rule of every tenant takes its step; what begins and what ends is an incident.

A tenant is one transaction under a lock on its Watch: states, incidents, audit rows and notices stand or fall together. Two
evaluators skip each other's tenants; and a rule goes on only from the turn that was read, so one that a person changed
meanwhile keeps the change.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F

from console.audit import log as audit
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope, tenant_scope
from telemetry import query, selecting
from telemetry.alerts import figuring, ready, saying, states, telling
from telemetry.alerts.figuring import Look
from telemetry.alerts.models import AlertRule, Incident, State, Watch
from telemetry.alerts.states import Bounds, Measured, Standing
from telemetry.windows import BadQuery

log = logging.getLogger(__name__)

AGAIN = timedelta(seconds=50)  # a tenant is not looked at twice within
TENANTS = 500  # in a round, those first that waited longest
SECONDS = 20.0  # after which a round leaves the rest to the next
_LOCK = 0x5A7351  # of this database: one evaluator chooses tenants at a time


def round(clock: Callable[[], datetime], seconds: float = SECONDS) -> int:
    """Look at every tenant whose minute is over; returns at how many. Call outside any scope."""
    with system_scope("alerts that are due"):
        ((taken,),) = selecting.ask("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        due = [row[0] for row in selecting.ask(_DUE, [clock() - AGAIN, clock() + AGAIN, TENANTS])] if taken else []
    until, done = time.monotonic() + seconds, 0
    for tenant_id in due:
        try:
            done += check(tenant_id, clock())
        except Exception:  # of one tenant: the others are looked at all the same
            log.exception("the alerts of tenant %s could not be checked; the next try follows in a minute", tenant_id)
        if time.monotonic() > until:
            break
    return done


def check(tenant_id: UUID, now: datetime) -> bool:
    """Look at one tenant's rules. False: it is gone, another evaluator is at it, or its minute is not over."""
    with tenant_scope(tenant_id):
        tenant = Tenant.objects.filter(pk=tenant_id).first()
        if tenant is None:
            return False
        ready.make(tenant)
        watch = Watch.objects.select_for_update(skip_locked=True).filter(tenant=tenant).first()
        if watch is None or (watch.checked_at is not None and abs(now - watch.checked_at) < AGAIN):
            return False
        sayso = access.system_actor(tenant)
        for rule in AlertRule.objects.filter(tenant=tenant, active=True).order_by("created_at", "id"):
            try:
                with transaction.atomic():
                    _go_on(sayso, rule, now)
            except Exception:  # of one rule: what the others found is told all the same
                log.exception("the alert rule %s could not be checked; the next try follows in a minute", rule.pk)
        telling.tell(tenant, watch, now)
        watch.checked_at = now
        watch.save()
    return True


def _go_on(sayso: Actor, rule: AlertRule, now: datetime) -> None:
    """One rule's step, and what comes of it."""
    try:
        found = figuring.look(sayso, rule, now)
    except BadQuery as fault:  # what it was narrowed to is gone
        empty = figuring.window_of(rule, query.find(rule.figure), now)
        found = Look(Measured(None, 0), None, empty, {}, f"{fault.field}: {fault.message}"[:200])
    terms = figuring.terms_of(rule)
    was = Standing(rule.state, rule.pending_since, rule.clear_since)
    new = states.step(was, states.judge(terms, found.measured, found.bounds), terms, now)
    bounds = found.bounds or Bounds()
    begins, ends = new.state == State.FIRING != was.state, was.state == State.FIRING != new.state
    recent = Incident.objects.filter(tenant=rule.tenant_id, rule_id=rule.pk, created_at__gt=now - telling.FLAP_FOR)
    many = recent.count() + 1 if begins or rule.flapping else 0
    flapping = many >= telling.FLAPS if begins else rule.flapping and (many > 1 or new.state == State.FIRING)
    moved = AlertRule.objects.filter(pk=rule.pk, tenant=rule.tenant_id, turn=rule.turn).update(
        turn=F("turn") + 1, state=new.state, pending_since=new.pending_since, clear_since=new.clear_since,
        flapping=flapping or (begins and rule.flapping), checked_at=now, value=found.measured.value,
        events=found.measured.events, low=bounds.low, high=bounds.high, usual=found.usual, note=found.note[:200],
    )  # fmt: skip
    if not moved:
        return  # somebody changed it meanwhile
    if begins:
        _begin(sayso, rule, found, now, flapping=flapping or rule.flapping, hushed=rule.flapping)
    elif was.state == State.FIRING:
        _follow(sayso, rule, found, now)
        if ends:
            why = "there is nothing to judge any more" if new.state == State.NO_DATA else "it is as it should be again"
            end(sayso, rule, now, f"{query.find(rule.figure).title}: {why}")


def _begin(sayso: Actor, rule: AlertRule, found: Look, now: datetime, *, flapping: bool, hushed: bool) -> None:
    figure, bounds = query.find(rule.figure), found.bounds or Bounds()
    value = found.measured.value or 0.0
    made = Incident.objects.create(
        tenant=sayso.tenant, rule_id=rule.pk, name=rule.name, figure=rule.figure, narrowed=rule.narrowed,
        severity=rule.severity, remind_hours=rule.remind_hours, created_at=now, first=value, worst=value, latest=value,
        low=bounds.low, high=bounds.high, window_start=found.window.start, window_end=found.window.end,
        because=saying.because(figuring.scope_of(sayso, rule), found.window, figure, now),
        flapping=flapping, hushed=hushed,
    )  # fmt: skip
    audit.record(sayso, "alert.raised", "alert", made.pk, rule=rule.name, figure=rule.figure, value=value)


def _follow(sayso: Actor, rule: AlertRule, found: Look, now: datetime) -> None:
    """What an open incident comes to: its latest and worst value, and then the reason for that."""
    value = found.measured.value
    one = access.all(Incident, sayso).filter(rule_id=rule.pk, ended_at=None).first()
    if one is None or value is None:
        return
    below = one.low is not None and one.first < one.low
    one.latest, fields = value, ["latest"]
    if (value < one.worst) if below else (value > one.worst):
        one.worst, one.window_start, one.window_end = value, found.window.start, found.window.end
        figure = query.find(rule.figure)
        one.because = saying.because(figuring.scope_of(sayso, rule), found.window, figure, now)
        fields += ["worst", "window_start", "window_end", "because"]
    one.save(update_fields=fields)


def end(actor: Actor, rule: AlertRule, now: datetime, because: str) -> bool:
    """End the open incident of a rule, if there is one. Call in the transaction that changes the rule."""
    one = access.all(Incident, actor).select_for_update().filter(rule_id=rule.pk, ended_at=None).first()
    if one is None:
        return False
    one.ended_at, one.ended_because = now, because[:200]
    one.save(update_fields=["ended_at", "ended_because"])
    audit.record(actor, "alert.recovered", "alert", one.pk, rule=rule.name, because=because)
    return True


_DUE = """
    SELECT t.id FROM tenants_tenant t LEFT JOIN telemetry_watch w ON w.tenant_id = t.id
    WHERE w.checked_at IS NULL OR w.checked_at <= %s OR w.checked_at > %s ORDER BY w.checked_at NULLS FIRST LIMIT %s
"""
