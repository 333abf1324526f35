"""From a bare Python to the locked environment: pip brings uv, uv brings the rest, and we start over inside it.

Standard library only. Nothing outside the checkout is touched (but for a checkout that this user may not write, whose
environment goes to the user's cache).
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "uv.lock"
NEEDED = ("django", "celery", "channels", "psycopg", "uvicorn", "structlog", "autogen_agentchat")
NEEDED_BY = {"test": ("pytest", "pytest_django", "xdist", "playwright")}
_GUARD = "SAYSO_BOOTSTRAPPED"


def home() -> Path:
    """The directory that holds the environment and uv."""
    if os.access(ROOT, os.W_OK):
        return ROOT
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "sayso", hashlib.sha256(str(ROOT).encode()).hexdigest()[:12])


def enter(arguments: list[str]) -> None:
    """Return inside an environment that has what the command needs; otherwise make it and replace this process.

    Exits with 2 and one line where that is impossible.
    """
    command = arguments[0] if arguments else ""
    missing = [name for name in (*NEEDED, *NEEDED_BY.get(command, ())) if importlib.util.find_spec(name) is None]
    environment = home() / ".venv"
    inside = Path(sys.prefix).resolve() == environment.resolve()
    if not missing and not (inside and _outdated(environment)):
        return
    if os.environ.get(_GUARD) == str(os.getpid()):  # exec keeps the process id: we have just been here
        _refuse(f"the environment in {environment} is still without {', '.join(missing)}: remove it, then try again")
    try:
        if not _current(environment):
            _make(environment)
    except OSError as error:
        _refuse(f"cannot write the environment to {error.filename or environment}: {error.strerror}")
    os.environ[_GUARD] = str(os.getpid())
    python = str(environment / "bin" / "python")
    os.execv(python, [python, str(ROOT / "manage.py"), *arguments])  # noqa: S606


def _stamp(environment: Path) -> Path:
    return environment / ".sayso-lock"


def _digest() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def _current(environment: Path) -> bool:
    """Whether the environment was made from this very lock, to the end."""
    try:
        return _stamp(environment).read_text() == _digest() and (environment / "bin" / "python").exists()
    except OSError:
        return False


def _outdated(environment: Path) -> bool:
    """Whether we made this environment from another lock (one made by hand is its maker's business)."""
    return _stamp(environment).exists() and not _current(environment)


def _make(environment: Path) -> None:
    environment.parent.mkdir(parents=True, exist_ok=True)
    with open(environment.parent / ".uv.lock-held", "w", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # two commands on a fresh checkout: the second waits, and finds it done
        if _current(environment):
            return
        print("Installing what Sayso needs (once, about 100 MB) ...", file=sys.stderr, flush=True)
        uv = _uv(environment.parent / ".uv")
        _run(
            [uv, "sync", "--locked", "--quiet", "--project", str(ROOT), "--python", sys.executable],
            {"UV_PROJECT_ENVIRONMENT": str(environment), "UV_SYSTEM_CERTS": "1", "VIRTUAL_ENV": ""},
            "cannot install the packages",
        )
        _stamp(environment).write_text(_digest())


def _uv(directory: Path) -> str:
    """uv's path: the one on PATH, the one of an earlier time, or a new one by pip."""
    found = shutil.which("uv")
    if found:
        return found
    uv = directory / "bin" / "uv"
    if not uv.exists():
        if importlib.util.find_spec("pip") is None:
            _refuse("this Python has no pip: install it (on Debian: apt-get install python3-pip), then try again")
        _run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2",
             "--target", str(directory), "uv>=0.9"],
            {"PIP_ROOT_USER_ACTION": "ignore", "PIP_USER": "0"},
            "cannot install uv",
        )  # fmt: skip
    return str(uv)


def _run(argv: list[str], extra: dict[str, str], trouble: str) -> None:
    done = subprocess.run(
        argv, env={**os.environ, **extra}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = " ".join(lines)
        if any(
            sign in said.lower()
            for sign in ("connection", "network", "dns", "resolve", "timed out", "no matching distr")
        ):
            trouble += " (is there a network?)"
        _refuse(f"{trouble}: {lines[-1] if lines else f'{argv[0]} ended with {done.returncode}'}")


def _refuse(line: str) -> NoReturn:
    sys.stderr.write(f"Sayso: {line}\n")
    sys.exit(2)
