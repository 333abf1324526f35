"""The runs of ``bench cycles`` on LangGraph with its Postgres saver: ``python graph.py DATABASE_URL CYCLES SIDE_BY_SIDE [TEAM]``.

It runs wherever LangGraph is installed (``pip install langgraph langgraph-checkpoint-postgres psycopg[binary,pool]``). By
itself it needs nothing of this project: the same three steps, a model that answers at once, a person's yes, a tool, in nodes
that do next to nothing. With ``TEAM``, the site-packages of an interpreter that has LangGraph, it is run by ours, and its node
is the very team of ``bench cycles`` on stock AutoGen. LangGraph begins a node that was interrupted anew, so the team is put
together and plays its turn before the pause and after it; the tool is called once it may be.

Prints one line of JSON: ``{"wall", "cpu"}`` in seconds for all cycles, each a pause, a decision and a resume.
"""

import asyncio
import contextlib
import gc
import json
import sys
import time
from typing import Annotated, Any, TypedDict

if len(sys.argv) > 4:
    sys.path.append(sys.argv[4])  # behind what is ours: it has packages that we have, too

try:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.graph.message import add_messages
    from langgraph.types import Command, interrupt
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool
except ImportError:
    sys.exit("LangGraph is not installed here")

CALL = "call_1"


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def model(state: State) -> State:
    call = {"id": CALL, "name": "take_note", "args": {"text": "All is well in the warehouse.", "priority": 1}}
    return {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}


def review(state: State) -> State:
    if interrupt({"call": state["messages"][-1].tool_calls[0]}) != "approve":
        raise RuntimeError("refused")
    return {"messages": []}


def tool(state: State) -> State:
    arguments = state["messages"][-1].tool_calls[0]["args"]
    text = f"Noted with priority {arguments['priority']}: {arguments['text']}"
    return {"messages": [{"role": "tool", "content": text, "tool_call_id": CALL}]}


def trivial() -> StateGraph:
    """Three nodes that do next to nothing."""
    built = StateGraph(State).add_node("model", model).add_node("review", review).add_node("tool", tool)
    return built.add_edge(START, "model").add_edge("model", "review").add_edge("review", "tool").add_edge("tool", END)


def team() -> StateGraph:
    """The team of ``bench cycles`` as a node, and its tool as another."""
    from autogen_agentchat.messages import ToolCallRequestEvent

    from console.bench import scripted

    async def turn(state: State) -> State:
        played = await scripted.stock_team(1).run(task=state["messages"][0].content)
        (called,) = next(each.content for each in played.messages if isinstance(each, ToolCallRequestEvent))
        if interrupt({"tool": called.name, "arguments": called.arguments}) != "approve":
            raise RuntimeError("refused")
        call = {"id": CALL, "name": called.name, "args": json.loads(called.arguments)}
        return {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}

    async def act(state: State) -> State:
        text = await scripted.take_note(**state["messages"][-1].tool_calls[0]["args"])
        return {"messages": [{"role": "tool", "content": text, "tool_call_id": CALL}]}

    built = StateGraph(State).add_node("turn", turn).add_node("act", act)
    return built.add_edge(START, "turn").add_edge("turn", "act").add_edge("act", END)


async def main(url: str, cycles: int, beside: int, graph: StateGraph) -> None:
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(url, min_size=5, max_size=10, kwargs=settings) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        compiled = graph.compile(checkpointer=saver)
        slots = asyncio.Semaphore(beside)

        async def cycle(number: int) -> None:
            async with slots:
                config = {"configurable": {"thread_id": f"{time.time()}-{number}"}}
                paused = await compiled.ainvoke({"messages": [{"role": "user", "content": "Keep notes."}]}, config)
                if "__interrupt__" not in paused:
                    raise RuntimeError("it did not pause")
                ended = await compiled.ainvoke(Command(resume="approve"), config)
                if len(ended["messages"]) != 3:
                    raise RuntimeError(f"it ended with {len(ended['messages'])} messages")

        await asyncio.gather(*(cycle(number) for number in range(min(20, cycles))))  # warmth
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)  # as plain.COLLECTOR, which is not to be had here
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(cycle(number) for number in range(cycles)))
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


def as_it_comes() -> contextlib.AbstractContextManager[object]:
    """AutoGen with what Sayso switches off in it, for others do not."""
    if len(sys.argv) <= 4:
        return contextlib.nullcontext()
    from console.agents import quiet

    return quiet.loud()


if __name__ == "__main__":
    with as_it_comes():
        asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), team() if len(sys.argv) > 4 else trivial()))
