"""Each demo workflow through the real engine, the real policy and the real OpenAI client, to its gates and to its end."""

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from approvals import policy
from console.agents import documents as governed
from console.agents.clients import Clients
from console.agents.team import run_team
from console.demo import effects
from console.demo.documents import WORKFLOWS
from console.durable import engine
from console.durable.loop import new_loop
from console.durable.memory import MemoryGates, MemoryStore
from console.durable.steps import Ask, Decision, Finished, Outcome, Suspended
from console.hosting.lending import Key, Lent
from console.workflows import catalogue
from tests.demo.server import serving
from tests.studio import names, own_files, studio

BODIES = {workflow.slug: workflow.body for workflow in WORKFLOWS}
EXAMPLES = {workflow.slug: workflow.example for workflow in WORKFLOWS}


@pytest.fixture(scope="module")
def model_url() -> Iterator[str]:
    with serving() as address:
        yield f"{address}/v1"


@pytest.fixture(autouse=True)
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAYSO_DATA", str(tmp_path))


class Desk:
    """One run of a revision in memory: every advance is a new worker that knows the journal and nothing else."""

    def __init__(self, url: str, body: Mapping[str, Any], task: str) -> None:
        self.url, self.task = url, task
        team, findings = governed.examine(body["team"], body["tools"], catalogue.all())
        assert team is not None, findings
        self.body = {**copy.deepcopy(dict(body)), "team": team}
        self.store = MemoryStore()
        self.gates = MemoryGates(lambda ask: policy.judge(ask, self.body, policy.Facts()))
        self.messages: list[dict[str, Any]] = []
        self.began = datetime.now(UTC)

    def advance(self) -> Outcome:
        clients, loop = Clients(), new_loop()
        told: list[dict[str, Any]] = []

        lent = Lent({}, {"default": Key("default", "demo", self.url, "demo")}, clients)

        async def main(run: Any) -> Any:
            return await run_team(run, body=self.body, task=self.task, environment=lent, emit=told.append)

        async def turn() -> Outcome:
            try:
                return await engine.advance(
                    main,
                    run_id="demo",
                    journal=self.store.claim(),
                    gates=self.gates,
                    clock=lambda: datetime.now(UTC),
                    started_at=self.began,
                )
            finally:
                await clients.close()

        try:
            outcome = loop.run_until_complete(turn())
        finally:
            loop.close()
        assert told[: len(self.messages)] == self.messages, "a replay tells the same"
        self.messages = told
        return outcome

    def asks(self) -> list[Ask]:
        outcome = self.advance()
        assert isinstance(outcome, Suspended), outcome
        return sorted(outcome.parked, key=lambda ask: ask.scope)

    def decide(self, ask: Ask, verdict: str = "approve", **said: Any) -> None:
        self.gates.decide(ask.scope, ask.n, Decision(verdict, by="rita", **said))

    def result(self) -> str:
        outcome = self.advance()
        assert isinstance(outcome, Finished), outcome
        assert outcome.value["stop_reason"] == "completed"
        return str(outcome.value["result"])

    def model_calls(self) -> list[str]:
        return [step.scope for step in self.store.snapshot() if step.kind == "model"]


@pytest.mark.parametrize("slug", BODIES)
def test_documents_pass_the_check(slug: str) -> None:
    team, findings = governed.examine(BODIES[slug]["team"], BODIES[slug]["tools"], catalogue.all())
    assert team is not None and findings == []


def test_a_refund_stops_once_and_one_approval_completes_it(model_url: str) -> None:
    desk = Desk(model_url, BODIES["refund-desk"], EXAMPLES["refund-desk"])
    (ask,) = desk.asks()
    assert (ask.kind, ask.tool, ask.agent) == ("tool", "issue_refund", "payer")
    assert ask.request["arguments"]["amount"] == 250.0 and ask.verdict is not None
    assert ask.verdict.detail["approvers"] == 1 and effects.recorded() == []
    before = desk.model_calls()
    desk.decide(ask)
    assert "EUR 250.00 to Ingrid Olsen" in desk.result()
    assert [effect["arguments"]["order"] for effect in effects.recorded()] == ["A-1001"]
    assert desk.model_calls() == [*before, "payer/model"]  # replay asked no model


@pytest.mark.parametrize(("task", "approvers"), [("Refund order 7, 1000 EUR", 1), ("Refund 1,000.01 EUR, order 7", 2)])
def test_a_refund_above_a_thousand_takes_two(model_url: str, task: str, approvers: int) -> None:
    (ask,) = Desk(model_url, BODIES["refund-desk"], task).asks()
    assert ask.verdict is not None and ask.verdict.detail["approvers"] == approvers


def test_an_edited_refund_pays_the_edit_and_a_rejected_one_nothing(model_url: str) -> None:
    desk = Desk(model_url, BODIES["refund-desk"], EXAMPLES["refund-desk"])
    (ask,) = desk.asks()
    desk.decide(ask, "edit", arguments={**ask.request["arguments"], "amount": 200.0}, reason="used")
    assert "EUR 200.00" in desk.result()
    assert [effect["arguments"]["amount"] for effect in effects.recorded()] == [200.0]
    desk = Desk(model_url, BODIES["refund-desk"], EXAMPLES["refund-desk"])
    (ask,) = desk.asks()
    desk.decide(ask, "reject", reason="The parcel never came back.")
    assert "not made" in desk.result() and len(effects.recorded()) == 1


def test_where_no_order_is_named_the_latest_is_meant(model_url: str) -> None:
    (ask,) = Desk(model_url, BODIES["refund-desk"], "I want my money back, it is broken").asks()
    assert ask.request["arguments"]["order"] == "A-1001"


def test_a_missing_order_number_is_asked_for(model_url: str) -> None:
    desk = Desk(model_url, BODIES["refund-desk"], "I want a refund of 80 EUR but lost the order number")
    (ask,) = desk.asks()
    assert (ask.kind, ask.agent) == ("question", "colleague")
    desk.decide(ask, "respond", answer="It is A-1003")
    (ask,) = desk.asks()
    assert ask.request["arguments"] == {**ask.request["arguments"], "order": "A-1003", "amount": 80.0}
    desk.decide(ask)
    assert "A-1003" in desk.result()


@pytest.mark.parametrize(
    ("task", "desk_name", "words"),
    [
        ("I was charged twice on invoice INV-2041", "billing", "INV-2041"),
        ("The app crashes when I export a report", "technical", "T-401"),
        ("Please delete my personal data", "compliance", "30 days"),
    ],
)
def test_a_ticket_reaches_its_desk_and_its_answer_is_reviewed(
    model_url: str, task: str, desk_name: str, words: str
) -> None:
    desk = Desk(model_url, BODIES["support-triage"], task)
    (ask,) = desk.asks()
    assert ask.kind == "final" and words in ask.request["result"]
    assert desk.messages[-1]["source"] == desk_name
    desk.decide(ask, "reject", reason="Too short.")
    (ask,) = desk.asks()
    assert ask.kind == "final" and "plainer words" in ask.request["result"]
    desk.decide(ask)
    assert "RESOLVED" in desk.result()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_change_raises_two_requests_at_once_and_takes_them_in_either_order(
    model_url: str, order: tuple[int, int]
) -> None:
    desk = Desk(model_url, BODIES["change-advisory"], EXAMPLES["change-advisory"])
    asks = desk.asks()
    assert [ask.tool for ask in asks] == ["apply_firewall_rule", "restart_service"]
    desk.decide(asks[order[0]])
    (left,) = desk.asks()
    assert left.scope == asks[order[1]].scope and len(effects.recorded()) == 1
    desk.decide(left, "reject", reason="Not on a Friday.")
    assert "not done" in desk.result() and len(effects.recorded()) == 1


@pytest.mark.parametrize("words", ["simulate bad arguments", "simulate schema fault"])
def test_faulty_arguments_go_to_a_person(model_url: str, words: str) -> None:
    desk = Desk(model_url, BODIES["refund-desk"], f"Refund order A-1001, 250 EUR, {words}")
    (ask,) = desk.asks()
    assert (ask.kind, ask.tool) == ("tool", "issue_refund") and effects.recorded() == []


@pytest.mark.parametrize("team", [studio(), *own_files("team.json")], ids=names("team.json"))
def test_a_studio_team_calculates_behind_a_gate(model_url: str, team: dict[str, Any]) -> None:
    desk = Desk(
        model_url, {"team": team, "tools": {"calculator": "calculator"}, "oversight": {"mode": "NEVER"}}, "6 * 7?"
    )
    (ask,) = desk.asks()
    assert ask.tool == "calculator"
    desk.decide(ask)
    assert desk.result() == "The answer is 42. TERMINATE"
