"""Workflows, revisions and credentials over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.audit.models import AuditRecord
from console.tenants.models import Credential
from console.workflows.models import Revision
from tests.api.problems import problem
from tests.approvals.desk import RULES, Desk

TEAM: dict[str, Any] = {
    "provider": "autogen_agentchat.teams.RoundRobinGroupChat",
    "component_type": "team",
    "version": 1,
    "config": {
        "participants": [
            {
                "provider": "autogen_agentchat.agents.AssistantAgent",
                "component_type": "agent",
                "version": 2,
                "config": {
                    "name": "writer",
                    "model_client": {
                        "provider": "autogen_ext.models.openai.OpenAIChatCompletionClient",
                        "component_type": "model",
                        "version": 1,
                        "config": {"model": "gpt-4o-mini"},
                    },
                    "description": "Writes.",
                    "system_message": "Write.",
                },
            }
        ],
        "termination_condition": {
            "provider": "autogen_agentchat.conditions.MaxMessageTermination",
            "component_type": "termination",
            "version": 1,
            "config": {"max_messages": 3},
        },
    },
}


def revise(desk: Desk, body: Any, slug: str = "refund-desk") -> Any:
    return desk.house.admin.api.post(f"/api/v1/workflows/{slug}/revisions", body)


def test_a_workflow_and_its_revisions(desk: Desk) -> None:
    api = desk.house.admin.api
    made = api.post("/api/v1/workflows", {"slug": "writing", "name": "Writing", "description": "Writes."})
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "slug": "writing", "name": "Writing", "description": "Writes.", "revision": None, "queue": "", "created_at": ""
    }  # fmt: skip
    first = revise(desk, {"team": TEAM}, "writing")
    assert first.status_code == 201, first.content
    assert first.json()["number"] == 1
    assert all(finding["path"].startswith("$.") for finding in first.json()["findings"])
    assert revise(desk, {"team": TEAM, "rules": RULES}, "writing").json()["number"] == 2
    assert desk.house.reviewer.api.get("/api/v1/workflows/writing").json()["revision"] == 2
    listed = desk.house.reviewer.api.get("/api/v1/workflows/writing/revisions").json()["items"]
    assert [each["number"] for each in listed] == [2, 1]
    assert listed[0]["body"]["rules"] == RULES


def test_a_workflow_is_renamed_and_what_is_left_out_stays(desk: Desk) -> None:
    api, address = desk.house.admin.api, "/api/v1/workflows/refund-desk"
    before = api.get(address).json()
    assert api.put(address, {}).json() == before
    renamed = {**before, "name": "Refunds", "description": "Pays money back."}
    assert api.put(address, {"name": " Refunds ", "description": "Pays money back."}).json() == renamed
    assert api.put(address, {"queue": "payments"}).json() == {**renamed, "queue": "payments"}
    problem(api.put(address, {"name": "", "queue": "other"}), 422, "name")
    problem(api.put(address, {"description": "x" * 10_001}), 422, "description")
    assert api.get(address).json() == {**renamed, "queue": "payments"}
    with desk.house.scope():
        kept = AuditRecord.objects.filter(action__in=("workflow.name", "workflow.description")).order_by("id")
        assert [each.detail["after"] for each in kept] == ["Refunds", "Pays money back."]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "refund-desk", "name": "Again"}, "slug"),
        ({"slug": "No Spaces", "name": "X"}, "slug"),
        ({"slug": "", "name": "X"}, "slug"),
        ({"slug": "x" * 81, "name": "X"}, "slug"),
        ({"slug": "fine", "name": " "}, "name"),
        ({"slug": "fine", "name": "x" * 201}, "name"),
        ({"slug": "fine"}, "name"),
    ],
)
def test_what_no_workflow_is(desk: Desk, body: Any, field: str) -> None:
    problem(desk.house.admin.api.post("/api/v1/workflows", body), 422, field)


@pytest.mark.parametrize("role", ["reviewer", "operator"])
def test_only_admins_revise(desk: Desk, role: str) -> None:
    problem(getattr(desk.house, role).api.post("/api/v1/workflows/refund-desk/revisions", {"team": TEAM}), 403)


def evil() -> dict[str, Any]:
    team = json.loads(json.dumps(TEAM))
    team["config"]["participants"][0]["provider"] = "os.system"
    return {"team": team}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (evil(), "$.team.config.participants[0].provider"),
        ({"team": TEAM, "rules": [{"name": "x", "effect": "let"}]}, "$.rules[0].effect"),
        ({"team": TEAM, "rules": [{"name": "x", "effect": "deny", "when": "1 +"}]}, "$.rules[0].when"),
        ({"team": TEAM, "rules": {}}, "$.rules"),
        ({"team": TEAM, "oversight": {"mode": "SOMETIMES"}}, "$.oversight.mode"),
    ],
)
def test_each_fault_has_its_path(desk: Desk, body: Any, path: str) -> None:
    refused = revise(desk, body)
    assert refused.status_code == 422, refused.content
    assert path in [error["path"] for error in refused.json()["errors"]]
    assert all(error["path"].startswith("$.") for error in refused.json()["errors"])
    with desk.house.scope():
        assert Revision.objects.count() == 1


def test_a_body_without_a_team(desk: Desk) -> None:
    assert revise(desk, {}).status_code == 422


@pytest.mark.parametrize("body", ["[]", "null", '"x"', "5"])
def test_a_body_that_is_no_object_has_its_path_too(desk: Desk, body: str) -> None:
    address = "/api/v1/workflows/refund-desk/revisions"
    answer = desk.house.admin.api.client.post(address, body, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (422, "application/problem+json")
    assert [each["path"] for each in answer.json()["errors"]] == ["$.team"]


def test_a_credential_keeps_its_key(desk: Desk) -> None:
    api = desk.house.admin.api
    put = {"provider": "openai", "base_url": "https://api.example.com/v1", "api_key": "sk-very-secret"}
    first = api.put("/api/v1/credentials/main", put)
    assert first.status_code == 200
    read = api.get("/api/v1/credentials/main")
    assert read.json() == first.json()
    assert (read.json()["provider"], read.json()["base_url"], read.json()["has_key"]) == (
        "openai",
        put["base_url"],
        True,
    )
    kept = api.put("/api/v1/credentials/main", {"provider": "azure", "base_url": put["base_url"]})
    assert (kept.status_code, kept.json()["has_key"]) == (200, True)
    with desk.house.scope():
        assert b"sk-very-secret" not in bytes(Credential.objects.get().sealed_key)
        told = json.dumps(list(AuditRecord.objects.values_list("detail", flat=True)))
    for text in (first.content.decode(), read.content.decode(), kept.content.decode(), told):
        assert "sk-very-secret" not in text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "openai"}, "api_key"),
        ({"provider": "", "api_key": "k"}, "provider"),
        ({"provider": "openai", "api_key": "k", "base_url": "ftp://x"}, "base_url"),
        ({"provider": "openai", "api_key": "k", "base_url": "https://u:p@x"}, "base_url"),
        ({"provider": "openai", "api_key": 7}, "api_key"),
        ({"provider": "openai", "api_key": "k", "kind": "x"}, "kind"),
    ],
)
def test_what_no_credential_is(desk: Desk, body: Any, field: str) -> None:
    problem(desk.house.admin.api.put("/api/v1/credentials/main", body), 422, field)


def test_an_unknown_credential(desk: Desk) -> None:
    problem(desk.house.admin.api.get("/api/v1/credentials/nothing"), 404)


def test_whose_token_this_is(desk: Desk) -> None:
    me = desk.house.reviewer.api.get("/api/v1/me").json()
    assert me == {"tenant": "northwind", "role": "reviewer", "name": desk.house.reviewer.user.name}


def test_a_queue_of_its_own(desk: Desk) -> None:
    api, address = desk.house.admin.api, "/api/v1/workflows/refund-desk"
    assert api.get("/api/v1/routing").json() == {"queue": "", "default": "runs"}
    assert api.put("/api/v1/routing", {"queue": "northwind"}).json() == {"queue": "northwind", "default": "runs"}
    assert api.get("/api/v1/routing").json()["queue"] == "northwind"
    assert api.put(address, {"queue": "payments"}).json()["queue"] == "payments"
    assert api.get(address).json()["queue"] == "payments"
    for put in ("/api/v1/routing", address):
        for queue in ("two words", 7, None):
            if (put, queue) != (address, None):  # there, what is left out stays
                problem(api.put(put, {"queue": queue}), 422, "queue")
        problem(api.put(put, {"queue": "x", "colour": "red"}), 422, "colour")
        assert api.put(put, {"queue": ""}).json()["queue"] == ""
