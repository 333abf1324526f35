"""What ``manage.py doctor`` looks at: a check says in a sentence what is well, or raises with what is wrong and what helps.

``findings``  what a check found, and all of them one after another
``settings``  the role, migrations, keys, addresses
``stores``    versions, the clock, disks
``work``      queues, the sweeper, runs that nothing moves
"""

from __future__ import annotations

from collections.abc import Callable

from approvals.notices.doctoring import reached
from console import health
from console.doctoring import settings, stores, work

CHECKS: dict[str, Callable[[], str]] = {
    **health.CHECKS,
    "role": settings.role,
    "migrations": settings.migrations,
    "settings": settings.addresses,
    "keys": settings.keys,
    "versions": stores.versions,
    "clock": stores.clock,
    "disk": stores.disk,
    "queues": work.listened,
    "age": work.age,
    "sweeper": work.swept,
    "stuck": work.stuck,
    "notices": reached,
}
