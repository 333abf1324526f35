import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="TenantLimits",
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
                ("limits", models.JSONField(default=dict)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                ("updated_by", models.CharField(default="", max_length=200)),
            ],
        ),
        migrations.AddField(
            model_name="credential",
            name="options",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="credential",
            name="region",
            field=models.CharField(blank=True, default="", max_length=60),
        ),
        migrations.AddField(
            model_name="credential",
            name="zone",
            field=models.CharField(blank=True, default="", max_length=60),
        ),
        Wall("TenantLimits"),
    ]
