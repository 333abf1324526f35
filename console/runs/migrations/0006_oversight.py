from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0005_events"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="contract",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="run",
            name="oversight",
            field=models.JSONField(null=True),
        ),
    ]
