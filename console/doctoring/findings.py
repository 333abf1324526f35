"""What a check found, and what helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import DatabaseError
from redis.exceptions import RedisError

from console.tenants import roles


class Ailing(LookupError):
    """Something is wrong; ``remedy`` is one sentence that says what to do."""

    def __init__(self, says: str, remedy: str) -> None:
        super().__init__(says)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Finding:
    """``says`` is what is there, well or not; ``remedy`` is empty where it is well."""

    name: str
    ok: bool
    says: str
    remedy: str = ""


# For checks that know only that something is wrong.
_REMEDIES = {
    "database": "Start Postgres, and see that DATABASE_URL leads to it.",
    "broker": "Start Valkey, and see that REDIS_URL leads to it.",
    "worker": "Start a worker: celery -A console.celery worker -P threads -Q runs.",
    "role": "Run `manage.py prepare_database` with a login that may make roles, then log in as that one or as sayso_app.",
    "notices": "Set up mail, or look at the log of each channel under Channels and send again what matters.",
}
_ELSE = "See the log of the process that says so."


def examine(checks: Mapping[str, Callable[[], str]]) -> list[Finding]:
    """What each check finds. None of them stops another: without a store, those that need it say that."""
    return [_one(name, check) for name, check in checks.items()]


def _one(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except Ailing as fault:
        return Finding(name, False, str(fault), fault.remedy)
    except (DatabaseError, RedisError, LookupError, ValueError, roles.WrongRole) as error:
        says = (str(error).strip().splitlines() or [type(error).__name__])[0]
        gone = "database" if isinstance(error, DatabaseError) else "broker" if isinstance(error, RedisError) else name
        return Finding(name, False, says, _REMEDIES.get(gone, _ELSE))
