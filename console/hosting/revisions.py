"""Revisions as a worker keeps them: they never change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

from console.runs.models import Run
from console.workflows import registry
from console.workflows.models import Revision


@lru_cache(maxsize=512)
def revision(revision_id: UUID) -> Revision:
    """A revision never changes, and neither do the slugs of its workflow and tenant. Call inside a scope."""
    return Revision.objects.select_related("workflow", "tenant").get(pk=revision_id)


@lru_cache(maxsize=512)
def tools(revision_id: UUID) -> frozenset[str]:
    """The tools of the catalogue that a revision's team may call. Call inside a scope."""
    return registry.names(revision(revision_id).body)


def today(run: Run, current_id: UUID | None) -> Mapping[str, Any] | None:
    """The body of the revision that new runs take, where that is another than the run's own: its denials hold here too."""
    return None if current_id in (None, run.revision_id) else revision(current_id).body
