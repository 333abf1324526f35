"""Channels, what people want to be told, notices, and their deliveries."""

import uuid

from django.db import models


class ChannelKind(models.TextChoices):
    EMAIL = "email"
    CHAT = "chat"
    WEBHOOK = "webhook"


class Wants(models.TextChoices):
    """What a member is written to about: of what they may decide; an admin, of alerts."""

    OFF = "off"
    ALL = "all"
    URGENT = "urgent"  # reminders and escalations; alerts of high severity


class DeliveryStatus(models.TextChoices):
    """pending -> delivered; pending -> failed -> failed ... -> delivered or dead. Redelivery makes it pending again.

    What says that something waits is dropped, from pending or failed, where it waits no more: see sending.py.
    """

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # and will be tried again
    DEAD = "dead"
    DROPPED = "dropped"  # was not sent, as it was not true any more


class Channel(models.Model):
    """Somewhere outside that is told of what happens in a tenant."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=8, choices=ChannelKind.choices)
    sealed_address = models.BinaryField()  # {"to": [...]} or {"url": "..."}
    place = models.CharField(max_length=300)  # what may be shown of the address: "Slack", "https://hooks.example.com"
    # {"current": "whsec_...", "previous": "whsec_..."}, of a webhook; the previous one signs until ``previous_until``
    sealed_secrets = models.BinaryField(null=True)
    previous_until = models.DateTimeField(null=True)
    events = models.JSONField(default=list)
    groups = models.JSONField(default=list)  # empty: all
    workflows = models.JSONField(default=list)  # slugs
    risks = models.JSONField(default=list)
    include_title = models.BooleanField(default=False)
    active = models.BooleanField(default=True)
    off_because = models.CharField(max_length=300, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="channel_name"),
            models.UniqueConstraint(fields=["tenant", "id"], name="channel_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.name


class Subscription(models.Model):
    """What a member wants to be written to about. No row: nothing."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    user = models.ForeignKey("tenants.User", on_delete=models.CASCADE, related_name="+")
    wants = models.CharField(max_length=6, choices=Wants.choices, default=Wants.OFF)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="subscription_of_member")]


class Notice(models.Model):
    """Something happened; the outbox. Holds ids by value and no content of a run."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    event = models.CharField(max_length=20)
    request_id = models.UUIDField(null=True)
    run_id = models.UUIDField(null=True)
    facts = models.JSONField(default=dict)  # see outbox.facts_of
    created_at = models.DateTimeField()
    spread_at = models.DateTimeField(null=True)  # when its deliveries were made

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="notice_in_tenant")]
        indexes = [
            models.Index(fields=["created_at"], name="notice_waiting", condition=models.Q(spread_at__isnull=True)),
            models.Index(fields=["created_at"], name="notice_age"),
        ]


class Delivery(models.Model):
    """One notice on its way to one channel or one person. Its id is the webhook-id, and stays when it is sent again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    channel = models.ForeignKey(Channel, null=True, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
    user_id = models.UUIDField(null=True)  # of a member, by value, where there is no channel
    lane = models.CharField(max_length=40)  # what is sent over the same way; see sending.LANE
    status = models.CharField(max_length=9, choices=DeliveryStatus.choices, default=DeliveryStatus.PENDING)
    attempts = models.PositiveIntegerField(default=0)  # claimed; it fences the outcome of an attempt
    round = models.PositiveSmallIntegerField(default=0)  # failures since it was made, or was sent again by hand
    next_at = models.DateTimeField()
    answered = models.PositiveSmallIntegerField(null=True)  # the last HTTP status
    sealed_body = models.BinaryField()  # {"subject", "text"} or {"json"}, the same at every attempt; see spreading.py
    sealed_tries = models.BinaryField(null=True)  # the last attempts: [{"at", "status", "said", "ms", "headers"}]
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="delivery_in_tenant")]
        indexes = [
            models.Index(fields=["next_at"], name="delivery_due", condition=models.Q(status__in=["pending", "failed"])),
            models.Index(fields=["tenant", "channel", "-created_at", "-id"], name="delivery_log"),
        ]

    @property
    def message_id(self) -> str:
        """What a receiver tells repeated messages by."""
        return f"msg_{self.id.hex}"
