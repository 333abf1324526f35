"""Every call of the API, sent what nobody means: a 4xx that says what is wrong, never a 5xx, and nothing is written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.db import transaction

from console.api import api
from console.audit.models import AuditRecord
from tests.api.problems import problem
from tests.api.test_common import CALLS, more, never, place
from tests.approvals.desk import Desk
from tests.nonsense import RAW, TEXTS, VALUES, some

__all__ = ["more", "never", "place"]


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.tenants.limits.take", lambda *_, **__: None)


def member(desk: Desk, roles: set[str]) -> Any:
    return getattr(desk.house, "admin" if "admin" in roles else sorted(roles)[0])


class Watch:
    """Sends, looks at the answer, and takes back what was done."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.bad = desk, []

    def send(self, who: Any, method: str, path: str, body: Any, what: Any) -> None:
        assert who.api, "makes its token, which is to stay"
        with transaction.atomic():
            before = self._written()
            if isinstance(body, bytes):
                answer = getattr(who.api.client, method)(path, body, content_type="application/json")
            elif method == "get":
                answer = who.api.client.get(path)
            else:
                answer = getattr(who.api, method)(path, body)
            fault = self._fault(answer, before)
            assert answer.status_code != 401
            if fault:
                self.bad.append((method, path[:120], what, fault))
            transaction.set_rollback(True)

    def _written(self) -> int:
        with self.desk.house.scope():
            return AuditRecord.objects.count()

    def _fault(self, answer: Any, before: int) -> str:
        if answer.status_code < 400:
            answer.json()
            return ""
        if answer.status_code >= 500 or answer["Content-Type"] != "application/problem+json":
            return f"{answer.status_code} {answer.content[:200]!r}"
        said = answer.json()
        if len(said["detail"]) < 10 or len(said["detail"]) > 3_000:
            return f"says {said['detail'][:200]!r}"
        if answer.status_code == 422 and not said.get("errors"):
            return f"names no field: {said['detail'][:200]}"
        return "" if self._written() == before else f"{answer.status_code}, and something was written"


def short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, bytes) else repr(value)
    return text[:40]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(json.dumps(api.get_openapi_schema()))


def described(document: Any) -> Iterator[tuple[str, str, set[str], Any, list[str], list[str]]]:
    """Each call of CALLS with the fields of its body and its parameters in the address's query."""
    for method, address, roles, body in CALLS:
        plain = re.sub("{ended}", "{run}", address.partition("?")[0])
        said = next(
            calls[method]
            for path, calls in document["paths"].items()
            if method in calls
            and re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), f"/api/v1/{plain}")
            and path.count("{") >= plain.count("{")
        )
        query = [each["name"] for each in said.get("parameters", ()) if each["in"] == "query"]
        schema = said.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        schema = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
        yield method, address, roles, body, sorted(schema.get("properties", ())), query


def test_every_field_of_every_body(desk: Desk, document: Any, never: dict[str, str], more: dict[str, str]) -> None:
    watch, place = Watch(desk), {**more, "waiver": never["waiver"]}
    for method, address, roles, body, fields, _ in described(document):
        if method == "get":
            continue
        body = body if isinstance(body, dict) else {}
        body = {**body, "run": place["run"]} if body.get("run") == "{run}" else body
        who, path = member(desk, roles), f"/api/v1/{address.format(**place)}"
        for field in fields:
            for value in some(VALUES, f"{address} {field}"):
                watch.send(who, method, path, {**body, field: value}, (field, short(value)))
        for raw in some(RAW, address):
            watch.send(who, method, path, raw, short(raw))
    assert "\n".join(map(str, watch.bad)) == ""


def test_every_parameter_of_every_address(
    desk: Desk, document: Any, never: dict[str, str], more: dict[str, str]
) -> None:
    watch, place = Watch(desk), {**more, "waiver": never["waiver"]}
    for method, address, roles, body, _, query in described(document):
        who, bare = member(desk, roles), address.partition("?")[0]
        body = {**body, "run": place["run"]} if isinstance(body, dict) and body.get("run") == "{run}" else body
        parts = re.findall(r"{\w+}|(?<=workflows/)refund-desk|payers|hook|send_sms|default|operator.northwind", bare)
        for part in parts:
            for text in some(TEXTS, f"{address} {part}"):
                odd = quote(text[:4_000], safe="")
                path = bare.replace(part, odd, 1).format(**place) if "{" not in odd else bare
                watch.send(who, method, f"/api/v1/{path}", body, (part, text[:30]))
        for name in query:
            for text in some(TEXTS, f"{address}?{name}"):
                path = f"/api/v1/{bare.format(**place)}?{name}={quote(text[:4_000])}"
                watch.send(who, method, path, body, (name, text[:30]))
    assert "\n".join(map(str, watch.bad)) == ""


def test_a_tool_of_a_name_that_no_database_keeps(desk: Desk) -> None:
    for deed in ("revoke", "reinstate"):
        problem(desk.house.admin.api.post(f"/api/v1/tools/a%00b/{deed}"), 404)
