"""The runs of ``bench cycles`` on LangGraph with its Postgres saver: ``python graph.py DATABASE_URL CYCLES SIDE_BY_SIDE``.

It runs wherever LangGraph is installed (``pip install langgraph langgraph-checkpoint-postgres psycopg[binary,pool]``), and
needs nothing of this project: the same three steps, a model that answers at once, a person's yes, a tool. Prints one
line of JSON: ``{"wall", "cpu"}`` in seconds for all cycles, each a pause, a decision and a resume.
"""

import asyncio
import json
import sys
import time
from typing import Annotated, Any, TypedDict

try:
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from langgraph.graph import END, START, StateGraph
    from langgraph.graph.message import add_messages
    from langgraph.types import Command, interrupt
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool
except ImportError:
    sys.exit("LangGraph is not installed here")


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def model(state: State) -> State:
    call = {"id": "call_1", "name": "take_note", "args": {"text": "All is well in the warehouse.", "priority": 1}}
    return {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}


def review(state: State) -> State:
    if interrupt({"call": state["messages"][-1].tool_calls[0]}) != "approve":
        raise RuntimeError("refused")
    return {"messages": []}


def tool(state: State) -> State:
    arguments = state["messages"][-1].tool_calls[0]["args"]
    text = f"Noted with priority {arguments['priority']}: {arguments['text']}"
    return {"messages": [{"role": "tool", "content": text, "tool_call_id": "call_1"}]}


async def main(url: str, cycles: int, beside: int) -> None:
    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(url, min_size=5, max_size=10, kwargs=settings) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        built = StateGraph(State).add_node("model", model).add_node("review", review).add_node("tool", tool)
        built.add_edge(START, "model").add_edge("model", "review").add_edge("review", "tool").add_edge("tool", END)
        graph = built.compile(checkpointer=saver)
        slots = asyncio.Semaphore(beside)

        async def cycle(number: int) -> None:
            async with slots:
                config = {"configurable": {"thread_id": f"{time.time()}-{number}"}}
                paused = await graph.ainvoke({"messages": [{"role": "user", "content": "Keep notes."}]}, config)
                if "__interrupt__" not in paused:
                    raise RuntimeError("it did not pause")
                ended = await graph.ainvoke(Command(resume="approve"), config)
                if len(ended["messages"]) != 3:
                    raise RuntimeError(f"it ended with {len(ended['messages'])} messages")

        await asyncio.gather(*(cycle(number) for number in range(min(20, cycles))))  # warmth
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(cycle(number) for number in range(cycles)))
        print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
