"""The runs app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    """Runs, their journal and their feed."""

    name = "console.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"
