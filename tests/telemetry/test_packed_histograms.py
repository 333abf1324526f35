"""The migration to packed histograms, on rows as they were before it."""

import json
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connections, transaction

from console.tenants.scopes import system_scope
from telemetry import histogram, storing
from telemetry.cells import EVERY, Cell, Key
from telemetry.models import ROLLUPS, RunRollup

migration = import_module("telemetry.migrations.0004_packed_histograms")
AT = datetime(2026, 11, 20, 8, tzinfo=UTC)
BEFORE = {
    "": ({"started": 5}, {}),
    "completed": ({"ended": 3}, {"machine": {"z": 1, "60": 2}, "total": {"300": 3}}),
    "timeout": ({"ended": 2}, {"machine": {"60": 1, "64": 1}, "human": {"0": 1, "7": -2}}),
}


class Undo(Exception):
    """To leave the tables as they are."""


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_what_was_json_is_packed_and_summed(world):
    tenant, owner = str(world.northwind.tenant.id), connections["owner"]
    keys = {part: Key(tenant, "h", "all", EVERY, int(AT.timestamp()), "", part) for part in (*BEFORE, "*")}
    with pytest.raises(Undo), transaction.atomic(using="owner"), owner.cursor() as cursor:
        for model in ROLLUPS:
            cursor.execute(f"ALTER TABLE {model._meta.db_table} ADD COLUMN histograms jsonb NOT NULL DEFAULT '{{}}'")
        cursor.execute("ALTER TABLE telemetry_runrollup NO FORCE ROW LEVEL SECURITY")
        for part, (measures, histograms) in BEFORE.items():
            row = dict.fromkeys(RunRollup.MEASURES, 0) | measures
            cursor.execute(
                f"INSERT INTO telemetry_runrollup (tenant_id, grain, cut, workflow_id, at, key, part, histograms,"
                f" {', '.join(row)}) VALUES (%s, 'h', 'all', %s, %s, '', %s, %s, {', '.join(map(str, row.values()))})",
                [tenant, EVERY, AT, part, json.dumps(histograms)],
            )
        migration.convert(apps, SimpleNamespace(connection=owner))
        cursor.execute("ALTER TABLE telemetry_runrollup NO FORCE ROW LEVEL SECURITY")
        cursor.execute(f"SELECT part, started, ended, {', '.join(RunRollup.HISTOGRAMS)} FROM telemetry_runrollup")
        found = {
            part: (started, ended, *(histogram.counts(histogram.unpack(each)) for each in spreads))
            for part, started, ended, *spreads in cursor.fetchall()
        }
        raise Undo
    assert found == {
        "": (5, 0, {}, {}, {}, {}),
        "completed": (0, 3, {"z": 1, "60": 2}, {}, {}, {"300": 3}),
        "timeout": (0, 2, {"60": 1, "64": 1}, {"0": 1}, {}, {}),
        "*": (5, 5, {"z": 1, "60": 3, "64": 1}, {"0": 1}, {}, {"300": 3}),
    }
    # The projector writes what the migration has made, bit for bit.
    cell = Cell()
    cell.histograms = {"machine": histogram.of_counts({"z": 1, "60": 3, "64": 1})}
    with system_scope("tests: rows"):
        storing.put("telemetry_runrollup", {keys["*"]: cell})
        assert histogram.pack(cell.histograms["machine"]) == bytes(RunRollup.objects.get(part="*").machine)
        assert storing.read("telemetry_runrollup", [keys["*"]])[keys["*"]].plain() == cell.plain()
