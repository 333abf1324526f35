"""From incidents to notices, by the outbox and channels of approvals. What is owed is told unless something holds it back:

- a silence: nothing, until it ends; what still fires then is told once;
- coming and going: FLAPS beginnings within FLAP_FOR are told once as such; the next ones only once they stay;
- the cap: after CAP notices in an hour the rest is one line, and what comes after that waits for the next hour.

Whoever calls holds the lock on the tenant's Watch: each notice is written with the mark that it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from approvals.notices import events, outbox
from console.audit import log
from console.tenants import access
from console.tenants.models import Tenant
from telemetry import query
from telemetry.alerts import saying
from telemetry.alerts.models import AlertRule, Incident, Severity, Silence, Watch

CAP = 10  # notices an hour, of a tenant; one line besides
HOUR = timedelta(hours=1)
FLAPS = 3  # beginnings
FLAP_FOR = timedelta(hours=6)
STEADY = timedelta(hours=2)  # what comes and goes is told after all once it has stayed so long
_RANK = {Severity.HIGH: 0, Severity.MEDIUM: 1, Severity.LOW: 2}


def silences(tenant: Tenant, now: datetime) -> list[Silence]:
    """Those that hold now, the longest first. Call inside the tenant's scope."""
    return list(
        Silence.objects.filter(tenant=tenant, until__gt=now, created_at__lte=now, ended_by="").order_by("-until")
    )


def hushes(silence: Silence, rule_id: UUID) -> bool:
    """Whether a silence is about a rule."""
    return silence.rule_id is None or silence.rule_id == rule_id


def tell(tenant: Tenant, watch: Watch, now: datetime) -> int:
    """Write what is owed to the outbox; returns how many notices. Call inside the tenant's scope, with ``watch`` locked."""
    if watch.hour_from is not None and not timedelta() <= now - watch.hour_from < HOUR:
        watch.hour_from, watch.told, watch.digested = None, 0, False
    quiet = silences(tenant, now)
    calm = {key: not flaps for key, flaps in AlertRule.objects.filter(tenant=tenant).values_list("id", "flapping")}
    begun, over, late = [], [], []
    for one in _open(tenant):
        if any(hushes(each, one.rule_id) for each in quiet):
            if one.ended_at is None and not one.silenced:
                Incident.objects.filter(pk=one.pk, tenant=tenant).update(silenced=True)
        elif one.ended_at is not None:
            if calm.get(one.rule_id, True):
                over.append(one)
        elif one.told_at is None:
            if not one.hushed or now - one.created_at >= STEADY:
                begun.append(one)
        elif now - (one.reminded_at or one.told_at) >= timedelta(hours=one.remind_hours):
            late.append(one)
    begun.sort(key=lambda one: (_RANK[Severity(one.severity)], one.created_at))
    told = 0
    left: list[tuple[str, Incident]] = []
    for event, rows in ((events.ALERT_RAISED, begun), (events.ALERT_RECOVERED, over), (events.ALERT_REMINDED, late)):
        for one in rows:
            if watch.told < CAP:
                told += _tell(tenant, one, event, now)
                watch.told, watch.hour_from = watch.told + 1, watch.hour_from or now
            elif event != events.ALERT_REMINDED:
                left.append((event, one))
    if left and not watch.digested:
        _digest(tenant, left, now)
        watch.digested = True
        told += 1
    return told


def _open(tenant: Tenant) -> Iterable[Incident]:
    """What may owe a notice: what has not ended, and what was told to have begun."""
    owed = Q(told_at__isnull=False, recovery_told_at__isnull=True, in_digest=False)
    return Incident.objects.filter(Q(ended_at__isnull=True) | owed, tenant=tenant).order_by("created_at")


def _mark(one: Incident, event: str, now: datetime, notice: UUID | None, digest: bool = False) -> bool:
    """Say of an incident that it was told, once. False: it was already."""
    column = {
        events.ALERT_RAISED: "told_at", events.ALERT_RECOVERED: "recovery_told_at", events.ALERT_REMINDED: "reminded_at",
    }[event]  # fmt: skip
    rows = Incident.objects.filter(pk=one.pk, tenant=one.tenant_id, **{column: getattr(one, column)})
    notices = [*one.notices, *([str(notice)] if notice else [])]
    return bool(rows.update(**{column: now}, notices=notices, in_digest=one.in_digest or digest))


def _tell(tenant: Tenant, one: Incident, event: str, now: datetime) -> bool:
    notice = outbox.tell(tenant.id, event, facts_of(one, event), now)
    return _mark(one, event, now, notice)


def _digest(tenant: Tenant, left: Sequence[tuple[str, Incident]], now: datetime) -> None:
    begun = [one for event, one in left if event == events.ALERT_RAISED]
    over = len(left) - len(begun)
    parts = [f"{len(begun)} more alert{'' if len(begun) == 1 else 's'}"] if begun else []
    parts += [f"{over} {'more ' if not begun else ''}alert{' is' if over == 1 else 's are'} over"] if over else []
    worst = min((_RANK[Severity(one.severity)], one.severity) for _, one in left)[1]
    facts = {"more": len(begun), "over": over, "risk": worst, "severity": worst, "says": f"{', and '.join(parts)}."}
    event = events.ALERT_RAISED if begun else events.ALERT_RECOVERED
    notice = outbox.tell(tenant.id, event, facts | {"more": len(left)}, now)
    for of, one in left:
        _mark(one, of, now, notice, digest=of == events.ALERT_RAISED)
    sayso = access.system_actor(tenant)
    log.record(sayso, "alert.digest", "tenant", tenant.id, begun=[str(one.pk) for one in begun], over=over)


def facts_of(one: Incident, event: str) -> dict[str, Any]:
    """What a notice says: the figure, and no content of a run."""
    over = event == events.ALERT_RECOVERED
    iso = lambda at: at.isoformat().replace("+00:00", "Z") if at else None  # noqa: E731
    facts: dict[str, Any] = {
        "alert": str(one.pk),
        "rule": one.name,
        "figure": one.figure,
        "unit": query.find(one.figure).unit,
        "severity": one.severity,
        "risk": one.severity,
        "value": one.latest,
        "worst": one.worst,
        "low": one.low,
        "high": one.high,
        "since": iso(one.created_at),
        "ended": iso(one.ended_at),
        "says": one.ended_because if over else saying.says(one),
        "because": "" if over else one.because,
        "comes_and_goes": one.flapping and not over,
    }
    if one.narrowed.get("workflow"):
        facts["workflow"] = one.narrowed["workflow"]
    return facts
