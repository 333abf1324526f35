"""Handing deliveries over: claimed for a while, sent with no transaction open, and their outcome recorded.

A delivery is claimed by moving its ``next_at`` forward, so a sender that dies gives it back by doing nothing. One that
dies between sending and recording has it sent again, under the same id: receivers tell repeated messages by that.

What says to people that a request waits is looked at once more just before: decided meanwhile, it is dropped.

Deliveries travel in lanes (one for each channel, one for the mail server), and no lane takes more than a few of a
process's places: what hangs holds up only its own.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import connection

from approvals import models
from approvals.models import RequestStatus
from approvals.notices import events, signing, spreading
from approvals.notices.answers import Answer
from approvals.notices.models import Channel, ChannelKind, Delivery, DeliveryStatus, Subscription, Wants
from approvals.notices.transports import Transports
from console.audit import log
from console.tenants import access, crypto, display
from console.tenants.display import Display
from console.tenants.models import Membership
from console.tenants.scopes import system_scope

errors = structlog.get_logger(__name__)

# Standard Webhooks asks for an exponential backoff over days, begun within seconds. Ours asks more often in the first
# hours, since a person may be waiting at the other end, and gives up after two days, when the request is history.
PAUSES = (5, 30, 120, 600, 3_600, 4 * 3_600, 12 * 3_600, 24 * 3_600)  # seconds
JITTER = 0.2  # of a pause, added at random: those who failed together do not come back together
LEASE = timedelta(minutes=2)  # longer than any transport takes
PLACES = 8  # deliveries that a process sends at once
ABREAST = 2  # of one lane
TRIES_KEPT = 12
PATIENCE = 60.0  # seconds after which a round takes nothing new
LOOK = 1.0  # seconds after which it looks for more while something is under way


@dataclass(frozen=True, slots=True)
class Parcel:
    """A claimed delivery with all that its transport needs, so that sending touches no database."""

    id: UUID
    tenant_id: UUID
    attempt: int
    lane: str
    kind: str
    message_id: str
    body: dict[str, str] = field(repr=False)
    to: Sequence[str] = field(default=(), repr=False)
    url: str = field(default="", repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    refusal: str = ""  # why it is not to be sent any more
    over: str = ""  # why there is nothing to send any more: what it says has come to its end


@dataclass(slots=True)
class Sender:
    """One process's sender. ``database`` runs a function where there is a connection to the database; ``clock`` says
    the time (UTC), ``dice`` a number from 0 to 1."""

    transports: Transports
    clock: Callable[[], datetime]
    dice: Callable[[], float]
    database: Callable[..., Any]
    stopped: bool = False

    def round(self) -> int:
        """Send all that is due; returns how many were handed over, taken or not."""
        under_way: dict[Future[tuple[Answer, dict[str, str], int]], Parcel] = {}
        done, began = 0, time.monotonic()
        with ThreadPoolExecutor(PLACES, thread_name_prefix="notice") as pool:
            while True:
                lanes = Counter(parcel.lane for parcel in under_way.values())
                full = [lane for lane, number in lanes.items() if number >= ABREAST]
                free = PLACES - len(under_way)
                if free and not self.stopped and time.monotonic() - began < PATIENCE:
                    self.database(spreading.spread, self.clock())
                    for parcel in self.database(claim, free, full, self.clock()):
                        under_way[pool.submit(self._carry, parcel)] = parcel
                if not under_way:
                    return done
                for ended in wait(under_way, LOOK, return_when=FIRST_COMPLETED).done:
                    parcel = under_way.pop(ended)
                    answer, sent, took = ended.result()
                    self.database(record, parcel, answer, sent, took, self.clock(), self.dice())
                    done += 1

    def _carry(self, parcel: Parcel) -> tuple[Answer, dict[str, str], int]:
        """The answer, what was sent besides the body, and the milliseconds that it took."""
        began, sent = time.monotonic(), {}
        try:
            if parcel.refusal or parcel.over:
                answer = Answer(False, said=parcel.refusal or parcel.over)
            elif parcel.kind == ChannelKind.WEBHOOK:
                sent = signing.headers(parcel.message_id, self.clock(), parcel.body["json"], parcel.secrets)
                answer = self.transports.post(parcel.url, sent, parcel.body["json"])
            elif parcel.kind == ChannelKind.CHAT:
                answer = self.transports.chat(parcel.url, parcel.body["subject"], parcel.body["text"])
            else:
                answer = self.transports.mail(parcel.to, parcel.body["subject"], parcel.body["text"], parcel.message_id)
        except (
            Exception
        ) as error:  # its text may hold the address; the delivery says that it failed, and is tried again
            errors.error("delivery_failed", delivery=str(parcel.id), error=type(error).__name__)
            answer = Answer(False, said=f"Sending failed ({type(error).__name__}).")
        return answer, sent, round((time.monotonic() - began) * 1000)


def claim(number: int, full: Sequence[str], now: datetime) -> list[Parcel]:
    """Take up to ``number`` deliveries that are due, of lanes that are not ``full``, for the time of a lease."""
    with system_scope("deliveries that are due"):
        with connection.cursor() as cursor:
            cursor.execute(
                _CLAIM, {"now": now, "until": now + LEASE, "full": list(full), "abreast": ABREAST, "number": number}
            )
            ids = [row[0] for row in cursor.fetchall()]
        rows = Delivery.objects.select_related("channel", "tenant", "notice").filter(pk__in=ids)
        found = list(rows.order_by("created_at", "id"))
        over, shown = _over(found), display.outside({row.tenant_id for row in found}) if found else {}
        return [_parcel(row, now, over.get(row.pk, ""), shown.get(row.tenant_id)) for row in found]


def record(parcel: Parcel, answer: Answer, sent: dict[str, str], took: int, now: datetime, dice: float) -> bool:
    """Write what became of an attempt. False: it was taken up again meanwhile, and that attempt's outcome counts."""
    with system_scope("the outcome of a delivery"):
        row = Delivery.objects.select_for_update().select_related(None).filter(pk=parcel.id).first()
        if row is None or row.attempts != parcel.attempt or row.status not in _OPEN:
            return False
        said = _without(answer.said, parcel)
        tries: list[dict[str, Any]] = tries_of(row)
        shown = {name: value if name != "webhook-signature" else "v1,… (not kept)" for name, value in sent.items()}
        tries.append({"at": now.isoformat(), "status": answer.status, "said": said, "ms": took, "headers": shown})
        row.sealed_tries = crypto.seal_json(row.tenant_id, "tries", tries[-TRIES_KEPT:])
        row.answered = answer.status
        if answer.ok:
            row.status, row.ended_at = DeliveryStatus.DELIVERED, now
        elif parcel.over and not parcel.refusal:
            row.status, row.ended_at = DeliveryStatus.DROPPED, now
        elif parcel.refusal or answer.gone or row.round >= len(PAUSES):
            row.status, row.ended_at = DeliveryStatus.DEAD, now
        else:
            pause = max(PAUSES[row.round] * (1 + JITTER * dice), min(answer.after, PAUSES[-1]))
            row.status, row.next_at = DeliveryStatus.FAILED, now + timedelta(seconds=pause)
            row.round += 1
        row.save(update_fields=["sealed_tries", "answered", "status", "ended_at", "next_at", "round"])
        if answer.gone and row.channel_id is not None:
            _gone(row)
    return True


def tries_of(row: Delivery) -> list[dict[str, Any]]:
    """The last attempts, oldest first."""
    if row.sealed_tries is None:
        return []
    found: list[dict[str, Any]] = crypto.unseal_json(row.tenant_id, "tries", row.sealed_tries)
    return found


def _gone(row: Delivery) -> None:
    """The receiver answered 410: it is not written to again until an admin says so."""
    because = "The receiver answered 410 Gone."
    off = Channel.objects.filter(pk=row.channel_id, tenant=row.tenant_id, active=True)
    if off.update(active=False, off_because=because):
        channel = Channel.objects.select_related("tenant").get(pk=row.channel_id, tenant=row.tenant_id)
        sayso = access.system_actor(channel.tenant)
        log.record(sayso, "channel.switched_off", "channel", channel.pk, name=channel.name, why=because)


def moot(row: Delivery, status: str | None) -> str:
    """Why a delivery is not sent any more whose request is in ``status`` (None: gone), or an empty text.

    Who is told that something waits must find it waiting. A webhook is told all the same: to it each notice is a fact,
    and the facts come whole and in their order.
    """
    webhook = row.channel is not None and row.channel.kind == ChannelKind.WEBHOOK
    if webhook or row.notice.event not in events.WAITING or status == RequestStatus.PENDING:
        return ""
    return _OVER.get(status or "", "Not sent: there is no such request any more.")


def _over(rows: Sequence[Delivery]) -> dict[UUID, str]:
    """By delivery, why it is not sent any more."""
    waiting = {row.notice.request_id for row in rows if row.notice.event in events.WAITING}
    if not waiting:
        return {}
    states = dict(models.ApprovalRequest.objects.filter(pk__in=waiting).values_list("pk", "status"))
    return {row.pk: moot(row, states.get(row.notice.request_id)) for row in rows}


def _parcel(row: Delivery, now: datetime, over: str, shown: Display | None) -> Parcel:
    """What a delivery needs on its way. One that cannot be opened is refused, not raised: others wait behind it."""
    about: dict[str, Any] = {
        "id": row.pk, "tenant_id": row.tenant_id, "attempt": row.attempts, "lane": row.lane,
        "message_id": row.message_id, "kind": ChannelKind.EMAIL, "over": over,
    }  # fmt: skip
    try:
        body = spreading.body_of(row, shown)
        more = _to_channel(row.channel, now) if row.channel is not None else _to_member(row)
        if about["lane"] == spreading.MAIL and not settings.EMAIL_SET_UP:
            more["refusal"] = "E-mail is not set up any more."
    except crypto.SealError as error:
        errors.error("delivery_unreadable", delivery=str(row.pk), error=type(error).__name__)
        return Parcel(**about, body={}, refusal="What was to be sent cannot be read.")
    return Parcel(**{**about, "body": body, **more})


def _to_channel(channel: Channel, now: datetime) -> dict[str, Any]:
    address = crypto.unseal_json(channel.tenant_id, "channel", channel.sealed_address)
    more: dict[str, Any] = {"kind": channel.kind, "to": address.get("to", ()), "url": address.get("url", "")}
    if channel.sealed_secrets is not None:
        secrets = crypto.unseal_json(channel.tenant_id, "channel.secret", channel.sealed_secrets)
        more["secrets"] = [secrets["current"]]
        if secrets.get("previous") and channel.previous_until and channel.previous_until > now:
            more["secrets"].append(secrets["previous"])
    if not channel.active:
        more["refusal"] = "The channel was switched off."
    return more


def _to_member(row: Delivery) -> dict[str, Any]:
    """To a person, as long as they are one of us and still want it."""
    member = Membership.objects.select_related("user").filter(
        tenant=row.tenant_id, user=row.user_id, active=True, user__is_active=True
    )
    wanted = Subscription.objects.filter(tenant=row.tenant_id, user=row.user_id).exclude(wants=Wants.OFF).exists()
    found = member.first()
    if found is None or not wanted or not found.user.email:
        return {"refusal": "This person is not to be written to any more."}
    return {"to": [found.user.email]}


def _without(said: str, parcel: Parcel) -> str:
    """An excerpt without what must be known to nobody, should a receiver repeat it."""
    parts = re.split(r"[/?&=#]", parcel.url.partition("://")[2].partition("/")[2])
    for secret in (*parcel.secrets, parcel.url, *(part for part in parts if len(part) >= 8)):
        if secret:
            said = said.replace(secret, "…")
    return said


_OVER = {
    "decided": "Not sent: decided meanwhile.",
    "expired": "Not sent: it expired meanwhile.",
    "moot": "Not sent: its run ended meanwhile.",
}
_OPEN = (DeliveryStatus.PENDING, DeliveryStatus.FAILED)

# The candidates are counted by lane first, which no row lock allows; then locked, skipping what another process has.
_CLAIM = """
UPDATE approvals_delivery SET next_at = %(until)s, attempts = attempts + 1
WHERE id IN (
    SELECT id FROM approvals_delivery
    WHERE status IN ('pending', 'failed') AND next_at <= %(now)s AND id IN (
        SELECT id FROM (
            SELECT id, next_at, ROW_NUMBER() OVER (PARTITION BY lane ORDER BY next_at, id) AS place FROM (
                SELECT id, lane, next_at FROM approvals_delivery
                WHERE status IN ('pending', 'failed') AND next_at <= %(now)s AND lane <> ALL(%(full)s)
                ORDER BY next_at LIMIT 2000
            ) AS due
        ) AS placed
        WHERE place <= %(abreast)s ORDER BY next_at LIMIT %(number)s
    )
    FOR UPDATE SKIP LOCKED
)
RETURNING id
"""
