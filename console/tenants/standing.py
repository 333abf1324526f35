"""Whether somebody still is what they were when their request came in: roles end at once, not with the session."""

from __future__ import annotations

from console import prepared
from console.tenants.access import Actor


def holds(actor: Actor) -> bool:
    """Whether the actor has their role in their tenant at this moment, and their token, if they came with one, still
    counts. Call inside a scope; one query."""
    if actor.kind == "system":
        return True
    with prepared.cursor() as cursor:
        cursor.execute(_HOLDS, {"tenant": actor.tenant.pk, "id": actor.id, "role": actor.role, "token": actor.token_id})
        found: bool = cursor.fetchone()[0]
    return found


_HOLDS = """
    SELECT (%(token)s::uuid IS NULL OR EXISTS (
            SELECT 1 FROM tenants_apitoken WHERE tenant_id = %(tenant)s AND id = %(token)s AND revoked_at IS NULL
                AND role = %(role)s))
        AND (EXISTS (
            SELECT 1 FROM tenants_membership WHERE tenant_id = %(tenant)s AND user_id = %(id)s::uuid AND active
                AND role = %(role)s)
        OR (%(token)s::uuid IS NOT NULL AND EXISTS (
            SELECT 1 FROM tenants_serviceaccount WHERE tenant_id = %(tenant)s AND id = %(id)s::uuid AND active)))
"""
