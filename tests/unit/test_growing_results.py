"""A result is given to the store when its step begins, and is shown only when the job publishes it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from shared.errors import MediaCrashed, Unavailable
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits, Upload
from shared.ports import ObjectStore, SourceOpener
from shared.tasks import Task, TaskKind, TaskStatus

RESULTS: list[Upload] = [("full.mp4", "full-id.mp4", "video/mp4"), ("sound.mp3", "sound-id.mp3", "audio/mpeg")]


class Store:
    """Tells what became of each put; those of files that are not written yet fail with `fault`, if any."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.begun: list[str] = []
        self.given_up: list[str] = []
        self.deleted: list[str] = []
        self.stored: dict[str, bytes] = {}

    async def put(self, path: Path, name: str, content_type: str, *, written: asyncio.Event | None = None) -> str:
        self.begun.append(name)
        if written is not None:
            if self.fault is not None:
                raise self.fault
            try:
                await written.wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                self.given_up.append(name)
                raise
        self.stored[name] = path.read_bytes()
        return f"http://media/{name}"

    async def delete(self, name: str) -> None:
        self.deleted.append(name)


class Children:
    """Runs a step here, in the event loop."""

    async def run(self, step: Any, *, scratch: Path, **_: Any) -> Any:
        return await step(scratch)


def job(scratch: Path, store: Store, fence: int = 1) -> JobContext:
    now = datetime.now(UTC)
    return JobContext(
        Task("id", TaskKind.MOVIE_ASSEMBLY, "owner", TaskStatus.PROCESSING, now, now, fence=fence),
        scratch,
        opener=cast("SourceOpener", None),
        children=cast("ChildPool", Children()),
        objects=cast("ObjectStore", store),
        limits=JobLimits(1000, 10.0, 30.0, 1),
        report=lambda phase, progress: None,
    )


async def write(scratch: Path) -> None:
    await asyncio.sleep(0.01)
    for name, _, _ in RESULTS:
        (scratch / name).write_bytes(name.encode())


async def test_sending_begins_with_the_step_and_ends_with_publishing(tmp_path: Path) -> None:
    store = Store()
    context = job(tmp_path, store, fence=2)
    await context.run(write, grows=RESULTS)
    assert store.begun == ["full-id-2.mp4", "sound-id-2.mp3"]
    assert store.stored == {}
    urls = await context.publish_all(*RESULTS)
    assert urls == ["http://media/full-id-2.mp4", "http://media/sound-id-2.mp3"]
    assert store.stored == {"full-id-2.mp4": b"full.mp4", "sound-id-2.mp3": b"sound.mp3"}
    await context.withdraw()
    await context.close()
    assert (store.begun, store.deleted) == (["full-id-2.mp4", "sound-id-2.mp3"],) * 2


@pytest.mark.parametrize("end", ["withdraw", "close"])
async def test_a_job_that_does_not_publish_gives_up_what_is_being_sent(tmp_path: Path, end: str) -> None:
    async def fail(scratch: Path) -> None:
        await write(scratch)
        raise MediaCrashed("the decoder stopped")

    store = Store()
    context = job(tmp_path, store)
    with pytest.raises(MediaCrashed):
        await context.run(fail, grows=RESULTS)
    await getattr(context, end)()
    assert store.given_up == store.begun == ["full-id.mp4", "sound-id.mp3"]
    assert store.stored == {}


async def test_a_cancelled_job_gives_up_what_is_being_sent(tmp_path: Path) -> None:
    async def stay(scratch: Path) -> None:
        await asyncio.Event().wait()

    store = Store()
    context = job(tmp_path, store)
    running = asyncio.create_task(context.run(stay, grows=RESULTS))
    while len(store.begun) < len(RESULTS):
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    await context.withdraw()
    assert store.given_up == store.begun


async def test_what_could_not_be_sent_while_it_grew_is_sent_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.jobs.context.UPLOAD_BACKOFF_SECONDS", 0.0)
    store = Store(fault=Unavailable("away"))
    context = job(tmp_path, store)
    await context.run(write, grows=RESULTS[:1])
    assert await context.publish(*RESULTS[0]) == "http://media/full-id.mp4"
    assert store.stored == {"full-id.mp4": b"full.mp4"}
    assert len(store.begun) == 2
