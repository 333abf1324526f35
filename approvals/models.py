"""Approval requests, votes, comments, standing approvals, and who saw what when."""

import uuid
from datetime import UTC, datetime

from django.db import models
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce

from approvals.notices import models as notices  # noqa: F401 - Django looks for an app's tables here
from approvals.probes import models as probes  # noqa: F401 - as above
from console.prepared import Rows
from console.tenants.stamps import ChangedField

NEVER_DUE = datetime(9999, 1, 1, tzinfo=UTC)  # sorts after every date
PRESSING = {"high": 0, "medium": 1, "low": 2}  # anything else is 3


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


def _queue_order(name: str, *first: str) -> models.Index:
    """What waits in a tenant, and is alike in the columns ``first``, in the order of the queue."""
    order = ("pressing", "falls", models.F("blocks").desc(), "created_at", "id")
    return models.Index("tenant", *first, *order, name=name, condition=models.Q(status="pending"))


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
    # The rule's name as a column: behind the wall an index on an expression over JSON is never used, as ->> may leak.
    rule_name = models.GeneratedField(
        expression=Coalesce(KeyTextTransform("name", "rule"), models.Value(""), output_field=models.TextField()),
        output_field=models.TextField(),
        db_persist=True,
    )
    started_by_id = models.UUIDField(null=True)  # by value: who started the run never approves in it
    # Planted to see whether it is caught; see probes/. Nothing is done whatever is decided, and no figure counts it.
    probe = models.BooleanField(default=False, db_default=False)
    shown_words = models.PositiveIntegerField(null=True)  # see shown.py; null in older ones
    created_at = models.DateTimeField(auto_now_add=True)

    # What the rule asks for, frozen when the request is made. The group alone moves: up the chain, on its agenda.
    group = models.CharField(max_length=100, blank=True, default="")  # whose members may decide; empty: any reviewer
    approvers = models.PositiveSmallIntegerField(default=1)
    verdicts = models.JSONField(default=list)  # those that the rule allows; empty: all of the kind's
    second_for_edit = models.BooleanField(default=False)
    standing_allowed = models.BooleanField(default=True)
    due_at = models.DateTimeField(null=True)
    on_expiry = models.CharField(max_length=12, blank=True, default="")  # reject, terminate, escalate, approve
    escalated_at = models.DateTimeField(null=True)
    agenda = models.JSONField(default=list)  # what time will do, in order; see agenda.py
    next_at = models.DateTimeField(null=True)  # when the first of it is due

    # Where it stands in the queue.
    pressing = models.PositiveSmallIntegerField(default=3)  # by risk; see PRESSING
    falls = models.DateTimeField(default=NEVER_DUE)  # due_at, or NEVER_DUE
    blocks = models.PositiveSmallIntegerField(default=1)  # agents that cannot go on without it
    claimed_by_id = models.UUIDField(null=True)
    claimed_by_name = models.CharField(max_length=200, blank=True, default="")
    claimed_until = models.DateTimeField(null=True)

    # The winning decision; null until the last vote. Written by one conditional UPDATE on status = pending.
    decided_at = models.DateTimeField(null=True)
    verdict = models.CharField(max_length=12, blank=True, default="")
    decided_by_id = models.UUIDField(null=True)
    decided_by_name = models.CharField(max_length=200, blank=True, default="")
    # The request over HTTP in which it was, as a traceparent; see console/tracing.py.
    decided_trace = models.CharField(max_length=60, blank=True, default="", db_default="")
    sealed_decision = models.BinaryField(null=True)  # {"reason", "arguments", "answer", "result"}
    standing = models.ForeignKey("StandingApproval", null=True, on_delete=models.SET_NULL, related_name="uses")
    changed = ChangedField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "run", "scope", "n"], name="request_identity"),
            models.UniqueConstraint(fields=["tenant", "id"], name="request_in_tenant"),
        ]
        indexes = [
            models.Index(fields=["tenant", "status", "created_at", "id"], name="request_queue"),
            models.Index(fields=["changed", "id"], name="request_changed"),
            models.Index(
                fields=["next_at"], name="request_agenda", condition=models.Q(status="pending", next_at__isnull=False)
            ),
            models.Index(
                fields=["claimed_until"],
                name="request_claim",
                condition=models.Q(status="pending", claimed_until__isnull=False),
            ),
            # The queue's order, whole and by group: a page is the first entries of it, however much waits.
            _queue_order("request_order"),
            _queue_order("request_group_order", "group"),
            # Of one agent, and of one starter: a list narrowed to few of very many reads no others.
            _queue_order("request_agent_order", "agent"),
            _queue_order("request_starter_order", "started_by_id"),
            models.Index(  # what like requests got before; see precedents.py
                fields=["tenant", "workflow", "kind", "tool", "rule_name", "-created_at"],
                name="request_like",
                condition=models.Q(status__in=("decided", "expired")),
            ),
            models.Index(  # what people decided in a time; see telemetry/people.py
                fields=["tenant", "decided_at"],
                name="request_decided",
                condition=models.Q(status__in=("decided", "expired")),
            ),
            models.Index(  # the few of them that took more than one person
                fields=["tenant", "decided_at"],
                name="request_shared",
                condition=models.Q(status="decided", approvers__gt=1),
            ),
        ]


REQUESTS = Rows(ApprovalRequest)  # for statements that are written by hand


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
    changed = ChangedField()

    class Meta:
        indexes = [models.Index(fields=["changed", "id"], name="vote_changed")]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "request", "voter_id"], condition=models.Q(voided=False), name="one_vote_each"
            )
        ]


class StandingApproval(models.Model):
    """A person's yes in advance, to calls like one they saw: with its scope, its end, and a record of every use."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.CASCADE)
    run = models.ForeignKey("runs.Run", null=True, on_delete=models.CASCADE)  # None: every run of the workflow
    request_id = models.UUIDField()  # the one it was given with, by value
    tool = models.CharField(max_length=200)
    agent = models.CharField(max_length=200, blank=True, default="")
    rule_name = models.CharField(max_length=100, blank=True, default="")  # covers what this rule asks, and nothing else
    digest = models.CharField(
        max_length=64, blank=True, default=""
    )  # only a call with exactly these; empty: any arguments
    reason = models.TextField()
    owner_id = models.UUIDField()
    owner_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    revoked_by_name = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "id"], name="standing_in_tenant")]
        indexes = [models.Index(fields=["tenant", "workflow", "tool"], name="standing_scope")]


class Comment(models.Model):
    """What somebody said about a request without deciding it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="comments")
    author_id = models.UUIDField()
    author_name = models.CharField(max_length=200)
    sealed = models.BinaryField()  # {"text", "mentions": [names], "unknown": [names]}
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "request", "at"], name="comments_of_request")]


class Mention(models.Model):
    """That a comment on a request named a member: what a person's own list can be narrowed to."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="mentions")
    user_id = models.UUIDField()  # by value, as the author of a comment is
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user_id", "request"], name="one_mention_each")]


class SavedView(models.Model):
    """A person's own filters of the queue, by name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    owner_id = models.UUIDField()
    name = models.CharField(max_length=60)
    filters = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "owner_id", "name"], name="view_name")]


class Snooze(models.Model):
    """A request that one person put off for themselves. Its own times run on."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    request = models.ForeignKey(ApprovalRequest, on_delete=models.CASCADE, related_name="snoozes")
    owner_id = models.UUIDField()
    until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "request", "owner_id"], name="one_snooze_each")]


class Calendar(models.Model):
    """When a tenant's people work: what "4 business hours" means. No row: every hour counts."""

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, primary_key=True, related_name="+")
    zone = models.CharField(max_length=60)  # an IANA time zone: "Europe/Oslo"
    days = models.JSONField()  # {"mon": ["09:00", "17:00"], ...}; a day that is missing is free
    holidays = models.JSONField(default=list)  # ISO dates
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200, default="")


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
    changed = ChangedField()

    class Meta:
        indexes = [models.Index(fields=["changed", "id"], name="sighting_changed")]
        constraints = [models.UniqueConstraint(fields=["tenant", "request", "viewer_id"], name="one_sighting_each")]


class RuleSet(models.Model):
    """A version of a tenant's own rules, which hold beside those of each workflow. Written once; the newest holds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    number = models.PositiveIntegerField()
    rules = models.JSONField()  # checked; see rule_document.py
    author_name = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="rule_set_number")]

    def __str__(self) -> str:
        return f"rules {self.number}"
