"""Runs, their journal (steps and sealed payloads), and the live feed."""

import uuid
from typing import Any

from django.db import models

from console.prepared import Rows
from console.tenants.stamps import ChangedField


class RunStatus(models.TextChoices):
    """queued -> running -> waiting -> queued ...; completed, failed and cancelled are final."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


# Never queued or running: no worker can claim it, no fencing token is ever given out for it, so no step can be written.
INERT = models.Q(
    status__in=(str(RunStatus.WAITING), str(RunStatus.CANCELLED)),
    token=0,
    wake=0,
    ready_at=None,
    wake_at=None,
    lease_until=None,
    leased_at=None,
    lease_owner="",
    cancel_requested=False,
    retry_of=None,
    fork_of=None,
    smoke_test=None,
)


class Run(models.Model):
    """One execution of a revision. Who may advance it is said by ``lease_until`` and ``token`` (the fence)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey("workflows.Workflow", on_delete=models.PROTECT, related_name="runs")
    revision = models.ForeignKey("workflows.Revision", on_delete=models.PROTECT, related_name="runs")
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.QUEUED)
    stop_reason = models.CharField(max_length=24, blank=True, default="")
    stop_detail = models.TextField(blank=True, default="")
    title = models.CharField(max_length=200, blank=True, default="")  # first line of the input, shortened
    sealed_input = models.BinaryField()
    sealed_result = models.BinaryField(null=True)
    topic_source = models.CharField(max_length=200, blank=True, default="")
    metadata = models.JSONField(default=dict)
    # Where it came from among other programs' work; see console/tracing.py. Never shown.
    trace_context = models.CharField(max_length=600, blank=True, default="", db_default="")
    request_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    started_by_id = models.UUIDField(null=True)  # by value: the starter never approves the run
    started_by_name = models.CharField(max_length=200, default="")
    retry_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="retries")
    # Of a fork: the run it was forked from, the number (seq) of that run's step that was done anew, and what was edited.
    fork_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="forks", db_index=False)
    forked_at = models.PositiveIntegerField(null=True)
    fork_edited = models.CharField(max_length=8, blank=True, default="")  # "", input, answer
    # Set in a run that only tests its revision: no tool does anything in it, and nobody is asked. See smoke.py.
    smoke_test = models.ForeignKey(
        "workflows.SmokeTest", null=True, on_delete=models.PROTECT, related_name="runs", db_index=False
    )
    smoke_case = models.CharField(max_length=80, blank=True, default="")
    # What a planted request stands in front of: nobody's work. The constraint below keeps every worker away; see decoys.py.
    probe = models.BooleanField(default=False, db_default=False)

    # Lease and wake-up: see actions.claim, renew, park, wake.
    token = models.BigIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    lease_owner = models.CharField(max_length=100, blank=True, default="")
    leased_at = models.DateTimeField(null=True)
    wake = models.BigIntegerField(default=0)
    wake_at = models.DateTimeField(null=True)  # the sweeper makes a waiting run ready at this time
    ready_at = models.DateTimeField(null=True)  # since when it is queued: queue time, and the sweeper's order
    lost_leases = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    limits = models.JSONField(default=dict)  # what holds for this run: tenant's, workflow's and revision's together
    oversight = models.JSONField(null=True)  # what holds for this run; null, in older ones: what its revision says
    contract = models.PositiveIntegerField(default=0)  # the behaviour contract it began under; 0: none, or a trial
    deadline_s = models.FloatField(null=True)  # machine time allowed, seconds; a person's waiting does not count

    # Totals, written at each park and at the end.
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)  # US dollars
    unpriced_steps = models.PositiveIntegerField(default=0)
    broken_off_cost = models.DecimalField(max_digits=14, decimal_places=6, default=0)  # US dollars; see spending.py
    queue_s = models.FloatField(default=0)
    model_s = models.FloatField(default=0)
    tool_s = models.FloatField(default=0)
    waiting_s = models.FloatField(default=0)  # for a person
    active_s = models.FloatField(default=0)  # held by a worker: what deadline_s limits
    resume_s = models.FloatField(default=0, db_default=0)  # of that, until a worker that took it up again was live
    waiting_since = models.DateTimeField(null=True)

    journal_version = models.PositiveSmallIntegerField(default=1)
    autogen_version = models.CharField(max_length=20, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    changed = ChangedField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="run_in_tenant"),
            models.CheckConstraint(condition=~models.Q(probe=True) | INERT, name="probe_is_inert"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="run_list"),
            models.Index(fields=["tenant", "status", "-created_at"], name="run_by_status"),
            models.Index(fields=["tenant", "stop_reason", "-created_at", "-id"], name="run_by_reason"),
            # What ended in an hour or a day: the runs behind a figure.
            models.Index(fields=["tenant", "-ended_at"], name="run_ended", condition=models.Q(ended_at__isnull=False)),
            models.Index(fields=["ready_at"], name="run_ready", condition=models.Q(status="queued")),
            models.Index(fields=["lease_until"], name="run_leased", condition=models.Q(status="running")),
            models.Index(fields=["wake_at"], name="run_wake", condition=models.Q(wake_at__isnull=False)),
            models.Index(fields=["ended_at"], name="run_over", condition=models.Q(ended_at__isnull=False)),
            models.Index(fields=["waiting_since"], name="run_parked", condition=models.Q(waiting_since__isnull=False)),
            models.Index(fields=["smoke_test"], name="run_smoke", condition=models.Q(smoke_test__isnull=False)),
            models.Index(fields=["fork_of"], name="run_fork", condition=models.Q(fork_of__isnull=False)),
            models.Index(fields=["changed", "id"], name="run_changed"),
        ]

    def __str__(self) -> str:
        return f"r-{self.id.hex[:6]}"

    @property
    def short(self) -> str:
        """The id that people read."""
        return f"r-{self.id.hex[:6]}"

    @property
    def body(self) -> dict[str, Any]:
        """What this run is governed by: its revision's body, with the oversight that held when it started.

        The revision's own object where nothing fell back; else a shallow copy, made once: rules and team stay themselves.
        """
        body: dict[str, Any] = self.revision.body
        if self.oversight is None or self.oversight == (body.get("oversight") or {}):
            return body
        known: tuple[Any, dict[str, Any]] | None = self.__dict__.get("_governed")
        if known is None or known[0] is not body:
            known = self.__dict__["_governed"] = (body, {**body, "oversight": self.oversight})
        return known[1]


ROWS = Rows(Run)  # for statements that are written by hand


class SpendDay(models.Model):
    """What a tenant has spent on models on a day (UTC), in US dollars, and what is put aside for calls under way.

    There is a row from the first call on under a limit of money a day; it begins with what was spent until then.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    day = models.DateField()
    spent = models.DecimalField(max_digits=16, decimal_places=6, default=0)
    reserved = models.DecimalField(max_digits=16, decimal_places=6, default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="spend_of_day")]


class Reservation(models.Model):
    """Money put aside for one model call. It goes when the call is settled; what a dead worker leaves is charged."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    day = models.DateField()
    amount = models.DecimalField(max_digits=16, decimal_places=6)
    token = models.BigIntegerField()  # of the worker that made it
    at = models.DateTimeField(auto_now_add=True)


class LedgerEntry(models.Model):
    """A deed that is done once in its scope, by a tool that names it; see ledger.py. ``run`` and ``step`` have it now."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    scope = models.CharField(max_length=220)  # "run:<the first run of its retries>" or "source:<topic source>"
    action = models.CharField(max_length=200)
    tool = models.CharField(max_length=200)
    version = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)  # of the arguments
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="+", db_constraint=False)
    step = models.CharField(max_length=300)  # its scope in the run's journal
    n = models.PositiveIntegerField()
    status = models.CharField(max_length=10)  # begun, done, failed, unknown
    sealed_result = models.BinaryField(null=True)
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "scope", "action"], name="deed_once")]

    def __str__(self) -> str:
        return f"{self.action}: {self.status}"


class TopicEvent(models.Model):
    """An event that was published on a topic, and what it was answered; see topics.py. Written once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    topic_type = models.CharField(max_length=100)
    event_id = models.CharField(max_length=200)
    source = models.CharField(max_length=200)
    digest = models.CharField(max_length=64)  # of source and data: the same id never stands for two things
    sealed_answer = models.BinaryField(null=True)  # the runs, and why others were refused; null only while it happens
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "topic_type", "event_id"], name="topic_event_once"),
        ]
        indexes = [models.Index(fields=["tenant", "-at", "-id"], name="topic_event_list")]

    def __str__(self) -> str:
        return f"{self.topic_type} {self.event_id}"


class Step(models.Model):
    """The permanent facts of one recorded effect. ``seq`` orders what began, ``settled`` what ended; one dense
    counter per run feeds both, so replay hands results back in exactly the order in which they were recorded."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    # The wall's key (tenant_id, run_id) is the constraint, and (run_id, seq) the index: a step is written often.
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps", db_constraint=False, db_index=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    seq = models.PositiveIntegerField()
    settled = models.PositiveIntegerField(null=True)
    scope = models.CharField(max_length=300)
    n = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    status = models.CharField(max_length=10)
    safety = models.CharField(max_length=12, blank=True, default="")
    name = models.CharField(max_length=200, blank=True, default="")  # tool or model name
    agent = models.CharField(max_length=200, blank=True, default="")
    digest = models.CharField(max_length=64)
    key = models.CharField(max_length=200, blank=True, default="")  # idempotency key
    verdict = models.JSONField(null=True)
    attempts = models.JSONField(default=list)
    usage = models.JSONField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=6, null=True)  # US dollars; null: unpriced
    priced_by = models.CharField(max_length=100, blank=True, default="", db_default="")  # whose prices; "": unpriced
    inherited = models.BooleanField(default=False)  # copied from the run that this one retries or forks
    started_at = models.DateTimeField()
    first_token_at = models.DateTimeField(null=True)  # of the try that answered, where it was streamed
    ended_at = models.DateTimeField(null=True)
    token = models.BigIntegerField(default=0)
    worker = models.CharField(
        max_length=100, blank=True, default="", db_default=""
    )  # who began it; of what is more than reading

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "scope", "n"], name="step_identity"),
            models.UniqueConstraint(fields=["run", "settled"], name="step_settled"),
        ]
        indexes = [models.Index(fields=["tenant", "run"], name="step_in_doubt", condition=models.Q(status="in_doubt"))]


class StepPayload(models.Model):
    """What a step said: erasable, sealed with the tenant's key."""

    pk = models.CompositePrimaryKey("run_id", "seq")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_constraint=False, db_index=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    seq = models.PositiveIntegerField()
    request = models.BinaryField()
    result = models.BinaryField(null=True)
    evidence = models.BinaryField(null=True)  # a late outcome, under a stale token; see evidence.py
    evidence_began = models.DateTimeField(null=True)  # when the try began that it speaks of
    evidence_certain = models.BooleanField(default=False, db_default=False)  # it says what came of it


class FeedTopic(models.Model):
    """The last sequence number of a topic; its row lock orders the events of one topic."""

    name = models.CharField(max_length=80, primary_key=True)  # "run:<uuid>" or "queue:<tenant uuid>"
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    last_seq = models.BigIntegerField(default=0)


class FeedEvent(models.Model):
    """What a screen is told, in order. Messages of a run are events of kind "message" with a dense ``index``.

    A row may hold several events: then ``seq`` is the number of its last, ``at`` the time of its first, and where there
    are messages among them, ``kind`` and ``index`` are the last one's. See told.py.
    """

    pk = models.CompositePrimaryKey("topic", "seq")
    topic = models.CharField(max_length=80)
    seq = models.BigIntegerField()
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    kind = models.CharField(max_length=20)  # message, step, status, request
    index = models.IntegerField(null=True)  # of a message: its place; of a step: its seq in the journal
    sealed = models.BinaryField()  # JSON payload; of a step, whose facts are in the journal, empty
    at = models.DateTimeField()
    many = models.PositiveSmallIntegerField(default=1, db_default=1)  # events in this row

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["topic", "index"], condition=models.Q(kind="message"), name="feed_message_once"
            )
        ]
