"""Statements that are sent often: Postgres reads and plans each once a connection, not once a call.

Django writes the values into the text of a statement, so that each is a new one; planning it takes three to ten times as
long as doing it, and as much again to write it. What goes through this cursor keeps its text, and Postgres its plan.

Name the columns, never ``*``: a plan whose result has changed shape fails after a migration. Cast what may be NULL.
"""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from django.db.backends.utils import CursorWrapper

AFTER = 1  # times that a connection sees a statement before Postgres keeps its plan


def cursor() -> CursorWrapper:
    """A cursor of the caller's transaction, as ``connection.cursor()`` with the same guards; use it as ``with``."""
    connection = connections[DEFAULT_DB_ALIAS]
    connection.validate_thread_sharing()
    connection.ensure_connection()
    line = connection.connection
    if line.prepare_threshold is None:  # as Django leaves it; its own cursors prepare nothing all the same
        line.prepare_threshold = AFTER
    with connection.wrap_database_errors:
        made = ServerBindingCursor(line)
    wrap = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    found: CursorWrapper = wrap(made)
    return found
