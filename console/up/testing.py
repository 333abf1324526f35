"""``manage.py test [pytest args]``: the default suite in parallel and random order, then what needs real processes: whole
instances that are started and killed, and the tests in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from console.up import browsers
from console.up.bootstrap import ROOT

NO_TESTS = 5  # pytest's exit code
BROWSER = "tests/browser"
AFTERWARDS = (BROWSER, "tests/platform/test_up.py", "tests/runs/test_crashes.py", "tests/runs/test_chaos.py")


def run(arguments: list[str]) -> int:
    """Run the tests; the exit code is pytest's first that is not 0. Raises Refused where no browser can be had.

    Paths among ``arguments`` choose what runs; without any, both suites run, and no test at all is a failure (5).
    """
    with _compiled():
        return _run(arguments)


@contextmanager
def _compiled() -> Generator[None]:
    """Where Python is told to write no bytecode, let it, in a directory of this run: the tests start many processes, and
    each would compile anew the thousands of modules that it imports."""
    if not sys.dont_write_bytecode:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="sayso-compiled-") as place:
        before = dict(os.environ)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = place
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def _run(arguments: list[str]) -> int:
    chosen = [a for a in arguments if not a.startswith("-") and Path(ROOT, a.split("::")[0]).exists()]
    if chosen:
        if any(a.startswith(BROWSER) or a.rstrip("/") == "tests" for a in chosen):
            _prepare_browser()
        return _pytest(arguments)
    first = _pytest([*(f"--ignore={path}" for path in AFTERWARDS), "tests", *arguments])
    if first not in (0, NO_TESTS):
        return first
    _prepare_browser()
    second = _pytest([*AFTERWARDS, *arguments])
    codes = {first, second}
    if codes == {0, NO_TESTS} and any(a.startswith(("-k", "-m")) for a in arguments):
        return 0  # the selection fell into one of the two
    return second if first in (0, NO_TESTS) and second not in (0, NO_TESTS) else first or second


def _prepare_browser() -> None:
    os.environ["SAYSO_CHROMIUM"] = browsers.ensure()


def _pytest(arguments: list[str]) -> int:
    workers = [] if any(a.startswith(("-n", "--numprocesses")) or a == "no:xdist" for a in arguments) else _workers()
    return subprocess.run([sys.executable, "-m", "pytest", *workers, *arguments], cwd=ROOT, check=False).returncode


def _workers() -> list[str]:
    # Some tests take a minute: who is done takes over what another has not begun.
    return ["-n", str(max(2, min(8, os.cpu_count() or 2))), "--dist", "worksteal"]
