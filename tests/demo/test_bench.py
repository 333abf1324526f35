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
