"""Which jobs are offered to GPU workers, which steps may use a GPU, and what happens when a GPU's child dies."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from shared import metrics
from shared.errors import ConfigurationError, MediaCrashed
from shared.jobs.child import ChildPool
from shared.jobs.context import JobContext, JobLimits
from shared.jobs.ledger import Ledger
from shared.jobs.routing import pool_for
from shared.media.step import Accelerators, AcceleratorUse, StepContext
from shared.ports import ObjectStore, SourceOpener
from shared.runtime.accelerators import find_accelerators
from shared.tasks import Submission, Task, TaskKind, TaskStatus
from tests.unit.child_pool import started_pool
from tests.unit.job_house import Meddled, open_house

GPU = {"stitch", "assembly"}


def task(kind: TaskKind, **options: Any) -> Task:
    now = datetime.now(UTC)
    return Task("id", kind, "owner", TaskStatus.PENDING, now, now, options=options)


@pytest.mark.parametrize(
    ("kind", "options", "pool"),
    [
        (TaskKind.VIDEO_STITCH, {}, "cpu"),
        (TaskKind.VIDEO_STITCH, {"strategy": "auto", "resolution": "source", "quality": "low"}, "cpu"),
        (TaskKind.VIDEO_STITCH, {"strategy": "reencode"}, "gpu"),
        (TaskKind.VIDEO_STITCH, {"resolution": "720p"}, "gpu"),
        (TaskKind.VIDEO_STITCH, {"frame_rate": 30.0}, "gpu"),
        (TaskKind.VIDEO_STITCH, {"strategy": "copy", "resolution": "720p"}, "cpu"),
        (TaskKind.MOVIE_ASSEMBLY, {"settings": {"resolution": "1080p"}}, "gpu"),
        (TaskKind.MOVIE_ASSEMBLY, {"settings": {"quality": "high"}}, "cpu"),
        (TaskKind.MOVIE_ASSEMBLY, {}, "cpu"),
        (TaskKind.LAST_FRAME, {"resolution": "720p"}, "cpu"),
        (TaskKind.MUSIC_TRACK, {"strategy": "reencode"}, "cpu"),
    ],
)
def test_a_job_goes_to_a_gpu_where_its_request_asks_for_encoding(kind: TaskKind, options: Any, pool: str) -> None:
    assert pool_for(task(kind, **options), GPU) == pool
    assert pool_for(task(kind, **options), ()) == "cpu", "no GPU workers: nothing may wait for one"


async def test_a_ledger_publishes_by_that_rule(tmp_path: Path) -> None:
    published: list[tuple[TaskKind, str]] = []

    async def publish(real: Any, kind: TaskKind, task_id: str, *, delay_seconds: float, pool: str) -> None:
        published.append((kind, pool))

    async with open_house(tmp_path) as house:
        queue = cast("Any", Meddled(house.ledger.queue, publish=publish))
        ledger = Ledger(house.ledger.store, queue, house.ledger.live, gpu_features=GPU)
        for options in ({"strategy": "reencode"}, {}):
            await ledger.submit(Submission(TaskKind.VIDEO_STITCH, "tests", {"video_urls": []}, options))
    assert published == [(TaskKind.VIDEO_STITCH, "gpu"), (TaskKind.VIDEO_STITCH, "cpu")]


@dataclass(frozen=True)
class Ran:
    accelerator_seen: str
    nvenc_seen: bool
    accelerator: AcceleratorUse | None = None


def say(context: StepContext) -> Ran:
    return Ran(context.accelerator, context.nvenc)


def die_on_a_gpu(context: StepContext) -> Ran:
    if context.accelerator == "cuda":
        os.kill(os.getpid(), signal.SIGABRT)  # what a driver's assertion does
    return say(context)


def leave_the_gpu(context: StepContext) -> Ran:
    return Ran("cuda", False, AcceleratorUse(decode="software", encode="libx264", fallback="nvdec_failed"))


def lie_about_the_gpu(context: StepContext) -> Ran:
    return Ran("cuda", False, cast("AcceleratorUse", {"decode": "magic", "encode": "libx264"}))


@pytest.fixture
async def children() -> AsyncIterator[ChildPool]:
    async with started_pool(preload=[__name__], warm=1) as pool:
        yield pool


def job(children: ChildPool, scratch: Path, accelerators: Accelerators) -> JobContext:
    return JobContext(
        task(TaskKind.VIDEO_STITCH),
        scratch,
        opener=cast("SourceOpener", None),
        children=children,
        objects=cast("ObjectStore", None),
        limits=JobLimits(1000, 10.0, 30.0, 1, accelerators),
        report=lambda phase, progress: None,
    )


def fallbacks(reason: str) -> float:
    return float(metrics.accelerator_fallbacks.labels(reason)._value.get())


async def test_only_steps_that_reencode_meet_the_gpu(children: ChildPool, tmp_path: Path) -> None:
    context = job(children, tmp_path, Accelerators(nvdec=True, nvenc=True))
    assert await context.run(say) == Ran("cpu", False)
    assert await context.run(say, reencodes=True) == Ran("cuda", True)
    assert await job(children, tmp_path, Accelerators()).run(say, reencodes=True) == Ran("cpu", False)


async def test_a_child_that_dies_on_the_gpu_is_begun_again_in_software(children: ChildPool, tmp_path: Path) -> None:
    before = fallbacks("crashed")
    context = job(children, tmp_path, Accelerators(nvdec=True))
    result = await context.run(die_on_a_gpu, reencodes=True)
    assert result == Ran("cpu", False)
    success = context.success({}, result)
    assert success.metadata["accelerator"] == {"decode": "software", "encode": "libx264", "fallback": "crashed"}
    assert fallbacks("crashed") == before + 1


async def test_a_job_that_left_the_gpu_says_so_and_is_counted(children: ChildPool, tmp_path: Path) -> None:
    before = fallbacks("nvdec_failed")
    context = job(children, tmp_path, Accelerators(nvdec=True))
    success = context.success({}, await context.run(leave_the_gpu, reencodes=True))
    assert success.metadata["accelerator"]["fallback"] == "nvdec_failed"
    assert fallbacks("nvdec_failed") == before + 1
    assert "accelerator" not in context.success({}, await context.run(say)).metadata


async def test_a_child_cannot_make_up_words_for_metrics(children: ChildPool, tmp_path: Path) -> None:
    with pytest.raises(MediaCrashed):
        await job(children, tmp_path, Accelerators()).run(lie_about_the_gpu)


def found(*, nvdec: bool, findings: tuple[str, ...] = ("as played",)) -> Any:
    class Children:
        calls = 0

        async def run(self, *_: Any, **options: Any) -> Accelerators:
            self.calls += 1
            assert options["accelerator"] == "cuda"
            return Accelerators(nvdec, False, findings)

    return Children()


async def test_a_worker_tries_the_gpu_once_and_only_if_it_may_use_it() -> None:
    played = found(nvdec=True)
    assert await find_accelerators(played, "cpu") == Accelerators()
    assert played.calls == 0
    assert (await find_accelerators(played, "auto")).nvdec
    assert played.calls == 1
    assert metrics.accelerator_available.labels("nvdec")._value.get() == 1
    assert metrics.accelerator_available.labels("nvenc")._value.get() == 0


async def test_a_worker_that_must_have_a_gpu_refuses_to_start_without() -> None:
    with pytest.raises(ConfigurationError, match="LASTFRAME_ACCELERATOR=cuda, but no driver"):
        await find_accelerators(found(nvdec=False, findings=("no driver",)), "cuda")
    assert await find_accelerators(found(nvdec=False), "auto") == Accelerators(findings=("as played",))


async def test_the_probe_runs_in_a_child_and_a_driver_that_kills_it_is_no_gpu(children: ChildPool) -> None:
    """The real probe, on this machine: it answers whatever is here, and its sentences say what that is."""
    assert (await find_accelerators(children, "auto")).findings

    class Killed:
        async def run(self, *_: Any, **__: Any) -> Accelerators:
            raise MediaCrashed("the decoder stopped unexpectedly")

    answer = await find_accelerators(cast("ChildPool", Killed()), "auto")
    assert answer == Accelerators(findings=("trying the GPU ended badly: the decoder stopped unexpectedly",))
