import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0004_precedents"),
        ("tenants", "0003_queue"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Channel",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=60)),
                (
                    "kind",
                    models.CharField(
                        choices=[("email", "Email"), ("chat", "Chat"), ("webhook", "Webhook")], max_length=8
                    ),
                ),
                ("sealed_address", models.BinaryField()),
                ("place", models.CharField(max_length=300)),
                ("sealed_secrets", models.BinaryField(null=True)),
                ("previous_until", models.DateTimeField(null=True)),
                ("events", models.JSONField(default=list)),
                ("groups", models.JSONField(default=list)),
                ("workflows", models.JSONField(default=list)),
                ("risks", models.JSONField(default=list)),
                ("include_title", models.BooleanField(default=False)),
                ("active", models.BooleanField(default=True)),
                ("off_because", models.CharField(blank=True, default="", max_length=300)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("created_by", models.CharField(max_length=200)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(max_length=200)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("event", models.CharField(max_length=20)),
                ("request_id", models.UUIDField(null=True)),
                ("run_id", models.UUIDField(null=True)),
                ("facts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField()),
                ("spread_at", models.DateTimeField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("user_id", models.UUIDField(null=True)),
                ("lane", models.CharField(max_length=40)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("failed", "Failed"),
                            ("dead", "Dead"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0)),
                ("round", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField()),
                ("answered", models.PositiveSmallIntegerField(null=True)),
                ("sealed_body", models.BinaryField()),
                ("sealed_tries", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "channel",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="deliveries",
                        to="approvals.channel",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
                (
                    "notice",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="approvals.notice"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "wants",
                    models.CharField(
                        choices=[("off", "Off"), ("all", "All"), ("urgent", "Urgent")], default="off", max_length=6
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.UniqueConstraint(fields=("tenant", "name"), name="channel_name"),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="channel_in_tenant"),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                condition=models.Q(("spread_at__isnull", True)), fields=["created_at"], name="notice_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["created_at"], name="notice_age"),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="notice_in_tenant"),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(
                condition=models.Q(("status__in", ["pending", "failed"])), fields=["next_at"], name="delivery_due"
            ),
        ),
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["tenant", "channel", "-created_at", "-id"], name="delivery_log"),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="delivery_in_tenant"),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.UniqueConstraint(fields=("tenant", "user"), name="subscription_of_member"),
        ),
        Wall("Channel"),
        Wall("Notice"),
        Wall("Delivery"),
        Wall("Subscription"),
    ]
