from datetime import date

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall
from telemetry.partitions import CreatePartitioned, Partitions


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0005_first_password"),
        ("runs", "0010_changed"),
        ("approvals", "0007_changed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cursor",
            fields=[
                ("source", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("changed", models.BigIntegerField(default=0)),
                ("last_id", models.CharField(blank=True, default="", max_length=40)),
                ("at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "telemetry_cursor",
            },
        ),
        migrations.CreateModel(
            name="Retention",
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
                ("hours_kept", models.PositiveIntegerField()),
                ("days_kept", models.PositiveIntegerField()),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(default="", max_length=200)),
            ],
        ),
        CreatePartitioned(
            name="ApprovalRollup",
            fields=[
                ("grain", models.CharField(max_length=1)),
                ("cut", models.CharField(max_length=10)),
                ("workflow_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("key", models.CharField(max_length=200)),
                ("part", models.CharField(max_length=24)),
                ("histograms", models.JSONField(default=dict)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant",
                        "grain",
                        "cut",
                        "workflow_id",
                        "at",
                        "key",
                        "part",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("raised", models.BigIntegerField(default=0)),
                ("opened", models.BigIntegerField(default=0)),
                ("escalated", models.BigIntegerField(default=0)),
                ("decided", models.BigIntegerField(default=0)),
                ("expired", models.BigIntegerField(default=0)),
                ("moot", models.BigIntegerField(default=0)),
                ("unopened", models.BigIntegerField(default=0)),
                ("wait_ms", models.BigIntegerField(default=0)),
                ("odd", models.BigIntegerField(default=0)),
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
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="RequestFact",
            fields=[
                ("request_id", models.UUIDField(primary_key=True, serialize=False)),
                ("said", models.JSONField(default=list)),
                ("clamped", models.JSONField(default=dict)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="RunFact",
            fields=[
                ("run_id", models.UUIDField(primary_key=True, serialize=False)),
                ("seen", models.PositiveIntegerField(default=0)),
                ("said", models.JSONField(default=list)),
                ("clamped", models.JSONField(default=dict)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
        ),
        CreatePartitioned(
            name="RunRollup",
            fields=[
                ("grain", models.CharField(max_length=1)),
                ("cut", models.CharField(max_length=10)),
                ("workflow_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("key", models.CharField(max_length=200)),
                ("part", models.CharField(max_length=24)),
                ("histograms", models.JSONField(default=dict)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant",
                        "grain",
                        "cut",
                        "workflow_id",
                        "at",
                        "key",
                        "part",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("started", models.BigIntegerField(default=0)),
                ("retries", models.BigIntegerField(default=0)),
                ("forks", models.BigIntegerField(default=0)),
                ("ended", models.BigIntegerField(default=0)),
                ("completed", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("abnormal", models.BigIntegerField(default=0)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("cost_micros", models.BigIntegerField(default=0)),
                ("broken_off_micros", models.BigIntegerField(default=0)),
                ("unpriced", models.BigIntegerField(default=0)),
                ("queue_ms", models.BigIntegerField(default=0)),
                ("model_ms", models.BigIntegerField(default=0)),
                ("tool_ms", models.BigIntegerField(default=0)),
                ("waiting_ms", models.BigIntegerField(default=0)),
                ("resume_ms", models.BigIntegerField(default=0)),
                ("active_ms", models.BigIntegerField(default=0)),
                ("total_ms", models.BigIntegerField(default=0)),
                ("odd", models.BigIntegerField(default=0)),
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
            options={
                "abstract": False,
            },
        ),
        CreatePartitioned(
            name="StepRollup",
            fields=[
                ("grain", models.CharField(max_length=1)),
                ("cut", models.CharField(max_length=10)),
                ("workflow_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("key", models.CharField(max_length=200)),
                ("part", models.CharField(max_length=24)),
                ("histograms", models.JSONField(default=dict)),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant",
                        "grain",
                        "cut",
                        "workflow_id",
                        "at",
                        "key",
                        "part",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("calls", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("again", models.BigIntegerField(default=0)),
                ("fallbacks", models.BigIntegerField(default=0)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("cached_tokens", models.BigIntegerField(default=0)),
                ("reasoning_tokens", models.BigIntegerField(default=0)),
                ("cost_micros", models.BigIntegerField(default=0)),
                ("unpriced", models.BigIntegerField(default=0)),
                ("duration_ms", models.BigIntegerField(default=0)),
                ("odd", models.BigIntegerField(default=0)),
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
            options={
                "abstract": False,
            },
        ),
        Wall("RunFact"),
        Wall("RequestFact"),
        Wall("Retention"),
        Wall("RunRollup"),
        Wall("StepRollup"),
        Wall("ApprovalRollup"),
        Partitions(date(2026, 11, 1)),
    ]
