"""``manage.py bench NAME --json``: a benchmark against a running instance, or against one of its own."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.bench import deciding, importing, judging, overhead, queueing, replay, resume
from console.bench.figures import machine
from console.bench.tenant import free_port

BENCHES = {
    "decide": deciding.run,
    "import": importing.run,
    "overhead": overhead.run,
    "queue": queueing.run,
    "replay": replay.run,
    "resume": resume.run,
    "rules": judging.run,
}
ALONE = {"rules"}  # need no instance
ABOUT = (
    "decide: fifty clients on five hundred requests at once; queue: its page and live updates with 100,000 requests; "
    "import: a Studio document's way to a validated revision; overhead: a journaled turn beside stock AutoGen's; "
    "replay: rebuilding the demo's teams beside AutoGen loading them; resume: from a decision to the next live effect; "
    "rules: asking up to 100 rules about a call"
)


class Command(BaseCommand):
    help = "Run a benchmark and print figures, and ratios against a baseline measured in the same run."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHES), help=ABOUT)
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        away = "DATABASE_URL" not in os.environ and "DATABASE_URL_FILE" not in os.environ
        if away and options["name"] not in ALONE:
            return self._with_own_instance(options)
        figures, ratios = BENCHES[options["name"]]()
        report = {"bench": options["name"], "figures": figures, "ratios": ratios, "machine": machine()}
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return None
        for part in ("figures", "ratios", "machine"):
            self.stdout.write(part)
            for name, value in report[part].items():
                self.stdout.write(f"  {name:<48} {value}")
        return None

    def _with_own_instance(self, options: dict[str, Any]) -> None:
        """Start an instance in a scratch directory, run the benchmark against it in a process of its own, stop it."""
        manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
        with tempfile.TemporaryDirectory(prefix="sayso-bench-") as scratch:
            data = str(Path(scratch) / "data")
            port = free_port()
            log_path = Path(scratch) / "up.log"
            with open(log_path, "wb") as log:
                up = [*manage, "up", "--port", str(port), "--data", data]
                instance = subprocess.Popen(up, stdout=log, stderr=log)
            try:
                if not _comes_up(instance, f"http://127.0.0.1:{port}/readyz"):
                    raise CommandError("no instance could be started:\n" + log_path.read_text()[-2000:])
                arguments = [
                    *manage,
                    "bench",
                    options["name"],
                    "--data",
                    data,
                    *(["--json"] if options["json"] else []),
                ]
                found = subprocess.run(arguments, stdout=subprocess.PIPE, check=False)
            finally:
                instance.terminate()
                instance.wait(timeout=30)
            self.stdout.write(found.stdout.decode(), ending="")
            if found.returncode:
                raise CommandError(f"the benchmark failed with exit code {found.returncode}")


def _comes_up(instance: "subprocess.Popen[bytes]", url: str, seconds: float = 240) -> bool:
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
