"""One supervised process: started, watched, restarted with backoff, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from console.up.logs import Log
from console.up.places import Refused
from console.up.processes import leash

FIRST_DELAY, LONGEST_DELAY = 0.3, 15.0  # seconds between a death and the next start; doubles
STEADY_AFTER = 10.0  # a process that lived this long starts over at the first delay

Ready = Callable[[], Awaitable[bool]]


class Child:
    """A process of the instance. ``ready`` says when the next may start; None: as soon as it exists."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Log,
        *,
        env: Mapping[str, str],
        cwd: str,
        ready: Ready | None = None,
        before: Callable[[], None] | None = None,
        stop_signal: int = signal.SIGTERM,
        death_signal: int = signal.SIGKILL,
        last_signal: int = signal.SIGKILL,
        pass_fds: Sequence[int] = (),
        ids: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.argv, self.log, self.env, self.cwd = name, list(argv), log, dict(env), cwd
        self.ready, self.before = ready, before
        self.stop_signal, self.death_signal, self.last_signal = stop_signal, death_signal, last_signal
        self.pass_fds, self.ids = tuple(pass_fds), dict(ids or {})
        self.process: asyncio.subprocess.Process | None = None
        self.stopping = False
        self._watcher: asyncio.Task[None] | None = None
        self._follower: asyncio.Task[None] | None = None

    async def start(self, seconds: float = 300) -> None:
        """Start it and return when it is ready; from then on it is restarted when it dies.

        Raises Refused when it ends, or is not ready within ``seconds``.
        """
        await self._spawn()
        deadline = time.monotonic() + seconds
        while self.ready is not None and not await self.ready():
            if self._running().returncode is not None:
                await self._drained()
                raise Refused(f"{self.name} ended with code {self._running().returncode} while starting")
            if time.monotonic() > deadline:
                raise Refused(f"{self.name} was not ready within {seconds:.0f} s")
            await asyncio.sleep(0.03)
        self._watcher = asyncio.create_task(self._watch())

    async def _spawn(self) -> None:
        if self.before is not None:
            await asyncio.to_thread(self.before)
        self.process = await asyncio.create_subprocess_exec(
            *self.argv,
            cwd=self.cwd,
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=leash(self.death_signal),
            pass_fds=self.pass_fds,
            limit=256 * 1024,
            **self.ids,
        )
        if self.process.stdout is not None:
            self._follower = asyncio.create_task(self.log.follow(self.name, self.process.stdout))

    def _running(self) -> asyncio.subprocess.Process:
        if self.process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self.process

    async def _watch(self) -> None:
        delay = FIRST_DELAY
        while True:
            born = time.monotonic()
            code = await self._running().wait()
            if self.stopping:
                return
            delay = FIRST_DELAY if time.monotonic() - born > STEADY_AFTER else delay
            how = f"signal {-code}" if code < 0 else f"code {code}"
            self.log.line(self.name, f"-- ended with {how}; starting it again in {delay:.1f} s")
            await asyncio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)
            while True:
                try:
                    await self._spawn()
                    break
                except (OSError, Refused) as error:
                    self.log.line(self.name, f"-- cannot start: {error}; again in {delay:.1f} s")
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, LONGEST_DELAY)

    async def stop(self, seconds: float) -> None:
        """Ask it to stop; after ``seconds`` make it."""
        self.stopping = True
        process = self.process
        if process is None:
            return
        if process.returncode is not None:
            if self._watcher is not None:
                self._watcher.cancel()
            await self._drained()
            return
        self._signal(self.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            self.log.line(self.name, f"-- did not stop within {seconds:.1f} s: ended by force")
            self._signal(self.last_signal)
            try:
                await asyncio.wait_for(process.wait(), 0.5)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await process.wait()
        await self._drained()

    def _signal(self, number: int) -> None:
        """To the whole group when it is by force; politely only to the process, which tells its own."""
        pid = self._running().pid
        try:
            if number == signal.SIGKILL:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
        except ProcessLookupError:
            return

    async def _drained(self) -> None:
        """Wait for its last lines, unless a grandchild keeps the pipe."""
        if self._follower is not None:
            await asyncio.wait([self._follower], timeout=0.3)
            self._follower.cancel()
