import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("telemetry", "0002_alerts"),
        ("tenants", "0006_display"),
    ]

    operations = [
        migrations.CreateModel(
            name="DeciderDay",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "tenant", "who", "day", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("who", models.UUIDField()),
                ("day", models.DateField()),
                ("said", models.JSONField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
            options={
                "db_table": "telemetry_deciderday",
                "indexes": [
                    models.Index(fields=["tenant", "day"], name="decider_days"),
                    models.Index(
                        condition=models.Q(("said__isnull", True)), fields=["day"], name="decider_days_marked"
                    ),
                ],
            },
        ),
        Wall("DeciderDay"),
        # Requests are read once more, so that the days of what was decided before are made too; nothing else changes by it.
        migrations.RunSQL("DELETE FROM telemetry_cursor WHERE source = 'request'", migrations.RunSQL.noop),
    ]
