"""How many calls a token may make: a count per token and minute, kept in Redis.

The limit protects the others; it is no security boundary. When Redis cannot be asked, calls go through.
"""

import time

import redis
import structlog
from django.conf import settings

from console.once import once

log = structlog.get_logger(__name__)

PER_MINUTE = 600
_WINDOW = 60  # seconds


def take(key: str, now: float | None = None, most: int | None = None) -> int | None:
    """Count one call against ``key``. None when it may go ahead, else the seconds after which to try again.

    ``most`` calls a minute; by default as many as a token has.
    """
    now = time.time() if now is None else now
    limit = getattr(settings, "SAYSO_RATE_LIMIT", PER_MINUTE) if most is None else most
    name = f"sayso:limit:{key}:{int(now // _WINDOW)}"
    try:
        with _client().pipeline(transaction=False) as pipe:
            pipe.incr(name)
            pipe.expire(name, 2 * _WINDOW)
            count, _ = pipe.execute()
    except redis.RedisError as error:
        log.warning("rate_limit_unavailable", error=str(error))
        return None
    return None if count <= limit else max(1, _WINDOW - int(now % _WINDOW))


@once
def _client() -> redis.Redis:
    # Waiting for the limiter must never cost more than the call it guards.
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
