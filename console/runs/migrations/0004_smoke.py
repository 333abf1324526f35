import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Reference


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0003_topics"),
        ("tenants", "0003_queue"),
        ("workflows", "0007_smoke"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="smoke_case",
            field=models.CharField(blank=True, default="", max_length=80),
        ),
        migrations.AddField(
            model_name="run",
            name="smoke_test",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="workflows.smoketest",
            ),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("smoke_test__isnull", False)), fields=["smoke_test"], name="run_smoke"
            ),
        ),
        Reference("Run", {"smoke_test_id": "workflows.SmokeTest"}),
    ]
