"""Scopes: what a transaction may see, and that nothing is seen outside one."""

import os
import socket
from uuid import uuid4

import pytest
from django.db import DatabaseError, OperationalError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg.pq import TransactionStatus

from console.tenants import scopes
from console.tenants.models import Credential, Membership, ServiceAccount, Tenant
from console.tenants.scopes import UnscopedQuery, system_scope, tenant_scope, user_scope


def settings_now():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, current_setting('sayso.tenant', true), current_setting('sayso.user', true)"
        )
        return tuple(value or "" for value in cursor.fetchone())


NOBODY = ("sayso_app", "", "")


def test_a_tenant_scope_shows_one_tenant(world):
    for house in world.houses:
        with house.scope():
            assert {each.tenant_id for each in Membership.objects.all()} == {house.tenant.id}
            assert [each.slug for each in Tenant.objects.all()] == [house.tenant.slug]
    assert settings_now() == NOBODY


def test_rows_cannot_be_written_into_another_tenant(world):
    with pytest.raises(ProgrammingError, match="row-level security"), world.northwind.scope():
        ServiceAccount.objects.create(tenant=world.fabrikam.tenant, name="spy")
    with world.northwind.scope():
        assert Membership.objects.filter(tenant=world.fabrikam.tenant).update(active=False) == 0
        assert Membership.objects.filter(tenant=world.fabrikam.tenant).delete()[0] == 0


def test_a_foreign_key_cannot_point_into_another_tenant(world):
    service, _ = world.fabrikam.service()
    with world.northwind.scope(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tenants_apitoken (id, tenant_id, service_id, role, name, prefix, digest, created_at)"
            " VALUES (%s, %s, %s, 'admin', 'x', 'x', 'x', now())",
            [uuid4(), world.northwind.tenant.id, service.id],
        )
        with pytest.raises(DatabaseError, match="violates foreign key constraint .*_wall"), transaction.atomic():
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    "query",
    [
        lambda: list(Membership.objects.all()),
        lambda: Credential.objects.exists(),
        lambda: list(Membership.objects.iterator()),
        lambda: ServiceAccount.objects.create(tenant_id=uuid4(), name="x"),
        lambda: Credential.objects.all().delete(),
        lambda: Tenant.objects.count(),
        lambda: connection.cursor().execute("SELECT 1 FROM tenants_datakey"),
        lambda: connection.cursor().executemany("DELETE FROM audit_auditrecord WHERE id = %s", [[1]]),
    ],
)
def test_an_unscoped_query_raises(world, query):
    with pytest.raises(UnscopedQuery):
        query()


def test_a_user_scope_shows_that_users_memberships_alone(world):
    with world.fabrikam.scope():
        Membership.objects.create(tenant=world.fabrikam.tenant, user=world.northwind.reviewer.user, role="operator")
    with user_scope(world.northwind.reviewer.user.id):
        found = {(each.tenant.slug, each.role) for each in Membership.objects.select_related("tenant")}
        assert found == {("northwind", "reviewer"), ("fabrikam", "operator")}
        assert {each.slug for each in Tenant.objects.all()} == {"northwind", "fabrikam"}
        assert Membership.objects.update(role="admin") == 0  # shown, not given
        with pytest.raises(UnscopedQuery):
            ServiceAccount.objects.exists()
    with user_scope(world.outsider.id):
        assert not Membership.objects.exists()
        assert not Tenant.objects.exists()


def test_a_system_scope_shows_all_and_needs_a_reason(world):
    with system_scope("a test"):
        assert {each.tenant_id for each in Membership.objects.all()} == {house.tenant.id for house in world.houses}
        assert settings_now()[0] == "sayso_system"
    assert settings_now() == NOBODY
    with pytest.raises(ValueError, match="reason"):
        system_scope("")


def test_scopes_nest_and_are_restored(world):
    north, fab, user = world.northwind.tenant, world.fabrikam.tenant, world.outsider
    with tenant_scope(north):
        with system_scope("inside"):
            assert settings_now() == ("sayso_system", "", "")
            with tenant_scope(fab.id):
                assert settings_now() == ("sayso_app", str(fab.id), "")
                assert {each.tenant_id for each in Membership.objects.all()} == {fab.id}
            assert settings_now() == ("sayso_system", "", "")
            assert Membership.objects.count() == 8
        assert settings_now() == ("sayso_app", str(north.id), "")
        with user_scope(user.id):
            assert settings_now() == ("sayso_app", "", str(user.id))
        assert {each.tenant_id for each in Membership.objects.all()} == {north.id}
    assert scopes.current() is None
    assert settings_now() == NOBODY


def test_an_exception_rolls_back_and_leaves_no_scope_behind(world):
    with pytest.raises(RuntimeError), world.northwind.scope():
        ServiceAccount.objects.create(tenant=world.northwind.tenant, name="gone")
        with system_scope("inside"):
            raise RuntimeError
    assert scopes.current() is None
    assert settings_now() == NOBODY
    with world.northwind.scope():
        assert not ServiceAccount.objects.filter(name="gone").exists()


@pytest.mark.django_db(transaction=True)
def test_on_a_real_connection_too():
    """Without a test's transaction around it: the setting ends with the transaction, on commit and on rollback."""
    with pytest.raises(RuntimeError), system_scope("a test"):
        Tenant.objects.create(slug="lost", name="Lost")
        raise RuntimeError
    assert not connection.in_atomic_block
    assert settings_now() == NOBODY
    with system_scope("a test"):
        kept = Tenant.objects.create(slug="kept", name="Kept")
    assert settings_now() == NOBODY
    with tenant_scope(kept):
        assert [each.slug for each in Tenant.objects.all()] == ["kept"]
    assert settings_now() == NOBODY
    with system_scope("a test"):
        Tenant.objects.all().delete()


@pytest.fixture
def sent(monkeypatch):
    """What a scope sends in the message that begins its transaction."""
    found = []

    def begin(connection, calls, params):
        began = BEGIN(connection, calls, params)
        found.extend(params if began else ["by itself"])
        return began

    BEGIN = scopes._begin
    monkeypatch.setattr(scopes, "_begin", begin)
    return found


@pytest.mark.django_db(transaction=True)
def test_a_transaction_and_its_scope_begin_in_one_message(sent):
    with system_scope("a test"):
        assert connection.connection.info.transaction_status == TransactionStatus.INTRANS
        with tenant_scope(uuid4()):  # inside another, nothing begins
            assert settings_now()[0] == "sayso_app"
    assert sent[:3] == ["sayso_system", "", ""]
    assert sent[3:] == ["by itself"] * (len(sent) - 3)
    sent.clear()
    with CaptureQueriesContext(connection) as read_along, system_scope("a test"):
        assert settings_now() == ("sayso_system", "", "")
    assert sent[0] == "by itself"
    assert "set_config" in "".join(each["sql"] for each in read_along.captured_queries)
    sent.clear()
    with connection.execute_wrapper(lambda execute, *given: execute(*given)), system_scope("a test"):
        assert settings_now() == ("sayso_system", "", "")
    assert sent[0] == "by itself"


@pytest.mark.django_db(transaction=True)
def test_a_key_is_a_value_and_no_statement(sent):
    odd = "'; RESET ROLE; SELECT set_config('sayso.tenant', 'x', true); --\\%s"
    with scopes._enter(scopes.Scope("tenant", odd)):
        assert settings_now() == ("sayso_app", odd, "")
    assert sent == [odd, ""]
    assert settings_now() == NOBODY


@pytest.mark.django_db(transaction=True)
def test_a_scope_that_cannot_begin_says_why_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(scopes, "SYSTEM", "sayso_nobody")
    with pytest.raises(DatabaseError, match="sayso_nobody"), system_scope("a test"):
        raise AssertionError("it has not begun")
    monkeypatch.undo()
    assert scopes.current() is None
    with system_scope("a test"):
        assert settings_now() == ("sayso_system", "", "")


@pytest.mark.django_db(transaction=True)
def test_a_scope_on_a_lost_connection_says_so_as_any_statement_does():
    connection.ensure_connection()
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
    with pytest.raises(OperationalError), system_scope("a test"):
        raise AssertionError("it has not begun")
    connection.close()
    with system_scope("a test"):
        assert settings_now() == ("sayso_system", "", "")
