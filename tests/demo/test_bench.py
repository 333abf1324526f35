"""What the benchmarks compute with; how long things take is never asserted."""

import asyncio

import pytest

from console.agents import documents as governed
from console.bench import resume, scripted
from console.bench.figures import machine, percentile
from console.demo import personas
from console.demo.reading import read


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(percent: int, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_a_line_has_a_start_and_a_slope() -> None:
    start, slope = resume._line({4: 5.4, 20: 7.0, 100: 15.0, 400: 45.0})
    assert (round(start, 6), round(slope, 6)) == (5.0, 0.1)


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
