"""The database of a test is used as production uses it: as sayso_app, behind the wall."""

import pytest
from django.db import connections

from console.tenants import roles


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
