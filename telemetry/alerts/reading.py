"""Rules, alerts and silences as pages and API show them; and how many fire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from approvals.notices import audience, events
from approvals.notices.models import Channel, Delivery
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Tenant
from telemetry.alerts import saying
from telemetry.alerts.models import AlertRule, Incident, Severity, Silence
from telemetry.alerts.terms import FIELDS

_STANDS = ("state", "value", "low", "high", "events", "flapping", "checked_at", "note", "updated_at", "updated_by")
_ALERT = (
    "name", "figure", "narrowed", "severity", "ended_at", "ended_because", "first", "worst", "latest", "low", "high",
    "because", "silenced", "flapping", "told_at", "recovery_told_at",
)  # fmt: skip


def firing(actor: Actor) -> int:
    """How many alerts fire now and are not silent. By an index that holds only those: every page asks, and mostly none
    fires, so what is silent is asked for only where something does."""
    rules = list(access.all(Incident, actor).filter(ended_at=None).values_list("rule_id", flat=True))
    if not rules:
        return 0
    held = access.all(Silence, actor).filter(until__gt=timezone.now(), ended_by="")
    quiet = set(held.values_list("rule_id", flat=True))  # None: all of them
    return 0 if None in quiet else sum(each not in quiet for each in rules)


def rule(row: AlertRule) -> dict[str, Any]:
    """One rule and how it stands."""
    return {"id": str(row.pk), **{name: getattr(row, name) for name in (*FIELDS, *_STANDS)}}


def alert(row: Incident) -> dict[str, Any]:
    """One firing, with where it leads."""
    about = {name: getattr(row, name) for name in _ALERT}
    return {"id": str(row.pk), "rule": str(row.rule_id), "began_at": row.created_at, **about, **saying.links(row)}


def silence(row: Silence) -> dict[str, Any]:
    """One silence; ``rule`` is empty where it is of all."""
    return {
        "id": str(row.pk), "rule": str(row.rule_id or ""), "reason": row.reason, "until": row.until,
        "created_at": row.created_at, "created_by": row.created_by, "ended_by": row.ended_by,
    }  # fmt: skip


def told(actor: Actor, rows: Iterable[Incident]) -> dict[str, list[dict[str, Any]]]:
    """By notice, the channels and the admins that it went to, and what became of it."""
    ids = [each for row in rows for each in row.notices]
    found: dict[str, list[dict[str, Any]]] = {}
    sent = access.all(Delivery, actor).filter(notice_id__in=ids, channel__isnull=False)
    for notice, event, name, status in sent.order_by("created_at", "channel__name").values_list(
        "notice_id", "notice__event", "channel__name", "status"
    ):
        found.setdefault(str(notice), []).append({"event": event, "channel": name, "status": status})
    letters = (
        access.all(Delivery, actor).filter(notice_id__in=ids, channel__isnull=True).order_by("notice_id", "status")
    )
    columns = ("notice_id", "notice__event", "status")
    for notice, event, status, many in (
        letters.values(*columns).annotate(many=Count("pk")).values_list(*columns, "many")
    ):
        found.setdefault(str(notice), []).append({"event": event, "channel": admins(many), "status": status})
    return found


def listens(tenant: Tenant) -> list[str]:
    """Who outside is told of alerts: channels by name, and how many admins get mail. Call inside the tenant's scope."""
    rows = Channel.objects.filter(tenant=tenant, active=True, events__contains=[events.ALERT_RAISED])
    names = list(rows.order_by("name").values_list("name", flat=True))
    # Some hear of high severity alone.
    mailed = len(audience.of_alerts(tenant.id, Severity.HIGH)) if settings.EMAIL_SET_UP else 0
    return [*names, admins(mailed)] if mailed else names


def admins(many: int) -> str:
    """How many admins are written to."""
    return f"{many} admin{'' if many == 1 else 's'} by mail"
