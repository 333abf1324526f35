"""Histograms as histogram.pack gives them, a column each, in the place of one JSON column; and rows that sum all parts."""

from typing import Any

from django.db import migrations, models

HISTOGRAMS = {
    "RunRollup": ("machine", "human", "queue", "total"),
    "StepRollup": ("duration", "first_token"),
    "ApprovalRollup": ("to_open", "to_decide", "wait"),
}
KEYS = "tenant_id, grain, cut, workflow_id, at, key"
# Counts below nothing, of which there are some where something came late to hours that were no longer kept, are left out.
PACKED = """
    CREATE FUNCTION telemetry_packed(jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
        SELECT int2send(MIN(place)::int2) || string_agg(
            int8send(many) || decode(repeat('0000000000000000', place - COALESCE(below, place - 1) - 1), 'hex'),
            ''::bytea ORDER BY place DESC)
        FROM (SELECT place, many, LAG(place) OVER (ORDER BY place) AS below FROM (
            SELECT CASE key WHEN 'z' THEN 0 ELSE key::int + 1 END AS place, value::bigint AS many
            FROM jsonb_each_text($1)) AS each WHERE many > 0) AS spaced
    $$
"""


def convert(apps: Any, schema_editor: Any) -> None:
    """Pack what is there, and sum it over its parts. The walls do not hold for their owner meanwhile."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(PACKED)
        for name, spreads in HISTOGRAMS.items():
            model = apps.get_model("telemetry", name)
            table = model._meta.db_table
            sums = [field.name for field in model._meta.fields if isinstance(field, models.BigIntegerField)]
            cursor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            cursor.execute(summed(table, sums, spreads))
            packing = ", ".join(f"{each} = telemetry_packed(histograms -> '{each}')" for each in spreads)
            cursor.execute(f"UPDATE {table} SET {packing} WHERE part <> '*' AND histograms <> '{{}}'")  # noqa: S608
            cursor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        cursor.execute("DROP FUNCTION telemetry_packed(jsonb)")


def summed(table: str, sums: list[str], spreads: tuple[str, ...]) -> str:
    """The statement that makes the rows of all parts."""
    merged = " ".join(
        f"LEFT JOIN (SELECT {KEYS}, telemetry_packed(jsonb_object_agg(bucket, many)) AS {each} FROM"  # noqa: S608
        f" (SELECT {KEYS}, e.bucket, SUM(e.many::bigint) AS many FROM {table},"
        f" jsonb_each_text(histograms -> '{each}') AS e(bucket, many) GROUP BY {KEYS}, e.bucket) AS counted_{each}"
        f" GROUP BY {KEYS}) AS merged_{each} USING ({KEYS})"
        for each in spreads
    )
    adding = ", ".join(f"SUM({each})::bigint AS {each}" for each in sums)
    names = ", ".join((*sums, *spreads))
    return (
        f"INSERT INTO {table} ({KEYS}, part, histograms, {names}) SELECT {KEYS}, '*', '{{}}', {names}"  # noqa: S608
        f" FROM (SELECT {KEYS}, {adding} FROM {table} GROUP BY {KEYS}) AS summed {merged}"
    )


class Migration(migrations.Migration):
    dependencies = [("telemetry", "0003_decider_days")]

    operations = [
        *(
            migrations.AddField(name, each, models.BinaryField(null=True))
            for name, spreads in HISTOGRAMS.items()
            for each in spreads
        ),
        # Back again there are no histograms, and rows too many: verify_rollups --repair makes both right.
        migrations.RunPython(convert, migrations.RunPython.noop),
        *(migrations.RemoveField(name, "histograms") for name in HISTOGRAMS),
    ]
