"""Claim, run, settle: what becomes of a task when its job ends well, badly, late or twice, and of what it stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Conflict, ProcessingTimeout, SourceUnavailable, Unavailable, UnsupportedMedia
from shared.jobs.context import JobContext
from shared.tasks import Success, TaskStatus
from tests.unit.job_house import House, Meddled, make_result, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def forever(context: JobContext) -> Success:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_job_that_ends_well(house: House) -> None:
    async with house.running(make_result):
        task = await house.ended(await house.submit())
    assert task.status is TaskStatus.COMPLETED
    assert task.outputs == {"image_url": f"http://media/{task.task_id}.jpg"}
    assert house.results == {f"{task.task_id}.jpg"}
    assert list(house.scratch.iterdir()) == []


async def test_an_idle_runner_sleeps_and_wakes_at_once(house: House) -> None:
    store = Meddled(house.ledger.store)
    house.ledger.store = store  # type: ignore[assignment]
    async with house.running(make_result):
        await house.ended(await house.submit())
        store.calls.clear()
        await asyncio.sleep(1.2)
        assert store.calls.count("claim_next") <= 5, "an idle runner asks the store without need"
        waits = []
        for _ in range(4):
            began = time.monotonic()
            task = await house.submit()
            async for seen in house.ledger.watch(task.task_id, None):
                if seen.status is not TaskStatus.PENDING:
                    break
            waits.append(time.monotonic() - began)
            await house.ended(task)
            await asyncio.sleep(0.1)
        assert min(waits) < 0.25, "the doorbell was not heard"


async def test_what_a_crash_left_in_scratch_is_swept(house: House) -> None:
    left = house.scratch / "68932ab1f918707cd6188d5f.1"
    left.mkdir(parents=True)
    (left / "half.mp4").write_bytes(b"x")
    async with house.running(make_result):
        await house.ended(await house.submit())
    assert not left.exists()


async def test_jobs_begin_in_order_and_no_more_than_there_are_slots(house: House) -> None:
    began: list[str] = []
    permits, full = asyncio.Semaphore(0), asyncio.Event()
    most = 0

    async def job(context: JobContext) -> Success:
        nonlocal most
        began.append(context.task.task_id)
        most = max(most, runner.active)
        if len(began) >= 3:
            full.set()
        await permits.acquire()
        return Success()

    tasks = [await house.submit() for _ in range(7)]
    async with house.running(job, slots=3) as runner:
        await full.wait()
        for _ in tasks:
            permits.release()
        for task in tasks:
            await house.ended(task)
    assert began == [task.task_id for task in tasks]
    assert most == 3


async def test_a_failure_with_a_word(house: House) -> None:
    async def job(context: JobContext) -> Success:
        await make_result(context)
        raise UnsupportedMedia("not a video", input_name="video_url")

    async with house.running(job):
        task = await house.ended(await house.submit())
    assert task.failure is not None
    assert (task.failure.word, task.failure.detail) == ("unsupported_format", "not a video")
    assert task.failure.input_name == "video_url"
    assert house.results == set(), "a failed task's result stays"


async def test_a_bug_tells_the_client_nothing_of_itself(house: House) -> None:
    async def job(context: JobContext) -> Success:
        raise KeyError("/etc/secret")

    async with house.running(job):
        task = await house.ended(await house.submit())
    assert task.failure is not None
    assert task.failure.word == "internal_error"
    assert "secret" not in task.failure.detail


async def test_a_failure_that_may_pass_is_tried_three_times_and_buried(house: House) -> None:
    runs = 0

    async def job(context: JobContext) -> Success:
        nonlocal runs
        runs += 1
        raise SourceUnavailable("the server answered 503", retryable=True)

    async with house.running(job, retry_delays_seconds=(0.05, 0.05)):
        task = await house.ended(await house.submit())
    assert runs == 3
    assert [retry.failure.word for retry in task.retries] == ["invalid_media_url"] * 2
    assert [retry.attempt for retry in task.retries] == [1, 2]
    assert task.attempt == 3
    (letter,) = await house.ledger.queue.dead_letters()
    assert letter.task_id == task.task_id


async def test_a_worker_that_lost_the_task_buries_nothing(house: House) -> None:
    async def job(context: JobContext) -> Success:
        await house.ledger.cancel(context.task.task_id, None)
        raise SourceUnavailable("the server answered 503", retryable=True)

    async with house.running(job, retry_delays_seconds=()):
        task = await house.ended(await house.submit())
    assert task.failure is not None
    assert task.failure.word == "cancelled"
    assert await house.ledger.queue.dead_letters() == []


async def test_a_job_past_its_deadline(house: House) -> None:
    async with house.running(forever, deadline_seconds=0.1):
        task = await house.ended(await house.submit())
    assert task.failure is not None
    assert task.failure.word == ProcessingTimeout.default_word


async def test_a_timeout_of_the_jobs_own_is_not_its_deadline(house: House) -> None:
    async def job(context: JobContext) -> Success:
        raise TimeoutError

    async with house.running(job):
        task = await house.ended(await house.submit())
    assert task.failure is not None
    assert task.failure.word == "internal_error"


async def test_a_cancelled_job_stops_and_leaves_nothing(house: House) -> None:
    stopped = asyncio.Event()

    async def job(context: JobContext) -> Success:
        await make_result(context)
        try:
            return await forever(context)
        finally:
            stopped.set()

    async with house.running(job) as runner:
        task = await house.submit()
        while not house.results:
            await asyncio.sleep(0.01)
        await house.ledger.cancel(task.task_id, None)
        async with asyncio.timeout(5.0):
            await stopped.wait()
            while runner.active:
                await asyncio.sleep(0.01)
    assert house.results == set()
    assert list(house.scratch.iterdir()) == []
    ended = await house.get(task)
    assert ended.failure is not None
    assert ended.failure.word == "cancelled"


async def test_a_task_taken_away_runs_again_and_only_the_second_result_stays(house: House) -> None:
    runs = 0

    async def job(context: JobContext) -> Success:
        nonlocal runs
        runs += 1
        await make_result(context)
        return await (forever(context) if runs == 1 else make_result(context, "other.jpg"))

    async with house.running(job):
        task = await house.submit()
        while not house.results:
            await asyncio.sleep(0.01)
        await house.ledger.reoffer(await house.ledger.store.release_worker("worker"))
        ended = await house.ended(task)
    assert ended.status is TaskStatus.COMPLETED
    assert runs == 2
    assert all("-3." in name for name in house.results), house.results  # the third fence: claimed, released, claimed


async def test_a_drain_with_grace_lets_jobs_finish_and_takes_no_more(house: House) -> None:
    permit, begun = asyncio.Event(), asyncio.Event()

    async def job(context: JobContext) -> Success:
        begun.set()
        await permit.wait()
        return Success()

    async with house.running(job, slots=1) as runner:
        running, waiting = await house.submit(), await house.submit()
        await begun.wait()
        draining = asyncio.create_task(runner.drain(10.0))
        await asyncio.sleep(0)
        permit.set()
        await draining
    assert (await house.get(running)).status is TaskStatus.COMPLETED
    assert (await house.get(waiting)).status is TaskStatus.PENDING


async def test_a_drain_without_grace_gives_back_uncharged(house: House) -> None:
    async with house.running(forever) as runner:
        task = await house.submit()
        while not runner.active:
            await asyncio.sleep(0)
        await runner.drain(0.0)
    given_back = await house.get(task)
    assert (given_back.status, given_back.attempt, given_back.retries) == (TaskStatus.PENDING, 0, ())
    assert list(house.scratch.iterdir()) == []


Fake = Callable[..., Awaitable[Any]]


def answer_lost(times: int) -> Fake:
    """The store writes, but says that it is away, the first times."""
    left = times

    async def settle(real: Fake, *arguments: Any) -> Any:
        nonlocal left
        answer = await real(*arguments)
        if left > 0:
            left -= 1
            raise Unavailable("away")
        return answer

    return settle


async def test_a_result_survives_a_settle_whose_answer_was_lost(house: House) -> None:
    house.ledger.store = Meddled(house.ledger.store, settle=answer_lost(2))  # type: ignore[assignment]
    async with house.running(make_result) as runner:
        task = await house.ended(await house.submit())
        while runner.active:
            await asyncio.sleep(0.01)
    assert task.status is TaskStatus.COMPLETED
    assert house.results == {f"{task.task_id}.jpg"}


async def test_neither_heartbeat_nor_drain_interrupts_a_settle(house: House) -> None:
    """The task is completed in the store, and the answer takes two heartbeats to come back."""
    written = asyncio.Event()

    async def settle(real: Fake, *arguments: Any) -> Any:
        answer = await real(*arguments)
        written.set()
        await asyncio.sleep(1.0)
        return answer

    house.ledger.store = Meddled(house.ledger.store, settle=settle)  # type: ignore[assignment]
    async with house.running(make_result) as runner:
        task = await house.submit()
        await written.wait()
        await asyncio.sleep(0.5)  # the heartbeat has seen that the task is no longer held
        await runner.drain(0.0)
    assert (await house.get(task)).status is TaskStatus.COMPLETED
    assert house.results == {f"{task.task_id}.jpg"}


async def test_a_store_that_is_away_for_a_moment_costs_no_task(house: House) -> None:
    away = 2

    async def claim_next(real: Fake, *arguments: Any) -> Any:
        nonlocal away
        away -= 1
        if away >= 0:
            raise Unavailable("away")
        return await real(*arguments)

    house.ledger.store = Meddled(house.ledger.store, claim_next=claim_next)  # type: ignore[assignment]
    async with house.running(make_result):
        task = await house.ended(await house.submit())
    assert task.status is TaskStatus.COMPLETED


async def test_an_upload_whose_answer_was_lost_is_no_conflict(house: House) -> None:
    tries = 0

    async def put(real: Fake, *arguments: Any) -> Any:
        nonlocal tries
        tries += 1
        answer = await real(*arguments)
        if tries == 1:
            raise Unavailable("away")
        return answer

    house.objects = Meddled(house.objects, put=put)  # type: ignore[assignment]
    async with house.running(make_result):
        task = await house.ended(await house.submit())
    assert task.outputs == {"image_url": f"http://media/{task.task_id}.jpg"}
    assert tries == 2


async def test_a_name_that_is_taken_is_not_overwritten(house: House) -> None:
    async def job(context: JobContext) -> Success:
        with pytest.raises(Conflict):
            await make_result(context, "same.jpg")
        return Success()

    (house.directory / "first").write_bytes(b"first")
    await house.objects.put(house.directory / "first", "same.jpg", "image/jpeg")
    async with house.running(job):
        task = await house.ended(await house.submit())
    assert task.status is TaskStatus.COMPLETED
    assert (house.directory / "media" / "same.jpg").read_bytes() == b"first"


async def test_of_several_results_all_or_none_are_stored(house: House) -> None:
    """The second cannot be stored, the third is still on its way when that is known."""

    async def put(real: Fake, path: Path, name: str, content_type: str) -> Any:
        if name == "b.jpg":
            raise ValueError("not a name")
        if name == "c.jpg":
            await asyncio.sleep(0.2)
        return await real(path, name, content_type)

    async def job(context: JobContext) -> Success:
        for letter in "abc":
            (context.scratch / letter).write_bytes(b"x")
        urls = await context.publish_all(*((letter, f"{letter}.jpg", "image/jpeg") for letter in "abc"))
        return Success({"image_url": urls[0]})

    house.objects = Meddled(house.objects, put=put)  # type: ignore[assignment]
    async with house.running(job):
        task = await house.ended(await house.submit())
    assert task.status is TaskStatus.FAILED
    assert house.results == set()
