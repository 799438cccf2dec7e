"""The live view within one process. Watchers in other processes fall back to the tick of one second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection

from shared.backends.gcra import LocalBuckets
from shared.tasks import Task

TICK_SECONDS = 1.0


class MemoryLive:
    """`LiveState` without a server."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._buckets = LocalBuckets()

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def publish(self, task: Task) -> None:
        self.wake(task.task_id)

    async def forget(self, task_id: str) -> None:
        self.wake(task_id)

    def wake(self, task_id: str) -> None:
        for changed in self._watchers.get(task_id, ()):
            changed.set()

    async def watch(self, task_id: str) -> AsyncGenerator[None, None]:
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(task_id, set())
        watchers.add(changed)
        try:
            while True:
                changed.clear()
                yield None
                try:
                    async with asyncio.timeout(TICK_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            watchers.discard(changed)
            if not watchers and self._watchers.get(task_id) is watchers:
                del self._watchers[task_id]

    async def take(self, bucket: str, rate_per_second: float, burst: int) -> float:
        return self._buckets.take(bucket, rate_per_second, burst)

    async def sync_active(self, active: Collection[str]) -> list[str]:
        return []

    async def is_up(self) -> bool:
        return True
