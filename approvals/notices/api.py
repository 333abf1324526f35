"""Channels and their deliveries over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import ConfigDict

from approvals.notices import actions, reading
from approvals.notices.models import Channel, Delivery
from console import paging
from console.tenants import access
from console.tenants.access import actor_of

router = Router(tags=["channels"])
_DELIVERIES = Delivery.objects.select_related("notice")
DeliveryState = Literal["", "pending", "delivered", "failed", "dead", "dropped"]


class ChannelIn(Schema):
    """``address``: e-mail addresses, an Apprise URL, or a webhook's URL. Empty keeps the one there is. Empty filters let
    everything through; ``include_title`` lets the titles of requests out, which agents wrote, as far as
    everyone in the organisation may see them."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["email", "chat", "webhook"]
    address: str | list[str] = ""
    events: list[str]
    groups: list[str] = []
    workflows: list[str] = []
    risks: list[str] = []
    include_title: bool = False
    active: bool = True


class ChannelOut(Schema):
    """``place`` is what may be said of the address. ``failing`` deliveries are tried again, ``dead`` ones are not."""

    name: str
    kind: str
    place: str
    events: list[str]
    groups: list[str]
    workflows: list[str]
    risks: list[str]
    include_title: bool
    active: bool
    off_because: str
    last_delivered_at: datetime | None
    waiting: int
    failing: int
    dead: int
    updated_at: datetime
    updated_by: str


class SavedChannelOut(ChannelOut):
    """``secret`` signs a webhook that is new. It is shown this once."""

    secret: str | None


class ChannelsOut(Schema):
    items: list[ChannelOut]
    next: str | None


class DeliveryOut(Schema):
    """``message_id`` is the webhook-id, the same at each attempt."""

    id: str
    message_id: str
    event: str
    request: str | None
    run: str | None
    status: str
    attempts: int
    answered: int | None
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None


class DeliveriesOut(Schema):
    items: list[DeliveryOut]
    next: str | None


class SecretOut(Schema):
    """The secret before signs besides for a day."""

    secret: str


@router.get("/channels", response=ChannelsOut, summary="All channels, without their addresses")
def list_channels(request: HttpRequest) -> Any:
    actor = actor_of(request)
    access.require(actor, "admin")
    return {"items": reading.channels(actor, access.all(Channel, actor).order_by("name")), "next": None}


@router.get("/channels/{name}", response=ChannelOut, summary="A channel, without its address")
def get_channel(request: HttpRequest, name: str) -> Any:
    actor = actor_of(request)
    access.require(actor, "admin")
    return reading.channels(actor, [access.get(Channel, actor, name=name)])[0]


@router.put("/channels/{name}", response=SavedChannelOut, summary="Make or replace a channel")
def put_channel(request: HttpRequest, name: str, body: ChannelIn) -> Any:
    actor = actor_of(request)
    given = body.dict()
    if isinstance(given["address"], list):
        given["address"] = "\n".join(given["address"])
    saved, secret = actions.put_channel(actor, name, **given)
    return {**reading.channels(actor, [saved])[0], "secret": secret or None}


@router.delete("/channels/{name}", response=ChannelOut, summary="Delete a channel and its log")
def delete_channel(request: HttpRequest, name: str) -> Any:
    return reading.channel(actions.delete_channel(actor_of(request), name), {})


@router.post("/channels/{name}/secret", response=SecretOut, summary="Give a webhook another secret")
def rotate_secret(request: HttpRequest, name: str) -> Any:
    return {"secret": actions.rotate(actor_of(request), name)}


@router.post("/channels/{name}/test", response=DeliveryOut, summary="Send a channel a test")
def test_channel(request: HttpRequest, name: str) -> Any:
    return reading.delivery(actions.test(actor_of(request), name))


@router.get("/channels/{name}/deliveries", response=DeliveriesOut, summary="What was sent to a channel, newest first")
def list_deliveries(
    request: HttpRequest,
    name: str,
    status: DeliveryState = "",
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=paging.MAX_LIMIT)] = paging.LIMIT,
) -> Any:
    actor = actor_of(request)
    access.require(actor, "admin")
    rows = access.all(_DELIVERIES, actor).filter(channel=access.get(Channel, actor, name=name))
    found, after = paging.page(rows.filter(status=status) if status else rows, cursor, limit)
    return {"items": [reading.delivery(row) for row in found], "next": after}


@router.post("/deliveries/{delivery_id}/redeliver", response=DeliveryOut, summary="Send a delivery again, under its id")
def redeliver(request: HttpRequest, delivery_id: str) -> Any:
    return reading.delivery(actions.redeliver(actor_of(request), delivery_id))
