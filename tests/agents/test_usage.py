"""What a model call has used: as its provider tells it, streamed or not; and what is made of it where that is nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from autogen_core.models import SystemMessage, UserMessage
from pydantic import BaseModel

from console.agents import telling, usage
from console.agents.clients import Clients
from console.durable import Status, Stopped
from tests.demo.server import serving

from .test_models import KEY, Online, Provider, chunk, online, provider, said, streamed, whole

__all__ = ["provider"]

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FULL = {
    "prompt_tokens": 800,
    "completion_tokens": 60,
    "total_tokens": 860,
    "prompt_tokens_details": {"cached_tokens": 640},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
READ = {"input_tokens": 800, "output_tokens": 60, "cached_tokens": 640, "reasoning_tokens": 12}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (FULL, READ),
        ({"prompt_tokens": 8, "completion_tokens": 0}, {"input_tokens": 8, "output_tokens": 0}),
        ({"prompt_tokens": 8.0, "completion_tokens": 2}, {"input_tokens": 8, "output_tokens": 2}),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}},
            {"input_tokens": 8, "output_tokens": 2, "cached_tokens": 0},
        ),
        # A discount that cannot be is none.
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
            {"input_tokens": 8, "output_tokens": 2},
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "prompt_tokens_details": ["cached"]},
            {"input_tokens": 8, "output_tokens": 2},
        ),
        # Thought beside the answer is paid for, too.
        (
            {**FULL, "total_tokens": 872},
            {**READ, "output_tokens": 72},
        ),
        (
            {"prompt_tokens": 8, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 5}},
            {"input_tokens": 8, "output_tokens": 2},
        ),
        (None, {"missing": "absent"}),
        ({}, {"missing": "nonsense"}),
        ("lots", {"missing": "nonsense"}),
        ({"prompt_tokens": 0, "completion_tokens": 0}, {"missing": "nonsense"}),
        ({"prompt_tokens": -8, "completion_tokens": 2}, {"output_tokens": 2, "missing": "nonsense"}),
        ({"prompt_tokens": 8, "completion_tokens": None}, {"input_tokens": 8, "missing": "nonsense"}),
        ({"prompt_tokens": "8", "completion_tokens": True}, {"missing": "nonsense"}),
        ({"prompt_tokens": float("nan"), "completion_tokens": float("inf")}, {"missing": "nonsense"}),
        ({"prompt_tokens": 10**30, "completion_tokens": 1e300}, {"missing": "nonsense"}),
    ],
)  # fmt: skip
def test_what_is_read(given: Any, told: dict[str, Any]) -> None:
    assert usage.read(given) == told


def only(world: Online) -> Any:
    [step] = world.store.snapshot()
    return step


@pytest.mark.parametrize("stream", [False, True])
def test_cached_and_reasoning_tokens_are_recorded(provider: Provider, stream: bool) -> None:
    answer = whole(usage=FULL)
    if stream:
        answer = streamed(chunk("TERMINATE"), chunk(finish="stop"), chunk(choices=[], usage=FULL), b"data: [DONE]\n\n")
    world = online(provider, answer, stream=stream)
    world.costs = {"house-1": "0.25"}
    world.finishes()
    assert only(world).usage == READ and only(world).result["usage"] == READ
    assert (only(world).cost, only(world).priced_by) == ("0.25", "the world")


@pytest.mark.parametrize("told", [None, {}, {"prompt_tokens": -3, "completion_tokens": "many"}, [1], "x", 7])
@pytest.mark.parametrize("stream", [False, True])
def test_usage_that_is_missing_is_neither_a_crash_nor_free(provider: Provider, stream: bool, told: Any) -> None:
    answer = whole(usage=told)
    if stream:
        answer = streamed(chunk("TERMINATE"), chunk(finish="stop", usage=told), b"data: [DONE]\n\n")
    world = online(provider, answer, stream=stream)
    world.costs = {"house-1": "0.25"}
    assert world.finishes()["stop_reason"] == "completed"
    step = only(world)
    assert step.status is Status.DONE and step.cost is None and step.priced_by == ""
    assert step.usage["missing"] == ("absent" if told is None else "nonsense")
    reckoned = step.usage["reckoned"]
    assert reckoned["input_tokens"] > 0 and reckoned["output_tokens"] > 0 and reckoned["cost"] == "0.25"
    assert world.finishes()["stop_reason"] == "completed"  # and replays


def test_limits_count_what_was_reckoned(provider: Provider) -> None:
    status, headers, body = said("Again.")
    world = online(provider, *[(status, headers, {**body, "usage": None})] * 9, limits={"max_cost": "0.40"})
    world.costs = {"house-1": "0.25"}
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "budget"
    assert len([step for step in world.store.snapshot() if step.status is Status.DONE]) == 2  # a third is not asked


def test_an_empty_answer_without_usage_is_charged_as_reckoned(provider: Provider) -> None:
    status, headers, body = said("")
    world = online(provider, (status, headers, {**body, "usage": None}))
    world.costs = {"house-1": "0.25"}
    world.go()
    step = only(world)
    assert step.status is Status.FAILED and step.cost == "0.25" and step.attempts[0]["reckoned"]
    assert step.priced_by == "the world"


def test_the_first_words_of_the_try_that_answered(provider: Provider) -> None:
    broken = streamed(chunk("Hel"))
    answer = streamed(chunk("TERMINATE"), chunk(finish="stop"), chunk(choices=[], usage=FULL), b"data: [DONE]\n\n")
    world = online(provider, broken, answer, stream=True)
    world.finishes()
    step = only(world)
    last = step.attempts[-1]
    assert last["cause"] is None
    assert last["started_at"] < step.first_token_at.isoformat() < last["ended_at"]


def test_what_is_not_streamed_has_no_first_words(provider: Provider) -> None:
    world = online(provider, said())
    world.finishes()
    assert only(world).first_token_at is None


@pytest.fixture(scope="module")
def demo() -> Iterator[str]:
    with serving() as address:
        yield address + "/v1"


class Shape(BaseModel):
    answer: str


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # AutoGen's, of what it logs
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("shape", [None, Shape])
def test_the_demo_model_tells_all_of_it(demo: str, stream: bool, shape: Any) -> None:
    """Plain and structured answers come by different ways, and all of them are overheard."""

    async def ask() -> telling.Heard:
        clients = Clients()
        client = clients.get(api_key=KEY, base_url=demo, config={"model": "gpt-4o-mini"})
        messages = [
            SystemMessage(content="You are the clerk."),
            UserMessage(content="Refund order A-1001", source="user"),
        ]
        given: dict[str, Any] = {} if shape is None else {"json_output": shape}
        try:
            with telling.listening(lambda: NOON) as heard:
                if stream:
                    options = {"stream_options": {"include_usage": True}}
                    async for _ in client.create_stream(messages, extra_create_args=options, **given):
                        pass
                else:
                    await client.create(messages, **given)
            return heard
        finally:
            await clients.close()

    heard = asyncio.run(ask())
    told = usage.read(heard.usage)
    assert heard.listened and told["input_tokens"] > 0 and told["output_tokens"] > 0
    assert told["cached_tokens"] == 0 and told["reasoning_tokens"] == 0


def test_two_calls_at_once_hear_each_its_own(demo: str) -> None:
    async def one(client: Any, words: str) -> int:
        with telling.listening(lambda: NOON) as heard:
            await client.create([UserMessage(content=words, source="user")])
        return int(usage.read(heard.usage)["input_tokens"])

    async def both() -> list[int]:
        clients = Clients()
        client = clients.get(api_key=KEY, base_url=demo, config={"model": "gpt-4o-mini"})
        try:
            return list(await asyncio.gather(*(one(client, "word " * many) for many in (1, 400, 50))))
        finally:
            await clients.close()

    short, long, middle = asyncio.run(both())
    assert short < middle < long
