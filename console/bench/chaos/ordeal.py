"""One go of chaos, from the making of its workflows to its books."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from console.bench.chaos import books as accounts
from console.bench.chaos import disasters, journals, teams
from console.bench.chaos.api import Client, Complaints
from console.bench.chaos.people import Operators, Register, Reviewer, at_work
from console.bench.interrupts import Interrupt
from console.bench.tenant import bench_actor, free_port, reviewer_tokens
from console.tenants import access, actions
from console.tenants.access import Actor
from console.tenants.models import ServiceAccount
from console.tenants.scopes import tenant_scope
from console.up.processes import leash

OWN = "SAYSO_BENCH_INSTANCE"  # the process id of the instance that the bench has started, and may kill
REVIEWERS = 4
WORKERS = 3


class Failed(RuntimeError):
    """The books do not balance; the figures say why."""

    def __init__(self, figures: dict[str, Any], ratios: dict[str, float]) -> None:
        super().__init__(f"{len(figures['faults'])} faults: " + "; ".join(figures["faults"][:5]))
        self.figures, self.ratios = figures, ratios


@dataclass(frozen=True)
class Plan:
    """How much of it. Times in seconds."""

    seconds: float
    seed: int
    every: float = 3.0  # between two disasters
    at_once: int = 40  # runs that are open at the same time
    most: int = 100_000  # runs at all
    settling: float = 300.0  # after the last disaster, for everything to come to rest
    tool_timeout: int = (
        15  # longer than what is frozen is frozen, so that a call in doubt is over when a person is asked
    )
    kinds: tuple[str, ...] = ()  # of disasters; empty: all

    @classmethod
    def of(cls, minutes: float, seed: int) -> Plan:
        """As the command line asks for it. Below a minute: the short form, in which nothing is frozen for long."""
        if minutes >= 1:
            return cls(minutes * 60, seed)
        quick = tuple(kind for kind in disasters.WEIGHTS if "freeze" not in kind)
        return cls(minutes * 60, seed, every=4.0, at_once=20, tool_timeout=6, kinds=quick)


def run(plan: Plan) -> tuple[dict[str, Any], dict[str, float]]:
    """Figures and ratios. Raises Failed when anything was lost, repeated or is invalid, RuntimeError where it cannot be run."""
    up = int(os.environ.get(OWN, "0"))
    if not up:
        raise RuntimeError("chaos kills processes: it only runs against an instance that the bench has started itself")
    interrupt = Interrupt()  # whoever is frozen has to be let go of
    with _world(plan.seed) as world:
        interrupt.heed()
        actor = bench_actor(default_url=f"{world}/v1")
        teams.register(actor, world, plan.tool_timeout)
        return _Chaos(plan, up, world, teams.make(actor, plan.tool_timeout), actor).run()


@contextmanager
def _world(seed: int) -> Iterator[str]:
    """The world's process, and its address."""
    port = free_port()
    command = [sys.executable, "-m", "console.bench.chaos.world", "--port", str(port), "--seed", str(seed)]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, preexec_fn=leash())
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                httpx.get(f"{url}/healthz", trust_env=False).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        else:
            raise RuntimeError("the world's process does not come up")
        yield url
    finally:
        disasters.stop(process, 5)


class _Chaos:
    """One go of it."""

    def __init__(self, plan: Plan, up: int, world: str, slugs: list[str], actor: Actor) -> None:
        self._plan, self._world = plan, world
        self._register = Register()
        self._complaints = Complaints()
        self._stopped, self._burning = threading.Event(), threading.Event()
        self._faults: list[BaseException] = []
        self._people: list[str] = []
        self._began = time.monotonic()
        self._arsonist = disasters.Arsonist(up, world, self._register.runs, self._say)
        self._memory = journals.Memory()
        self._changed: list[str] = []
        self._clients = [self._client(token) for token in (_operator_token(actor), *reviewer_tokens(actor, REVIEWERS))]
        first, *others = self._clients
        self._operators = Operators(first, self._register, plan.seed, slugs, plan.at_once, plan.most)
        self._reviewers = [
            Reviewer(client, self._register, world, plan.seed, place, REVIEWERS) for place, client in enumerate(others)
        ]

    def _client(self, token: str) -> Client:
        return Client(settings.PUBLIC_URL, token, self._complaints, self._stopped.is_set)

    def run(self) -> tuple[dict[str, Any], dict[str, float]]:
        self._burning.set()
        rounds = {f"reviewer {place}": each.round for place, each in enumerate(self._reviewers)}
        rounds["operator"] = lambda: self._operators.round(self._burning.is_set)
        self._people = list(rounds)
        threads = [
            threading.Thread(
                target=at_work, args=(work, partial(self._gone, name), self._stopped, self._faults), daemon=True
            )
            for name, work in rounds.items()
        ]
        for thread in threads:
            thread.start()
        try:
            self._burn()
            self._burning.clear()
            took = self._settle()
        finally:
            self._arsonist.thaw()
            self._stopped.set()
            for thread in threads:
                thread.join(35)
        return self._report(took)

    def _gone(self, name: str) -> None:
        self._register.rounds[name] += 1

    def _burn(self) -> None:
        while len(self._register.runs()) < min(5, self._plan.most) and not self._faults:
            time.sleep(0.1)
        self._began = time.monotonic()
        waiting = disasters.schedule(self._plan.seed, self._plan.seconds, self._plan.every, self._plan.kinds)
        drawn = random.Random(self._plan.seed)  # noqa: S311
        looked, late = time.monotonic(), 0.0
        while (now := time.monotonic()) - self._began < self._plan.seconds and not self._faults:
            if waiting and now - self._began - late >= waiting[0].at:
                late = max(late, now - self._began - waiting[0].at - self._plan.every)  # never two at once to catch up
                self._arsonist.strike(waiting.pop(0))
            if now - looked > 2:
                looked = now
                self._changed += self._memory.look(self._register.runs(), drawn)
            time.sleep(0.05)

    def _settle(self) -> float:
        """Wait, without disasters, until every run is at rest; seconds that it took, or all that there were."""
        began = time.monotonic()
        left: list[str] = []
        since: tuple[int, dict[str, int]] | None = None  # what the people had done when everything came to rest
        while time.monotonic() - began < self._plan.settling and not self._faults:
            try:
                left = accounts.unsettled(self._register.runs())
            except (DatabaseError, InterfaceError):
                connection.close()  # it is starting again
                left = ["?"]
            known = self._register
            if left or (since is not None and since[0] != known.acts):
                since = None
            elif since is None:
                since = (known.acts, dict(known.rounds))
            elif all(known.rounds[name] > since[1].get(name, 0) + 1 for name in self._people):
                break  # everybody has looked at everything since, and nobody had anything to do
            time.sleep(0.3)
        self._say(f"settled after {time.monotonic() - began:.1f} s, {len(left)} runs not at rest")
        return time.monotonic() - began

    def _report(self, took: float) -> tuple[dict[str, Any], dict[str, float]]:
        runs = self._register.runs()
        world = httpx.get(f"{self._world}/deeds", timeout=30, trust_env=False).json()
        self._changed += self._memory.compare(runs)
        books = accounts.close(runs, world["deeds"], journals.verify)
        books.faults += [*self._changed, *(f"{type(fault).__name__}: {fault}" for fault in self._faults)]
        books.faults += [f"{count} times: {what}" for what, count in self._complaints.found.items()]
        books.faults += [f"{count} times refused: {what}" for what, count in self._register.refused.items()]
        for client in self._clients:
            client.close()
        for reviewer in self._reviewers:
            reviewer.close()
        known = self._register
        figures: dict[str, Any] = {
            "seed": self._plan.seed,
            "seconds": self._plan.seconds,
            "settled_after_s": round(took, 1),
            "runs": {**books.runs, "retried": len(known.retried), "cancels": known.cancels},
            "ended": books.ended,
            "effects": books.effects,
            "requests": books.requests,
            "decided": dict(sorted(known.decided.items())),
            "decided_too_late": known.too_late,
            "disasters": dict(sorted(self._arsonist.done.items())),
            "api": {
                "come_back_later": sum(client.outages for client in self._clients),
                "answered_again": sum(client.repeated for client in self._clients),
            },
            "model_calls": world["model_calls"],
            "journals": {"checked": len(runs), "looks_in_between": self._memory.looks},
            "faults": books.faults,
        }
        done = sum(each["done"] for each in books.effects.values())
        repeated = sum(each["repeated"] for each in books.effects.values())
        ratios = {
            "lost_to_started": round(books.runs["lost"] / max(1, len(runs)), 6),
            "repeated_to_done": round(repeated / max(1, done), 6),
            "journals_invalid_to_checked": round(
                len({fault.split(":")[0] for fault in books.faults if fault.startswith("run ")}) / max(1, len(runs)), 6
            ),
        }
        if books.faults:
            raise Failed(figures, ratios)
        return figures, ratios

    def _say(self, what: str) -> None:
        sys.stderr.write(f"{time.monotonic() - self._began:7.1f} s  {len(self._register.tickets):4d} runs  {what}\n")
        sys.stderr.flush()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment for an instance of the bench's own: whatever other instance is named there is left alone."""
    others = (
        "DATABASE_URL",
        "SAYSO_OWNER_DATABASE_URL",
        "REDIS_URL",
        "SAYSO_SECRET_KEY",
        "SAYSO_MASTER_KEY",
        "SAYSO_DATA",
    )
    kept = {name: value for name, value in given.items() if name.removesuffix("_FILE") not in others}
    return {**kept, "SAYSO_EGRESS_ALLOW": "127.0.0.1"}


def _operator_token(actor: Actor) -> str:
    with tenant_scope(actor.tenant):
        service = access.all(ServiceAccount, actor).filter(name="bench-operator").first()
        service = service or actions.add_service_account(actor, "bench-operator")
        return actions.create_token(actor, service=service, role="operator", name="bench")[1]
