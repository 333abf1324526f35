"""The workflows app."""

from django.apps import AppConfig


class WorkflowsConfig(AppConfig):
    """Workflows, their revisions, and the tool catalogue."""

    name = "console.workflows"
    label = "workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Both read models, which are there only now: no sooner can they be imported.
        from console.tenants import group_actions
        from console.workflows import group_use

        group_actions.use(group_use.named)
