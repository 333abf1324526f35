"""``manage.py verify_audit``: that the audit record cannot be changed, and that no deed is missing from it."""

import argparse
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from approvals.verify_audit import count, faults


class Command(BaseCommand):
    help = (
        "Check that the audit record is guarded against changes, and that every tenant, run and decision is in it as it is."
        " It cannot show what a superuser of the database did."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        records, found = count(), list(faults())
        if options["json"]:
            self.stdout.write(json.dumps({"records": records, "faults": len(found), "found": found}, indent=2))
        else:
            for fault in found:
                self.stdout.write(f"BAD  {fault}")
            self.stdout.write(f"{records:,} records, {len(found):,} faults")
        if found:
            sys.exit(1)
