"""A worker process is killed at every failpoint: the run ends as if nobody had died, and nothing is done twice unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connections

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from console.durable.failpoints import NAMES
from console.runs import feed, record
from console.runs.models import TERMINAL, Run, Step
from console.tenants.scopes import system_scope, tenant_scope

from . import scripted
from .conftest import House, join

ROOT = Path(__file__).parents[2]


class Graveyard:
    """Runs workers for runs, and kills them."""

    def __init__(self, house: House, tmp_path: Path) -> None:
        self.house = house
        self.effects = tmp_path / "effects"
        self.reviewer = join(house.tenant)
        database = connections["default"].settings_dict["NAME"]
        url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
        environment = {**os.environ, "DATABASE_URL": url, "SAYSO_TEST_EFFECTS": str(self.effects)}
        environment |= {"DJANGO_SETTINGS_MODULE": "console.settings", "SAYSO_LOG_LEVEL": "ERROR"}
        environment.pop("SAYSO_FAILPOINT", None)
        self.zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.runs.zygote"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def worker(self, run: Run, failpoint: str = "-") -> int:
        """The exit status of a worker that advances ``run``: 0, or -9 when it met the failpoint."""
        assert self.zygote.stdin is not None and self.zygote.stdout is not None
        self.zygote.stdin.write(f"{run.id} {failpoint}\n")
        self.zygote.stdin.flush()
        return int(self.zygote.stdout.readline())

    def close(self) -> None:
        assert self.zygote.stdin is not None and self.zygote.stdout is not None
        self.zygote.stdin.close()
        self.zygote.wait(10)
        self.zygote.stdout.close()

    def live_through(self, run: Run, failpoint: str, decided: bool = False) -> int:
        """Advance ``run`` to its end with a worker that dies at the failpoint, once; returns how often one died.

        With ``decided`` only workers after the first decision die.
        """
        deaths, armed = 0, not decided
        for _ in range(20):
            found = self.house.run(run)
            if found.status in TERMINAL:
                return deaths
            if found.status == "waiting" and self.answer(run):
                armed = True
                continue
            status = self.worker(run, "-" if deaths or not armed else failpoint)
            assert status in (0, -9)
            if status == -9:
                deaths += 1
                with system_scope("test"):  # its lease runs out, without the test waiting for it
                    Run.objects.filter(pk=run.pk, status="running").update(lease_until="2026-01-01T00:00Z")
        raise AssertionError(f"{found.status} after 20 rounds")

    def answer(self, run: Run) -> bool:
        """Decide what is pending, truthfully where a call is in doubt."""
        with tenant_scope(self.house.tenant):
            pending = list(ApprovalRequest.objects.filter(run=run, status="pending"))
            for request in pending:
                words: dict[str, Any] = {"verdict": "approve"}
                if request.kind == "question":
                    words = {"verdict": "respond", "answer": "Yes."}
                if request.kind == "in_doubt":
                    turn = Step.objects.get(run=run, scope="agent/tools", n=request.n).n
                    happened = any(f"{run.id} tool {turn} " in line for line in self.done())
                    words = {"verdict": "respond", "answer": "happened" if happened else "did not happen"}
                    words |= {"result": {"did": turn}} if happened else {}
                approvals.decide(self.reviewer, request.pk, **words)
            return bool(pending)

    def done(self) -> list[str]:
        return self.effects.read_text().splitlines() if self.effects.exists() else []

    def story(self, run: Run) -> tuple[Any, ...]:
        """What must be the same however often a worker died."""
        with tenant_scope(self.house.tenant):
            steps = [
                (step.seq, step.settled, step.scope, step.n, str(step.kind), str(step.status), step.digest, _said(step))
                for step in record.steps(run.pk)
            ]
            messages = [
                (event["payload"]["index"], event["payload"]["content"])
                for event in feed.read(feed.run_topic(run.pk), kind="message", limit=1000)
            ]
        ended = self.house.run(run)
        effects = [line.replace(str(run.id), "run") for line in self.done() if line.startswith(str(run.id))]
        return ended.status, ended.stop_reason, steps, messages, effects


def _said(step: Any) -> Any:
    if step.kind in ("review", "question", "final"):
        return step.result["verdict"], step.result["answer"]
    return step.result


@pytest.fixture
def graveyard(house: House, tmp_path: Path) -> Iterator[Graveyard]:
    made = Graveyard(house, tmp_path)
    yield made
    made.close()


def test_a_killed_worker_changes_nothing(graveyard: Graveyard) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool="neither", gate=True, question=True))
    whole = graveyard.house.start("Refund order 7")
    assert graveyard.live_through(whole, "-") == 0
    expected = graveyard.story(whole)
    assert expected[0] == "completed" and len(expected[4]) == 1
    # The first effect of this script is a model call; its tool call comes after the decision.
    for name, decided in [*((name, False) for name in NAMES), ("after_effect", True), ("after_outcome", True)]:
        run = graveyard.house.start("Refund order 7")
        assert graveyard.live_through(run, name, decided) == 1, f"no worker got to {name}"
        assert graveyard.story(run) == expected, f"killed at {name}{' of the tool' if decided else ''}"


def test_an_idempotent_call_is_made_again_with_the_same_key(graveyard: Graveyard) -> None:
    graveyard.house.revise(scripted.body_of(turns=1, tool="idempotent", gate=True))
    for name, calls in (("after_intent", 1), ("after_effect", 2)):
        run = graveyard.house.start("Refund order 7")
        assert graveyard.live_through(run, name, True) == 1
        story = graveyard.story(run)
        # The key is what lets the other side see that it is the same call.
        assert story[0] == "completed" and len(story[4]) == calls and len(set(story[4])) == 1
