"""What apps above this package keep in files of their own, beside the tenant's tools and workflows.

Approvals keeps rules and hours, stands above workflows, and cannot be asked for them by name: it says so when Django starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from console.tenants.access import Actor
from console.workflows.work import Work

Json = Any


@dataclass(frozen=True)
class Part:
    """One file: what a tenant has there, and how it becomes what the file says.

    ``title`` is what it holds, in words, as several things. ``known`` are the document's keys and their kinds. ``of`` is the
    document of what is stored, None where nothing ever was. ``put`` is given the file's document, without a key that is
    not known, and the stored one; faults, changes and notes go into the work.
    """

    file: str
    title: str
    known: Mapping[str, type]
    of: Callable[[Actor], dict[str, Json] | None]
    put: Callable[[Work, Mapping[str, Json], Mapping[str, Json] | None], None]


_parts: dict[str, Part] = {}


def use(part: Part) -> None:
    """Export and apply this file, too."""
    _parts[part.file] = part


def all() -> list[Part]:  # noqa: A001 - reads as parts.all()
    """Every part, in the order in which they are applied."""
    return list(_parts.values())
