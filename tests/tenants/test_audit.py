"""The audit record: written with the deed, and never changed."""

import pytest
from django.db import DatabaseError, ProgrammingError, connections, transaction

from console.audit import log
from console.audit.models import AuditRecord
from console.tenants.scopes import system_scope


def test_a_record_holds_ids_by_value(world):
    north = world.northwind
    with north.scope():
        row = log.record(north.operator.actor, "run.started", "run", north.tenant.id, workflow="refund-desk")
        row.refresh_from_db()
    assert (row.tenant_id, row.actor_kind, row.actor_id, row.actor_name) == (
        north.tenant.id, "user", north.operator.user.id, "Operator",
    )  # fmt: skip
    assert (row.action, row.object_type, row.object_id) == ("run.started", "run", str(north.tenant.id))
    assert row.detail == {"workflow": "refund-desk"}


def test_a_record_stands_or_falls_with_its_deed(world):
    north = world.northwind
    with pytest.raises(RuntimeError), north.scope():
        log.record(north.admin.actor, "lost", "x", 1)
        raise RuntimeError
    with north.scope():
        assert not AuditRecord.objects.filter(action="lost").exists()


def test_what_the_database_cannot_keep_is_replaced(world):
    north = world.northwind
    with north.scope():
        row = log.record(
            north.admin.actor, "odd", "tool", "a\x00" + "x" * 200, said=["a\x00b", {"\ud800": ("c", 1, None)}]
        )
        row.refresh_from_db()
    assert row.detail == {"said": ["a\ufffdb", {"?": ["c", 1, None]}]}
    assert row.object_id == "a\ufffd" + "x" * 98


def test_one_tenant_does_not_see_anothers(world):
    with world.fabrikam.scope():
        log.record(world.fabrikam.admin.actor, "secret", "x", 1)
    with world.northwind.scope():
        assert not AuditRecord.objects.filter(action="secret").exists()
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            log.record(world.fabrikam.admin.actor, "forged", "x", 1)


@pytest.mark.parametrize("as_system", [False, True])
@pytest.mark.parametrize(
    "change",
    [lambda rows: rows.update(actor_name="somebody else"), lambda rows: rows.delete()],
    ids=["update", "delete"],
)
def test_no_role_may_change_or_delete_a_record(world, change, as_system):
    scope = system_scope("a test") if as_system else world.northwind.scope()
    with scope:
        before = list(AuditRecord.objects.order_by("id").values())
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            change(AuditRecord.objects.all())
        assert list(AuditRecord.objects.order_by("id").values()) == before != []


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
@pytest.mark.parametrize(
    "statement", ["UPDATE audit_auditrecord SET actor_name = 'x'", "DELETE FROM audit_auditrecord"]
)
def test_a_trigger_stops_even_the_owner(world, statement):
    """The owner may take the wall down, on purpose; what it does not do is to change a record by mistake."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord NO FORCE ROW LEVEL SECURITY")
        try:
            cursor.execute("SELECT count(*) FROM audit_auditrecord")
            assert cursor.fetchone()[0] > 0
            with pytest.raises(DatabaseError, match="audit_auditrecord is append-only"):
                cursor.execute(statement)
        finally:
            cursor.execute("ALTER TABLE audit_auditrecord FORCE ROW LEVEL SECURITY")
