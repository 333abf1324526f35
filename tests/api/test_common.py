"""What all calls have in common: tokens, methods, JSON, roles, walls, and being sent twice."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from approvals.notices.models import Delivery
from console.runs import smoke
from console.runs.models import Run
from console.tenants import absences
from console.workflows.models import Workflow
from tests.api.problems import problem
from tests.api.test_workflows import TEAM
from tests.approvals.desk import Desk, make_desk, refund
from tests.approvals.planted import BODY as PROBED
from tests.approvals.planted import SAID, define
from tests.workflows.waiving import ASSESSMENT, waive
from tests.world import Api, World

SOON, LATER = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (20, 30))
UUID = "7a4e5bd4-2f3c-4a0e-9a39-0f6fd1b7d3f1"

ALL = {"reviewer", "operator", "admin"}
AWAY = {"username": "reviewer.northwind", "starts": SOON, "ends": LATER, "stands_in": "reviewer2.northwind"}
SMS = {"kind": "http", "url": "https://sms.example.com/send", "schema": {"type": "object"}, "effect": "neither"}
PROBE = {**SAID, "workflow": "probed", "name": "another"}
RULE = {"name": "dear", "figure": "cost", "hours": 24, "condition": "above", "threshold": 5}
HOOK = {"kind": "webhook", "address": "https://8.8.8.8/hook", "events": ["request.created"]}

# (method, address, roles that may, a body that is right)
CALLS: list[tuple[str, str, set[str], Any]] = [
    ("post", "runs", {"operator", "admin"}, {"workflow": "refund-desk", "input": "Refund order A-17"}),
    ("get", "runs", ALL, None),
    ("get", "runs/{run}", ALL, None),
    ("get", "runs/{run}/messages", ALL, None),
    ("get", "runs/{run}/steps", ALL, None),
    ("post", "runs/{run}/cancel", {"operator", "admin"}, None),
    ("post", "runs/{ended}/retry", {"operator", "admin"}, None),
    ("post", "runs/retries", {"operator", "admin"}, {"stop_reason": "model_error"}),
    ("get", "runs/{ended}/fork?from_step=1", ALL, None),
    ("post", "runs/{ended}/fork", {"operator", "admin"}, {"from_step": 1}),
    ("post", "topics/{type}/events", {"operator", "admin"}, {"id": "e-1", "source": "s", "data": "x"}),
    ("get", "approvals", ALL, None),
    ("get", "approvals/{request}", ALL, None),
    ("post", "approvals/{request}/decisions", {"reviewer"}, {"verdict": "approve"}),
    ("post", "approvals/decisions", {"reviewer"}, {"ids": [UUID], "verdict": "approve"}),
    ("post", "approvals/{request}/claim", {"reviewer"}, {}),
    ("delete", "approvals/{request}/claim", {"reviewer", "admin"}, None),
    ("post", "approvals/{request}/assign", {"reviewer", "admin"}, {"to": "reviewer2.northwind"}),
    ("get", "approvals/{request}/comments", ALL, None),
    ("post", "approvals/{request}/comments", ALL, {"text": "Look at the order first."}),
    (
        "post",
        "approvals/{request}/standing",
        {"reviewer"},
        {"scope": "run", "same": "call", "expires_at": SOON, "reason": "ok"},
    ),
    ("get", "standing-approvals", ALL, None),
    ("delete", "standing-approvals/{standing}", {"reviewer", "admin"}, None),
    ("get", "calendar", ALL, None),
    ("put", "calendar", {"admin"}, {"zone": "Europe/Oslo", "days": {"mon": ["09:00", "17:00"]}}),
    ("get", "workflows", ALL, None),
    ("post", "workflows", {"admin"}, {"slug": "new", "name": "New"}),
    ("get", "workflows/refund-desk", ALL, None),
    ("put", "workflows/refund-desk", {"admin"}, {"queue": "payments"}),
    ("get", "routing", ALL, None),
    ("put", "routing", {"admin"}, {"queue": "northwind"}),
    ("get", "limits", ALL, None),
    ("put", "limits", {"admin"}, {"max_turns": 9}),
    ("get", "prices", ALL, None),
    ("put", "prices", {"admin"}, {"prices": [{"model": "m*", "input": 1, "output": 2}]}),
    ("get", "workflows/refund-desk/limits", ALL, None),
    ("put", "workflows/refund-desk/limits", {"admin"}, {"max_turns": 9}),
    ("get", "workflows/refund-desk/revisions", ALL, None),
    ("post", "workflows/refund-desk/revisions", {"admin"}, {"team": TEAM}),
    ("get", "workflows/refund-desk/revisions/2", ALL, None),
    ("get", "workflows/refund-desk/diff?older=1&newer=2", ALL, None),
    ("post", "workflows/refund-desk/promote", {"admin"}, {"number": 2}),
    ("post", "workflows/refund-desk/rollback", {"admin"}, None),
    ("get", "workflows/refund-desk/canaries", ALL, None),
    ("post", "workflows/refund-desk/canaries", {"admin"}, {"revision": 2, "share": 5}),
    ("post", "workflows/refund-desk/canaries/end", {"admin"}, {"promote": False}),
    ("get", "workflows/refund-desk/smoke", ALL, None),
    ("put", "workflows/refund-desk/smoke", {"admin"}, {"cases": []}),
    ("post", "workflows/refund-desk/revisions/2/smoke-tests", {"operator", "admin"}, None),
    ("get", "workflows/refund-desk/smoke-tests", ALL, None),
    ("get", "workflows/refund-desk/smoke-tests/{test}", ALL, None),
    ("get", "rules", ALL, None),
    ("put", "rules", {"admin"}, {"rules": [], "reason": "None are needed."}),
    ("get", "rules/versions", ALL, None),
    ("post", "rules/try", {"operator", "admin"}, {"run": "{run}", "workflow": "refund-desk"}),
    ("post", "rules/backtest", {"operator", "admin"}, {"workflow": "refund-desk", "weeks": 4}),
    ("get", "workflows/refund-desk/behaviour", ALL, None),
    ("get", "workflows/refund-desk/waivers", ALL, None),
    ("post", "workflows/refund-desk/waivers", {"admin"}, {"risk_assessment": ASSESSMENT, "expires_at": SOON}),
    ("post", "workflows/refund-desk/waivers/{waiver}/consent", {"admin"}, None),
    ("delete", "workflows/refund-desk/waivers/{waiver}", {"admin"}, {"why": "It is not needed any more."}),
    ("get", "tools", ALL, None),
    ("get", "tools/send_sms", ALL, None),
    ("put", "tools/send_sms", {"admin"}, {**SMS, "risk": "low"}),
    ("post", "tools/send_sms/revoke", {"admin"}, None),
    ("post", "tools/send_sms/reinstate", {"admin"}, None),
    ("get", "display", ALL, None),
    ("put", "display", {"admin"}, {"shown_to": "reviewers", "masks": ["email"]}),
    ("get", "credentials", {"admin"}, None),
    ("get", "credentials/default", {"admin"}, None),
    ("put", "credentials/default", {"admin"}, {"provider": "openai", "api_key": "sk-new"}),
    ("get", "members", ALL, None),
    ("put", "members/operator.northwind", {"admin"}, {"role": "reviewer"}),
    ("delete", "members/operator.northwind", {"admin"}, None),
    ("get", "groups", ALL, None),
    ("get", "groups/payers", ALL, None),
    ("put", "groups/payers", {"admin"}, {"description": "Who pays.", "members": ["reviewer.northwind"]}),
    ("delete", "groups/payers", {"admin"}, None),
    ("get", "absences", ALL, None),
    ("post", "absences", {"reviewer", "admin"}, AWAY),
    ("delete", "absences/{absence}", {"reviewer", "admin"}, None),
    ("get", "channels", {"admin"}, None),
    ("get", "channels/hook", {"admin"}, None),
    ("put", "channels/hook", {"admin"}, HOOK),
    ("post", "channels/hook/secret", {"admin"}, None),
    ("post", "channels/hook/test", {"admin"}, None),
    ("get", "channels/hook/deliveries", {"admin"}, None),
    ("post", "deliveries/{delivery}/redeliver", {"admin"}, None),
    ("delete", "channels/hook", {"admin"}, None),
    ("get", "probes", {"admin"}, None),
    ("post", "probes", {"admin"}, PROBE),
    ("post", "probes/{probe}/plant", {"admin"}, None),
    ("post", "probes/{probe}/withdraw", {"admin"}, None),
    ("get", "telemetry/people", ALL, None),
    ("get", "alerts", ALL, None),
    ("get", "alerts/rules", ALL, None),
    ("post", "alerts/rules", {"admin"}, {**RULE, "name": "another"}),
    ("get", "alerts/rules/{alert_rule}", ALL, None),
    ("put", "alerts/rules/{alert_rule}", {"admin"}, RULE),
    ("delete", "alerts/rules/{alert_rule}", {"admin"}, None),
    ("get", "alerts/silences", ALL, None),
    ("post", "alerts/silences", {"operator", "admin"}, {"rule": "", "reason": "We know.", "until": "8h"}),
    ("delete", "alerts/silences/{silence}", {"operator", "admin"}, None),
    ("get", "me", ALL, None),
    ("get", "telemetry/summary", ALL, None),
    ("get", "telemetry/series?figure=cost&by=model", ALL, None),
    ("get", "telemetry/figures", ALL, None),
    ("get", "telemetry/retention", ALL, None),
    ("put", "telemetry/retention", {"admin"}, {"hours": 100, "days": 400}),
]
NOBODYS = "topics|versions|runs/retries|approvals/decisions|telemetry|alerts/(rules|silences)$"
# What only reads leaves all as it was, so that one place will do for all of it; only waivers need one of their own.
READS = [call for call in CALLS if call[0] == "get" and "waiver" not in call[1]]
NAMED = [pytest.param(*call, id=f"{call[0]} {call[1]}") for call in CALLS if call not in READS]
OBJECTS = [
    call for call in CALLS if ("{" in call[1] or "/" in call[1]) and not re.search(NOBODYS, call[1])
]  # they are nobody's
OWN = (
    "credentials/default",
    "tools/send_sms",
    "groups/payers",
    "channels/hook",
)  # what a PUT makes for whoever puts it


@pytest.fixture
def place(desk: Desk) -> dict[str, str]:
    """Ids to fill the addresses with: a waiting run, its request, a run that was cancelled. So are a credential and a group."""
    run, [request] = desk.waiting(refund())
    ended = desk.start()
    house = desk.house
    assert house.operator.api.post(f"/api/v1/runs/{ended.pk}/cancel").status_code == 200
    saved = house.admin.api.put("/api/v1/credentials/default", {"provider": "openai", "api_key": "sk-secret"})
    assert saved.status_code == 200
    assert house.admin.api.put("/api/v1/groups/payers").status_code == 200
    assert house.admin.api.put("/api/v1/channels/hook", HOOK).status_code == 200
    sent = house.admin.api.post("/api/v1/channels/hook/test").json()["id"]
    with house.scope():
        Delivery.objects.update(status="dead", attempts=9)
        standing = approvals.grant(
            house.reviewer.actor, request.pk, scope="run", same="call", expires_at=SOON, reason="tests"
        )
        starts = datetime.now(UTC) + timedelta(days=2)
        away = absences.put_absence(
            house.admin.actor, house.reviewer.user.id, starts, starts + timedelta(days=2), "reviewer2.northwind"
        )
    probe = define(make_desk(house, PROBED, "probed"), workflow="probed")
    ids = {"run": str(run.pk), "request": str(request.pk), "ended": str(ended.pk), "standing": str(standing.pk)}
    ids["probe"] = str(probe.pk)
    made = house.admin.api.post("/api/v1/alerts/rules", RULE)
    quiet = house.operator.api.post("/api/v1/alerts/silences", {"reason": "r", "until": "8h"})
    assert (made.status_code, quiet.status_code) == (201, 201)
    ids |= {"alert_rule": made.json()["id"], "silence": quiet.json()["id"]}
    return {
        **ids,
        "type": "support_ticket",
        "test": UUID,
        "waiver": UUID,
        "delivery": sent,
        "absence": str(away.pk),
        "probe": str(probe.pk),
    }


@pytest.fixture
def more(desk: Desk, place: dict[str, str]) -> dict[str, str]:
    """Besides: a tool, a second revision, and a smoke test that has ended."""
    admin, address = desk.house.admin.api, "/api/v1/workflows/refund-desk"
    for saved in (
        admin.put("/api/v1/tools/send_sms", SMS),
        admin.post(f"{address}/revisions?promote=false", {"team": TEAM}),
        admin.put(f"{address}/smoke", {"cases": [{"name": "one", "input": "Hello"}]}),
        test := admin.post(f"{address}/revisions/2/smoke-tests"),
    ):
        assert saved.status_code in (200, 201, 202), saved.content
    with desk.house.scope():
        Run.objects.exclude(smoke_test=None).update(status="completed", stop_reason="completed")
    smoke.look()
    return {**place, "test": test.json()["id"]}


@pytest.fixture
def never(desk: Desk, place: dict[str, str]) -> dict[str, str]:
    """Besides: a revision that says NEVER, and for one of its stages the proposal of another admin."""
    oversight = {"mode": "NEVER", "stages": {"a": "NEVER"}}
    body = {"team": TEAM, "oversight": oversight, "output_contract": {"type": "string"}}
    limits = {"max_turns": 5, "max_tokens": 5000}
    made = desk.house.admin.api.post("/api/v1/workflows/refund-desk/revisions", {**body, "limits": limits})
    assert made.status_code == 201, made.content
    with desk.house.scope():
        workflow = Workflow.objects.get(slug="refund-desk")
        nobody_yet = {"consented_by_id": None, "consented_by_name": "", "consented_at": None}
        return {**place, "waiver": str(waive(workflow, "a", **nobody_yet).pk)}


# What has to be there before a call makes sense.
BEFORE = {
    "workflows/refund-desk/rollback": ("workflows/refund-desk/promote", {"number": 2}),
    "workflows/refund-desk/canaries/end": ("workflows/refund-desk/canaries", {"revision": 2, "share": 5}),
}


def call(api: Api, method: str, address: str, place: dict[str, str], body: Any = None, **more: Any) -> Any:
    path = f"/api/v1/{address.format(**place)}"
    if isinstance(body, dict) and body.get("run") == "{run}":
        body = {**body, "run": place["run"]}
    return api.get(path) if method == "get" else getattr(api, method)(path, body, **more)


@pytest.mark.parametrize(("method", "address", "roles", "body"), NAMED)
def test_roles(
    desk: Desk, request: pytest.FixtureRequest, method: str, address: str, roles: set[str], body: Any
) -> None:
    more = "more" if re.search("2|sms|{test}|canaries|roll|promote", address) else "place"
    place = request.getfixturevalue("never" if "waiver" in address else more)
    if address in BEFORE:
        first, wanted = BEFORE[address]
        assert desk.house.admin.api.post(f"/api/v1/{first}", wanted).status_code < 300
    _roles(desk, place, method, address, roles, body)


def test_roles_of_what_only_reads(desk: Desk, more: dict[str, str], subtests: pytest.Subtests) -> None:
    for each in READS:
        with subtests.test(each[1]):
            _roles(desk, more, *each)


def _roles(desk: Desk, place: dict[str, str], method: str, address: str, roles: set[str], body: Any) -> None:
    for role in sorted(ALL - roles):
        problem(call(getattr(desk.house, role).api, method, address, place, body), 403)
    for role in sorted(roles):
        response = call(getattr(desk.house, role).api, method, address, place, body)
        assert response.status_code in (200, 201, 202), (role, response.content)
        assert response["Content-Type"].startswith("application/json")
        if method in ("post", "delete"):
            return  # once done, it is not done by another


def test_another_tenants_objects_do_not_exist(world: World, more: Any) -> None:
    place = more
    for method, address, roles, body in OBJECTS:
        if method == "put" and address in OWN:
            continue  # that makes fabrikam's own
        for role in ALL:
            response = call(getattr(world.fabrikam, role).api, method, address, place, body)
            problem(response, 404 if role in roles or response.status_code != 403 else 403)
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


METHODS: dict[str, set[str]] = {}
for _method, _address, *_ in CALLS:
    METHODS.setdefault(_address.partition("?")[0].replace("{ended}", "{run}"), set()).add(_method)


def test_a_wrong_method(desk: Desk, place: Any) -> None:
    api = desk.house.admin.api
    for address, right in METHODS.items():
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
    assert response.json()["components"]["securitySchemes"]


def test_every_call_is_in_the_openapi_document_and_in_these_tests(place: Any) -> None:
    ours = {(method, address.format(**place).partition("?")[0]) for method, address, _, _ in CALLS}
    paths = Client().get("/api/v1/openapi.json").json()["paths"]
    for path, calls in paths.items():
        pattern = re.compile(re.sub(r"{\w+}", "[^/]+", path.removeprefix("/api/v1/")))
        for method in calls:
            found = {each for each in ours if each[0] == method and pattern.fullmatch(each[1])}
            assert found, (method, path)
            ours -= found
    assert ours == set()


def test_the_openapi_document_says_what_can_go_wrong_and_how_to_send_twice(db: None) -> None:
    document = Client().get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    ids = [call["operationId"] for calls in document["paths"].values() for call in calls.values()]
    assert len(set(ids)) == len(ids)
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            names = {each["name"] for each in call["parameters"]}
            assert set(re.findall(r"{(\w+)}", path)) <= names, path
            assert ("Idempotency-Key" in names) == (method in ("post", "put", "delete")), path
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
