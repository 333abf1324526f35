"""What the host lends to a team: tools of the catalogue, model clients with the tenant's credentials, prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone
from genai_prices import Usage, calc_price

from console.agents.clients import ChatCompletionClient, Clients
from console.agents.tools import ToolSpec
from console.hosting import egress
from console.tenants import crypto
from console.tenants.models import Credential
from console.workflows import catalogue

USED_EVERY = timedelta(minutes=1)  # last_used_at is no log: one write a minute


class NoCredential(Exception):
    """The revision names a credential that the tenant does not have, or that leads where it must not."""


@dataclass(frozen=True, slots=True)
class Key:
    """A credential, opened. ``fault`` says why it must not be used."""

    name: str
    provider: str
    base_url: str
    api_key: str
    fault: str = ""


def keys_for(tenant_id: UUID, body: Mapping[str, Any]) -> dict[str, Key]:
    """The credentials that a revision names, by name; those that are missing are left out. Call inside a scope."""
    with connection.cursor() as cursor:  # by hand: each claim asks, and the ORM takes longer than Postgres
        cursor.execute(_KEYS, [tenant_id, list(set(_names(body).values()))])
        rows = cursor.fetchall()
    _note_use(tenant_id, [(row[0], row[5]) for row in rows])
    return {
        name: Key(
            name,
            provider,
            base_url,
            crypto.unseal(tenant_id, "credential", sealed).decode(),
            egress.fault(base_url, settings.SAYSO_EGRESS_ALLOW) if base_url else "",
        )
        for _, name, provider, base_url, sealed, _ in rows
    }


_KEYS = """
    SELECT id, name, provider, base_url, sealed_key, last_used_at FROM tenants_credential
    WHERE tenant_id = %s AND name = ANY(%s)
"""


def _note_use(tenant_id: UUID, rows: Sequence[tuple[UUID, datetime | None]]) -> None:
    now = timezone.now()
    noted = [key for key, used in rows if used is None or now - used > USED_EVERY]
    if noted:  # two claims at once: the second has nothing to add, and must not wait for the first
        free = Credential.objects.filter(tenant_id=tenant_id, pk__in=noted).select_for_update(skip_locked=True)
        Credential.objects.filter(tenant_id=tenant_id, pk__in=free.values("pk")).update(last_used_at=now)


class Lent:
    """The Environment of one run's team."""

    def __init__(self, body: Mapping[str, Any], keys: Mapping[str, Key], clients: Clients) -> None:
        self._names = _names(body)
        self._keys = keys
        self._clients = clients

    def tool(self, name: str, version: int) -> ToolSpec:
        """The pinned tool. Raises catalogue.UnknownTool (a KeyError)."""
        return catalogue.get(name, version)

    def model_client(self, agent: str, config: Mapping[str, Any]) -> ChatCompletionClient:
        """A client for the agent's model. Raises NoCredential."""
        name = self._names.get(agent) or self._names.get("*") or "default"
        key = self._keys.get(name)
        if key is None:
            raise NoCredential(f"There is no credential {name!r}; an admin can add it under Credentials.")
        if key.fault:
            raise NoCredential(f"The credential {name!r} cannot be used: {key.fault}")
        return self._clients.get(api_key=key.api_key, base_url=key.base_url or None, config=config)

    def price(self, model: str, usage: Mapping[str, int]) -> str | None:
        """US dollars for a call, or None when nobody knows the model's price."""
        return price(model, usage.get("input_tokens", 0), usage.get("output_tokens", 0))


@lru_cache(maxsize=4096)
def price(model: str, input_tokens: int, output_tokens: int) -> str | None:
    """US dollars as a decimal string by genai-prices' offline data; None for a model that it does not know."""
    try:
        found = calc_price(Usage(input_tokens=input_tokens, output_tokens=output_tokens), model_ref=model)
    except LookupError:
        return None
    return format(Decimal(found.total_price).quantize(Decimal("0.000001")), "f")


def _names(body: Mapping[str, Any]) -> dict[str, str]:
    given = body.get("credential") or "default"
    return {"*": given} if isinstance(given, str) else {"*": "default", **given}
