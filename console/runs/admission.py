"""Whether one more run of a tenant may start now: how many are at work, and how many started in this minute."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count, Q
from django.utils import timezone

from console.runs.models import Run, RunStatus
from console.tenants.models import Tenant
from console.workflows import limits

MINUTE = timedelta(minutes=1)


class AtLimit(Exception):
    """The tenant's runs are as many as they may be; the message says which limit, ``wait`` in how many seconds to ask."""

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


def check(tenant: Tenant) -> None:
    """Raises AtLimit. Starts of a tenant that has set such a limit come one after another, so that it holds exactly."""
    own = limits.of_tenant(tenant.id)
    if own.keys() & {"max_runs", "starts_per_minute"}:
        Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    most = {name: int(own.get(name) or limits.DEFAULTS[name]) for name in ("max_runs", "starts_per_minute")}
    since = timezone.now() - MINUTE
    busy = Q(status__in=(RunStatus.QUEUED, RunStatus.RUNNING))
    mine = Run.objects.filter(busy | Q(created_at__gt=since), tenant=tenant, probe=False)
    counted = mine.aggregate(at_work=Count("pk", filter=busy), started=Count("pk", filter=Q(created_at__gt=since)))
    if counted["at_work"] >= most["max_runs"]:
        raise AtLimit(
            f"{counted['at_work']} runs are at work, which is the limit (max_runs); those that wait for a person do not"
            " count. Wait for one to end, or have the limit raised.",
            5,
        )
    if counted["started"] >= most["starts_per_minute"]:
        raise AtLimit(
            f"{counted['started']} runs started in the last minute, which is the limit (starts_per_minute).", 60
        )
