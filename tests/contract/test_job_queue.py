"""What every job queue promises, asked of each one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection

import pytest

from shared.ports import Hint, JobQueue
from shared.tasks import TaskKind
from tests.contract.conftest import OpenQueue

KIND = TaskKind.LAST_FRAME


class Listener:
    """A worker's end: collects hints until closed."""

    def __init__(self, queue: JobQueue, kinds: Collection[TaskKind], slots: int) -> None:
        self._hints = queue.hints(kinds, slots)
        self.next = self._hints.__anext__

    async def within(self, seconds: float) -> Hint | None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self.next()
        return None

    async def close(self) -> None:
        await self._hints.aclose()  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def listening(
    queue: JobQueue, kinds: Collection[TaskKind] = (KIND,), slots: int = 2
) -> AsyncIterator[asyncio.Queue[Hint]]:
    """Hints of one worker as they come."""
    arrived: asyncio.Queue[Hint] = asyncio.Queue()

    async def listen() -> None:
        async for hint in queue.hints(kinds, slots):
            arrived.put_nowait(hint)

    task = asyncio.create_task(listen())
    try:
        yield arrived
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def next_hint(arrived: asyncio.Queue[Hint], seconds: float = 30.0) -> Hint:
    async with asyncio.timeout(seconds):
        return await arrived.get()


async def hint_about(arrived: asyncio.Queue[Hint], task_id: str, seconds: float = 30.0) -> Hint:
    """The next hint that may mean this task; looks into the store count, other ids are answered."""
    async with asyncio.timeout(seconds):
        while True:
            hint = await arrived.get()
            if hint.task_id in (None, task_id):
                return hint
            hint.done()


async def settle_down(arrived: asyncio.Queue[Hint]) -> None:
    """Answers what a fresh listener is told at first, until nothing comes for longer than the first connect takes."""
    while True:
        try:
            (await next_hint(arrived, 0.35)).later(0)
        except TimeoutError:
            return


async def test_a_publish_wakes_a_worker_of_its_kind(open_queue: OpenQueue) -> None:
    api, worker = await open_queue(), await open_queue()
    async with listening(worker) as arrived:
        waits = []
        for number in range(4):
            await settle_down(arrived)
            start = time.monotonic()
            await api.publish(KIND, f"task-{number}")
            hint = await hint_about(arrived, f"task-{number}")
            waits.append(time.monotonic() - start)
            hint.done()
    assert min(waits) < 0.1  # a look without a hint comes half a second after the last


async def test_at_most_slots_hints_are_unanswered(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    async with listening(queue, slots=2) as arrived:
        for number in range(6):
            await queue.publish(KIND, f"task-{number}")
        first = [await next_hint(arrived), await next_hint(arrived)]
        await asyncio.sleep(0.8)
        assert arrived.empty()
        first[0].done()
        await next_hint(arrived)
        await asyncio.sleep(0.2)
        assert arrived.empty()


async def test_each_of_many_publishes_is_heard(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    waiting = {f"task-{number}" for number in range(20)}
    async with listening(queue, slots=3) as arrived:
        await asyncio.gather(*(queue.publish(KIND, task_id) for task_id in waiting))
        async with asyncio.timeout(30):
            while waiting:
                hint = await arrived.get()
                # A look into the store finds one task; a hint with an id means that one.
                waiting.discard(hint.task_id) if hint.task_id else waiting.pop()
                hint.done()


async def test_a_delayed_publish_comes_later(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    async with listening(queue) as arrived:
        await settle_down(arrived)
        start = time.monotonic()
        await queue.publish(KIND, "task-1", delay_seconds=1.0)
        while (hint := await next_hint(arrived)).task_id != "task-1" and time.monotonic() - start < 1.0:
            hint.later(0)
        assert time.monotonic() - start > 0.9
        hint.done()


async def test_a_hint_given_back_comes_again(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    async with listening(queue) as arrived:
        await queue.publish(KIND, "task-1")
        (await hint_about(arrived, "task-1")).later(0.2)
        (await hint_about(arrived, "task-1")).done()


async def test_answers_may_be_repeated_and_late(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    async with listening(queue, slots=1) as arrived:
        await queue.publish(KIND, "task-1")
        hint = await next_hint(arrived)
        hint.done()
        hint.done()
        hint.later(0)
        await queue.publish(KIND, "task-2")
        late = await next_hint(arrived)
        await asyncio.sleep(0.1)
        assert arrived.empty()  # the repeated answers did not make a second slot
    late.done()
    late.later(0.1)
    await asyncio.sleep(0.2)


async def test_dead_letters_are_listed_and_taken(open_queue: OpenQueue) -> None:
    queue = await open_queue()
    assert await queue.dead_letters() == []
    await queue.bury(KIND, "task-1", "media_crashed: three attempts")
    await queue.bury(TaskKind.VIDEO_STITCH, "task-2", "timeout")
    async with asyncio.timeout(30):
        while len(letters := await queue.dead_letters()) < 2:
            await asyncio.sleep(0.05)
    assert [(letter.task_id, letter.kind) for letter in letters] == [
        ("task-1", KIND),
        ("task-2", TaskKind.VIDEO_STITCH),
    ]
    assert letters[0].reason == "media_crashed: three attempts"
    assert await queue.dead_letters() == letters
    assert await queue.take_dead_letters(1) == letters[:1]
    assert await queue.take_dead_letters() == letters[1:]
    assert await queue.dead_letters() == []


async def test_it_is_up(open_queue: OpenQueue) -> None:
    assert await (await open_queue()).is_up()


async def test_the_local_queue_is_quiet_when_the_store_had_nothing(local_queue: JobQueue) -> None:
    async with listening(local_queue, slots=4) as arrived:
        await asyncio.sleep(0.05)
        looks = 0
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                (await next_hint(arrived, 0.1)).later(0)
                looks += 1
        # a worker that takes hints into tasks of its own looks with every free slot, twice a second
        assert 2 <= looks <= 4 * 4


async def test_the_local_queue_looks_again_at_once_after_work(local_queue: JobQueue) -> None:
    async with listening(local_queue, slots=1) as arrived:
        start = time.monotonic()
        for _ in range(20):
            (await next_hint(arrived)).done()
        assert time.monotonic() - start < 3  # twenty looks half a second apart would take ten


@pytest.mark.parametrize("kind", [TaskKind.AUDIO_STITCH])
async def test_the_local_queue_does_not_wake_other_kinds(local_queue: JobQueue, kind: TaskKind) -> None:
    async with listening(local_queue) as arrived:
        waits = []
        for number in range(4):
            await settle_down(arrived)
            start = time.monotonic()
            await local_queue.publish(kind, f"task-{number}")
            (await next_hint(arrived)).later(0)
            waits.append(time.monotonic() - start)
    assert max(waits) > 0.1  # the tick, not the ring
