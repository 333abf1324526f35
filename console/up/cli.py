"""The command line behind ``manage.py``: our own two commands, and Django's against a chosen instance."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import DatabaseError

from console import queues
from console.up import instance, supervisor, testing
from console.up.bootstrap import ROOT
from console.up.places import Refused

OWN = ROOT / ".sayso"


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code (2 with one line on stderr where something stands in the way)."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    command, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    try:
        if command == "up":
            return supervisor.run(_options(rest))
        if command == "test":
            return testing.run(rest)
        rest, data = _choose_instance(command, rest)
        try:
            execute_from_command_line(["manage.py", command, *rest])
        except DatabaseError as error:
            from console import outage  # needs Django's settings, which name the chosen instance

            if outage.outage_of(error) is not outage.AWAY:
                raise
            raise Refused(_away(data, error)) from error
    except Refused as refusal:
        sys.stderr.write(f"Sayso: {refusal}\n")
        return 2
    return 0


def _away(data: Path | None, error: DatabaseError) -> str:
    if data is None or instance.running(data):
        return f"the database does not answer: {str(error).splitlines()[0]}; `manage.py doctor` looks at everything"
    given = "" if data == OWN else f" --data {data}"
    return f"the instance in {data} is not running: start it with `manage.py up{given}`"


def _options(arguments: list[str]) -> supervisor.Options:
    parser = argparse.ArgumentParser(
        prog="manage.py up", description="Start Sayso on this machine; Ctrl-C stops all of it."
    )
    parser.add_argument("--port", type=_port, default=8000, help="where the console listens (default 8000)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address it listens on (default 127.0.0.1: this machine only)"
    )
    parser.add_argument("--data", type=Path, default=OWN, help="directory of this instance (default .sayso)")
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="worker processes (default 1)")
    parser.add_argument(
        "--queues", type=_queue, nargs="+", action="extend", default=[], metavar="NAME=N",
        help="N worker processes more that take only runs of this queue (payments=2)",
    )  # fmt: skip
    parser.add_argument("--no-demo", action="store_true", help="neither demo tenants nor demo model")
    given = parser.parse_args(arguments)
    dedicated = dict(given.queues)
    if len(dedicated) < len(given.queues):
        parser.error("argument --queues: each queue once")
    return supervisor.Options(
        given.host, given.port, given.data.absolute(), given.workers, not given.no_demo, dedicated
    )


def _port(text: str) -> int:
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 64:
        raise argparse.ArgumentTypeError("from 1 to 64 workers")
    return number


def _queue(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    said = queues.fault(name)
    if said:
        raise argparse.ArgumentTypeError(f"a queue's name {said}")
    return name, _count(count)


def _choose_instance(command: str, arguments: list[str]) -> tuple[list[str], Path | None]:
    """Take ``--data DIR`` out of ``arguments`` and put that instance's environment in place. Raises Refused.

    Without it: DATABASE_URL where set, else the instance in ``.sayso`` where there is one; for a benchmark, which can start
    one of its own, where it is running. Returns the rest, and the instance's directory where it was one.
    """
    rest, data = [], None
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--data":
            data = next(waiting, None)
            if data is None:
                raise Refused("--data needs a directory")
        elif argument.startswith("--data="):
            data = argument.removeprefix("--data=")
        else:
            rest.append(argument)
    chosen = None if data is None else Path(data).absolute()
    if chosen is None and "DATABASE_URL" not in os.environ and "DATABASE_URL_FILE" not in os.environ:
        found = instance.running(OWN) if command == "bench" else instance.exists(OWN)
        chosen = OWN if found else None
    if chosen is not None:
        instance.adopt(chosen)
    return rest, chosen
