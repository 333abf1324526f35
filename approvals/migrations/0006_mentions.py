import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0005_notices"),
        ("runs", "0006_oversight"),
        ("tenants", "0004_groups"),
        ("workflows", "0008_waivers"),
    ]

    operations = [
        migrations.CreateModel(
            name="Mention",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("user_id", models.UUIDField()),
                ("at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.AlterField(
            model_name="delivery",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("delivered", "Delivered"),
                    ("failed", "Failed"),
                    ("dead", "Dead"),
                    ("dropped", "Dropped"),
                ],
                default="pending",
                max_length=9,
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("claimed_until__isnull", False), ("status", "pending")),
                fields=["claimed_until"],
                name="request_claim",
            ),
        ),
        migrations.AddField(
            model_name="mention",
            name="request",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="mentions", to="approvals.approvalrequest"
            ),
        ),
        migrations.AddField(
            model_name="mention",
            name="tenant",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddConstraint(
            model_name="mention",
            constraint=models.UniqueConstraint(fields=("tenant", "user_id", "request"), name="one_mention_each"),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                "tenant",
                "agent",
                "pressing",
                "falls",
                models.F("blocks").desc(),
                "created_at",
                "id",
                condition=models.Q(("status", "pending")),
                name="request_agent_order",
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                "tenant",
                "started_by_id",
                "pressing",
                "falls",
                models.F("blocks").desc(),
                "created_at",
                "id",
                condition=models.Q(("status", "pending")),
                name="request_starter_order",
            ),
        ),
        Wall("Mention"),
    ]
