"""``bench decide``: 50 clients on 500 requests at once, over HTTP. Exactly 500 decisions, and none lost.

Each client is a service account with a token of its own, and goes through a share of the requests in an order of its
own, so that each request is said yes to by TRIES of them. The runs wait in a queue that no worker listens to: nothing
else moves them. Counted afterwards, in the database: decisions, votes, audit rows, and runs that were made ready.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import Any
from uuid import UUID

import httpx
from django.conf import settings
from django.db import connections

from approvals.models import ApprovalRequest, Vote
from console.audit.models import AuditRecord
from console.bench import leavings
from console.bench.figures import ms, percentile
from console.bench.tenant import bench_actor, reviewer_tokens, waiting_requests
from console.runs.models import Run
from console.tenants.scopes import tenant_scope

CLIENTS, REQUESTS, TRIES = 50, 500, 5
SEED = 4


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios. Raises RuntimeError when the count is not exact."""
    actor = bench_actor()
    tokens = reviewer_tokens(actor, CLIENTS)
    keys = waiting_requests(actor, REQUESTS)
    try:
        answers, spent = _decide(tokens, keys)
        with tenant_scope(actor.tenant):
            found = {
                "decided": ApprovalRequest.objects.filter(pk__in=keys, status="decided", verdict="approve").count(),
                "votes": Vote.objects.filter(request__in=keys, voided=False).count(),
                "audit_rows": AuditRecord.objects.filter(
                    tenant_id=actor.tenant.pk, action="request.decided", object_id__in=[str(key) for key in keys]
                ).count(),
                "runs_woken_once": Run.objects.filter(requests__in=keys, wake=1).count(),
            }
    finally:
        leavings.clear(actor.tenant)
    codes = Counter(code for code, _ in answers)
    figures: dict[str, Any] = {
        "clients": len(tokens),
        "requests": len(keys),
        "calls": len(answers),
        **found,
        "answered_201": codes[201],
        "answered_409": codes[409],
        "answered_otherwise": len(answers) - codes[201] - codes[409],
        "p50_ms": ms(percentile([took for _, took in answers], 50)),
        "p95_ms": ms(percentile([took for _, took in answers], 95)),
        "seconds": round(spent, 2),
    }
    wrong = {name: count for name, count in {**found, "answered_201": codes[201]}.items() if count != len(keys)}
    if wrong or figures["answered_otherwise"]:
        raise RuntimeError(f"not exactly {len(keys)} decisions: {wrong or figures['answered_otherwise']}")
    return figures, {"decided_to_requests": found["decided"] / len(keys)}


def _decide(tokens: list[str], keys: list[UUID]) -> tuple[list[tuple[int, float]], float]:
    """Every client at once; (status, seconds) of each call, and how long all of it took."""
    shares = random.Random(SEED)  # noqa: S311  # an order, not a secret
    lists: list[list[UUID]] = [[] for _ in tokens]
    for key in keys:
        for place in shares.sample(range(len(tokens)), TRIES):
            lists[place].append(key)
    barrier = threading.Barrier(len(tokens))
    answers: list[list[tuple[int, float]]] = [[] for _ in tokens]
    faults: list[BaseException] = []

    def client(place: int) -> None:
        mine = lists[place]
        random.Random(place).shuffle(mine)  # noqa: S311
        headers = {"Authorization": f"Bearer {tokens[place]}"}
        try:
            with httpx.Client(base_url=settings.PUBLIC_URL, headers=headers, timeout=60) as http:
                barrier.wait(60)
                for key in mine:
                    began = time.perf_counter()
                    answer = http.post(f"/api/v1/approvals/{key}/decisions", json={"verdict": "approve"})
                    answers[place].append((answer.status_code, time.perf_counter() - began))
        except BaseException as fault:  # handed to whoever waits for all
            faults.append(fault)

    threads = [threading.Thread(target=client, args=(place,)) for place in range(len(tokens))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connections.close_all()
    if faults:
        raise faults[0]
    return [one for some in answers for one in some], time.perf_counter() - began
