"""Worker processes to kill: a process that imports everything once and then forks a worker for each line it reads.

A line is ``RUN FAILPOINT`` (or ``RUN -``). The child advances the run until it ends or waits for a person, and is
killed at the failpoint if it gets there. The answer is its exit status: 0, or -9.
"""

from __future__ import annotations

import os
import sys
import time

import django

django.setup()

from console import sweeper  # noqa: E402
from console.durable import failpoints  # noqa: E402
from console.hosting.host import Host  # noqa: E402
from console.runs import wakeups  # noqa: E402
from console.runs.models import TERMINAL, Run  # noqa: E402
from console.tenants.scopes import system_scope  # noqa: E402
from tests.runs import scripted  # noqa: E402


def work(run_id: str) -> None:
    """Be a worker for this run alone."""
    scripted.install()
    host = Host(f"victim-{os.getpid()}")

    def wake_up(run: object, *, resume: bool, queue: str = "") -> bool:
        if str(run) == run_id:
            host.admit(run_id, resume)
        return True

    wakeups.send = wake_up  # type: ignore[assignment]
    host.start()
    host.admit(run_id, True)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with system_scope("a test's worker"):
            run = Run.objects.get(pk=run_id)
        if run.status in TERMINAL or (run.status == "waiting" and run.wake_at is None):
            break
        sweeper.sweep()
        time.sleep(0.02)


def main() -> None:
    for line in sys.stdin:
        run_id, point = line.split()
        child = os.fork()
        if child == 0:
            try:
                failpoints.arm(None if point == "-" else failpoints.killer(point))
                work(run_id)
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
