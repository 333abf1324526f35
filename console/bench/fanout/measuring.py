"""Sockets on one web process, messages of 1 kB written to the feed, and how long each takes to reach each socket.

The web process is the product's own (``python -m console.web``), on the loopback, with the product's authentication of
sockets and its hub; events are published as the product publishes them, into the feed's table, with a hint on commit.
The time of a message is taken before its transaction begins, so what Postgres takes for it is in every figure.
SAYSO_BENCH_FANOUT="500,2000" sets the numbers of sockets, for a trial.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings

from console.bench.chaos.disasters import stop
from console.bench.figures import ms, percentile
from console.bench.tenant import bench_actor, free_port, reviewer_tokens
from console.runs import feed
from console.tenants.access import Actor
from console.tenants.scopes import tenant_scope
from console.up.processes import leash

SOCKETS = [int(each) for each in os.environ.get("SAYSO_BENCH_FANOUT", "500,2000").split(",")]
RATE = 20  # messages a second
SECONDS = 10
MEMBERS = 100  # service accounts that listen, each with as many sockets
SIZE = 1000  # bytes of a message, as it is sent
KEPT = 5.0  # seconds that stragglers get at the end
TARGETS = {500: 30.0, 2000: 100.0}  # ms at p99
_CLOCK = os.sysconf("SC_CLK_TCK")


def run() -> tuple[dict[str, Any], dict[str, float]]:
    """Measure; returns figures and ratios."""
    actor = bench_actor()
    tokens = reviewer_tokens(actor, MEMBERS)
    figures: dict[str, Any] = {"messages_a_second": RATE, "bytes": SIZE, "seconds": SECONDS}
    ratios: dict[str, float] = {}
    for sockets in SOCKETS:
        with _serving("console.web") as (pid, port):
            ours = _measure(actor, tokens, pid, port, sockets)
        with _serving("console.bench.fanout.stock") as (pid, port):
            stock = _measure(actor, tokens, pid, port, sockets)
        figures[f"{sockets}_sockets"], figures[f"{sockets}_sockets_stock"] = ours, stock
        ratios[f"p99_{sockets}_to_stock"] = round(ours["ms"]["p99"] / (stock["ms"]["p99"] or 1), 4)
        ratios[f"cpu_a_delivery_{sockets}_to_stock"] = round(
            ours["server_us_a_delivery"] / (stock["server_us_a_delivery"] or 1), 3
        )
        if sockets in TARGETS:
            ratios[f"p99_{sockets}_to_{TARGETS[sockets]:.0f}_ms"] = round(ours["ms"]["p99"] / TARGETS[sockets], 3)
    return figures, ratios


def _measure(actor: Actor, tokens: list[str], pid: int, port: int, sockets: int) -> dict[str, Any]:
    messages = RATE * SECONDS
    listeners = subprocess.Popen(
        [sys.executable, "-m", "console.bench.fanout.listeners"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=settings.BASE_DIR, preexec_fn=leash(),
    )  # fmt: skip
    assert listeners.stdin and listeners.stdout  # noqa: S101 - they are pipes
    try:
        asked = {
            "host": "127.0.0.1", "port": port, "path": "/ws/queue/?format=json", "tokens": tokens, "sockets": sockets,
            "messages": messages, "seconds": SECONDS + KEPT,
        }  # fmt: skip
        began = time.monotonic()
        listeners.stdin.write(json.dumps(asked) + "\n")
        listeners.stdin.flush()
        if listeners.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the {sockets} sockets could not all be opened; see above")
        opened = time.monotonic() - began
        time.sleep(1.0)  # the last of them are joining
        before = _cpu(pid)
        taken = _publish(actor, messages)
        found = json.loads(listeners.stdout.readline() or "{}")
        own, kernel = (now - then for now, then in zip(_cpu(pid), before, strict=True))
    finally:
        stop(listeners, 10)
    expected = sockets * messages
    delivered = found.pop("deliveries")
    return {
        "ms": found.pop("ms"),
        "delivered": delivered,
        "delivered_share": round(delivered / expected, 4),
        "gaps": found.pop("gaps"),
        "sockets_complete": found.pop("complete"),
        "server_cpu_s": {"own": round(own, 2), "kernel": round(kernel, 2)},
        "server_us_a_delivery": round((own + kernel) / max(delivered, 1) * 1e6, 2),
        "listeners_cpu_s": found.pop("cpu_s"),
        "write_ms": {"p50": ms(percentile(taken, 50)), "p99": ms(percentile(taken, 99))},
        "open_s": round(opened, 2),
    }


def _publish(actor: Actor, messages: int) -> list[float]:
    """Write so many events at an even pace; returns how long each took to be committed, in seconds."""
    topic = feed.queue_topic(actor.tenant.id)
    pad = "x" * (SIZE - 150)
    taken = []
    began = time.monotonic()
    for number in range(messages):
        time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        sent = time.monotonic_ns()
        with tenant_scope(actor.tenant):
            feed.publish(actor.tenant.id, topic, "note", {"sent": sent, "pad": pad})
        taken.append((time.monotonic_ns() - sent) / 1e9)
    return taken


@contextmanager
def _serving(module: str) -> Iterator[tuple[int, int]]:
    """A web process of its own on the loopback: its pid and port."""
    port = free_port()
    # Each connection is a line of its log, and nobody reads them.
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    server = subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port)],
        cwd=settings.BASE_DIR, stdout=log, stderr=log, preexec_fn=leash(),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and server.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.1)
        else:
            log.seek(0)
            raise RuntimeError(f"{module} did not start: {log.read().decode(errors='replace')[-2000:]}")
        yield server.pid, port
    finally:
        stop(server, 15)
        log.close()


def _cpu(pid: int) -> tuple[float, float]:
    """CPU seconds that a process has used, with all its threads: its own, and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / _CLOCK, int(fields[12]) / _CLOCK
