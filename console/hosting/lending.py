"""What the host lends to a team: tools of the catalogue, model clients with the tenant's credentials, prices."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from console import prepared
from console.agents.breakers import Breaker, Breakers
from console.agents.clients import ChatCompletionClient, Clients
from console.agents.deeds import Ledger
from console.agents.room import Prices, Reservation, Route
from console.agents.tools import ToolSpec
from console.tenants import crypto
from console.tenants.models import Credential
from console.workflows import catalogue, egress
from console.workflows.prices import NO_LIST
from console.workflows.registry import Registry

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
    options: Mapping[str, str] = field(default_factory=dict)


def keys_for(tenant_id: UUID, body: Mapping[str, Any]) -> dict[str, Key]:
    """The credentials that a revision names, by name; those that are missing are left out. Call inside a scope."""
    with prepared.cursor() as cursor:  # by hand: each claim asks, and the ORM takes longer than Postgres
        wanted = {*_names(body).values(), *(each["credential"] for each in body.get("fallbacks") or [])}
        cursor.execute(_KEYS, [tenant_id, list(wanted)])
        rows = cursor.fetchall()
    _note_use(tenant_id, [(row[0], row[5]) for row in rows])
    return {
        name: Key(
            name,
            provider,
            base_url,
            crypto.unseal(tenant_id, "credential", sealed).decode(),
            egress.fault(base_url, settings.SAYSO_EGRESS_ALLOW) if base_url else "",
            json.loads(options),
        )
        for _, name, provider, base_url, sealed, _, options in rows
    }


_KEYS = """
    SELECT id, name, provider, base_url, sealed_key, last_used_at, options::text FROM tenants_credential
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

    def __init__(
        self,
        body: Mapping[str, Any],
        keys: Mapping[str, Key],
        clients: Clients,
        breakers: Breakers | None = None,
        tenant_id: UUID | None = None,
        reserve: Callable[[Decimal], Awaitable[Reservation]] | None = None,
        tools: Registry | None = None,
        ledger: Ledger | None = None,
        prices: Callable[[], Awaitable[Prices]] | None = None,
    ) -> None:
        self.ledger = ledger
        self.broken_off_cost = Decimal(0)  # of calls that nothing is recorded of
        self._tools = tools
        self._names = _names(body)
        self._fallbacks = body.get("fallbacks") or []
        self._keys = keys
        self._clients = clients
        self._breakers = breakers or Breakers()
        self._tenant = str(tenant_id)
        self._reserve = reserve
        self._prices = prices

    @property
    def ways(self) -> int:
        """The document's, and each fallback."""
        return 1 + len(self._fallbacks)

    def tool(self, name: str, version: int) -> ToolSpec:
        """The pinned tool. Raises catalogue.UnknownTool (a KeyError)."""
        return self._tools.get(name, version) if self._tools is not None else catalogue.get(name, version)

    def routes(self, agent: str, config: Mapping[str, Any]) -> list[Route]:
        """The agent's credential with the document's model, and then the revision's fallbacks."""
        name = self._names.get(agent) or self._names.get("*") or "default"
        found = [self._route(name, config)]
        for fallback in self._fallbacks:
            model = fallback.get("model")
            found.append(self._route(fallback["credential"], {**config, "model": model} if model else config))
        return found

    def _route(self, name: str, config: Mapping[str, Any]) -> Route:
        breaker = self._breakers.get(self._tenant, "provider", name)
        return Route(str(config.get("model", "")), name, lambda: self._client(name, config), breaker)

    def _client(self, name: str, config: Mapping[str, Any]) -> ChatCompletionClient:
        """A client with that credential. Raises NoCredential."""
        key = self._keys.get(name)
        if key is None:
            raise NoCredential(f"There is no credential {name!r}; an admin can add it under Credentials.")
        if key.fault:
            raise NoCredential(f"The credential {name!r} cannot be used: {key.fault}")
        return self._clients.get(
            api_key=key.api_key,
            base_url=key.base_url or None,
            config=config,
            provider=key.provider,
            options=key.options,
        )

    def tool_breaker(self, name: str) -> Breaker:
        """The tenant's breaker of a tool, in this process."""
        return self._breakers.get(self._tenant, "tool", name)

    async def reserve(self, cost: Decimal) -> Reservation:
        """Out of the tenant's budget of the day, where it has one."""
        return Free() if self._reserve is None else await self._reserve(cost)

    def broken_off(self, cost: Decimal) -> None:
        """Remember it for the run: see Turn."""
        self.broken_off_cost += cost

    async def prices(self) -> Prices:
        """The tenant's, and those of genai-prices where it has none."""
        return NO_LIST if self._prices is None else await self._prices()


class Free:
    """A reservation where there is no budget to keep."""

    refused = ""

    def settle(self, cost: Decimal) -> None:
        """Nothing to settle."""


def _names(body: Mapping[str, Any]) -> dict[str, str]:
    given = body.get("credential") or "default"
    return {"*": given} if isinstance(given, str) else {"*": "default", **given}
