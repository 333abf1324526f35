"""Writing the audit record."""

import json
from typing import Any, Protocol
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import DEFAULT_DB_ALIAS

from console import prepared
from console.audit.models import AuditRecord


class HasId(Protocol):
    @property
    def id(self) -> Any: ...


class Who(Protocol):
    """What the record needs of an actor; ``console.tenants.access.Actor`` is one."""

    @property
    def tenant(self) -> HasId: ...
    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> UUID | None: ...
    @property
    def name(self) -> str: ...


def record(actor: Who, action: str, object_type: str, object_id: object, **detail: Any) -> AuditRecord:
    """Write one row in the caller's transaction, so that the deed and its record stand or fall together.

    ``detail`` is kept as JSON and never erased: it must hold no secret and no content of a run. What Postgres cannot
    keep in it (NUL, half a surrogate pair) is replaced: a deed is not undone because its record is odd.
    """
    row = AuditRecord(
        tenant_id=actor.tenant.id,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=_plain(actor.name)[:200],
        action=action,
        object_type=object_type,
        object_id=_plain(str(object_id))[:100],
        detail=_plain(detail),
    )
    who = [row.tenant_id, row.at, row.actor_kind, row.actor_id, row.actor_name]
    with prepared.cursor() as cursor:  # each deed pays for this
        what = [row.action, row.object_type, row.object_id, json.dumps(row.detail, cls=DjangoJSONEncoder)]
        cursor.execute(_RECORD, [*who, *what])
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    return row


_RECORD = """
    INSERT INTO audit_auditrecord
        (tenant_id, at, actor_kind, actor_id, actor_name, action, object_type, object_id, detail)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s::jsonb) RETURNING id
"""


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
