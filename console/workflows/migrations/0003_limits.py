from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0002_promotions"),
    ]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="limits",
            field=models.JSONField(default=dict),
        ),
    ]
