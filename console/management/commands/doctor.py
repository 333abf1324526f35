"""``manage.py doctor``: looks at what usually goes wrong and says, one line each, what is well and what to do."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from approvals.notices.doctoring import reached
from console import environment, health, queues
from console.celery import app
from console.tenants import roles
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from console.workflows.models import Workflow

PATIENCE = 1.0  # seconds in which a worker says what it listens to


def _role() -> str:
    roles.assert_app_role()
    return "the process stands behind the tenant wall"


def _migrations() -> str:
    executor = MigrationExecutor(connections["owner"])
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        raise LookupError(f"{len(waiting)} not applied: run `manage.py migrate --database owner`")
    return "all applied"


def _keys() -> str:
    if not settings.SAYSO_MASTER_KEY:
        raise LookupError("SAYSO_MASTER_KEY is not set: nothing sealed can be read")
    environment.master_key(settings.SAYSO_MASTER_KEY)
    if settings.SECRET_KEY.startswith("insecure-"):
        raise LookupError("SAYSO_SECRET_KEY is not set: sessions end with the process")
    return "both set"


def _clock() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8 - %s::float8", [time.time()])
        apart = abs(float(cursor.fetchone()[0]))
    if apart > 2:
        raise LookupError(f"this machine and the database are {apart:.1f} s apart: set the clocks")
    return f"{apart * 1000:.0f} ms from the database's"


def _queues() -> str:
    with system_scope("doctor: the queues that are named"):
        named = {queues.DEFAULT, *_names(Workflow), *_names(Tenant)}
    try:
        told = app.control.inspect(timeout=PATIENCE).active_queues() or {}
    except OperationalError:
        raise LookupError("the broker cannot be asked") from None
    idle = sorted(named - {queue["name"] for listened in told.values() for queue in listened})
    if idle:
        raise LookupError(f"no worker says that it listens to {', '.join(idle)}: what is sent there waits")
    return f"there are workers for {', '.join(sorted(named))}"


def _names(model: type[Model]) -> list[str]:
    return list(model._default_manager.exclude(queue="").values_list("queue", flat=True).distinct())


CHECKS: dict[str, Callable[[], str]] = {
    **health.CHECKS,
    "role": _role,
    "migrations": _migrations,
    "queues": _queues,
    "notices": reached,
    "keys": _keys,
    "clock": _clock,
}


class Command(BaseCommand):
    help = (
        "Check the database, its role and migrations, the broker, the workers, queues, notices, the keys and the clock."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found: dict[str, dict[str, Any]] = {}
        for name, check in CHECKS.items():
            try:
                found[name] = {"ok": True, "says": check()}
            except (DatabaseError, RedisError, LookupError, ValueError, roles.WrongRole) as error:
                found[name] = {"ok": False, "says": (str(error).strip().splitlines() or [type(error).__name__])[0]}
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
        else:
            for name, result in found.items():
                self.stdout.write(f"{'ok  ' if result['ok'] else 'BAD '} {name:<11} {result['says']}")
        if not all(result["ok"] for result in found.values()):
            sys.exit(1)
