import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0001_initial"),
        ("workflows", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="FeedTopic",
            fields=[
                ("name", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("last_seq", models.BigIntegerField(default=0)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("waiting", "Waiting"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=12,
                    ),
                ),
                ("stop_reason", models.CharField(blank=True, default="", max_length=24)),
                ("stop_detail", models.TextField(blank=True, default="")),
                ("title", models.CharField(blank=True, default="", max_length=200)),
                ("sealed_input", models.BinaryField()),
                ("sealed_result", models.BinaryField(null=True)),
                ("topic_source", models.CharField(blank=True, default="", max_length=200)),
                ("metadata", models.JSONField(default=dict)),
                ("started_by_id", models.UUIDField(null=True)),
                ("started_by_name", models.CharField(default="", max_length=200)),
                ("token", models.BigIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("lease_owner", models.CharField(blank=True, default="", max_length=100)),
                ("leased_at", models.DateTimeField(null=True)),
                ("wake", models.BigIntegerField(default=0)),
                ("wake_at", models.DateTimeField(null=True)),
                ("ready_at", models.DateTimeField(null=True)),
                ("lost_leases", models.PositiveSmallIntegerField(default=0)),
                ("cancel_requested", models.BooleanField(default=False)),
                ("deadline_s", models.FloatField(null=True)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("cost", models.DecimalField(decimal_places=6, default=0, max_digits=14)),
                ("unpriced_steps", models.PositiveIntegerField(default=0)),
                ("queue_s", models.FloatField(default=0)),
                ("model_s", models.FloatField(default=0)),
                ("tool_s", models.FloatField(default=0)),
                ("waiting_s", models.FloatField(default=0)),
                ("active_s", models.FloatField(default=0)),
                ("waiting_since", models.DateTimeField(null=True)),
                ("journal_version", models.PositiveSmallIntegerField(default=1)),
                ("autogen_version", models.CharField(default="", max_length=20)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "retry_of",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="retries", to="runs.run"
                    ),
                ),
                (
                    "revision",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="workflows.revision"
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
                (
                    "workflow",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="runs", to="workflows.workflow"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Step",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("seq", models.PositiveIntegerField()),
                ("settled", models.PositiveIntegerField(null=True)),
                ("scope", models.CharField(max_length=300)),
                ("n", models.PositiveIntegerField()),
                ("kind", models.CharField(max_length=10)),
                ("status", models.CharField(max_length=10)),
                ("safety", models.CharField(blank=True, default="", max_length=12)),
                ("name", models.CharField(blank=True, default="", max_length=200)),
                ("agent", models.CharField(blank=True, default="", max_length=200)),
                ("digest", models.CharField(max_length=64)),
                ("key", models.CharField(blank=True, default="", max_length=200)),
                ("verdict", models.JSONField(null=True)),
                ("attempts", models.JSONField(default=list)),
                ("usage", models.JSONField(null=True)),
                ("cost", models.DecimalField(decimal_places=6, max_digits=14, null=True)),
                ("inherited", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("token", models.BigIntegerField(default=0)),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="runs.run",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StepPayload",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("seq", models.PositiveIntegerField()),
                ("request", models.BinaryField()),
                ("result", models.BinaryField(null=True)),
                ("evidence", models.BinaryField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, to="runs.run"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        to="tenants.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FeedEvent",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "topic", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("topic", models.CharField(max_length=80)),
                ("seq", models.BigIntegerField()),
                ("kind", models.CharField(max_length=20)),
                ("index", models.IntegerField(null=True)),
                ("sealed", models.BinaryField()),
                ("at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("kind", "message")), fields=("topic", "index"), name="feed_message_once"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["tenant", "-created_at", "-id"], name="run_list"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["tenant", "status", "-created_at"], name="run_by_status"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("status", "queued")), fields=["ready_at"], name="run_ready"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("status", "running")), fields=["lease_until"], name="run_leased"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("wake_at__isnull", False)), fields=["wake_at"], name="run_wake"),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="run_in_tenant"),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(fields=("run", "scope", "n"), name="step_identity"),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.UniqueConstraint(fields=("run", "settled"), name="step_settled"),
        ),
        Wall("Run"),
        Wall("Step"),
        Wall("StepPayload"),
        Wall("FeedTopic"),
        Wall("FeedEvent"),
    ]
