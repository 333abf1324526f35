"""``manage.py prepare_database``: what an instance begins with, each time it starts.

The roles, the migrations, and the end of what benchmarks that were killed have left.
"""

import argparse
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from console.bench import leavings
from console.up import roles
from console.up.places import Refused


class Command(BaseCommand):
    help = (
        "Make Sayso's database roles (where DATABASE_URL's login may), migrate, and remove what killed benchmarks left."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--no-roles", action="store_true", help="the roles are there")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_roles"]:
            try:
                roles.make(settings.DATABASE_URL)
            except Refused as refusal:
                raise CommandError(str(refusal)) from refusal
        call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"])
        gone = leavings.sweep()
        if gone:
            self.stderr.write(f"{gone} runs of a benchmark that was killed are removed")
