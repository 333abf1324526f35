"""The workflows app."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, their revisions, and the tool catalogue."""

    name = "console.workflows"
    label = "workflows"
    default_auto_field = "django.db.models.BigAutoField"
