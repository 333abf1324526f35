"""A team without a model: what a host advances in tests, and in the worker processes that tests kill.

It writes each thing it does to the world into a file, so that a test can count what happened however often the worker
died. ``install`` puts it in the place of ``run_team``.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from console.durable.run import Call, Run
from console.durable.steps import Done, Gate, Kind, Safety
from console.hosting import advancing

HELD = threading.Event()  # models of a script with ``hold`` answer once it is set
TIMEOUT = timedelta(seconds=0.5)  # of the tool: how long an interrupted call may still be under way


def body_of(**script: Any) -> dict[str, Any]:
    """A revision's body for the scripted team. Keys: turns, tool (safety), beside (calls at once), gate, question, sleep,
    hold, hang, timeout, stop, chunks, exits (model or tool: its call ends the process), blocks (the tool blocks the loop
    until HELD)."""
    return {"team": {"script": script}}


async def team(
    run: Run,
    *,
    body: dict[str, Any],
    task: Any,
    environment: Any,
    emit: Callable[[dict[str, Any]], None],
    pace: Any = None,
) -> Any:
    """Turns of one model call and one tool call each; the last words are the result."""
    script = body["team"]["script"]
    index = 0

    def say(source: str, content: str) -> None:
        nonlocal index
        emit({"index": index, "source": source, "type": "TextMessage", "content": content, "at": run.at.isoformat()})
        index += 1

    say("user", str(task))
    for turn in range(1, script.get("turns", 2) + 1):

        async def model(call: Call, turn: int = turn) -> Done:
            for piece in range(script.get("chunks", 0)):
                call.emit(f"piece {piece} ")
            if script.get("exits") == "model":
                note(f"{run.run_id} model {turn}")
                os._exit(7)
            if script.get("sleep"):
                await asyncio.sleep(script["sleep"])
            while script.get("hold") and not HELD.is_set():
                await asyncio.sleep(0.05)
            return Done(f"turn {turn}", {"input_tokens": 10, "output_tokens": 5}, "0.001")

        said = await run.effect(
            "agent/model", kind=Kind.MODEL, request={"turn": turn}, body=model, name="m", agent="agent"
        )
        say("agent", said.value)
        safety = Safety(script.get("tool", "neither"))

        shown = {
            "arguments": {"turn": turn},
            "safety": str(safety),
            "approval": "require" if script.get("gate") else "allow",
        }

        async def pay(scope: str, turn: int = turn, safety: Safety = safety, shown: Any = shown) -> Any:
            async def tool(call: Call) -> Done:
                note(f"{run.run_id} tool {turn} {call.key}")
                if script.get("exits") == "tool":
                    os._exit(7)
                while script.get("blocks") and not HELD.wait(0.01):
                    pass
                while script.get("hang") and not HELD.is_set():  # the other side has done it, and says nothing
                    await asyncio.sleep(0.01)
                return Done({"did": turn})

            done = await run.effect(
                scope,
                kind=Kind.TOOL,
                request={"turn": turn},
                body=tool,
                safety=safety,
                name="pay",
                agent="agent",
                gate=Gate("tool", shown, "agent", "pay", {"turn": turn}),
                timeout=timedelta(seconds=script.get("timeout", TIMEOUT.total_seconds())),
            )
            return done.value

        scopes = ["agent/tools", "agent/more tools"][: script.get("beside", 1)]
        for paid in await asyncio.gather(*(pay(scope) for scope in scopes)):
            say("agent", f"{paid}")
    if script.get("question"):
        answer = await run.gate("agent/question", Gate("question", {"question": "Really?"}, "agent"))
        say("user", answer.answer or "")
    if script.get("stop"):
        await run.stop(script["stop"], "as the script says")
    if script.get("raise"):
        raise ValueError(script["raise"])
    return {
        "result": f"done after {script.get('turns', 2)}",
        "stop_reason": "completed",
        "stop_detail": "the script ended",
    }


def note(line: str) -> None:
    """Append a line to the file of effects, if there is one."""
    path = os.environ.get("SAYSO_TEST_EFFECTS")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")


def install() -> None:
    """Advance scripts from now on, in this process."""
    advancing.run_team = team
