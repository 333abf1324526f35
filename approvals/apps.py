from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    label = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Workflows stand below approvals and cannot ask for rules by name; so we say how rules are checked. Imported
        # here, where Django has its models.
        from approvals.checks import RulesCheck
        from console.workflows import rules_check

        rules_check.use(RulesCheck())
