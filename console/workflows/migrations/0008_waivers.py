import uuid

import django.db.models.deletion
from django.db import migrations, models

from console.tenants.walls import Wall


class Migration(migrations.Migration):
    dependencies = [
        ("tenants", "0003_queue"),
        ("workflows", "0007_smoke"),
    ]

    operations = [
        migrations.CreateModel(
            name="BehaviourContract",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.PositiveIntegerField()),
                ("text", models.TextField()),
                ("sha256", models.CharField(max_length=64)),
                ("because", models.CharField(max_length=500)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Waiver",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("stage", models.CharField(blank=True, default="", max_length=200)),
                ("risk_assessment", models.TextField()),
                ("expires_at", models.DateTimeField()),
                ("proposed_by_id", models.UUIDField()),
                ("proposed_by_name", models.CharField(max_length=200)),
                ("proposed_at", models.DateTimeField()),
                ("consented_by_id", models.UUIDField(null=True)),
                ("consented_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("consented_at", models.DateTimeField(null=True)),
                ("revoked_by_id", models.UUIDField(null=True)),
                ("revoked_by_name", models.CharField(blank=True, default="", max_length=200)),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoked_why", models.CharField(blank=True, default="", max_length=500)),
                ("expiry_told_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="workflow",
            name="contract",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="workflow",
            name="wording",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(fields=["wording"], name="workflow_wording"),
        ),
        migrations.AddField(
            model_name="behaviourcontract",
            name="revision",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workflows.revision"
            ),
        ),
        migrations.AddField(
            model_name="behaviourcontract",
            name="tenant",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="behaviourcontract",
            name="workflow",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="contracts",
                to="workflows.workflow",
            ),
        ),
        migrations.AddField(
            model_name="waiver",
            name="revision",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="workflows.revision"
            ),
        ),
        migrations.AddField(
            model_name="waiver",
            name="tenant",
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="tenants.tenant"),
        ),
        migrations.AddField(
            model_name="waiver",
            name="workflow",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="waivers",
                to="workflows.workflow",
            ),
        ),
        migrations.AddConstraint(
            model_name="behaviourcontract",
            constraint=models.UniqueConstraint(
                fields=("tenant", "workflow", "number"), name="behaviour_contract_number"
            ),
        ),
        migrations.AddIndex(
            model_name="waiver",
            index=models.Index(fields=["tenant", "workflow", "-proposed_at"], name="waivers_of_workflow"),
        ),
        migrations.AddIndex(
            model_name="waiver",
            index=models.Index(
                condition=models.Q(("consented_at__isnull", False), ("expiry_told_at", None), ("revoked_at", None)),
                fields=["expires_at"],
                name="waiver_to_expire",
            ),
        ),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.UniqueConstraint(fields=("tenant", "id"), name="waiver_in_tenant"),
        ),
        migrations.AddConstraint(
            model_name="waiver",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("consented_by_id", None),
                    models.Q(("consented_by_id", models.F("proposed_by_id")), _negated=True),
                    _connector="OR",
                ),
                name="waiver_of_two",
            ),
        ),
        Wall("Waiver"),
        Wall("BehaviourContract"),
    ]
