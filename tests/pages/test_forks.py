"""The pages of forks: the form, what leads to it, and what is seen of it afterwards."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from console.durable.steps import Safety, Status
from console.runs.models import Run
from tests.approvals.desk import Desk, refund
from tests.forked import past, put
from tests.world import World


@pytest.fixture
def run(desk: Desk) -> Run:
    return put(desk, past())


def page(who: Any, address: str, status: int = 200) -> str:
    answer = who.client.get(address)
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


def post(desk: Desk, run: Run, **form: str) -> Any:
    return desk.house.operator.client.post(f"/runs/{run.pk}/fork/", form)


def forks(desk: Desk) -> list[Run]:
    with desk.house.scope():
        return list(Run.objects.exclude(fork_of=None).order_by("created_at"))


def test_the_form_lists_what_would_happen_again_and_asks_whether_one_knows(desk: Desk, run: Run) -> None:
    said = page(desk.house.operator, f"/runs/{run.pk}/fork/?from_step=2")
    assert "1 effect on the world may happen again." in said and "Pay €5.00" in said
    assert "1 recorded step before it is kept" in said and "asked anew" in said
    answer = post(desk, run, from_step="2", edit="")
    assert answer.status_code == 409 and "say that you know" in answer.content.decode() and forks(desk) == []
    answer = post(desk, run, from_step="2", edit="", repeat_effects="yes")
    [made] = forks(desk)
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{made.pk}/")
    shown = page(desk.house.reviewer, f"/runs/{made.pk}/")
    assert f"fork of {run.short} from step 2" in shown and "kept from the earlier run" in shown
    assert "Made of this run" in page(desk.house.reviewer, f"/runs/{run.pk}/")
    assert "fork from step 2" in page(desk.house.reviewer, f"/runs/{run.pk}/")


def test_an_edited_answer_is_seen_as_such(desk: Desk, run: Run) -> None:
    assert "Do not ask the model again" in page(desk.house.operator, f"/runs/{run.pk}/fork/?from_step=6")
    assert post(desk, run, from_step="6", edit="answer", answer="It is\r\nnot paid.").status_code == 302
    [made] = forks(desk)
    assert "(edited: answer)" in page(desk.house.reviewer, f"/runs/{made.pk}/")
    assert f"edited by {desk.house.operator.actor.name}" in page(desk.house.reviewer, f"/runs/{made.pk}/")
    step = page(desk.house.reviewer, f"/runs/{made.pk}/steps/6/")
    assert "nobody said this" in step and "It is\nnot paid." in step.replace("\\n", "\n")


def test_another_input(desk: Desk, run: Run) -> None:
    form = {"from_step": "1", "edit": "input", "repeat_effects": "yes"}
    empty = post(desk, run, **form, input=" ")
    assert empty.status_code == 422 and "The input is empty." in empty.content.decode()
    assert post(desk, run, **form, input="Refund order A-18").status_code == 302
    assert [made.title for made in forks(desk)] == ["Refund order A-18"]


def test_the_finding_of_a_tool_is_edited_as_what_it_is(desk: Desk) -> None:
    steps = past()
    steps[2] = replace(steps[2], safety=Safety.READ_ONLY, result={"state": "lost"})
    run = put(desk, steps)
    said = page(desk.house.operator, f"/runs/{run.pk}/fork/?from_step=4")
    assert "&quot;state&quot;: &quot;lost&quot;" in said
    broken = post(desk, run, from_step="4", edit="answer", answer='{"state": ')
    assert broken.status_code == 422 and "The answer is not JSON" in broken.content.decode()
    assert post(desk, run, from_step="4", edit="answer", answer='{"state": "sent"}').status_code == 302


@pytest.mark.parametrize("step", ["2", "4"])
def test_no_answer_for_a_person_or_a_payment(desk: Desk, run: Run, step: str) -> None:
    said = page(desk.house.operator, f"/runs/{run.pk}/fork/?from_step={step}")
    assert 'name="answer"' not in said and "cannot be edited" in said
    assert post(desk, run, from_step=step, edit="answer", answer="x", repeat_effects="yes").status_code == 422
    assert forks(desk) == []


@pytest.mark.parametrize("number", ["0", "3", "99", "-1", "x", "", "9" * 40, "1.5", "٣", "\x00"])
def test_a_number_that_is_no_step(desk: Desk, run: Run, number: str) -> None:
    answer = desk.house.operator.client.get(f"/runs/{run.pk}/fork/", {"from_step": number})
    assert answer.status_code == 422 and "The step " in answer.content.decode()
    assert post(desk, run, from_step=number, edit="", repeat_effects="yes").status_code == 422 and forks(desk) == []


def test_reviewers_do_not_fork_and_are_not_led_there(desk: Desk, world: World, run: Run) -> None:
    assert desk.house.reviewer.client.get(f"/runs/{run.pk}/fork/").status_code == 403
    assert desk.house.reviewer.client.post(f"/runs/{run.pk}/fork/", {"from_step": "6"}).status_code == 403
    assert world.fabrikam.operator.client.get(f"/runs/{run.pk}/fork/").status_code == 404
    for address in (f"/runs/{run.pk}/", f"/runs/{run.pk}/steps/6/"):
        assert "/fork/" not in page(desk.house.reviewer, address)
        assert "/fork/" in page(desk.house.operator, address)


def test_a_run_at_work_leads_back_with_the_reason(desk: Desk) -> None:
    run = desk.start()
    assert "/fork/" not in page(desk.house.operator, f"/runs/{run.pk}/")
    answer = desk.house.operator.client.get(f"/runs/{run.pk}/fork/", follow=True)
    assert "its record still grows" in answer.content.decode()


def test_a_divergence_offers_the_step(desk: Desk) -> None:
    detail = "payer/tools#1 asks for something else than what is recorded"
    run = put(desk, past(), "failed", "divergence", detail)
    assert "Fork before step 4" in page(desk.house.operator, f"/runs/{run.pk}/")
    assert "Fork before step" not in page(desk.house.reviewer, f"/runs/{run.pk}/")


def test_a_waiting_run_says_that_it_goes_on_beside(desk: Desk) -> None:
    run, _ = desk.waiting(refund())
    assert "This run still waits for a person" in page(desk.house.operator, f"/runs/{run.pk}/fork/")
    assert post(desk, run, from_step="1", edit="").status_code == 302
    assert desk.now(run).status == "waiting"


def test_what_nobody_knows_is_said_so(desk: Desk) -> None:
    steps = past()
    steps[2] = replace(steps[2], status=Status.IN_DOUBT, settled=None, result=None, ended_at=None)
    run = put(desk, steps, "failed", "worker_lost")
    assert "nobody knows whether it happened" in page(desk.house.operator, f"/runs/{run.pk}/fork/?from_step=1")
    assert "whose outcome nobody knows: a person is asked" in page(
        desk.house.operator, f"/runs/{run.pk}/fork/?from_step=6"
    )


def test_the_card_says_that_the_run_is_a_fork(desk: Desk, run: Run) -> None:
    forked, [request] = desk.waiting(refund())
    with desk.house.scope():
        Run.objects.filter(pk=forked.pk).update(fork_of=run, forked_at=6, fork_edited="answer")
    said = page(desk.house.reviewer, f"/queue/{request.pk}/")
    assert "This run is a fork" in said and "from step 6, whose answer was edited" in said
    _, [plain] = desk.waiting(refund(n=1))
    assert "This run is a fork" not in page(desk.house.reviewer, f"/queue/{plain.pk}/")
