"""``/metrics``: the figures as Prometheus reads them, for programs on this machine and for whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric

from console.live.consumers import FeedConsumer
from console.requests import BOUNDS, timings
from console.tenants.middleware import bearer_of
from telemetry.outwards import gauges
from telemetry.outwards.gauges import FRESH, Figures

REFUSED = (
    "Figures are given to programs on this machine, and to whoever sends Authorization: Bearer with the token that is"
    " set as SAYSO_METRICS_TOKEN (or in the file that SAYSO_METRICS_TOKEN_FILE names).\n"
)
# Written by proxies: a request that has one comes from elsewhere, whatever the address of its connection.
_RELAYED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class Kept:
    """The last figures, for FRESH seconds: however many monitors ask, the stores are asked once."""

    def __init__(self, measure: Callable[[int], Figures], clock: Callable[[], float] = time.monotonic) -> None:
        self._measure = measure
        self._clock = clock
        self._lock = threading.Lock()
        self._figures: Figures | None = None
        self._at = 0.0

    def get(self) -> Figures:
        """Those, or new ones."""
        with self._lock:
            if self._figures is None or self._clock() - self._at >= FRESH:
                self._figures = self._measure(settings.SAYSO_METRICS_TENANTS)
                self._at = self._clock()
            return self._figures


kept = Kept(gauges.measure)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus scrapes. 403 with the remedy for anybody else."""
    if not allowed(request):
        return HttpResponse(REFUSED, status=403, content_type="text/plain; charset=utf-8")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(kept.get()))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    answer = HttpResponse(encode(registry), content_type=content_type)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def allowed(request: HttpRequest) -> bool:
    """Whether figures may be given: to this machine itself, or for the token."""
    wanted, given = settings.SAYSO_METRICS_TOKEN, bearer_of(request.headers.get("Authorization", ""))
    if wanted and given and hmac.compare_digest(given.encode(), wanted.encode()):
        return True
    if any(name in request.headers for name in _RELAYED):
        return False
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class _Collected:
    """The figures as prometheus_client takes them."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        found = self._figures
        yield _gauge("sayso_up", "Whether a store answers", ["store"], {(k,): float(v) for k, v in found.up.items()})
        if found.up.get("postgres"):
            yield from self._of_postgres()
        if found.workers is not None:
            yield _gauge("sayso_workers", "Workers that are heard of", [], {(): found.workers})
        if found.swept is not None:
            about = "Seconds since what time does was done"
            yield _gauge("sayso_sweep_age_seconds", about, [], {(): found.swept})
        hub = getattr(FeedConsumer, "hub", None)  # set by the server
        yield _gauge("sayso_feed_sockets", "Websockets of this process", [], {(): 0 if hub is None else hub.sockets})
        yield _requests()

    def _of_postgres(self) -> Iterator[Metric]:
        found = self._figures
        yield _gauge("sayso_runs", "Runs that are not over", ["tenant", "status"], found.runs)
        ended = CounterMetricFamily(
            "sayso_runs_ended", "Runs that are over", labels=["tenant", "status", "stop_reason"]
        )
        for labels, many in sorted(found.ended.items()):
            ended.add_metric(labels, many)
        yield ended
        waiting = {labels: each[0] for labels, each in found.pending.items()}
        oldest = {labels: each[1] for labels, each in found.pending.items()}
        by = ["tenant", "kind"]
        yield _gauge("sayso_approvals_pending", "Requests that wait for people", by, waiting)
        yield _gauge("sayso_approvals_oldest_seconds", "How long the oldest of them has waited", by, oldest)
        depth = {(queue,): each[0] for queue, each in found.queues.items()}
        age = {(queue,): each[1] for queue, each in found.queues.items()}
        yield _gauge("sayso_queue_depth", "Runs that wait for a worker", ["queue"], depth)
        yield _gauge("sayso_queue_oldest_seconds", "How long the oldest of them has waited", ["queue"], age)
        leases = {(state,): many for state, many in found.leases.items()}
        yield _gauge("sayso_leases", "Runs that workers hold", ["state"], leases)
        if found.untold is not None:
            about = "How far the collector of traces is behind"
            yield _gauge("sayso_spans_untold_seconds", about, [], {(): found.untold})


def _gauge(name: str, about: str, labels: list[str], values: Mapping[Any, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _requests() -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "sayso_http_request_duration_seconds", "HTTP requests of this process", labels=["method", "route", "status"]
    )
    for key, (counts, seconds) in sorted(timings.all().items()):
        below, buckets = 0, []
        for bound, many in zip([*map(str, BOUNDS), "+Inf"], counts, strict=True):
            below += many
            buckets.append((bound, float(below)))
        family.add_metric(key, buckets, sum_value=seconds)
    return family
