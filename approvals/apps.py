from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    label = "approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Workflows and tenants stand below approvals and cannot ask for rules by name; so we say how rules are checked,
        # which a tenant has, which groups are asked, and what of ours an export holds. Imported here, where Django has its
        # models.
        from approvals import kept, rule_sets
        from approvals.checks import RulesCheck
        from console.tenants import group_actions
        from console.workflows import contracts, parts, rules_check

        rules_check.use(RulesCheck())
        contracts.use(rule_sets.listed)
        group_actions.use(rule_sets.uses_of_group)
        parts.use(kept.HOURS)
        parts.use(kept.RULES)
