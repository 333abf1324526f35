import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("runs", "0001_initial"),
        ("tenants", "0001_initial"),
        ("workflows", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ApprovalRequest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("scope", models.CharField(max_length=300)),
                ("n", models.PositiveIntegerField()),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("tool", "Tool"),
                            ("message", "Message"),
                            ("question", "Question"),
                            ("final", "Final"),
                            ("in_doubt", "In Doubt"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("decided", "Decided"),
                            ("expired", "Expired"),
                            ("moot", "Moot"),
                        ],
                        default="pending",
                        max_length=10,
                    ),
                ),
                ("agent", models.CharField(blank=True, default="", max_length=200)),
                ("tool", models.CharField(blank=True, default="", max_length=200)),
                ("risk", models.CharField(blank=True, default="", max_length=10)),
                ("title", models.CharField(max_length=300)),
                ("sealed_request", models.BinaryField()),
                ("digest", models.CharField(max_length=64)),
                ("reason", models.TextField(blank=True, default="")),
                ("rule", models.JSONField(null=True)),
                ("approvers", models.PositiveSmallIntegerField(default=1)),
                ("due_at", models.DateTimeField(null=True)),
                ("on_expiry", models.CharField(blank=True, default="", max_length=12)),
                ("escalated_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("verdict", models.CharField(blank=True, default="", max_length=12)),
                ("decided_by_id", models.UUIDField(null=True)),
                ("decided_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("sealed_decision", models.BinaryField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="requests", to="runs.run"
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
                ("workflow", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="workflows.workflow")),
            ],
        ),
        migrations.CreateModel(
            name="Sighting",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("viewer_id", models.UUIDField()),
                ("viewer_name", models.CharField(max_length=200)),
                ("shown_at", models.DateTimeField(null=True)),
                ("opened_at", models.DateTimeField(null=True)),
                ("read_at", models.DateTimeField(null=True)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sightings",
                        to="approvals.approvalrequest",
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
        ),
        migrations.CreateModel(
            name="Vote",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("voter_id", models.UUIDField()),
                ("voter_name", models.CharField(max_length=200)),
                ("verdict", models.CharField(max_length=12)),
                ("digest", models.CharField(blank=True, default="", max_length=64)),
                ("sealed", models.BinaryField()),
                ("voided", models.BooleanField(default=False)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="votes",
                        to="approvals.approvalrequest",
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(fields=["tenant", "status", "created_at", "id"], name="request_queue"),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("due_at__isnull", False), ("status", "pending")),
                fields=["due_at"],
                name="request_due",
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalrequest",
            constraint=models.UniqueConstraint(fields=("tenant", "run", "scope", "n"), name="request_identity"),
        ),
        migrations.AddConstraint(
            model_name="approvalrequest",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="request_in_tenant"),
        ),
        migrations.AddConstraint(
            model_name="sighting",
            constraint=models.UniqueConstraint(fields=("tenant", "request", "viewer_id"), name="one_sighting_each"),
        ),
        migrations.AddConstraint(
            model_name="vote",
            constraint=models.UniqueConstraint(
                condition=models.Q(("voided", False)), fields=("tenant", "request", "voter_id"), name="one_vote_each"
            ),
        ),
        Wall("ApprovalRequest"),
        Wall("Vote"),
        Wall("Sighting"),
    ]
