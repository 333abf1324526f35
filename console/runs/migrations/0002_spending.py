import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0001_initial"),
        ("tenants", "0002_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="broken_off_cost",
            field=models.DecimalField(decimal_places=6, default=0, max_digits=14),
        ),
        migrations.AddField(
            model_name="run",
            name="limits",
            field=models.JSONField(default=dict),
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("amount", models.DecimalField(decimal_places=6, max_digits=16)),
                ("token", models.BigIntegerField()),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
        ),
        migrations.CreateModel(
            name="SpendDay",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("day", models.DateField()),
                ("spent", models.DecimalField(decimal_places=6, default=0, max_digits=16)),
                ("reserved", models.DecimalField(decimal_places=6, default=0, max_digits=16)),
                ("tenant", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant")),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "day"), name="spend_of_day")],
            },
        ),
        Wall("SpendDay"),
        Wall("Reservation"),
    ]
