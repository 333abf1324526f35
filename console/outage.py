"""What people and programs are told when a store is gone or a disk is full: a page, or a problem document, that says so.

The truth is in Postgres. Without it nothing can be shown or decided, and nothing is lost either: 503, and when to come
back. Without Valkey everything can still be read and decided; what suffers is speed, and pages say so in a line.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass

import redis
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.defaults import server_error

from console.once import once
from console.tenants.problems import problem

log = structlog.get_logger(__name__)

LOOK_EVERY = 2.0  # seconds between two looks at Valkey, of a process
SAY_EVERY = 60.0  # seconds between two lines of the log about the same outage
DISK_FULL = "53100"
READ_ONLY = "25006"
# Of SQL states: connection lost or refused, server stopping or starting, too many clients.
_AWAY = ("08", "57P", "53300")


@dataclass(frozen=True, slots=True)
class Outage:
    """What is wrong, as it is answered. ``wait`` is in seconds; ``sent`` says what became of what was sent."""

    name: str
    status: int
    wait: int
    title: str
    detail: str
    sent: str


AWAY = Outage(
    "database_away",
    503,
    5,
    "The database does not answer",
    "What was decided and recorded is kept, and runs go on where they were as soon as it is back.",
    # A transaction whose last word was lost may have been kept: that is for whoever sent it to look up.
    "Whether what you just sent was still taken is not known: look at it again before you repeat it.",
)
FULL = Outage(
    "disk_full",
    507,
    60,
    "The disk of the database is full",
    "Nothing can be written until there is room again; runs stand still meanwhile, and go on by themselves after that.",
    "What you just sent was not taken.",
)


def outage_of(error: BaseException | None) -> Outage | None:
    """The outage that an exception is a sign of; None where the fault is somewhere else."""
    while error is not None:
        if isinstance(error, DatabaseError):
            state = str(getattr(error.__cause__, "sqlstate", None) or getattr(error, "sqlstate", None) or "")
            if state == DISK_FULL or "No space left on device" in str(error):
                return FULL
            if state == READ_ONLY or state.startswith(_AWAY):
                return AWAY
            # A connection that could not be made, or that is gone, has no state.
            if not state and isinstance(error, (OperationalError, InterfaceError)):
                return AWAY
            return None
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def failed(request: HttpRequest) -> HttpResponse:
    """Django's handler500: the page of an outage where it was one, else the page that says that it is our fault."""
    found = outage_of(sys.exc_info()[1])
    api = request.path_info.startswith("/api/")
    if found is not None:
        return answer(found, api, request)
    if api:
        return problem(500, "Something went wrong here; nothing was changed.")
    return server_error(request)


def answer(outage: Outage, api: bool, request: HttpRequest) -> HttpResponse:
    """What an outage is answered with. No query is made for it."""
    _say(outage)
    headers = {"Retry-After": str(outage.wait), "Cache-Control": "no-store"}
    sent = request.method not in ("GET", "HEAD", "OPTIONS")
    if api:
        said = (
            f"{outage.detail} {outage.sent} With the same Idempotency-Key it happens once." if sent else outage.detail
        )
        return problem(outage.status, said, title=outage.title, headers=headers)
    page = loader.get_template("503.html").render({"outage": outage, "sent": sent, "request": request})
    return HttpResponse(page, status=outage.status, headers=headers)


_lock = threading.Lock()
_told: dict[str, float] = {}


def _say(outage: Outage) -> None:
    """One line a minute: pages and scripts come back every few seconds."""
    now = time.monotonic()
    with _lock:
        if now - _told.get(outage.name, -SAY_EVERY) < SAY_EVERY:
            return
        _told[outage.name] = now
    log.error(outage.name, says=outage.title)


# --- Valkey ----------------------------------------------------------------------------------------------------------

_looked: tuple[float, bool] = (-LOOK_EVERY, True)  # when, and whether it answered


def hints_work() -> bool:
    """Whether Valkey answered when this process last looked, which is at most LOOK_EVERY seconds ago."""
    global _looked
    now = time.monotonic()
    if now - _looked[0] < LOOK_EVERY:
        return _looked[1]
    _looked = (now, _looked[1])  # the others do not wait for this look
    try:
        found = bool(_client().ping())
    except (redis.RedisError, OSError):
        found = False
    _looked = (time.monotonic(), found)
    return found


@once
def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.3, socket_connect_timeout=0.3)
