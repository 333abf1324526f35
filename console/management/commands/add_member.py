"""``manage.py add_member USERNAME --tenant SLUG --role ROLE``: the first people of an installation without a demo."""

import argparse
import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_slug

from console.tenants import access, actions
from console.tenants.models import Role, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope


class Command(BaseCommand):
    help = "Give a user a role in a tenant. Makes the user (and prints a password) and the tenant where missing."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--tenant-name", default="", help="the tenant's name, when it is to be made")
        parser.add_argument("--role", required=True, choices=Role.values)

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["tenant"]
        with system_scope("adding a member"):
            tenant = Tenant.objects.filter(slug=slug).first()
            if tenant is None:
                if not options["tenant_name"]:
                    raise CommandError(f"there is no tenant {slug}; give --tenant-name to make it")
                validate_slug(slug)
                tenant = actions.create_tenant(slug, options["tenant_name"], by="add_member")
        password = ""
        with tenant_scope(tenant):
            user = User.objects.filter(username=options["username"]).first()
            if user is None:
                password = secrets.token_urlsafe(12)
                user = User.objects.create_user(options["username"], password=password)
            actions.add_member(access.system_actor(tenant, "add_member"), user, options["role"])
        self.stdout.write(f"{user.username} is {options['role']} in {tenant.slug}")
        if password:
            self.stdout.write(f"password: {password}")
