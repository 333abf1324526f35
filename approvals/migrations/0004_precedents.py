import django.db.models.fields.json
import django.db.models.functions.comparison
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0003_rule_sets"),
        ("runs", "0005_events"),
        ("tenants", "0003_queue"),
        ("workflows", "0007_smoke"),
    ]

    operations = [
        migrations.AddField(
            model_name="approvalrequest",
            name="rule_name",
            field=models.GeneratedField(
                db_persist=True,
                expression=django.db.models.functions.comparison.Coalesce(
                    django.db.models.fields.json.KeyTextTransform("name", "rule"),
                    models.Value(""),
                    output_field=models.TextField(),
                ),
                output_field=models.TextField(),
            ),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(
                condition=models.Q(("status__in", ("decided", "expired"))),
                fields=["tenant", "workflow", "kind", "tool", "rule_name", "-created_at"],
                name="request_like",
            ),
        ),
    ]
