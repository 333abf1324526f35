"""What ``manage.py doctor`` says about notices."""

from __future__ import annotations

from django.conf import settings

from approvals.notices.models import Channel, ChannelKind, Delivery, DeliveryStatus, Subscription, Wants
from console.tenants.scopes import system_scope


def reached() -> str:
    """That what people want to be told can reach them. Raises LookupError with what to do where it cannot."""
    with system_scope("doctor: notices"):
        mail = Channel.objects.filter(kind=ChannelKind.EMAIL, active=True).count()
        mail += Subscription.objects.exclude(wants=Wants.OFF).count()
        dead = Delivery.objects.filter(status=DeliveryStatus.DEAD).count()
        late = Delivery.objects.filter(status=DeliveryStatus.FAILED).count()
    if mail and not settings.EMAIL_SET_UP:
        raise LookupError(f"{mail} channels or people want e-mail: set SAYSO_SMTP_URL and SAYSO_MAIL_FROM")
    if dead:
        raise LookupError(f"{dead} deliveries were given up: see the log of each channel under Channels")
    return f"none given up, {late} to be tried again"
