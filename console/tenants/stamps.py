"""The number of the transaction that last wrote a row: how somebody who reads afterwards finds what is new.

A reader that takes rows whose number is below ``pg_snapshot_xmin(pg_current_snapshot())`` sees each once it is committed,
and never passes over one that was begun earlier and committed later, as it would with a time or a sequence.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.migrations.operations.base import Operation


class ChangedField(models.Field):
    """``xid8``, stamped by the database at each INSERT and UPDATE (see ``Stamp``); whatever else is written is ignored.

    Rows from before there was a stamp have 0.
    """

    description = "The number of the transaction that last wrote the row"

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("db_default", models.Value("0"))
        kwargs.setdefault("editable", False)
        super().__init__(**kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_default", None)
        kwargs.pop("editable", None)
        return name, path, args, kwargs

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return str(value) if isinstance(value, int) else value


class Stamp(Operation):
    """Have the database stamp the column ``changed`` of a model's table. Comes after the column was added."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, model: str) -> None:
        self.model = model

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__qualname__, [self.model], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Triggers are no part of Django's model state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = to_state.apps.get_model(app_label, self.model)._meta.db_table
        schema_editor.execute(
            "CREATE OR REPLACE FUNCTION sayso_stamp() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN NEW.changed := pg_current_xact_id(); RETURN NEW; END'"
        )
        schema_editor.execute(
            f"CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON {schema_editor.quote_name(table)}"
            " FOR EACH ROW EXECUTE FUNCTION sayso_stamp()"
        )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = from_state.apps.get_model(app_label, self.model)._meta.db_table
        schema_editor.execute(f"DROP TRIGGER stamp ON {schema_editor.quote_name(table)}")

    def describe(self) -> str:
        return f"Stamp {self.model} with the transaction that writes it"

    @property
    def migration_name_fragment(self) -> str:
        return f"stamp_{self.model.lower()}"
