"""One migrated database of the run's own Postgres, which each worker of xdist copies: a migration costs some ten seconds."""

from __future__ import annotations

import os

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test.utils import setup_databases

NAME = "test_sayso_template"


def make(*, verbosity: int) -> None:
    """Migrate the template. Does nothing in a store that is not our own, where a worker migrates a database of its own."""
    if "SAYSO_TEST_SUPERUSER" not in os.environ:
        return
    for alias in ("default", "owner"):
        connections[alias].settings_dict["TEST"]["NAME"] = NAME
    setup_databases(verbosity=verbosity, interactive=False, aliases={"owner"})
    connections["owner"].close()  # nobody copies a database that somebody is connected to


def copy() -> list[tuple[BaseDatabaseWrapper, str, bool]] | None:
    """Make the test database of ``owner`` from the template and point the alias there; None where there is no template.

    Returns what Django's setup_databases would.
    """
    if "SAYSO_TEST_SUPERUSER" not in os.environ:
        return None
    owner = connections["owner"]
    before, name = owner.settings_dict["NAME"], owner.creation._get_test_db_name()
    with owner._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
        if cursor.fetchone() is None:
            return None
        quoted, template = (owner.ops.quote_name(each) for each in (name, NAME))
        cursor.execute(f"CREATE DATABASE {quoted} TEMPLATE {template} STRATEGY file_copy")
    owner.close()
    owner.settings_dict["NAME"] = name
    connections["default"].creation.set_as_test_mirror(owner.settings_dict)
    return [(owner, before, True)]
