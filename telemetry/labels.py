"""What people read instead of an id: the name of a workflow, a tenant, a reviewer. One statement, and none for the rest."""

from __future__ import annotations

from collections.abc import Sequence

from telemetry.selecting import TENANT, ask

_SQL = {
    "workflow": "SELECT id::text, slug, name FROM workflows_workflow WHERE id = ANY(%s::uuid[])",
    TENANT: "SELECT id::text, slug, name FROM tenants_tenant WHERE id = ANY(%s::uuid[])",
    "reviewer": "SELECT DISTINCT ON (voter_id) voter_id::text, voter_id::text, voter_name FROM approvals_vote"
    " WHERE voter_id = ANY(%s::uuid[]) ORDER BY voter_id, at DESC",
}


def of(by: str, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(what a filter takes, what people read) for each key of a split. What is gone by now keeps its id."""
    found = {key: (key, key or _EMPTY.get(by, "")) for key in keys}
    if by in _SQL and keys:
        found |= {key: (name, label) for key, name, label in ask(_SQL[by], [list(keys)])}
    return found


_EMPTY = {"rule": "no rule", "group": "any reviewer", "topic": "no topic"}
