"""``manage.py add_platform_admin USERNAME``: who makes tenants and sees how all of them fare."""

import argparse
import secrets
from typing import Any

from django.core.management.base import BaseCommand

from console.tenants.models import User


class Command(BaseCommand):
    help = "Make somebody a platform admin (with --remove: no longer). Makes the user, and prints a password, where missing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--remove", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        name, password = options["username"], ""
        user = User.objects.filter(username=name).first()
        if user is None and not options["remove"]:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(name, password=password, first_password=True)
        if user is not None:
            user.is_superuser = not options["remove"]
            user.save(update_fields=["is_superuser"])
        self.stdout.write(f"{name} is {'no' if options['remove'] else 'a'} platform admin")
        if password:
            self.stdout.write(f"password: {password} (it is changed at the first log-in)")
