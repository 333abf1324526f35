"""The pages of people: who sees what, what the forms do, and what they refuse."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from console.audit.models import AuditRecord
from console.tenants import absences, actions, group_actions, groups
from console.tenants.models import Absence, Group, GroupMember, Membership, User
from tests.world import World, make_user

BAD = ["a\x00b", "9" * 400, "[" * 50_000, "NaN", "", "2026-02-31", "9999-12-31"]


def today(days: int = 0) -> str:
    return f"{timezone.now() + timedelta(days=days):%Y-%m-%d}"


def test_every_member_reads_and_only_admins_have_forms(world: World) -> None:
    north = world.northwind
    for path in ("/people/", f"/people/{north.reviewer2.user.id}/", "/groups/finance/"):
        for member in north.members:
            answer = member.client.get(path)
            assert answer.status_code == 200, (path, member.role)
            forms = re.findall(rb'<form[^>]* method="post" action="/(?:people|groups)/', answer.content)
            own = path.endswith("/") and str(member.user.id) in path
            assert bool(forms) == (member.role == "admin" or own), (path, member.role)
            assert member.client.head(path).content == b""
        assert north.admin.client.put(path).status_code == 405


def test_nobody_else_reads(world: World) -> None:
    north = world.northwind
    for path in (f"/people/{north.reviewer.user.id}/", f"/people/{uuid4()}/", "/groups/payers/", "/people/nonsense/"):
        with north.scope():
            group_actions.put_group(north.admin.actor, "payers")
        for do in ("role", "end", "groups", "away", "back", "save", "add", "delete"):
            assert world.fabrikam.admin.client.post(path, {"do": do}).status_code == 404
        assert world.fabrikam.admin.client.get(path).status_code == 404
    assert Client().get("/people/").status_code == 302
    assert world.stranger.get("/people/").status_code == 403
    with north.scope():
        assert Membership.objects.filter(active=True).count() == 4 and Group.objects.count() == 2


def test_the_list_says_who_is_who_and_finds_them(world: World) -> None:
    north = world.northwind
    page = north.operator.client.get("/people/").content.decode()
    assert page.count('class="title"') == 4 and "4 members · 1 group" in page and "reviewer.fabrikam" not in page
    for wanted, found in (("REVIEWER2", 1), ("finance", 2), ("admin", 1), ("nobody", 0), ("%", 0), ("\x00", 0)):
        page = north.operator.client.get("/people/", {"q": wanted}).content.decode()
        assert page.count('class="title"') == found, wanted
    assert "Nobody is like that" in page


def test_four_hundred_members_cost_as_many_queries_as_four(world: World, django_assert_num_queries: Any) -> None:
    north = world.northwind
    pages, costs = ("/people/", "/groups/finance/", f"/people/{north.reviewer.user.id}/"), []
    for path in pages:
        north.admin.client.get(path)
        with CaptureQueriesContext(connection) as asked:
            north.admin.client.get(path)
        costs.append(len(asked))
    with north.scope():
        users = User.objects.bulk_create([User(username=f"u{n}", first_name="N", password="!") for n in range(400)])
        Membership.objects.bulk_create([Membership(tenant=north.tenant, user=u, role="reviewer") for u in users])
        group = Group.objects.get(name="finance")
        GroupMember.objects.bulk_create([GroupMember(tenant=north.tenant, group=group, user=u) for u in users])
    assert max(costs) <= 19, costs
    for path, cost in zip(pages, costs, strict=True):
        with django_assert_num_queries(cost):
            assert north.admin.client.get(path).status_code == 200
    page = north.admin.client.get("/people/").content.decode()
    assert page.count('class="title"') == 300 and "104 more: search" in page


def test_a_first_password_is_in_one_answer(world: World) -> None:
    client = world.northwind.admin.client
    form = {"do": "invite", "username": "nia", "name": "Nia van Dijk", "email": "nia@x.example", "role": "reviewer"}
    answer = client.post("/people/", form)
    found = re.search(r'id="first-password">([a-z2-9]{5}-[a-z2-9]{5}-[a-z2-9]{5})<', answer.content.decode())
    assert found and answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    assert Client().post("/login/", {"username": "nia", "password": found[1]}).status_code == 302
    again = client.post("/people/", form)
    assert again.status_code == 422 and "a member already, as reviewer" in again.content.decode()
    assert found[1] not in client.get("/people/").content.decode() + client.get("/audit/").content.decode()
    with world.northwind.scope():
        assert not any(found[1] in str(row.detail) for row in AuditRecord.objects.all())
        actions.remove_member(world.northwind.admin.actor, User.objects.get(username="nia").id)
    back = client.post("/people/", form).content.decode()
    assert "with the password they had" in back and "first-password" not in back


def test_a_name_of_somebody_elsewhere_is_taken(world: World) -> None:
    form = {"do": "invite", "username": "reviewer.fabrikam", "role": "reviewer"}
    answer = world.northwind.admin.client.post("/people/", form)
    assert answer.status_code == 422 and "This user name is taken" in answer.content.decode()


def test_a_role_changes_and_a_membership_ends(world: World) -> None:
    north, member = world.northwind, world.northwind.reviewer
    path, admin = f"/people/{member.user.id}/", north.admin.client
    assert admin.post(path, {"do": "role", "role": "operator"}).status_code == 302
    assert "Starts, cancels and retries runs" in member.client.get(path).content.decode()
    assert admin.post(path, {"do": "end"}).status_code == 302
    assert member.client.get("/people/").status_code == 403
    assert "no member any more" in admin.get(path).content.decode()
    assert admin.post(path, {"do": "end"}).status_code == 404  # over already
    assert admin.post(path, {"do": "role", "role": "reviewer"}).status_code == 302
    assert member.client.get("/people/").status_code == 200
    for do in ({"do": "role", "role": "operator"}, {"do": "end"}):
        answer = admin.post(f"/people/{north.admin.user.id}/", do)
        assert answer.status_code == 409 and "the last admin of Northwind" in answer.content.decode()


def test_groups_are_made_filled_and_deleted(world: World) -> None:
    north = world.northwind
    admin, tenant_id = north.admin.client, north.tenant.id
    assert admin.post("/people/", {"do": "group", "group": "legal"})["Location"] == "/groups/legal/"
    assert admin.post("/people/", {"do": "group", "group": "legal"}).status_code == 422
    said = "Nobody can decide what asks for legal: add a reviewer."
    assert said in admin.get("/groups/legal/").content.decode()
    assert said in re.sub(r"<a [^>]*>|</a>", "", admin.get("/people/").content.decode())
    assert admin.post("/groups/legal/", {"do": "add", "username": "reviewer.northwind"}).status_code == 302
    assert said not in admin.get("/groups/legal/").content.decode()
    assert admin.post("/groups/legal/", {"do": "save", "description": "Contracts"}).status_code == 302
    path = f"/people/{north.reviewer2.user.id}/"
    assert admin.post(path, {"do": "groups", "groups": ["legal"]}).status_code == 302
    with north.scope():
        assert groups.of(north.reviewer2.actor) == {"legal"} and len(groups.members(tenant_id, "legal")) == 2
    assert admin.post("/groups/legal/", {"do": "remove", "username": "reviewer.northwind"}).status_code == 302
    assert admin.post("/groups/legal/", {"do": "remove", "username": "reviewer.northwind"}).status_code == 404
    assert admin.post("/groups/legal/", {"do": "delete"})["Location"] == "/people/#groups"
    assert admin.post("/groups/legal/", {"do": "delete"}).status_code == 404


def test_a_group_in_use_is_not_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_actions, "_checks", [lambda tenant, name: [f"a rule names {name}"]])
    answer = world.northwind.admin.client.post("/groups/finance/", {"do": "delete"})
    assert answer.status_code == 409 and "The group finance is in use: a rule names finance." in answer.content.decode()


def test_others_change_nothing(world: World) -> None:
    north = world.northwind
    path = f"/people/{north.reviewer2.user.id}/"
    forms: tuple[tuple[str, dict[str, str]], ...] = (
        ("/people/", {"do": "invite", "username": "new", "role": "admin"}),
        ("/people/", {"do": "group", "group": "new"}),
        (path, {"do": "role", "role": "admin"}),
        (path, {"do": "end"}),
        (path, {"do": "groups"}),
        (path, {"do": "away", "starts": today(), "ends": today(3), "delegate": "reviewer.northwind"}),
        ("/groups/finance/", {"do": "save", "description": "x"}),
        ("/groups/finance/", {"do": "add", "username": "admin.northwind"}),
        ("/groups/finance/", {"do": "remove", "username": "reviewer.northwind"}),
        ("/groups/finance/", {"do": "delete"}),
    )
    for member in (north.operator, north.reviewer):
        for place, form in forms:
            assert member.client.post(place, form).status_code == 403, (place, form, member.role)
    with north.scope():
        assert (Membership.objects.count(), GroupMember.objects.count(), Absence.objects.count()) == (4, 2, 0)


def test_a_reviewer_says_that_they_are_away_and_back(world: World) -> None:
    north, me = world.northwind, world.northwind.reviewer
    path = f"/people/{me.user.id}/"
    form = {"do": "away", "starts": today(), "ends": today(3), "delegate": "reviewer2.northwind"}
    assert me.client.post(path, form).status_code == 302
    with north.scope():
        [absence] = absences.open_ones(north.tenant.id)
        assert groups.standing_in(north.reviewer2.actor) == ["Reviewer"]
        assert (absence.starts.hour, absence.ends.hour, absence.ends - absence.starts) == (0, 0, timedelta(days=4))
    assert "stands in" in north.operator.client.get("/people/").content.decode()
    assert "Stands in for" in north.operator.client.get(f"/people/{north.reviewer2.user.id}/").content.decode()
    twice = me.client.post(path, form)
    assert twice.status_code == 422 and "end that one first" in twice.content.decode()
    assert north.reviewer2.client.post(path, {"do": "back", "absence": str(absence.id)}).status_code == 403
    assert me.client.post(path, {"do": "back", "absence": str(absence.id)}).status_code == 302
    with north.scope():
        assert groups.standing_in(north.reviewer2.actor) == []
    assert me.client.post(path, {"do": "back", "absence": str(absence.id)}).status_code == 409


def test_no_field_breaks_a_page(world: World) -> None:
    north = world.northwind
    client = north.admin.client
    client.raise_request_exception = False
    path = f"/people/{north.reviewer.user.id}/"
    forms: tuple[tuple[str, dict[str, str]], ...] = (
        ("/people/", {"do": "invite", "username": "", "name": "n", "email": "", "role": "admin"}),
        ("/people/", {"do": "group", "group": "", "description": "d"}),
        (path, {"do": "role", "role": ""}),
        (path, {"do": "groups", "groups": "finance"}),
        (path, {"do": "away", "starts": today(), "ends": today(1), "delegate": ""}),
        (path, {"do": "back", "absence": "x"}),
        (path, {"do": "what"}),
        ("/groups/finance/", {"do": "save", "description": "d"}),
        ("/groups/finance/", {"do": "add", "username": ""}),
        ("/groups/finance/", {"do": "remove", "username": ""}),
        ("/groups/finance/", {"do": "what"}),
    )
    broken = []
    for place, form in forms:
        for field in form:
            for bad in BAD:
                answer = client.post(place, {**form, field: bad})
                broken += [(place, form["do"], field, bad[:20])] if answer.status_code >= 500 else []
    broken += [bad[:20] for bad in BAD if client.get("/people/", {"q": bad, "saved": bad}).status_code >= 500]
    assert broken == []


def test_what_is_named_on_the_page_is_escaped(world: World) -> None:
    north = world.northwind
    with north.scope():
        user = make_user("odd")
        User.objects.filter(id=user.id).update(first_name="<script>alert(1)</script>")
        user.refresh_from_db()
        actions.add_member(north.admin.actor, user, "reviewer")
        group_actions.put_group(north.admin.actor, "finance", "<b>bold</b>", ["odd"])
    for path in ("/people/", f"/people/{user.id}/", "/groups/finance/"):
        page = north.admin.client.get(path).content.decode()
        assert "<script>alert" not in page and "<b>bold" not in page
