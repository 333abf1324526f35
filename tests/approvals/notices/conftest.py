"""A desk with channels."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest

from approvals.notices import actions
from approvals.notices.models import Channel, Delivery
from tests.approvals.conftest import committed, desk, woken
from tests.approvals.desk import Desk
from tests.approvals.notices.carrier import Post
from tests.world import world

__all__ = ["committed", "desk", "woken", "world"]

HOOK = "https://hooks.example.com/in/tok_very-secret-path"


@pytest.fixture(autouse=True)
def no_names_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests stay on the loopback: every name leads nowhere, and an address is what it is."""
    monkeypatch.setattr("console.workflows.egress._known", {})

    real = socket.getaddrinfo

    def look(host: str, *more: Any, **named: Any) -> Any:
        if host.replace(".", "").isdigit() or ":" in host:
            return real(host, *more, **named)
        raise OSError("no such name")

    monkeypatch.setattr("console.workflows.egress.socket.getaddrinfo", look)


@pytest.fixture(autouse=True)
def mail(settings: Any) -> None:
    """E-mail is set up; what is sent stays in Django's outbox."""
    settings.EMAIL_SET_UP = True
    settings.PUBLIC_URL = "https://sayso.example.com"


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def hook(desk: Desk) -> Channel:
    """A webhook of Northwind that hears everything."""
    return make(desk, "hook")


EVERYTHING = [
    "request.created", "request.reminded", "request.escalated", "request.decided", "request.expired", "run.ended",
]  # fmt: skip


def make(desk: Desk, name: str, **fields: Any) -> Channel:
    given = {"kind": "webhook", "address": HOOK, "events": EVERYTHING, **fields}
    with desk.house.scope():
        return actions.put_channel(desk.house.admin.actor, name, **given)[0]


@pytest.fixture
def deliveries(desk: Desk) -> Callable[[], list[Delivery]]:
    """Northwind's deliveries as they are now, oldest first."""

    def found() -> list[Delivery]:
        with desk.house.scope():
            return list(Delivery.objects.select_related("notice", "channel").order_by("created_at", "id"))

    return found
