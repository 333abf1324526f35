"""The record of who did what. Holds ids by value, so that it outlives what it speaks of."""

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone


class AuditRecord(models.Model):
    """One deed. Append-only: no role has the right to change or delete a row, and a trigger refuses it besides."""

    id = models.BigAutoField(primary_key=True)
    tenant_id = models.UUIDField()
    at = models.DateTimeField(default=timezone.now)
    actor_kind = models.CharField(max_length=10)  # user, token, system
    actor_id = models.UUIDField(null=True)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)  # noun.verb: "run.started", "credential.put"
    object_type = models.CharField(max_length=40)
    object_id = models.CharField(max_length=100)
    detail = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        indexes = [
            models.Index(fields=["tenant_id", "-id"], name="audit_list"),
            models.Index(fields=["tenant_id", "object_type", "object_id", "id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.object_type} {self.object_id}"
