"""One's own password, changed where one is logged in."""

from __future__ import annotations

import pytest
from django.test import Client

from console.audit.models import AuditRecord
from tests.world import PASSWORD, World

PAGE = "/you/password/"
NEW = "harbour-lantern-42"


def test_it_is_changed_and_other_sessions_end(world: World) -> None:
    member = world.northwind.reviewer
    other = Client()
    other.force_login(member.user)
    given = {"old": PASSWORD, "new": NEW, "again": NEW}
    assert member.client.post(PAGE, given).status_code == 302
    assert member.client.get("/queue/").status_code == 200
    assert other.get("/queue/").status_code == 302
    assert Client().login(username=member.user.username, password=NEW)
    with world.northwind.scope():
        assert AuditRecord.objects.filter(action="member.password", object_id=str(member.user.pk)).count() == 1
        assert NEW not in str(list(AuditRecord.objects.values()))


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [("wrong", NEW, NEW), (PASSWORD, NEW, "other"), (PASSWORD, "12345678", "12345678"), ("", "", "")],
)
def test_what_is_wrong_changes_nothing(world: World, old: str, new: str, again: str) -> None:
    member = world.northwind.reviewer
    answer = member.client.post(PAGE, {"old": old, "new": new, "again": again})
    assert answer.status_code == 422 and b"aria-invalid" in answer.content
    assert Client().login(username=member.user.username, password=PASSWORD)


def test_nobody_changes_it_without_being_logged_in(world: World) -> None:
    assert Client().post(PAGE, {"old": PASSWORD, "new": NEW, "again": NEW}).status_code == 302
