"""Rollups, what each run and request has contributed to them, and how far the journal has been read.

All of it is derived: it can be deleted and read again from the journal (``manage.py verify_rollups --repair``).
"""

import uuid
from typing import Any

from django.db import models

from telemetry.alerts import models as alerts  # noqa: F401 - Django looks for an app's tables here

PLATFORM = uuid.UUID(int=0)  # the tenant of rows that sum all tenants: no tenant has this id
ALL = uuid.UUID(int=0)  # the workflow of rows that sum all workflows
EVERY_PART = "*"  # the part of rows that sum all parts: no stop reason, kind or verdict has this name
HOUR, DAY = "h", "d"


class Cursor(models.Model):
    """How far the journal was read: rows of ``source`` with (changed, id) up to here are in. One row a source."""

    source = models.CharField(max_length=20, primary_key=True)  # run, request, vote, sighting
    changed = models.BigIntegerField(default=0)  # a transaction's number (xid8); of several: all before it are in
    last_id = models.CharField(max_length=40, blank=True, default="")  # within that transaction; see reading.py
    at = models.DateTimeField(null=True)  # when it last moved

    class Meta:
        db_table = "telemetry_cursor"


class RunFact(models.Model):
    """What a run has contributed so far, other than by its steps, which are in up to ``seen`` and never change."""

    run_id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    seen = models.PositiveIntegerField(default=0)  # the highest number of its journal whose end is in
    said = models.JSONField(default=list)  # facts.Part by facts.Part, as it was added: it is taken back so exactly
    clamped = models.JSONField(default=dict)  # times that lay in the future when they were read: what was taken instead


class RequestFact(models.Model):
    """What an approval request has contributed so far; ``said`` and ``clamped`` as of a run."""

    request_id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    said = models.JSONField(default=list)
    clamped = models.JSONField(default=dict)


class DeciderDay(models.Model):
    """What one person's decisions of a day (UTC) come to; see decider_days.py."""

    pk: Any = models.CompositePrimaryKey("tenant", "who", "day")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    who = models.UUIDField()  # by value
    day = models.DateField()
    said = models.JSONField(null=True)  # as deciders.Looked.plain gives it; null: to be made (anew)

    class Meta:
        db_table = "telemetry_deciderday"
        indexes = [
            models.Index(fields=["tenant", "day"], name="decider_days"),
            models.Index(fields=["day"], name="decider_days_marked", condition=models.Q(said__isnull=True)),
        ]


class Retention(models.Model):
    """How long a tenant's figures are kept. No row: DEFAULT_HOURS_KEPT and DEFAULT_DAYS_KEPT; see retention.py."""

    tenant = models.OneToOneField("tenants.Tenant", on_delete=models.CASCADE, primary_key=True, related_name="+")
    hours_kept = models.PositiveIntegerField()  # days for which hourly figures are kept
    days_kept = models.PositiveIntegerField()  # days for which daily figures are kept
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.CharField(max_length=200, default="")


class Rollup(models.Model):
    """A sum over one hour or day (UTC). Unique by all of ``KEY``. Every measure is a whole number, so that adding and
    taking away are exact: counts, milliseconds (``_ms``), millionths of a US dollar (``_micros``), tokens.

    ``cut`` names the dimension that ``key`` is a value of ("all": none, and the key is empty); ``workflow`` is ALL for
    the sum of all. ``part`` splits what is split on every chart: stop reason, kind of step, outcome of a request; it is
    EVERY_PART for their sum, which is what most questions read. Histograms are kept as histogram.pack gives them.
    """

    KEY = ("tenant_id", "grain", "cut", "workflow_id", "at", "key", "part")

    pk: Any = models.CompositePrimaryKey("tenant", "grain", "cut", "workflow_id", "at", "key", "part")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_constraint=False, db_index=False)
    grain = models.CharField(max_length=1)
    cut = models.CharField(max_length=10)
    workflow_id = models.UUIDField()  # by value
    at = models.DateTimeField()  # when the hour or day begins
    key = models.CharField(max_length=200)
    part = models.CharField(max_length=24)

    class Meta:
        abstract = True


def _whole(**more: Any) -> models.BigIntegerField:
    return models.BigIntegerField(default=0, **more)


def _histogram() -> models.BinaryField:
    return models.BinaryField(null=True)


class RunRollup(Rollup):
    """Runs. Cuts: all, revision, topic. ``part`` is the stop reason of runs by the hour in which they ended, and
    empty for what is counted in the hour in which they were made. Histograms: machine, human, queue, total."""

    pk = models.CompositePrimaryKey("tenant", "grain", "cut", "workflow_id", "at", "key", "part")
    started = _whole()
    retries = _whole()  # of those started
    forks = _whole()
    ended = _whole()
    completed = _whole()
    failed = _whole()
    cancelled = _whole()
    abnormal = _whole()  # ended for a reason that somebody should look at
    input_tokens = _whole()  # of the runs that ended, over all their time
    output_tokens = _whole()
    cost_micros = _whole()
    broken_off_micros = _whole()  # reckoned for calls that were broken off, which no step tells of
    unpriced = _whole()  # steps of them with usage and no price
    queue_ms = _whole()
    model_ms = _whole()
    tool_ms = _whole()
    waiting_ms = _whole()  # for a person
    resume_ms = _whole()
    active_ms = _whole()
    total_ms = _whole()
    odd = _whole()  # runs with a time or a number that cannot be, counted as facts.py says
    machine = _histogram()
    human = _histogram()
    queue = _histogram()
    total = _histogram()

    MEASURES = (
        "started", "retries", "forks", "ended", "completed", "failed", "cancelled", "abnormal", "input_tokens",
        "output_tokens", "cost_micros", "broken_off_micros", "unpriced", "queue_ms", "model_ms", "tool_ms", "waiting_ms",
        "resume_ms", "active_ms", "total_ms", "odd",
    )  # fmt: skip
    HISTOGRAMS = ("machine", "human", "queue", "total")


class StepRollup(Rollup):
    """Steps, by the hour in which they ended. Cuts: all, revision, agent, model, tool, topic. ``part``: model, tool, gate.
    Histograms: duration, first_token."""

    pk = models.CompositePrimaryKey("tenant", "grain", "cut", "workflow_id", "at", "key", "part")
    calls = _whole()
    failed = _whole()
    again = _whole()  # tries beyond the first of their step
    fallbacks = _whole()  # answered by another model than the one asked first
    input_tokens = _whole()
    output_tokens = _whole()
    cached_tokens = _whole()  # of the input
    reasoning_tokens = _whole()  # of the output
    cost_micros = _whole()
    unpriced = _whole()  # calls with usage and no price: never counted as free
    duration_ms = _whole()
    odd = _whole()
    duration = _histogram()
    first_token = _histogram()

    MEASURES = (
        "calls", "failed", "again", "fallbacks", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens",
        "cost_micros", "unpriced", "duration_ms", "odd",
    )  # fmt: skip
    HISTOGRAMS = ("duration", "first_token")


class ApprovalRollup(Rollup):
    """Approval requests. Cuts: all, rule, group, reviewer, tool, agent. ``part``: the verdict of what was decided, or
    expired or moot, by the hour of that; empty for what is counted when it was raised, opened or escalated.
    Histograms: to_open, to_decide (from opening), wait (from raising). Of a reviewer: their own opening and votes."""

    pk = models.CompositePrimaryKey("tenant", "grain", "cut", "workflow_id", "at", "key", "part")
    raised = _whole()
    opened = _whole()
    escalated = _whole()
    decided = _whole()  # by people
    expired = _whole()
    moot = _whole()
    unopened = _whole()  # of those decided by people: nobody who voted had opened it
    wait_ms = _whole()  # of those decided or expired
    odd = _whole()
    to_open = _histogram()
    to_decide = _histogram()
    wait = _histogram()

    MEASURES = ("raised", "opened", "escalated", "decided", "expired", "moot", "unopened", "wait_ms", "odd")
    HISTOGRAMS = ("to_open", "to_decide", "wait")


ROLLUPS: tuple[Any, ...] = (RunRollup, StepRollup, ApprovalRollup)
