"""Channels and deliveries as pages and API show them. No address and no secret is among it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Max, Q

from approvals.notices import sending, spreading
from approvals.notices.models import Channel, ChannelKind, Delivery, DeliveryStatus
from console.tenants import access, crypto, display
from console.tenants.access import Actor

_FILTERS = ("events", "groups", "workflows", "risks")
_BAD = [DeliveryStatus.FAILED, DeliveryStatus.DEAD]


def channels(actor: Actor, rows: Iterable[Channel]) -> list[dict[str, Any]]:
    """Each with what became of its deliveries."""
    found = list(rows)
    counted = (
        access.all(Delivery, actor)
        .filter(channel__in=[row.pk for row in found])
        .values("channel_id")
        .annotate(
            delivered=Max("ended_at", filter=Q(status=DeliveryStatus.DELIVERED)),
            failing=Count("id", filter=Q(status=DeliveryStatus.FAILED)),
            dead=Count("id", filter=Q(status=DeliveryStatus.DEAD)),
            waiting=Count("id", filter=Q(status=DeliveryStatus.PENDING)),
        )
    )
    states = {row["channel_id"]: row for row in counted}
    return [channel(row, states.get(row.pk, {})) for row in found]


def channel(row: Channel, state: dict[str, Any]) -> dict[str, Any]:
    """One channel. ``place`` says where it leads as far as that may be said."""
    return {
        "id": str(row.pk),
        "name": row.name,
        "kind": row.kind,
        "place": row.place,
        **{name: getattr(row, name) for name in _FILTERS},
        "include_title": row.include_title,
        "active": row.active,
        "off_because": row.off_because,
        "last_delivered_at": state.get("delivered"),
        "waiting": state.get("waiting", 0),
        "failing": state.get("failing", 0),
        "dead": state.get("dead", 0),
        "previous_until": row.previous_until,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
    }


def recipients(row: Channel) -> list[str]:
    """The addresses of a mail channel: its admins typed them, and may look at them again."""
    if row.kind != ChannelKind.EMAIL:
        return []
    found: list[str] = crypto.unseal_json(row.tenant_id, "channel", row.sealed_address)["to"]
    return found


def delivery(row: Delivery) -> dict[str, Any]:
    """One delivery in a list."""
    return {
        "id": str(row.pk),
        "message_id": row.message_id,
        "event": row.notice.event,
        "request": str(row.notice.request_id) if row.notice.request_id else None,
        "run": str(row.notice.run_id) if row.notice.run_id else None,
        "status": row.status,
        "attempts": row.attempts,
        "answered": row.answered,
        "next_at": row.next_at if row.status in (DeliveryStatus.PENDING, DeliveryStatus.FAILED) else None,
        "created_at": row.created_at,
        "ended_at": row.ended_at,
    }


def in_full(row: Delivery) -> dict[str, Any]:
    """One delivery with what is sent and every answer that is kept, newest first."""
    body = spreading.body_of(row, display.outside([row.tenant_id]).get(row.tenant_id))
    tries = sending.tries_of(row)
    return {
        **delivery(row),
        "body": body.get("json") or f"{body.get('subject', '')}\n\n{body.get('text', '')}",
        "is_json": "json" in body,
        "headers": tries[-1]["headers"] if tries else {},
        "tries": tries[::-1],
        "may_repeat": row.status != DeliveryStatus.DROPPED and (row.status in _BAD or row.attempts > 0),
    }
