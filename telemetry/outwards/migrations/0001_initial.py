import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0005_first_password"),
    ]

    operations = [
        migrations.CreateModel(
            name="Position",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
                ("token", models.BigIntegerField(default=0)),
                ("leased_until", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Ended",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id",
                        "status",
                        "stop_reason",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("status", models.CharField(max_length=12)),
                ("stop_reason", models.CharField(max_length=24)),
                ("many", models.BigIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Told",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant_id", "run_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("run_id", models.UUIDField()),
                ("through", models.PositiveIntegerField(default=0)),
                ("moment", models.DateTimeField()),
                ("ended", models.BooleanField(default=False)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
            options={
                "indexes": [models.Index(condition=models.Q(("ended", True)), fields=["moment"], name="told_ended")],
            },
        ),
        Wall("Told"),
        Wall("Ended"),
    ]
