"""``manage.py bench NAME --json``: a benchmark against a running instance, or against one of its own."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.bench import (
    concurrency,
    cycles,
    deciding,
    importing,
    judging,
    leavings,
    overhead,
    parked,
    queueing,
    recovery,
    replay,
    resume,
    rollup,
)
from console.bench.chaos import ordeal
from console.bench.chaos.disasters import stop
from console.bench.dashboard import measuring as dashboard
from console.bench.fanout import measuring as fanout
from console.bench.figures import machine
from console.bench.interrupts import Interrupt
from console.bench.tenant import free_port
from console.up.processes import leash

BENCHES = {
    "concurrency": concurrency.run,
    "cycles": cycles.run,
    "dashboard": dashboard.run,
    "decide": deciding.run,
    "fanout": fanout.run,
    "import": importing.run,
    "overhead": overhead.run,
    "parked": parked.run,
    "queue": queueing.run,
    "recovery": recovery.run,
    "replay": replay.run,
    "resume": resume.run,
    "rollup": rollup.run,
    "rules": judging.run,
}
ALONE = {"rules"}  # need no instance
CHAOS = "chaos"
Report = tuple[dict[str, Any], dict[str, float]]
ABOUT = (
    "chaos: runs with approvals while workers are killed, stores restarted and emptied; nothing may be lost or repeated; "
    "concurrency: two hundred runs at once on two workers beside stock AutoGen; "
    "cycles: pauses, decisions and resumes a second and worker, beside LangGraph where it is installed; "
    "parked: what 100,000 waiting runs cost; recovery: how soon the runs of a killed worker are live again; "
    "dashboard: each chart of the insights on five million runs (SAYSO_BENCH_RUNS), beside raw rows; "
    "decide: fifty clients on five hundred requests at once; queue: its page and live updates with 100,000 requests; "
    "fanout: 500 and 2,000 sockets on one web process at 20 messages a second, beside stock Channels; "
    "import: a Studio document's way to a validated revision; overhead: a journaled turn beside stock AutoGen's; "
    "replay: rebuilding the demo's teams beside AutoGen loading them; resume: from a decision to the next live effect; "
    "rollup: steps a second into the dashboards' figures, and how soon a run that ends is in them; "
    "rules: asking up to 100 rules about a call"
)


class Command(BaseCommand):
    help = "Run a benchmark and print figures, and ratios against a baseline measured in the same run."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted([*BENCHES, CHAOS]), help=ABOUT)
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--minutes", type=_minutes, help="chaos only: how long it lasts (default 1)")
        parser.add_argument("--seed", type=int, help="chaos only: what befalls whom, and what people say (default 1)")
        parser.add_argument("--log", metavar="FILE", help="keep the log of the instance that is started for it")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"]
        if name != CHAOS and (options["minutes"] is not None or options["seed"] is not None):
            raise CommandError("--minutes and --seed are for chaos alone")
        away = "DATABASE_URL" not in os.environ and "DATABASE_URL_FILE" not in os.environ
        if name == CHAOS:
            away = ordeal.OWN not in os.environ  # whatever instance there is: it only ever ruins its own
        if away and name not in ALONE:
            return self._with_own_instance(options)
        bench = BENCHES.get(name) or partial(
            ordeal.run, ordeal.Plan.of(options["minutes"] or 1.0, 1 if options["seed"] is None else options["seed"])
        )
        Interrupt()  # what it has made goes with it
        failed = ""
        try:
            figures, ratios = bench() if name in ALONE else _alone(bench)
        except ordeal.Failed as error:
            figures, ratios, failed = error.figures, error.ratios, str(error)
        report = {"bench": options["name"], "figures": figures, "ratios": ratios, "machine": machine()}
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            for part in ("figures", "ratios", "machine"):
                self.stdout.write(part)
                for label, value in report[part].items():
                    self.stdout.write(f"  {label:<48} {value}")
        if failed:
            raise CommandError(failed)
        return None

    def _with_own_instance(self, options: dict[str, Any]) -> None:
        """Start an instance in a scratch directory, run the benchmark against it in a process of its own, stop it."""
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        interrupt = Interrupt(signal.SIGINT)  # a shell that starts it in the background has it ignored
        with tempfile.TemporaryDirectory(prefix="sayso-bench-") as scratch:
            data = str(Path(scratch) / "data")
            port = free_port()
            log_path = Path(options["log"] or Path(scratch) / "up.log")
            up = [*manage, "up", "--port", str(port), "--data", data]
            environment = {**os.environ, "SAYSO_DEMO_HISTORY": "0"}  # its making would be measured, too
            if options["name"] == CHAOS:
                up += ["--no-demo", "--workers", str(ordeal.WORKERS)]
                environment = ordeal.environment(os.environ)
            with open(log_path, "wb") as log:
                # Stopped as by a person when the bench itself is killed.
                instance = subprocess.Popen(
                    up, stdout=log, stderr=log, env=environment, preexec_fn=leash(signal.SIGTERM)
                )
            environment[ordeal.OWN] = str(instance.pid)
            try:
                interrupt.heed()
                if not _comes_up(instance, f"http://127.0.0.1:{port}/readyz"):
                    raise CommandError("no instance could be started:\n" + log_path.read_text()[-2000:])
                arguments = [*manage, "bench", options["name"], "--data", data]
                arguments += ["--json"] if options["json"] else []
                for given in ("minutes", "seed"):
                    arguments += [] if options[given] is None else [f"--{given}", str(options[given])]
                inner = subprocess.Popen(
                    arguments, stdout=subprocess.PIPE, env=environment, preexec_fn=leash(signal.SIGTERM)
                )
                try:
                    interrupt.heed()
                    found = inner.communicate()[0]
                finally:
                    stop(inner, 60)
            finally:
                stop(instance, 30)
            self.stdout.write(found.decode(), ending="")
            if inner.returncode:
                raise CommandError(f"the benchmark failed with exit code {inner.returncode}")


def _alone(bench: Callable[[], Report]) -> Report:
    """Run a benchmark that finds nothing of an earlier one, and nobody beside it."""
    with leavings.alone() as free:
        if not free:
            raise CommandError("another benchmark is at work in this instance: let it end first")
        tenant = leavings.mine()
        if tenant is not None:
            leavings.clear(tenant)
        return bench()


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= 24 * 60:
        raise argparse.ArgumentTypeError("minutes are more than 0, and at most a day")
    return minutes


def _comes_up(instance: "subprocess.Popen[bytes]", url: str, seconds: float = 600) -> bool:
    """Wait until the instance answers that it is ready; False when it ends before, or is not ready in time."""
    deadline = time.monotonic() + seconds
    while instance.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return True
        except httpx.TransportError:
            pass  # nobody listens yet
        time.sleep(0.1)
    return False
