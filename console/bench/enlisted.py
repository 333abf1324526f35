"""Importing this makes a worker one of a benchmark's crew: ``celery worker --include console.bench.enlisted``.

Its host lends what ``lent`` has; all else is the worker's own.
"""

from __future__ import annotations

from console.bench import lent
from console.hosting import host

host.Clients = lent.Lending  # type: ignore[misc]
lent.register()
