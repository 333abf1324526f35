"""Which tenant a command is about."""

from __future__ import annotations

from django.core.management.base import CommandError
from django.db import OperationalError

from console.tenants.models import Tenant
from console.tenants.scopes import system_scope


def tenant(slug: str | None) -> Tenant:
    """The tenant of that slug, or the only one there is. Raises CommandError, which names the tenants."""
    try:
        with system_scope("a command looks for its tenant"):
            tenants = list(Tenant.objects.order_by("slug"))
    except OperationalError as error:
        said = str(error).strip().partition("\n")[0]
        raise CommandError(f"the database does not answer; is the instance running? {said}") from error
    named = [each for each in tenants if slug is None or each.slug == slug]
    if len(named) == 1:
        return named[0]
    there = f"there are {', '.join(each.slug for each in tenants)}" if tenants else "there is none yet: see add_member"
    raise CommandError(f"there is no tenant {slug}; {there}" if slug else f"say which --tenant; {there}")
