from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0011_run_ended"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="resume_s",
            field=models.FloatField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="step",
            name="first_token_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="step",
            name="priced_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
    ]
