"""``manage.py doctor``: looks at what usually goes wrong and says, one line each, what is well and what to do."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from console.doctoring import CHECKS
from console.doctoring.findings import examine


class Command(BaseCommand):
    help = (
        "Check settings, keys, the stores, their versions, clocks and disks, migrations, workers, queues, the sweeper, "
        "stuck runs and notices. Exits with 1 where something is wrong, and says what helps."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object: {check: {ok, says, remedy}}")

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine(CHECKS)
        if options["json"]:
            told = {each.name: {"ok": each.ok, "says": each.says, "remedy": each.remedy} for each in found}
            self.stdout.write(json.dumps(told, indent=2))
        else:
            for each in found:
                self.stdout.write(f"{'ok  ' if each.ok else 'BAD '} {each.name:<11} {each.says}")
                if each.remedy:
                    self.stdout.write(f"{'':<17}{each.remedy}")
        if not all(each.ok for each in found):
            sys.exit(1)
