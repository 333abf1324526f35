"""Approval requests, votes, and who saw what when."""

import uuid

from django.db import models


class RequestKind(models.TextChoices):
    TOOL = "tool"
    MESSAGE = "message"
    QUESTION = "question"
    FINAL = "final"
    IN_DOUBT = "in_doubt"


class RequestStatus(models.TextChoices):
    """pending -> decided; pending -> moot (the run ended) or expired. Only pending moves."""

    PENDING = "pending"
    DECIDED = "decided"
    EXPIRED = "expired"
    MOOT = "moot"


class ApprovalRequest(models.Model):
    """One gate of one run, waiting for a person; unique by (run, scope, n)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    run = models.ForeignKey("runs.Run", on_delete=models.CASCADE, related_name="requests")
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE)
    scope = models.CharField(max_length=300)
    n = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=RequestKind.choices)
    status = models.CharField(max_length=10, choices=RequestStatus.choices, default=RequestStatus.PENDING)
    agent = models.CharField(max_length=200, blank=True, default="")
    tool = models.CharField(max_length=200, blank=True, default="")
    risk = models.CharField(max_length=10, blank=True, default="")  # low, medium, high
    title = models.CharField(max_length=300)
    sealed_request = models.BinaryField()  # {"arguments", "schema", "description", "message", "question", "evidence"}
    digest = models.CharField(max_length=64)
    reason = models.TextField(blank=True, default="")  # why it stopped here, one sentence
    rule = models.JSONField(null=True)  # the rule that asked, frozen as it was written; see rules.Rule.frozen
    approvers = models.PositiveSmallIntegerField(default=1)
    due_at = models.DateTimeField(null=True)
    on_expiry = models.CharField(max_length=12, blank=True, default="")  # reject, terminate, escalate
    escalated_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    # The winning decision; null until the last vote. Written by one conditional UPDATE on status = pending.
    decided_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=12, blank=True, default="")
    decided_by_id = models.UUIDField(null=True)
    decided_by_name = models.CharField(max_length=200, blank=True, default="")
    sealed_decision = models.BinaryField(null=True)  # {"reason", "arguments", "answer", "result"}

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "scope", "n"], name="request_identity"),
            models.UniqueConstraint(fields=["tenant", "id"], name="request_in_tenant"),
        ]
        indexes = [
            models.Index(fields=["tenant", "status", "created_at", "id"], name="request_queue"),
            models.Index(
                fields=["due_at"], name="request_due", condition=models.Q(status="pending", due_at__isnull=False)
            ),
        ]


class Vote(models.Model):
    """What one person said to one request. An edit voids the approvals before it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="votes")
    voter_id = models.UUIDField()
    voter_name = models.CharField(max_length=200)
    verdict = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, blank=True, default="")  # of the arguments voted for
    sealed = models.BinaryField()  # {"reason", "arguments", "answer", "result"}
    voided = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "request", "voter_id"], condition=models.Q(voided=False), name="one_vote_each"
            )
        ]


class Sighting(models.Model):
    """When a request was first shown to a person, opened by them, and read to its end."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="sightings")
    viewer_id = models.UUIDField()
    viewer_name = models.CharField(max_length=200)
    shown_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "request", "viewer_id"], name="one_sighting_each")]
