"""How far a collector was told: of each run, and over all of them."""

from django.db import models


class Told(models.Model):
    """What a collector has of a run. The row goes an hour after the last of an ended run was told."""

    pk = models.CompositePrimaryKey("tenant_id", "run_id")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    run_id = models.UUIDField()  # by value: nobody looks a run up from here
    through = models.PositiveIntegerField(default=0)  # the place in the journal of the last settled step that was told
    moment = models.DateTimeField()  # when the run had parked, or ended, as it was told last
    ended = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["moment"], name="told_ended", condition=models.Q(ended=True))]


class Position(models.Model):
    """Up to when runs have been told (or counted), and which process is telling them now."""

    name = models.CharField(max_length=20, primary_key=True)  # spans, ended
    at = models.DateTimeField()
    token = models.BigIntegerField(default=0)
    leased_until = models.DateTimeField()


class Ended(models.Model):
    """How many runs of a tenant had ended by the position ``ended``: a counter that needs no recount of all runs."""

    pk = models.CompositePrimaryKey("tenant_id", "status", "stop_reason")
    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, db_index=False)
    status = models.CharField(max_length=12)
    stop_reason = models.CharField(max_length=24)
    many = models.BigIntegerField(default=0)
