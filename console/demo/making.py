"""Makes the runs of the demo's history: started, advanced, asked about, decided and ended by the product's own functions.

It happens in a database of its own, a copy of the instance's, so that no screen, queue or worker of the instance ever sees
a run that is not in its place yet. What comes out is a plan: where each run begins, and where people were waited for. The
runs are read from here and put in their places by history.py.
"""

from __future__ import annotations

import copy
import json
import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from approvals import actions as approvals
from approvals import rule_actions
from approvals.actions.requests import contents
from approvals.models import ApprovalRequest, RequestStatus
from console.demo import answering, seed, story
from console.demo.answering import Ask, Move
from console.demo.documents import MODEL, WORKFLOWS
from console.demo.past import UNPLACED, Pause, Placing
from console.demo.provider import Lending, Patient, Provider
from console.demo.seed import House
from console.demo.story import Case, Era, Story
from console.hosting import host as hosting
from console.runs import actions as runs
from console.runs.models import TERMINAL, Run, RunStatus
from console.tenants import access
from console.tenants.access import Actor
from console.tenants.models import Role, Tenant, User
from console.tenants.scopes import system_scope, tenant_scope
from console.workflows import actions as workflows
from console.workflows.models import Promotion, Revision, Workflow

log = logging.getLogger(__name__)

AT_ONCE = 16  # runs that are made side by side
LOOK = 0.05  # seconds between two looks at them
PATIENCE = 3600.0  # seconds for all of it, on a machine that has other things to do
HANDBOOK = (
    " Before you answer, recall the whole handbook: be brief and kind, name the customer's case, promise nothing that the "
    "policy does not promise, and never guess. Amounts are in euros, with two decimals. When two rules differ, the stricter "
    "holds. When in doubt a colleague is asked. What a customer has not said is not assumed. "
) * 24
RULES = [
    {
        "name": "answered within a day",
        "match": {"tool": "issue_*"},
        "effect": "require",
        "expires_in": "P1D",
        "escalation": [{"after": "PT6H", "group": "on-call"}],
        "on_expiry": "reject",
    }
]
SURE = [
    {**RULES[0], "name": "answered within a day, or nothing happens", "match": {"tool": "*"}, "on_expiry": "terminate"}
]


@dataclass
class Live:
    """A run that is being made. ``pauses`` so far; ``moves`` by request."""

    case: Case
    tenant: Tenant
    run: UUID
    begun: datetime
    start: datetime
    before: Live | None = None
    pauses: list[Pause] = field(default_factory=list)
    moves: dict[UUID, deque[Move]] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    told: float = 0.0  # when the host was last told of it

    @property
    def placing(self) -> Placing:
        """Where it would be put now."""
        return Placing(self.begun, self.start, tuple(self.pauses), self.before.placing if self.before else None)


class Maker:
    """Makes the runs of one story. Call ``make`` once, outside any scope, in a process of its own."""

    def __init__(self, told: Story, number: int, now: datetime) -> None:
        self.told, self.now = told, now
        self.chance = random.Random(number)  # noqa: S311 - a story, no secret
        self.provider = Provider({case.reference: case for case in told.cases}, random.Random(number + 1))  # noqa: S311
        self.people: dict[str, dict[str, list[Actor]]] = {}
        self.current: dict[tuple[str, str], str] = {}
        self.workflows: dict[tuple[str, str], Workflow] = {}
        self.tenants: dict[str, Tenant] = {}
        self.done: list[Live] = []
        self.moments: dict[str, str] = {}  # revisions and promotions: when they are said to have been

    def make(self) -> dict[str, Any]:
        """Make them all, and return the plan as JSON. Raises TimeoutError."""
        for house in story.ALL_HOUSES:
            self._enter(house)
        hosting.Clients = lambda: Lending(self.provider)  # type: ignore[misc,assignment]
        hosting.Breakers = Patient  # type: ignore[misc]
        host = hosting.Host("history")
        host.start()
        try:
            self._all(host)
        finally:
            host.close()
        self._roll_back()
        return {
            "now": self.now.isoformat(),
            "houses": [house.slug for house in story.OWN_HOUSES],
            "runs": [_planned(live) for live in self.done],
            "moments": self.moments,
        }

    def _enter(self, house: House) -> None:
        tenant = seed.furnish(house)
        self.tenants[house.slug] = tenant
        users = {
            user.username: user for user in User.objects.filter(username__in=[one.username for one in house.people])
        }
        self.people[house.slug] = {
            role: [
                Actor(tenant, role, "user", users[one.username].pk, users[one.username].name)
                for one in house.people
                if one.role == role
            ]
            for role in (Role.REVIEWER, Role.OPERATOR, Role.ADMIN)
        }
        with tenant_scope(tenant):
            rules = SURE if house.slug == "tailspin" else RULES
            rule_actions.put_rules(self.people[house.slug][Role.ADMIN][0], rules, "Nobody waits for longer than a day.")

    def _all(self, host: hosting.Host) -> None:
        waiting, live = deque(self.told.cases), []
        deadline = time.monotonic() + PATIENCE
        while waiting or live:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{len(waiting) + len(live)} runs of the history are not done after {PATIENCE:.0f} s"
                )
            while waiting and len(live) < AT_ONCE:
                live.append(self._start(waiting.popleft()))
                host.admit(str(live[-1].run))
            time.sleep(LOOK)
            live = self._look(host, live)

    def _look(self, host: hosting.Host, live: list[Live]) -> list[Live]:
        with system_scope("making the demo's history"):
            states = dict(Run.objects.filter(pk__in=[one.run for one in live]).values_list("pk", "status"))
        left = []
        for one in live:
            status = states[one.run]
            if status in TERMINAL:
                self.done.append(one)
                again = self._again(one)
                left += [again] if again else []
                continue
            left.append(one)
            if status == RunStatus.WAITING and self._act(one):
                one.told = 0.0
            if status != RunStatus.RUNNING and time.monotonic() - one.told > 0.5:
                one.told = time.monotonic()
                host.admit(str(one.run), resume=True)
        return left

    def _start(self, case: Case) -> Live:
        tenant = self.tenants[case.tenant]
        with tenant_scope(tenant):
            workflow = self._under(case)
            operator = self.people[case.tenant][Role.OPERATOR][0]
            run = runs.start(operator, workflow, case.text, metadata=UNPLACED)
        return Live(case, tenant, run.pk, run.created_at, case.at)

    def _under(self, case: Case) -> Workflow:
        """The case's workflow, its current revision being the one that the story says."""
        place, tenant = (case.tenant, case.workflow), self.tenants[case.tenant]
        admin = self.people[case.tenant][Role.ADMIN][0]
        workflow = self.workflows.get(place)
        if workflow is None:
            found = Workflow.objects.select_related("current")
            workflow = self.workflows[place] = access.get(found, admin, slug=case.workflow)
        if self.current.get(place, "") != case.revision:
            self.current[place] = case.revision
            eras = {(each.tenant, each.workflow, each.revision): each for each in self.told.eras}
            era = eras[(*place, case.revision)]
            body = {one.slug: one.body for one in WORKFLOWS}[case.workflow]
            revision, _ = workflows.create_revision(admin, workflow, variant(body, case.revision), reason=era.reason)
            self._date(tenant, workflow, revision, era)
        return workflow

    def _roll_back(self) -> None:
        """Go back from what the story says did not last, when every run has been started."""
        for era in self.told.eras:
            tenant, admin = self.tenants[era.tenant], self.people[era.tenant][Role.ADMIN][0]
            if era.back and self.current.get((era.tenant, era.workflow)) == era.revision:
                with tenant_scope(tenant):
                    workflow = access.get(Workflow.objects.select_related("current"), admin, slug=era.workflow)
                    workflows.roll_back(admin, workflow, era.back)
                    last = access.all(Promotion, admin).filter(workflow=workflow).order_by("-id")[0]
                    self.moments[f"promotion:{last.pk}"] = (era.until or self.now).isoformat()

    def _date(self, tenant: Tenant, workflow: Workflow, revision: Revision, era: Era) -> None:
        since = (era.since - timedelta(minutes=4)).isoformat()
        self.moments[f"revision:{revision.pk}"] = since
        for pk in Promotion.objects.filter(tenant=tenant, workflow=workflow, revision=revision).values_list(
            "pk", flat=True
        ):
            self.moments[f"promotion:{pk}"] = since

    def _again(self, live: Live) -> Live | None:
        """A retry or a fork of what has ended, where the story has one."""
        if not live.case.again or live.before is not None:
            return None
        with tenant_scope(live.tenant):
            operator = self.people[live.case.tenant][Role.OPERATOR][0]
            run = Run.objects.select_related("workflow", "revision").get(pk=live.run, tenant=live.tenant)
            if run.status == RunStatus.COMPLETED:
                return None
            self.provider.mended.add(live.case.reference)
            try:
                if live.case.again == "retry":
                    again = runs.retry(operator, run)
                else:
                    text = f"{live.case.text}, asked again"
                    again = runs.fork(operator, run, 1, input=text, metadata=UNPLACED)
            except (runs.Refused, runs.Invalid) as error:
                log.info("run %s is not made again: %s", run.pk, error)
                return None
            assert run.ended_at is not None  # noqa: S101 - it is over
            start = live.placing.moved(run.ended_at) + timedelta(minutes=self.chance.uniform(8, 90))
        start = min(start, self.now - timedelta(minutes=5))
        case = Case(**{**live.case.__dict__, "people": ""})
        return Live(case, live.tenant, again.pk, again.created_at, start, before=live)

    # People

    def _act(self, live: Live) -> bool:
        """Let people do what they do about the first thing that the run waits for. False: it waits for nobody."""
        with tenant_scope(live.tenant):
            asked = ApprovalRequest.objects.filter(tenant=live.tenant, run=live.run).order_by("created_at", "id")
            found = list(asked)
            pending = [request for request in found if request.status == RequestStatus.PENDING]
            if not pending:
                return False
            request, at = pending[0], _clock()
            moves = live.moves.get(request.pk)
            if not moves:
                moves = live.moves[request.pk] = deque(self._answer(live, request, at, len(found) - len(pending)))
            while moves:
                move = moves.popleft()
                self._pause(live, request, move, at)
                if move.what == "time":
                    break
                self._do(live, request, move)
                at = _clock()
        if move.what == "time":
            approvals.expire_due()
        return True

    def _answer(self, live: Live, request: ApprovalRequest, at: datetime, asked: int) -> Iterable[Move]:
        made = live.placing.moved(at)
        agenda = tuple(
            (entry["do"], made + (datetime.fromisoformat(entry["at"]) - request.created_at)) for entry in request.agenda
        )
        arguments = contents(request).get("arguments") if request.kind == "tool" else None
        ask = Ask(request.kind, made, request.approvers, request.group, arguments, agenda, asked)
        return answering.answer(live.case, ask, self.chance)

    def _pause(self, live: Live, request: ApprovalRequest, move: Move, at: datetime) -> None:
        """Wait as long as the move says: not beyond now, and, unless time itself acts, not beyond what is due."""
        seconds, there = move.after, live.placing.moved(at)
        if move.what == "time":
            self._due(live, request)
        elif request.due_at is not None:
            made = live.placing.moved(request.created_at)
            left = (made + (request.due_at - request.created_at) - there).total_seconds()
            seconds = min(seconds, max(left * 0.6, 0.0))
        left = (self.now - timedelta(minutes=3) - there).total_seconds()
        live.pauses.append(Pause(at, max(min(seconds, left * 0.5), 0.0)))

    def _due(self, live: Live, request: ApprovalRequest) -> None:
        """Let the first entry of the agenda be due now."""
        first, *rest = request.agenda
        now = _clock() - timedelta(milliseconds=1)
        changes: dict[str, Any] = {
            "agenda": [{**first, "at": now.isoformat(timespec="microseconds")}, *rest],
            "next_at": now,
        }
        if first["do"] == "expire" and request.due_at is not None:
            live.due[str(request.pk)] = (request.due_at - request.created_at).total_seconds()
            changes["due_at"] = now
        ApprovalRequest.objects.filter(pk=request.pk, tenant=live.tenant).update(**changes)

    def _do(self, live: Live, request: ApprovalRequest, move: Move) -> None:
        people = self.people[live.case.tenant]
        if move.what == "cancel":
            run = Run.objects.get(pk=live.run, tenant=live.tenant)
            approvals.cancel_run(people[Role.OPERATOR][0], run)
            live.moves[request.pk].clear()
            return
        who = people[Role.REVIEWER][move.who]
        if move.what in ("shown", "opened", "read"):
            approvals.saw(who, request, move.what)
            return
        said = {"reason": move.reason, "arguments": move.arguments, "answer": move.answer}
        try:
            after = approvals.decide(who, request.pk, move.what, **said)
            if after.status != RequestStatus.PENDING:
                live.moves[request.pk].clear()  # an edit that stands, and one more yes, may be all that it took
        except approvals.TooLate:
            live.moves[request.pk].clear()  # it is decided: whoever waited for it goes on
        except (approvals.AlreadyVoted, approvals.Invalid, access.Forbidden):
            # An edit or a group asks for somebody else than was thought: the careful one decides, or the other.
            live.moves[request.pk].clear()
            for other in people[Role.REVIEWER]:
                try:
                    approvals.decide(other, request.pk, "approve")
                    return
                except (approvals.AlreadyVoted, access.Forbidden):
                    continue


def variant(body: Mapping[str, Any], revision: str) -> dict[str, Any]:
    """A workflow's body as the story's revision has it."""
    made: dict[str, Any] = copy.deepcopy(dict(body))
    if revision == "hasty":
        made["limits"] = {**made["limits"], "run_timeout": "PT2S"}
    elif revision == "prepared":
        made["fallbacks"] = [{"credential": "default", "model": "gpt-4.1-mini"}]
    elif revision == "thorough":
        made = json.loads(json.dumps(made).replace(json.dumps(MODEL), json.dumps("gpt-4o")))
        for agent in made["team"]["config"]["participants"]:
            agent["config"]["system_message"] += HANDBOOK
    elif revision == "house":
        made = json.loads(json.dumps(made).replace(json.dumps(MODEL), json.dumps("tailspin-house-7b")))
    elif revision == "frugal":
        made["limits"] = {**made["limits"], "max_tokens": 700}
    return made


def _clock() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
        return at


def _planned(live: Live) -> dict[str, Any]:
    return {
        "run": str(live.run),
        "tenant": str(live.tenant.pk),
        "begun": live.begun.isoformat(),
        "start": live.start.isoformat(),
        "pauses": [[pause.at.isoformat(), pause.seconds] for pause in live.pauses],
        "due": live.due,
        "before": str(live.before.run) if live.before else None,
    }


def write(plan: Mapping[str, Any], file: Path) -> None:
    """Whole or not at all."""
    scratch = file.with_suffix(".part")
    scratch.write_text(json.dumps(plan))
    scratch.replace(file)
