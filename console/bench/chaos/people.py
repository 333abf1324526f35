"""Who works while the house burns: operators who start, cancel and retry runs, and reviewers who decide.

What they do is drawn from the seed and the ticket, so that it does not depend on who is quicker. In doubt they tell the
truth: they look at the world.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from console.bench.chaos.api import Client, GaveUp

Json = Any

UNDECIDED = 0.03  # of the tickets: some requests are never decided, and wait for a person at the end
CANCELLED = 0.06
EVERY = 0.4  # seconds between two looks of a reviewer

_VERDICTS = {"reject": 0.10, "edit": 0.14, "terminate": 0.02, "escalate": 0.05}  # the rest is approved
TERMINAL = ("completed", "failed", "cancelled")


@dataclass
class Register:
    """What the people know of each other's work. Shared by their threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tickets: dict[str, int] = field(default_factory=dict)  # by run
    retried: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)  # with a request that nobody will decide
    cancels: int = 0
    decided: Counter[str] = field(default_factory=Counter)  # by kind and verdict
    too_late: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # answers 4xx that nobody wanted
    rounds: Counter[str] = field(default_factory=Counter)  # that each of the people has gone
    acts: int = 0  # calls that were to change something

    def runs(self) -> list[str]:
        """All that were started."""
        with self.lock:
            return list(self.tickets)


class Operators:
    """Start runs, a bounded number at once; cancel some of them; retry once what may be retried."""

    def __init__(
        self, client: Client, register: Register, seed: int, slugs: Sequence[str], at_once: int, most: int
    ) -> None:
        self._client, self._register, self._seed, self._slugs = client, register, seed, slugs
        self._at_once, self._most = at_once, most
        self._next = 1
        self._open: dict[str, float] = {}  # by run: when it is cancelled; 0 never

    def round(self, starting: Callable[[], bool]) -> None:
        """Look after the open runs, and start new ones while there is room for them. Raises GaveUp."""
        for status in TERMINAL:
            for run in self._client.get("/runs", status=status, limit=100)["items"]:
                if self._open.pop(run["id"], None) is not None and run["status"] != "completed":
                    self._retry(run)
        now = time.monotonic()
        for run_id, at in list(self._open.items()):
            if at and now > at:
                self._open[run_id] = 0.0
                self._register.acts += 1
                code, said = self._client.post(f"/runs/{run_id}/cancel")
                self._register.cancels += code < 300
                self._unless(code, (200, 202, 409), said)
        while starting() and self._busy() < self._at_once and self._next <= self._most:
            self._start()

    def _busy(self) -> int:
        """How many are under way. What nobody will decide takes no other's place, or in the end nothing would happen."""
        with self._register.lock:
            return len(self._open.keys() - self._register.left)

    def _start(self) -> None:
        ticket, self._next = self._next, self._next + 1
        drawn = random.Random(f"{self._seed}/start/{ticket}")  # noqa: S311
        body = {"workflow": self._slugs[ticket % len(self._slugs)], "input": f"T-{ticket}: please see to it."}
        self._register.acts += 1
        code, run = self._client.post("/runs", body)
        if self._unless(code, (202,), run):
            self._took(run["id"], ticket, drawn)

    def _retry(self, run: Json) -> None:
        with self._register.lock:
            ticket = self._register.tickets[run["id"]]
            self._register.retried.add(run["id"])
        self._register.acts += 1
        code, again = self._client.post(f"/runs/{run['id']}/retry")
        if code == 202:
            self._took(again["id"], ticket, random.Random(f"{self._seed}/retry/{ticket}"))  # noqa: S311
        else:
            self._unless(code, (409,), again)  # not every end may be retried

    def _took(self, run_id: str, ticket: int, drawn: random.Random) -> None:
        at = time.monotonic() + drawn.uniform(0.2, 8.0) if drawn.random() < CANCELLED else 0.0
        self._open[run_id] = at
        with self._register.lock:
            self._register.tickets[run_id] = ticket

    def _unless(self, code: int, wanted: Sequence[int], said: Json) -> bool:
        if code not in wanted:
            self._register.refused[f"{code}: {said.get('detail', said)}"[:200]] += 1
        return code in wanted


class Reviewer:
    """Decides its share of what waits. Two of them look at each request, so that a quorum of two can be had."""

    def __init__(self, client: Client, register: Register, world: str, seed: int, place: int, of: int) -> None:
        self._client, self._register, self._seed, self._place, self._of = client, register, seed, place, of
        self._world = httpx.Client(base_url=world, timeout=30, trust_env=False)
        self._name = f"bench-{place}"
        self._looked: Counter[str] = Counter()

    def close(self) -> None:
        """Hang up."""
        self._world.close()

    def round(self) -> None:
        """Decide what is mine. Raises GaveUp."""
        cursor: str | None = None
        while True:
            more = {"cursor": cursor} if cursor else {}
            found = self._client.get("/approvals", status="pending", limit=100, **more)
            for item in found["items"]:
                self._look(item)
            cursor = found["next"]
            if not cursor:
                return

    def _look(self, item: Json) -> None:
        ticket = self._register.tickets.get(item["run"])
        if ticket is None:  # just started: whose it is will be known at the next look
            return
        drawn = random.Random(f"{self._seed}/{ticket}/{item['scope']}/{item['index']}/{item['kind']}")  # noqa: S311
        first = drawn.randrange(self._of)
        turn = (self._place - first) % self._of
        if turn >= item["approvers"] or any(vote["by"] == self._name for vote in item["votes"]):
            return
        if item["kind"] != "in_doubt" and drawn.random() < UNDECIDED:
            with self._register.lock:
                self._register.left.add(item["run"])
            return
        self._looked[item["id"]] += 1
        words = self._words(item, drawn, fresh=self._looked[item["id"]] == 1 and turn == 0)
        if words is None:
            return
        self._register.acts += 1
        code, said = self._client.post(f"/approvals/{item['id']}/decisions", {"digest": item["digest"], **words})
        with self._register.lock:
            if code == 201:
                self._register.decided[
                    f"{item['kind']}: {words.get('answer', '') if item['kind'] == 'in_doubt' else words['verdict']}"
                ] += 1  # noqa: E501
            elif code == 409:
                self._register.too_late += 1
            else:
                self._register.refused[f"{code}: {said.get('detail', said)}"[:200]] += 1

    def _words(self, item: Json, drawn: random.Random, fresh: bool) -> dict[str, Json] | None:
        if item["kind"] == "in_doubt":
            return self._truth(item)
        if item["kind"] == "question":
            return {"verdict": "respond", "answer": "Yes, please do."}
        verdict = drawn.choices([*_VERDICTS, "approve"], [*_VERDICTS.values(), 1 - sum(_VERDICTS.values())])[0]
        if not fresh or verdict not in item["verdicts"] or (verdict == "reject" and "graph" in item["workflow"]):
            verdict = "approve"
        words: dict[str, Json] = {"verdict": verdict}
        if verdict == "reject":
            words["reason"] = "Not like this."
        if verdict == "edit" and item["kind"] == "tool":
            words["arguments"] = {**item["arguments"], "amount": item["arguments"]["amount"] + 0.5}
        elif verdict == "edit":
            words["answer"] = f"{_text(item)} Seen."
        return words

    def _truth(self, item: Json) -> dict[str, Json] | None:
        """What the world says about a call in doubt; None while it is still under way there."""
        arguments = item["arguments"] or item["content"].get("arguments") or {}
        deed = self._world.get("/deeds").json()["deeds"].get(arguments["deed"], {"done": 0, "under_way": 0})
        if deed["under_way"]:
            return None
        if not deed["done"]:
            return {"verdict": "respond", "answer": "did not happen", "digest": None}
        receipt = {"receipt": f"R-{arguments['deed']}"}
        return {"verdict": "respond", "answer": "happened", "result": receipt, "digest": None}


def _text(item: Json) -> str:
    for name in ("message", "result", "text"):
        found = item["content"].get(name)
        if isinstance(found, str):
            return found
        if isinstance(found, dict) and isinstance(found.get("content"), str):
            return str(found["content"])
    return "CASE CLOSED"


def at_work(
    round_: Callable[[], None], done: Callable[[], None], stopped: threading.Event, faults: list[BaseException]
) -> None:
    """A thread's work: rounds until it is stopped, each told to ``done``. What must not happen goes into ``faults``."""
    while not stopped.is_set():
        try:
            round_()
            done()
        except GaveUp as error:
            if not stopped.is_set():
                faults.append(error)
                return
        except BaseException as error:  # handed to whoever waits
            faults.append(error)
            return
        stopped.wait(EVERY)
