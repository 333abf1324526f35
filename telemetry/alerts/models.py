"""Rules, the incidents that they found, and silences."""

import uuid

from django.db import models


class Condition(models.TextChoices):
    ABOVE = "above"
    BELOW = "below"
    UNUSUAL = "unusual"


class State(models.TextChoices):
    """ok -> pending -> firing -> ok. ``no_data``: too little happened to say anything."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    NO_DATA = "no_data"


class Severity(models.TextChoices):
    """The words of a channel's filter by risk, which it passes as a request would."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class AlertRule(models.Model):
    """What is watched, and how it stands. ``turn`` counts every change: a check of what it was before counts for nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    name = models.CharField(max_length=80)
    ready = models.CharField(max_length=30, blank=True, default="")  # which of the ready-made ones it was made as
    figure = models.CharField(max_length=40)
    narrowed = models.JSONField(default=dict)  # as in an address: {"workflow": slug, "stop_reason": ...}
    hours = models.PositiveSmallIntegerField()
    condition = models.CharField(max_length=8, choices=Condition.choices)
    threshold = models.FloatField(null=True)  # in the figure's unit; none of what is unusual
    weeks = models.PositiveSmallIntegerField(default=6)  # that say what is usual
    least = models.PositiveIntegerField(default=0)  # of fewer events nothing is said
    for_minutes = models.PositiveSmallIntegerField(default=0)
    severity = models.CharField(max_length=6, choices=Severity.choices, default=Severity.MEDIUM)
    remind_hours = models.PositiveSmallIntegerField(default=24)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200)

    turn = models.PositiveBigIntegerField(default=0)
    state = models.CharField(max_length=7, choices=State.choices, default=State.OK)
    pending_since = models.DateTimeField(null=True)
    clear_since = models.DateTimeField(null=True)  # while it fires: since when it does not look so any more
    flapping = models.BooleanField(default=False)
    checked_at = models.DateTimeField(null=True)
    value = models.FloatField(null=True)
    events = models.BigIntegerField(default=0)
    low = models.FloatField(null=True)  # the bounds that ``value`` was held against
    high = models.FloatField(null=True)
    usual = models.JSONField(default=dict)  # {"of": the hour it was reckoned for, "values": [[value, events] or null]}
    note = models.CharField(max_length=200, blank=True, default="")  # why nothing can be said

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="alert_rule_name"),
            models.UniqueConstraint(fields=["tenant", "ready"], name="alert_rule_ready", condition=~models.Q(ready="")),
        ]

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """One firing of a rule, whose id, name and terms are kept by value: they stay when the rule is changed or deleted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    rule_id = models.UUIDField()
    name = models.CharField(max_length=80)
    figure = models.CharField(max_length=40)
    narrowed = models.JSONField(default=dict)
    severity = models.CharField(max_length=6, choices=Severity.choices)
    remind_hours = models.PositiveSmallIntegerField()
    created_at = models.DateTimeField()  # when it began
    ended_at = models.DateTimeField(null=True)
    ended_because = models.CharField(max_length=200, blank=True, default="")
    first = models.FloatField()
    worst = models.FloatField()
    latest = models.FloatField()
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    because = models.CharField(max_length=400, blank=True, default="")
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    silenced = models.BooleanField(default=False)  # it was so at some time
    flapping = models.BooleanField(default=False)  # it was one of many in a short time
    hushed = models.BooleanField(default=False)  # that it comes and goes was said before: not told unless it stays
    told_at = models.DateTimeField(null=True)
    reminded_at = models.DateTimeField(null=True)
    recovery_told_at = models.DateTimeField(null=True)
    in_digest = models.BooleanField(default=False)  # told as one of many, in one line
    notices = models.JSONField(default=list)  # ids of notices, by value

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "rule_id"], name="alert_one_open", condition=models.Q(ended_at__isnull=True)
            ),
        ]
        indexes = [
            models.Index(fields=["tenant"], name="alert_open", condition=models.Q(ended_at__isnull=True)),
            models.Index(fields=["tenant", "-created_at", "-id"], name="alert_history"),
            models.Index(fields=["tenant", "rule_id", "-created_at"], name="alert_of_rule"),
        ]


class Silence(models.Model):
    """Nobody is told, until it ends. ``rule_id`` by value; none: all of the tenant's."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    rule_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=300)
    until = models.DateTimeField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)
    ended_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        indexes = [models.Index(fields=["tenant", "-until"], name="alert_silences")]


class Watch(models.Model):
    """A tenant's turn: locked while its rules are looked at. Made with its ready-made rules, so those are made once."""

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, primary_key=True, related_name="+")
    checked_at = models.DateTimeField(null=True)
    hour_from = models.DateTimeField(null=True)  # notices are counted from here, for an hour
    told = models.PositiveIntegerField(default=0)
    digested = models.BooleanField(default=False)  # the one line of this hour was sent
