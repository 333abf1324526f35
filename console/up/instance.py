"""The data directory of one instance: its lock, its keys, and ``instance.json`` by which other commands find it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any, TextIO

from console.up.places import Refused

STATE = "instance.json"
KEYS = {"SAYSO_SECRET_KEY": "secret.key", "SAYSO_MASTER_KEY": "master.key"}


def open_directory(data: Path) -> TextIO:
    """Make ``data`` where missing and take its lock, held as long as the returned file is open. Raises Refused."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        if data.stat().st_uid == os.getuid():
            data.chmod(0o711 if os.getuid() == 0 else 0o700)  # as root, Postgres's user passes through to its own files
        held = open(data / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - the caller keeps it open
    except OSError as error:
        raise Refused(f"cannot use the data directory {data}: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.seek(0)
        who = held.read().strip()
        held.close()
        raise Refused(
            f"the data directory {data} is in use by process {who or 'unknown'}: stop it, or give --data"
        ) from error
    held.truncate(0)
    held.write(str(os.getpid()))
    held.flush()
    return held


def keys(data: Path) -> dict[str, str]:
    """The environment that names this instance's keys; made now, readable by us alone, unless given from outside."""
    found: dict[str, str] = {}
    for name, file in KEYS.items():
        if name in os.environ or f"{name}_FILE" in os.environ:
            continue
        path = data / file
        if not path.exists():
            _write(path, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() + "\n")
        elif stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        found[f"{name}_FILE"] = str(path)
    return found


def save(data: Path, state: dict[str, Any]) -> None:
    """Write ``instance.json``: ``{"url", "pid", "env", "demo_model_port"}``."""
    _write(data / STATE, json.dumps(state, indent=2) + "\n")


def load(data: Path) -> dict[str, Any]:
    """The last saved state, or an empty one. Raises Refused when the file is damaged."""
    try:
        state = json.loads((data / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Refused(f"cannot read {data / STATE}: {error}") from error
    return state if isinstance(state, dict) else {}


def exists(data: Path) -> bool:
    """Whether an instance was ever started there."""
    return (data / STATE).exists()


def running(data: Path) -> bool:
    """Whether a supervisor holds the lock of the instance there."""
    try:
        with open(data / "lock", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def adopt(data: Path) -> None:
    """Put the environment of the instance at ``data`` in place of ours. Raises Refused when there is none."""
    if not exists(data):
        raise Refused(f"there is no instance in {data}: start it with `manage.py up --data {data}`")
    env = load(data).get("env", {})
    for name in env:
        os.environ.pop(name.removesuffix("_FILE"), None)
        os.environ.pop(f"{name.removesuffix('_FILE')}_FILE", None)
    os.environ.update(env)


def _write(path: Path, text: str) -> None:
    """Whole or not at all, readable by us alone."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    scratch.replace(path)
