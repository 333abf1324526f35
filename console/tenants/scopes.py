"""Who the database thinks is asking: scopes, each of which is (part of) one transaction.

tenant_scope(tenant)   rows of one tenant
system_scope(reason)   rows of every tenant, as a role of its own: claiming, sweeping, rollups
user_scope(user)       one person's memberships, before a tenant is known

Row-level security answers a query outside any scope with zero rows. Zero rows look like an answer, so an execute
wrapper raises UnscopedQuery instead whenever a walled table is named outside a scope.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from psycopg import OperationalError
from psycopg.errors import error_from_result
from psycopg.pq import DiagnosticField, Escaping, ExecStatus, TransactionStatus

from console.tenants.roles import APP, SYSTEM

log = logging.getLogger("sayso.system_scope")
_told: set[str] = set()

# What a user scope may read besides tables without a wall; see the member_wall policies in the first migration.
MEMBER_TABLES = frozenset({"tenants_membership", "tenants_tenant"})


class UnscopedQuery(RuntimeError):
    """A walled table was used outside the scope that shows its rows."""


class HasId(Protocol):
    @property
    def id(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Scope:
    """What one stretch of a transaction may see. ``key`` is a tenant's id, a user's id, or a reason."""

    kind: str  # tenant, system, user
    key: str

    @property
    def role(self) -> str:
        return SYSTEM if self.kind == "system" else APP


def current() -> Scope | None:
    """The innermost scope of this thread's connection, if any."""
    return getattr(connections[DEFAULT_DB_ALIAS], "sayso_scope", None)


def tenant_scope(tenant: HasId | UUID) -> AbstractContextManager[None]:
    """A context manager: one transaction that sees the rows of one tenant.

    Inside another scope it is part of that scope's transaction and narrows or changes what is seen until it ends. An
    exception that leaves it rolls the whole transaction back.
    """
    return _enter(Scope("tenant", str(tenant if isinstance(tenant, UUID) else tenant.id)))


def system_scope(reason: str) -> AbstractContextManager[None]:
    """A context manager: one transaction that sees every tenant's rows. The reason, a constant, is logged."""
    if not reason:
        raise ValueError("A system scope needs a reason.")
    # Workers claim many times a second: each reason is told once a process, and every time at level debug.
    log.log(logging.DEBUG if reason in _told else logging.INFO, "Acting as %s: %s", SYSTEM, reason)
    _told.add(reason)
    return _enter(Scope("system", reason))


def user_scope(user_id: UUID) -> AbstractContextManager[None]:
    """A context manager: one transaction that sees one user's memberships and their tenants, nothing else walled."""
    return _enter(Scope("user", str(user_id)))


@contextmanager
def _enter(scope: Scope) -> Iterator[None]:
    connection = connections[DEFAULT_DB_ALIAS]
    before: Scope | None = getattr(connection, "sayso_scope", None)
    within = connection.in_atomic_block
    # A scope that begins its transaction needs no savepoint, and neither does one inside another scope. Inside a
    # foreign transaction (a test's) the outermost scope takes one, so that its rollback stays its own.
    with transaction.atomic(savepoint=within and before is None):
        _tell(connection, scope, before)
        connection.sayso_scope = scope
        try:
            yield
        finally:
            connection.sayso_scope = before
        # Everything was set for this transaction only. Where the transaction goes on, put it back; where it is to be
        # rolled back, Postgres does.
        if within and not connection.needs_rollback:
            _tell(connection, before, scope)


def _tell(connection: Any, scope: Scope | None, before: Scope | None) -> None:
    """Set the role and the two settings that the policies read, in one round trip, for this transaction only."""
    role = scope.role if scope else APP
    calls, params = [], []
    if role != (before.role if before else APP):
        # By name, not by RESET: with a single outside login the session's role is not the login's.
        calls, params = ["set_config('role', %s, true)"], [role]
    calls += ["set_config('sayso.tenant', %s, true)", "set_config('sayso.user', %s, true)"]
    params += [scope.key if scope and scope.kind == kind else "" for kind in ("tenant", "user")]
    if _begin(connection, calls, params):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(calls), params)


def _begin(connection: Any, calls: list[str], params: list[str]) -> bool:
    """Begin the transaction and make the calls in one message; False where it has begun, or somebody reads along.

    Each answer that a thread waits for costs it the interpreter, and the next turn at it.
    """
    line = connection.connection
    if line.info.transaction_status != TransactionStatus.IDLE or line.isolation_level is not None:
        return False
    if connection.queries_logged or connection.execute_wrappers != [guard]:
        return False
    literal = Escaping(line.pgconn).escape_literal
    said = ("SELECT " + ", ".join(calls)).encode() % tuple(literal(each.encode()) for each in params)
    with connection.wrap_database_errors:
        result = line.pgconn.exec_(b"BEGIN; " + said)
        if result.status != ExecStatus.TUPLES_OK:
            known = result.error_field(DiagnosticField.SQLSTATE)  # nothing has one where the connection is lost
            raise error_from_result(result) if known else OperationalError(result.get_error_message())
    return True


# --- the guard -------------------------------------------------------------------------------------------------------


def install(connection: Any, **_: Any) -> None:
    """Guard the default connection. Called each time a connection is made; the guard stays for the wrapper's life."""
    if connection.alias == DEFAULT_DB_ALIAS and guard not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, guard)


def guard(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Raise UnscopedQuery where a walled table is named outside a scope that shows its rows."""
    scope: Scope | None = getattr(context["connection"], "sayso_scope", None)
    if scope is None or scope.kind == "user":
        text = sql if isinstance(sql, str) else sql.as_string(context["connection"].connection)
        allowed = MEMBER_TABLES if scope else frozenset()
        # TRUNCATE is not read by any policy; only the test suite's role may do it, between tests.
        if not text.startswith("TRUNCATE"):
            for table in _walled_pattern().findall(text):
                if table not in allowed:
                    raise UnscopedQuery(f"{table} was queried outside a tenant_scope or system_scope.")
    return execute(sql, params, many, context)


@functools.cache
def walled_tables() -> frozenset[str]:
    """The tables of every model with a tenant, and the tenants themselves."""
    tables = {"tenants_tenant"}
    for model in apps.get_models(include_auto_created=True):
        if any(field.column == "tenant_id" for field in model._meta.local_concrete_fields):
            tables.add(model._meta.db_table)
    return frozenset(tables)


@functools.cache
def _walled_pattern() -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(sorted(map(re.escape, walled_tables()))) + r")\b")
