from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0007_changed"),
    ]

    operations = [
        migrations.AddField(
            model_name="approvalrequest",
            name="decided_trace",
            field=models.CharField(blank=True, db_default="", default="", max_length=60),
        ),
    ]
