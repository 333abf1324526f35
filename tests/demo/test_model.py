"""The demo model over real HTTP: what it says is a function of the messages, and what it breaks breaks as documented."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from console.demo import documents, personas
from console.demo.model import FAULTS, complete
from console.demo.reading import amount_in, order_in, read
from tests.demo.server import serving

SYSTEM = {"role": "system", "content": "You are the payer of the refund desk. Pay."}
TASK = {"role": "user", "name": "user", "content": "Refund order A-1001, 250 EUR, it arrived broken"}
REFUND = {"type": "function", "function": {"name": "issue_refund", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as address:
        yield address


def ask(url: str, *messages: dict, key: str = "demo", **body) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    body = {"model": "gpt-4o-mini", "messages": list(messages), **body}
    return httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers)


def streamed(response: httpx.Response) -> dict:
    """A stream put together again: text, calls, finish, usage."""
    text, calls, finish, usage = "", {}, None, None
    events = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    for chunk in map(json.loads, events[:-1]):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            finish = choice["finish_reason"] or finish
            text += choice["delta"].get("content") or ""
            for part in choice["delta"].get("tool_calls", ()):
                call = calls.setdefault(part["index"], {"id": part.get("id"), "name": "", "arguments": ""})
                call["name"] += part["function"].get("name", "")
                call["arguments"] += part["function"]["arguments"]
    return {"text": text, "calls": list(calls.values()), "finish": finish, "usage": usage}


@pytest.mark.parametrize("tools", [[], [REFUND]])
def test_a_stream_says_what_the_plain_answer_says(url: str, tools: list) -> None:
    plain = ask(url, SYSTEM, TASK, tools=tools).json()
    stream = streamed(ask(url, SYSTEM, TASK, tools=tools, stream=True, stream_options={"include_usage": True}))
    message = plain["choices"][0]["message"]
    assert stream["text"] == (message["content"] or "")
    assert stream["calls"] == [{"id": call["id"], **call["function"]} for call in message.get("tool_calls", ())]
    assert bool(stream["calls"]) == bool(tools)
    assert stream["finish"] == plain["choices"][0]["finish_reason"] == ("tool_calls" if tools else "stop")
    assert stream["usage"] == plain["usage"]
    assert plain["usage"]["total_tokens"] == sum(plain["usage"][f"{side}_tokens"] for side in ("prompt", "completion"))
    assert "usage" not in ask(url, SYSTEM, TASK, stream=True).text


def test_the_same_messages_get_the_same_answer_and_others_another(url: str) -> None:
    first, again = (ask(url, SYSTEM, TASK, tools=[REFUND]).json() for _ in range(2))
    assert first["choices"] == again["choices"] and first["id"] == again["id"] and first["usage"] == again["usage"]
    other = ask(url, SYSTEM, {**TASK, "content": "Refund order A-1002, 300 EUR"}, tools=[REFUND]).json()
    assert other["choices"] != first["choices"]


def test_the_payer_pays_what_was_asked_and_reports_what_was_paid(url: str) -> None:
    call = ask(url, SYSTEM, TASK, tools=[REFUND]).json()["choices"][0]["message"]["tool_calls"][0]
    assert call["function"]["name"] == "issue_refund"
    arguments = json.loads(call["function"]["arguments"])
    assert arguments["order"] == "A-1001" and arguments["amount"] == 250.0 and isinstance(arguments["amount"], float)
    result = {"refund": "RF-7", "order": "A-1001", "customer": "Ingrid Olsen", "amount": 200, "currency": "EUR"}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    told = {"role": "tool", "tool_call_id": call["id"], "content": f"A person changed this call. {json.dumps(result)}"}
    said = ask(url, SYSTEM, TASK, asked, told).json()["choices"][0]["message"]["content"]
    assert "EUR 200.00" in said and "RF-7" in said and said.endswith("CASE CLOSED")
    told["content"] = "A person refused this call: not ours to pay."
    said = ask(url, SYSTEM, TASK, asked, told).json()["choices"][0]["message"]["content"]
    assert "not made" in said and "not ours to pay" in said and said.endswith("CASE CLOSED")
    told["content"] = (
        "The tool gave no answer. A person looked, and says that it was done: <reviewer>the bank has it</reviewer>"
    )
    said = ask(url, SYSTEM, TASK, asked, told).json()["choices"][0]["message"]["content"]
    assert said == "The refund was made, says a person who looked: the bank has it CASE CLOSED"


def test_tool_choice_none_gets_words(url: str) -> None:
    message = ask(url, {"role": "user", "content": "add it"}, tools=[REFUND], tool_choice="none").json()["choices"][0]
    assert message["finish_reason"] == "stop" and message["message"]["content"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("user: Refund order 7\n\n\nplanner: Plan. Over to clerk.", "clerk"),
        ("user: Refund order 7\n\n\nplanner: Which?\nNote: none. Over to colleague.", "colleague"),
        ("user: Refund order 7", "planner"),
        ("user: Refund\n\n\nplanner: Which? Over to colleague.\n\n\ncolleague: A-1001", "planner"),
        ("user: Refund\n\n\nplanner: A plan.", "clerk"),
    ],
)
def test_the_selector_follows_the_last_words(said: str, expected: str) -> None:
    everyone = ["planner", "clerk", "payer", "colleague"]
    speaker = said.rsplit("\n\n\n", 1)[-1].split(":")[0]
    prompt = documents.SELECTOR_PROMPT.format(
        roles="\n".join(f"{name}: a role" for name in everyone),
        participants=str([name for name in everyone if name != speaker]),
        history=said,
    )
    assert personas.answer(read([{"role": "system", "content": prompt}], [])).text == expected


def test_an_assistant_nobody_knows_calculates_and_ends() -> None:
    system = {"role": "system", "content": "You are a helpful assistant. When done, say TERMINATE."}
    task = {"role": "user", "content": "What is 6 * 7?"}
    fields = {"a": {"type": "number"}, "b": {"type": "number"}, "operator": {"type": "string"}}
    tools = [{"type": "function", "function": {"name": "calculator", "parameters": {"properties": fields}}}]
    ((name, arguments),) = personas.answer(read([system, task], tools)).calls
    assert (name, json.loads(arguments)) == ("calculator", {"a": 6.0, "b": 7.0, "operator": "*"})
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": name, "arguments": arguments}}]}
    said = personas.answer(read([system, task, call, {"role": "tool", "content": "42.0"}], tools))
    assert said == personas.Answer("The answer is 42.0. TERMINATE")


@pytest.mark.parametrize(
    ("text", "order", "amount"),
    [
        ("Refund order A-1001, 250 EUR, arrived broken", "A-1001", 250.0),
        ("Please refund €1,250.00 for order 77 to Ada Byron", "77", 1250.0),
        ("refund 1500 for order #42", "42", 1500.0),
        ("EUR 1.250,50 for B-22", "B-22", 1250.5),
        ("Order no. 7: refund of 40", "7", 40.0),
        ("I want 12,5 € back", "", 12.5),
        ("I want my money back", "", None),
    ],
)
def test_orders_and_amounts_are_found_in_plain_sentences(text: str, order: str, amount: float | None) -> None:
    assert (order_in(text), amount_in(text)) == (order, amount)


def test_structured_output_fits_the_schema_that_was_asked_for(url: str) -> None:
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["yes", "no"]}, "why": {"type": "string"}, "sure": {"$ref": "#/$defs/s"}},
        "$defs": {"s": {"type": "number"}},
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    content = ask(url, {"role": "user", "content": "Is it?"}, response_format=form).json()["choices"][0]["message"]
    value = json.loads(content["content"])
    assert value["verdict"] == "yes" and isinstance(value["why"], str) and value["sure"] == 1.0


@pytest.mark.parametrize("key", ["", "invalid-key", "revoked"])
def test_a_call_needs_a_good_key(url: str, key: str) -> None:
    response = ask(url, TASK, key=key)
    assert response.status_code == 401 and response.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"{}", b'{"model": "m", "messages": []}', b'{"model": "m", "messages": [1]}',
     b'{"model": "m", "messages": [{"role": "user", "content": 7}]}', b'{"messages": [{"role": "user"}]}',
     b'{"model": "m", "messages": [{"role": "user"}], "tools": [7]}'],
)  # fmt: skip
def test_malformed_input_is_a_400_that_says_what(url: str, content: bytes) -> None:
    response = httpx.post(f"{url}/v1/chat/completions", content=content, headers={"authorization": "Bearer k"})
    assert response.status_code == 400 and response.json()["error"]["message"]


def test_what_is_not_there_and_what_is_not_meant(url: str) -> None:
    assert httpx.get(f"{url}/v1/nothing").status_code == 404
    assert httpx.get(f"{url}/v1/chat/completions").status_code == 405
    names = httpx.get(f"{url}/v1/models", headers={"authorization": "Bearer k"}).json()["data"]
    assert documents.MODEL in [entry["id"] for entry in names]


@pytest.mark.parametrize(("words", "status"), [("simulate 401", 401), ("simulate 429", 429), ("simulate 500", 500)])
def test_refusals_on_demand(url: str, words: str, status: int) -> None:
    response = ask(url, SYSTEM, {"role": "user", "content": f"Refund order 7, {words}"})
    assert response.status_code == status and "simulated" in response.json()["error"]["message"]
    assert (response.headers.get("retry-after") == "1") is (status == 429)


def test_a_fault_strikes_where_it_was_told_to(url: str) -> None:
    task = {"role": "user", "content": "Refund order 7, simulate 500 at payer"}
    planner = {"role": "system", "content": "You are the planner of the refund desk. Plan."}
    selector = {"role": "system", "content": f"Pick a role from ['planner', 'payer'].\n\nuser: {task['content']}"}
    assert ask(url, planner, task).status_code == 200
    assert ask(url, selector).status_code == 200
    assert ask(url, SYSTEM, task).status_code == 500


@pytest.mark.parametrize("stream", [False, True])
def test_a_half_closed_answer_breaks_off(url: str, stream: bool) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        ask(url, {"role": "user", "content": "simulate half-closed"}, stream=stream)


def test_an_address_with_another_latency_says_the_same(url: str) -> None:
    assert ask(f"{url}/latency-1", SYSTEM, TASK).json()["choices"] == ask(url, SYSTEM, TASK).json()["choices"]
    assert ask(f"{url}/latency-x", SYSTEM, TASK).status_code == 404


def test_nothing_is_ever_said(url: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "simulate nothing"}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/chat/completions", json=body, headers={"authorization": "Bearer k"}, timeout=0.2)


def test_nonsense_and_emptiness(url: str) -> None:
    assert "choices" not in ask(url, {"role": "user", "content": "simulate nonsense"}).json()
    assert ask(url, {"role": "user", "content": "simulate empty"}).json()["choices"][0]["message"]["content"] is None


def test_faulty_calls_on_demand() -> None:
    def arguments(words: str) -> str:
        body = {"model": "m", "messages": [SYSTEM, {"role": "user", "content": words}], "tools": [REFUND]}
        return complete(body).answer.calls[0][1]

    with pytest.raises(ValueError):
        json.loads(arguments("refund order 7, simulate bad arguments"))
    assert "amount" not in json.loads(arguments("refund order 7, simulate schema fault"))
    assert json.loads(arguments("refund order 7"))["order"] == "7"


def test_every_fault_is_documented() -> None:
    readme = Path("README.md").read_text(encoding="utf-8")
    assert [fault for fault in FAULTS if fault not in readme] == []
