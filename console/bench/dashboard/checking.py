"""Whether the rollups that SQL has made are those of the raw rows: some of them, reckoned again by the product's own code."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from console.tenants.scopes import system_scope
from telemetry import histogram
from telemetry.figures import RUNS, STEPS
from telemetry.models import EVERY_PART


def check() -> int:
    """Reckon some of the rows again in Python, from the raw rows. Returns how many; raises where one is another."""
    checked = 0
    with system_scope("bench"), connection.cursor() as cursor:
        spent = {"machine": "active_ms", "queue": "queue_ms", "total": "total_ms"}
        for table, part, parts, times, spread in (
            (RUNS, "stop_reason", ["completed", "budget"], "1", spent),
            (RUNS, f"'{EVERY_PART}'", [EVERY_PART], "1", spent),
            (STEPS, "'model'", ["model"], "calls", {"duration": "call_ms", "first_token": "first_ms"}),
        ):
            cursor.execute(
                f"SELECT tenant_id, workflow_id, grain, at, key, part, cost_micros, {', '.join(spread)} FROM {table}"  # noqa: S608
                " WHERE cut = 'revision' AND grain IN ('d', 'h') AND part = ANY(%s)"
                " AND at >= (SELECT MAX(at) - interval '10 days' FROM telemetry_runrollup) "
                " ORDER BY md5(tenant_id::text || workflow_id || at || key || part) LIMIT 5",
                [parts],
            )
            for tenant, workflow, grain, at, key, named, cost, *kept in cursor.fetchall():
                cursor.execute(
                    f"SELECT cost_micros, {times}, {', '.join(spread.values())} FROM bench_raw WHERE tenant_id = %s"  # noqa: S608
                    f" AND workflow_id = %s AND revision = %s AND {part} = %s AND ended_at >= %s AND ended_at < %s",
                    [tenant, workflow, int(key), named, at, at + timedelta(hours=24 if grain == "d" else 1)],
                )
                rows = cursor.fetchall()
                for place, name in enumerate(spread):
                    stored = histogram.counts(histogram.unpack(kept[place]))
                    found = histogram.counts(histogram.of(row[2 + place] for row in rows for _ in range(row[1])))
                    if found != stored:
                        raise RuntimeError(f"{table}: {name} of {at} is {stored}, but reckoned {found}")
                if sum(row[0] for row in rows) != cost:
                    raise RuntimeError(f"{table}: the cost of {at} is {cost}")
                checked += 1
    return checked
