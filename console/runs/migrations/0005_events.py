from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0004_smoke"),
        ("tenants", "0003_queue"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="topicevent",
            index=models.Index(fields=["tenant", "-at", "-id"], name="topic_event_list"),
        ),
    ]
