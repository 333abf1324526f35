"""Whether this process was told what it needs, and nothing that undoes the wall."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.http.request import validate_host

from console import environment
from console.doctoring.findings import Ailing
from console.tenants import roles

_HERE = ("127.0.0.1", "localhost", "::1")


def role() -> str:
    """The database role."""
    roles.assert_app_role()
    return "the process stands behind the tenant wall"


def migrations() -> str:
    """That the tables are those of this version."""
    executor = MigrationExecutor(connections["owner"])
    graph = executor.loader.graph
    waiting = executor.migration_plan(graph.leaf_nodes())
    if waiting:
        raise Ailing(f"{len(waiting)} not applied", "Run `manage.py migrate --database owner`.")
    newer = sorted({app for app, name in executor.loader.applied_migrations if (app, name) not in graph.nodes})
    if newer:
        raise Ailing(
            f"the database has migrations of {', '.join(newer)} that this version does not know",
            "Go back to the newer version of Sayso, or restore the backup that was taken before it.",
        )
    return "all applied"


def keys() -> str:
    """That what is sealed can be opened, and sessions outlive the process."""
    if not settings.SAYSO_MASTER_KEY:
        raise Ailing(
            "SAYSO_MASTER_KEY is not set: nothing sealed can be read", "Set the key that the data was sealed with."
        )
    environment.master_key(settings.SAYSO_MASTER_KEY)
    if settings.SECRET_KEY.startswith("insecure-"):
        raise Ailing("SAYSO_SECRET_KEY is not set: sessions end with the process", "Set it to any long random text.")
    return "both set"


def addresses() -> str:
    """That people reach the console where links say it is, and that their passwords cannot be read on the way."""
    parts = urlsplit(settings.PUBLIC_URL)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https"):
        raise Ailing(f"SAYSO_URL is {settings.PUBLIC_URL!r}", "Set it to the address that people open, https://....")
    if not validate_host(host if ":" not in host else f"[{host}]", settings.ALLOWED_HOSTS):
        raise Ailing(f"{host} of SAYSO_URL is refused", f"Add {host} to SAYSO_ALLOWED_HOSTS.")
    if "*" in settings.ALLOWED_HOSTS:
        raise Ailing("SAYSO_ALLOWED_HOSTS allows any name", "Name the hosts that people open, separated by commas.")
    if host not in _HERE and not settings.HTTPS:
        raise Ailing(
            f"people log in to {host} without TLS, where passwords can be read on the way",
            "Put a proxy that ends TLS before the console, and set SAYSO_HTTPS=1 and SAYSO_URL=https://....",
        )
    return f"links lead to {settings.PUBLIC_URL}"
