"""``manage.py demo_history``: what ``up`` calls to make the demo's history, in two steps; see console/demo/history.py."""

import argparse
import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from console.demo import history, making, story


class Command(BaseCommand):
    help = "Make the demo's history (`up` does, once): `make` in a copy of the database, `place` from there."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("what", choices=["make", "place"])
        parser.add_argument(
            "--plan", type=Path, required=True, help="the file that the first step leaves for the second"
        )
        parser.add_argument("--source", default="", help="for `place`: the URL of the copy")
        parser.add_argument("--nice", type=int, default=0, help="how far to let other processes go first (19: always)")
        parser.add_argument("--seed", type=int, default=6, help="for `make`: of the story's chance")
        parser.add_argument("--scale", type=float, default=1.0, help="for `make`: a smaller story")

    def handle(self, *args: Any, **options: Any) -> None:
        os.nice(options["nice"])
        sys.setswitchinterval(0.001)
        logging.disable(logging.WARNING)  # runs fail here on purpose
        begun = time.monotonic()
        if options["what"] == "make":
            now = datetime.now(UTC)
            told = story.tell(options["seed"], now, scale=options["scale"])
            plan = making.Maker(told, options["seed"], now).make()
            making.write(plan, options["plan"])
            did = f"{len(plan['runs'])} runs made"
        else:
            try:
                plan = json.loads(options["plan"].read_text())
            except (OSError, ValueError) as error:
                raise CommandError(f"cannot read {options['plan']}: {error}") from error
            did = f"{history.place(plan, options['source'])} runs placed"
        self.stdout.write(f"{did} in {time.monotonic() - begun:.1f} s, {time.process_time():.1f} s of CPU")
