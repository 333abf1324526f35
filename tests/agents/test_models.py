"""Real clients against a real socket: what providers do, and what becomes of it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from autogen_core.models import ChatCompletionClient, UserMessage

from console.agents import clients, wire
from console.agents.clients import Clients, model_info
from console.agents.pacing import retry_after
from console.durable.engine import Handle
from console.durable.steps import Finished, Outcome, Stopped
from tests.agents.stage import Script, World, agent, model, never, team
from tests.deaf import deaf

KEY = "sk-secret-secret-secret"

pytestmark = pytest.mark.filterwarnings("ignore:No text content or tool calls are available")


@dataclass
class Provider:
    """An OpenAI-compatible server that answers what it is told to, in order; the last answer stays."""

    answers: list[Any] = field(default_factory=list)
    seen: list[tuple[Mapping[str, str], Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    def next(self) -> Any:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def provider() -> Iterator[Provider]:
    told = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.seen.append((self.headers, sent))
            told.paths.append(self.path)
            answer = told.next()
            if answer == "hang up":
                self.close_connection = True
                self.connection.close()
                return
            if answer == "silence":
                silence.wait(10)
                self.close_connection = True
                return
            status, headers, body = answer
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "transfer-encoding" not in headers:
                self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
            if "transfer-encoding" in headers:
                self.close_connection = True

        def log_message(self, *args: Any) -> None: ...

    silence = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield told
    silence.set()
    server.shutdown()
    server.server_close()
    thread.join()


class Online(World):
    """A world whose models are real clients of the provider."""

    provider: Provider

    def model_client(self, agent: str, config: Mapping[str, Any]) -> ChatCompletionClient:
        return self.clients.get(api_key=KEY, base_url=self.provider.url, config=config)

    async def _advance(self) -> Outcome:
        self.clients = Clients()
        try:
            return await super()._advance()
        finally:
            await self.clients.close()


def online(provider: Provider, *answers: Any, stream: bool = False, **body: Any) -> Online:
    provider.answers = list(answers)
    document = team("RoundRobinGroupChat", agent("a", model_client=model(model="house-1"), model_client_stream=stream))
    world = Online({}, never(document, **body))
    world.provider = provider
    return world


def said(text: str = "Hello. TERMINATE", **message: Any) -> tuple[int, dict[str, str], Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "house-1", "choices": [choice]}
    return 200, {"content-type": "application/json"}, {**body, "usage": usage}


def whole(**changes: Any) -> tuple[int, dict[str, str], Any]:
    status, headers, body = said()
    return status, headers, {**body, **changes}


def failed(status: int, message: str = "no", **headers: str) -> tuple[int, dict[str, str], Any]:
    return status, {"content-type": "application/json", **headers}, {"error": {"message": message}}


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {"content": content} if content is not None else {}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "house-1", "choices": choices, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def streamed(*chunks: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {"content-type": "text/event-stream"}, b"".join(chunks)


USAGE = chunk(choices=[], usage={"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14})
COMPLETE = streamed(chunk("Hello. "), chunk("TERMINATE"), chunk(finish="stop"), USAGE, b"data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_its_usage_and_its_cost(provider: Provider, stream: bool) -> None:
    world = online(provider, COMPLETE if stream else said(), stream=stream)
    world.costs = {"house-1": "0.0021"}
    assert world.finishes()["result"] == "Hello. TERMINATE"
    (step,) = world.store.snapshot()
    assert step.usage == {"input_tokens": 11, "output_tokens": 3} and step.cost == "0.0021"
    assert [attempt["cause"] for attempt in step.attempts] == [None]
    headers, sent = provider.seen[0]
    assert headers["authorization"] == f"Bearer {KEY}" and len(provider.seen) == 1
    assert sent.get("stream_options") == ({"include_usage": True} if stream else None)
    assert [text for *_, text in world.chunks] == (["Hello. ", "TERMINATE"] if stream else [])


def test_a_stream_may_end_for_a_reason_of_the_providers_own(provider: Provider) -> None:
    world = online(provider, streamed(chunk("Hello. TERMINATE"), chunk(finish="eos"), USAGE), stream=True)
    assert world.finishes()["result"] == "Hello. TERMINATE"


@pytest.mark.parametrize(
    "failure,cause",
    [
        (failed(429), "http_429"),
        (failed(500), "http_500"),
        (failed(503), "http_503"),
        (failed(408), "http_408"),
        ("hang up", "connection"),
    ],
)
def test_what_passes_is_tried_again(provider: Provider, failure: Any, cause: str) -> None:
    world = online(provider, failure, failure, said())
    assert world.finishes()["result"] == "Hello. TERMINATE"
    (step,) = world.store.snapshot()
    assert [attempt["cause"] for attempt in step.attempts] == [cause, cause, None]
    assert world.slept == [0.375, 0.75]
    assert len(provider.seen) == 3


def test_a_provider_says_how_long_to_wait(provider: Provider) -> None:
    world = online(provider, failed(429, **{"retry-after": "7"}), said())
    world.finishes()
    assert world.slept == [7.0]
    world = online(provider, failed(429, **{"retry-after": "3600"}))
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "model_error" and world.slept == []


def test_retry_after_in_its_three_forms() -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert retry_after({"retry-after": "2.5"}, now) == 2.5
    assert retry_after({"retry-after-ms": "250"}, now) == 0.25
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 12:00:09 GMT"}, now) == 9
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, now) == 0
    assert retry_after({"retry-after": "soon"}, now) is None
    # A date is by the provider's clock, which need not be ours.
    theirs = {"retry-after": "Thu, 01 Jan 2026 12:00:09 GMT", "date": "Thu, 01 Jan 2026 12:00:07 GMT"}
    for minutes in (-5, 0, 5):
        assert retry_after(theirs, now + timedelta(minutes=minutes)) == 2
    assert retry_after({**theirs, "date": "some day"}, now) == 9
    assert retry_after({}, now) is None


CUT = 200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}, b"5\r\ndata:"
NO_CREDIT = 429, {"content-type": "application/json"}, {"error": {"message": "no", "code": "insufficient_quota"}}
BAD_CALL = {"id": "1", "type": "function", "function": {"name": "", "arguments": "{}"}}

ENDS: list[tuple[str, Any, bool, str, str, int]] = [
    ("401", failed(401, f"Incorrect API key provided: {KEY}"), False, "model_error", "refused the credential", 1),
    ("403", failed(403, f"no access for {KEY}"), False, "model_error", "refused the credential", 1),
    ("404", failed(404), False, "model_error", "knows no model", 1),
    ("400", failed(400, f"bad request with {KEY}"), False, "model_error", "refused the request", 1),
    ("429", failed(429), False, "model_error", "asked too often", 4),
    ("no credit", NO_CREDIT, False, "model_error", "used up", 1),
    ("500", failed(500, KEY), False, "model_error", "HTTP 500", 4),
    ("hang up", "hang up", False, "model_error", "connection", 4),
    ("no choices", whole(choices=[]), False, "model_error", "cannot be used", 1),
    ("null choices", whole(choices=None), False, "model_error", "cannot be used", 1),
    ("no usage no choices", (200, {"content-type": "application/json"}, {}), False, "model_error", "cannot be used", 1),
    ("a list", (200, {"content-type": "application/json"}, [1]), False, "model_error", "cannot be used", 1),
    ("half json", (200, {"content-type": "application/json"}, b'{"id": '), False, "model_error", "cannot be used", 1),
    ("html", (200, {"content-type": "text/html"}, b"<html>"), False, "model_error", "cannot be used", 1),
    ("empty", said(""), False, "model_error", "empty", 1),
    ("blank", said("  \n"), False, "model_error", "empty", 1),
    ("nameless call", said("", tool_calls=[BAD_CALL]), False, "model_error", "cannot be used", 1),
    ("call without function", said("", tool_calls=[{"id": "1"}]), False, "model_error", "cannot be used", 1),
    ("empty stream", streamed(b"data: [DONE]\n\n"), True, "model_error", "broke off", 4),
    ("stream ends early", streamed(chunk("Hel")), True, "model_error", "broke off", 4),
    ("stream is cut", CUT, True, "model_error", "connection", 4),
    ("stream of nothing", streamed(chunk(finish="stop"), b"data: [DONE]\n\n"), True, "model_error", "empty", 1),
    ("stream of half json", streamed(b'data: {"id"\n\n'), True, "model_error", "cannot be used", 1),
    (
        "error in the stream",
        streamed(b'data: {"error": {"message": "overloaded"}}\n\n'),
        True,
        "model_error",
        "overloaded",
        4,
    ),
]


@pytest.mark.parametrize("answer,stream,reason,words,tries", [end[1:] for end in ENDS], ids=[end[0] for end in ENDS])
def test_what_does_not_pass_ends_with_a_clear_sentence(
    provider: Provider, answer: Any, stream: bool, reason: str, words: str, tries: int
) -> None:
    world = online(provider, answer, stream=stream)
    outcome = world.go()
    assert isinstance(outcome, Stopped), outcome
    assert outcome.reason == reason and words in outcome.detail, outcome
    (step,) = world.store.snapshot()
    assert step.status == "failed" and len(step.attempts) == tries == len(provider.seen)
    assert KEY not in repr(world.store.snapshot()) and KEY not in outcome.detail
    assert world.go() == outcome and len(provider.seen) == tries


def test_a_model_that_says_nothing_at_all_runs_out_of_time(provider: Provider) -> None:
    world = online(provider, "silence", limits={"model_timeout": "PT0.1S"})
    outcome = world.go()
    assert isinstance(outcome, Stopped) and outcome.reason == "model_error"
    assert [attempt["cause"] for attempt in world.store.snapshot()[0].attempts] == ["timeout"] * 4


def test_tokens_and_money_run_out(provider: Provider) -> None:
    going_on = said("and on")
    world = online(provider, going_on, limits={"max_tokens": 20})
    assert world.go() == Stopped("budget", "28 of 20 tokens are used.")
    world.asked.clear()
    assert world.go() == Stopped("budget", "28 of 20 tokens are used.")
    assert len(provider.seen) == 2
    world = online(provider, going_on, limits={"max_cost": "0.05"})
    world.costs = {"house-1": "0.03"}
    assert world.go() == Stopped("budget", "0.06 of 0.05 US dollars are used.")


def test_clients_are_made_once_for_each_credential_and_model() -> None:
    async def make() -> None:
        clients = Clients()
        one = clients.get(api_key="k1", base_url="http://x", config={"model": "m"})
        assert clients.get(api_key="k1", base_url="http://x", config={"model": "m", "api_key": "other"}) is one
        assert clients.get(api_key="k2", base_url="http://x", config={"model": "m"}) is not one
        assert clients.get(api_key="k1", base_url="http://x", config={"model": "m", "temperature": 0}) is not one
        await clients.close()
        assert clients.get(api_key="k1", base_url="http://x", config={"model": "m"}) is not one
        await clients.close()

    asyncio.run(make())


@pytest.mark.parametrize("rest", [0.0, 3600.0])
def test_clients_that_were_let_go_are_closed(monkeypatch: pytest.MonkeyPatch, rest: float) -> None:
    monkeypatch.setattr("console.agents.clients.MOST", 2)
    monkeypatch.setattr("console.agents.clients.REST", rest)

    async def make() -> None:
        clients = Clients()
        one, two, _ = (
            clients.get(api_key=key, base_url="http://x", config={"model": "m"}) for key in ("k1", "k2", "k3")
        )
        assert not one._client.is_closed()  # a run may hold it
        assert clients.get(api_key="k2", base_url="http://x", config={"model": "m"}) is two
        assert clients.get(api_key="k1", base_url="http://x", config={"model": "m"}) is not one
        while rest == 0 and not one._client.is_closed():
            await asyncio.sleep(0)
        await clients.close()
        assert one._client.is_closed() and two._client.is_closed()

    asyncio.run(make())


def test_any_model_name_will_do() -> None:
    assert model_info({"model": "house-1"}) == {
        "vision": False,
        "function_calling": True,
        "json_output": True,
        "family": "unknown",
        "structured_output": False,
    }
    assert model_info({"model": "gpt-4o-mini"})["family"] == "gpt-4o"
    assert model_info({"model": "house-1", "model_info": {"vision": True}})["vision"]


def test_a_known_model_with_a_longer_name_makes_no_noise(provider: Provider) -> None:
    provider.answers = [said()]
    world = Online({}, never(team("RoundRobinGroupChat", agent("a"))))
    world.provider = provider
    outcome = world.go()
    assert isinstance(outcome, Finished), outcome


@pytest.mark.parametrize("auth", ["key", "token"])
def test_azure_is_asked_at_its_deployment_with_a_key_or_a_token(provider: Provider, auth: str) -> None:
    class Azure(Online):
        def model_client(self, agent: str, config: Mapping[str, Any]) -> ChatCompletionClient:
            options = {"api_version": "2024-10-21", "deployment": "house-gpt", "auth": auth}
            place = self.provider.url.removesuffix("/v1")
            return self.clients.get(api_key=KEY, base_url=place, config=config, provider="azure", options=options)

    provider.answers = [said()]
    world = Azure({}, never(team("RoundRobinGroupChat", agent("a"))))
    world.provider = provider
    assert world.finishes()["stop_reason"] == "completed"
    [(headers, sent)] = provider.seen
    assert provider.paths == ["/openai/deployments/house-gpt/chat/completions?api-version=2024-10-21"]
    assert sent["model"] == "gpt-4o-mini"
    assert (headers.get("api-key"), headers.get("authorization")) == (
        (KEY, None) if auth == "key" else (None, f"Bearer {KEY}")
    )


def test_a_connection_that_hangs_fails_long_before_the_call_would(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.agents.clients.CONNECTING", 0.05)
    world = online(provider, said(), limits={"model_timeout": "PT1H"})
    world.costs = {"house-1": "0.5"}
    with deaf() as url:
        provider.url = url
        outcome = world.go()
    assert isinstance(outcome, Stopped) and "takes no connection" in outcome.detail
    [step] = world.store.snapshot()
    assert [each["cause"] for each in step.attempts] == ["connect_timeout"] * 4
    assert step.cost is None  # nobody was at work on it


def test_the_document_can_only_make_connecting_shorter() -> None:
    for given, seconds in ((None, 600.0), (30, 30.0), (2, 2.0)):
        timeout = clients._timeout({"timeout": given})
        assert (timeout.read, timeout.connect) == (seconds, min(seconds, clients.CONNECTING))


@pytest.mark.parametrize(
    ("answer", "stream", "cost"),
    [(CUT, True, "0.5"), (streamed(chunk("Hel")), True, "0.5"), ("silence", False, "0.5"), (failed(500), False, None),
     ("hang up", False, "0.5"), (failed(429), False, None)],
    ids=["cut", "ends early", "silence", "http 500", "hang up", "too often"],
)  # fmt: skip
def test_what_was_broken_off_is_charged_at_what_it_was_reckoned(
    provider: Provider, answer: Any, stream: bool, cost: str | None
) -> None:
    good = COMPLETE if stream else said()
    world = online(provider, answer, good, stream=stream, limits={"model_timeout": "PT0.3S"})
    world.costs = {"house-1": "0.5"}
    assert isinstance(world.go(), Finished)
    [step] = world.store.snapshot()
    first, last = step.attempts
    assert (first.get("cost"), first.get("reckoned")) == (cost, cost and True) and last["cost"] == "0.5"
    assert Decimal(step.cost or 0) == Decimal(cost or 0) + Decimal("0.5") == Decimal(step.result["cost"])


def test_an_answer_that_is_none_costs_what_it_says(provider: Provider) -> None:
    world = online(provider, said(""))
    world.costs = {"house-1": "0.5"}
    world.go()
    [step] = world.store.snapshot()
    assert step.cost == "0.5" and step.attempts[0]["usage"] == {"input_tokens": 11, "output_tokens": 3}
    assert "reckoned" not in step.attempts[0]


def test_a_call_that_its_run_lets_go_of_is_charged_to_the_run() -> None:
    class Slow(Script):
        async def create(self, messages: Any, **options: Any) -> Any:
            handle.cancel()
            await asyncio.Event().wait()

    handle = Handle()
    world = World({"a": Slow(lambda messages: "")}, never(team("RoundRobinGroupChat", agent("a"))))
    world.costs = {"gpt-4o-mini": "0.5"}
    world.handle = handle
    assert world.go() == Stopped("cancelled")
    assert world.lost_money == Decimal("0.5") and world.store.snapshot() == []


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-5", "Mon, 99 Foo", "Fri, 31 Dec 99999 00:00:00 GMT", "", "1e400", "٣"]
)
def test_odd_words_for_when_to_come_back_are_harmless(text: str) -> None:
    found = retry_after({"retry-after": text}, datetime(2026, 1, 1, tzinfo=UTC))
    assert found is None or found >= 0


def test_what_a_model_was_asked_before_is_not_measured_again() -> None:
    class Counted(UserMessage):
        read: ClassVar[int] = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "content":
                Counted.read += 1
            return super().__getattribute__(name)

    first, second, other = (Counted(content=word, source="user") for word in ("one", "three", "seventeen"))
    lengths = wire.Lengths()
    assert lengths.of([first]) == 19
    assert lengths.of([first, second]) == 19 + 21 and Counted.read == 2
    assert lengths.of([first, other]) == 19 + 25 and Counted.read == 3
    assert lengths.of([]) == 0 and lengths.of([second]) == 21
