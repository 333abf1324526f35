from django.db import migrations, models

from console.tenants.stamps import ChangedField, Stamp


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0006_mentions"),
        ("runs", "0009_stopping"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddField(
            model_name="approvalrequest",
            name="changed",
            field=ChangedField(),
        ),
        migrations.AddField(
            model_name="sighting",
            name="changed",
            field=ChangedField(),
        ),
        migrations.AddField(
            model_name="vote",
            name="changed",
            field=ChangedField(),
        ),
        migrations.AddIndex(
            model_name="approvalrequest",
            index=models.Index(fields=["changed", "id"], name="request_changed"),
        ),
        migrations.AddIndex(
            model_name="sighting",
            index=models.Index(fields=["changed", "id"], name="sighting_changed"),
        ),
        migrations.AddIndex(
            model_name="vote",
            index=models.Index(fields=["changed", "id"], name="vote_changed"),
        ),
        Stamp("ApprovalRequest"),
        Stamp("Sighting"),
        Stamp("Vote"),
    ]
