"""``manage.py up``: every process of an instance under one roof.

Order: lock the data directory, take the port, keys, stores, roles, migrations, demo; then web, workers, beat and the demo
model. Each is ready before the next starts. On the way out the applications stop before the stores.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.up import banner, history, instance, places, roles, workers
from console.up.bootstrap import ROOT
from console.up.child import Child
from console.up.listen import free_port, listener
from console.up.logs import Log
from console.up.places import Refused
from console.up.processes import leash
from console.up.stores import SUPERUSER, Postgres, Valkey

PATIENCE = 2.6  # seconds for applications to stop; with the stores' it stays under five
STORE_PATIENCE = 1.2


@dataclass(frozen=True)
class Options:
    """The command line of ``up``."""

    host: str
    port: int
    data: Path
    workers: int
    demo: bool
    queues: Mapping[str, int]  # how many workers are dedicated to a queue, besides the general ones


def run(options: Options) -> int:
    """Run an instance until it is told to stop; returns the exit code. Raises Refused before anything has started."""
    held = instance.open_directory(options.data)
    try:
        door = listener(options.host, options.port)
        with door:
            return asyncio.run(Supervisor(options, door).main())
    finally:
        held.close()


class Supervisor:
    """Holds the children of one instance."""

    def __init__(self, options: Options, door: socket.socket) -> None:
        self.options, self.door = options, door
        self.data = options.data
        self.url = f"http://{'127.0.0.1' if options.host == '0.0.0.0' else options.host}:{options.port}"  # noqa: S104
        self.log = Log()
        self.stores: list[Child] = []
        self.applications: list[Child] = []
        self.env: dict[str, str] = {}  # what distinguishes this instance; saved for other commands
        self.own_database = not _given("DATABASE_URL")
        self.own_broker = not _given("REDIS_URL")
        self.making: asyncio.Task[None] | None = None  # of the demo's history
        self.demo = options.demo and self.own_database and self.own_broker  # seeded only where we own the stores

    async def main(self) -> int:
        """Start everything, wait for a signal, stop everything."""
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        hurry = asyncio.Event()

        def on_signal() -> None:
            if told.is_set():
                hurry.set()
            told.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, on_signal)
        starting = asyncio.create_task(self.start())
        stop = asyncio.create_task(told.wait())
        code = 0
        try:
            await asyncio.wait([starting, stop], return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stop
        except (Refused, OSError) as error:
            self.log.open(replay=True)
            sys.stderr.write(f"Sayso: {error}\n")
            code = 1
        finally:
            starting.cancel()
            await asyncio.wait([starting])
            stop.cancel()
            await self.stop(hurry)
        return code

    async def start(self) -> None:
        """Bring it all up. Raises Refused."""
        marks = [("", time.monotonic())]

        def mark(stage: str) -> None:
            marks.append((stage, time.monotonic()))

        self.env.update(instance.keys(self.data))
        self._progress("stores")
        await asyncio.gather(self._database(), self._broker())
        mark("stores")
        self._progress("migrations")
        self.env.update(SAYSO_URL=self.url, SAYSO_DATA=str(self.data))
        last = instance.load(self.data)
        demo_port = 0
        if self.demo:
            demo_port = free_port(last.get("demo_model_port"))
            # One machine, one person: MCP servers may be started here. Elsewhere their commands are named one by one.
            self.env.setdefault("SAYSO_COMMANDS_ALLOW", "*")
            self.env["SAYSO_DEMO_MODEL_URL"] = f"http://127.0.0.1:{demo_port}/v1"
        instance.save(
            self.data, {"url": self.url, "pid": os.getpid(), "env": self.env, "demo_model_port": demo_port or None}
        )
        await self._command("prepare_database", "--no-roles", "-v", "0")
        mark("migrations")
        seeded, past = None, None
        if self.demo:
            self._progress("demo")
            seeded = json.loads(await self._command("demo", "--seed", "--json"))
            past = await self._history()
            mark("demo")
        self._progress("processes")
        await self._applications(demo_port)
        mark("processes")
        self.log.write(banner.text(self.url, self.data, seeded, self.options.workers, self.options.queues))
        self.log.open(replay=False)
        took = ", ".join(
            f"{stage} {at - before:.1f}" for (_, before), (stage, at) in zip(marks, marks[1:], strict=False)
        )
        self.log.line("up", f"ready after {time.monotonic() - marks[0][1]:.1f} s ({took}); Ctrl-C stops it")
        if past is not None:
            self.making = asyncio.create_task(self._make(past))
        gc.collect()

    async def _history(self) -> history.History | None:
        """Whose making begins with a copy of the database while nobody else is at it; None where there is none to make."""
        if not history.wanted():
            return None
        found = history.History(self.data)
        try:
            return found if await asyncio.to_thread(found.begin) else None
        except Refused as error:
            self.log.line("history", str(error))
            return None

    async def _make(self, past: history.History) -> None:
        self.log.line("history", "the demo's past weeks are being made, in the background")
        try:
            self.log.line("history", f"the demo has a past: {await past.make(self._command)}")
        except (Refused, OSError) as error:
            self.log.line("history", f"{error}; the next start tries again")

    @staticmethod
    def _progress(stage: str) -> None:
        """Standard error only: the first lines of standard output are the banner."""
        sys.stderr.write(f"Starting Sayso: {stage} ...\n")
        sys.stderr.flush()

    async def _database(self) -> None:
        if not self.own_database:
            url = os.environ.get("DATABASE_URL") or Path(os.environ["DATABASE_URL_FILE"]).read_text().strip()
            await asyncio.to_thread(roles.make, url)
            return
        runtime = places.runtime(self.data)
        postgres = Postgres(places.database_directory(self.data), runtime / "pg")
        await self._store(postgres)
        await asyncio.to_thread(roles.make, postgres.url(SUPERUSER, "postgres"), database="sayso")
        self.env["DATABASE_URL"] = postgres.url("sayso_app")
        self.env["SAYSO_OWNER_DATABASE_URL"] = postgres.url("sayso_owner")

    async def _broker(self) -> None:
        if self.own_broker:
            valkey = Valkey(self.data / "valkey", places.runtime(self.data))
            await self._store(valkey)
            await asyncio.to_thread(
                valkey.forget, "sayso:worker:*"
            )  # workers of an earlier time are not there any more
            self.env["REDIS_URL"] = valkey.url

    async def _store(self, store: Postgres | Valkey) -> None:
        await asyncio.to_thread(store.prepare)
        command = store.command()
        child = Child(
            command.name, command.argv, self.log, env=command.env, cwd=command.cwd, ids=command.ids,
            ready=_in_thread(store.ready), before=store.prepare, stop_signal=command.stop, death_signal=command.death,
            last_signal=signal.SIGQUIT if command.name == "postgres" else signal.SIGKILL,
        )  # fmt: skip
        self.stores.append(child)
        await child.start()

    async def _applications(self, demo_port: int) -> None:
        python = sys.executable
        manage = [python, str(ROOT / "manage.py")]
        children: list[Child] = []
        if self.demo:
            children.append(
                self._application("model", [*manage, "demo_model", "--port", str(demo_port)], _listening(demo_port))
            )
        web = [python, "-m", "console.web", "--fd", str(self.door.fileno()), "--grace", "1"]
        children.append(self._application("web", web, self._answers("/healthz"), pass_fds=[self.door.fileno()]))
        for name, argv in workers.commands(self.options.workers, self.options.queues).items():
            children.append(self._application(name, argv))
        beat = [*workers.CELERY, "beat", "-l", "info", "--pidfile=", "-s", str(self.data / "beat-schedule")]
        children.append(self._application("beat", beat))
        self.applications = children
        await asyncio.gather(*(child.start() for child in children))
        await self._wait_until_ready()

    async def _wait_until_ready(self, seconds: float = 300) -> None:
        """Until /readyz says that database, broker and a worker are there. Raises Refused with what it says."""
        deadline = time.monotonic() + seconds
        ready = self._answers("/readyz")
        while not await ready():
            if time.monotonic() > deadline:
                raise Refused(
                    f"{self.url}/readyz is not satisfied after {seconds:.0f} s; see its answer and the log above"
                )
            await asyncio.sleep(0.05)

    def _application(
        self, name: str, argv: list[str], ready: Any = None, pass_fds: tuple[int, ...] | list[int] = ()
    ) -> Child:
        return Child(name, argv, self.log, env=self._environ(), cwd=str(ROOT), ready=ready, pass_fds=pass_fds)

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ,
            **self.env,
            "DJANGO_SETTINGS_MODULE": "console.settings",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
        }

    async def _command(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        """Run one management command to its end and return its output. Raises Refused when it fails.

        ``env`` has what is different for it alone.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "manage.py"), *arguments,
            cwd=str(ROOT), env={**self._environ(), **(env or {})}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, preexec_fn=leash(),
        )  # fmt: skip
        try:
            out, err = await process.communicate()
        except asyncio.CancelledError:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        for line in err.decode(errors="replace").splitlines():
            self.log.line(arguments[0], line)
        if process.returncode:
            raise Refused(f"`manage.py {' '.join(arguments)}` ended with code {process.returncode}")
        return out.decode()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Applications first, then stores; a second signal makes it at once."""
        self.log.line("up", "stopping")
        if self.making is not None:
            self.making.cancel()
            await asyncio.wait([self.making])
        for child in (*self.applications, *self.stores):
            child.stopping = True

        async def all_of(children: list[Child], seconds: float) -> None:
            await asyncio.gather(*(child.stop(0.05 if hurry.is_set() else seconds) for child in children))

        await all_of(self.applications, PATIENCE)
        await all_of(self.stores, STORE_PATIENCE)
        self.log.line("up", "stopped")

    def _answers(self, path: str) -> Callable[[], Any]:
        address = f"{self.url}{path}"

        def ask() -> bool:
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - our own http address
                    return bool(answer.status == 200)
            except (urllib.error.URLError, OSError):
                return False

        return _in_thread(ask)


def _given(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def _in_thread(probe: Callable[[], bool]) -> Callable[[], Any]:
    async def ask() -> bool:
        return await asyncio.to_thread(probe)

    return ask


def _listening(port: int) -> Callable[[], Any]:
    def probe() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True

    return _in_thread(probe)
