"""``manage.py prepare_database``: the roles, then the migrations; for installations that bring their own Postgres."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from console.up import roles
from console.up.places import Refused


class Command(BaseCommand):
    help = "Make Sayso's database roles (where DATABASE_URL's login may) and migrate."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            roles.make(settings.DATABASE_URL)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        call_command("migrate", database="owner", interactive=False, verbosity=options["verbosity"])
