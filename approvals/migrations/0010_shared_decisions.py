from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0009_probes"),
        ("runs", "0014_probes"),
        ("tenants", "0006_display"),
        ("workflows", "0010_prices"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("approvers__gt", 1), ("status", "decided")),
                fields=["tenant", "decided_at"],
                name="request_shared",
            ),
        ),
    ]
