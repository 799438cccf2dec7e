"""Honest steps: sources, results, progress, errors, cancellation, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import MediaCrashed, ProcessingTimeout, SourceUnavailable, Unavailable, UnsupportedMedia
from shared.jobs.child import ChildPool, LocalSource
from tests.unit import child_steps as steps
from tests.unit.child_pool import STEPS, BytesSource, Runner, started_pool


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Runner]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with started_pool() as pool:
        yield Runner(pool, scratch)


async def test_a_local_and_a_remote_source_arrive_whole(run: Runner, tmp_path: Path) -> None:
    body = os.urandom(9_000_001)
    (tmp_path / "in.bin").write_bytes(body)

    local = await run(steps.copy, source=LocalSource(tmp_path / "in.bin", "videos[1]"), chunk=1 << 20)
    assert local.path.read_bytes() == body
    assert local.parts == ("videos[1]", "True")

    # A chunk longer than one reply may be: the child asks in pieces.
    remote = await run(steps.copy, source=BytesSource(body), chunk=8 << 20)
    assert remote.path.read_bytes() == body
    assert remote.parts == ("video_urls[0]", "False")
    assert str(remote.rate) == "30000/1001"


async def test_sources_may_sit_inside_dataclasses_and_lists(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"bbbb")
    scenes = [steps.Scene(2, BytesSource(b"aaaa", "s[0]")), steps.Scene(1, LocalSource(tmp_path / "b", "s[1]"))]  # type: ignore[arg-type]
    result = await run(steps.read_scenes, scenes=scenes, master=BytesSource(b"master"))
    assert result.parts == ("2:s[0]:aaaa", "1:s[1]:bbbb", "as")
    assert result.path == run.scratch / "out"


async def test_prefetch_reaches_the_source_before_the_read(run: Runner) -> None:
    source = BytesSource(bytes(range(48, 58)) * 10)
    assert (await run(steps.prefetch_then_read, source=source)).outcome == "01234"
    assert source.prefetched == [(0, 10), (50, 5)]


async def test_threads_of_a_step_may_share_a_source(run: Runner) -> None:
    body = b"aaaabbbbccccddddeeeeffffgggghhhh"
    assert (await run(steps.read_in_threads, source=BytesSource(body))).outcome == body.decode()


async def test_codecs_and_their_threads_work_inside(run: Runner) -> None:
    result = await run(steps.encode_video)
    assert result.parts == ("25",)
    assert result.path.stat().st_size == result.size_bytes > 1000


async def test_progress_is_throttled_but_for_phases(run: Runner) -> None:
    await run(steps.phases, count=12)
    assert [phase for phase, _ in run.reports] == ["odd", "even"] * 6
    run.reports.clear()
    await run(steps.one_phase)
    assert 3 <= len(run.reports) <= 7  # 0.55 s at ten a second


async def test_a_step_s_own_error_comes_back_as_it_was(run: Runner) -> None:
    with pytest.raises(UnsupportedMedia, match="a picture, not a video") as caught:
        await run(steps.judge)
    assert (caught.value.word, caught.value.input_name) == ("unsupported_format", "video_urls[3]")


async def test_any_other_error_gets_a_sentence_without_a_path(run: Runner, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), pytest.raises(MediaCrashed) as caught:
        await run(steps.break_down)
    assert "/" not in caught.value.detail
    assert "KeyError: '/secret/path'" in caplog.text


@pytest.mark.parametrize("step", [steps.copy, steps.wrap_fault])
async def test_a_source_fault_in_the_middle_is_the_run_s_error(run: Runner, step: object) -> None:
    fault = SourceUnavailable("the server broke off", word="invalid_video_url", retryable=True)
    source = BytesSource(bytes(100), fault=fault, fault_offset=50 if step is steps.copy else 0)
    arguments = {"source": source} | ({"chunk": 10} if step is steps.copy else {})
    with pytest.raises(SourceUnavailable) as caught:
        await run(step, **arguments)  # type: ignore[arg-type]
    assert caught.value is fault


async def test_a_deadline_ends_a_spinning_step(run: Runner) -> None:
    began = time.monotonic()
    with pytest.raises(ProcessingTimeout, match=r"0\.5 s"):
        await run(steps.spin, deadline_seconds=0.5)
    assert time.monotonic() - began < 5


async def test_cancelling_kills_the_child_within_a_second(run: Runner) -> None:
    task = asyncio.create_task(run(steps.sleep))
    while not (run.scratch / "started").exists():
        await asyncio.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert _children_running(run.scratch) == []


async def test_fifty_at_once_leave_no_descriptor_process_or_task(tmp_path: Path) -> None:
    async with started_pool(warm=2) as pool:
        await Runner(pool, tmp_path)(steps.nothing)
        await asyncio.sleep(0.1)
        before = len(os.listdir("/proc/self/fd"))
        scratches = [tmp_path / str(number) for number in range(50)]
        for scratch in scratches:
            scratch.mkdir()
        jobs = [
            Runner(pool, scratch)(steps.copy, source=BytesSource(b"x" * 1000), chunk=100, deadline_seconds=60)
            for scratch in scratches
        ]
        results = await asyncio.gather(*jobs)
        assert [result.size_bytes for result in results] == [1000] * 50
        await asyncio.sleep(0.1)
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(asyncio.all_tasks()) == 1
    assert _children_running(tmp_path) == []


async def test_the_loop_stays_free_while_children_work(run: Runner) -> None:
    """A 10 ms heartbeat is late at most by what a loaded two-core machine makes any process late."""
    late = 0.0

    async def beat() -> None:
        nonlocal late
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.01)
            late = max(late, time.monotonic() - began - 0.01)

    heart = asyncio.create_task(beat())
    await asyncio.gather(*(run(steps.nothing) for _ in range(10)))
    heart.cancel()
    assert late < 2


async def test_a_pool_that_stopped_refuses(tmp_path: Path) -> None:
    async with started_pool() as pool:
        pass
    with pytest.raises(Unavailable):
        await Runner(pool, tmp_path)(steps.nothing)


async def test_a_killed_fork_server_is_replaced(run: Runner) -> None:
    server = run.pool._server
    assert server is not None and server._process is not None
    task = asyncio.create_task(run(steps.sleep))
    while not (run.scratch / "started").exists():
        await asyncio.sleep(0.01)
    server._process.kill()
    with pytest.raises(Unavailable):
        await task
    assert (await run(steps.nothing)).outcome == "done"


async def test_a_module_that_cannot_be_loaded_is_named_at_start() -> None:
    with pytest.raises(RuntimeError, match="no_such_codec"):
        await ChildPool(preload=[STEPS, "no_such_codec"], sandbox="best-effort").start()


async def test_an_argument_that_cannot_travel_is_a_type_error(run: Runner) -> None:
    with pytest.raises(TypeError):
        await run(steps.answer, value=lambda: None)


def _children_running(scratch: Path) -> list[str]:
    """Process ids whose working directory is `scratch` or below."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                working_directory = os.readlink(entry / "cwd")
            except OSError:
                continue
            if working_directory.startswith(str(scratch)):
                found.append(entry.name)
    return found
