"""The copied cast is the one that the product's actions make, and no test's is another's."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils import timezone

from console.audit.models import AuditRecord
from console.tenants import crypto
from console.tenants.scopes import system_scope
from tests.copies import Copies
from tests.world import HASHERS, copied_world, make_world

_OWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")


def _everything() -> dict[str, list[str]]:
    """Every row of every model, without what no two rows share: model to sorted rows."""
    found: dict[str, list[str]] = {}
    with system_scope("a test looks at everything"):
        for model in apps.get_models(include_auto_created=True):
            hidden = {"wrapped"} | ({"id"} if model is AuditRecord else set())
            rows = [{k: v for k, v in row.items() if k not in hidden} for row in model._base_manager.values()]
            texts = [json.dumps(row, cls=DjangoJSONEncoder) for row in rows]
            found[model._meta.label] = sorted(_OWN.sub("-", text) for text in texts)
    return found


def test_a_copy_has_the_rows_that_the_actions_make(db: None, cast: Copies, settings: Any) -> None:
    settings.PASSWORD_HASHERS = HASHERS
    seen = []
    for make in (make_world, lambda: copied_world(cast)):
        before = transaction.savepoint()
        make()
        seen.append(_everything())
        transaction.savepoint_rollback(before)
    made, copied = seen
    assert made == copied
    assert len(copied["tenants.User"]) == 9 and len(copied["tenants.Membership"]) == 8
    assert len(copied["tenants.DataKey"]) == 2 and len(copied["audit.AuditRecord"]) == 12


def test_two_copies_share_no_id_and_are_of_now(db: None, cast: Copies) -> None:
    seen = []
    for _ in range(2):
        before = transaction.savepoint()
        world = copied_world(cast)
        with world.northwind.scope():
            sealed = crypto.seal(world.northwind.tenant.id, "a field", b"hush")
            assert crypto.unseal(world.northwind.tenant.id, "a field", sealed) == b"hush"
        with system_scope("a test looks at the records"):
            records = list(AuditRecord.objects.all())
        people = {member.user.id for house in world.houses for member in house.members} | {world.outsider.id}
        tenants = {house.tenant.id for house in world.houses}
        assert {record.tenant_id for record in records} == tenants
        assert {record.object_id for record in records if record.object_type == "user"} < set(map(str, people))
        assert all(timezone.now() - timedelta(minutes=1) < record.at <= timezone.now() for record in records)
        seen.append(people | tenants)
        transaction.savepoint_rollback(before)
    assert len(seen[0]) == 11 and not seen[0] & seen[1]
