"""Sealing: who can open what, and what happens to what was changed."""

import base64
from uuid import uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from console.tenants import crypto
from console.tenants.crypto import KeyMissing, Tampered, seal, seal_json, unseal, unseal_json
from console.tenants.models import DataKey
from console.tenants.scopes import system_scope


@pytest.fixture(autouse=True)
def no_keys_from_elsewhere():
    crypto.forget()
    yield
    crypto.forget()


def test_what_is_sealed_opens_again_and_hides_its_content(world):
    tenant = world.northwind.tenant.id
    blob = seal(tenant, "step.result", b"four eyes")
    assert unseal(tenant, "step.result", blob) == b"four eyes"
    assert unseal(tenant, "step.result", memoryview(blob)) == b"four eyes"
    assert b"four eyes" not in blob
    assert seal(tenant, "step.result", b"four eyes") != blob
    assert unseal(tenant, "feed", seal(tenant, "feed", b"")) == b""


@pytest.mark.parametrize("value", [None, 0, "é\u2028\ud800", [1.5, {"b": [], "a": {"z": True}}], "\x00", 10**30])
def test_json_comes_back_as_it_was(world, value):
    tenant = world.northwind.tenant.id
    assert unseal_json(tenant, "feed", seal_json(tenant, "feed", value)) == value


def test_json_is_canonical(world):
    tenant = world.northwind.tenant.id
    assert unseal(tenant, "feed", seal_json(tenant, "feed", {"b": 1, "a": [1, "é"]})) == '{"a":[1,"é"],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON"):
        seal_json(tenant, "feed", float("nan"))


def test_every_flipped_byte_is_noticed(world):
    tenant = world.northwind.tenant.id
    blob = seal(tenant, "vote", b"approve")
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1
        with pytest.raises(KeyMissing if 1 <= at < 17 else Tampered):
            unseal(tenant, "vote", bytes(changed))
    for at in range(len(blob)):
        with pytest.raises(Tampered):
            unseal(tenant, "vote", blob[:at])


def test_a_blob_opens_only_in_its_own_field_and_tenant(world):
    north, fab = world.northwind.tenant.id, world.fabrikam.tenant.id
    blob = seal(north, "step.request", b"x")
    with pytest.raises(Tampered):
        unseal(north, "step.result", blob)
    with pytest.raises(KeyMissing):
        unseal(fab, "step.request", blob)
    with pytest.raises(KeyMissing):
        seal(uuid4(), "feed", b"x")


def test_the_key_is_found_in_any_scope_that_may_see_it(world):
    north, fab = world.northwind, world.fabrikam
    blob = seal(north.tenant.id, "feed", b"x")
    for scope in (north.scope, lambda: system_scope("a test")):
        crypto.forget()
        with scope():
            assert unseal(north.tenant.id, "feed", blob) == b"x"
    crypto.forget()
    with fab.scope(), pytest.raises(KeyMissing):
        unseal(north.tenant.id, "feed", blob)


def test_after_the_first_no_call_asks_the_database(world, django_assert_num_queries):
    tenant = world.northwind.tenant.id
    crypto.warm(tenant)
    with django_assert_num_queries(0):
        assert unseal(tenant, "feed", seal(tenant, "feed", b"x")) == b"x"


@pytest.mark.django_db(transaction=True)
def test_rotation_seals_with_the_new_key_once_it_is_committed_and_opens_what_the_old_one_sealed(world):
    tenant = world.northwind.tenant.id
    old = seal(tenant, "feed", b"old")
    with world.northwind.scope():
        crypto.rotate(tenant)
        crypto._keys.clear()
        assert seal(tenant, "feed", b"x")[1:17] == old[1:17]
        transaction.set_rollback(True)
    assert seal(tenant, "feed", b"x")[1:17] == old[1:17]
    with world.northwind.scope():
        key = crypto.rotate(tenant)
    new = seal(tenant, "feed", b"new")
    assert new[1:17] == key.key_id.bytes != old[1:17]
    crypto.forget()
    assert unseal(tenant, "feed", old) == b"old"
    assert unseal(tenant, "feed", new) == b"new"
    assert seal(tenant, "feed", b"x")[1:17] == key.key_id.bytes


def test_a_rotation_by_another_process_is_noticed_within_a_minute(world, monkeypatch):
    tenant, now = world.northwind.tenant.id, 1000.0
    monkeypatch.setattr(crypto, "monotonic", lambda: now)
    crypto.forget()
    old = seal(tenant, "feed", b"old")
    with world.northwind.scope():
        key = crypto.create_key(tenant)  # as another process does, which tells this one nothing
        now += crypto.FRESH
        assert seal(tenant, "feed", b"x")[1:17] == old[1:17]
        now += 1
        assert seal(tenant, "feed", b"x")[1:17] == key.key_id.bytes
        assert unseal(tenant, "feed", old) == b"old"


def test_another_master_key_opens_nothing_and_says_so(world, settings):
    tenant = world.northwind.tenant.id
    blob = seal(tenant, "feed", b"x")
    crypto.forget()
    settings.SAYSO_MASTER_KEY = base64.b64encode(b"y" * 32).decode()
    with pytest.raises(KeyMissing, match="SAYSO_MASTER_KEY is not the one"):
        unseal(tenant, "feed", blob)
    crypto.forget()
    settings.SAYSO_MASTER_KEY = "short"
    with pytest.raises(ImproperlyConfigured, match="SAYSO_MASTER_KEY"):
        unseal(tenant, "feed", blob)


def test_a_data_key_cannot_be_moved_to_another_tenant(world):
    """Somebody who can write to the database, but has no master key, gains nothing by copying rows."""
    north, fab = world.northwind.tenant, world.fabrikam.tenant
    with system_scope("a test"):
        stolen = DataKey.objects.get(tenant=north)
        DataKey.objects.create(tenant=fab, wrapped=stolen.wrapped)
    with pytest.raises(KeyMissing):
        seal(fab.id, "feed", b"x")
