"""The Redis live view alone: the guide's monitoring keys, other processes, and a Redis that is dead or frozen."""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from redis.asyncio import Redis as Client

from deploy.stack.process import free_ports
from deploy.stack.servers import Redis
from shared.backends.redis_live import CALL_SECONDS, RedisLive
from shared.errors import ConfigurationError
from shared.tasks import Failure, Task, TaskStatus
from tests.contract.conftest import PATIENT_SECONDS, empty_redis
from tests.contract.test_live_state import quickest, watching
from tests.contract.test_task_store import new
from tests.support.servers import hurting

pytestmark = pytest.mark.server


@pytest.fixture
def server(redis_server: Redis) -> Iterator[Redis]:
    with hurting(redis_server):
        yield redis_server


@pytest.fixture
async def live(server: Redis) -> AsyncIterator[RedisLive]:
    await empty_redis(server.url)
    live = RedisLive(server.url, call_seconds=PATIENT_SECONDS)
    await live.open()
    yield live
    await live.close()


@pytest.fixture
async def hurried(server: Redis) -> AsyncIterator[RedisLive]:
    """One with the product's own bound on a call."""
    await empty_redis(server.url)
    live = RedisLive(server.url)
    await live.open()
    yield live
    await live.close()


@pytest.fixture
async def cli(server: Redis) -> AsyncIterator[Client]:
    async with Client.from_url(server.url, decode_responses=True) as client:
        yield client


def later(task: Task, status: TaskStatus, seconds: float = 1.0, **fields: object) -> Task:
    return replace(task, status=status, updated_at=task.updated_at + timedelta(seconds=seconds), **fields)  # type: ignore[arg-type]


async def test_the_guides_three_monitoring_commands_tell_the_truth(live: RedisLive, cli: Client) -> None:
    task = new(inputs={"video_url": "https://a/b.mp4"}, options={"secret": "shown to nobody"})
    await live.publish(task)
    assert await cli.scard("active_tasks") == 0
    running = later(task, TaskStatus.PROCESSING, attempt=1, phase="fetching", progress=0.25)
    await live.publish(running)
    assert await cli.scard("active_tasks") == 1
    assert await cli.smembers("active_tasks") == {task.task_id}
    state = await cli.hgetall(f"task:{task.task_id}")
    assert state["status"] == "processing"
    assert (state["phase"], state["progress"], state["video_url"]) == ("fetching", "0.25", "https://a/b.mp4")
    assert "nobody" not in json.dumps(state)
    done = later(running, TaskStatus.COMPLETED, outputs={"frame_url": "http://m/x.jpg"}, metadata={"size": [3, 4]})
    await live.publish(replace(done, phase=None))
    assert await cli.scard("active_tasks") == 0
    state = await cli.hgetall(f"task:{task.task_id}")
    assert (state["status"], state["frame_url"], state["size"]) == ("completed", "http://m/x.jpg", "[3, 4]")
    assert "phase" not in state
    assert 0 < await cli.ttl(f"task:{task.task_id}") <= 24 * 3600


async def test_a_failure_shows_its_word_and_sentence(live: RedisLive, cli: Client) -> None:
    task = new(failure=Failure("timeout", "It took too long."))
    await live.publish(later(task, TaskStatus.FAILED))
    state = await cli.hgetall(f"task:{task.task_id}")
    assert (state["status"], state["error"], state["detail"]) == ("failed", "timeout", "It took too long.")


async def test_late_words_do_not_undo_newer_ones(live: RedisLive, cli: Client) -> None:
    task = new()
    running = later(task, TaskStatus.PROCESSING, 1)
    done = later(task, TaskStatus.COMPLETED, 2)
    await live.publish(done)
    await live.publish(running)  # of a worker that was replaced
    await live.publish(later(task, TaskStatus.PROCESSING, 9))  # by a clock that went wrong
    assert await cli.hget(f"task:{task.task_id}", "status") == "completed"
    assert await cli.scard("active_tasks") == 0
    retried = new()
    await live.publish(later(retried, TaskStatus.PROCESSING, 1))
    await live.publish(later(retried, TaskStatus.PENDING, 2))
    await live.publish(later(retried, TaskStatus.PROCESSING, 1))
    assert await cli.hget(f"task:{retried.task_id}", "status") == "pending"
    quick = new()
    await live.publish(later(quick, TaskStatus.PROCESSING, 0))  # begun in the millisecond in which it came
    await live.publish(quick)
    assert await cli.smembers("active_tasks") == {quick.task_id}


async def test_a_watcher_of_another_process_is_woken_at_once(live: RedisLive, server: Redis) -> None:
    other = RedisLive(server.url, call_seconds=PATIENT_SECONDS)
    await other.open()
    task, steps = new(), itertools.count()
    async with watching(live, task.task_id) as woken:
        assert await quickest(lambda: other.publish(later(task, TaskStatus.PROCESSING, next(steps))), woken) < 0.25
    await other.close()


async def test_the_active_set_is_mended_from_the_store(live: RedisLive, cli: Client) -> None:
    begun, ended, stale = new(), new(), new()
    await live.publish(later(begun, TaskStatus.PROCESSING))  # since the store was asked
    await live.publish(later(ended, TaskStatus.COMPLETED))  # since the store was asked
    await live.publish(later(stale, TaskStatus.PROCESSING))  # its end was never heard
    await cli.sadd("active_tasks", "ghost")
    assert await live.sync_active([ended.task_id, "unheard"]) == ["unheard"]
    assert await cli.smembers("active_tasks") == {begun.task_id, stale.task_id, "unheard"}
    await live.sync_active([begun.task_id, "unheard"])
    assert await cli.smembers("active_tasks") == {begun.task_id, "unheard"}


async def test_a_lost_redis_is_filled_again(live: RedisLive, server: Redis, cli: Client) -> None:
    tasks = [later(new(), TaskStatus.PROCESSING) for _ in range(3)]
    for task in tasks:
        await live.publish(task)
    server.kill()
    await live.publish(tasks[0])
    server.start()
    await asyncio.sleep(0.1)
    async with asyncio.timeout(30):
        while not (unknown := await live.sync_active([task.task_id for task in tasks])):
            await asyncio.sleep(0.1)
    assert sorted(unknown) == sorted(task.task_id for task in tasks)
    for task in tasks:
        await live.publish(task)
    assert await cli.scard("active_tasks") == 3
    assert await live.sync_active([task.task_id for task in tasks]) == []


@pytest.mark.parametrize("hurt", ["kill", "freeze"])
async def test_a_redis_that_is_away_delays_nobody(hurried: RedisLive, server: Redis, hurt: str) -> None:
    task = new()
    await hurried.publish(task)
    getattr(server, hurt)()
    taken = []
    for number in range(60):
        for call in (hurried.publish(task), hurried.take(f"bucket-{number % 3}", 10, 5), hurried.sync_active([])):
            start = time.monotonic()
            await call
            taken.append(time.monotonic() - start)
    assert statistics.median(taken) < 0.01  # three calls find out, the rest do not ask
    assert sum(taken) < 60 * CALL_SECONDS
    assert not await hurried.is_up()
    async with watching(hurried, task.task_id) as woken:
        assert await quickest(lambda: hurried.publish(task), woken) < 0.25  # within a process it is still heard
    server.thaw() if hurt == "freeze" else server.start()
    async with asyncio.timeout(30):
        while not await hurried.is_up():
            await asyncio.sleep(0.1)


async def test_rate_limits_go_on_without_redis() -> None:
    live = RedisLive(f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    await live.open()
    waits = [await live.take("ann", 0.01, 3) for _ in range(5)]
    assert waits[:3] == [0.0] * 3
    assert all(50 < wait <= 100 for wait in waits[3:])
    await live.close()


async def test_rate_limits_are_shared_between_processes(live: RedisLive, server: Redis) -> None:
    other = RedisLive(server.url, call_seconds=PATIENT_SECONDS)
    await other.open()
    waits = [await (live, other)[turn % 2].take("ann", 0.01, 4) for turn in range(6)]
    assert waits[:4] == [0.0] * 4
    assert all(50 < wait <= 100 for wait in waits[4:])
    await other.close()


@pytest.mark.parametrize("url", ["redis://host:notaport/0", "redis://host:99999999/0"])
async def test_a_url_that_is_wrong_names_the_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match="LASTFRAME_LIVE_URL"):
        await RedisLive(url).open()
