"""What a team is lent: credentials that lead where they may, prices, tools as pinned."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from console.agents.clients import Clients
from console.agents.tools import ToolSpec
from console.durable.steps import Safety
from console.hosting import lending
from console.hosting.lending import Key, Lent, NoCredential
from console.tenants import actions as tenant_actions
from console.tenants.models import Credential
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import catalogue, egress

from .conftest import House


def test_a_missing_credential_is_named() -> None:
    lent = Lent({"credential": {"payer": "bank"}}, {}, Clients())
    with pytest.raises(NoCredential, match="'bank'"):
        lent.routes("payer", {"model": "m"})[0].open()
    with pytest.raises(NoCredential, match="'default'"):
        lent.routes("clerk", {"model": "m"})[0].open()


def test_a_credential_that_leads_inside_is_refused() -> None:
    key = Key("default", "openai", "http://10.0.0.1/v1", "k", egress.fault("http://10.0.0.1/v1", []))
    with pytest.raises(NoCredential, match="private"):
        Lent({}, {"default": key}, Clients()).routes("a", {"model": "m"})[0].open()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8001/v1",
        "http://localhost/v1",
        "http://[::1]:80/",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http://x:99999/",
    ],
)
def test_addresses_inside_and_no_addresses_are_refused(url: str) -> None:
    assert egress.fault(url, [])


@pytest.mark.parametrize("url", ["https://8.8.8.8/v1", "http://[2606:4700::1111]/"])
def test_public_addresses_are_fine(url: str) -> None:
    assert egress.fault(url, []) == ""


def test_what_is_allowed_by_name_is_reached() -> None:
    assert egress.fault("http://127.0.0.1:8001/v1", ["127.0.0.1:8001"]) == ""
    assert egress.fault("http://127.0.0.1:8002/v1", ["127.0.0.1:8001"])
    assert egress.fault("http://model.internal/v1", ["model.internal"]) == ""
    assert egress.fault("http://[::1]:9/v1", ["[::1]:9"]) == ""


def test_keys_are_opened_for_the_run_alone(house: House) -> None:
    with tenant_scope(house.tenant):
        for name in ("default", "bank", "other"):
            tenant_actions.put_credential(
                house.admin, name, provider="openai", base_url="https://8.8.8.8/v1", api_key=f"sk-{name}"
            )
        keys = lending.keys_for(house.tenant.id, {"credential": {"payer": "bank"}})
    assert {name: key.api_key for name, key in keys.items()} == {"default": "sk-default", "bank": "sk-bank"}


def test_a_use_is_noted_once_a_minute(house: House) -> None:
    with tenant_scope(house.tenant):
        for name in ("default", "other"):
            tenant_actions.put_credential(house.admin, name, provider="openai", base_url="", api_key="sk-1")

    def used() -> dict[str, Any]:
        return dict(Credential.objects.values_list("name", "last_used_at"))

    with system_scope("a worker claims a run"):
        lending.keys_for(house.tenant.id, {})
        first = used()
        assert first["default"] is not None and first["other"] is None
        with CaptureQueriesContext(connection) as queries:
            lending.keys_for(house.tenant.id, {})
        assert len(queries) == 1 and used() == first  # so lately that nothing is written
        Credential.objects.filter(name="default").update(last_used_at=first["default"] - lending.USED_EVERY)
        lending.keys_for(house.tenant.id, {})
        assert used()["default"] >= first["default"]


def test_an_unknown_model_is_unpriced_and_not_free() -> None:
    lent = asyncio.run(Lent({}, {}, Clients()).prices())
    price = lent.of("gpt-4o-mini", {"input_tokens": 1000, "output_tokens": 100})
    assert price is not None and price.cost == "0.000210" and price.by.startswith("genai-prices ")
    assert lent.of("nobody-knows-this", {"input_tokens": 1000, "output_tokens": 100}) is None


async def _call(arguments: dict[str, Any], key: str) -> str:
    return "done"


def spec(version: int, **fields: Any) -> ToolSpec:
    given: dict[str, Any] = {"description": "d", "schema": {"type": "object"}, "safety": Safety.NEITHER, "call": _call}
    return ToolSpec(name="test_tool", version=version, **{**given, **fields})


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_tools", dict(catalogue._tools))
    monkeypatch.setattr(catalogue, "_revoked", set())


def test_a_pinned_version_stays_when_a_newer_one_comes(tools: None) -> None:
    old, new = catalogue.register(spec(1)), catalogue.register(spec(2, timeout=timedelta(seconds=1)))
    assert catalogue.get("test_tool") is new and catalogue.get("test_tool", 1) is old
    assert catalogue.all()["test_tool"] is new
    assert catalogue.register(spec(1)) == old
    with pytest.raises(ValueError, match="new version"):
        catalogue.register(spec(1, risk="high"))


def test_a_revoked_tool_is_gone_for_everybody(tools: None) -> None:
    catalogue.register(spec(1))
    catalogue.revoke("test_tool", 1)
    with pytest.raises(KeyError, match="revoked"):
        Lent({}, {}, Clients()).tool("test_tool", 1)
    assert "test_tool" not in catalogue.all()
    catalogue.reinstate("test_tool", 1)
    assert catalogue.get("test_tool").version == 1


@pytest.mark.parametrize(("name", "version"), [("nothing", None), ("calculator", 99)])
def test_what_is_not_there_is_said(name: str, version: int | None) -> None:
    with pytest.raises(catalogue.UnknownTool, match=name):
        catalogue.get(name, version)


@pytest.mark.parametrize(
    ("a", "sign", "b", "answer"), [(2, "+", 3, "5"), (2.5, "*", 2, "5"), (1, "/", 4, "0.25"), (1, "/", 0, "Error")]
)
def test_the_calculator_calculates(a: float, sign: str, b: float, answer: str) -> None:
    import asyncio

    said = asyncio.run(catalogue.CALCULATOR.call({"a": a, "b": b, "operator": sign}, "key"))
    assert str(said).startswith(answer)
