import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("telemetry", "0001_initial"),
        ("tenants", "0006_display"),
    ]

    operations = [
        migrations.CreateModel(
            name="Watch",
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
                ("checked_at", models.DateTimeField(null=True)),
                ("hour_from", models.DateTimeField(null=True)),
                ("told", models.PositiveIntegerField(default=0)),
                ("digested", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="AlertRule",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=80)),
                ("ready", models.CharField(blank=True, default="", max_length=30)),
                ("figure", models.CharField(max_length=40)),
                ("narrowed", models.JSONField(default=dict)),
                ("hours", models.PositiveSmallIntegerField()),
                (
                    "condition",
                    models.CharField(
                        choices=[("above", "Above"), ("below", "Below"), ("unusual", "Unusual")], max_length=8
                    ),
                ),
                ("threshold", models.FloatField(null=True)),
                ("weeks", models.PositiveSmallIntegerField(default=6)),
                ("least", models.PositiveIntegerField(default=0)),
                ("for_minutes", models.PositiveSmallIntegerField(default=0)),
                (
                    "severity",
                    models.CharField(
                        choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")], default="medium", max_length=6
                    ),
                ),
                ("remind_hours", models.PositiveSmallIntegerField(default=24)),
                ("active", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(max_length=200)),
                ("turn", models.PositiveBigIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("ok", "Ok"), ("pending", "Pending"), ("firing", "Firing"), ("no_data", "No Data")],
                        default="ok",
                        max_length=7,
                    ),
                ),
                ("pending_since", models.DateTimeField(null=True)),
                ("clear_since", models.DateTimeField(null=True)),
                ("flapping", models.BooleanField(default=False)),
                ("checked_at", models.DateTimeField(null=True)),
                ("value", models.FloatField(null=True)),
                ("events", models.BigIntegerField(default=0)),
                ("low", models.FloatField(null=True)),
                ("high", models.FloatField(null=True)),
                ("usual", models.JSONField(default=dict)),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "name"), name="alert_rule_name"),
                    models.UniqueConstraint(
                        condition=models.Q(("ready", ""), _negated=True),
                        fields=("tenant", "ready"),
                        name="alert_rule_ready",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Incident",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rule_id", models.UUIDField()),
                ("name", models.CharField(max_length=80)),
                ("figure", models.CharField(max_length=40)),
                ("narrowed", models.JSONField(default=dict)),
                (
                    "severity",
                    models.CharField(choices=[("low", "Low"), ("medium", "Medium"), ("high", "High")], max_length=6),
                ),
                ("remind_hours", models.PositiveSmallIntegerField()),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_because", models.CharField(blank=True, default="", max_length=200)),
                ("first", models.FloatField()),
                ("worst", models.FloatField()),
                ("latest", models.FloatField()),
                ("low", models.FloatField(null=True)),
                ("high", models.FloatField(null=True)),
                ("because", models.CharField(blank=True, default="", max_length=400)),
                ("window_start", models.DateTimeField()),
                ("window_end", models.DateTimeField()),
                ("silenced", models.BooleanField(default=False)),
                ("flapping", models.BooleanField(default=False)),
                ("hushed", models.BooleanField(default=False)),
                ("told_at", models.DateTimeField(null=True)),
                ("reminded_at", models.DateTimeField(null=True)),
                ("recovery_told_at", models.DateTimeField(null=True)),
                ("in_digest", models.BooleanField(default=False)),
                ("notices", models.JSONField(default=list)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("ended_at__isnull", True)), fields=["tenant"], name="alert_open"),
                    models.Index(fields=["tenant", "-created_at", "-id"], name="alert_history"),
                    models.Index(fields=["tenant", "rule_id", "-created_at"], name="alert_of_rule"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("tenant", "rule_id"),
                        name="alert_one_open",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Silence",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("rule_id", models.UUIDField(null=True)),
                ("reason", models.CharField(max_length=300)),
                ("until", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=200)),
                ("ended_by", models.CharField(blank=True, default="", max_length=200)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "-until"], name="alert_silences")],
            },
        ),
        Wall("Watch"),
        Wall("AlertRule"),
        Wall("Incident"),
        Wall("Silence"),
    ]
