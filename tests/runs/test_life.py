"""Random lives of a run on the real stores: started, advanced, decided, cancelled, crashed, delivered twice, in any order.

What must hold after each thing that happens:

- no gated effect without a matching approval, and what was approved is what was done;
- no recorded step is executed again, no record changes, and a payment is made at most once, retries included;
- terminal is final, and nothing is left to decide about a run that has ended;
- a run that waits is waited for: somebody has been asked, or a time is set at which it is looked at again;
- journal and feed have no gaps.

And in the end, with nobody but the sweeper to find the run: what it came to, and its journal, is what comes of the same
run to which nothing happened. ``SAYSO_LIVES=2000`` lives that many.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from approvals import actions as approvals
from approvals.actions.requests import decision_contents
from approvals.errors import TooLate
from approvals.models import ApprovalRequest, Vote
from console import sweeper
from console.durable import failpoints
from console.durable.digest import digest
from console.durable.errors import EffectFailed
from console.durable.run import Call
from console.durable.run import Run as EngineRun
from console.durable.steps import Done, Gate, Kind, Safety, Step
from console.hosting import advancing
from console.runs import actions, feed, record
from console.runs.models import TERMINAL, Run
from console.tenants.scopes import system_scope, tenant_scope

from .conftest import House, join
from .turns import Crash, Elsewhere, Worker, at_point, expire_lease, hours_pass, pending

ENDED = {str(status) for status in TERMINAL}
MINUTE = timedelta(minutes=1)
RULES = [
    {"name": "never", "match": {"tool": "burn"}, "effect": "deny"},
    {"name": "large", "match": {"tool": "pay_two"}, "effect": "require", "approvers": 2},
    {
        "name": "slow",
        "match": {"tool": "pay_late"},
        "effect": "require",
        "expires_in": "PT1H",
        "on_expiry": "reject",
    },
]

# What a branch does, one thing after the other, and what people say to it where they are asked.
deeds = st.one_of(
    st.just(("look", "")),  # a model call
    st.tuples(st.sampled_from(["pay", "pay_two", "mail"]), st.sampled_from(["approve", "edit", "reject"])),
    st.just(("pay_late", "expire")),
    st.sampled_from([("note", ""), ("burn", ""), ("ask", "respond")]),  # ungated; denied; a question
)
plans = st.lists(st.lists(deeds, min_size=1, max_size=4), min_size=1, max_size=3)
Plan = list[list[tuple[str, str]]]
Place = tuple[str, int]


class World:
    """What is outside: it counts."""

    def __init__(self) -> None:
        self.began: Counter[Place] = Counter()
        self.done: dict[Place, list[tuple[str, Any]]] = {}  # the key and the arguments of each time
        self.down = False  # the next model call fails for good

    def do(self, call: Call, arguments: Any) -> Done:
        made = arguments if call.arguments is None else call.arguments
        self.began[call.scope, call.n] += 1
        self.done.setdefault((call.scope, call.n), []).append((call.key, made))
        return Done(self.result(call.scope, call.n, made))

    def look(self, call: Call) -> Done:
        self.began[call.scope, call.n] += 1
        if self.down:
            self.down = False
            raise EffectFailed({"type": "Down", "message": "no model"}, stop="model_error")
        return Done(f"{call.scope} {call.n}", {"input_tokens": 3, "output_tokens": 2}, "0.001")

    @staticmethod
    def result(scope: str, n: int, arguments: Any) -> Any:
        return {"did": [scope, n], "with": arguments}


def team_of(world: World) -> Callable[..., Any]:
    """What a worker runs: each branch of the plan beside the others."""

    async def team(
        run: EngineRun, *, body: Any, task: Any, environment: Any, emit: Callable[..., Any], pace: Any
    ) -> Any:
        said = 0

        def say(source: str, content: str) -> None:
            nonlocal said
            emit({"index": said, "source": source, "type": "TextMessage", "content": content, "at": run.at.isoformat()})
            said += 1

        async def look(scope: str) -> str:
            async def body(call: Call) -> Done:
                return world.look(call)

            done = await run.effect(scope, kind=Kind.MODEL, request={"look": scope}, body=body, name="m", agent="a")
            return str(done.value)

        async def act(scope: str, deed: str, number: int) -> str:
            arguments = {"number": number}
            safety = Safety.IDEMPOTENT if deed == "mail" else Safety.NEITHER

            async def body(call: Call) -> Done:
                return world.do(call, arguments)

            shown = {
                "arguments": arguments,
                "safety": str(safety),
                "approval": "allow" if deed == "note" else "require",
            }
            done = await run.effect(
                scope, kind=Kind.TOOL, request=arguments, body=body, safety=safety, name=deed, agent="a",
                gate=Gate("tool", shown, "a", deed, arguments), timeout=MINUTE,
            )  # fmt: skip
            return str(done.value if done.decision is None or done.value else done.decision.verdict)

        async def branch(place: int, branch: list[list[str]]) -> list[str]:
            told = []
            for number, (deed, _) in enumerate(branch):
                scope = f"{place}/{deed}"
                if deed == "look":
                    told.append(await look(scope))
                elif deed == "ask":
                    answer = await run.gate(scope, Gate("question", {"question": f"Really, {number}?"}, "a"))
                    told.append(str(answer.answer))
                else:
                    told.append(await act(scope, deed, number))
                say(f"{place}", told[-1])
            return told

        plan = body["team"]["plan"]
        told = await asyncio.gather(*(branch(place, deeds) for place, deeds in enumerate(plan)))
        return {"result": told, "stop_reason": "completed", "stop_detail": ""}

    return team


class Stage:
    """A house, two workers, two reviewers, and the sweeper."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self.patch = monkeypatch
        self.workers = [Worker("one"), Worker("two")]
        self.elsewhere = Elsewhere()
        self.people = [join(house.tenant, "Rita Reviewer"), join(house.tenant, "Rolf Reviewer")]
        self.found: list[str] = []  # the wake-ups that were sent
        monkeypatch.setattr("console.runs.wakeups.send", self._sent)
        advancing._revision.cache_clear()

    def _sent(self, run_id: Any, *, resume: bool, queue: str = "") -> bool:
        self.found.append(str(run_id))
        return True

    def begin(self, plan: Plan) -> tuple[World, Run]:
        world = World()
        self.patch.setattr(advancing, "run_team", team_of(world))
        self.house.revise({"team": {"plan": plan}, "rules": RULES})
        return world, self.house.start()

    def retry(self, run: Run) -> Run:
        with tenant_scope(self.house.tenant):
            return actions.retry(self.house.operator, self.house.run(run))

    def cancel(self, run: Run) -> None:
        with tenant_scope(self.house.tenant):
            approvals.cancel_run(self.house.operator, run)

    def said(self, request: ApprovalRequest, plan: Plan, world: World) -> None:
        """People say to a request what this run's people always say: the truth, where a call is in doubt."""
        scope = request.scope.split("/doubt")[0].removesuffix("/review")
        place, deed = scope.split("/")
        mine = [(number, each[1]) for number, each in enumerate(plan[int(place)]) if each[0] == deed]
        number, verdict = mine[request.n - 1]
        words: dict[str, Any] = {"reason": "so it is"} if verdict == "reject" else {}
        if request.kind == "in_doubt":
            verdict, words = "respond", {"answer": "did not happen"}
            if (scope, request.n) in world.done:
                made = world.done[scope, request.n][-1][1]
                words = {"answer": "happened", "result": World.result(scope, request.n, made)}
        elif verdict == "respond":
            words = {"answer": f"Yes, {number}."}
        elif verdict == "expire":
            with mock.patch("django.utils.timezone.now", return_value=timezone.now() + timedelta(hours=2)):
                approvals.expire_due()
            return
        elif verdict == "edit":
            words = {"arguments": {"number": number + 100}}
        with tenant_scope(self.house.tenant):
            voters = {vote.voter_id for vote in Vote.objects.filter(request=request, voided=False)}
        who = next(person for person in self.people if person.id not in voters)
        if voters and verdict == "edit":
            verdict, words = "approve", {}  # the second agrees to what the first made of it
        with tenant_scope(self.house.tenant):
            approvals.decide(who, request.pk, verdict, **words)

    def steps(self, run: Run) -> list[Step]:
        with system_scope("test"):
            return record.steps(run.pk)

    def close(self) -> None:
        for worker in self.workers:
            worker.close()
        self.elsewhere.close()


@pytest.fixture
def stage(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(house, monkeypatch)
    yield made
    made.close()
    failpoints.arm(None)


def row(run: Run) -> dict[str, Any]:
    """The run's whole row."""
    with system_scope("test"):
        return Run.objects.filter(pk=run.pk).values().get()


def make(stage: Stage) -> type[RuleBasedStateMachine]:
    class Life(RuleBasedStateMachine):
        @initialize(plan=plans)
        def start(self, plan: Plan) -> None:
            self.plan = plan
            self.world, self.run = stage.begin(plan)
            self.by_hand = False  # ended by a person: there is no calm run to compare with
            self.runs = [self.run]
            self.ends: dict[UUID, tuple[Any, Any]] = {}
            self.seen: dict[Place, Step] = {}
            self.counts: dict[Place, int] = {}

        # What happens to it

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1))
        def turn(self, who: int) -> None:
            self.advance(who)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(1, 25))
        def crash(self, who: int, point: int) -> None:
            self.advance(who, point, lambda: expire_lease(self.run), dead=True)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(1, 25), taken=st.booleans())
        def lose(self, who: int, point: int, taken: bool) -> None:
            """The worker goes on, and does not know that it has lost its lease; perhaps another is at work already."""

            def meanwhile() -> None:
                expire_lease(self.run)
                if taken:
                    stage.workers[1 - who].advance(self.run.pk)

            self.advance(who, point, meanwhile)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(1, 25))
        def deliver_twice(self, who: int, point: int) -> None:
            def meanwhile() -> None:
                held = row(self.run)["status"] == "running"
                assert not (stage.workers[1 - who].advance(self.run.pk) and held)

            self.advance(who, point, meanwhile)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(1, 25))
        def leave(self, who: int, point: int) -> None:
            worker = stage.workers[who]

            def meanwhile() -> None:
                if worker.turn is not None:
                    worker.soon(worker.turn.handle.suspend)

            self.advance(who, point, meanwhile)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(1, 25), nudged=st.booleans(), which=st.integers(0, 5))
        def decide_meanwhile(self, who: int, point: int, nudged: bool, which: int) -> None:
            worker = stage.workers[who]

            def meanwhile() -> None:
                self.say(which)
                found = row(self.run)
                if nudged and worker.turn is not None:
                    worker.soon(worker.turn.seen, found["wake"], found["cancel_requested"])

            self.advance(who, point, meanwhile)

        @precondition(lambda self: self.live)
        @rule(which=st.integers(0, 5))
        def decide(self, which: int) -> None:
            self.say(which)

        @precondition(lambda self: self.live)
        @rule(who=st.integers(0, 1), point=st.integers(0, 25))
        def cancel(self, who: int, point: int) -> None:
            if point > 6:  # seldom: it is the end
                return
            if point:
                self.advance(who, point, self.end)
            if row(self.run)["status"] not in ENDED:
                self.end()

        @precondition(lambda self: self.live)
        @rule()
        def the_model_fails(self) -> None:
            self.world.down = True

        @precondition(lambda self: self.live)
        @rule()
        def time_passes(self) -> None:
            hours_pass(self.run)
            sweeper.due_runs()

        @rule()
        def sweep(self) -> None:
            self.swept()

        @precondition(lambda self: not self.live and not self.by_hand)
        @rule()
        def retry(self) -> None:
            if row(self.run)["status"] == "failed":
                self.again(self.runs)

        @precondition(lambda self: not self.live)
        @rule(who=st.integers(0, 1))
        def too_late(self, who: int) -> None:
            assert not stage.workers[who].advance(self.run.pk)
            with system_scope("test"):
                assert not actions.wake(self.run.pk)
                assert not actions.finish(self.run.pk, None, "cancelled", "cancelled")

        # What must hold

        @invariant()
        def payments_are_made_once(self) -> None:
            if not hasattr(self, "run"):
                return
            for (scope, n), made in self.world.done.items():
                assert len({key for key, _ in made}) == 1, "one key, however often"
                assert len(made) == 1 or scope.endswith("mail"), f"{scope}#{n} was done {len(made)} times"

        @invariant()
        def what_is_done_was_approved(self) -> None:
            if not hasattr(self, "run"):
                return
            with system_scope("test"):
                asked: dict[Place, list[ApprovalRequest]] = {}
                for each in ApprovalRequest.objects.filter(run__in=[run.pk for run in self.runs], kind="tool"):
                    asked.setdefault((each.scope, each.n), []).append(each)
            for (scope, n), made in self.world.done.items():
                assert not scope.endswith("burn")
                if scope.endswith("note"):
                    continue
                agreed = [
                    decision_contents(request)["digest"]
                    for request in asked[scope + "/review", n]
                    if request.status == "decided" and request.verdict in ("approve", "edit")
                ]
                assert all(digest(arguments) in agreed for _, arguments in made)

        @invariant()
        def the_record_stands(self) -> None:
            if not hasattr(self, "run"):
                return
            steps = {(step.scope, step.n): step for step in stage.steps(self.run)}
            for place, step in self.seen.items():
                assert steps[place] == step, "a settled step changed"
                assert self.world.began[place] == self.counts[place], "a recorded step was executed again"
            self.seen = {place: step for place, step in steps.items() if step.settled is not None}
            self.counts = {place: self.world.began[place] for place in self.seen}
            places = sorted({step.seq for step in steps.values()} | {s.settled for s in steps.values() if s.settled})
            assert places == list(range(1, len(places) + 1))

        @invariant()
        def rows_agree(self) -> None:
            if not hasattr(self, "run"):
                return
            for run in self.runs:
                found, asked = row(run), pending(run)
                status = found["status"]
                if status in ENDED:
                    assert not asked and found["stop_reason"]
                    now = found, stage.steps(run)
                    assert self.ends.setdefault(run.pk, now) == now, "terminal is final"
                assert (found["ready_at"] is not None) == (status == "queued")
                assert (found["lease_until"] is not None) == (status == "running")
                if status == "waiting":
                    assert asked or found["wake_at"] is not None, "it waits, and nobody knows"
                assert found["wake_at"] is None or status == "waiting"

        @invariant()
        def feeds_have_no_gaps(self) -> None:
            if not hasattr(self, "run"):
                return
            with system_scope("test"):
                for run in self.runs:
                    events = feed.read(feed.run_topic(run.pk), limit=5000)
                    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
                    indexes = [event["index"] for event in events if event["kind"] == "message"]
                    assert indexes == sorted(set(indexes))

        def teardown(self) -> None:
            """Only the sweeper finds it now. It ends as the run to which nothing happened."""
            failpoints.arm(None)
            if not hasattr(self, "run"):
                return
            if not self.by_hand:
                self.run = self.finish(self.run, self.world, self.runs)
                for check in (self.the_record_stands, self.rows_agree, self.feeds_have_no_gaps):
                    check()
                self.payments_are_made_once()
                self.what_is_done_was_approved()
                lived = self.story(self.run, self.world)
                world, run = stage.begin(self.plan)
                run = self.finish(run, world, [run])
                assert lived == self.story(run, world)
            self.rows_agree()

        # How

        @property
        def live(self) -> bool:
            return hasattr(self, "run") and row(self.run)["status"] not in ENDED

        def advance(
            self, who: int, point: int = 0, meanwhile: Callable[[], Any] | None = None, dead: bool = False
        ) -> None:
            if meanwhile is not None:
                happens = meanwhile
                at_point(point, lambda name: stage.elsewhere.do(happens), dead)
            try:
                stage.workers[who].advance(self.run.pk)
            except Crash:
                assert dead
            finally:
                failpoints.arm(None)
            if row(self.run)["status"] == "running":
                # It died in a place of its own: its lease runs out by itself.
                assert dead
                expire_lease(self.run)

        def say(self, which: int) -> None:
            asked = pending(self.run)
            if not asked:
                return
            request = asked[which % len(asked)]
            stage.said(request, self.plan, self.world)
            with tenant_scope(stage.house.tenant):
                request.refresh_from_db()
                if request.status != "pending":
                    with pytest.raises(TooLate):
                        approvals.decide(stage.people[0], request.pk, "terminate", "too late")

        def end(self) -> None:
            if row(self.run)["status"] not in ENDED:
                self.by_hand = True
                stage.cancel(self.run)

        def swept(self) -> list[str]:
            """Who is woken, of runs whose wake-up was lost long ago."""
            with system_scope("test"):
                Run.objects.filter(pk=self.run.pk, status="queued").update(ready_at="2026-01-01T00:00Z")
            stage.found.clear()
            sweeper.lost_wake_ups()
            return [found for found in stage.found if found == str(self.run.pk)]

        def again(self, runs: list[Run]) -> None:
            self.run = stage.retry(self.run)
            runs.append(self.run)
            self.seen, self.counts = {}, {}

        def finish(self, run: Run, world: World, runs: list[Run]) -> Run:
            self.run, was = run, self.run
            for _ in range(60):
                found = row(self.run)
                if found["status"] in ENDED:
                    if found["status"] == "completed":
                        ended, self.run = self.run, was
                        return ended
                    self.again(runs)
                for request in pending(self.run):
                    stage.said(request, self.plan, world)
                hours_pass(self.run)
                sweeper.due_runs()
                if self.swept():
                    stage.workers[0].advance(self.run.pk)
            raise AssertionError(f"{found['status']} after 60 rounds")

        def story(self, run: Run, world: World) -> Any:
            """What must not depend on what happened."""
            ids = [str(each.pk) for each in self.runs] + [str(run.pk)]
            steps = []
            for step in stage.steps(run):
                key, result = step.key, step.result
                for each in ids:
                    key = key.replace(each, "run")
                if step.kind in ("review", "question"):
                    result = [result[name] for name in ("verdict", "arguments", "answer", "digest")]
                place = [step.seq, step.settled] if len(self.plan) == 1 else []
                steps.append([step.scope, step.n, *place, step.kind, step.status, step.digest, key, result, step.error])
            with system_scope("test"):
                events = feed.read(feed.run_topic(run.pk), limit=5000, kind="message")
            messages = [(event["payload"]["source"], event["payload"]["content"]) for event in events]
            done = sorted((place, made[-1][1]) for place, made in world.done.items())
            found = row(run)
            return found["status"], found["stop_reason"], sorted(steps, key=str), sorted(messages), done

    return Life


def test_whatever_happens_to_it_a_run_ends_as_if_nothing_had(stage: Stage) -> None:
    lives = int(os.environ.get("SAYSO_LIVES", "12"))
    run_state_machine_as_test(
        lambda: make(stage)(),
        settings=settings(
            max_examples=lives,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        ),
    )
