"""The loop counts exactly."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from console.durable import DropTornDown, Loop
from console.durable.loop import TRACKED, Tracked


class Probe(Tracked):
    """Notes each time it settles, and does what it is told then."""

    def __init__(self) -> None:
        super().__init__()
        self.settled: list[str] = []
        self.doing = ""
        self.then: list[Callable[[], object]] = []

    def on_settled(self) -> None:
        self.settled.append(self.doing)
        if self.then:
            self.then.pop(0)()

    def start(self, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        context = contextvars.Context()
        context.run(TRACKED.set, self)
        return asyncio.get_running_loop().create_task(coro, context=context)


def on_loop(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main())


def test_settles_only_when_nothing_can_move() -> None:
    async def main() -> None:
        probe = Probe()
        gate = asyncio.get_running_loop().create_future()

        async def deep(levels: int) -> None:
            for step in range(20):
                probe.doing = f"{levels}.{step}"
                await asyncio.sleep(0)
            if levels:
                await asyncio.gather(*(asyncio.create_task(deep(levels - 1)) for _ in range(3)))
            else:
                await gate

        task = probe.start(deep(3))
        probe.then = [lambda: gate.set_result(None)]
        await task
        assert len(probe.settled) >= 1
        assert probe.settled[0] == "0.19"  # every branch had come to its end before the first word of it
        assert probe.ready == 0

    on_loop(main)


def test_a_cancelled_callback_is_counted_off_once() -> None:
    async def main() -> None:
        probe = Probe()

        async def team() -> None:
            loop = asyncio.get_running_loop()
            handle = loop.call_soon(lambda: pytest.fail("was cancelled"))
            assert not handle.cancelled()
            handle.cancel()
            handle.cancel()
            assert handle.cancelled()
            ran = loop.call_soon(lambda: None)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ran.cancel()
            assert not ran.cancelled()

        await probe.start(team())
        assert probe.ready == 0

    on_loop(main)


def test_cancelling_the_last_callback_from_outside_settles() -> None:
    async def main() -> None:
        probe = Probe()
        context = contextvars.Context()
        context.run(TRACKED.set, probe)
        heard = asyncio.get_running_loop().create_future()
        probe.then = [lambda: heard.set_result(None)]
        asyncio.get_running_loop().call_soon(lambda: pytest.fail("was cancelled"), context=context).cancel()
        await heard
        assert probe.ready == 0

    on_loop(main)


def test_timeouts_of_no_time_at_all() -> None:
    async def main() -> None:
        probe = Probe()

        async def team() -> str:
            try:
                async with asyncio.timeout(0):
                    await asyncio.get_running_loop().create_future()
            except TimeoutError:
                pass
            async with asyncio.timeout(0):
                pass  # left before its callback runs
            return "done"

        assert await probe.start(team()) == "done"
        assert probe.ready == 0

    on_loop(main)


def test_threads_and_timers_are_not_counted_and_do_not_disturb() -> None:
    async def main() -> None:
        probe = Probe()

        async def team() -> int:
            await asyncio.sleep(0.001)
            return await asyncio.to_thread(lambda: 7)

        assert await probe.start(team()) == 7
        assert probe.ready == 0
        assert len(probe.settled) >= 2

    on_loop(main)


def test_a_raising_callback_is_counted_off_and_reported() -> None:
    async def main() -> list[str]:
        probe = Probe()
        said: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: said.append(str(context["exception"])))
        context = contextvars.Context()
        context.run(TRACKED.set, probe)

        def fail() -> None:
            raise ValueError("real")

        loop.call_soon(fail, context=context)
        await asyncio.sleep(0)
        assert probe.ready == 0
        probe.closed = True
        loop.call_soon(fail, context=context)
        await asyncio.sleep(0)
        assert probe.ready == 0
        return said

    assert on_loop(main) == ["real"]


def test_every_task_of_a_run_is_found() -> None:
    async def main() -> None:
        probe = Probe()
        never = asyncio.get_running_loop().create_future()

        async def leaf() -> None:
            await never

        async def team() -> None:
            asyncio.get_running_loop().create_task(leaf(), context=contextvars.copy_context())
            async with asyncio.TaskGroup() as group:
                group.create_task(leaf())
                asyncio.ensure_future(leaf())
                outside = contextvars.Context()
                foreign = asyncio.get_running_loop().create_task(leaf(), context=outside)
                assert foreign not in probe.tasks
                foreign.cancel()

        main_task = probe.start(team())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks = list(probe.tasks)
        assert main_task in tasks and len(tasks) == 4
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)
        del tasks, main_task, task
        gc.collect()

    on_loop(main)


def test_the_filter_drops_what_torn_down_runs_say() -> None:
    record = logging.LogRecord("x", logging.ERROR, "p", 1, "m", None, None)
    probe = Probe()
    context = contextvars.Context()
    context.run(TRACKED.set, probe)
    assert DropTornDown().filter(record)
    assert context.run(DropTornDown().filter, record)
    probe.closed = True
    assert not context.run(DropTornDown().filter, record)


def test_work_in_a_thread_is_waited_for() -> None:
    async def main() -> None:
        probe = Probe()
        loop = asyncio.get_running_loop()
        go = threading.Event()

        async def run() -> None:
            probe.doing = "in the thread"
            outcome = await loop.run_in_executor(None, go.wait, 10)
            probe.doing = f"out of it: {outcome}"

        task = probe.start(run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert probe.settled == []  # a thread has its word: it is not settled, however long it takes
        go.set()
        await task
        assert probe.settled and set(probe.settled) == {"out of it: True"}
        assert probe.ready == 0

    on_loop(main)


def test_work_in_a_thread_that_is_given_up_is_counted_off_once() -> None:
    async def main() -> None:
        probe = Probe()
        loop = asyncio.get_running_loop()
        go = threading.Event()

        async def run() -> None:
            await loop.run_in_executor(None, go.wait, 10)

        task = probe.start(run())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go.set()
        await loop.run_in_executor(None, int)
        assert probe.ready == 0

    on_loop(main)
