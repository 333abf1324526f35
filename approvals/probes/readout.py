"""Probes as page and API show them to admins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count

from approvals.probes import telling
from approvals.probes.defining import contents
from approvals.probes.models import Outcome, Planting, Probe
from console.tenants import access
from console.tenants.access import Actor

Json = Any
ENDS = [each for each in Outcome.values if each != Outcome.PLANTED]


def shown(actor: Actor, probes: Sequence[Probe]) -> list[dict[str, Json]]:
    """Each with what became of it so far; two queries for a whole list, whose workflows should be joined already."""
    mine = access.all(Planting, actor).filter(probe__in=[probe.pk for probe in probes])
    counts = {
        (probe_id, outcome): many
        for probe_id, outcome, many in mine.order_by().values_list("probe_id", "outcome").annotate(many=Count("pk"))
    }
    waiting = dict(mine.filter(outcome=Outcome.PLANTED).values_list("probe_id", "request_id"))
    return [
        {
            "id": str(probe.pk),
            "workflow": probe.workflow.slug,
            "name": probe.name,
            "tool": probe.tool,
            "agent": probe.agent,
            **contents(probe),
            "catches": probe.catches,
            "edit_field": probe.edit_field,
            "catch": telling.catch_words(probe),
            "rule": probe.rule_name,
            "per_week": probe.per_week,
            "next_at": probe.next_at,
            "author": probe.author_name,
            "created_at": probe.created_at,
            "withdrawn_at": probe.withdrawn_at,
            "withdrawn_by": probe.withdrawn_by_name,
            "waiting": str(waiting[probe.pk]) if probe.pk in waiting else None,
            "outcomes": {end: counts.get((probe.pk, end), 0) for end in ENDS},
        }
        for probe in probes
    ]
