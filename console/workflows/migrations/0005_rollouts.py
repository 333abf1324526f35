import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0002_limits"),
        ("workflows", "0004_tools"),
    ]

    operations = [
        migrations.CreateModel(
            name="Rollout",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("share", models.PositiveSmallIntegerField(default=0)),
                ("sources", models.JSONField(default=list)),
                ("thresholds", models.JSONField(default=dict)),
                ("status", models.CharField(default="running", max_length=12)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("figures", models.JSONField(default=dict)),
                ("started_by", models.CharField(max_length=200)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "baseline",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workflows.revision"
                    ),
                ),
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
                        on_delete=django.db.models.deletion.CASCADE, related_name="rollouts", to="workflows.workflow"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "running")),
                        fields=("tenant", "workflow"),
                        name="one_rollout_at_a_time",
                    ),
                    models.UniqueConstraint(fields=("tenant", "id"), name="rollout_in_tenant"),
                ],
            },
        ),
        Wall("Rollout"),
    ]
