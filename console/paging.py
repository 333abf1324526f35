"""Lists by cursor: newest first, a page at a time, stable while rows are added."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

M = TypeVar("M", bound=Model)

LIMIT = 50
MAX_LIMIT = 200


class BadCursor(ValueError):
    """The cursor is none that a list has given out."""


def page(rows: QuerySet[M], cursor: str | None, limit: int) -> tuple[list[M], str | None]:
    """The rows after ``cursor``, newest first by (created_at, id), and the cursor of the next page. Raises BadCursor."""
    found: list[Any] = list(behind(rows, cursor)[: limit + 1])
    if len(found) <= limit:
        return found, None
    last = found[limit - 1]
    return found[:limit], at(last.created_at, last.id)


def behind(rows: QuerySet[M], cursor: str | None) -> QuerySet[M]:
    """All rows after ``cursor``, in the order of ``page``. Raises BadCursor."""
    if cursor:
        moment, key = _decode(cursor)
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, id__lt=key))
    return rows.order_by("-created_at", "-id")


def at(moment: datetime, key: UUID) -> str:
    """The cursor behind the row that was created at ``moment`` and has the id ``key``."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()}|{key}".encode()).decode().rstrip("=")


def number(cursor: str | None) -> int:
    """The sequence number in a cursor; 0 without one. Raises BadCursor."""
    if not cursor:
        return 0
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 18:
        raise BadCursor("is not a cursor of this list")
    return int(cursor)


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, _, key = text.partition("|")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
        return moment, UUID(key)
    except (binascii.Error, ValueError) as error:
        raise BadCursor("is not a cursor of this list") from error
