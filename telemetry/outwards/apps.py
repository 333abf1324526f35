"""The app of what is told outwards: it keeps how far that came."""

from django.apps import AppConfig


class OutwardsConfig(AppConfig):
    """Traces, metrics and figures for other programs."""

    name = "telemetry.outwards"
    label = "outwards"
    default_auto_field = "django.db.models.BigAutoField"
