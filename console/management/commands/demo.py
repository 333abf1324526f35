"""``manage.py demo``: who is in the demo, with which passwords and tokens."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.demo import seed
from console.demo.documents import WORKFLOWS


class Command(BaseCommand):
    help = "Print the demo's users, passwords, tokens and workflows."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--seed", action="store_true", help="make what is missing first (`up` does)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["seed"]:
            seed.seed()
        found = seed.describe()
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        if not found["tenants"]:
            raise CommandError("there is no demo here; `manage.py up` makes one where it owns the stores")
        self.stdout.write(f"{found['url']}\n")
        for tenant in found["tenants"]:
            self.stdout.write(f"\n{tenant['slug']}")
            for user in tenant["users"]:
                self.stdout.write(f"  {user['role']:<10}{user['username']:<10}{user['password']}")
            for role, token in tenant["tokens"].items():
                self.stdout.write(f"  {role + ' token':<20}{token}")
        if "platform" in found:
            self.stdout.write(
                f"\nplatform admin\n  {'':<10}{found['platform']['username']:<10}{found['platform']['password']}"
            )
        self.stdout.write("\nTo try:")
        for workflow in WORKFLOWS:
            self.stdout.write(f"  {workflow.slug:<20}{workflow.example}")
