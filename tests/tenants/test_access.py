"""The explicit half of the wall, and what changes a tenant."""

from uuid import uuid4

import pytest

from console.audit.models import AuditRecord
from console.tenants import access, actions
from console.tenants.access import Forbidden, NotFound
from console.tenants.models import Credential, Membership, ServiceAccount, Tenant
from console.tenants.scopes import system_scope


def audit(house, action):
    return [
        (row.actor_name, row.object_type, row.detail)
        for row in access.all(AuditRecord, house.admin.actor).filter(action=action).order_by("id")
    ]


def test_a_foreign_id_is_not_found_even_where_the_database_would_show_it(world):
    service, _ = world.fabrikam.service()
    with system_scope("behind the wall"):
        assert access.get(ServiceAccount, world.fabrikam.operator.actor, id=service.id) == service
        with pytest.raises(NotFound):
            access.get(ServiceAccount, world.northwind.operator.actor, id=service.id)
        assert list(access.all(ServiceAccount, world.northwind.operator.actor)) == []
        assert list(access.all(ServiceAccount.objects.order_by("name"), world.fabrikam.operator.actor)) == [service]


@pytest.mark.parametrize(
    "bad", ["", "nonsense", "0" * 500, "\x00", None, 7, "ffffffff-ffff-ffff-ffff-ffffffffffff", [1]]
)
def test_a_malformed_id_is_not_found_and_the_transaction_lives_on(world, bad):
    with world.northwind.scope():
        with pytest.raises(NotFound):
            access.get(ServiceAccount, world.northwind.admin.actor, id=bad)
        assert Membership.objects.count() == 4


def test_a_nul_in_a_name_is_not_found(world):
    with world.northwind.scope():
        with pytest.raises(NotFound):
            access.get(Credential, world.northwind.admin.actor, name="a\x00b")
        assert Membership.objects.count() == 4


def test_a_row_can_be_locked(world):
    service, _ = world.northwind.service()
    with world.northwind.scope():
        query = ServiceAccount.objects.select_related("tenant")
        assert access.get(query, world.northwind.admin.actor, for_update=True, id=str(service.id)) == service


def test_roles(world):
    access.require(world.northwind.reviewer.actor, "reviewer")
    access.require(world.northwind.operator.actor, "operator", "admin")
    access.require(world.northwind.system, "admin")
    with pytest.raises(Forbidden, match="takes the role operator or admin; you are reviewer here"):
        access.require(world.northwind.reviewer.actor, "operator", "admin")
    with pytest.raises(Forbidden):
        access.require(world.northwind.admin.actor, "reviewer")  # an admin does not decide


def test_only_admins_change_a_tenant(world):
    north, outsider = world.northwind, world.outsider
    for member in (north.operator, north.reviewer):
        for deed in (
            lambda who: actions.add_member(who, outsider, "admin"),
            lambda who: actions.remove_member(who, north.admin.user.id),
            lambda who: actions.add_service_account(who, "x"),
            lambda who: actions.put_credential(who, "x", provider="openai", base_url="", api_key="k"),
            lambda who: actions.create_token(who, user=north.admin.user, role="admin", name="x"),
        ):
            with pytest.raises(Forbidden), north.scope():
                deed(member.actor)
    with north.scope():
        assert Membership.objects.count() == 4
        assert not Credential.objects.exists()


def test_a_member_comes_changes_role_and_goes(world):
    north, user = world.northwind, world.outsider
    with north.scope():
        actions.add_member(north.admin.actor, user, "reviewer")
        actions.add_member(north.admin.actor, user, "operator")
        actions.remove_member(north.admin.actor, user.id)
        assert [(each.role, each.active) for each in Membership.objects.filter(user=user)] == [("operator", False)]
        with pytest.raises(actions.Invalid, match="one of reviewer, operator, admin"):
            actions.add_member(north.admin.actor, user, "emperor")
        added = [detail for _, _, detail in audit(north, "member.added")][-2:]
        assert added == [
            {"role": "reviewer", "was": None, "name": "Outsider"},
            {"role": "operator", "was": "reviewer", "name": "Outsider"},
        ]
        assert [detail["role"] for _, _, detail in audit(north, "member.removed")] == ["operator"]
        with pytest.raises(NotFound):
            actions.remove_member(north.admin.actor, user.id)
    with north.scope(), pytest.raises(NotFound):
        actions.remove_member(north.admin.actor, world.fabrikam.admin.user.id)


def test_a_tenant_is_made_with_its_key_and_its_record(world):
    with system_scope("a test"):
        tenant = actions.create_tenant("contoso", "Contoso", by="Ada")
        (row,) = AuditRecord.objects.filter(tenant_id=tenant.id)
        assert (row.action, row.actor_kind, row.actor_name, row.object_id) == (
            "tenant.created", "system", "Ada", str(tenant.id),
        )  # fmt: skip
        assert Tenant.objects.filter(slug="contoso").exists()


def test_a_credential_is_sealed_replaced_and_recorded_without_its_key(world):
    north = world.northwind
    with north.scope():
        put = {"provider": "openai", "base_url": "https://models.example/v1"}
        first = actions.put_credential(north.admin.actor, "default", **put, api_key="sk-first")
        assert b"sk-first" not in bytes(first.sealed_key)
        assert actions.api_key_of(first) == "sk-first"
        second = actions.put_credential(north.admin.actor, "default", **put, api_key="sk-second")
        assert (second.id, actions.api_key_of(second), second.updated_by) == (first.id, "sk-second", "Admin")
        kept = actions.put_credential(north.admin.actor, "default", **put | {"provider": "azure"}, api_key="")
        assert (kept.provider, actions.api_key_of(kept)) == ("azure", "sk-second")
        assert [detail["key_changed"] for _, _, detail in audit(north, "credential.put")] == [True, True, False]
        assert "sk-" not in str([row.detail for row in AuditRecord.objects.all()])
        with pytest.raises(actions.Invalid, match="needs the key again"):
            actions.put_credential(
                north.admin.actor, "default", provider="azure", base_url="https://evil.example", api_key=""
            )


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\x00"}),
        ("provider", {"provider": " "}),
        ("base_url", {"base_url": "ftp://x"}),
        ("base_url", {"base_url": "https://"}),
        ("base_url", {"base_url": "http://[::1"}),
        ("base_url", {"base_url": "http://x:99999"}),
        ("base_url", {"base_url": "http://user:pw@x/"}),
        ("base_url", {"base_url": "http://x/" + "y" * 500}),
        ("api_key", {"api_key": ""}),
        ("api_key", {"api_key": "a\nb"}),
    ],
)
def test_a_credential_that_makes_no_sense_names_its_field(world, field, change):
    good = {"name": "new", "provider": "openai", "base_url": "https://x.example/v1", "api_key": "sk"}
    wanted = good | change
    with world.northwind.scope(), pytest.raises(actions.Invalid) as caught:
        actions.put_credential(world.northwind.admin.actor, wanted.pop("name"), **wanted)
    assert caught.value.field == field


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x00b", "a\nb"])
def test_names_are_short_and_printable(world, name):
    north = world.northwind
    with north.scope():
        with pytest.raises(actions.Invalid) as caught:
            actions.add_service_account(north.admin.actor, name)
        assert caught.value.field == "name"
        with pytest.raises(actions.Invalid) as caught:
            actions.create_token(north.admin.actor, user=north.admin.user, role="admin", name=name)
        assert caught.value.field == "name"


def test_no_such_thing_has_no_other_answer(world):
    with world.northwind.scope(), pytest.raises(NotFound):
        actions.revoke_token(world.northwind.admin.actor, uuid4())
