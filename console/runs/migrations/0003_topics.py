import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0002_spending"),
        ("tenants", "0002_limits"),
    ]

    operations = [
        migrations.CreateModel(
            name="TopicEvent",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("topic_type", models.CharField(max_length=100)),
                ("event_id", models.CharField(max_length=200)),
                ("source", models.CharField(max_length=200)),
                ("digest", models.CharField(max_length=64)),
                ("sealed_answer", models.BinaryField(null=True)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "tenant",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "topic_type", "event_id"), name="topic_event_once")
                ],
            },
        ),
        Wall("TopicEvent"),
    ]
