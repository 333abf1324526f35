"""How long figures are kept: by the hour for weeks, by the day for years. Truth is the journal, which is not touched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from console.audit import log
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.scopes import system_scope
from telemetry.models import ALL, DAY, HOUR, PLATFORM, ROLLUPS, Retention
from telemetry.reading import ask
from telemetry.windows import BadQuery

HOURS_KEPT = 100  # days
DAYS_KEPT = 800
LEAST_HOURS = 40  # days: the hours of a month, and of the week before it, are on every screen
MOST = 4000
AT_ONCE = 20_000  # rows in a transaction


@dataclass(frozen=True, slots=True)
class Kept:
    """How many days figures by the hour, and by the day, are kept."""

    hours: int = HOURS_KEPT
    days: int = DAYS_KEPT

    def since(self, grain: str, now: datetime) -> datetime:
        """From when on there are rows of a grain."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - timedelta(days=self.hours if grain == HOUR else self.days)


def of(tenant_id: object) -> Kept:
    """What holds for a tenant (or for the sums of all tenants). Call inside a scope."""
    found = ask("SELECT hours_kept, days_kept FROM telemetry_retention WHERE tenant_id = %s", [tenant_id])
    return Kept(*found[0]) if found else Kept()


@dataclass(frozen=True, slots=True)
class Going:
    """Figures of a grain that a setting deletes: those from the ``first`` there is up to, and without, ``before``."""

    grain: str
    first: datetime
    before: datetime

    @property
    def days(self) -> int:
        """How many days of figures that is."""
        return (self.before.date() - self.first.date()).days


def going(tenant_id: object, how: Kept, now: datetime) -> list[Going]:
    """What a setting deletes of a tenant's figures, with the next round of pruning. Call inside the tenant's scope."""
    found = []
    for grain in (HOUR, DAY):
        before = how.since(grain, now)
        firsts = [ask(_FIRST.format(model._meta.db_table), [tenant_id, grain, ALL])[0][0] for model in ROLLUPS]
        if grain == DAY:
            firsts += [ask("SELECT min(day)::timestamp AT TIME ZONE 'UTC' FROM telemetry_deciderday WHERE tenant_id = %s",
                           [tenant_id])[0][0]]  # fmt: skip
        first = min((each for each in firsts if each is not None), default=None)
        if first is not None and first < before:
            found.append(Going(grain, first, before))
    return found


def checked(hours: int, days: int) -> Kept:
    """The setting, if it may be one. Raises BadQuery."""
    for field, value, least in (("hours", hours, LEAST_HOURS), ("days", days, hours)):
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST:
            raise BadQuery(field, f"must be a whole number of days from {least} to {MOST:,}")
    return Kept(hours, days)


@transaction.atomic
def put(actor: Actor, hours: int, days: int) -> Kept:
    """Keep a tenant's figures so many days by the hour, and by the day. Raises Forbidden and BadQuery."""
    access.require(actor, "admin")
    kept = checked(hours, days)
    Retention.objects.update_or_create(
        tenant=actor.tenant, defaults={"hours_kept": hours, "days_kept": days, "updated_by": actor.name}
    )
    log.record(actor, "telemetry.retention", "tenant", actor.tenant.id, hours=hours, days=days)
    return kept


def prune(now: datetime) -> int:
    """Delete the rows that are no longer kept. Returns how many. Call outside any scope; a transaction a piece."""
    alike: dict[Kept, list[object]] = {Kept(): [PLATFORM]}
    with system_scope("pruning figures"):
        for tenant, *days in ask(_KEPT, []):
            alike.setdefault(Kept(*days) if days[0] else Kept(), []).append(tenant)
    gone = 0
    for model in ROLLUPS:
        for how, tenants in alike.items():
            for grain in (HOUR, DAY):
                gone += _prune(model._meta.db_table, tenants, grain, how.since(grain, now))
    for how, tenants in alike.items():
        with system_scope("pruning figures"), connection.cursor() as cursor:
            cursor.execute(_DAYS, [tenants, how.since(DAY, now).date()])
            gone += cursor.rowcount
    return gone


def _prune(table: str, tenants: list[object], grain: str, before: datetime) -> int:
    gone = 0
    while True:
        with system_scope("pruning figures"), connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {table} WHERE (tableoid, ctid) IN (SELECT tableoid, ctid FROM {table}"  # noqa: S608
                " WHERE tenant_id = ANY(%s) AND grain = %s AND at < %s LIMIT %s) AND at < %s",
                [tenants, grain, before, AT_ONCE, before],
            )
            gone += cursor.rowcount
            if cursor.rowcount < AT_ONCE:
                return gone


# Every hour or day with anything has a row of the sum of all; by the primary key.
_FIRST = "SELECT min(at) FROM {} WHERE tenant_id = %s AND grain = %s AND cut = 'all' AND workflow_id = %s"
_KEPT = """
    SELECT t.id, r.hours_kept, r.days_kept FROM tenants_tenant t LEFT JOIN telemetry_retention r ON r.tenant_id = t.id
"""
_DAYS = "DELETE FROM telemetry_deciderday WHERE tenant_id = ANY(%s) AND day < %s"
