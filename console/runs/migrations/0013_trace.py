from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0012_facts"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="request_id",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="run",
            name="trace_context",
            field=models.CharField(blank=True, db_default="", default="", max_length=600),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("ended_at__isnull", False)), fields=["ended_at"], name="run_over"),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("waiting_since__isnull", False)), fields=["waiting_since"], name="run_parked"
            ),
        ),
    ]
