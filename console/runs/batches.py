"""Sending a transaction of prepared statements in one round trip, on the level of libpq.

The journal's writer sends the same few statements thousands of times. A cursor a statement, with its adaptation, its
poll and its system call, cost more than encoding and sealing the rows.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import pq
from psycopg.pq import ExecStatus, Format, TransactionStatus

Connection = psycopg.Connection[Any]
# SQL with $1 and so on, and its parameters: text, or an array from ``blobs``.
Statement = tuple[str, Sequence[bytes | None]]

_BYTEA = 17  # the type's oid
_OK = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_names: WeakKeyDictionary[Connection, dict[str, bytes]] = WeakKeyDictionary()
_numbers = count(1)


class Blobs(bytes):
    """An array of bytea in its binary form."""


def blobs(values: Sequence[bytes | None]) -> Blobs:
    """Byte strings as an array parameter."""
    head = struct.pack(">iiIii", 1, 1, _BYTEA, len(values), 1) if values else struct.pack(">iiI", 0, 0, _BYTEA)
    parts = [struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values]
    return Blobs(head + b"".join(parts))


def send(connection: Connection, statements: Sequence[Statement]) -> list[list[tuple[bytes | None, ...]]]:
    """Run the statements as one transaction, and give the rows of each, as text; durable when it returns.

    Raises psycopg's errors, for the first statement that failed; then nothing was written.
    """
    line = connection.pgconn
    try:
        wanted = _send(connection, statements)
        results = _receive(line, len(wanted))
        line.exit_pipeline_mode()
        failed = next((result for result in results if result.status not in _OK), None)
        if failed is not None:
            raise _error(failed)
    except psycopg.Error:
        _names.pop(connection, None)  # what was prepared may be gone with the transaction, or the connection
        if line.status != pq.ConnStatus.OK or line.pipeline_status != pq.PipelineStatus.OFF:
            connection.close()
        elif line.transaction_status != TransactionStatus.IDLE:
            connection.rollback()
        raise
    return [_rows(result) for rows, result in zip(wanted, results, strict=True) if rows]


def _send(connection: Connection, statements: Sequence[Statement]) -> list[bool]:
    """Queue the transaction on the line. For each result to come, whether its rows are wanted."""
    names, line = _names.setdefault(connection, {}), connection.pgconn
    line.enter_pipeline_mode()
    line.send_query_params(b"BEGIN", None)
    wanted = [False]
    for sql, parameters in statements:
        name = names.get(sql)
        if name is None:
            name = names[sql] = b"batch_%d" % next(_numbers)
            line.send_prepare(name, sql.encode())
            wanted.append(False)
        formats = [Format.BINARY if isinstance(each, Blobs) else Format.TEXT for each in parameters]
        line.send_query_prepared(name, parameters, formats)
        wanted.append(True)
    line.send_query_params(b"COMMIT", None)
    wanted.append(False)
    line.pipeline_sync()
    return wanted


def _receive(line: Any, expected: int) -> list[Any]:
    """The results of so many statements, and the end of the transaction behind them."""
    poll = select.poll()
    poll.register(line.socket, select.POLLIN)
    results: list[Any] = []
    while True:
        while line.flush():
            poll.modify(line.socket, select.POLLIN | select.POLLOUT)
            poll.poll()
            line.consume_input()
            poll.modify(line.socket, select.POLLIN)
        while line.is_busy():
            poll.poll()
            line.consume_input()
        result = line.get_result()
        if line.status != pq.ConnStatus.OK:
            raise psycopg.OperationalError(line.get_error_message())
        if result is None:  # between two statements
            continue
        if result.status == ExecStatus.PIPELINE_SYNC:
            break
        results.append(result)
    if len(results) != expected:
        raise psycopg.InterfaceError(f"{len(results)} results of {expected} statements")
    return results


def _rows(result: Any) -> list[tuple[bytes | None, ...]]:
    columns = range(result.nfields)
    return [tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)]


def _error(result: Any) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    try:
        kind = psycopg.errors.lookup(state)
    except KeyError:
        kind = psycopg.DatabaseError if state else psycopg.OperationalError
    return kind(result.get_error_message())
