"""What changes channels, deliveries and what people want to hear. Each deed writes its audit row with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from approvals.errors import Conflict, Invalid
from approvals.models import ApprovalRequest
from approvals.notices import checking, events, sending, signing, spreading
from approvals.notices.models import Channel, ChannelKind, Delivery, DeliveryStatus, Notice, Subscription, Wants
from console.audit import log
from console.tenants import access, crypto
from console.tenants.access import Actor

NO_MAIL = "E-mail is not set up here: whoever runs this installation sets SAYSO_SMTP_URL and SAYSO_MAIL_FROM."


@transaction.atomic
def put_channel(
    actor: Actor,
    name: str,
    *,
    kind: str,
    address: str = "",
    events: Sequence[str] = (),
    groups: Sequence[str] = (),
    workflows: Sequence[str] = (),
    risks: Sequence[str] = (),
    include_title: bool = False,
    active: bool = True,
) -> tuple[Channel, str]:
    """Make or replace a channel; returns it, and the signing secret of a webhook that is new, which is shown this once.

    An empty ``address`` keeps the one there is, as long as the kind stays. Raises Forbidden, Invalid.
    """
    access.require(actor, "admin")
    checking.name(name)
    checking.kind(kind)
    fields: dict[str, Any] = {
        "kind": kind,
        "events": checking.events(events),
        "groups": checking.groups(groups),
        "workflows": checking.workflows(actor, workflows),
        "risks": checking.risks(risks),
        "include_title": include_title,
        "active": active,
        "off_because": "" if active else f"{actor.name} switched it off."[:300],
        "updated_by": actor.name[:200],
    }
    before = access.all(Channel, actor).select_for_update().filter(name=name).first()
    address = address.strip()
    if not address and (before is None or before.kind != kind):
        raise Invalid("address", "A new channel, or one of another kind, needs an address.")
    if address:
        found = checking.address(kind, address)
        fields["place"] = found.place
        fields["sealed_address"] = crypto.seal_json(actor.tenant.id, "channel", dict(found.sealed))
    secret = ""
    if kind == ChannelKind.WEBHOOK and (before is None or before.sealed_secrets is None):
        secret = signing.make_secret()
        fields["sealed_secrets"] = crypto.seal_json(actor.tenant.id, "channel.secret", {"current": secret})
    if kind != ChannelKind.WEBHOOK:
        fields |= {"sealed_secrets": None, "previous_until": None}
    if before is None:
        fields["created_by"] = actor.name[:200]
    channel, _ = Channel.objects.update_or_create(tenant=actor.tenant, name=name, defaults=fields)
    told = ("kind", "events", "groups", "workflows", "risks", "include_title", "active")
    log.record(
        actor, "channel.put", "channel", channel.pk,
        name=name, place=channel.place, address_changed=bool(address), **{each: fields[each] for each in told},
    )  # fmt: skip
    return channel, secret


@transaction.atomic
def switch(actor: Actor, name: str, on: bool) -> Channel:
    """Switch a channel on or off; again changes nothing. What is on its way to one that is off is given up."""
    access.require(actor, "admin")
    channel = access.get(Channel, actor, for_update=True, name=name)
    if channel.active != on:
        channel.active = on
        channel.off_because = "" if on else f"{actor.name} switched it off."[:300]
        channel.updated_by = actor.name[:200]
        channel.save(update_fields=["active", "off_because", "updated_by", "updated_at"])
        log.record(actor, "channel.switched_on" if on else "channel.switched_off", "channel", channel.pk, name=name)
    return channel


@transaction.atomic
def delete_channel(actor: Actor, name: str) -> Channel:
    """Delete a channel and its log. Raises Forbidden, NotFound."""
    access.require(actor, "admin")
    channel = access.get(Channel, actor, for_update=True, name=name)
    log.record(actor, "channel.deleted", "channel", channel.pk, name=name, kind=channel.kind, place=channel.place)
    key = channel.pk
    channel.delete()
    channel.pk = key
    return channel


@transaction.atomic
def rotate(actor: Actor, name: str) -> str:
    """Give a webhook another secret, returned this once; the one before signs besides for signing.OVERLAP.

    Raises Forbidden, NotFound, Conflict where there is nothing to sign with.
    """
    access.require(actor, "admin")
    channel = access.get(Channel, actor, for_update=True, name=name)
    if channel.sealed_secrets is None:
        raise Conflict("Only webhooks are signed: this channel has no secret.")
    secrets = crypto.unseal_json(channel.tenant_id, "channel.secret", channel.sealed_secrets)
    secret = signing.make_secret()
    kept = {"current": secret, "previous": secrets["current"]}
    channel.sealed_secrets = crypto.seal_json(channel.tenant_id, "channel.secret", kept)
    channel.previous_until = timezone.now() + signing.OVERLAP
    channel.save(update_fields=["sealed_secrets", "previous_until"])
    log.record(actor, "channel.secret_rotated", "channel", channel.pk, name=name, previous_until=channel.previous_until)
    return secret


@transaction.atomic
def test(actor: Actor, name: str) -> Delivery:
    """Send a channel a test, whatever events it has chosen. Raises Forbidden, NotFound, Conflict."""
    access.require(actor, "admin")
    channel = access.get(Channel, actor, name=name)
    if not channel.active:
        raise Conflict("This channel is switched off; switch it on first.")
    if channel.kind == ChannelKind.EMAIL and not settings.EMAIL_SET_UP:
        raise Conflict(NO_MAIL)
    now = timezone.now()
    facts = {"tenant": actor.tenant.name}
    notice = Notice.objects.create(tenant=actor.tenant, event=events.TEST, facts=facts, created_at=now, spread_at=now)
    made = spreading.delivery(notice, now, "", "", channel=channel)
    made.save(force_insert=True)
    log.record(actor, "channel.tested", "channel", channel.pk, name=name, delivery=str(made.pk))
    return made


@transaction.atomic
def redeliver(actor: Actor, delivery_id: UUID | str) -> Delivery:
    """Send a delivery again, under its id. Raises Forbidden, NotFound, Conflict."""
    access.require(actor, "admin")
    found = access.get(Delivery, actor, for_update=True, pk=delivery_id, channel__isnull=False)
    channel = access.get(Channel, actor, pk=found.channel_id)
    if not channel.active:
        raise Conflict("Its channel is switched off; switch it on first.")
    now = timezone.now()
    if found.status == DeliveryStatus.PENDING and found.attempts == 0:
        raise Conflict("It has not been sent once yet: it is on its way.")
    state = access.all(ApprovalRequest, actor).filter(pk=found.notice.request_id).values_list("status", flat=True)
    if found.notice.request_id is not None and sending.moot(found, state.first()):
        raise Conflict("It says that a request waits, which it does no more: there is nothing to send.")
    _again(access.all(Delivery, actor).filter(pk=found.pk), now)
    log.record(actor, "delivery.redelivered", "delivery", found.pk, channel=channel.name, was=found.status)
    return access.get(Delivery, actor, pk=found.pk)


@transaction.atomic
def redeliver_failed(actor: Actor, name: str, since: datetime | None = None) -> int:
    """Send again what a channel has not taken (and was made after ``since``); returns how many."""
    access.require(actor, "admin")
    channel = access.get(Channel, actor, name=name)
    if not channel.active:
        raise Conflict("This channel is switched off; switch it on first.")
    rows = access.all(Delivery, actor).filter(channel=channel, status__in=[DeliveryStatus.FAILED, DeliveryStatus.DEAD])
    if since is not None:
        rows = rows.filter(created_at__gte=since)
    number = _again(rows, timezone.now())
    log.record(actor, "channel.redelivered", "channel", channel.pk, name=name, deliveries=number)
    return number


@transaction.atomic
def subscribe(actor: Actor, wants: str) -> str:
    """What the actor, a person, wants to be written to about. Raises Forbidden, Invalid."""
    if actor.kind != "user" or actor.id is None:
        raise access.Forbidden("Only people are written to.")
    if wants not in Wants.values:
        raise Invalid("wants", f"Choose one of {', '.join(Wants.values)}.")
    Subscription.objects.update_or_create(tenant=actor.tenant, user_id=actor.id, defaults={"wants": wants})
    log.record(actor, "member.subscribed", "user", actor.id, wants=wants)
    return wants


def _again(rows: Any, now: datetime) -> int:
    """``attempts`` goes on counting: it fences what an attempt under way may still record."""
    number: int = rows.update(status=DeliveryStatus.PENDING, round=0, next_at=now, ended_at=None)
    return number
