"""A runner on the embedded backends, with jobs made up by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from shared.backends.embedded.file_objects import FileObjects
from shared.backends.embedded.local_queue import LocalQueue
from shared.backends.embedded.memory_live import MemoryLive
from shared.backends.embedded.sqlite_store import SqliteStore
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits
from shared.jobs.ledger import Ledger
from shared.jobs.runner import Job, Runner, RunnerSettings
from shared.ports import SourceOpener
from shared.tasks import Submission, Success, Task, TaskKind

KIND = TaskKind.LAST_FRAME


class Meddled:
    """Any port, with some methods replaced: `Meddled(store, settle=fake)`; a fake is given the real method first."""

    def __init__(self, real: Any, **fakes: Callable[..., Awaitable[Any]]) -> None:
        self._real = real
        self._fakes = fakes
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if not callable(real):
            return real
        fake = self._fakes.get(name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            return real(*arguments, **options) if fake is None else fake(real, *arguments, **options)

        return call


@dataclass
class House:
    ledger: Ledger
    objects: FileObjects
    directory: Path

    @property
    def scratch(self) -> Path:
        return self.directory / "scratch"

    @property
    def results(self) -> set[str]:
        return {path.name for path in (self.directory / "media").iterdir() if path.is_file()}

    async def submit(self, **options: Any) -> Task:
        return await self.ledger.submit(Submission(KIND, "tests", {"video_url": "http://a/b"}, options))

    async def ended(self, task: Task, seconds: float = 30.0) -> Task:
        async with asyncio.timeout(seconds):
            async for seen in self.ledger.watch(task.task_id, None):
                last = seen
        return last

    async def get(self, task: Task) -> Task:
        return await self.ledger.get(task.task_id, None)

    def runner(self, job: Job, *, slots: int = 2, **more: Any) -> Runner:
        deadline = more.pop("deadline_seconds", 30.0)
        limits = JobLimits(max_input_bytes=1000, max_duration_seconds=10.0, deadline_seconds=deadline, threads=1)
        return Runner(
            self.ledger,
            cast("Mapping[TaskKind, Job]", {KIND: job}),
            RunnerSettings("worker", slots, self.scratch, limits, **more),
            opener=cast("SourceOpener", None),
            children=cast("ChildPool", None),
            objects=self.objects,
        )

    @asynccontextmanager
    async def running(self, job: Job, **options: Any) -> AsyncIterator[Runner]:
        runner = self.runner(job, **options)
        loop = asyncio.create_task(runner.run())
        try:
            yield runner
            await runner.drain(0.0)
            await loop
        finally:
            loop.cancel()


@asynccontextmanager
async def open_house(directory: Path) -> AsyncIterator[House]:
    store = SqliteStore(directory / "tasks.db")
    queue = LocalQueue(directory / "queue")
    live = MemoryLive()
    objects = FileObjects(directory / "media", "http://media")
    for port in (store, queue, live, objects):
        await port.open()
    ledger = Ledger(store, queue, live)
    try:
        yield House(ledger, objects, directory)
    finally:
        await ledger.close()
        for port in (objects, live, queue, store):
            await port.close()


async def make_result(context: JobContext, name: str | None = None) -> Success:
    """A job that stores one small file."""
    (context.scratch / "out.jpg").write_bytes(b"picture")
    url = await context.publish("out.jpg", name or f"{context.task.task_id}.jpg", "image/jpeg")
    return Success({"image_url": url}, {"width": 1})
