"""Migration operations that put a table behind the tenant wall.

In an app's first migration, after its tables are made::

    operations = [..., Wall("Run"), Wall("Step"), Wall("StepPayload")]

``Wall`` enables and forces row-level security, writes the two policies, and adds a composite foreign key
(tenant_id, x_id) -> (tenant_id, id) for each foreign key to another tenant's table: plain foreign keys are checked
behind the wall's back, and would let a row point at another tenant's. The table pointed at needs a unique constraint
on (tenant, id).

The policies compare uuid with uuid, and there is one policy a role: casting the column or OR-ing a flag costs an
index scan on every query.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.db.migrations.operations.base import Operation

from console.tenants.roles import APP, SYSTEM

TENANT = "NULLIF(current_setting('sayso.tenant', true), '')::uuid"
USER = "NULLIF(current_setting('sayso.user', true), '')::uuid"
NO_TENANT = "NULLIF(current_setting('sayso.tenant', true), '') IS NULL"


class Wall(Operation):
    """Put a model's table behind the wall.

    ``model`` is "Model" of the migration's app or "app.Model". ``references`` maps columns to models ("run_id" to
    "runs.Run"); by default every foreign key to a model with a tenant. ``column`` holds the tenant's id.
    ``append_only`` takes away the right to change or delete rows, and has a trigger refuse it to everybody.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(
        self,
        model: str,
        references: Mapping[str, str] | None = None,
        column: str = "tenant_id",
        append_only: bool = False,
    ) -> None:
        self.model = model
        self.references = references
        self.column = column
        self.append_only = append_only

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        kwargs: dict[str, Any] = {}
        if self.references is not None:
            kwargs["references"] = dict(self.references)
        if self.column != "tenant_id":
            kwargs["column"] = self.column
        if self.append_only:
            kwargs["append_only"] = True
        return self.__class__.__qualname__, [self.model], kwargs

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The wall is no part of Django's model state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        # Foreign keys that Django defers to the end of the migration must be there first: a table with pending
        # trigger events cannot be altered.
        table, references = self._resolve(app_label, to_state)
        column = schema_editor.quote_name(self.column)
        quoted = schema_editor.quote_name(table)
        for sql in (
            f"ALTER TABLE {quoted} ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE {quoted} FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant_wall ON {quoted} TO {APP} USING ({column} = {TENANT})",
            f"CREATE POLICY system_wall ON {quoted} TO {SYSTEM} USING (true)",
        ):
            schema_editor.execute(sql)
        self._refer(schema_editor, quoted, self._constraints(table, references))
        if self.append_only:
            schema_editor.execute(
                "CREATE OR REPLACE FUNCTION sayso_append_only() RETURNS trigger LANGUAGE plpgsql AS $$"
                " BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';"
                " END $$",
                params=None,  # a percent sign is itself here
            )
            schema_editor.execute(
                f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {quoted}"
                " FOR EACH ROW EXECUTE FUNCTION sayso_append_only()"
            )
            schema_editor.execute(f"REVOKE UPDATE, DELETE ON {quoted} FROM {APP}, {SYSTEM}")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table, references = self._resolve(app_label, from_state)
        quoted = schema_editor.quote_name(table)
        if self.append_only:
            schema_editor.execute(f"DROP TRIGGER append_only ON {quoted}")
            schema_editor.execute(f"GRANT UPDATE, DELETE ON {quoted} TO {APP}, {SYSTEM}")
        for name, _, _ in self._constraints(table, references):
            schema_editor.execute(f'ALTER TABLE {quoted} DROP CONSTRAINT "{name}"')
        for sql in (
            f"DROP POLICY system_wall ON {quoted}",
            f"DROP POLICY tenant_wall ON {quoted}",
            f"ALTER TABLE {quoted} NO FORCE ROW LEVEL SECURITY",
            f"ALTER TABLE {quoted} DISABLE ROW LEVEL SECURITY",
        ):
            schema_editor.execute(sql)

    def describe(self) -> str:
        return f"Put {self.model} behind the tenant wall"

    @property
    def migration_name_fragment(self) -> str:
        return f"wall_{self.model.lower().replace('.', '_')}"

    def _refer(self, schema_editor: Any, quoted: str, constraints: list[tuple[str, str, str]]) -> None:
        for name, foreign_key, target in constraints:
            schema_editor.execute(
                f'ALTER TABLE {quoted} ADD CONSTRAINT "{name}" FOREIGN KEY ("tenant_id", "{foreign_key}")'
                f' REFERENCES "{target}" ("tenant_id", "id") DEFERRABLE INITIALLY DEFERRED'
            )

    def _resolve(self, app_label: str, state: Any) -> tuple[str, list[tuple[str, str]]]:
        """The table, and (column, table pointed at) for each reference."""
        model = _model(app_label, self.model, state)
        if self.references is not None:
            targets = [(column, _model(app_label, name, state)) for column, name in self.references.items()]
        else:
            targets = [(field.column, field.related_model) for field in model._meta.local_fields if _crosses(field)]
        return model._meta.db_table, [(column, target._meta.db_table) for column, target in targets]

    def _constraints(self, table: str, references: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
        named = []
        for column, target in references:
            digest = hashlib.sha256(f"{table}.{column}.{target}".encode()).hexdigest()[:8]
            named.append((f"{table[:30]}_{column[:16]}_{digest}_wall", column, target))
        return named


class Reference(Wall):
    """The composite foreign keys alone, of columns that a walled table got later: ``Reference("Run", {column: model})``."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table, references = self._resolve(app_label, to_state)
        self._refer(schema_editor, schema_editor.quote_name(table), self._constraints(table, references))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table, references = self._resolve(app_label, from_state)
        for name, _, _ in self._constraints(table, references):
            schema_editor.execute(f'ALTER TABLE {schema_editor.quote_name(table)} DROP CONSTRAINT "{name}"')

    def describe(self) -> str:
        return f"Keep what {self.model} points at in its tenant"

    @property
    def migration_name_fragment(self) -> str:
        return f"reference_{self.model.lower().replace('.', '_')}"


def _model(app_label: str, name: str, state: Any) -> Any:
    app, _, model = name.rpartition(".")
    return state.apps.get_model(app or app_label, model)


def _crosses(field: Any) -> bool:
    """Whether a field is a foreign key from one tenant table to another."""
    return isinstance(field, models.ForeignKey) and any(
        other.column == "tenant_id" for other in field.related_model._meta.local_fields
    )


class Policy(Operation):
    """A further policy for the application role, OR-ed with the wall. SELECT only."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, model: str, name: str, using: str) -> None:
        self.model = model
        self.name = name
        self.using = using

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__qualname__, [self.model, self.name, self.using], {}

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Policies are no part of Django's model state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = _model(app_label, self.model, to_state)._meta.db_table
        schema_editor.execute(f'CREATE POLICY {self.name} ON "{table}" FOR SELECT TO {APP} USING ({self.using})')

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        table = _model(app_label, self.model, from_state)._meta.db_table
        schema_editor.execute(f'DROP POLICY {self.name} ON "{table}"')

    def describe(self) -> str:
        return f"Policy {self.name} on {self.model}"
