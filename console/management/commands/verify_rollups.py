"""``manage.py verify_rollups``: every figure of the dashboards against a recount of the journal."""

import argparse
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from telemetry.recount import DayDifference, Difference, Report, verify

SHOWN = 1000  # differences in one answer


class Command(BaseCommand):
    help = (
        "Count the journal again. Exits with 1, and a line for each figure that differs, where the rollups are wrong."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--tenant", help="of this tenant alone (its slug), without the sums of all tenants")
        parser.add_argument("--repair", action="store_true", help="write what differs as the journal gives it")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = verify(_tenant(options["tenant"]), options["repair"])
        if options["json"]:
            self.stdout.write(json.dumps(_plain(found), indent=2))
        else:
            for difference in found.differences[:SHOWN]:
                self.stdout.write(f"BAD  {difference}")
            if len(found.differences) > SHOWN:
                self.stdout.write(f"... and {len(found.differences) - SHOWN:,} more")
            self.stdout.write(
                f"{found.runs:,} runs, {found.steps:,} steps and {found.requests:,} requests of {found.tenants:,} tenants"
                f" counted again, {found.rows:,} rows compared: {len(found.differences):,} differences"
            )
            if found.stale:
                self.stdout.write(f"{found.stale:,} runs and requests contribute something else than was kept of them")
            if options["repair"]:
                self.stdout.write(f"{found.repaired:,} rows written right")
        if found.differences or found.stale:
            sys.exit(1)


def _tenant(slug: str | None) -> str | None:
    if slug is None:
        return None
    with system_scope("verifying rollups: which tenant"):
        found = Tenant.objects.filter(slug=slug).values_list("id", flat=True).first()
    if found is None:
        raise CommandError(f"there is no tenant {slug}")
    return str(found)


def _plain(found: Report) -> dict[str, Any]:
    return {
        "tenants": found.tenants,
        "runs": found.runs,
        "steps": found.steps,
        "requests": found.requests,
        "rows": found.rows,
        "differences": len(found.differences),
        "stale": found.stale,
        "repaired": found.repaired,
        "found": [
            {"table": one.table, **_where(one), "stored": one.stored, "counted": one.counted}
            for one in found.differences[:SHOWN]
        ],
    }


def _where(one: Difference | DayDifference) -> dict[str, Any]:
    if isinstance(one, DayDifference):
        return {"tenant": one.tenant, "who": one.who, "day": str(one.day)}
    return {**one.key._asdict(), "figure": one.figure}
