from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0004_groups"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="first_password",
            field=models.BooleanField(default=False),
        ),
    ]
