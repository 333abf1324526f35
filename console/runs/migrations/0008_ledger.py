import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0007_fork"),
        ("tenants", "0005_first_password"),
    ]

    operations = [
        migrations.CreateModel(
            name="LedgerEntry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("scope", models.CharField(max_length=220)),
                ("action", models.CharField(max_length=200)),
                ("tool", models.CharField(max_length=200)),
                ("version", models.PositiveIntegerField()),
                ("digest", models.CharField(max_length=64)),
                ("step", models.CharField(max_length=300)),
                ("n", models.PositiveIntegerField()),
                ("status", models.CharField(max_length=10)),
                ("sealed_result", models.BinaryField(null=True)),
                ("begun_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="runs.run",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "scope", "action"), name="deed_once")],
            },
        ),
        Wall("LedgerEntry"),
    ]
