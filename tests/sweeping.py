"""Empties the tables after a test that committed.

Django's flush truncates every table, each with new files for it and its indexes, and then makes every content type and
permission again. A superuser deletes what there is instead, past triggers, references and walls.
"""

from __future__ import annotations

import psycopg
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections
from psycopg import sql

PATIENCE = "60s"  # for a transaction that is still open after its test; Django would wait for ever


class Sweeper:
    """A connection of ``superuser`` to the test database that the alias ``owner`` points at."""

    def __init__(self, superuser: str) -> None:
        owner = connections["owner"]
        settings = owner.settings_dict
        kept = {model._meta.db_table for model in (ContentType, Permission)}  # as flush leaves them
        tables = sorted(set(owner.introspection.django_table_names(only_existing=True, include_views=False)) - kept)
        names = [sql.Identifier(table) for table in tables]
        # The lock, as TRUNCATE's: whoever has yet to commit does so before the rows are deleted, not after.
        lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.SQL(", ").join(names))
        self._script = sql.SQL("; ").join([lock, *(sql.SQL("DELETE FROM {}").format(name) for name in names)])
        self._connection = psycopg.connect(
            dbname=settings["NAME"],
            user=superuser,
            host=settings["HOST"] or settings["OPTIONS"].get("host"),
            options=f"-c session_replication_role=replica -c lock_timeout={PATIENCE}",
            autocommit=True,
        )

    def sweep(self) -> None:
        """Delete every row, in one transaction. Raises psycopg.errors.LockNotAvailable where a test still holds some."""
        self._connection.execute(self._script)

    def close(self) -> None:
        self._connection.close()
