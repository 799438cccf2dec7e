"""What every live view promises, asked of each one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from shared.ports import LiveState
from shared.tasks import TaskStatus
from tests.contract.test_task_store import new


@contextlib.asynccontextmanager
async def watching(live: LiveState, task_id: str) -> AsyncIterator[asyncio.Queue[float]]:
    """The times at which a watcher is woken."""
    woken: asyncio.Queue[float] = asyncio.Queue()

    async def watch() -> None:
        async for _ in live.watch(task_id):
            woken.put_nowait(time.monotonic())

    task = asyncio.create_task(watch())
    try:
        yield woken
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def quickest(publish: Callable[[], Awaitable[None]], *watchers: asyncio.Queue[float]) -> float:
    """The seconds until the last of the watchers heard of a change, in the best of five.

    A look without news comes a second after the last, and this waits a moment only between changes: a watcher that
    nobody told would take longer in each of the five.
    """
    slowest = []
    for _ in range(5):
        await asyncio.sleep(0.1)
        for woken in watchers:
            while not woken.empty():
                woken.get_nowait()
        start = time.monotonic()
        await publish()
        async with asyncio.timeout(30):
            slowest.append(max([await woken.get() for woken in watchers]) - start)
    return min(slowest)


async def test_a_watcher_is_told_at_once_and_after_each_change(live: LiveState) -> None:
    task = new()
    async with watching(live, task.task_id) as woken:
        async with asyncio.timeout(30):
            await woken.get()
        assert await quickest(lambda: live.publish(replace(task, status=TaskStatus.PROCESSING)), woken) < 0.25


async def test_a_watcher_is_woken_every_second_without_news(live: LiveState) -> None:
    async with watching(live, "nobody") as woken:
        async with asyncio.timeout(30):
            times = [await woken.get() for _ in range(3)]
    assert all(after - before > 0.5 for before, after in itertools.pairwise(times))


async def test_a_watcher_hears_only_its_own_task(live: LiveState) -> None:
    async with watching(live, "mine") as woken:
        await asyncio.sleep(0.1)
        before = woken.qsize()
        for _ in range(10):
            await live.publish(new())
        await asyncio.sleep(0.2)
        assert woken.qsize() <= before + 1  # at most a tick


async def test_many_watchers_hear_one_change(live: LiveState) -> None:
    task = new()
    async with contextlib.AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(watching(live, task.task_id)) for _ in range(10)]
        assert await quickest(lambda: live.publish(task), *queues) < 0.5


async def test_a_bucket_gives_its_burst_then_its_rate(live: LiveState) -> None:
    waits = [await live.take("ann", 0.01, 4) for _ in range(6)]
    assert waits[:4] == [0.0] * 4
    assert all(50 < wait <= 100 for wait in waits[4:])
    assert await live.take("bob", 0.01, 4) == 0.0
    assert await live.take("eve", 2.0, 1) == 0.0
    wait = await live.take("eve", 2.0, 1)
    assert 0 <= wait <= 0.5
    await asyncio.sleep(0.55)
    assert await live.take("eve", 2.0, 1) == 0.0


async def test_a_burst_of_one_and_slow_rates(live: LiveState) -> None:
    assert await live.take("slow", 1 / 60, 1) == 0.0
    assert 55 < await live.take("slow", 1 / 60, 1) <= 60


async def test_it_is_up(live: LiveState) -> None:
    assert await live.is_up()
    await live.sync_active(["a", "b"])


async def test_a_closed_watch_leaves_nothing_behind(live: LiveState) -> None:
    moments = live.watch("task-1")
    await anext(moments)
    await moments.aclose()  # type: ignore[attr-defined]
    local = getattr(live, "_local", live)
    assert local._watchers == {}
    assert not getattr(live, "_watched", None)
