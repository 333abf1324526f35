"""The checks of CI that are code of ours, and that CI cannot pass by doing nothing."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

from console.up import testing
from console.up.bootstrap import ROOT

_spec = importlib.util.spec_from_file_location("lock_hosts", ROOT / ".ci/lock_hosts.py")
lock_hosts = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(lock_hosts)


def test_the_lock_names_public_hosts_only():
    assert lock_hosts.foreign((ROOT / "uv.lock").read_text()) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('source = { registry = "https://pypi.org/simple" }', []),
        ('url = "https://files.pythonhosted.org/p/x.whl"', []),
        ('source = { registry = "https://mirror.example/simple" }', ["mirror.example"]),
        ('source = { registry = "https://user:pw@mirror.example:8080/simple" }', ["mirror.example"]),
        ('source = { git = "git+ssh://git@host.example/x" }', ["host.example"]),
        ('url = "https://pypi.org.evil.example/x.whl"', ["pypi.org.evil.example"]),
        ('source = { path = "/opt/wheels/x.whl" }', ["/opt/wheels/x.whl"]),
        ('source = { virtual = "." }', []),
    ],
)
def test_any_other_host_or_path_is_found(line, found):
    assert lock_hosts.foreign(line) == found


def test_a_file_that_is_no_lock_is_refused(tmp_path):
    (tmp_path / "uv.lock").write_text("")
    done = subprocess.run(
        [sys.executable, ".ci/lock_hosts.py", str(tmp_path / "uv.lock")], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 1


def test_ci_is_executable_and_names_every_check():
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    for check in ("manage.py test", "ruff", "mypy", "importlinter", "makemigrations --check", "lock_hosts.py"):
        assert check in text


@pytest.fixture
def runs(monkeypatch):
    """The pytest runs that `manage.py test` would do, with the exit codes to answer."""
    asked: list[list[str]] = []
    codes: list[int] = []

    def pretend(arguments: list[str]) -> int:
        asked.append(arguments)
        return codes.pop(0)

    monkeypatch.setattr(testing, "_pytest", pretend)
    monkeypatch.setattr(testing, "_prepare_browser", lambda: asked.append(["browser"]))
    monkeypatch.setattr(testing, "AFTERWARDS", ("tests/slow", "tests/browser"))
    return asked, codes


def test_both_suites_run_and_the_browser_is_made_ready_between(runs):
    asked, codes = runs
    codes += [0, 0]
    assert testing.run(["-x"]) == 0
    assert asked == [
        ["--ignore=tests/slow", "--ignore=tests/browser", "tests", "-x"],
        ["browser"],
        ["tests/slow", "tests/browser", "-x"],
    ]


def test_what_runs_afterwards_is_there():
    assert all((testing.ROOT / path).exists() for path in testing.AFTERWARDS)


@pytest.mark.parametrize(
    ("arguments", "codes", "result"),
    [
        ([], [5, 5], 5),  # no test at all
        ([], [0, 5], 5),  # no browser tests: not skipped in silence
        (["-k", "x"], [0, 5], 0),
        (["-k", "x"], [5, 0], 0),
        (["-k", "x"], [5, 5], 5),
        ([], [1], 1),
        ([], [0, 1], 1),
        (["-k", "x"], [5, 1], 1),
    ],
)
def test_the_exit_code_is_the_first_that_is_not_good(runs, arguments, codes, result):
    runs[1].extend(codes)
    assert testing.run(arguments) == result


def test_a_chosen_path_runs_alone(runs):
    asked, codes = runs
    codes += [0]
    assert testing.run(["tests/conftest.py", "-q"]) == 0
    assert asked == [["tests/conftest.py", "-q"]]


@pytest.mark.parametrize("forbidden", [True, False])
def test_what_one_process_compiles_serves_the_next(runs, monkeypatch, forbidden):
    """For the run alone, in a directory of its own, and only where bytecode would not be kept anyway."""
    seen = []

    def look(arguments):
        seen.append((os.environ.get("PYTHONDONTWRITEBYTECODE"), os.environ.get("PYTHONPYCACHEPREFIX")))
        assert forbidden is (seen[0][1] is not None and os.path.isdir(seen[0][1]))
        return 0

    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1" if forbidden else "")
    monkeypatch.setattr(sys, "dont_write_bytecode", forbidden)
    monkeypatch.setattr(testing, "_pytest", look)
    before = dict(os.environ)
    assert testing.run(["tests/conftest.py"]) == 0
    assert seen[0][0] == (None if forbidden else "")
    assert dict(os.environ) == before and not (seen[0][1] and os.path.exists(seen[0][1]))
