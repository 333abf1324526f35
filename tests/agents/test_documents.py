"""Team documents: what Studio writes is taken, what is wrong is named by its path, and nothing in one is executed."""

from __future__ import annotations

import copy
import json
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.agents import executors
from console.agents.documents import Finding, Refused, check, examine, normalise
from console.agents.graphs import OrderedGraph
from console.agents.tools import ToolSpec
from console.durable.steps import Safety
from tests.agents.stage import (
    Script,
    World,
    agent,
    either,
    mention,
    model,
    never,
    node,
    person,
    pinned,
    team,
    text_of,
)
from tests.studio import first_version, names, own_files, studio


def catalogue(*names: str) -> dict[str, Any]:
    world = World({}, {})
    for name in names:
        world.give(name, {"properties": {"a": {"type": "number"}}}, safety=Safety.READ_ONLY)
    return world.specs


def paths(findings: list[Finding]) -> list[str]:
    return [finding.path for finding in findings if finding.level == "error"]


def test_a_function_with_source_must_be_mapped_and_loses_its_source() -> None:
    tools = catalogue("calculator", "sum")
    place = "$.team.config.participants[0].config.workbench[0].config.tools[0]"
    for known in ({}, tools):  # also when the catalogue has one of the same name
        found, findings = examine(studio(), {}, known)
        assert found is None and paths(findings) == [place]
    kept = normalise(studio(), {"calculator": "sum"}, tools)
    tool = kept["config"]["participants"][0]["config"]["workbench"][0]["config"]["tools"][0]["config"]
    assert tool == {"name": "calculator", "catalogue": "sum", "version": 1, "description": "From a file."}
    assert "source_code" not in json.dumps(kept) and "def f" not in json.dumps(kept)


def test_a_tool_without_source_may_be_known_by_its_name() -> None:
    document = team("RoundRobinGroupChat", agent("a", "sum"))
    assert examine(document, {}, catalogue("sum"))[1] == []
    assert paths(check(document, {})) == ["$.team.config.participants[0].config.workbench[0].config.tools[0]"]


def test_what_is_normalised_is_normal() -> None:
    tools = catalogue("sum")
    for document in (studio(), first_version()):
        kept = normalise(document, {"calculator": "sum"}, tools)
        assert normalise(copy.deepcopy(kept), {"calculator": "sum"}, tools) == kept


def test_version_one_is_migrated() -> None:
    tools = catalogue("sum")
    place = "$.team.config.participants[0].config.tools[0]"
    assert paths(check(first_version(), {})) == [place]
    kept = normalise(first_version(), {"calculator": "sum"}, tools)["config"]["participants"]
    assert [member["component_version"] for member in kept] == [2, 2]
    assert kept[0]["config"]["workbench"][0]["config"]["tools"][0]["config"]["catalogue"] == "sum"
    assert "tools" not in kept[0]["config"]


def run(document: dict[str, Any], mapping: dict[str, str]) -> World:
    def answer(messages: list[Any]) -> Any:
        return "It is done. TERMINATE" if "done" in text_of(messages[-1]) else [("calculator", {"a": 1})]

    names = [member["config"]["name"] for member in document["config"]["participants"]]
    world = World({name: Script(answer) for name in names}, never(document, tools=mapping))
    world.give("sum", {"properties": {"a": {"type": "number"}}})
    return world


@pytest.mark.parametrize("document", [studio(), *own_files("team.json")], ids=names("team.json"))
def test_studios_default_team_stops_and_finishes(document: dict[str, Any]) -> None:
    world = run(document, {"calculator": "sum"})
    (ask,) = world.parks()
    assert (ask.tool, ask.request["tool"]) == ("sum", "calculator")
    world.decide(ask, "approve")
    assert world.finishes()["stop_reason"] == "completed"


@pytest.mark.parametrize("document", [first_version(), *own_files("travel_team.json")], ids=names("travel_team.json"))
def test_studios_older_files_load(document: dict[str, Any]) -> None:
    found, findings = examine(document, {"calculator": "sum"}, catalogue("sum"))
    assert [finding for finding in findings if finding.level == "error"] == [] and found is not None
    assert {m["component_version"] for m in found["config"]["participants"]} == {2}


class Trap:
    """Notices when somebody imports what a document names."""

    def __init__(self) -> None:
        self.imported: list[str] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        self.imported.append(name)


def put(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with something else at a place."""
    document = copy.deepcopy(document)
    steps = path.replace("[", ".").replace("]", "").split(".")
    inner: Any = document
    for step in steps[:-1]:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    if isinstance(inner, list):
        inner[int(steps[-1])] = value
    else:
        inner[steps[-1]] = value
    return document


MEMBER = "config.participants[0]"
FIRST = team("RoundRobinGroupChat", agent("a", "sum"), agent("b"))
ASSISTANT = f"{MEMBER}.config"
SECOND = "config.participants[1]"
TEAMS = "autogen_agentchat.teams"
FLOW = team(
    "GraphFlow", agent("a", "sum"), graph={"nodes": {"a": {"name": "a", "edges": []}}}, termination_condition=None
)
NEVER_MET: dict[str, dict[str, Any]] = {
    "ExternalTermination": {},
    "StopMessageTermination": {},
    "HandoffTermination": {"target": "nobody"},
    "SourceMatchTermination": {"sources": ["nobody"]},
    "TextMessageTermination": {"source": "nobody"},
    "FunctionCallTermination": {"function_name": "nothing"},
}


def nested(deep: int) -> dict[str, Any]:
    found = team("RoundRobinGroupChat", agent("a"), name=f"t{deep}")
    return found if deep == 0 else team("RoundRobinGroupChat", nested(deep - 1), name=f"t{deep}")


def remembers(content: Any) -> dict[str, Any]:
    entry = {"content": content, "mime_type": "text/plain"}
    return node("autogen_core.memory.ListMemory", "memory", name="m", memory_contents=[entry])


def answers(schema: dict[str, Any], text: str | None = None) -> dict[str, Any]:
    provider = "autogen_agentchat.messages.StructuredMessageFactory"
    return node(provider, "structured_message", json_schema=schema, format_string=text, content_model_name="M")


@pytest.mark.parametrize(
    "place",
    [
        "provider",
        f"{MEMBER}.provider",
        f"{ASSISTANT}.model_client.provider",
        f"{ASSISTANT}.workbench[0].provider",
        f"{ASSISTANT}.workbench[0].config.tools[0].provider",
        "config.termination_condition.provider",
    ],
)
@pytest.mark.parametrize(
    "provider",
    [
        "antigravity.Team",
        "os.system",
        "openai_chat_completion_client",
        "OpenAIChatCompletionClient",
        "autogen_ext.models.anthropic.AnthropicChatCompletionClient",
        "autogen_ext.agents.file_surfer.FileSurfer",
        "autogen_agentchat.teams.MagenticOneGroupChats",
        "console.agents.models.JournaledModel",
        "console.agents.workbenches.JournaledWorkbench",
        "..",
        "",
        7,
        None,
    ],
)
def test_a_class_off_the_list_is_refused_and_never_imported(place: str, provider: Any) -> None:
    trap = Trap()
    sys.meta_path.insert(0, trap)  # type: ignore[arg-type]
    try:
        findings = check(put(FIRST, place, provider), {}, catalogue("sum"))
    finally:
        sys.meta_path.remove(trap)  # type: ignore[arg-type]
    assert f"$.team.{place}" in paths(findings)
    assert not [name for name in trap.imported if name.split(".")[0] in ("antigravity", "autogen_ext")]


GRAPH = {"nodes": {"a": {"name": "a", "edges": [{"target": "b"}]}, "b": {"name": "b", "edges": []}}}


def graph(**changes: Any) -> dict[str, Any]:
    return team("GraphFlow", agent("a"), agent("b"), termination_condition=None, graph={**GRAPH, **changes})


def cycle(condition: Any) -> dict[str, Any]:
    back = {"target": "a", "condition": condition}
    nodes = {**GRAPH["nodes"], "b": {"name": "b", "edges": [back]}}
    return {**nodes, "c": {"name": "c", "edges": []}}


FAULTS: list[tuple[str, Any, str]] = [
    ("nothing", None, "$.team"),
    ("a list", [], "$.team"),
    ("a text", "team", "$.team"),
    ("empty", {}, "$.team.provider"),
    ("no config", {"provider": FIRST["provider"]}, "$.team.config"),
    ("no participants", put(FIRST, "config.participants", []), "$.team.config.participants"),
    ("participants as text", put(FIRST, "config.participants", "a"), "$.team.config.participants"),
    ("a participant that is none", put(FIRST, MEMBER, 7), f"$.team.{MEMBER}"),
    ("same name", put(FIRST, "config.participants[1].config.name", "a"), "$.team.config.participants[1].config.name"),
    ("no name", put(FIRST, f"{ASSISTANT}.name", None), f"$.team.{ASSISTANT}.name"),
    ("odd name", put(FIRST, f"{ASSISTANT}.name", "a b"), f"$.team.{ASSISTANT}.name"),
    ("reserved name", put(FIRST, f"{ASSISTANT}.name", "team"), f"$.team.{ASSISTANT}.name"),
    ("name of a path", put(FIRST, f"{ASSISTANT}.name", "a/model"), f"$.team.{ASSISTANT}.name"),
    ("no model", put(FIRST, f"{ASSISTANT}.model_client", None), f"$.team.{ASSISTANT}.model_client"),
    (
        "model without a name",
        put(FIRST, f"{ASSISTANT}.model_client.config", {}),
        f"$.team.{ASSISTANT}.model_client.config.model",
    ),
    (
        "temperature as a list",
        put(FIRST, f"{ASSISTANT}.model_client.config.temperature", [1]),
        f"$.team.{ASSISTANT}.model_client.config.temperature",
    ),
    ("a team in a graph", put(FLOW, MEMBER, FIRST), f"$.team.{MEMBER}"),
    ("a team in a swarm", put(put(FIRST, "provider", f"{TEAMS}.Swarm"), MEMBER, FIRST), f"$.team.{MEMBER}"),
    ("nested without end", nested(9), "$.team" + ".config.participants[0]" * 7),
    ("two teams of one name", put(FIRST, "config.participants", [FIRST, FIRST]), f"$.team.{SECOND}.config.name"),
    (
        "a team with a name that is none",
        put(FIRST, MEMBER, put(FIRST, "config.name", "a b")),
        f"$.team.{MEMBER}.config.name",
    ),
    (
        "a thousand agents",
        put(FIRST, "config.participants", [agent(f"a{i}") for i in range(1000)]),
        "$.team.config.participants[100]",
    ),
    (
        "an image as memory",
        put(FIRST, f"{ASSISTANT}.memory", [remembers([1])]),
        f"$.team.{ASSISTANT}.memory[0].config.memory_contents[0].content",
    ),
    (
        "a memory elsewhere",
        put(FIRST, f"{ASSISTANT}.memory", [node("autogen_ext.memory.chromadb.ChromaDBVectorMemory", "memory")]),
        f"$.team.{ASSISTANT}.memory[0].provider",
    ),
    (
        "no JSON schema",
        put(FIRST, f"{ASSISTANT}.structured_message_factory", answers({"type": "nothing"})),
        f"$.team.{ASSISTANT}.structured_message_factory.config.json_schema",
    ),
    (
        "a structured format that reaches in",
        put(
            FIRST,
            f"{ASSISTANT}.structured_message_factory",
            answers({"type": "object", "properties": {"a": {"type": "string"}}}, "{a.__class__}"),
        ),
        f"$.team.{ASSISTANT}.structured_message_factory.config.format_string",
    ),
    (
        "a society without a team",
        put(
            FIRST, MEMBER, node("autogen_agentchat.agents.SocietyOfMindAgent", "agent", name="s", model_client=model())
        ),
        f"$.team.{MEMBER}.config.team",
    ),
    (
        "a filter without a filter",
        put(
            FIRST,
            MEMBER,
            node("autogen_agentchat.agents.MessageFilterAgent", "agent", name="s", wrapped_agent=agent("s")),
        ),
        f"$.team.{MEMBER}.config.filter",
    ),
    (
        "an agent tool without an agent",
        put(FIRST, f"{ASSISTANT}.workbench[0].config.tools", [node("autogen_agentchat.tools.AgentTool", "tool")]),
        f"$.team.{ASSISTANT}.workbench[0].config.tools[0].config.agent",
    ),
    (
        "an HTTP tool",
        put(
            FIRST,
            f"{ASSISTANT}.workbench[0].config.tools",
            [node("autogen_ext.tools.http.HttpTool", "tool", name="sms")],
        ),
        f"$.team.{ASSISTANT}.workbench[0].config.tools[0]",
    ),
    (
        "an MCP server",
        put(FIRST, f"{ASSISTANT}.workbench", [node("autogen_ext.tools.mcp.McpWorkbench", "workbench")]),
        f"$.team.{ASSISTANT}.workbench[0]",
    ),
    *[
        (
            f"never met: {kind}",
            put(
                FIRST,
                "config.termination_condition",
                node(f"autogen_agentchat.conditions.{kind}", "termination", **config),
            ),
            "$.team.config.termination_condition",
        )
        for kind, config in NEVER_MET.items()
    ],
    ("tools as text", put(FIRST, f"{ASSISTANT}.workbench[0].config.tools", "x"), f"$.team.{ASSISTANT}.workbench[0]"),
    ("two tools of one name", put(FIRST, f"{ASSISTANT}.workbench[0].config.tools", [pinned("sum")] * 2), "$.team"),
    ("the same tool beside the workbench", put(FIRST, f"{ASSISTANT}.tools", [pinned("sum")]), f"$.team.{ASSISTANT}"),
    ("memory", put(FIRST, f"{ASSISTANT}.memory", [{}]), f"$.team.{ASSISTANT}.memory"),
    ("iterations", put(FIRST, f"{ASSISTANT}.max_tool_iterations", 0), f"$.team.{ASSISTANT}.max_tool_iterations"),
    (
        "a format that reaches in",
        put(FIRST, f"{ASSISTANT}.tool_call_summary_format", "{result.__class__}"),
        f"$.team.{ASSISTANT}.tool_call_summary_format",
    ),
    (
        "a format that is broken",
        put(FIRST, f"{ASSISTANT}.tool_call_summary_format", "{result"),
        f"$.team.{ASSISTANT}.tool_call_summary_format",
    ),
    ("handoff without target", put(FIRST, f"{ASSISTANT}.handoffs", [{}]), f"$.team.{ASSISTANT}.handoffs[0].target"),
    ("handoff as number", put(FIRST, f"{ASSISTANT}.handoffs", [7]), f"$.team.{ASSISTANT}.handoffs[0]"),
    ("later version", put(FIRST, f"{MEMBER}.component_version", 3), f"$.team.{MEMBER}.component_version"),
    ("turns", put(FIRST, "config.max_turns", 0), "$.team.config.max_turns"),
    ("turns as text", put(FIRST, "config.max_turns", "many"), "$.team.config.max_turns"),
    (
        "code in a person",
        team("RoundRobinGroupChat", put(person(), "config.input_func", "lambda: 1")),
        f"$.team.{ASSISTANT}.input_func",
    ),
    (
        "code in a selector",
        team("SelectorGroupChat", agent("a"), model_client=model(), selector_func="lambda m: 1"),
        "$.team.config.selector_func",
    ),
    ("selector without a model", team("SelectorGroupChat", agent("a")), "$.team.config.model_client"),
    (
        "selector prompt that reaches in",
        team("SelectorGroupChat", agent("a"), model_client=model(), selector_prompt="{roles.__class__}"),
        "$.team.config.selector_prompt",
    ),
    ("conditions as object", put(FIRST, "config.termination_condition", either({})), "$.team.config.termination"),
    ("no conditions", put(FIRST, "config.termination_condition", either()), "$.team.config.termination_condition"),
    ("condition without text", put(FIRST, "config.termination_condition.config", {}), "$.team.config.termination"),
    ("no graph", team("GraphFlow", agent("a")), "$.team.config.graph"),
    ("a node that is nobody", graph(nodes={"x": {"name": "x", "edges": []}}), "$.team.config.graph.nodes.x"),
    ("an edge to nowhere", graph(nodes={"a": {"name": "a", "edges": [{"target": "z"}]}}), "$.team.config.graph"),
    ("a start that is nobody", graph(default_start_node="z"), "$.team.config.graph.default_start_node"),
    ("an endless cycle", graph(nodes=cycle(None), default_start_node="a"), "$.team.config.graph"),
    ("a condition that is none", graph(nodes=cycle(7), default_start_node="a"), "$.team.config.graph"),
    ("an agent called user", team("GraphFlow", agent("user"), graph={"nodes": {}}), "$.team.config.participants"),
    ("a handoff to no name", team("Swarm", agent("a", handoffs=["b c"])), f"$.team.{ASSISTANT}.handoffs[0]"),
    ("not a number", put(FIRST, "config.max_turns", float("nan")), "$.team.config.max_turns"),
    ("not JSON", put(FIRST, "config.max_turns", {1}), "$.team.config.max_turns"),
    ("a surrogate", put(FIRST, f"{ASSISTANT}.description", "\ud800"), f"$.team.{ASSISTANT}.description"),
    ("a megabyte", put(FIRST, f"{ASSISTANT}.system_message", "x" * 1_100_000), "$.team"),
]


@pytest.mark.parametrize("document,place", [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_each_fault_is_named_by_its_path(document: Any, place: str) -> None:
    findings = check(document, {}, catalogue("sum"))
    assert any(path.startswith(place) for path in paths(findings)), findings
    with pytest.raises(Refused):
        normalise(document, {}, catalogue("sum"))


def test_depth_is_a_finding() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"config": deep, "provider": "autogen_agentchat.base.OrTerminationCondition"}
    assert paths(check(deep, {})) == ["$.team"]
    nested = mention()
    for _ in range(20):
        nested = either(nested)
    assert check(team("RoundRobinGroupChat", agent("a"), termination_condition=nested), {})


def test_keys_and_addresses_are_left_out() -> None:
    document = put(
        FIRST, f"{ASSISTANT}.model_client.config", {"model": "m", "api_key": "**********", "base_url": "http://x"}
    )
    found, findings = examine(document, {}, catalogue("sum"))
    assert found is not None and [finding.level for finding in findings] == ["info", "info"]
    assert "api_key" not in json.dumps(found) and "http://x" not in json.dumps(found)


def test_a_mapping_to_nothing_is_a_finding() -> None:
    assert paths(examine(FIRST, {"sum": "ghost"}, catalogue("sum"))[1]) == ["$.tools.sum"]
    unused = examine(FIRST, {"other": "sum"}, catalogue("sum"))[1]
    assert [(finding.path, finding.level) for finding in unused] == [("$.tools.other", "info")]


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WHOLE = [
    studio(),
    first_version(),
    graph(),
    team("SelectorGroupChat", agent("a", "sum"), person(), model_client=model()),
    team("Swarm", agent("a", "sum", handoffs=["b", {"target": "c"}]), agent("b")),
]


def places(value: Any, path: str = "") -> list[str]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [path] if path else []
    for key, item in inner:
        found += places(item, f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}" if path else str(key))
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_anything_anywhere_gives_findings_and_never_an_exception(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(WHOLE))
    place = data.draw(st.sampled_from(places(document)))
    changed = put(document, place, data.draw(JSONISH))
    for finding in examine(changed, {"calculator": "sum"}, catalogue("sum"))[1]:
        assert finding.path.startswith("$.") and finding.message


def test_start_nodes_have_the_documents_order() -> None:
    names = [f"n{i}" for i in range(50)]
    nodes = {name: {"name": name, "edges": [{"target": "end"}]} for name in names}
    built = OrderedGraph.model_validate({"nodes": {**nodes, "end": {"name": "end"}}})
    assert built.get_start_nodes() == names


SECRETS = [
    (f"{ASSISTANT}.model_client.config.api_key", "gsk-whatever"),
    (f"{ASSISTANT}.model_client.config.azure_ad_token", "hunter2"),
    (f"{ASSISTANT}.system_message", "Use sk-proj-abcdefghijklmnopqrstuvwx to log in."),
    (f"{ASSISTANT}.metadata", {"note": "-----BEGIN PRIVATE KEY-----"}),
    ("config.description", "AKIA" + "ABCDEFGHIJKLMNOP"),
]


@pytest.mark.parametrize(("place", "secret"), SECRETS)
def test_a_secret_in_a_document_is_refused_and_not_repeated(place: str, secret: Any) -> None:
    findings = check(put(FIRST, place, secret), {}, catalogue("sum"))
    told = [finding for finding in findings if finding.level == "error"]
    assert [finding.path.removeprefix("$.team.").startswith(place) for finding in told] == [True]
    text = secret if isinstance(secret, str) else "BEGIN"
    assert text not in " ".join(f"{finding.path} {finding.message}" for finding in findings)


def test_what_only_sounds_like_a_secret_is_none() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string"}}, "required": ["password"]}
    quiet = put(FIRST, f"{ASSISTANT}.structured_message_factory", answers(schema))
    assert not [finding for finding in check(quiet, {}, catalogue("sum")) if finding.level == "error"]


def coding(**config: Any) -> dict[str, Any]:
    executor = node(
        "autogen_ext.code_executors.local.LocalCommandLineCodeExecutor", "code_executor", work_dir="/etc", timeout=9
    )
    return node(
        "autogen_agentchat.agents.CodeExecutorAgent", "agent", **{"name": "coder", "code_executor": executor, **config}
    )


def sandbox() -> ToolSpec:
    return replace(catalogue("sandbox")["sandbox"], schema=executors.SCHEMA)


def test_what_executes_code_is_the_catalogues_and_never_the_documents() -> None:
    where = "$.team.config.code_executor"
    specs = {**catalogue("sum"), "sandbox": sandbox()}
    _, [unmapped] = examine(coding(), {}, specs)
    assert unmapped.path == where and "Code is never executed where a document says" in unmapped.message
    _, [wrong] = examine(coding(), {"CodeExecutor": "sum"}, specs)
    assert wrong.path == where and "sum is no code executor" in wrong.message
    kept = normalise(coding(), {"CodeExecutor": "sandbox"}, specs)
    assert "/etc" not in json.dumps(kept) and "Local" not in json.dumps(kept)
    assert normalise(kept, {"CodeExecutor": "sandbox"}, specs) == normalise(kept, {}, specs) == kept
    paths_of = [
        found.path
        for found in examine(coding(code_executor=None, supported_languages=["python", "pwsh"]), {}, specs)[1]
    ]
    assert where in paths_of and "$.team.config.supported_languages[1]" in paths_of
