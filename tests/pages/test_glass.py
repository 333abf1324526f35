"""A run under the glass: its waterfall, one step in full, stepping through, and two runs side by side."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from console.durable.steps import Kind, Safety, Status, Step
from console.runs import comparing, figures, moments, reading, waterfall
from console.runs import models as rows
from console.runs.models import Run
from console.tenants import display, display_actions
from tests.approvals.desk import Desk, refund
from tests.forked import AT, SAID, past, put
from tests.world import World

LONG = 10_000


def page(who: Any, address: str, status: int = 200) -> str:
    answer = who.client.get(address)
    assert answer.status_code == status, answer.content[:500]
    return answer.content.decode()


def talk(*, answer: str = "It is paid.", calls: str = "call_1") -> list[Step]:
    """A run in which a model calls a tool, reads what it said, and answers."""
    ask = [
        {"type": "SystemMessage", "content": "You pay."},
        {"type": "UserMessage", "source": "user", "content": "Pay me@x.example"},
    ]
    call = {"id": calls, "name": "look", "arguments": '{"to": "me@x.example"}'}
    read = {"name": "look", "call_id": calls, "content": "open", "is_error": False}
    told = [
        {"type": "AssistantMessage", "source": "payer", "content": [call]},
        {"type": "FunctionExecutionResultMessage", "content": [read]},
    ]
    tools = [{"name": "look", "description": "Looks it up.", "parameters": {"type": "object"}}]
    done: dict[str, Any] = {"status": Status.DONE, "agent": "payer"}
    later = AT + timedelta(seconds=2)
    return [
        Step(
            "payer/model", 1, Kind.MODEL, 1, f"d1{calls}", {"keep": 0, "add": ask, "rest": {"model": "m", "tools": tools}}, AT,
            settled=1, name="m", ended_at=AT, result={**SAID, "content": [call], "thought": "Hm."}, **done,
        ),
        Step(
            "payer/tools", 1, Kind.TOOL, 2, "d2", {"tool": "look", "arguments": {"to": "me@x.example"}}, AT,
            settled=3, name="look", safety=Safety.IDEMPOTENT, result="open", ended_at=later, **done,
        ),
        Step(
            "payer/model", 2, Kind.MODEL, 4, f"d4{calls}", {"keep": 2, "add": told}, later,
            settled=4, name="m", ended_at=later, result={**SAID, "content": answer}, **done,
        ),
    ]  # fmt: skip


@pytest.fixture
def run(desk: Desk) -> Run:
    return put(desk, talk())


def long_run(desk: Desk, many: int = LONG) -> Run:
    """A run of so many steps, put there by the database: three agents, model calls, each with a try that failed."""
    run = put(desk, talk())
    with desk.house.scope(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM runs_steppayload WHERE run_id = %s", [run.pk])
        cursor.execute("DELETE FROM runs_step WHERE run_id = %s", [run.pk])
        cursor.execute(
            """
            INSERT INTO runs_step (run_id, tenant_id, seq, settled, scope, n, kind, status, safety, name, agent, digest, key,
                attempts, usage, cost, inherited, started_at, ended_at, token)
            SELECT %(run)s, %(tenant)s, i, i, 'agent' || i %% 3 || '/model', i / 3 + 1, 'model', 'done', 'read_only', 'm',
                'agent' || i %% 3, 'd' || i, '',
                '[{"cause": "http_429"}, {"cause": null}]'::jsonb, '{"input_tokens": 2, "output_tokens": 1}'::jsonb, 0.001, false,
                %(at)s::timestamptz + i * interval '1 second', %(at)s::timestamptz + (i + 1) * interval '1 second', 1
            FROM generate_series(1, %(many)s) i
            """,
            {"run": run.pk, "tenant": run.tenant_id, "at": AT, "many": many},
        )
        Run.objects.filter(pk=run.pk).update(started_at=AT, created_at=AT, ended_at=AT + timedelta(seconds=many))
    return desk.now(run)


def test_the_waterfall_sums_agents_links_steps_and_says_it_in_a_table(desk: Desk, run: Run) -> None:
    said = page(desk.house.operator, f"/runs/{run.pk}/")
    assert f'href="?step=2#step-detail" hx-get="/runs/{run.pk}/steps/2/"' in said
    assert "The same as a table" in said and "Step through it" in said
    with desk.house.scope():
        rows.Step.objects.filter(run=run).update(usage={"input_tokens": 3, "output_tokens": 4}, cost="0.5")
        found = figures.by_agent(run.pk)["payer"]
    assert (found.steps, found.tokens, str(found.cost), found.unpriced) == (3, 21, "1.500000", 0)
    assert "21 tok · $1.50" in page(desk.house.operator, f"/runs/{run.pk}/")


def test_a_bar_has_its_tries_and_the_run_its_turns() -> None:
    def at(seconds: float) -> datetime:
        return AT + timedelta(seconds=seconds)

    tries = [
        {"started_at": at(0).isoformat(), "ended_at": at(1).isoformat(), "cause": "http_429"},
        {"started_at": at(3).isoformat(), "ended_at": at(4).isoformat(), "cause": None},
    ]
    one = rows.Step(
        seq=1, scope="a/model", n=1, kind="model", status="done", name="m", agent="a", started_at=at(0), ended_at=at(4),
        attempts=tries, token=1,
    )  # fmt: skip
    two = rows.Step(seq=2, scope="a/model", n=2, kind="model", status="done", agent="a", started_at=at(5), token=4)
    two.ended_at = at(6)
    chart = waterfall.chart([one, two], AT, at(6), {}, queued=at(-2))
    first = next(row for row in chart.rows if row.seq == 1)
    assert [part.tone for part in first.segments] == ["failed", "pause", "model"]
    assert "HTTP 429" in first.segments[0].title and "waited 2.0 s before try 2" in first.segments[1].title
    assert next(row for row in chart.rows if row.seq == 2).resumed and len(chart.marks) == 1
    assert any(row.tone == "queue" and "2.0 s in the queue" in row.text for row in chart.rows)
    odd = replace_attempts(one, [{"started_at": "x"}, None, {"cause": {}}])
    assert waterfall.chart([odd], AT, at(6), {}).rows[-1].segments == []


def replace_attempts(step: rows.Step, attempts: Any) -> rows.Step:
    step.attempts = attempts
    return step


def test_a_step_is_shown_with_its_prompt_by_role_and_what_is_new(desk: Desk, run: Run) -> None:
    said = page(desk.house.reviewer, f"/runs/{run.pk}/steps/4/")
    assert "2 messages as in the prompt before" in said and "1 tool offered: look" in said
    assert "<strong>system</strong>" in said and '<span class="pill ours">new</span>' in said and "It is paid." in said
    first = page(desk.house.reviewer, f"/runs/{run.pk}/steps/1/")
    assert "What it thought first" in first and "Looks it up." in first and "in the prompt before" not in first
    assert f'href="/runs/{run.pk}/?step=2"' in first
    page(desk.house.reviewer, f"/runs/{run.pk}/steps/3/", 404)
    opened = page(desk.house.reviewer, f"/runs/{run.pk}/?step=4")
    assert 'data-open="4"' in opened and "2 messages as in the prompt before" in opened
    for nonsense in ("99", "x", "-1", "%00", "9" * 40):
        page(desk.house.reviewer, f"/runs/{run.pk}/?step={nonsense}")


def test_a_prompt_whose_beginning_is_missing_says_so(desk: Desk, run: Run) -> None:
    with desk.house.scope():
        rows.StepPayload.objects.filter(run=run, seq=1).delete()
        rows.Step.objects.filter(run=run, seq=1).delete()
    said = page(desk.house.reviewer, f"/runs/{run.pk}/steps/4/")
    assert "A step before this one is missing" in said


def test_a_step_whose_payload_was_erased_is_still_a_step(desk: Desk, run: Run) -> None:
    with desk.house.scope():
        rows.StepPayload.objects.filter(run=run).delete()
    for place in (f"/runs/{run.pk}/?step=4", f"/runs/{run.pk}/?at=4", f"/runs/compare/?a={run.pk}&b={run.pk}"):
        page(desk.house.reviewer, place)


def test_a_step_is_read_without_the_journal_around_it(desk: Desk, django_assert_num_queries: Any) -> None:
    run = put(desk, talk())
    with desk.house.scope():
        whole = {found.step.seq: found.request for found in reading.whole(run.pk, [1, 2, 4, 77])}
        assert len(whole[4]["messages"]) == 4 and whole[2]["tool"] == "look" and set(whole) == {1, 2, 4}
        with django_assert_num_queries(2):
            reading.one(run.pk, 4)
        with django_assert_num_queries(1):
            reading.one(run.pk, 2)


def test_ten_thousand_steps_cost_what_is_shown(
    desk: Desk, django_assert_max_num_queries: Any, monkeypatch: Any
) -> None:
    run = long_run(desk)
    made: list[int] = []
    real = rows.Step.from_db.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        rows.Step, "from_db", classmethod(lambda cls, *args, **more: made.append(1) or real(cls, *args, **more))
    )
    with django_assert_max_num_queries(43):
        said = page(desk.house.operator, f"/runs/{run.pk}/")
    assert "Steps 1 to 120 of 10,000." in said and 'href="?window=1#where"' in said
    assert "9,999 tok" in said or "10,002 tok" in said  # of a third of the steps, summed over the whole run
    assert len(made) <= 400, "the page reads a window of the journal, not all of it"
    assert "Steps 9,961 to 10,000 of 10,000." in page(desk.house.operator, f"/runs/{run.pk}/?window=83")
    assert "Steps 9,961 to 10,000 of 10,000." in page(desk.house.operator, f"/runs/{run.pk}/?window=99999999")
    assert "Steps 1 to 120" in page(desk.house.operator, f"/runs/{run.pk}/?window=x")
    made.clear()
    with django_assert_max_num_queries(26):
        found = page(desk.house.operator, f"/runs/{run.pk}/?at=9000")
    assert "Entry 9,000 of 10,000" in found and "27,000" in found and len(made) <= 100
    made.clear()
    with django_assert_max_num_queries(24):
        page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={run.pk}")
    assert len(made) <= 200


def test_stepping_through_shows_what_was_known_then(desk: Desk, run: Run) -> None:
    who = desk.house.reviewer
    assert "Before the first of 4 entries" in page(who, f"/runs/{run.pk}/?at=0")
    began = page(who, f"/runs/{run.pk}/?at=2")
    assert "Entry 2 of 4" in began and "Not known at this point." in began and "1 may have happened (look)" in began
    assert "Under way at this point" in began and "It is paid." not in began
    ended = page(who, f"/runs/{run.pk}/?at=3")
    assert "1 done (look)" in ended and "It is paid." not in ended
    last = page(who, f"/runs/{run.pk}/?at=4")
    assert "It is paid." in last and "nothing is executed" in last and page(who, f"/runs/{run.pk}/?at=400")
    for nonsense in ("x", "-1", "", "%00", "9" * 40, "1.5"):
        assert "There is no such point" in page(who, f"/runs/{run.pk}/?at={nonsense}", 422)
    assert who.client.post(f"/runs/{run.pk}/?at=1").status_code == 405


def test_a_person_is_waited_for_at_the_point_where_they_were(desk: Desk) -> None:
    run = put(desk, past())
    asked = page(desk.house.reviewer, f"/runs/{run.pk}/?at=2")
    assert "Waiting for a person at this point" in asked and "Pay €5.00" in asked
    then = page(desk.house.reviewer, f"/runs/{run.pk}/?at=3")
    assert "Waiting for a person at this point" not in then and "approved" in then
    with desk.house.scope():
        assert [moments.moment(run, n, display.of(desk.house.admin.actor)).account.sentence for n in (3, 4, 5)] == [
            "", "1 may have happened (pay)", "1 done (pay)",
        ]  # fmt: skip


def test_runs_are_compared_by_what_they_said_not_by_made_up_names(desk: Desk, run: Run) -> None:
    same, other = put(desk, talk(calls="call_9")), put(desk, talk(answer="It is not paid."))
    with desk.house.scope():
        assert comparing.parting(run.pk, same.pk).pair is None
        found = comparing.parting(run.pk, other.pk)
        assert found.pair is not None and (found.pair.differs, found.before) == (["result"], 2)
        Run.objects.filter(pk=other.pk).update(cost="0.02")
    said = page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={other.pk}")
    assert "The same until step 4, where payer&#x27;s answer differs; B cost $0.0200 more." in said
    assert "<ins>not</ins>" in said or "<ins>not </ins>" in said or "<ins> not</ins>" in said
    assert "The two did the same, step by step." in page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={same.pk}")
    full = page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={other.pk}&scope=payer/model&n=2")
    assert "in full" in full and "4 messages the same" in full
    assert "in full" not in page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={other.pk}&scope=no&n=%00")


def test_a_run_that_goes_further_and_one_of_another_workflow(desk: Desk, run: Run) -> None:
    shorter = put(desk, talk()[:2])
    said = page(desk.house.operator, f"/runs/compare/?a={shorter.pk}&b={run.pk}")
    assert "The same until step 4, where only B has payer&#x27;s model call" in said and "only B" in said
    assert "A and B are the same run" in page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={run.pk}")
    edited = [replace(step, name="other") if step.seq == 2 else step for step in talk()]
    assert "is another one" in page(desk.house.operator, f"/runs/compare/?a={run.pk}&b={put(desk, edited).pk}")


def test_what_cannot_be_compared(desk: Desk, world: World, run: Run) -> None:
    who = desk.house.operator
    assert "its id, from its address" in page(who, "/runs/compare/")
    for query in (f"a={run.pk}", f"a={run.pk}&b=x", "a=%00&b=1", "a=" + "f" * 5000):
        assert "give the id of a run" in page(who, f"/runs/compare/?{query}", 422)
    page(who, f"/runs/compare/?a={run.pk}&b={uuid4()}", 404)
    page(world.fabrikam.operator, f"/runs/compare/?a={run.pk}&b={run.pk}", 404)
    page(world.fabrikam.operator, f"/runs/{run.pk}/?at=1", 404)
    assert who.client.post("/runs/compare/").status_code == 405


def test_what_the_organisation_hides_is_hidden_everywhere_and_said_to_be(desk: Desk, run: Run) -> None:
    house, other = desk.house, put(desk, talk(answer="Sent to me@x.example."))
    with house.scope():
        display_actions.put(house.admin.actor, "admins", ["email"], [])
    places = [
        f"/runs/{run.pk}/", f"/runs/{run.pk}/?step=1", f"/runs/{run.pk}/?at=4", f"/runs/{run.pk}/steps/4/",
        f"/runs/compare/?a={run.pk}&b={other.pk}&scope=payer/model&n=2", f"/runs/{run.pk}/fork/?from_step=1",
    ]  # fmt: skip
    for place in places:
        shown = page(house.operator, place)
        assert "me@x.example" not in shown and "It is paid." not in shown and "organisation" in shown, place
        assert "me@x.example" not in page(house.admin, place), place
    steps = house.operator.api.get(f"/api/v1/runs/{run.pk}/steps").json()["items"]
    assert all(step["request"] is None and step["result"] is None and "Hidden" in step["hidden"] for step in steps)
    mine = house.admin.api.get(f"/api/v1/runs/{run.pk}/steps").json()["items"]
    assert "[e-mail address hidden]" in str(mine) and "me@x.example" not in str(mine) and mine[0]["hidden"] == ""
    plan = house.operator.api.get(f"/api/v1/runs/{run.pk}/fork?from_step=1").json()
    assert plan["editable"] == {"input": None, "answer": None}


def test_the_card_of_a_request_shows_what_an_approval_binds(desk: Desk) -> None:
    run, [request] = desk.waiting(refund(41.5))
    with desk.house.scope():
        display_actions.put(desk.house.admin.actor, "admins", ["email"], [{"name": "amounts", "pattern": r"41\.5"}])
    assert "41.5" in page(desk.house.reviewer, f"/queue/{request.pk}/")
    assert "41.5" not in page(desk.house.reviewer, f"/runs/{run.pk}/")
