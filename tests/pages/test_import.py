"""The import page and the pages of revisions: what is shown, what is refused, who may, and that nothing is half-written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from console.runs import actions as runs
from console.runs import feed
from console.workflows.models import Promotion, Revision, Tool, Workflow
from tests.agents.stage import agent, mention, node, team
from tests.approvals.desk import Desk
from tests.studio import code, first_version, names, own_files, studio
from tests.world import World

PAGE = "/workflows/import/"


def look(world: World, document: Any, **fields: str) -> Any:
    text = document if isinstance(document, str) else json.dumps(document)
    return world.northwind.admin.client.post(PAGE, {"document": text, "step": "look", **fields})


def save(world: World, document: Any, **fields: str) -> Any:
    return look(world, document, **{"step": "save", "name": "A team", **fields})


@pytest.mark.parametrize("document", [studio(), *own_files("team.json")], ids=names("team.json"))
def test_studios_file_is_drawn_mapped_and_saved(desk: Desk, world: World, document: dict[str, Any]) -> None:
    seen = look(world, document)
    text = seen.content.decode()
    assert seen.status_code == 200 and "can be saved" in text
    assert "assistant_agent" in text and "when somebody says “TERMINATE” or after 10 messages" in text
    assert "suggested, because the name is the same" in text and "def calculator" not in text.split("<textarea")[0]
    saved = save(world, document, **{"map:calculator": "calculator", "reason": "From the notebook", "mode": "ALWAYS"})
    assert saved["Location"] == "/workflows/a-team/?revision=1"
    with world.northwind.scope():
        revision = Revision.objects.get(workflow__slug="a-team")
        assert (revision.reason, revision.body["oversight"]["mode"]) == ("From the notebook", "ALWAYS")
        assert "source_code" not in json.dumps(revision.body)
        assert revision.workflow.current_id == revision.pk
    page = world.northwind.reviewer.client.get("/workflows/a-team/").content.decode()
    assert "From the notebook" in page and "assistant_agent" in page


def test_what_was_mapped_by_hand_is_still_mapped_when_it_is_saved(desk: Desk, world: World) -> None:
    document = studio()
    document["config"]["participants"][0]["config"]["workbench"][0]["config"]["tools"][0]["config"]["name"] = "launch"
    assert "choose a tool" in look(world, document).content.decode()
    again = look(world, document, **{"map:launch": "calculator"}).content.decode()
    assert "can be saved" in again and 'name="map:launch"' in again
    assert '<option value="calculator" selected>' in again


def test_a_limit_above_the_organisations_is_named_and_nothing_is_made(desk: Desk, world: World) -> None:
    world.northwind.admin.api.put("/api/v1/limits", {"max_turns": 5})
    body = {"team": studio(), "tools": {"calculator": "calculator"}, "limits": {"max_turns": 6}}
    refused = save(world, body, name="Too much")
    text = refused.content.decode()
    assert refused.status_code == 422 and "$.limits.max_turns" in text
    assert "is above the tenant&#x27;s limit of 5; lower it, or have that one raised" in text
    with world.northwind.scope():
        assert not Workflow.objects.filter(slug="too-much").exists()


def test_what_an_agent_hears_cannot_be_kept_under_a_limit_that_was_lowered_since(desk: Desk, world: World) -> None:
    body = {"team": team("RoundRobinGroupChat", agent("a")), "limits": {"max_turns": 9}}
    assert world.northwind.admin.api.post("/api/v1/workflows/refund-desk/revisions", body).status_code == 201
    world.northwind.admin.api.put("/api/v1/limits", {"max_turns": 5})
    answer = world.northwind.admin.client.post(
        "/workflows/refund-desk/hears/", {"agent": "a", "filters": '[{"source": "user"}]', "context": ""}
    )
    assert answer.status_code == 422 and "$.limits.max_turns is above the tenant" in answer.content.decode()
    deep = world.northwind.admin.client.post("/workflows/refund-desk/hears/", {"agent": "a", "filters": "[" * 100_000})
    assert deep.status_code == 422 and "This is no JSON" in deep.content.decode()
    tool = {
        "name": "deep",
        "kind": "http",
        "url": "https://x.example.com",
        "effect": "neither",
        "schema": "[" * 100_000,
    }
    assert world.northwind.admin.client.post("/tools/", tool).status_code == 422


def test_an_mcp_server_is_among_what_can_be_chosen(desk: Desk, world: World) -> None:
    schema = {"type": "object"}
    inner = {
        "name": "read",
        "description": "Reads.",
        "schema": schema,
        "effect": "neither",
        "risk": "low",
        "approval": "require",
    }
    with world.northwind.scope():
        Tool.objects.create(
            tenant=world.northwind.tenant, name="books", version=1, kind="mcp",
            config={"url": "https://mcp.example.com", "effect": "neither", "tools": [inner]},
        )  # fmt: skip
    bench = {**node("autogen_ext.tools.mcp.McpWorkbench", "workbench", server_params={}), "label": "Library"}
    document = team("RoundRobinGroupChat", agent("a", workbench=[bench]))
    page = look(world, document).content.decode()
    assert 'name="map:Library"' in page and "books: every tool of this MCP server" in page
    assert "can be saved" in look(world, document, **{"map:Library": "books"}).content.decode()


def test_an_upload_is_read_like_what_is_pasted(desk: Desk, world: World) -> None:
    client = world.northwind.admin.client
    file = SimpleUploadedFile("team.json", json.dumps(first_version()).encode())
    seen = client.post(PAGE, {"file": file, "step": "look"}).content.decode()
    assert "planner" in seen and "guide" in seen
    big = SimpleUploadedFile("big.json", b" " * 1_000_001)
    refused = client.post(PAGE, {"file": big, "step": "look"})
    assert refused.status_code == 422 and "the limit is 1,000,000" in refused.content.decode()


def test_an_unmapped_tool_waits_and_is_not_saved(desk: Desk, world: World) -> None:
    bench = node("autogen_core.tools.StaticStreamWorkbench", "workbench", tools=[code("launch")])
    document = team("RoundRobinGroupChat", agent("a", workbench=[bench]))
    seen = look(world, document).content.decode()
    assert "tools to be mapped" in seen and "choose a tool…" in seen
    refused = save(world, document)
    assert refused.status_code == 422 and "cannot be saved like this" in refused.content.decode()
    with world.northwind.scope():
        assert not Workflow.objects.filter(slug="a-team").exists()
    assert save(world, document, **{"map:launch": "calculator"}).status_code == 302


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no document yet"),
        ("{", "This is no JSON"),
        ("[" * 5000, "This is no JSON"),
        ("[]", "A team is a JSON object"),
        ('{"a": NaN}', "NaN is no JSON"),
    ],
)
def test_what_is_no_document_is_said(desk: Desk, world: World, text: str, said: str) -> None:
    answer = look(world, text)
    assert answer.status_code == 422 and said in answer.content.decode()


def test_what_stands_against_it_is_named_with_its_path(desk: Desk, world: World) -> None:
    evil = agent("a")
    evil["provider"] = "os.system"
    answer = look(world, team("RoundRobinGroupChat", evil, agent("b"))).content.decode()
    assert "os.system is not on the list" in answer and "$.team.config.participants[0].provider" in answer
    assert 'class="box error"' in answer and "refused as it is" in answer


def test_a_whole_revision_and_a_new_one_of_an_old_workflow(desk: Desk, world: World) -> None:
    body = {"team": team("RoundRobinGroupChat", agent("a")), "oversight": {"mode": "NEVER"}}
    assert save(world, body, workflow="refund-desk", use="later")["Location"] == "/workflows/refund-desk/?revision=2"
    with world.northwind.scope():
        workflow = Workflow.objects.get(slug="refund-desk")
        assert workflow.current is not None and workflow.current.number == 1
        assert Revision.objects.get(workflow=workflow, number=2).body["oversight"] == {"mode": "NEVER"}


@pytest.mark.parametrize(("name", "said"), [("", "must be 1 to 80"), ("Import", "a page of its own"), ("x" * 201, "")])
def test_a_name_that_is_none_is_said_and_nothing_is_made(desk: Desk, world: World, name: str, said: str) -> None:
    answer = save(world, team("RoundRobinGroupChat", agent("a")), name=name)
    assert answer.status_code == 422 and said in answer.content.decode()
    with world.northwind.scope():
        assert Workflow.objects.count() == 1


def test_only_admins_import(desk: Desk, world: World) -> None:
    for member in world.northwind.members:
        if member.role != "admin":
            assert member.client.get(PAGE).status_code == 403
            assert member.client.post(PAGE, {"document": "{}", "step": "save"}).status_code == 403


# Revisions


def two(world: World) -> None:
    first = {
        "team": team(
            "RoundRobinGroupChat", agent("a", system_message="You write short and friendly letters to people.")
        )
    }
    second = {
        "team": team(
            "RoundRobinGroupChat", agent("a", system_message="You write long and friendly letters to people, always.")
        ),
        "limits": {"max_turns": 5},
    }
    save(world, first, name="Letters")
    save(world, second, workflow="letters", reason="Longer letters")


def test_what_changed_is_readable(desk: Desk, world: World) -> None:
    two(world)
    text = world.northwind.reviewer.client.get("/workflows/letters/compare/").content.decode()
    assert "From revision 1 to 2" in text and "Longer letters" in text
    assert "<del>short</del>" in text and "<ins>long</ins>" in text and "max_turns" in text
    assert world.northwind.reviewer.client.get("/workflows/letters/compare/?from=9").status_code == 404
    assert world.northwind.reviewer.client.get("/workflows/refund-desk/compare/").status_code == 404
    assert world.fabrikam.admin.client.get("/workflows/letters/compare/").status_code == 404


def test_rolling_back_and_promoting_again(desk: Desk, world: World) -> None:
    two(world)
    client = world.northwind.admin.client
    assert client.post("/workflows/letters/promote/", {"reason": "Too long"}).status_code == 302
    assert "Too long" in client.get("/workflows/letters/compare/?from=1&to=2").content.decode()
    again = client.post("/workflows/letters/promote/", {"reason": ""})
    assert again.status_code == 422 and "no revision before this one" in again.content.decode()
    assert client.post("/workflows/letters/promote/", {"number": "2"}).status_code == 302
    twice = client.post("/workflows/letters/promote/", {"number": "2"})
    assert twice.status_code == 422 and "already" in twice.content.decode()
    assert client.post("/workflows/letters/promote/", {"number": "77"}).status_code == 404
    assert client.get("/workflows/letters/promote/").status_code == 405
    assert world.northwind.operator.client.post("/workflows/letters/promote/", {"number": "1"}).status_code == 403
    assert world.fabrikam.admin.client.post("/workflows/letters/promote/", {"number": "1"}).status_code == 404
    with world.northwind.scope():
        kinds = list(Promotion.objects.filter(workflow__slug="letters").order_by("id").values_list("kind", flat=True))
    assert kinds == ["made", "made", "rolled_back", "promoted"]


def test_the_same_over_the_api(desk: Desk, world: World) -> None:
    two(world)
    api = world.northwind.admin.api
    diff = api.get("/api/v1/workflows/letters/diff?older=1&newer=2").json()
    assert [section["title"] for section in diff["sections"]] == ["Agents", "Limits"]
    back = api.post("/api/v1/workflows/letters/rollback", {"reason": "Too long"})
    assert (back.status_code, back.json()["revision"]) == (200, 1)
    assert api.post("/api/v1/workflows/letters/rollback", {}).status_code == 422
    assert api.post("/api/v1/workflows/letters/promote", {"number": 2}).json()["revision"] == 2
    assert api.post("/api/v1/workflows/letters/promote", {"number": 2}).status_code == 422
    assert api.post("/api/v1/workflows/letters/promote", {"number": 3}).status_code == 404
    assert world.northwind.operator.api.post("/api/v1/workflows/letters/promote", {"number": 1}).status_code == 403
    assert world.fabrikam.admin.api.post("/api/v1/workflows/letters/promote", {"number": 1}).status_code == 404
    body = {"team": team("RoundRobinGroupChat", agent("a"), termination_condition=mention("END"))}
    later = api.post("/api/v1/workflows/letters/revisions?promote=false&reason=Just+in+case", body)
    assert later.json()["number"] == 3 and api.get("/api/v1/workflows/letters").json()["revision"] == 2
    assert api.get("/api/v1/workflows/letters/revisions/3").json()["reason"] == "Just in case"
    assert api.post("/api/v1/workflows/letters/revisions?reason=" + "x" * 501, body).status_code == 422


# What agents hear


def test_filters_and_contexts_are_tried_on_a_run_and_kept(desk: Desk, world: World) -> None:
    save(world, {"team": team("RoundRobinGroupChat", agent("a"), agent("b"))}, name="Talk")
    admin, page = world.northwind.admin.client, "/workflows/talk/hears/"
    assert "has not run yet" in admin.get(page).content.decode()
    with world.northwind.scope():
        workflow = Workflow.objects.select_related("current").get(slug="talk")
        run = runs.start(world.northwind.operator.actor, workflow, "Hello")
        for index, (source, said) in enumerate(
            [("user", "First question"), ("a", "A says so"), ("user", "Second question")]
        ):
            message = {"index": index, "source": source, "type": "TextMessage", "content": said, "at": None}
            feed.publish(run.tenant_id, feed.run_topic(run.pk), "message", message, index=index)
    whole = admin.get(page, {"agent": "b"}).content.decode()
    assert "First question" in whole and "A says so" in whole and "You are b." in whole
    one = '[{"source": "user", "position": "last", "count": 1}]'
    tried = admin.get(page, {"agent": "b", "filters": one, "context": ""}).content.decode()
    assert "Second question" in tried and "First question" not in tried and "A says so" not in tried
    for change, said in (
        ({"filters": "{"}, "no JSON"),
        ({"filters": '[{"source": ""}]'}, "must name"),
        ({"context": "Buffered"}, "no such"),
    ):
        answer = admin.get(page, {"agent": "b", "filters": "", **change})
        assert answer.status_code == 422 and said in answer.content.decode()
    wrong = {"agent": "b", "filters": "", "context": "BufferedChatCompletionContext", "buffer_size": "0"}
    assert "whole numbers" in admin.post(page, wrong).content.decode()
    kept = admin.post(page, {**wrong, "filters": one, "buffer_size": "4"})
    assert kept["Location"] == "/workflows/talk/compare/?to=2"
    with world.northwind.scope():
        body = Revision.objects.get(workflow__slug="talk", number=2).body
    assert body["filters"] == {"b": json.loads(one)}
    assert world.northwind.reviewer.client.get(page).status_code == 200
    assert world.northwind.reviewer.client.post(page, {"agent": "b", "filters": ""}).status_code == 403
    assert world.fabrikam.admin.client.get(page).status_code == 404
