import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0002_limits"),
        ("workflows", "0003_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="Tool",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=64)),
                ("version", models.PositiveIntegerField()),
                ("kind", models.CharField(max_length=8)),
                ("config", models.JSONField(default=dict)),
                ("sealed_secrets", models.BinaryField(null=True)),
                ("author_name", models.CharField(default="", max_length=200)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "name", "version"), name="tool_version"),
                    models.UniqueConstraint(fields=("tenant", "id"), name="tool_in_tenant"),
                ],
            },
        ),
        Wall("Tool"),
    ]
