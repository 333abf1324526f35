"""Processes to kill: a process that imports everything once and then forks one for each line that it reads.

A line is a JSON object: ``act`` with what it takes, ``run`` (what its hits are counted by), ``effects`` (the file of what
was done), and ``point``: where the child kills itself, as ``name:count``, counted over all children with the same ``run``.
The answer is its exit status: 0, or -9.

    start   ``workflow``, ``user`` (an operator), ``input``
    work    ``id`` of a run: be a worker for it until it ends, or waits for a person
    decide  ``request``, ``user``, ``words``
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

django.setup()

from approvals import actions as approvals  # noqa: E402
from approvals.models import ApprovalRequest  # noqa: E402
from console import sweeper  # noqa: E402
from console.durable import failpoints  # noqa: E402
from console.hosting.host import Host  # noqa: E402
from console.runs import actions, wakeups  # noqa: E402
from console.runs.models import TERMINAL, Run  # noqa: E402
from console.tenants.access import Actor  # noqa: E402
from console.tenants.models import Tenant, User  # noqa: E402
from console.tenants.scopes import system_scope, tenant_scope  # noqa: E402
from console.workflows.models import Workflow  # noqa: E402
from tests.runs import scripted  # noqa: E402


def work(id: str) -> None:
    """Be a worker for this run alone. Nobody tells it: what it has to do is what its sweeper finds."""
    scripted.install()
    sweeper.FORGOTTEN = timedelta(0)
    host = Host(f"victim-{os.getpid()}")

    def wake_up(run: object, *, resume: bool, queue: str = "") -> bool:
        if str(run) == id:
            host.admit(id, resume)
        return True

    wakeups.send = wake_up  # type: ignore[assignment]
    host.start()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        sweeper.lost_wake_ups()
        sweeper.expired_leases()
        sweeper.due_runs()
        with system_scope("a test's worker"):
            run = Run.objects.get(pk=id)
        if run.status in TERMINAL or (run.status == "waiting" and run.wake_at is None):
            # What comes after the commit is still to be survived, or not.
            if host.live == 0:
                return
        time.sleep(0.01)


def start(workflow: str, user: str, input: str) -> None:
    with system_scope("a test's operator"):
        found = Workflow.objects.select_related("current").get(pk=workflow)
        tenant = Tenant.objects.get(pk=found.tenant_id)
    actor = Actor(tenant=tenant, role="operator", kind="user", id=user, name="Olga")  # type: ignore[arg-type]
    with tenant_scope(tenant):
        actions.start(actor, found, input)


def decide(request: str, user: str, words: dict[str, Any]) -> None:
    with system_scope("a test's reviewer"):
        found = ApprovalRequest.objects.get(pk=request)
        tenant, person = Tenant.objects.get(pk=found.tenant_id), User.objects.get(pk=user)
    actor = Actor(tenant=tenant, role="reviewer", kind="user", id=person.pk, name=person.get_full_name())
    with tenant_scope(tenant):
        approvals.decide(actor, request, **words)


ACTS = {"work": work, "start": start, "decide": decide}


def counting(path: Path, point: str) -> Any:
    """A hook that writes down each point that is passed, and dies at one of them."""
    name, _, count = point.partition(":")

    def hook(passed: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(passed + "\n")
        if passed == name and path.read_text(encoding="utf-8").split("\n").count(name) == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def main() -> None:
    gc.freeze()  # what is imported: no child looks through it, and copies it by that
    for line in sys.stdin:
        told = json.loads(line)
        act, run, point = ACTS[told.pop("act")], told.pop("run"), told.pop("point")
        effects = told.pop("effects")
        child = os.fork()
        if child == 0:
            try:
                wakeups.send = lambda *_, **__: True  # type: ignore[assignment]
                os.environ["SAYSO_TEST_EFFECTS"] = effects
                os.environ["PGAPPNAME"] = f"life {run}"  # by which its sessions are known when it is dead
                failpoints.arm(counting(Path(effects).parent / f"points {run}", point))
                act(**told)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
