from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0005_rollouts"),
    ]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="queue",
            field=models.CharField(blank=True, default="", max_length=60),
        ),
    ]
