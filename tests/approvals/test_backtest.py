"""Backtests, beside a count by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from approvals import backtest, rule_actions
from approvals.backtest import Draft
from console.runs.models import Run, Step, StepPayload
from tests.approvals.desk import RULES, make_desk, refund
from tests.approvals.past import History
from tests.world import World

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
DAY = timedelta(days=1)
FREE = [{"name": "small ones", "effect": "allow", "match": {"tool": "issue_*"}, "when": "arguments.amount < 100.0"}]


@pytest.fixture
def history(world: World) -> History:
    """Refunds of a desk that pays below 100 by itself and asks two people above 1,000, one in between:

    day  amount  then
      1      10  ran                         8      50  ran
      2      60  ran                         9   1,500  asked two; nobody answered yet
      3      90  ran                        10     200  asked; approved after 600 s, of which 60 looking
      4     200  asked; rejected after 300 s, of which 30 looking
      5     300  asked; edited to 250 after 1,200 s, of which 90 looking
      6   6,000  refused
     40      70  ran (outside of four weeks)
    """
    history = History(make_desk(world.northwind, {"team": {}, "rules": [*RULES, *FREE]}))
    run = history.desk.start()

    def call(day: int, amount: float) -> Any:
        return history.call(run, refund(amount), NOW - day * DAY)

    for day, amount in ((1, 10.0), (2, 60.0), (3, 90.0), (8, 50.0), (40, 70.0)):
        assert call(day, amount) is None
    history.decide(call(4, 200.0), "reject", 300, 30)
    history.decide(call(5, 300.0), "edit", 1200, 90, arguments={"order": "A-17", "amount": 250.0})
    assert call(6, 6000.0) is None
    assert call(9, 1500.0) is not None
    approved = call(10, 200.0)
    history.decide(approved, "approve", 600, 60)
    history.goes_ahead(run, refund(200.0), approved, NOW - 9 * DAY)
    return history


def backtested(history: History, rules: Any, weeks: int = 4, **more: Any) -> backtest.Result:
    desk = history.desk
    with desk.house.scope():
        draft = Draft(desk.house.tenant.id, rules, None if more.pop("tenant", False) else desk.workflow.pk)
        return backtest.run(draft, weeks, NOW, **more)


def counts(result: backtest.Result) -> dict[str, int]:
    return {name: count for name, count in result.counts.items() if count}


def test_the_rules_of_then_change_nothing(history: History) -> None:
    found = backtested(history, [*RULES, *FREE])
    assert counts(found) == {"still_alone": 4, "still_stopped": 4, "still_denied": 1}
    assert (found.looked_at, found.runs, found.reviews_added, found.reviews_saved) == (9, 1, 0, 0)
    assert (found.cut, found.unreadable, found.changed) == (False, 0, 0)
    assert found.decided == {
        "still_stopped": {**dict.fromkeys(backtest.PEOPLE, 0), "approved": 1, "edited": 1, "rejected": 1, "open": 1}
    }


def test_a_stricter_rule_counts_what_it_newly_stops(history: History) -> None:
    """Stops 60, 90 and 50, which ran: three reviews. Median looking time of 30, 60, 90 is 60 s; of waiting, 600 s."""
    rule = {"name": "from 50", "effect": "require", "when": "arguments.amount >= 50.0 && arguments.amount < 100.0"}
    found = backtested(history, [rule, *RULES, *FREE], hourly_rate=Decimal("60"))
    assert counts(found) == {"newly_stopped": 3, "still_alone": 1, "still_stopped": 4, "still_denied": 1}
    assert (found.reviews_added, found.reviews_saved) == (3, 0)
    assert (found.times.review_s, found.times.wait_s) == (60.0, 600.0)
    assert (found.times.requests, found.times.counted_from) == (3, "opened")
    assert (found.review_s, found.wait_s, found.cost) == (180.0, 1800.0, Decimal("3.00"))
    assert [each.past.ask.request["arguments"]["amount"] for each in found.affected] == [60.0, 90.0, 50.0]
    assert found.by_rule == {"from 50": 3, "large refunds": 1, "never above 5,000": 1}


def test_a_looser_rule_counts_what_people_had_said(history: History) -> None:
    """Lets 200, 300 and 200 go: three reviews saved. People had approved one, edited one and rejected one."""
    loose = [*RULES, {"name": "below 1,000", "effect": "allow"}]
    found = backtested(history, loose, hourly_rate=Decimal("45.50"))
    assert counts(found) == {"no_longer_stopped": 3, "still_alone": 4, "still_stopped": 1, "still_denied": 1}
    said = found.decided["no_longer_stopped"]
    assert (said["approved"], said["edited"], said["rejected"], said["expired"]) == (1, 1, 1, 0)
    assert (found.review_s, found.wait_s, found.cost) == (-180.0, -1800.0, Decimal("-2.28"))


def test_a_denial_and_a_lifted_denial(history: History) -> None:
    found = backtested(history, [{"name": "no more", "effect": "deny", "when": "arguments.amount <= 200.0"}])
    assert counts(found) == {"newly_denied": 6, "still_stopped": 2, "no_longer_denied": 1}
    assert (found.decided["newly_denied"]["approved"], found.decided["newly_denied"]["rejected"]) == (1, 1)


def test_more_approvers_are_more_reviews(history: History) -> None:
    three = [{**RULES[1], "approvers": 3}, *RULES[:1], *FREE]
    found = backtested(history, three)
    assert counts(found)["no_longer_denied"] == 1  # 6,000 meets the other rule first, and takes three
    assert (found.changed, found.reviews_added) == (1, 1 + 3)  # 1,500 takes one more


def test_weeks_are_a_window(history: History) -> None:
    assert [backtested(history, [], weeks).looked_at for weeks in backtest.WEEKS] == [6, 9, 10]


def test_too_many_calls_are_cut_and_said(history: History) -> None:
    found = backtested(history, [], limit=4)
    assert (found.cut, found.looked_at) == (True, 4)
    assert not backtested(history, [], limit=9).cut


def test_nobody_opened_counts_from_the_making(history: History) -> None:
    from approvals.models import Sighting

    with history.desk.house.scope():
        Sighting.objects.all().delete()
    found = backtested(history, [])
    assert (found.times.counted_from, found.times.review_s, found.times.requests) == ("created", 600.0, 3)


def test_without_decisions_no_time_is_made_up(world: World) -> None:
    history = History(make_desk(world.northwind, {"team": {}, "rules": FREE}))
    history.call(history.desk.start(), refund(10.0), NOW - DAY)
    stops = backtested(history, [{"name": "all", "effect": "require"}], hourly_rate=Decimal("60"))
    assert (stops.counts["newly_stopped"], stops.review_s, stops.cost) == (1, None, None)


def test_what_is_no_history_is_left_out(history: History, world: World) -> None:
    desk = history.desk
    other = History(make_desk(world.northwind, {"team": {}, "rules": FREE}, slug="other-desk"))
    other.call(other.desk.start(), refund(10.0), NOW - DAY)
    foreign = History(make_desk(world.fabrikam, {"team": {}, "rules": FREE}))
    foreign.call(foreign.desk.start(), refund(10.0), NOW - DAY)
    assert backtested(history, []).looked_at == 9
    assert backtested(history, [], tenant=True).looked_at == 10
    with desk.house.scope():
        Step.objects.filter(run__workflow=desk.workflow, started_at=NOW - DAY).update(inherited=True)
    assert backtested(history, []).looked_at == 8


def test_a_payload_that_is_gone_is_counted_and_not_judged(history: History) -> None:
    with history.desk.house.scope():
        StepPayload.objects.filter(seq=1).delete()
    found = backtested(history, [])
    assert (found.unreadable, found.looked_at) == (1, 8)


def test_a_tenants_draft_stands_beside_each_workflows_own(history: History) -> None:
    found = backtested(history, [{"name": "ours", "effect": "allow"}], tenant=True)
    assert counts(found) == {"no_longer_stopped": 3, "still_alone": 4, "still_stopped": 1, "still_denied": 1}


def test_a_workflows_draft_stands_beside_the_tenants_rules(history: History) -> None:
    with history.desk.house.scope():
        rule_actions.put_rules(history.desk.house.admin.actor, [{"name": "frozen", "effect": "deny"}])
    assert counts(backtested(history, [])) == {"newly_denied": 8, "still_denied": 1}


def test_a_draft_is_tried_on_one_run(history: History) -> None:
    desk = history.desk
    with desk.house.scope():
        run = Run.objects.get()
        draft = Draft(desk.house.tenant.id, [{"name": "half", "effect": "require", "when": "arguments.amount > 60.0"}])
        tried = backtest.try_on(draft, run.pk)
    assert len(tried) == 10
    assert [(each.past.effect, each.verdict.effect, each.decided) for each in tried[-3:]] == [
        ("allow", "require", ""),
        ("allow", "allow", ""),
        ("allow", "allow", ""),
    ]
    assert tried[-3].verdict.detail["rule"]["name"] == "half"


def test_a_broken_payload_verdict_does_not_stop_a_backtest(history: History) -> None:
    with history.desk.house.scope():
        Step.objects.filter(kind="tool").update(verdict={"effect": "allow"})
    assert backtested(history, []).looked_at == 9
