"""What an agent would be given: the same as it is given in a run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from console.agents import anatomy
from console.agents.preview import preview
from console.durable.digest import expand
from tests.agents.nested import hears, with_tools
from tests.agents.stage import agent, either, mention, model, node, team
from tests.agents.stage import at_most as messages_at_most

CONTEXT = "autogen_core.model_context"
CONTEXTS = [
    None,
    node(f"{CONTEXT}.BufferedChatCompletionContext", "chat_completion_context", buffer_size=3),
    node(f"{CONTEXT}.HeadAndTailChatCompletionContext", "chat_completion_context", head_size=1, tail_size=2),
    node(
        f"{CONTEXT}.TokenLimitedChatCompletionContext", "chat_completion_context", model_client=model(), token_limit=40
    ),
]
FILTERS: list[list[dict[str, Any]]] = [
    [],
    [{"source": "a", "position": "last", "count": 1}],
    [{"source": "user"}, {"source": "c", "position": "first", "count": 1}],
]


@pytest.mark.parametrize("context", CONTEXTS, ids=["all", "last", "ends", "tokens"])
@pytest.mark.parametrize("filters", FILTERS, ids=["everybody", "a", "user and c"])
@pytest.mark.parametrize("inside", [False, True], ids=["revision", "document"])
def test_it_is_what_the_model_got(context: Any, filters: list[dict[str, Any]], inside: bool) -> None:
    extra = {"model_context": context} if context else {}
    member: dict[str, Any] = agent("b", **extra)
    document = team(
        "RoundRobinGroupChat",
        agent("a"),
        hears(member, *filters) if inside and filters else member,
        agent("c"),
        termination_condition=either(mention(), messages_at_most(9)),
    )
    scripts: dict[str, Any] = {name: (lambda m, name=name: f"{name} says {len(m)} things") for name in "abc"}
    world = with_tools(scripts, document)
    if filters and not inside:
        world.body["filters"] = {"b": filters}
    world.go()
    steps = [request for step, request in expand(world.store.snapshot()) if step.scope == "b/model"]
    spoken = [i for i, message in enumerate(world.messages) if message["source"] == "b"]
    talk = [{"source": m["source"], "content": m["content"]} for m in world.messages[: spoken[-1]]]
    found = next(
        one for one in world.prepare()["team"]["config"]["participants"] if anatomy.core(one)["config"]["name"] == "b"
    )
    seen = asyncio.run(preview(found, [] if inside else filters, talk))
    assert seen == steps[-1]["messages"]
