"""Workflows and their immutable revisions."""

import uuid

from django.db import models


class Workflow(models.Model):
    """What a tenant runs: a name, and the revision that new runs take."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="workflows")
    slug = models.SlugField(max_length=80)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, default="")
    limits = models.JSONField(default=dict)  # of every run of it; see limits.py
    queue = models.CharField(max_length=60, blank=True, default="")  # of its runs; blank: the tenant's
    current = models.ForeignKey("Revision", null=True, on_delete=models.PROTECT, related_name="+")
    contract = models.PositiveIntegerField(default=0)  # number of its last behaviour contract; 0: none is kept yet
    wording = models.PositiveSmallIntegerField(default=0)  # of that contract; see behaviour.WORDING
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "slug"], name="workflow_slug"),
            models.UniqueConstraint(fields=["tenant", "id"], name="workflow_in_tenant"),
        ]
        indexes = [models.Index(fields=["wording"], name="workflow_wording")]

    def __str__(self) -> str:
        return self.slug


class Revision(models.Model):
    """An immutable version of a workflow; ``body`` is the normalised document of DESIGN.md section 6.

    The team in it carries no keys and no source code: each tool is pinned to a catalogue name and version.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    body = models.JSONField()
    author_name = models.CharField(max_length=200, default="")
    reason = models.CharField(max_length=500, blank=True, default="")  # why it was made, in its author's words
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "workflow", "number"], name="revision_number"),
            models.UniqueConstraint(fields=["tenant", "id"], name="revision_in_tenant"),
        ]

    def __str__(self) -> str:
        return f"revision {self.number}"


class Promotion(models.Model):
    """When new runs began to take another revision, by whom and why. Written once, never changed."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="promotions")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    previous = models.ForeignKey(Revision, null=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=12)  # made, promoted, rolled_back
    reason = models.CharField(max_length=500, blank=True, default="")
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "workflow", "-id"], name="promotion_of_workflow")]

    def __str__(self) -> str:
        return f"{self.kind} {self.revision}"


class Tool(models.Model):
    """A version of a tool that an admin registered: an HTTP tool, an MCP server or a code executor. Immutable but for
    ``revoked_at``. A row of kind "python" stands for a tool of the code's own that the tenant has switched off."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    name = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=8)  # http, mcp, code; python
    config = models.JSONField(default=dict)  # see registration.py
    sealed_secrets = models.BinaryField(null=True)  # headers, or environment: {name: value} as JSON
    author_name = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name", "version"], name="tool_version"),
            models.UniqueConstraint(fields=["tenant", "id"], name="tool_in_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"


class Rollout(models.Model):
    """A canary: a share of a workflow's new runs, or those of named topic sources, take another revision for a while.

    running --> promoted, rolled_back (both by itself, or by a person), or stopped (another revision became current).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="rollouts")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    baseline = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    share = models.PositiveSmallIntegerField(default=0)  # of 100 new runs
    sources = models.JSONField(default=list)  # topic sources whose runs always take it
    thresholds = models.JSONField(default=dict)  # see rollouts.py
    status = models.CharField(max_length=12, default="running")
    reason = models.CharField(max_length=500, blank=True, default="")  # why it ended
    figures = models.JSONField(default=dict)  # both revisions', as they were last looked at
    started_by = models.CharField(max_length=200)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "workflow"], condition=models.Q(status="running"), name="one_rollout_at_a_time"
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="rollout_in_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.revision} of {self.workflow}"


class SmokeSuite(models.Model):
    """What a workflow's smoke tests are: see smoke.py. Cases are sealed: their inputs may be taken from real runs."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="+", db_index=False)
    required = models.BooleanField(default=False)  # before new runs take a revision
    sealed_cases = models.BinaryField()
    digest = models.CharField(max_length=64)  # of the cases: what has passed others has not passed these
    updated_by = models.CharField(max_length=200)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "workflow"], name="smoke_suite_of_workflow")]

    def __str__(self) -> str:
        return f"smoke tests of {self.workflow_id}"


class SmokeTest(models.Model):
    """One revision, put through the cases of its workflow's suite as they were: running --> passed or failed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="smoke_tests")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    sealed_cases = models.BinaryField()
    digest = models.CharField(max_length=64)
    promote = models.BooleanField(default=False)  # when it passes
    status = models.CharField(max_length=8, default="running")
    sealed_outcomes = models.BinaryField(null=True)  # of each case: its name, its run, what was not as expected
    note = models.CharField(max_length=500, blank=True, default="")  # what became of the promotion
    started_by = models.CharField(max_length=200)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "revision"], condition=models.Q(status="running"), name="one_smoke_test_at_a_time"
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="smoke_test_in_tenant"),
        ]
        indexes = [models.Index(fields=["tenant", "workflow", "-started_at"], name="smoke_tests_of_workflow")]

    def __str__(self) -> str:
        return f"smoke test of {self.revision_id}"


class Waiver(models.Model):
    """Two admins' word that a team, or one stage of it, works without a review for a while: see waivers.py.

    proposed --consented--> in force --> expired, by its date alone; revoked from any of them, by any admin.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="waivers", db_index=False)
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")  # that it was written for
    stage = models.CharField(max_length=200, blank=True, default="")  # an agent's name; blank: the whole workflow
    risk_assessment = models.TextField()  # for the record: never changed, never erased
    assessed = models.JSONField(null=True)  # what it was written of, see assessed.py; null: before that was kept
    expires_at = models.DateTimeField()
    proposed_by_id = models.UUIDField()
    proposed_by_name = models.CharField(max_length=200)
    proposed_at = models.DateTimeField()
    consented_by_id = models.UUIDField(null=True)
    consented_by_name = models.CharField(max_length=200, blank=True, default="")
    consented_at = models.DateTimeField(null=True)
    revoked_by_id = models.UUIDField(null=True)
    revoked_by_name = models.CharField(max_length=200, blank=True, default="")
    revoked_at = models.DateTimeField(null=True)
    revoked_why = models.CharField(max_length=500, blank=True, default="")
    expiry_told_at = models.DateTimeField(null=True)  # when the record was told; what holds is said by the date alone

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "id"], name="waiver_in_tenant"),
            models.CheckConstraint(
                condition=models.Q(consented_by_id=None) | ~models.Q(consented_by_id=models.F("proposed_by_id")),
                name="waiver_of_two",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "workflow", "-proposed_at"], name="waivers_of_workflow"),
            models.Index(
                fields=["expires_at"],
                name="waiver_to_expire",
                condition=models.Q(consented_at__isnull=False, revoked_at=None, expiry_told_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"waiver {self.id}"


class BehaviourContract(models.Model):
    """What a team may do without a person, in one paragraph, from a time on: see contracts.py. Never changed."""

    id = models.BigAutoField(primary_key=True)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="contracts", db_index=False)
    number = models.PositiveIntegerField()
    text = models.TextField()
    sha256 = models.CharField(max_length=64)  # of the text as UTF-8, in hexadecimal
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="+")
    because = models.CharField(max_length=500)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "workflow", "number"], name="behaviour_contract_number"),
        ]

    def __str__(self) -> str:
        return f"version {self.number}"


class PriceList(models.Model):
    """A version of what models cost a tenant, before anybody else's list; see prices.py. Written once; the newest holds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    number = models.PositiveIntegerField()
    prices = models.JSONField()  # [{"model", "input", "output", "cached"}], checked; see price_actions.py
    author_name = models.CharField(max_length=200)
    reason = models.CharField(max_length=500, blank=True, default="")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="price_list_number")]

    def __str__(self) -> str:
        return f"prices {self.number}"
