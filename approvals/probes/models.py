"""Probes, and each time that one was planted."""

import uuid

from django.db import models


class Outcome(models.TextChoices):
    """planted -> one of the others, once."""

    PLANTED = "planted"
    CAUGHT = "caught"
    MISSED = "missed"
    EXPIRED = "expired"  # nobody answered in time: not caught, and told apart from a yes
    WITHDRAWN = "withdrawn"


class Probe(models.Model):
    """A known-bad call of a workflow's tool, and what counts as catching it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=100)
    tool = models.CharField(max_length=200)
    agent = models.CharField(max_length=200)
    rule_name = models.CharField(max_length=100, blank=True, default="")  # the rule that it has to meet; empty: any
    sealed = models.BinaryField()  # {"arguments", "task", "why"}
    catches = models.JSONField(default=list)  # of judging.CATCHES
    edit_field = models.CharField(max_length=200, blank=True, default="")  # an edit that changes it is a catch
    per_week = models.PositiveSmallIntegerField(default=0)  # planted by itself so often; 0: by hand alone
    next_at = models.DateTimeField(null=True)  # when the next one is planted
    author_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by_name = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="probe_in_tenant"),
            models.UniqueConstraint(
                fields=["tenant", "workflow", "name"], condition=models.Q(withdrawn_at=None), name="probe_name"
            ),
        ]
        indexes = [models.Index(fields=["next_at"], name="probe_due", condition=models.Q(next_at__isnull=False))]

    def __str__(self) -> str:
        return self.name


class Planting(models.Model):
    """One planted request, and what became of it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    probe = models.ForeignKey(Probe, on_delete=models.CASCADE, related_name="plantings")
    request = models.ForeignKey("ApprovalRequest", on_delete=models.CASCADE, related_name="+", db_index=False)
    sealed_guise = (
        models.BinaryField()
    )  # {"model", "tokens", "cost", ...}: what the card says of the run; see planting.py
    planted_at = models.DateTimeField()
    planted_by_name = models.CharField(max_length=200)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.PLANTED)
    concluded_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "request"], name="one_planting_each")]
        indexes = [
            models.Index(fields=["tenant", "-planted_at"], name="planting_list"),
            models.Index(fields=["tenant", "concluded_at"], name="planting_concluded"),
        ]
