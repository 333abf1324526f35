"""Sealing what a tenant's runs say, and its credentials: AES-256-GCM under a key of the tenant's own.

A blob is ``version (1) | key id (16) | nonce (12) | ciphertext and tag``. Tenant, field and key id are associated data:
a blob moved to another tenant or another field does not open. Data keys are wrapped under
SAYSO_MASTER_KEY, and unwrapped once per process.

Nonces are random, which is sound for 2**32 blobs under one key; ``rotate`` gives a tenant a new one long before.
"""

import functools
import json
import os
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from console import environment
from console.tenants import scopes
from console.tenants.models import DataKey

_VERSION = b"\x01"
_NONCE = 12
_HEAD = 1 + 16 + _NONCE

FRESH = 60.0  # seconds after which a process looks whether a tenant has a newer key to seal with

# Unwrapped keys of this process: the one a tenant seals with, and every one by (tenant, key id).
_sealing: dict[UUID, tuple[bytes, AESGCM]] = {}
_looked: dict[UUID, float] = {}  # when the first was read, by the monotonic clock
_keys: dict[tuple[UUID, bytes], AESGCM] = {}


class SealError(Exception):
    """Something sealed cannot be opened."""


class Tampered(SealError):
    """The blob was changed, or belongs to another tenant or field."""


class KeyMissing(SealError):
    """The tenant's data key is not there, or was wrapped under another SAYSO_MASTER_KEY."""


def seal(tenant_id: UUID, field: str, data: bytes) -> bytes:
    """Seal bytes for a tenant. The first call for a tenant in a process reads its key from the database.

    Raises KeyMissing.
    """
    if scopes.current() is not None:
        warm(tenant_id)
    key_id, key = _sealing.get(tenant_id) or _load_sealing(tenant_id)
    nonce = os.urandom(_NONCE)
    return _VERSION + key_id + nonce + key.encrypt(nonce, data, tenant_id.bytes + key_id + field.encode())


def unseal(tenant_id: UUID, field: str, blob: bytes | memoryview) -> bytes:
    """Open what ``seal`` made for the same tenant and field. Raises Tampered, KeyMissing."""
    blob = bytes(blob)
    if len(blob) < _HEAD + 16 or blob[:1] != _VERSION:
        raise Tampered(f"This is no sealed {field}.")
    key_id, nonce = blob[1:17], blob[17:_HEAD]
    key = _keys.get((tenant_id, key_id)) or _load_key(tenant_id, key_id)
    try:
        return key.decrypt(nonce, blob[_HEAD:], tenant_id.bytes + key_id + field.encode())
    except InvalidTag:
        raise Tampered(f"A sealed {field} was changed, or belongs elsewhere.") from None


def seal_json(tenant_id: UUID, field: str, value: Any) -> bytes:
    """Seal a JSON value in its canonical form: sorted keys, no spaces. Raises ValueError on NaN and infinities."""
    return seal(tenant_id, field, _canonical(value).encode("utf-8", "surrogatepass"))


def unseal_json(tenant_id: UUID, field: str, blob: bytes | memoryview) -> Any:
    """The value that ``seal_json`` sealed. Raises Tampered, KeyMissing."""
    return json.loads(unseal(tenant_id, field, blob).decode("utf-8", "surrogatepass"))


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def create_key(tenant_id: UUID) -> DataKey:
    """Make a data key in the caller's transaction (a tenant_scope or system_scope)."""
    key_id = uuid4()
    nonce = os.urandom(_NONCE)
    wrapped = nonce + _master().encrypt(nonce, AESGCM.generate_key(256), _wrapping(tenant_id, key_id.bytes))
    return DataKey.objects.create(tenant_id=tenant_id, key_id=key_id, wrapped=wrapped)


def rotate(tenant_id: UUID) -> DataKey:
    """Give a tenant a new key in the caller's transaction. What older keys sealed stays readable.

    Other processes may go on sealing with the key they hold for FRESH seconds.
    """
    warm(tenant_id)  # until this commits, the old key seals: nothing may be sealed with a key that is rolled back
    key = create_key(tenant_id)
    transaction.on_commit(functools.partial(_sealing.pop, tenant_id, None))
    return key


def warm(tenant_id: UUID) -> None:
    """Read a tenant's sealing key unless that was done lately, so that ``seal`` can then be called where the database
    cannot be used."""
    looked = _looked.get(tenant_id)
    if tenant_id not in _sealing or looked is None or monotonic() - looked > FRESH:
        _load_sealing(tenant_id)


def forget() -> None:
    """Drop every unwrapped key of this process."""
    _sealing.clear()
    _looked.clear()
    _keys.clear()
    _master.cache_clear()


def _load_sealing(tenant_id: UUID) -> tuple[bytes, AESGCM]:
    looked = monotonic()
    row = _row(tenant_id, None)
    _looked[tenant_id] = looked
    _sealing[tenant_id] = found = (row.key_id.bytes, _unwrap(row))
    return found


def _load_key(tenant_id: UUID, key_id: bytes) -> AESGCM:
    return _unwrap(_row(tenant_id, UUID(bytes=key_id)))


def _row(tenant_id: UUID, key_id: UUID | None) -> DataKey:
    if scopes.current() is None:
        with scopes.tenant_scope(tenant_id):
            return _row(tenant_id, key_id)
    rows = DataKey.objects.filter(tenant_id=tenant_id).order_by("-created_at", "-key_id")
    row = rows.filter(key_id=key_id).first() if key_id else rows.first()
    if row is None:
        raise KeyMissing(f"Tenant {tenant_id} has no {f'data key {key_id}' if key_id else 'data key'}.")
    return row


def _unwrap(row: DataKey) -> AESGCM:
    wrapped, key_id = bytes(row.wrapped), row.key_id.bytes
    try:
        plain = _master().decrypt(wrapped[:_NONCE], wrapped[_NONCE:], _wrapping(row.tenant_id, key_id))
    except InvalidTag:
        raise KeyMissing(
            f"The data key {row.key_id} does not open: SAYSO_MASTER_KEY is not the one it was wrapped under."
        ) from None
    key = _keys[row.tenant_id, key_id] = AESGCM(plain)
    return key


def _wrapping(tenant_id: UUID, key_id: bytes) -> bytes:
    return b"data key" + tenant_id.bytes + key_id


@functools.cache
def _master() -> AESGCM:
    try:
        return AESGCM(environment.master_key(settings.SAYSO_MASTER_KEY))
    except ValueError as error:
        raise ImproperlyConfigured(f"SAYSO_MASTER_KEY: {error}") from error
