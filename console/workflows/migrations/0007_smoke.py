import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_queue"),
        ("workflows", "0006_queue"),
    ]

    operations = [
        migrations.CreateModel(
            name="SmokeSuite",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("required", models.BooleanField(default=False)),
                ("sealed_cases", models.BinaryField()),
                ("digest", models.CharField(max_length=64)),
                ("updated_by", models.CharField(max_length=200)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
                (
                    "workflow",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="workflows.workflow",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "workflow"), name="smoke_suite_of_workflow")],
            },
        ),
        migrations.CreateModel(
            name="SmokeTest",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("sealed_cases", models.BinaryField()),
                ("digest", models.CharField(max_length=64)),
                ("promote", models.BooleanField(default=False)),
                ("status", models.CharField(default="running", max_length=8)),
                ("sealed_outcomes", models.BinaryField(null=True)),
                ("note", models.CharField(blank=True, default="", max_length=500)),
                ("started_by", models.CharField(max_length=200)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "revision",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workflows.revision"
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
                (
                    "workflow",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="smoke_tests", to="workflows.workflow"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["tenant", "workflow", "-started_at"], name="smoke_tests_of_workflow")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "running")),
                        fields=("tenant", "revision"),
                        name="one_smoke_test_at_a_time",
                    ),
                    models.UniqueConstraint(fields=("tenant", "id"), name="smoke_test_in_tenant"),
                ],
            },
        ),
        Wall("SmokeSuite"),
        Wall("SmokeTest"),
    ]
