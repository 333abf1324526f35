"""``manage.py bench NAME --json``: a benchmark against a running instance, or against one of its own."""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from console.bench import overhead, resume
from console.bench.figures import machine

BENCHES = {"overhead": overhead.run, "resume": resume.run}


class Command(BaseCommand):
    help = "Run a benchmark and print figures, and ratios against a baseline measured in the same run."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHES))
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if "DATABASE_URL" not in os.environ and "DATABASE_URL_FILE" not in os.environ:
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
            up = [*manage, "up", "--port", str(_free_port()), "--data", data]
            with open(Path(scratch) / "up.log", "wb") as log:
                instance = subprocess.Popen(up, stdout=subprocess.PIPE, stderr=log)
            try:
                if not _is_up(instance):
                    raise CommandError("no instance could be started:\n" + (Path(scratch) / "up.log").read_text()[-2000:])
                arguments = [*manage, "bench", options["name"], "--data", data, *(["--json"] if options["json"] else [])]
                found = subprocess.run(arguments, stdout=subprocess.PIPE, check=False)
            finally:
                instance.terminate()
                instance.communicate(timeout=30)
            self.stdout.write(found.stdout.decode(), ending="")
            if found.returncode:
                raise CommandError(f"the benchmark failed with exit code {found.returncode}")


def _is_up(instance: "subprocess.Popen[bytes]") -> bool:
    """Read what ``up`` prints until it says that it is ready; False when it ends before."""
    assert instance.stdout is not None  # noqa: S101 - it was asked for
    for line in instance.stdout:
        if b"ready after" in line:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
