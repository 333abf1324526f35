"""``bench queue``: the queue's page, and how soon it hears of a change, with 1,000 and with 100,000 pending requests.

One tenant, four groups, three risks, dates spread over six weeks. A reviewer who is in two of the groups reads the page
over HTTP with a session's cookie (its own part, filters, the whole, the second page, a card); a socket listens while
requests are taken in hand and let go of, and hears when each change's transaction has ended. After the rows were made the
database's statistics are brought up to date, as autovacuum does within a minute. All clocks are this machine's; what is
measured includes the way over the loopback.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from django.db import connection, connections
from django.test import Client
from django.utils import timezone
from websockets.sync.client import connect

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console.bench import leavings
from console.bench.figures import ms, percentile
from console.bench.tenant import bench_actor, reviewer, reviewer_tokens, waiting_requests
from console.tenants import access, group_actions
from console.tenants.access import Actor
from console.tenants.models import User
from console.tenants.scopes import tenant_scope

SIZES = (1_000, 100_000)
GROUPS = ("", "bench-a", "bench-b", "bench-c")
ROUNDS, WARM, CHANGES = 60, 5, 60
TARGET = 0.100  # seconds, p95


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    actor = bench_actor()
    [template] = waiting_requests(actor, 1)
    reviewer, cookies = _reviewer(actor)
    [token] = reviewer_tokens(actor, 1)
    figures: dict[str, Any] = {}
    worst: dict[int, dict[str, float]] = {}
    try:
        for size in SIZES:
            _fill(actor, template, size)
            worst[size] = {}
            for name, times in {**_pages(cookies, template), "live_update": _live(actor, reviewer, token)}.items():
                worst[size][name] = percentile(times, 95)
                figures[f"{name}_at_{size}"] = {"p50_ms": ms(percentile(times, 50)), "p95_ms": ms(worst[size][name])}
    finally:
        leavings.clear(actor.tenant)
    small, large = SIZES
    ratios = {f"{name}_p95_to_{int(TARGET * 1000)}_ms": round(took / TARGET, 3) for name, took in worst[large].items()}
    ratios |= {f"{name}_flat": round(worst[large][name] / worst[small][name], 3) for name in worst[small]}
    return figures, ratios


def _pages(cookies: dict[str, str], template: UUID) -> dict[str, list[float]]:
    with httpx.Client(base_url=settings.PUBLIC_URL, cookies=cookies, timeout=60) as http:
        first = http.get("/queue/?whose=all")
        found = re.search(r'href="(\?[^"]*after=[^"]+)"', first.text)
        if first.status_code != 200 or found is None:
            raise RuntimeError(f"the queue's page is not as expected: {first.status_code}")
        paths = {
            "page_mine": "/queue/",
            "page_all": "/queue/?whose=all",
            "page_second": "/queue/" + found[1].replace("&amp;", "&"),
            "page_filtered": "/queue/?whose=mine&risk=low&kind=tool",
            "page_agent": "/queue/?whose=mine&agent=nobody",  # none of all of them
            "page_starter": "/queue/?whose=mine&starter=me",
            "page_mentions": "/queue/?whose=mine&mentions=me",
            "count": "/queue/?part=say",
            "card": f"/queue/{template}/",
        }
        return {name: _timed(lambda: http.get(path).raise_for_status()) for name, path in paths.items()}  # noqa: B023


def _timed(deed: Callable[[], object]) -> list[float]:
    times = []
    for number in range(ROUNDS + WARM):
        began = time.perf_counter()
        deed()
        if number >= WARM:
            times.append(time.perf_counter() - began)
    return times


def _live(actor: Actor, reviewer: Actor, token: str) -> list[float]:
    """From the end of a change's transaction to its frame on a socket."""
    with tenant_scope(actor.tenant):
        keys = list(
            access.all(ApprovalRequest, actor).filter(status="pending", group="").values_list("pk", flat=True)[:CHANGES]
        )
    address = settings.PUBLIC_URL.replace("http", "ws", 1) + "/ws/queue/?format=json"
    times = []
    with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        socket.recv(timeout=30)  # hello
        for key in keys:
            with tenant_scope(actor.tenant):
                approvals.claim(reviewer, key)
            ended = time.perf_counter()
            while json.loads(socket.recv(timeout=30))["data"].get("id") != str(key):
                pass
            times.append(time.perf_counter() - ended)
            with tenant_scope(actor.tenant):
                approvals.release(reviewer, key)
            socket.recv(timeout=30)
    return times


def _reviewer(actor: Actor) -> tuple[Actor, dict[str, str]]:
    """A reviewer who is in two of the groups, and a session of theirs."""
    person = reviewer(actor)
    with tenant_scope(actor.tenant):
        for name in GROUPS[1:]:
            group_actions.put_group(actor, name, members=[str(person.id)] if name != GROUPS[-1] else [])
    client = Client()
    client.force_login(User.objects.get(pk=person.id))
    cookie = client.cookies[settings.SESSION_COOKIE_NAME]
    return person, {cookie.key: cookie.value}


def _fill(actor: Actor, template: UUID, size: int) -> None:
    """As many copies of a request as are missing, of every group and risk."""
    with tenant_scope(actor.tenant):
        there = access.all(ApprovalRequest, actor).filter(status="pending").count()
        skip = (
            "id",
            "n",
            "group",
            "risk",
            "pressing",
            "created_at",
            "due_at",
            "falls",
            "next_at",
            "agenda",
            "rule_name",
        )
        columns = [field.column for field in ApprovalRequest._meta.concrete_fields if field.name not in skip]
        listed = ", ".join(f'"{column}"' for column in columns)
        with connection.cursor() as cursor:
            cursor.execute(
                _COPIES.format(columns=listed),
                {"groups": list(GROUPS), "now": timezone.now(), "first": there, "last": size - 1, "template": template},
            )
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE approvals_approvalrequest")


_COPIES = """
    INSERT INTO approvals_approvalrequest
        (id, n, "group", risk, pressing, created_at, due_at, falls, next_at, agenda, {columns})
    SELECT gen_random_uuid(), i, (%(groups)s::text[])[1 + i %% 4], (ARRAY['high', 'medium', 'low'])[1 + i %% 3], i %% 3,
        %(now)s - i * interval '1 second', due, COALESCE(due, '9999-01-01T00:00:00Z'), NULL, '[]', {columns}
    FROM approvals_approvalrequest,
        LATERAL (SELECT i, CASE WHEN i %% 5 = 0 THEN NULL ELSE %(now)s + (1 + i %% 60000) * interval '1 minute' END AS due
            FROM generate_series(%(first)s, %(last)s) AS i) AS copies
    WHERE id = %(template)s
"""
