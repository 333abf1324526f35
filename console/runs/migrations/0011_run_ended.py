from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0010_changed"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)), fields=["tenant", "-ended_at"], name="run_ended"
            ),
        ),
    ]
