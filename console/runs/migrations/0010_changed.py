from django.db import migrations, models

from console.tenants.stamps import ChangedField, Stamp


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0009_stopping"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="changed",
            field=ChangedField(),
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["changed", "id"], name="run_changed"),
        ),
        Stamp("Run"),
    ]
