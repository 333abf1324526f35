"""The parts of ``bench chaos`` by themselves: the schedule, the world, what people say, and the check of journals."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from console.bench.chaos import disasters, world
from console.bench.chaos.world import World
from console.demo.reading import read

Json = Any


def test_a_seed_decides_what_befalls_whom() -> None:
    once, again = (disasters.schedule(7, 120, 3) for _ in range(2))
    assert once == again and once != disasters.schedule(8, 120, 3)
    assert 25 < len(once) < 55 and all(0 < each.at < 120 for each in once)
    assert {each.kind for each in disasters.schedule(7, 3000, 3)} == set(disasters.WEIGHTS)
    assert {each.kind for each in disasters.schedule(7, 120, 3, ["kill a worker"])} == {"kill a worker"}


def test_nothing_of_anybody_elses_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled: list[int] = []
    monkeypatch.setattr(disasters.os, "kill", lambda pid, number: signalled.append(pid))
    nobody = disasters.Arsonist(2**22 + 1, "http://127.0.0.1:9", list, print)  # no process has this id
    for kind in disasters.WEIGHTS:
        if "Valkey" not in kind and kind != "stall the model":
            nobody.strike(disasters.Disaster(1, kind, 0.5))
    assert not signalled and not nobody.done


def call(app: World, path: str, body: Json, key: str = "") -> tuple[int, Json]:
    """One call: its status and answer; (200, None) where the answer was cut off."""
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "path": path, "method": "POST", "headers": [(b"idempotency-key", key.encode())]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if sent[-1].get("more_body"):
        return sent[0]["status"], None
    return sent[0]["status"], json.loads(sent[-1]["body"])


def deed_with(fault: str, seed: int = 1) -> str:
    """A deed whose first call goes so."""
    return next(f"{n}:x" for n in range(10_000) if world.fault_of(seed, f"{n}:x", 1) == fault)


@pytest.mark.parametrize(
    ("fault", "status", "done"),
    [("", 200, 1), ("slow", 200, 1), ("refused", 503, 0), ("failed", 500, 1), ("cut off", 200, 1)],
)
def test_the_world_counts_what_it_does_however_it_answers(
    fault: str, status: int, done: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "SLOWEST", 0.0)
    app, deed = World(1), deed_with(fault)
    found, said = call(app, "/tools/chaos_pay", {"deed": deed, "amount": 2.5}, "k")
    assert found == status and (said is None) == (fault == "cut off")
    assert (app.deeds[deed].calls, app.deeds[deed].done, app.deeds[deed].under_way) == (1, done, 0)


def test_only_an_idempotent_tool_knows_a_key_again() -> None:
    app, deed = World(1), deed_with("")
    for tool, done in ((world.IDEMPOTENT, 1), ("chaos_pay", 3)):
        for _ in range(2):
            call(app, f"/tools/{tool}", {"deed": deed, "amount": 1.0}, "same key")
        assert app.deeds[deed].done == done


def test_the_model_answers_by_the_messages_alone() -> None:
    tools = [{"type": "function", "function": {"name": "chaos_pay"}}]
    messages: list[Json] = [
        {"role": "system", "content": "You are payer. Your tool is chaos_pay. You close the case."},
        {"role": "user", "content": "T-18: please see to it."},
    ]
    first = world.answer(read(messages, tools))
    assert first.calls == (("chaos_pay", json.dumps({"deed": "18:payer", "amount": 2018.0})),)
    messages += [
        {"role": "assistant", "tool_calls": [{"function": {"name": "chaos_pay"}}]},
        {"role": "tool", "content": "paid"},
    ]
    assert not world.answer(read(messages, tools)).calls
    assert world.answer(read(messages, tools)).text.endswith(world.CLOSING)
    assert world.completion({"messages": messages, "model": "m"}) == world.completion(
        {"messages": messages, "model": "m"}
    )
