import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0008_decided_trace"),
        ("runs", "0014_probes"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.CreateModel(
            name="Planting",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("sealed_guise", models.BinaryField()),
                ("planted_at", models.DateTimeField()),
                ("planted_by_name", models.CharField(max_length=200)),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("planted", "Planted"),
                            ("caught", "Caught"),
                            ("missed", "Missed"),
                            ("expired", "Expired"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="planted",
                        max_length=10,
                    ),
                ),
                ("concluded_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Probe",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                ("tool", models.CharField(max_length=200)),
                ("agent", models.CharField(max_length=200)),
                ("rule_name", models.CharField(blank=True, default="", max_length=100)),
                ("sealed", models.BinaryField()),
                ("catches", models.JSONField(default=list)),
                ("edit_field", models.CharField(blank=True, default="", max_length=200)),
                ("per_week", models.PositiveSmallIntegerField(default=0)),
                ("next_at", models.DateTimeField(null=True)),
                ("author_name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("withdrawn_by_name", models.CharField(blank=True, default="", max_length=200)),
            ],
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="probe",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="approvalrequest",
            name="shown_words",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("status__in", ("decided", "expired"))),
                fields=["tenant", "decided_at"],
                name="request_decided",
            ),
        ),
        migrations.AddField(
            model_name="planting",
            name="request",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="approvals.approvalrequest",
            ),
        ),
        migrations.AddField(
            model_name="planting",
            name="tenant",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="probe",
            name="tenant",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="probe",
            name="workflow",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workflows.workflow"
            ),
        ),
        migrations.AddField(
            model_name="planting",
            name="probe",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="plantings", to="approvals.probe"
            ),
        ),
        migrations.AddIndex(
            model_name="probe",
            index=models.Index(condition=models.Q(("next_at__isnull", False)), fields=["next_at"], name="probe_due"),
        ),
        migrations.AddConstraint(
            model_name="probe",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="probe_in_tenant"),
        ),
        migrations.AddConstraint(
            model_name="probe",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdrawn_at", None)), fields=("tenant", "workflow", "name"), name="probe_name"
            ),
        ),
        migrations.AddIndex(
            model_name="planting",
            index=models.Index(fields=["tenant", "-planted_at"], name="planting_list"),
        ),
        migrations.AddIndex(
            model_name="planting",
            index=models.Index(fields=["tenant", "concluded_at"], name="planting_concluded"),
        ),
        migrations.AddConstraint(
            model_name="planting",
            constraint=models.UniqueConstraint(fields=("tenant", "request"), name="one_planting_each"),
        ),
        Wall("Probe"),
        Wall("Planting"),
    ]
