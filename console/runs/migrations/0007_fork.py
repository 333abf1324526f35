import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Reference


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0006_oversight"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="fork_edited",
            field=models.CharField(blank=True, default="", max_length=8),
        ),
        migrations.AddField(
            model_name="run",
            name="fork_of",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="forks",
                to="runs.run",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="forked_at",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(condition=models.Q(("fork_of__isnull", False)), fields=["fork_of"], name="run_fork"),
        ),
        Reference("Run", {"fork_of_id": "runs.Run"}),
    ]
