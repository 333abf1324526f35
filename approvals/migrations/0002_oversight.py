import datetime
import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Reference, Wall

# Requests that wait while this is installed keep what they were promised. The owner of the tables is held behind the
# wall like everybody else, so it is lifted for the length of this transaction.
_CARRY_OVER = """
ALTER TABLE approvals_approvalrequest NO FORCE ROW LEVEL SECURITY;
ALTER TABLE runs_run NO FORCE ROW LEVEL SECURITY;
UPDATE approvals_approvalrequest q SET
    started_by_id = r.started_by_id,
    pressing = CASE q.risk WHEN 'high' THEN 0 WHEN 'medium' THEN 1 WHEN 'low' THEN 2 ELSE 3 END,
    falls = COALESCE(q.due_at, q.falls),
    next_at = q.due_at,
    agenda = CASE WHEN q.due_at IS NULL THEN '[]'::jsonb
        ELSE jsonb_build_array(jsonb_build_object('at', to_jsonb(q.due_at), 'do', 'expire')) END
FROM runs_run r WHERE r.id = q.run_id;
ALTER TABLE approvals_approvalrequest FORCE ROW LEVEL SECURITY;
ALTER TABLE runs_run FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_initial"),
        ("runs", "0005_events"),
        ("tenants", "0003_queue"),
        ("workflows", "0007_smoke"),
    ]

    operations = [
        migrations.CreateModel(
            name="Calendar",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("zone", models.CharField(max_length=60)),
                ("days", models.JSONField()),
                ("holidays", models.JSONField(default=list)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(default="", max_length=200)),
            ],
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("author_id", models.UUIDField()),
                ("author_name", models.CharField(max_length=200)),
                ("sealed", models.BinaryField()),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("owner_id", models.UUIDField()),
                ("name", models.CharField(max_length=60)),
                ("filters", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="Snooze",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("owner_id", models.UUIDField()),
                ("until", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="StandingApproval",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("request_id", models.UUIDField()),
                ("tool", models.CharField(max_length=200)),
                ("agent", models.CharField(blank=True, default="", max_length=200)),
                ("rule_name", models.CharField(blank=True, default="", max_length=100)),
                ("digest", models.CharField(blank=True, default="", max_length=64)),
                ("reason", models.TextField()),
                ("owner_id", models.UUIDField()),
                ("owner_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoked_by_name", models.CharField(blank=True, default="", max_length=200)),
            ],
        ),
        migrations.RemoveIndex(
            model_name="approvalrequest",
            name="request_due",
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="agenda",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="blocks",
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="claimed_by_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="claimed_by_name",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="claimed_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="falls",
            field=models.DateTimeField(default=datetime.datetime(9999, 1, 1, 0, 0, tzinfo=datetime.UTC)),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="group",
            field=models.CharField(blank=True, default="", max_length=100),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="next_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="pressing",
            field=models.PositiveSmallIntegerField(default=3),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="second_for_edit",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="standing_allowed",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="started_by_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="verdicts",
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name="comment",
            name="request",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="comments", to="approvals.approvalrequest"
            ),
        ),
        migrations.AddField(
            model_name="comment",
            name="tenant",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="savedview",
            name="tenant",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="snooze",
            name="request",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="snoozes", to="approvals.approvalrequest"
            ),
        ),
        migrations.AddField(
            model_name="snooze",
            name="tenant",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="standingapproval",
            name="run",
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, to="runs.run"),
        ),
        migrations.AddField(
            model_name="standingapproval",
            name="tenant",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="standingapproval",
            name="workflow",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="workflows.workflow"),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="standing",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="uses",
                to="approvals.standingapproval",
            ),
        ),
        migrations.RunSQL(_CARRY_OVER, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("next_at__isnull", False), ("status", "pending")),
                fields=["next_at"],
                name="request_agenda",
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                models.F("tenant"),
                models.F("pressing"),
                models.F("falls"),
                models.OrderBy(models.F("blocks"), descending=True),
                models.F("created_at"),
                models.F("id"),
                condition=models.Q(("status", "pending")),
                name="request_order",
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                models.F("tenant"),
                models.F("group"),
                models.F("pressing"),
                models.F("falls"),
                models.OrderBy(models.F("blocks"), descending=True),
                models.F("created_at"),
                models.F("id"),
                condition=models.Q(("status", "pending")),
                name="request_group_order",
            ),
        ),
        migrations.AddIndex(
            model_name="comment",
            index=models.Index(fields=["tenant", "request", "at"], name="comments_of_request"),
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(fields=("tenant", "owner_id", "name"), name="view_name"),
        ),
        migrations.AddConstraint(
            model_name="snooze",
            constraint=models.UniqueConstraint(fields=("tenant", "request", "owner_id"), name="one_snooze_each"),
        ),
        migrations.AddIndex(
            model_name="standingapproval",
            index=models.Index(fields=["tenant", "workflow", "tool"], name="standing_scope"),
        ),
        migrations.AddConstraint(
            model_name="standingapproval",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="standing_in_tenant"),
        ),
        Wall("StandingApproval"),
        Wall("Comment"),
        Wall("SavedView"),
        Wall("Snooze"),
        Wall("Calendar"),
        Reference("ApprovalRequest", {"standing_id": "approvals.StandingApproval"}),
    ]
