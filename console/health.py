"""Whether this process lives, and whether what it needs is there."""

from __future__ import annotations

import logging
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from console.once import once

log = logging.getLogger("sayso.health")

HEARTBEATS = "sayso:worker:*"  # keys that live workers keep from expiring (console.hosting.leases)


@once
def _redis() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _broker() -> str:
    _redis().ping()
    return "ok"


def _worker() -> str:
    names = [key.decode().rpartition(":")[2] for key in _redis().scan_iter(HEARTBEATS, count=500)]
    if not names:
        raise LookupError("no worker has been heard of lately")
    return f"ok: {len(names)}"


CHECKS: dict[str, Callable[[], str]] = {"database": _database, "broker": _broker, "worker": _worker}


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while this process answers at all."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when every check is satisfied, otherwise 503; one entry per check either way."""
    found: dict[str, str] = {}
    good = True
    for name, check in CHECKS.items():
        try:
            found[name] = check()
        except (DatabaseError, redis.RedisError, LookupError) as error:
            good = False
            log.warning("not ready: %s: %s", name, error)
            # The driver's words may name hosts and users: those go to the log only.
            found[name] = str(error) if isinstance(error, LookupError) else "unreachable"
    answer = JsonResponse({"status": "ok" if good else "not ready", "checks": found}, status=200 if good else 503)
    answer.headers["Cache-Control"] = "no-store"
    return answer
