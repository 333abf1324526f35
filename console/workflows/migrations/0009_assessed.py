from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("workflows", "0008_waivers"),
    ]

    operations = [
        migrations.AddField(
            model_name="waiver",
            name="assessed",
            field=models.JSONField(null=True),
        ),
    ]
