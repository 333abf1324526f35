"""What fires in all tenants, for who keeps the platform: tenants, severities and times, and no content of anybody's."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from console.tenants.scopes import system_scope
from telemetry import selecting
from telemetry.alerts.models import Severity

SEVERITIES = (Severity.HIGH, Severity.MEDIUM, Severity.LOW)
MOST = 50  # tenants that are named


@dataclass(slots=True)
class Firing:
    """A tenant in which something fires. ``since``: the oldest of what is not silent, or of all where everything is."""

    name: str
    slug: str
    since: datetime
    by: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, SEVERITIES), 0))
    silent: int = 0

    @property
    def rank(self) -> tuple[int | datetime | str, ...]:
        """The worst first, then who has had it for longest."""
        return (*(-self.by[severity] for severity in SEVERITIES), self.since, self.slug)


@dataclass(frozen=True, slots=True)
class Across:
    """The worst tenants, and the sums over all of them. ``tenants`` is how many there are."""

    worst: list[Firing]
    tenants: int
    by: dict[str, int]
    silent: int


def firing(now: datetime) -> Across:
    """What fires. Call outside any scope; one statement, by an index that holds only what is open."""
    found: dict[UUID, Firing] = {}
    with system_scope("what fires in all tenants"):
        rows = selecting.ask(_FIRING, [now])
    for tenant_id, name, slug, severity, silent, many, since in rows:  # what is silent comes last
        one = found.setdefault(tenant_id, Firing(name, slug, since))
        if silent:
            one.silent += many
        else:
            one.by[severity] += many
            one.since = min(one.since, since)
    every = sorted(found.values(), key=lambda one: one.rank)
    by = {str(severity): sum(one.by[severity] for one in every) for severity in SEVERITIES}
    return Across(every[:MOST], len(every), by, sum(one.silent for one in every))


_FIRING = """
    SELECT t.id, t.name, t.slug, o.severity, o.silent, COUNT(*), MIN(o.created_at) FROM (
        SELECT i.tenant_id, i.severity, i.created_at, EXISTS (
            SELECT 1 FROM telemetry_silence s WHERE s.tenant_id = i.tenant_id AND s.until > %s AND s.ended_by = ''
              AND (s.rule_id IS NULL OR s.rule_id = i.rule_id)) AS silent
        FROM telemetry_incident i WHERE i.ended_at IS NULL
    ) AS o JOIN tenants_tenant t ON t.id = o.tenant_id GROUP BY t.id, t.name, t.slug, o.severity, o.silent ORDER BY o.silent
"""
