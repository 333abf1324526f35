from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import pre_migrate

from console.tenants import roles, scopes


class TenantsConfig(AppConfig):
    name = "console.tenants"
    label = "tenants"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        connection_created.connect(scopes.install, dispatch_uid="sayso.scopes")
        pre_migrate.connect(roles.grant_default_privileges, sender=self, dispatch_uid="sayso.roles")
