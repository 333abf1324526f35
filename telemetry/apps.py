from typing import Any

from django.apps import AppConfig
from django.db import connections, transaction
from django.db.models.signals import post_migrate
from django.utils import timezone


class TelemetryConfig(AppConfig):
    name = "telemetry"
    label = "telemetry"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Whoever migrates may make tables, and does so at each start and each upgrade: the months ahead are made then.
        post_migrate.connect(_make_partitions, sender=self, dispatch_uid="telemetry.partitions")


def _make_partitions(using: str, **_: Any) -> None:
    from telemetry import partitions  # imported here, where Django has its models

    with transaction.atomic(using), connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('telemetry_runrollup') IS NOT NULL")
        if cursor.fetchone()[0]:
            partitions.ensure(connections[using], timezone.now().date())
