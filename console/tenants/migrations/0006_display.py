import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0005_first_password"),
    ]

    operations = [
        migrations.CreateModel(
            name="TenantDisplay",
            fields=[
                (
                    "tenant",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tenants.tenant",
                    ),
                ),
                ("shown_to", models.CharField(max_length=12)),
                ("masks", models.JSONField(default=list)),
                ("patterns", models.JSONField(default=list)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(default="", max_length=200)),
            ],
        ),
        Wall("TenantDisplay"),
    ]
