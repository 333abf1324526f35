from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0002_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="queue",
            field=models.CharField(blank=True, default="", max_length=60),
        ),
    ]
