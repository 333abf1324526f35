"""Groups of people: who is in which, who can decide, who stands in, and what changes that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from console.audit.models import AuditRecord
from console.tenants import absences, access, actions, group_actions, groups, people_actions
from console.tenants.access import Actor, Forbidden, NotFound
from console.tenants.actions import Conflict, Invalid
from console.tenants.models import Absence, Group, GroupMember, Membership, User
from console.tenants.scopes import system_scope
from console.workflows import actions as workflows
from tests.agents.stage import agent, team
from tests.world import House, World

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def away(house: House, *, by: Actor | None = None, **more: Any) -> Absence:
    """The reviewer of a house is away from now on for a week, and the second one stands in."""
    wanted = {"starts": NOW, "ends": NOW + 7 * DAY, "delegate": house.reviewer2.user.id, "now": NOW, **more}
    return absences.put_absence(by or house.reviewer.actor, house.reviewer.user.id, **wanted)


def names(people: list[groups.Member]) -> list[str]:
    return [each.username for each in people]


def deeds(house: House, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    rows = access.all(AuditRecord, house.admin.actor).filter(action__startswith=prefix).order_by("id")
    return [(row.action, row.detail) for row in rows]


# --- who is in which -------------------------------------------------------------------------------------------------


def test_who_is_in_which(world: World) -> None:
    north = world.northwind
    with north.scope():
        group_actions.put_group(north.admin.actor, "board", "", [north.admin.user.id, "operator.northwind"])
        assert groups.names(north.tenant.id) == ["board", "finance"]
        assert groups.of(north.reviewer.actor) == {"finance"}
        assert groups.of(north.admin.actor) == {"board"}
        assert names(groups.members(north.tenant.id, "finance")) == ["reviewer.northwind", "reviewer2.northwind"]
        assert [each.role for each in groups.members(north.tenant.id, "board")] == ["admin", "operator"]
        assert groups.reviewers(north.tenant.id, "board") == groups.members(north.tenant.id, "nothing") == []
        assert groups.empty(north.tenant.id, ["finance", "board", "nothing"]) == {"board", "nothing"}
        assert groups.empty(north.tenant.id, []) == set()
        assert groups.everybody(north.tenant.id) == {
            name: groups.members(north.tenant.id, name) for name in ("board", "finance")
        }


def test_a_token_is_its_person_and_a_program_is_in_none(world: World) -> None:
    north = world.northwind
    service, _ = north.service()
    with north.scope():
        token = Actor(north.tenant, "reviewer", "token", north.reviewer.user.id, "Reviewer", uuid4())
        program = Actor(north.tenant, "reviewer", "token", service.id, "robot", uuid4())
        assert groups.of(token) == {"finance"}
        assert groups.of(program) == groups.of(north.system) == frozenset()
        with pytest.raises(Invalid, match="not a member"):
            group_actions.add_to_group(north.admin.actor, "finance", service.id)


def test_one_query_each(world: World, django_assert_num_queries: Any) -> None:
    north = world.northwind
    tenant_id = north.tenant.id
    with north.scope():
        readers: tuple[Callable[[], object], ...] = (
            lambda: groups.of(north.reviewer.actor),
            lambda: groups.members(tenant_id, "finance"),
            lambda: groups.reviewers(tenant_id, "finance"),
            lambda: groups.empty(tenant_id, ["finance", "x"]),
            lambda: groups.standing_in(north.reviewer2.actor, "finance"),
        )
        for read in readers:
            with django_assert_num_queries(1):
                read()


def test_another_tenants_groups_are_its_own_even_where_the_database_would_show_them(world: World) -> None:
    north, fabrikam = world.northwind, world.fabrikam
    with fabrikam.scope():
        actions.add_member(fabrikam.admin.actor, north.reviewer.user, "reviewer")
        group_actions.put_group(fabrikam.admin.actor, "secret", "", ["reviewer.northwind"])
    with system_scope("behind the wall"):
        assert groups.names(north.tenant.id) == ["finance"]
        assert groups.of(north.reviewer.actor) == {"finance"}
        assert groups.members(north.tenant.id, "secret") == []
        assert groups.empty(north.tenant.id, ["secret"]) == {"secret"}
        assert names(groups.reviewers(north.tenant.id, "finance")) == ["reviewer.northwind", "reviewer2.northwind"]
        with pytest.raises(NotFound):
            group_actions.delete_group(north.admin.actor, "secret")
        with pytest.raises(Invalid, match="not a member of Northwind"):
            group_actions.put_group(north.admin.actor, "finance", "", ["reviewer.fabrikam"])


def test_whoever_leaves_is_in_no_group_and_comes_back_to_none(world: World) -> None:
    north = world.northwind
    with north.scope():
        away(north)
        actions.remove_member(north.admin.actor, north.reviewer.user.id)
        assert groups.of(north.reviewer.actor, NOW) == groups.of(north.reviewer.actor) == frozenset()
        assert names(groups.members(north.tenant.id, "finance")) == ["reviewer2.northwind"]
        assert not Absence.objects.exists()
        assert deeds(north, "member.removed")[-1][1]["groups"] == ["finance"]
        actions.add_member(north.admin.actor, north.reviewer.user, "reviewer")
        assert groups.of(north.reviewer.actor) == frozenset()


def test_a_role_that_is_taken_away_ends_at_once(world: World) -> None:
    north, member = world.northwind, world.northwind.reviewer
    assert member.client.get("/people/").status_code == member.api.get("/api/v1/me").status_code == 200
    with north.scope():
        actions.add_member(north.admin.actor, member.user, "operator")
        assert groups.of(member.actor) == {"finance"}  # still in it, and decides nothing there
        assert names(groups.reviewers(north.tenant.id, "finance")) == ["reviewer2.northwind"]
    assert member.api.get("/api/v1/me").status_code == 401
    assert member.client.post(f"/queue/{uuid4()}/decide/", {"verdict": "approve"}).status_code in (403, 404)
    with north.scope():
        actions.remove_member(north.admin.actor, member.user.id)
    assert member.client.get("/people/").status_code == 403


# --- what changes them -----------------------------------------------------------------------------------------------


def test_a_group_comes_changes_and_goes(world: World) -> None:
    north = world.northwind
    admin = north.admin.actor
    with north.scope():
        before = len(deeds(north, "group."))
        group = group_actions.put_group(admin, "on-call", " Nights ", ["reviewer.northwind"])
        assert (group.description, names(groups.members(north.tenant.id, "on-call"))) == (
            "Nights",
            ["reviewer.northwind"],
        )
        assert group_actions.put_group(admin, "on-call", "Nights").id == group.id  # nothing changed, nothing recorded
        assert group_actions.add_to_group(admin, "on-call", "reviewer2.northwind")
        assert not group_actions.add_to_group(admin, "on-call", north.reviewer2.user.id)
        assert group_actions.remove_from_group(admin, "on-call", "reviewer.northwind")
        assert not group_actions.remove_from_group(admin, "on-call", "reviewer.northwind")
        group_actions.put_groups_of(admin, "reviewer.northwind", ["on-call"])
        assert groups.of(north.reviewer.actor) == {"on-call"}
        group_actions.put_group(admin, "on-call", members=[])
        group_actions.delete_group(admin, "on-call")
        assert groups.names(north.tenant.id) == ["finance"] and GroupMember.objects.count() == 1
        assert [(action, detail.get("added"), detail.get("removed")) for action, detail in deeds(north, "group.")[before:]] == [
            ("group.made", ["reviewer.northwind"], []),
            ("group.changed", ["reviewer2.northwind"], []),
            ("group.changed", [], ["reviewer.northwind"]),
            ("group.changed", ["reviewer.northwind"], []),
            ("group.changed", [], ["reviewer.northwind"]),
            ("group.changed", [], ["reviewer.northwind", "reviewer2.northwind"]),
            ("group.deleted", None, None),
        ]  # fmt: skip
        with pytest.raises(NotFound):
            group_actions.delete_group(admin, "on-call")


def test_only_admins_change_groups_and_people(world: World) -> None:
    north = world.northwind
    tried: tuple[Callable[[Actor], object], ...] = (
        lambda who: group_actions.put_group(who, "x"),
        lambda who: group_actions.make_group(who, "x"),
        lambda who: group_actions.delete_group(who, "finance"),
        lambda who: group_actions.add_to_group(who, "finance", "admin.northwind"),
        lambda who: group_actions.remove_from_group(who, "finance", "reviewer.northwind"),
        lambda who: group_actions.put_groups_of(who, "reviewer.northwind", []),
        lambda who: people_actions.invite(who, "new", role="admin"),
        lambda who: people_actions.put_role(who, "admin.northwind", "operator"),
        lambda who: people_actions.end_membership(who, "reviewer2.northwind"),
    )
    for member in (north.operator, north.reviewer):
        for deed in tried:
            with pytest.raises(Forbidden), north.scope():
                deed(member.actor)
    with north.scope():
        assert (Group.objects.count(), GroupMember.objects.count(), Membership.objects.count()) == (1, 2, 4)


@pytest.mark.parametrize("name", ["", "Finance", "a b", "-a", "a_b", "é", "a" * 61, "a\x00", "a\n", 7, None])
def test_a_name_is_small_and_plain(world: World, name: Any) -> None:
    with world.northwind.scope(), pytest.raises(Invalid) as caught:
        group_actions.put_group(world.northwind.admin.actor, name)
    assert caught.value.field == "name"


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("description", {"description": "x" * 501}),
        ("description", {"description": "a\x00b"}),
        ("members", {"members": ["nobody"]}),
        ("members", {"members": ["a\x00b"]}),
        ("members", {"members": [uuid4()]}),
        ("members", {"members": ["outsider"]}),
        ("members", {"members": ["x"] * 1001}),
    ],
)
def test_what_makes_no_sense_names_its_field_and_makes_no_group(
    world: World, field: str, wanted: dict[str, Any]
) -> None:
    north = world.northwind
    with north.scope():
        with pytest.raises(Invalid) as caught:
            group_actions.put_group(north.admin.actor, "new", **wanted)
        assert caught.value.field == field
        assert groups.names(north.tenant.id) == ["finance"]


def test_a_group_that_a_rule_names_stays(world: World) -> None:
    north = world.northwind
    admin = north.admin.actor
    rule = {"name": "large refunds", "match": {"tool": "issue_*"}, "effect": "require", "group": "finance"}
    with north.scope():
        flow = workflows.create_workflow(admin, "refund-desk", "Refunds")
        body = {"team": team("RoundRobinGroupChat", agent("a")), "rules": [rule]}
        workflows.create_revision(admin, flow, body)
        said = "revision 1 of refund-desk names it in the rule “large refunds”"
        assert group_actions.uses(north.tenant, "finance") == [said]
        with pytest.raises(Conflict, match=said):
            group_actions.delete_group(admin, "finance")
        assert groups.names(north.tenant.id) == ["finance"]
        assert group_actions.uses(world.fabrikam.tenant, "finance") == []
        body["rules"] = []
        workflows.create_revision(admin, flow, body)
        group_actions.delete_group(admin, "finance")  # what is current names it no more
        assert groups.names(north.tenant.id) == []


def test_the_chain_of_a_rule_and_a_canary_count_too(world: World) -> None:
    north = world.northwind
    admin = north.admin.actor
    with north.scope():
        flow = workflows.create_workflow(admin, "desk", "Desk")
        body = {"team": team("RoundRobinGroupChat", agent("a"))}
        first, _ = workflows.create_revision(admin, flow, body)
        second, _ = workflows.create_revision(admin, flow, body, promote=False)
        chain = [{"name": "r", "escalation": [{"group": "finance"}, "odd"]}, "odd", {"escalation": "odd"}]
        second.body = {**second.body, "rules": chain}
        second.save()
        assert group_actions.uses(north.tenant, "finance") == []
        flow.refresh_from_db()
        workflows.start_rollout(admin, flow, {"revision": 2, "share": 5})
        assert group_actions.uses(north.tenant, "finance") == ["revision 2 of desk names it in the rule “r”"]


# --- people ----------------------------------------------------------------------------------------------------------


def test_a_person_is_invited_with_a_password_that_no_record_has(world: World) -> None:
    north = world.northwind
    with north.scope():
        user, password = people_actions.invite(
            north.admin.actor, " nia ", name="Nia  van Dijk", email="nia@x.example", role="reviewer"
        )
        assert user.check_password(password) and len(password) >= 16
        assert (user.username, user.name, user.email) == ("nia", "Nia van Dijk", "nia@x.example")
        assert Membership.objects.get(user=user).role == "reviewer"
        assert [action for action, _ in deeds(north, "member.")[-2:]] == ["member.invited", "member.added"]
        assert password not in str(deeds(north, ""))
        with pytest.raises(Invalid, match="a member already, as reviewer"):
            people_actions.invite(north.admin.actor, "NIA", role="admin")
        actions.remove_member(north.admin.actor, user.id)
        again, none = people_actions.invite(north.admin.actor, "nia", role="operator")
        again.refresh_from_db()
        assert (again.id, none) == (user.id, "") and again.check_password(password)


def test_a_name_of_another_tenants_person_is_taken_and_nothing_is_said_of_them(world: World) -> None:
    north, stranger = world.northwind, world.fabrikam.reviewer.user
    with north.scope():
        with pytest.raises(Invalid, match="This user name is taken") as caught:
            people_actions.invite(north.admin.actor, stranger.username, role="reviewer")
        assert caught.value.field == "username" and stranger.first_name not in caught.value.message
        assert not Membership.objects.filter(user=stranger).exists()
        for deed in (
            lambda: people_actions.put_role(north.admin.actor, stranger.username, "admin"),
            lambda: people_actions.end_membership(north.admin.actor, stranger.username),
        ):
            with pytest.raises(NotFound):
                deed()


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("username", {"username": ""}),
        ("username", {"username": "a b"}),
        ("username", {"username": "../x"}),
        ("username", {"username": "a\x00b"}),
        ("username", {"username": "a" * 151}),
        ("name", {"name": "x" * 151}),
        ("name", {"name": "a\x00b"}),
        ("email", {"email": "nobody"}),
        ("email", {"email": "a\x00@x.example"}),
        ("role", {"role": "emperor"}),
    ],
)
def test_an_invitation_that_makes_no_sense_makes_nobody(world: World, field: str, wanted: dict[str, Any]) -> None:
    north, there = world.northwind, User.objects.count()
    with north.scope():
        with pytest.raises(Invalid) as caught:
            people_actions.invite(north.admin.actor, **{"username": "new", "role": "admin", **wanted})
        assert caught.value.field == field and User.objects.count() == there


def test_the_last_admin_stays(world: World) -> None:
    north, admin = world.northwind, world.northwind.admin
    with north.scope():
        for deed in (
            lambda: people_actions.put_role(admin.actor, "admin.northwind", "operator"),
            lambda: people_actions.end_membership(admin.actor, "admin.northwind"),
        ):
            with pytest.raises(Conflict, match="the last admin of Northwind"):
                deed()
        people_actions.put_role(admin.actor, "operator.northwind", "admin")
        people_actions.put_role(admin.actor, "admin.northwind", "operator")
        assert Membership.objects.get(user=admin.user).role == "operator"


# --- away ------------------------------------------------------------------------------------------------------------


def test_a_stand_in_counts_while_it_lasts(world: World) -> None:
    north = world.northwind
    mine, other = north.reviewer.actor, north.reviewer2.actor
    with north.scope():
        group_actions.put_groups_of(north.admin.actor, "reviewer2.northwind", [])
        group_actions.put_group(north.admin.actor, "legal", "", ["reviewer2.northwind"])
        away(north, starts=NOW + DAY)
        for now, found, names_of_absent in (
            (NOW, {"legal"}, []),
            (NOW + DAY, {"legal", "finance"}, ["Reviewer"]),
            (NOW + 7 * DAY - timedelta(seconds=1), {"legal", "finance"}, ["Reviewer"]),
            (NOW + 7 * DAY, {"legal"}, []),
        ):
            assert groups.of(other, now) == found
            assert groups.standing_in(other, now=now) == names_of_absent
            assert groups.of(mine, now) == {"finance"}  # nothing goes the other way
        people = groups.reviewers(north.tenant.id, "finance", NOW + DAY)
        assert {(each.username, each.stands_in, each.away) for each in people} == {
            ("reviewer.northwind", False, True),
            ("reviewer2.northwind", True, False),
        }
        assert names(groups.members(north.tenant.id, "finance", NOW + DAY)) == ["reviewer.northwind"]
        assert groups.standing_in(other, "finance", NOW + DAY) == ["Reviewer"]
        assert groups.standing_in(other, "legal", NOW + DAY) == []  # that is their own
        people_actions.put_role(north.admin.actor, "reviewer.northwind", "operator")
        assert groups.of(other, NOW + DAY) == {"legal"}  # an operator decides nothing, so hands nothing over


def test_standing_in_is_not_handed_on(world: World) -> None:
    north = world.northwind
    with north.scope():
        third, _ = people_actions.invite(north.admin.actor, "third", role="reviewer")
        actor = Actor(north.tenant, "reviewer", "user", third.id, third.name)
        group_actions.put_groups_of(north.admin.actor, "reviewer2.northwind", [])
        away(north)
        absences.put_absence(north.reviewer2.actor, north.reviewer2.user.id, NOW, NOW + DAY, third.id, NOW)
        assert groups.of(north.reviewer2.actor, NOW) == {"finance"}
        assert groups.of(actor, NOW) == frozenset()
        with pytest.raises(Invalid, match="is away from 2027-03-01 to 2027-03-02, and standing in is not handed on"):
            absences.put_absence(actor, third.id, NOW, NOW + DAY, north.reviewer2.user.id, NOW)


def test_who_may_say_who_is_away(world: World) -> None:
    north = world.northwind
    for who in (north.operator, north.reviewer2, world.fabrikam.reviewer):
        with north.scope(), pytest.raises(Forbidden):
            away(north, by=who.actor)
    with world.fabrikam.scope(), pytest.raises(NotFound):
        absences.put_absence(
            world.fabrikam.admin.actor, north.reviewer.user.id, NOW, NOW + DAY, world.fabrikam.reviewer.user.id, NOW
        )
    with north.scope():
        absence = away(north, by=north.admin.actor)
        with pytest.raises(Forbidden):
            absences.end_absence(north.reviewer2.actor, absence.id, NOW)
        with pytest.raises(NotFound):
            absences.end_absence(north.admin.actor, "nonsense", NOW)
        with pytest.raises(NotFound):
            absences.end_absence(world.fabrikam.admin.actor, absence.id, NOW)
        absences.end_absence(north.reviewer.actor, absence.id, NOW + DAY)
        assert groups.standing_in(north.reviewer2.actor, now=NOW + DAY) == []
        with pytest.raises(Conflict, match="over already"):
            absences.end_absence(north.reviewer.actor, absence.id, NOW + 2 * DAY)
        later = away(north, starts=NOW + 2 * DAY, now=NOW + DAY)
        absences.end_absence(north.reviewer.actor, later.id, NOW + DAY)
        assert Absence.objects.count() == 1
        assert [action for action, _ in deeds(north, "absence.")] == [
            "absence.set", "absence.ended", "absence.set", "absence.taken_back",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("ends", {"ends": NOW}),
        ("ends", {"starts": NOW - DAY / 2, "ends": NOW - DAY / 4}),
        ("starts", {"starts": NOW - 2 * DAY}),
        ("ends", {"ends": NOW + 400 * DAY}),
        ("ends", {"starts": NOW + 400 * DAY, "ends": NOW + 401 * DAY}),
        ("delegate", {"delegate": ""}),
        ("delegate", {"delegate": "a\x00b"}),
        ("delegate", {"delegate": "nobody"}),
        ("delegate", {"delegate": "operator.northwind"}),
        ("delegate", {"delegate": "reviewer.northwind"}),
        ("delegate", {"delegate": "reviewer.fabrikam"}),
        ("delegate", {"delegate": uuid4()}),
    ],
)
def test_an_absence_that_makes_no_sense_names_its_field(world: World, field: str, wanted: dict[str, Any]) -> None:
    with world.northwind.scope():
        with pytest.raises(Invalid) as caught:
            away(world.northwind, **wanted)
        assert caught.value.field == field and not Absence.objects.exists()


def test_one_absence_at_a_time_and_only_of_reviewers(world: World) -> None:
    north = world.northwind
    with north.scope():
        away(north)
        with pytest.raises(Invalid, match="from 2027-03-01 to 2027-03-08 is set already"):
            away(north, starts=NOW + DAY)
        away(north, starts=NOW + 7 * DAY, ends=NOW + 8 * DAY)
        with pytest.raises(Invalid, match="Operator is operator here"):
            absences.put_absence(
                north.operator.actor, north.operator.user.id, NOW, NOW + DAY, north.reviewer.user.id, NOW
            )
