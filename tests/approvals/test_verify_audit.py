"""verify_audit: the guards of the record, and deeds without one."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.db import connection, connections

from approvals import verify_audit
from approvals.actions import decide
from approvals.models import ApprovalRequest
from console.audit.models import AuditRecord
from console.runs.models import Run
from console.tenants.models import Tenant
from console.tenants.scopes import system_scope
from tests.approvals.desk import Desk, make_desk, refund
from tests.world import World


@pytest.fixture
def desk(world: World) -> Desk:
    return make_desk(world.northwind)


def test_what_was_recorded_is_valid(desk: Desk) -> None:
    _, (request,) = desk.waiting(refund(40.0))
    with desk.house.scope():
        decide(desk.house.reviewer.actor, request.pk, "approve")
    assert list(verify_audit.faults()) == []
    said = io.StringIO()
    call_command("verify_audit", "--json", stdout=said)
    assert json.loads(said.getvalue())["faults"] == 0 and json.loads(said.getvalue())["records"] > 3


def test_a_deed_without_a_record_is_named(desk: Desk) -> None:
    run, (request,) = desk.waiting(refund(40.0))
    with system_scope("a test"):
        Tenant.objects.create(slug="made-by-hand", name="By hand")
        Run.objects.filter(pk=run.pk).update(title="x")  # changes no deed
        other = Run.objects.get(pk=run.pk)
        other.pk = None
        other.save(force_insert=True)
        ApprovalRequest.objects.filter(pk=request.pk).update(status="decided", decided_by_name="Nobody")
    found = list(verify_audit.faults())
    assert any("made-by-hand" in each for each in found) and any(str(request.pk) in each for each in found), found
    assert any(str(other.pk) in each for each in found) and len(found) == 3
    said = io.StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("verify_audit", stdout=said)
    assert end.value.code == 1 and said.getvalue().count("BAD") == 3


def test_a_record_that_says_otherwise_is_named(desk: Desk) -> None:
    _, (request,) = desk.waiting(refund(40.0))
    with desk.house.scope():
        decide(desk.house.reviewer.actor, request.pk, "approve")
    with system_scope("a test"):
        ApprovalRequest.objects.filter(pk=request.pk).update(verdict="reject")
    (fault,) = verify_audit.faults()
    assert str(request.pk) in fault and "(approve)" in fault


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_guard_that_was_taken_away_is_named() -> None:
    owner = connections["owner"]
    for undo, redo, says in (
        ("ALTER TABLE {} DISABLE TRIGGER append_only", "ALTER TABLE {} ENABLE TRIGGER append_only", "switched off"),
        ("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", "ALTER TABLE {} FORCE ROW LEVEL SECURITY", "tenant wall"),
        ("GRANT DELETE ON {} TO sayso_app", "REVOKE DELETE ON {} FROM sayso_app", "sayso_app may DELETE"),
    ):
        try:
            with owner.cursor() as cursor:
                cursor.execute(undo.format(AuditRecord._meta.db_table))
            assert any(says in each for each in verify_audit.faults())
        finally:
            with owner.cursor() as cursor:
                cursor.execute(redo.format(AuditRecord._meta.db_table))
    connection.close()
    assert list(verify_audit.faults()) == []
