"""What the benchmarks compute with; how long things take is never asserted."""

import asyncio
import json
import os
import socket
from array import array
from typing import Any

import pytest
from autogen_agentchat.base import Team
from autogen_core.tools import BaseTool

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console.agents import anatomy
from console.agents import documents as governed
from console.bench import (
    bare,
    concurrency,
    crew,
    cycles,
    importing,
    judging,
    leavings,
    lent,
    parked,
    plain,
    replay,
    resume,
    scripted,
)
from console.bench.fanout import listeners
from console.bench.figures import machine, percentile
from console.bench.tenant import bench_actor, request_of, reviewer, workflow_of
from console.demo import personas
from console.demo.documents import WORKFLOWS, DemoWorkflow
from console.demo.reading import read
from console.live.protocol import text_frame
from console.runs import actions, feed
from console.runs.models import Run
from console.tenants import crypto
from console.tenants.scopes import tenant_scope
from console.workflows import catalogue, waived
from console.workflows.models import Revision, Workflow


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: int, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_the_shares_of_a_resume_are_all_of_it() -> None:
    samples = [resume.Sample(0.008, 0.006, 0.004, 0.010, 0.002) for _ in range(3)]
    figures = resume._figures(samples, commit=0.001, apart=resume.Apart(rebuild=0.002, replay=0.006))
    assert figures["p50_ms"] == 30 and figures["claim_rebuild_replay_ms"] == 14
    parts = {name: figures[f"{name}_ms"] for name in figures["shares"]}
    assert parts == {"http": 8, "commit": 3, "broker": 5, "claim": 4, "rebuild": 2.5, "replay": 7.5}
    assert sum(figures["shares"].values()) == pytest.approx(1, abs=0.003)


def test_the_scripted_team_is_the_same_by_itself_and_as_a_document() -> None:
    result = asyncio.run(scripted.stock_team(3).run(task="Keep notes."))
    assert [message.source for message in result.messages] == ["user", *["notary"] * 9]
    body = scripted.body(3)
    team, findings = governed.examine(body["team"], body["tools"], scripted.specs())
    assert team is not None, findings


def test_the_clerk_of_the_benchmark_looks_up_and_then_asks_for_a_sum() -> None:
    system = {"role": "system", "content": "You are the clerk of the benchmark: 2 look-ups."}
    tools = [{"type": "function", "function": {"name": name}} for name in ("lookup_order", "calculator")]
    messages: list[dict] = [system, {"role": "user", "content": "Go."}]
    called = []
    for _ in range(3):
        ((name, arguments),) = personas.answer(read(messages, tools)).calls
        called.append(name)
        call = {"function": {"name": name, "arguments": arguments}}
        messages += [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "done"}]
    assert called == ["lookup_order", "lookup_order", "calculator"]
    assert personas.answer(read(messages, tools)) == personas.Answer("TERMINATE")


def test_the_machine_is_named() -> None:
    assert {"cpus", "load", "system", "python"} <= set(machine())


@pytest.mark.parametrize("agents", [*importing.SIZES])
def test_the_documents_to_import_are_as_large_as_they_say_and_are_taken(agents: int) -> None:
    text = json.dumps(importing.body(agents))
    kept = importing.examined(text)
    assert len(list(anatomy.agents(kept["team"]))) == agents
    assert text.count("def calculator") == agents  # as Studio writes it
    assert "def calculator" not in json.dumps(kept)


def test_the_import_is_of_more_than_one_shape() -> None:
    shapes = {
        (document["provider"], agent["version"])
        for document in map(importing.document, importing.SIZES)
        for agent in document["config"]["participants"]
    }
    assert {version for _, version in shapes} == {1, 2} and len(shapes) == 3


@pytest.mark.django_db
def test_what_is_stored_for_the_import_is_a_revision_and_is_taken_away_again() -> None:
    actor = bench_actor()
    workflow = workflow_of(actor, "import-4", importing.body(4))
    importing._store(actor, workflow, json.dumps(importing.body(4)))
    with tenant_scope(actor.tenant):
        assert [revision.number for revision in Revision.objects.order_by("number")] == [1, 2]
    importing._forget(actor, workflow)
    with tenant_scope(actor.tenant):
        assert not Revision.objects.exists() and not Workflow.objects.exists()


@pytest.mark.django_db
def test_never_holds_where_nothing_but_measuring_happens() -> None:
    actor = bench_actor()
    for _ in range(2):  # again is the same waiver
        workflow = resume._workflow(actor, "resume-4", 1, "default")
        with tenant_scope(actor.tenant):
            assert workflow.current is not None
            assert waived.of_now(workflow, workflow.current.body) == {"mode": "NEVER"}
            assert len(waived.in_force(workflow)) == 1


demo = pytest.mark.parametrize("workflow", WORKFLOWS, ids=[workflow.slug for workflow in WORKFLOWS])


def _names(team: Any) -> list[str]:
    return [each.name for each in team._participants]


@demo
@pytest.mark.filterwarnings("ignore::UserWarning")  # AutoGen's, that it executes the source of tools
def test_stock_and_rebuilt_teams_are_the_same_people(workflow: DemoWorkflow) -> None:
    specs, document = catalogue.all(), workflow.body["team"]
    expected = [member["config"]["name"] for member in document["config"]["participants"]]
    for with_source in (False, True):
        team = Team.load_component(bare.twin(document, specs, with_source=with_source))
        assert _names(team) == expected
    built: list[Any] = []

    async def main(run: Any) -> None:
        built.append(replay.rebuild(run, replay.revision_body(workflow)))

    replay.in_a_run(main)
    assert _names(built[0]) == expected


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", sorted({name for workflow in WORKFLOWS for name in workflow.body["tools"]}))
def test_a_plain_tool_asks_for_what_the_catalogue_asks_for(name: str) -> None:
    spec = catalogue.get(name)
    node = {"component_type": "tool", "provider": "autogen_core.tools.FunctionTool"}
    node["config"] = {"name": name, "description": "", "has_cancellation_support": False}
    for with_source in (False, True):
        tool = BaseTool.load_component(bare.twin(node, {name: spec}, with_source=with_source))
        asked = tool.schema["parameters"]
        assert sorted(asked["required"]) == sorted(spec.schema["required"])
        for field, about in spec.schema["properties"].items():
            assert asked["properties"][field]["type"] == about["type"]
            assert asked["properties"][field].get("enum") == about.get("enum")
            assert asked["properties"][field]["description"] == about.get("description", field)


@demo
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_part_of_a_rebuild_is_measured_in_every_round(workflow: DemoWorkflow) -> None:
    found = replay.measure(workflow, rounds=2, warm=1)
    assert {part: len(spent) for part, spent in found.items()} == {part: 2 for part in replay.PARTS}


def test_the_bench_of_rules_asks_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "ROUNDS", 4)
    figures, ratios = judging.run()
    assert {"rules_1", "rules_10", "rules_100", "judge_two_lists_of_100"} <= figures.keys()
    assert figures["rules_100"].keys() >= {"p50_ms", "p99_ms"}
    assert all(value >= 0 for value in ratios.values())


def test_a_scripted_model_is_known_by_its_name_and_latency() -> None:
    found = scripted.named("bench-model-50")
    assert found is not None and found._latency == 50
    assert scripted.named("gpt-4o-mini") is None
    config = scripted.body(1, 50)["team"]["config"]["participants"][0]["config"]["model_client"]["config"]
    assert scripted.named(config["model"]) is not None


def test_the_stock_clerk_makes_the_calls_it_is_asked_for() -> None:
    assert "8 look-ups" in plain.CLERK.format(turns=8)
    teams = asyncio.run(plain.side_by_side(lambda: scripted.stock_team(2), 3))
    assert teams == 3 * 7


def test_a_crew_takes_the_free_calculator_and_the_tool_that_asks() -> None:
    specs = {**catalogue.all()}
    lent.register()
    lent.register()  # again is the same
    assert catalogue.get(lent.FREE).approval == "allow" and catalogue.get(lent.ASKING).approval == "require"
    assert catalogue.all().keys() - specs.keys() <= {lent.FREE, lent.ASKING, *scripted.specs()}
    for body in (concurrency.clerk(10), cycles.body(), scripted.body(2, 50)):
        found = {name: catalogue.get(to) for name, to in body["tools"].items()}
        team, findings = governed.examine(body["team"], body["tools"], {**catalogue.all(), **found})
        assert team is not None, findings


def test_what_processes_take_is_read_from_the_system() -> None:
    assert crew.cpu_of(os.getpid()) > 0
    assert crew.cpu_of(os.getpid(), children=True) >= crew.cpu_of(os.getpid()) - 1


@pytest.mark.django_db
def test_copies_of_waiting_runs_have_all_that_theirs_have_and_go_again() -> None:
    lent.register()
    actor = bench_actor()
    flow = workflow_of(actor, "crew-cycles", cycles.body())
    decider = reviewer(actor)
    with tenant_scope(actor.tenant):
        run = actions.start(actor, flow, "Keep notes.")
        request_of(run, 1)
    parked._copy(actor, [run.id], 3)
    with tenant_scope(actor.tenant):
        assert Run.objects.count() == ApprovalRequest.objects.count() == 4
        copies = Run.objects.exclude(pk=run.id)
        assert {crypto.unseal_json(each.tenant_id, "run.input", each.sealed_input) for each in copies} == {
            "Keep notes."
        }
        for each in copies:
            assert len(feed.read(feed.run_topic(each.id))) == len(feed.read(feed.run_topic(run.id))) > 0
        waiting = ApprovalRequest.objects.select_related("run").get(run=copies.order_by("id")[0])
        assert approvals.decide(decider, waiting.pk, "approve").status == "decided"
    leavings.forget(actor, [waiting.run.id])
    leavings.forget(actor, [each.id for each in copies])
    with tenant_scope(actor.tenant):
        assert [each.pk for each in Run.objects.all()] == [run.id]
        assert ApprovalRequest.objects.count() == 1
    leavings.forget(actor, [run.id])
    with tenant_scope(actor.tenant):
        assert not Run.objects.exists()


def test_listeners_read_frames_however_they_are_cut_and_count_what_is_missing() -> None:
    def frame(seq: int, sent: int, pad: int = 900) -> bytes:
        text = json.dumps({"seq": seq, "kind": "note", "at": "x", "data": {"sent": sent, "pad": "x" * pad}})
        return text_frame(text)

    heard = listeners.Heard(array("d"))
    each = listeners.Listener(socket.socket())
    hello = text_frame(json.dumps({"seq": 3, "kind": "hello", "at": None, "data": {}}))
    stream = hello + frame(4, 1) + frame(5, 2, pad=10) + frame(7, 3) + frame(8, 4, pad=70_000)
    for start in range(0, len(stream), 333):
        listeners._take(each, stream[start : start + 333], heard)
    each.door.close()
    assert (each.heard, each.last, heard.gaps, len(heard.taken), each.rest) == (4, 8, 1, 4, b"")
