"""From a notice to its deliveries: which channels, and which people, asked to hear of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from approvals import models
from approvals.notices import audience, events, words
from approvals.notices.models import Channel, ChannelKind, Delivery, Notice, Subscription, Wants
from console.runs.models import Run
from console.tenants import crypto, display, groups
from console.tenants.display import Display
from console.tenants.models import Membership, User
from console.tenants.scopes import system_scope

errors = structlog.get_logger(__name__)

BATCH = 100
KEEP = timedelta(days=30)
MAIL = "email"  # the lane of everything that goes through the mail server


def spread(now: datetime) -> int:
    """Make the deliveries of what was noted; returns of how many notices. Two processes never take the same one."""
    with system_scope("notices to be spread"):
        waiting = Notice.objects.select_for_update(skip_locked=True).filter(spread_at__isnull=True)
        found = list(waiting.order_by("created_at")[:BATCH])
        made: list[Delivery] = []
        for notice in found:
            try:
                made += deliveries_of(notice, now)
            except Exception:  # one that cannot be spread must not keep all the others waiting, again and again
                errors.exception("notice_not_spread", notice=str(notice.pk))
        Delivery.objects.bulk_create(made)
        Notice.objects.filter(pk__in=[notice.pk for notice in found]).update(spread_at=now)
    return len(found)


def deliveries_of(notice: Notice, now: datetime) -> list[Delivery]:
    """The deliveries of a notice, not yet written."""
    channels = [each for each in Channel.objects.filter(tenant=notice.tenant_id, active=True) if wants(each, notice)]
    people = _people(notice) if settings.EMAIL_SET_UP else []
    if not channels and not people:
        return []
    title, rule = _named(notice)
    shown = display.outside([notice.tenant_id]).get(notice.tenant_id)
    if title and shown is not None:  # whoever reads a channel has no role here, so they see what everybody may
        title = shown.title(title) if shown.shown else ""
    made = [
        delivery(notice, now, title if channel.include_title else "", rule, channel=channel)
        for channel in channels
        if channel.kind != ChannelKind.EMAIL or settings.EMAIL_SET_UP
    ]
    return made + [delivery(notice, now, "", rule, user=user) for user in people]


def delivery(
    notice: Notice, now: datetime, title: str, rule: str, *, channel: Channel | None = None, user: User | None = None
) -> Delivery:
    """One delivery, with the body that every attempt will send; and ``bare``, what is sent without the title, should the
    organisation come to hide it before the last of them."""
    group = str(notice.facts.get("group") or "")
    nobody = notice.event in events.WAITING and bool(groups.empty(notice.tenant_id, [group] if group else []))
    about = words.About(notice.event, notice.created_at, notice.facts, title, rule, nobody)
    webhook = channel is not None and channel.kind == ChannelKind.WEBHOOK
    body: dict[str, Any] = _body(about, webhook)
    if title:
        body |= {"title": title, "bare": _body(replace(about, title=""), webhook)}
    return Delivery(
        tenant_id=notice.tenant_id,
        notice=notice,
        channel=channel,
        user_id=user.pk if user is not None else None,
        lane=MAIL if channel is None or channel.kind == ChannelKind.EMAIL else channel.pk.hex,
        next_at=now,
        created_at=now,
        sealed_body=crypto.seal_json(notice.tenant_id, "notice", body),
    )


def body_of(row: Delivery, shown: Display | None) -> dict[str, str]:
    """What is to be sent now, where the organisation shows to the outside (None: everything) what it does."""
    body: dict[str, Any] = crypto.unseal_json(row.tenant_id, "notice", row.sealed_body)
    title, bare = body.pop("title", ""), body.pop("bare", body)
    return body if shown is None or shown.title(title) == title else bare


def _body(about: words.About, webhook: bool) -> dict[str, str]:
    if webhook:
        return {"json": words.body(about)}
    subject, text = words.letter(about)
    return {"subject": subject, "text": text}


def wants(channel: Channel, notice: Notice) -> bool:
    """Whether a channel hears of it. A run has no group and no risk, so only its workflow counts for its end;
    of an alert, its workflow and its severity."""
    facts = notice.facts
    if notice.event not in channel.events:
        return False
    if channel.workflows and facts.get("workflow") not in channel.workflows:
        return False
    if notice.event in events.ALERTS:  # its severity is in the words of a risk; of several, what is worst
        return not channel.risks or facts.get("risk", "") in channel.risks
    if notice.request_id is None:
        return True
    if channel.groups and facts.get("group", "") not in channel.groups:
        return False
    return not channel.risks or facts.get("risk", "") in channel.risks


def prune(now: datetime) -> int:
    """Forget notices and deliveries older than KEEP, of every tenant; returns how many deliveries."""
    with system_scope("prune notices"), connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM approvals_delivery d USING approvals_notice n WHERE n.id = d.notice_id AND n.created_at < %s",
            [now - KEEP],
        )
        gone: int = cursor.rowcount
        cursor.execute("DELETE FROM approvals_notice WHERE created_at < %s", [now - KEEP])
    return gone


def _people(notice: Notice) -> Iterable[User]:
    """Who is written to: those whom it waits for, who asked for it, and who may decide it (where nobody may, the admins
    who asked for it, for they can mend that); the admins who asked for it, of an alert; or those it is addressed to."""
    if notice.event == events.MENTIONED:
        return _addressed(notice)
    if notice.event in events.ALERTS:
        return audience.of_alerts(notice.tenant_id, str(notice.facts.get("risk") or ""))
    if notice.event not in events.WAITING:
        return []
    heard = [Wants.ALL, Wants.URGENT] if notice.event in events.URGENT else [Wants.ALL]
    asked: set[UUID] = set(
        Subscription.objects.filter(tenant=notice.tenant_id, wants__in=heard).values_list("user_id", flat=True)
    )
    if not asked:
        return []
    starter = Run.objects.filter(tenant=notice.tenant_id, pk=notice.run_id).values_list("started_by_id", flat=True)
    group = str(notice.facts.get("group") or "")
    whom = audience.helpers(notice.tenant_id, group)
    if not whom:
        asked -= set(starter)  # who started a run never approves it
        whom = audience.deciders(notice.tenant_id, group)
    return [user for user in whom if user.pk in asked and user.email]


def _addressed(notice: Notice) -> list[User]:
    """Whom a notice names, if they are members, who may all see every request, and asked for mail."""
    asked = Subscription.objects.filter(tenant=notice.tenant_id).exclude(wants=Wants.OFF).values("user_id")
    members = Membership.objects.filter(
        tenant=notice.tenant_id, user_id__in=notice.facts.get("whom") or [], active=True, user__is_active=True
    )
    found = members.filter(user_id__in=asked).select_related("user").order_by("user__username")
    return [member.user for member in found if member.user.email]


def _named(notice: Notice) -> tuple[str, str]:
    """The title of what it tells of, and the name of the rule that asked; empty where there is none."""
    if notice.request_id is not None:
        row = (
            models.ApprovalRequest.objects.filter(tenant=notice.tenant_id, pk=notice.request_id)
            .values_list("title", "rule")
            .first()
        )
        title, rule = row or ("", None)
        return title, str(rule.get("name") or "") if isinstance(rule, dict) else ""
    title = Run.objects.filter(tenant=notice.tenant_id, pk=notice.run_id).values_list("title", flat=True).first()
    return title or "", ""
