"""A process is killed at every failpoint of a payment's life: it is paid once, the run ends as if nobody had died, and
where nobody can know what happened, a person is asked.

Not only workers die: whoever starts the run or decides about it does, too. Each failpoint is met as often as it is passed
in a life without a death, which says how often that is.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection, connections

from approvals.actions.requests import contents
from approvals.models import ApprovalRequest
from console.durable.failpoints import AROUND, NAMES
from console.durable.steps import Status, Step
from console.runs import feed, record
from console.runs.models import TERMINAL, Run
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House, join

ROOT = Path(__file__).parents[2]
AT_THE_CALL = ("before_intent", "after_intent", "after_effect", "after_outcome")
AT_ONCE = 3  # lives that are lived beside each other
DID, DID_NOT = "happened", "did not happen"


@dataclass
class Life:
    """One run, from whoever starts it to its end, with deaths on the way."""

    name: str  # of the run: its input
    points: tuple[str, ...] = ()  # where they are, one after the other, each as name:count
    lie: bool = False  # the person who is asked what happened says the opposite
    deaths: int = 0
    unknown: list[tuple[str, int]] = field(default_factory=list)  # calls that were cut off by a death
    doubts: list[ApprovalRequest] = field(default_factory=list)
    run: Run | None = None


class Zygotes:
    """Processes that have imported everything, and each do one thing at a time in a child that may be killed."""

    def __init__(self, at_once: int) -> None:
        database = connections["default"].settings_dict["NAME"]
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
        environment = {**os.environ, "DATABASE_URL": url}
        environment |= {"DJANGO_SETTINGS_MODULE": "console.settings", "SAYSO_LOG_LEVEL": "CRITICAL"}
        environment.pop("SAYSO_FAILPOINT", None)
        self.free: queue.Queue[subprocess.Popen[str]] = queue.Queue()
        self._all = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.runs.zygote"],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(at_once)
        ]  # fmt: skip
        for zygote in self._all:
            self.free.put(zygote)

    def close(self) -> None:
        for zygote in self._all:
            assert zygote.stdin is not None and zygote.stdout is not None
            zygote.stdin.close()
            zygote.wait(60)  # it may still be importing
            zygote.stdout.close()


class Graveyard:
    """Lives lives, in children of ``zygotes``; without any, of its own."""

    def __init__(self, house: House, tmp_path: Path, at_once: int = AT_ONCE, zygotes: Zygotes | None = None) -> None:
        self.house = house
        self.effects = tmp_path / "effects"
        self.reviewer, self.operator = join(house.tenant), join(house.tenant, "Olga Operator")
        self._own = Zygotes(at_once) if zygotes is None else None
        self.free = (zygotes or self._own).free  # type: ignore[union-attr]

    def close(self) -> None:
        if self._own is not None:
            self._own.close()

    def all(self, lives: list[Life]) -> list[Life]:
        """Live them, some at once."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(self._in_thread, lives))

    def _in_thread(self, life: Life) -> Life:
        try:
            return self.live(life)
        finally:
            connection.close()

    def live(self, life: Life) -> Life:
        """To its end. Raises AssertionError where it comes to none."""
        zygote = self.free.get()
        try:
            self._live(life, zygote)
        finally:
            self.free.put(zygote)
        return life

    def _live(self, life: Life, zygote: subprocess.Popen[str]) -> None:
        workflow = str(self.house.workflow.pk)
        self._act(life, zygote, act="start", workflow=workflow, user=str(self.operator.id), input=life.name)
        with system_scope("test"):
            life.run = run = Run.objects.get(workflow_id=workflow, title=life.name)  # whoever started it may be dead
        for _ in range(20):
            found = self.house.run(run)
            if found.status in TERMINAL:
                return
            if found.status == "waiting" and self.answer(life, zygote):
                continue
            if not self._act(life, zygote, act="work", id=str(run.pk)):
                with system_scope("test"):  # its lease runs out, without the test waiting for it
                    life.unknown += [
                        (step.scope, step.n)
                        for step in record.steps(run.pk)
                        if step.status is Status.INTENT and step.kind == "tool"
                    ]
                    Run.objects.filter(pk=run.pk, status="running").update(lease_until="2026-01-01T00:00Z")
        raise AssertionError(f"{life}: {found.status} after 20 rounds")

    def worker(self, run: Run) -> int:
        """What became of a worker that had the run: 0, or how its process ended."""
        zygote = self.free.get()
        try:
            return self._told(zygote, act="work", id=str(run.pk), run=str(run.pk), point="-")
        finally:
            self.free.put(zygote)

    def _told(self, zygote: subprocess.Popen[str], **told: Any) -> int:
        assert zygote.stdin is not None and zygote.stdout is not None
        zygote.stdin.write(json.dumps({**told, "effects": str(self.effects)}) + "\n")
        zygote.stdin.flush()
        return int(zygote.stdout.readline())

    def _act(self, life: Life, zygote: subprocess.Popen[str], **told: Any) -> bool:
        """Have it done; False when whoever did it died."""
        status = self._told(zygote, **told, run=life.name, point=[*life.points, "-"][life.deaths])
        assert status in (0, -9), f"{life}: {told} ended with {status}"
        life.deaths += status == -9
        if status:
            self._buried(life)
        return status == 0

    def _buried(self, life: Life) -> None:
        """Wait until Postgres has noticed: what the dead had sent is committed, or rolled back, only then."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s",
                    [f"life {life.name}"],
                )
                if cursor.fetchone() == (0,):
                    return
            time.sleep(0.01)
        raise AssertionError(f"{life}: the sessions of the dead live on")

    def answer(self, life: Life, zygote: subprocess.Popen[str]) -> bool:
        """Decide what is pending. Asked whether a call happened, look."""
        assert life.run is not None
        with tenant_scope(self.house.tenant):
            pending = list(ApprovalRequest.objects.filter(run=life.run, status="pending").order_by("created_at", "id"))
        for request in pending:
            words: dict[str, Any] = {"verdict": "approve"}
            if request.kind == "question":
                words = {"verdict": "respond", "answer": "Yes."}
            if request.kind == "in_doubt":
                life.doubts.append(request)
                happened = self.happened(life, request.scope.split("/doubt")[0], request.n) > 0
                words = {"verdict": "respond", "answer": DID_NOT}
                if happened is not life.lie:
                    words = {"verdict": "respond", "answer": DID, "result": {"did": request.n}}
            self._act(life, zygote, act="decide", request=str(request.pk), user=str(self.reviewer.id), words=words)
        return bool(pending)

    def happened(self, life: Life, scope: str, n: int) -> int:
        """How often a call was made, as the other side counts."""
        assert life.run is not None
        return sum(line == f"{life.run.pk} tool {n} {life.run.pk}/{scope}#{n}" for line in self.done())

    def done(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def points(self, life: Life) -> Counter[str]:
        """How often each failpoint was passed."""
        return Counter((self.effects.parent / f"points {life.name}").read_text().split())

    def steps(self, life: Life) -> list[Step]:
        assert life.run is not None
        with tenant_scope(self.house.tenant):
            return record.steps(life.run.pk)

    def story(self, life: Life, ordered: bool = True) -> tuple[Any, ...]:
        """What must be the same whoever died."""
        assert life.run is not None
        steps = [
            (*((step.seq, step.settled) if ordered else ()), step.scope, step.n, str(step.kind), str(step.status),
             step.digest, _said(step))
            for step in self.steps(life)
        ]  # fmt: skip
        with tenant_scope(self.house.tenant):
            events = feed.read(feed.run_topic(life.run.pk), limit=1000)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        messages = [
            (event["payload"]["index"], event["payload"]["content"].replace(life.name, "the input"))
            for event in events
            if event["kind"] == "message"
        ]
        ended = self.house.run(life.run)
        return ended.status, ended.stop_reason, steps if ordered else sorted(steps), messages


def _said(step: Step) -> Any:
    if step.kind in ("review", "question", "final"):
        return step.result["verdict"], step.result["answer"]
    return repr(step.result)


@pytest.fixture(scope="module")
def zygotes(django_db_setup: None) -> Iterator[Zygotes]:
    """Shared, because all that they import takes each of them seconds."""
    made = Zygotes(AT_ONCE)
    yield made
    made.close()


@pytest.fixture
def graveyard(house: House, tmp_path: Path, zygotes: Zygotes) -> Graveyard:
    return Graveyard(house, tmp_path, zygotes=zygotes)


@pytest.mark.parametrize("safety", ["neither", "idempotent"])
def test_whoever_dies_a_payment_is_made_once(graveyard: Graveyard, safety: str) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool=safety, gate=True, question=True))
    calm = graveyard.live(Life("calm"))
    expected, passed = graveyard.story(calm), graveyard.points(calm)
    assert expected[0] == "completed" and graveyard.happened(calm, "agent/tools", 1) == 1
    assert passed.keys() == {*NAMES, *AROUND}
    points = passed if safety == "neither" else AT_THE_CALL  # the others have nothing to do with what the tool is
    lives = graveyard.all(
        [Life(f"{name} {count}", (f"{name}:{count}",)) for name in points for count in range(1, passed[name] + 1)]
    )
    # The opposite of what happened, where somebody is asked: a person's word is what counts.
    lives += graveyard.all([Life(f"{life.name} lie", life.points, lie=True) for life in lives if life.doubts])
    asked = 0
    for life in lives:
        assert life.deaths == 1, f"nobody got to {life.points}"
        assert graveyard.story(life) == expected, life
        done = graveyard.happened(life, "agent/tools", 1)
        (paid,) = [step for step in graveyard.steps(life) if step.kind == "tool"]
        if safety == "idempotent":
            assert not life.doubts
            assert done == (2 if "after_effect" in life.name and life.unknown else 1)  # by the same key
            causes = ["worker_lost", None] if life.unknown else []  # the second one told what came of it
            assert [attempt["cause"] for attempt in paid.attempts] == causes
            continue
        # It is asked about exactly where it is unknown: begun, and cut off.
        assert [(each.scope, each.n) for each in life.doubts] == [(f"{scope}/doubt", n) for scope, n in life.unknown], (
            life
        )
        if not life.doubts:
            assert done == 1 and not paid.attempts, life
            continue
        asked += 1
        (doubt,) = life.doubts
        said = DID if ("after_effect" in life.name) is not life.lie else DID_NOT
        truly = "after_effect" in life.name
        assert done == truly + (said == DID_NOT), life
        with tenant_scope(graveyard.house.tenant):
            assert contents(doubt)["arguments"] == {"turn": 1} and doubt.digest == paid.digest and doubt.tool == "pay"
        attempt, *after = paid.attempts
        assert [each["cause"] for each in after] == [None] * (said == DID_NOT)
        assert (attempt["cause"], attempt["answer"], attempt["request"]) == ("in_doubt", said, str(doubt.pk))
        assert attempt["by"] == "Rita Reviewer" and attempt["started_at"] < attempt["ended_at"]
    assert asked == (4 if safety == "neither" else 0)  # cut off before the call and behind it, with either answer


def test_of_two_payments_side_by_side_each_is_made_once(graveyard: Graveyard) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool="neither", gate=True, beside=2))
    calm = graveyard.live(Life("calm"))
    expected, passed = graveyard.story(calm, False), graveyard.points(calm)
    both = ("agent/tools", "agent/more tools")
    assert expected[0] == "completed" and [graveyard.happened(calm, scope, 1) for scope in both] == [1, 1]
    around = ("before_intent", "after_intent", "after_effect", "after_outcome", "before_announce", "after_announce")
    lives = graveyard.all(
        [Life(f"{name} {count}", (f"{name}:{count}",)) for name in around for count in range(1, passed[name] + 1)]
    )
    for life in lives:
        assert life.deaths == 1, f"nobody got to {life.points}"
        assert graveyard.story(life, False) == expected, life
        assert [graveyard.happened(life, scope, 1) for scope in both] == [1, 1], life
        assert sorted(each.scope for each in life.doubts) == sorted(f"{scope}/doubt" for scope, _ in life.unknown), life
    assert any(life.doubts for life in lives)


BEGUN, MADE = "after_intent:1", "after_effect:2"  # of the payment; the first effect is a model call
AGAIN = ["before_announce:1", "after_announce:1", "before_decision_recorded:1", "after_decision_recorded:1"]


def test_who_dies_between_doubt_and_its_answer_changes_neither(graveyard: Graveyard) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool="neither"))
    expected = graveyard.story(graveyard.live(Life("calm")))
    lives = graveyard.all([Life(f"{first} {second}", (first, second)) for first in (BEGUN, MADE) for second in AGAIN])
    for life in lives:
        assert life.deaths == 2, f"nobody got to {life.points}"
        assert graveyard.story(life) == expected, life
        assert graveyard.happened(life, "agent/tools", 1) == 1, life
        # Begun anew on a person's word, and cut off again: it is asked about again.
        anew = life.points == (BEGUN, "after_decision_recorded:1")
        doubts = ["agent/tools/doubt", "agent/tools/doubt/2"][: 1 + anew]
        assert [each.scope for each in life.doubts] == doubts and len(life.unknown) == len(doubts), life
