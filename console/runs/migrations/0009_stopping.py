from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0008_ledger"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddField(
            model_name="step",
            name="worker",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="steppayload",
            name="evidence_began",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="steppayload",
            name="evidence_certain",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["tenant", "stop_reason", "-created_at", "-id"], name="run_by_reason"),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(
                condition=models.Q(("status", "in_doubt")), fields=["tenant", "run"], name="step_in_doubt"
            ),
        ),
    ]
