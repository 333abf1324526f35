"""What can be shown about the audit record without trusting it.

Rows carry no chain of digests: each is written in the transaction of its deed, by many workers at once, and a chain would
have all of them wait for each other. So this shows two things instead. The guards stand: nobody whom the product acts as
can change or delete a row, or see another tenant's. And nothing is missing: each deed that left a trace of its own (a
tenant, a run, a decision) has its record, and the record says of it what it is. A superuser of the database can defeat
both; against that, keep the database's own log, or copies of the record, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection

from console.audit.models import AuditRecord
from console.tenants.roles import APP, SYSTEM
from console.tenants.scopes import system_scope

SHOWN = 100  # of one kind of fault

TABLE = AuditRecord._meta.db_table


def faults() -> Iterator[str]:
    """What is wrong, a sentence each. Call outside any scope."""
    with system_scope("verifying the audit record"), connection.cursor() as cursor:
        cursor.execute(_GUARDS, {"table": TABLE, "app": APP, "system": SYSTEM})
        trigger, walled, rights = cursor.fetchone()
        if not trigger:
            yield "the trigger that refuses to change or delete a record is gone or switched off"
        if not walled:
            yield "the record is not behind the tenant wall"
        if rights:
            yield f"the product's roles have the right to change it: {', '.join(rights)}"
        for sql, says in _TOLD:
            cursor.execute(sql, [SHOWN])
            for tenant_id, key, what in cursor.fetchall():
                yield says.format(tenant=tenant_id, key=key, what=what)


def count() -> int:
    """How many records there are."""
    with system_scope("verifying the audit record"):
        return AuditRecord.objects.count()


_GUARDS = """
SELECT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = %(table)s::regclass AND t.tgname = 'append_only'
               AND t.tgenabled IN ('O', 'A')),
       (SELECT relrowsecurity AND relforcerowsecurity FROM pg_class WHERE oid = %(table)s::regclass),
       (SELECT array_agg(who || ' may ' || what) FROM unnest(ARRAY[%(app)s, %(system)s]) who,
               unnest(ARRAY['UPDATE', 'DELETE']) what WHERE has_table_privilege(who, %(table)s, what))
"""

_RECORD = "SELECT 1 FROM audit_auditrecord a WHERE a.tenant_id = {tenant} AND a.object_type = '{kind}'"
_NO_TENANT = f"""
SELECT t.id, t.slug, '' FROM tenants_tenant t
WHERE NOT EXISTS ({_RECORD.format(tenant="t.id", kind="tenant")} AND a.action = 'tenant.created') ORDER BY t.slug LIMIT %s
"""  # noqa: S608  # texts of ours
_NO_RUN = f"""
SELECT r.tenant_id, r.id, r.started_by_name FROM runs_run r
WHERE NOT r.probe AND NOT EXISTS ({_RECORD.format(tenant="r.tenant_id", kind="run")} AND a.object_id = r.id::text) LIMIT %s
"""  # noqa: S608
_NO_DECISION = f"""
SELECT q.tenant_id, q.id, q.decided_by_name FROM approvals_approvalrequest q
WHERE q.status IN ('decided', 'expired') AND NOT EXISTS (
    {_RECORD.format(tenant="q.tenant_id", kind="request")} AND a.object_id = q.id::text
    AND a.action IN ('request.decided', 'request.expired')) LIMIT %s
"""  # noqa: S608
_OTHERWISE = """
SELECT q.tenant_id, q.id, a.detail ->> 'verdict' FROM approvals_approvalrequest q
JOIN audit_auditrecord a ON a.tenant_id = q.tenant_id AND a.object_type = 'request' AND a.object_id = q.id::text
    AND a.action IN ('request.decided', 'request.expired')
WHERE a.detail ->> 'verdict' IS DISTINCT FROM q.verdict OR a.actor_id IS DISTINCT FROM q.decided_by_id LIMIT %s
"""
_TOLD = (
    (_NO_TENANT, "nothing says who made the tenant {key}"),
    (_NO_RUN, "tenant {tenant}: nothing says how run {key} of {what} came to be"),
    (_NO_DECISION, "tenant {tenant}: nothing says that {what} decided request {key}"),
    (
        _OTHERWISE,
        "tenant {tenant}: request {key} was decided otherwise, or by somebody else, than the record says ({what})",
    ),
)
