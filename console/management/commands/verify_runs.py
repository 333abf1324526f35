"""``manage.py verify_runs``: journals, requests and the audit record against what always has to hold of them."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from approvals.verify import verify
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope

SHOWN = 1000  # faults in one answer of --json


class Command(BaseCommand):
    help = "Check runs, their journals and their requests. Exits with 1, and a line for each fault, where one is wrong."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--run", type=_id, help="this run alone")
        parser.add_argument("--tenant", help="the runs of this tenant (its slug)")
        parser.add_argument("--since", type=_time, help="runs started since then: 2026-11-21 or 2026-11-21T17:00Z")
        parser.add_argument("--payloads", action="store_true", help="open everything sealed, too (slower)")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        checked, wrong, first = 0, 0, []
        for many, faults in verify(options["run"], _tenant(options["tenant"]), options["since"], options["payloads"]):
            checked += many
            wrong += len(faults)
            first += faults[: SHOWN - len(first)]
            if not options["json"]:
                for fault in faults:
                    self.stdout.write(f"BAD  run {fault.run}: {fault.says}")
        if options["run"] and not checked:
            raise CommandError(f"there is no run {options['run']} here")
        if options["json"]:
            found = [{"run": str(each.run), "tenant": str(each.tenant), "says": each.says} for each in first]
            self.stdout.write(json.dumps({"runs": checked, "faults": wrong, "found": found}, indent=2))
        else:
            self.stdout.write(f"{checked:,} runs checked, {wrong:,} faults")
        if wrong:
            sys.exit(1)


def _tenant(slug: str | None) -> UUID | None:
    if slug is None:
        return None
    with system_scope("verifying: which tenant"):
        found = Tenant.objects.filter(slug=slug).values_list("id", flat=True).first()
    if found is None:
        raise CommandError(f"there is no tenant {slug}")
    return found


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no run's id") from None


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 2026-11-21T17:00Z") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)
