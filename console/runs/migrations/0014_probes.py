from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("runs", "0013_trace"),
        ("tenants", "0005_first_password"),
        ("workflows", "0009_assessed"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="probe",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("probe", True), _negated=True),
                    models.Q(
                        ("cancel_requested", False),
                        ("fork_of", None),
                        ("lease_owner", ""),
                        ("lease_until", None),
                        ("leased_at", None),
                        ("ready_at", None),
                        ("retry_of", None),
                        ("smoke_test", None),
                        ("status__in", ("waiting", "cancelled")),
                        ("token", 0),
                        ("wake", 0),
                        ("wake_at", None),
                    ),
                    _connector="OR",
                ),
                name="probe_is_inert",
            ),
        ),
    ]
