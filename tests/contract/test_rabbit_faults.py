"""The RabbitMQ queue alone: a broker that dies, freezes, forgets its queues, or was never there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aio_pika import Exchange

from deploy.stack.process import free_ports
from deploy.stack.servers import Rabbit
from shared.backends.rabbit import RabbitQueue
from shared.backends.rabbit_link import REFUSE_SECONDS, SILENCES_OF_A_DEAD_QUEUE, Link
from shared.backends.rabbit_topology import queue_name
from shared.errors import ConfigurationError, Unavailable
from shared.ports import Hint, JobQueue
from shared.tasks import TaskKind
from tests.contract.conftest import empty_queues
from tests.contract.test_job_queue import KIND, listening, next_hint, settle_down
from tests.support.servers import hurting

pytestmark = pytest.mark.server


@pytest.fixture
def broker(rabbit_server: Rabbit) -> Iterator[Rabbit]:
    with hurting(rabbit_server):
        yield rabbit_server


@pytest.fixture
async def queue(broker: Rabbit) -> AsyncIterator[JobQueue]:
    await empty_queues(broker.url)
    queue = RabbitQueue(broker.url)
    await queue.open()
    yield queue
    await queue.close()


async def named_hint(arrived: asyncio.Queue[Hint], task_id: str, seconds: float = 30.0) -> Hint:
    """The broker's own next hint about this task; looks into the store find nothing meanwhile."""
    async with asyncio.timeout(seconds):
        while (hint := await arrived.get()).task_id != task_id:
            if hint.task_id is None:
                hint.later(0)
            else:  # a publish that failed may have arrived nevertheless
                hint.done()
    return hint


async def publish_when_it_can(queue: JobQueue, task_id: str, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await queue.publish(KIND, task_id)
            except Unavailable:
                await asyncio.sleep(0.1)


async def looks_per_second(arrived: asyncio.Queue[Hint], seconds: float = 2.0) -> float:
    looks, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            hint = await next_hint(arrived, end - time.monotonic())
        except TimeoutError:
            break
        looks += hint.task_id is None
        hint.later(0)
    return looks / seconds


async def test_without_a_broker_workers_look_into_the_store() -> None:
    queue = RabbitQueue(f"amqp://guest:guest@127.0.0.1:{free_ports(1)[0]}/")
    await queue.open()
    start = time.monotonic()
    with pytest.raises(Unavailable):
        await queue.publish(KIND, "task-1")
    assert not await queue.is_up()
    await queue.bury(KIND, "task-1", "reason")
    assert time.monotonic() - start < 4
    async with listening(queue, slots=1) as arrived:
        assert await looks_per_second(arrived) >= 1.0
    await queue.close()


async def test_a_killed_broker_is_outlived(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue, slots=3) as arrived:
        await publish_when_it_can(queue, "running")
        running = await named_hint(arrived, "running")
        await publish_when_it_can(queue, "lost-worker")
        await asyncio.sleep(1.0)  # a quorum queue younger than half a second may not survive
        broker.kill()
        start = time.monotonic()
        with pytest.raises(Unavailable):
            await queue.publish(KIND, "meanwhile")
        assert time.monotonic() - start < 8
        assert not await queue.is_up()
        await settle_down(arrived)
        assert await looks_per_second(arrived) >= 1.0
        running.done()  # its connection is gone: nothing happens
        broker.start()
        again = await named_hint(arrived, "running")
        again.done()
        await publish_when_it_can(queue, "after")
        (await named_hint(arrived, "after")).done()
        assert await queue.is_up()


async def test_a_frozen_broker_delays_nobody_for_long(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue, slots=2) as arrived:
        await publish_when_it_can(queue, "before")
        (await named_hint(arrived, "before")).done()
        broker.freeze()
        start = time.monotonic()
        answers = await asyncio.gather(*(queue.publish(KIND, f"t{n}") for n in range(5)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert time.monotonic() - start < 9
        await asyncio.sleep(max(0.0, start + 4.5 - time.monotonic()))
        assert await looks_per_second(arrived) >= 1.0
        broker.thaw()
        await publish_when_it_can(queue, "after")
        (await named_hint(arrived, "after")).done()


async def test_a_deleted_queue_is_made_again(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue) as arrived:
        await publish_when_it_can(queue, "before")
        (await named_hint(arrived, "before")).done()
        link = await Link.connect(broker.url, confirms=True)
        await link.channel.queue_delete(queue_name(KIND.feature))
        await link.close()
        await publish_when_it_can(queue, "after")
        (await named_hint(arrived, "after")).done()


async def test_a_queue_that_never_confirms_is_replaced(
    broker: Rabbit, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def waiting() -> int:
        link = await Link.connect(broker.url, confirms=True)
        found = await link.channel.declare_queue(queue_name(KIND.feature), passive=True)
        await link.close()
        return found.declaration_result.message_count or 0

    async def never_confirmed(*_: object, **__: object) -> None:
        raise TimeoutError

    await publish_when_it_can(queue, "stuck")
    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "publish", never_confirmed)
        for _ in range(SILENCES_OF_A_DEAD_QUEUE):
            with pytest.raises(Unavailable):
                await queue.publish(KIND, "unheard")
            await asyncio.sleep(REFUSE_SECONDS + 0.05)
    await publish_when_it_can(queue, "heard")
    async with asyncio.timeout(30):
        while await waiting() != 1:  # "stuck" went with the old queue
            await asyncio.sleep(0.1)


async def test_a_frozen_broker_keeps_its_queues(broker: Rabbit, queue: JobQueue) -> None:
    await publish_when_it_can(queue, "kept")
    broker.freeze()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await queue.publish(KIND, "unheard")
        await asyncio.sleep(REFUSE_SECONDS + 0.05)
    broker.thaw()
    assert not queue._publisher._silences  # type: ignore[attr-defined]
    async with listening(queue) as arrived:
        (await named_hint(arrived, "kept")).done()


@pytest.mark.usefixtures("patient")
async def test_work_that_the_broker_kept_quiet_about_is_found_in_the_store(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue, slots=1) as arrived:
        await settle_down(arrived)
        start = time.monotonic()
        look = await next_hint(arrived, 30)
        assert look.task_id is None
        assert time.monotonic() - start > 3
        look.done()  # there was work: consumers begin anew
        await settle_down(arrived)
        await queue.publish(KIND, "task-1")
        (await named_hint(arrived, "task-1")).done()


@pytest.mark.usefixtures("patient")
async def test_a_dead_workers_hints_go_to_another(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue) as arrived:
        await queue.publish(KIND, "task-1")
        await named_hint(arrived, "task-1")  # never answered
    async with listening(queue) as arrived:
        (await named_hint(arrived, "task-1")).done()


@pytest.mark.usefixtures("patient")
async def test_a_hint_given_back_with_a_delay_keeps_its_queue(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue, kinds=[TaskKind.VIDEO_STITCH]) as stitching, listening(queue) as framing:
        await settle_down(stitching)
        await settle_down(framing)
        await queue.publish(TaskKind.VIDEO_STITCH, "task-1")
        start = time.monotonic()
        (await named_hint(stitching, "task-1")).later(1)
        (await named_hint(stitching, "task-1")).done()
        assert time.monotonic() - start > 0.9
        assert framing.empty()


@pytest.mark.usefixtures("patient")
async def test_one_worker_of_several_features_keeps_to_its_slots(broker: Rabbit, queue: JobQueue) -> None:
    kinds = [KIND, TaskKind.VIDEO_STITCH, TaskKind.AUDIO_STITCH]
    async with listening(queue, kinds=kinds, slots=2) as arrived:
        await settle_down(arrived)
        for number in range(3):
            for kind in kinds:
                await queue.publish(kind, f"{kind}-{number}")
        async with asyncio.timeout(30):
            while arrived.qsize() < 2:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert arrived.qsize() == 2
        for _ in range(9):
            (await next_hint(arrived)).done()
        await settle_down(arrived)
        assert arrived.empty()


@pytest.mark.usefixtures("patient")
async def test_a_hint_nobody_can_keep_ends_among_the_dead_letters(broker: Rabbit, queue: JobQueue) -> None:
    async with listening(queue) as arrived:
        await settle_down(arrived)
        await queue.publish(KIND, "poison")
        returned = 0
        while not (letters := await queue.dead_letters() if returned > 49 else []):
            if arrived.empty() and returned > 50:
                await asyncio.sleep(0.02)
                continue
            (await named_hint(arrived, "poison")).later(0)
            returned += 1
    assert [(letter.task_id, letter.kind, letter.reason) for letter in letters] == [("poison", KIND, "delivery_limit")]
    assert returned == 51


@pytest.mark.parametrize("url", ["amqp://", "amqp:///x", "amqp://host:port/"])
async def test_a_url_that_is_wrong_names_the_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match="LASTFRAME_QUEUE_URL"):
        await RabbitQueue(url).open()


@pytest.mark.usefixtures("patient")
async def test_gpu_workers_have_queues_of_their_own(broker: Rabbit, queue: JobQueue) -> None:
    kind = TaskKind.VIDEO_STITCH
    on_gpus = RabbitQueue(broker.url, "gpu")
    await on_gpus.open()
    try:
        async with listening(queue, (kind,)) as on_cpu, listening(on_gpus, (kind,)) as on_gpu:
            await queue.publish(kind, "copied")
            await queue.publish(kind, "encoded", pool="gpu")
            await queue.publish(kind, "encoded later", delay_seconds=0.5, pool="gpu")
            assert (await named_hint(on_gpu, "encoded")).done() is None
            assert (await named_hint(on_gpu, "encoded later")).done() is None
            assert (await named_hint(on_cpu, "copied")).done() is None
    finally:
        await on_gpus.close()
