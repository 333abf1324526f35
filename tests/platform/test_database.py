"""The database of a test is used as production uses it: as sayso_app, behind the wall."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from django.test import TransactionTestCase

from console.audit.models import AuditRecord
from console.tenants import roles
from console.tenants.scopes import system_scope


@pytest.mark.django_db
def test_a_test_acts_as_the_application_role_on_a_test_database():
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT current_user, current_database()")
        role, name = cursor.fetchone()
    assert role == "sayso_app"
    assert name.startswith("test_")


@pytest.mark.django_db(transaction=True)
def test_transactional_tests_can_flush():
    roles.assert_app_role()


class _Ended(TransactionTestCase):
    """A test that is over."""

    databases = {"default"}


@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_of_a_test_that_committed(world):
    assert world.northwind.admin.client.get("/queue/").status_code == 200  # a session, too
    with system_scope("a test counts rows"):
        assert AuditRecord.objects.exists()  # which no role of the product may delete
    kinds = ContentType.objects.count()
    _Ended()._fixture_teardown()
    with system_scope("a test counts rows"):
        left = {m._meta.label: m._base_manager.count() for m in apps.get_models(include_auto_created=True)}
    assert {label for label, rows in left.items() if rows} == {ContentType._meta.label, Permission._meta.label}
    assert left[ContentType._meta.label] == kinds
