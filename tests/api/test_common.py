"""What all calls have in common: tokens, methods, JSON, roles, walls, and being sent twice."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from approvals.models import ApprovalRequest
from console.runs.models import Run
from tests.api.problems import problem
from tests.approvals.desk import Desk, refund
from tests.world import Api, World

UUID = "7a4e5bd4-2f3c-4a0e-9a39-0f6fd1b7d3f1"

# (method, address, roles that may, a body that is right)
CALLS: list[tuple[str, str, set[str], Any]] = [
    ("post", "runs", {"operator", "admin"}, {"workflow": "refund-desk", "input": "Refund order A-17"}),
    ("get", "runs", {"reviewer", "operator", "admin"}, None),
    ("get", "runs/{run}", {"reviewer", "operator", "admin"}, None),
    ("get", "runs/{run}/messages", {"reviewer", "operator", "admin"}, None),
    ("get", "runs/{run}/steps", {"reviewer", "operator", "admin"}, None),
    ("post", "runs/{run}/cancel", {"operator", "admin"}, None),
    ("post", "runs/{ended}/retry", {"operator", "admin"}, None),
    ("post", "topics/{type}/events", {"operator", "admin"}, {"id": "e-1", "source": "s", "data": "x"}),
    ("get", "approvals", {"reviewer", "operator", "admin"}, None),
    ("get", "approvals/{request}", {"reviewer", "operator", "admin"}, None),
    ("post", "approvals/{request}/decisions", {"reviewer"}, {"verdict": "approve"}),
    ("get", "workflows", {"reviewer", "operator", "admin"}, None),
    ("post", "workflows", {"admin"}, {"slug": "new", "name": "New"}),
    ("get", "workflows/refund-desk", {"reviewer", "operator", "admin"}, None),
    ("put", "workflows/refund-desk", {"admin"}, {"queue": "payments"}),
    ("get", "routing", {"reviewer", "operator", "admin"}, None),
    ("put", "routing", {"admin"}, {"queue": "northwind"}),
    ("get", "workflows/refund-desk/revisions", {"reviewer", "operator", "admin"}, None),
    ("get", "credentials/default", {"admin"}, None),
    ("put", "credentials/default", {"admin"}, {"provider": "openai", "api_key": "sk-new"}),
    ("get", "me", {"reviewer", "operator", "admin"}, None),
]
NAMED = [pytest.param(*call, id=f"{call[0]} {call[1]}") for call in CALLS]
OBJECTS = [
    *(call for call in CALLS if ("{" in call[1] or "/" in call[1]) and "topics" not in call[1]),  # they are nobody's
    ("post", "workflows/refund-desk/revisions", {"admin"}, {"team": {}}),
]


@pytest.fixture
def place(desk: Desk) -> dict[str, str]:
    """Ids to fill the addresses with: a waiting run, its request, a run that was cancelled, and a credential."""
    run, [request] = desk.waiting(refund())
    ended = desk.start()
    house = desk.house
    assert house.operator.api.post(f"/api/v1/runs/{ended.pk}/cancel").status_code == 200
    saved = house.admin.api.put("/api/v1/credentials/default", {"provider": "openai", "api_key": "sk-secret"})
    assert saved.status_code == 200
    return {"run": str(run.pk), "request": str(request.pk), "ended": str(ended.pk), "type": "support_ticket"}


def call(api: Api, method: str, address: str, place: dict[str, str], body: Any = None, **more: Any) -> Any:
    path = f"/api/v1/{address.format(**place)}"
    return api.get(path) if method == "get" else getattr(api, method)(path, body, **more)


@pytest.mark.parametrize(("method", "address", "roles", "body"), NAMED)
def test_roles(desk: Desk, place: Any, method: str, address: str, roles: set[str], body: Any) -> None:
    for role in sorted({"reviewer", "operator", "admin"} - roles):
        problem(call(getattr(desk.house, role).api, method, address, place, body), 403)
    for role in sorted(roles):
        response = call(getattr(desk.house, role).api, method, address, place, body)
        assert response.status_code in (200, 201, 202), (role, response.content)
        assert response["Content-Type"].startswith("application/json")
        if method == "post":
            return  # once done, it is not done by another


def test_another_tenants_objects_do_not_exist(world: World, place: Any) -> None:
    for method, address, _, body in OBJECTS:
        if method == "put" and "credentials" in address:
            continue  # that makes fabrikam's own
        for role in ("reviewer", "operator", "admin"):
            problem(call(getattr(world.fabrikam, role).api, method, address, place, body), 404)
    with world.northwind.scope():
        assert ApprovalRequest.objects.get(pk=place["request"]).status == "pending"
        assert Run.objects.get(pk=place["run"]).status == "waiting"


def test_another_tenants_lists_are_their_own(world: World, place: Any) -> None:
    for address in ("runs", "approvals", "workflows"):
        assert world.fabrikam.admin.api.get(f"/api/v1/{address}").json() == {"items": [], "next": None}
    problem(world.fabrikam.reviewer.api.get("/api/v1/approvals", run=place["run"]), 404)


def test_without_a_good_token(place: Any) -> None:
    for method, address, _, body in CALLS:
        for token in (None, "nonsense", "sayso_" + "0" * 32 + "_" + "x" * 43):
            response = call(Api(token), method, address, place, body)
            problem(response, 401)
            assert response["WWW-Authenticate"].startswith("Bearer")


def test_a_session_is_no_token(desk: Desk, place: Any) -> None:
    client: Client = desk.house.reviewer.client
    problem(client.post(f"/api/v1/approvals/{place['request']}/decisions", {"verdict": "approve"}), 401)
    assert desk.request(place["request"]).status == "pending"


METHODS = {
    "runs": "GET, POST",
    "runs/{run}": "GET",
    "runs/{run}/messages": "GET",
    "runs/{run}/steps": "GET",
    "runs/{run}/cancel": "POST",
    "runs/{run}/retry": "POST",
    "topics/{type}/events": "POST",
    "approvals": "GET",
    "approvals/{request}": "GET",
    "approvals/{request}/decisions": "POST",
    "workflows": "GET, POST",
    "workflows/refund-desk": "GET, PUT",
    "routing": "GET, PUT",
    "workflows/refund-desk/revisions": "GET, POST",
    "credentials/default": "GET, PUT",
}


def test_a_wrong_method(desk: Desk, place: Any) -> None:
    api = desk.house.admin.api
    for address, allowed in METHODS.items():
        right = {each.strip().lower() for each in allowed.split(",")}
        for method in sorted({"delete", "patch", "post", "get", "put"} - right):
            response = getattr(api.client, method)(f"/api/v1/{address.format(**place)}")
            problem(response, 405)
            assert {each.strip().lower() for each in response["Allow"].split(",")} == right


def test_reading_never_decides(desk: Desk, place: Any) -> None:
    desk.house.reviewer.api.get(f"/api/v1/approvals/{place['request']}/decisions", verdict="approve")
    assert desk.request(place["request"]).status == "pending"


def test_an_unknown_address(desk: Desk) -> None:
    for address in ("nothing", "runs/", "runs/x/y/z", "approvals/1/2", ""):
        problem(desk.house.admin.api.get(f"/api/v1/{address}"), 404)


def test_an_unknown_id(desk: Desk) -> None:
    for address in ("runs/{}", "runs/{}/steps", "runs/{}/messages", "approvals/{}"):
        for key in (UUID, "1", "nonsense", "%00", "r-7a4e5b", "a" * 3000):
            problem(desk.house.admin.api.get(f"/api/v1/{address.format(key)}"), 404)


def test_malformed_json(desk: Desk, place: Any) -> None:
    whole = (b"", b"[1]", b'"x"', b"null")
    broken = (b"{", b"nonsense", b'{"verdict": NaN}', b"\xff\xfe", b"[" * 100_000)
    for api, address in (
        (desk.house.operator.api, "runs"),
        (desk.house.reviewer.api, f"approvals/{place['request']}/decisions"),
        (desk.house.admin.api, "workflows/refund-desk/revisions"),
    ):
        for text in whole + broken:
            response = api.client.post(f"/api/v1/{address}", text, content_type="application/json")
            assert response.status_code == (422 if text in whole else 400), (text, response.content)
            assert response["Content-Type"] == "application/problem+json"
    assert desk.request(place["request"]).status == "pending"


def test_a_body_beyond_the_limit(desk: Desk) -> None:
    text = b'{"workflow": "refund-desk", "input": "' + b"x" * 1_100_000 + b'"}'
    response = desk.house.operator.api.client.post("/api/v1/runs", text, content_type="application/json")
    assert "1,000,000 bytes" in problem(response, 413)["detail"]


def test_sent_twice_happens_once(desk: Desk, place: Any) -> None:
    body = {"workflow": "refund-desk", "input": "Refund order A-17"}
    first, again = (desk.house.operator.api.post("/api/v1/runs", body, key="k-1") for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    with desk.house.scope():
        assert Run.objects.count() == 3
    other = desk.house.operator.api.post("/api/v1/runs", {**body, "input": "Another"}, key="k-1")
    problem(other, 422)
    address = f"/api/v1/approvals/{place['request']}/decisions"
    first, again = (desk.house.reviewer.api.post(address, {"verdict": "approve"}, key="k-2") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_what_failed_may_be_sent_again_under_its_key(desk: Desk, place: Any) -> None:
    address = f"/api/v1/approvals/{place['request']}/decisions"
    problem(desk.house.reviewer.api.post(address, {"verdict": "reject"}, key="k"), 422, "reason")
    done = desk.house.reviewer.api.post(address, {"verdict": "reject", "reason": "no"}, key="k")
    assert done.status_code == 201


def test_the_openapi_document_is_open_and_complete(db: None) -> None:
    response = Client().get("/api/v1/openapi.json")
    assert response.status_code == 200
    paths = response.json()["paths"]
    listed = {(path.removeprefix("/api/v1/"), method) for path, methods in paths.items() for method in methods}
    names = {"{run}": "{run_id}", "{ended}": "{run_id}", "{request}": "{request_id}"}
    for method, address, _, _ in CALLS:
        address = address.replace("refund-desk", "{slug}").replace("credentials/default", "credentials/{name}")
        for ours, theirs in names.items():
            address = address.replace(ours, theirs)
        assert (address, method) in listed
    assert response.json()["components"]["securitySchemes"]


def test_the_openapi_document_says_what_can_go_wrong_and_how_to_send_twice(db: None) -> None:
    document = Client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    ids = [call["operationId"] for calls in document["paths"].values() for call in calls.values()]
    assert len(set(ids)) == len(ids)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            names = {each["name"] for each in call["parameters"]}
            assert set(re.findall(r"{(\w+)}", path)) <= names, path
            assert ("Idempotency-Key" in names) == (method in ("post", "put")), path
            assert {"401", "403", "429"} <= set(call["responses"]) and "default" not in call["responses"]
            assert ("404" in call["responses"]) or "{" not in path
            for status, response in call["responses"].items():
                kind = "application/json" if status < "300" else "application/problem+json"
                assert list(response["content"]) == [kind] and response["description"], (path, status)
    text = json.dumps(document)
    for reference in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert reference in document["components"]["schemas"]


@pytest.mark.parametrize("address", ["runs", "approvals", "workflows"])
def test_lists_go_on_by_cursor(desk: Desk, address: str) -> None:
    if address == "workflows":
        for number in range(4):
            made = desk.house.admin.api.post("/api/v1/workflows", {"slug": f"w-{number}", "name": "W"})
            assert made.status_code == 201
    else:
        for _ in range(5):
            desk.waiting(refund())
    api = desk.house.reviewer.api
    whole = api.get(f"/api/v1/{address}").json()
    assert len(whole["items"]) == 5 and whole["next"] is None
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    for _ in range(3):
        page = api.get(f"/api/v1/{address}", limit=2, **cursor).json()
        found += page["items"]
        cursor = {"cursor": page["next"]}
    assert page["next"] is None
    key = "slug" if address == "workflows" else "id"
    assert [each[key] for each in found] == [each[key] for each in whole["items"]]
    for nonsense in ("x", "====", "bm9uc2Vuc2U", str(uuid4())):
        problem(api.get(f"/api/v1/{address}", cursor=nonsense), 422, "cursor")
    for limit in ("0", "1000", "x"):
        problem(api.get(f"/api/v1/{address}", limit=limit), 422, "limit")
