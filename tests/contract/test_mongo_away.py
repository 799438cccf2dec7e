"""The MongoDB store alone: a server that is away, frozen, restarted, or not what is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.process import free_ports
from deploy.stack.servers import Mongo
from shared.backends.mongo import MongoStore
from shared.errors import ConfigurationError, Unavailable
from shared.tasks import Success
from tests.contract.test_task_store import DONE, must_get, new
from tests.support.servers import hurting, running

pytestmark = pytest.mark.server


@pytest.fixture
def mongo(mongo_server: Mongo) -> Iterator[Mongo]:
    with hurting(mongo_server):
        yield mongo_server


async def test_no_server_is_unavailable_within_seconds() -> None:
    store = MongoStore(f"mongodb://127.0.0.1:{free_ports(1)[0]}/x")
    start = time.monotonic()
    with pytest.raises(Unavailable):
        await store.open()
    assert time.monotonic() - start < 12


async def test_a_frozen_server_is_unavailable_within_seconds_and_comes_back(mongo: Mongo) -> None:
    store = MongoStore(mongo.url)
    await store.open()
    task = await store.insert(new())
    mongo.freeze()
    try:
        start = time.monotonic()
        answers = await asyncio.gather(*(store.get(task.task_id) for _ in range(8)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert time.monotonic() - start < 12
    finally:
        mongo.thaw()
    assert await store.get(task.task_id) == task
    await store.close()


async def test_acknowledged_writes_survive_kill_9_and_the_same_store_goes_on(mongo: Mongo) -> None:
    store = MongoStore(mongo.url)
    await store.open()
    tasks = await asyncio.gather(*(store.insert(new()) for _ in range(50)))
    mongo.kill()
    with pytest.raises(Unavailable):
        await store.get(tasks[0].task_id)
    mongo.start()
    assert [await store.get(task.task_id) for task in tasks] == list(tasks)
    await store.close()


async def test_a_write_while_the_server_restarts_is_done_once(mongo: Mongo) -> None:
    store = MongoStore(mongo.url)
    await store.open()
    task = await store.insert(new())
    held = await store.claim(task.task_id, "w", 60)
    assert held is not None
    mongo.kill()
    settling = asyncio.create_task(store.settle(task.task_id, held.fence, DONE))
    await asyncio.sleep(0.3)
    mongo.start()
    try:
        await settling
    except Unavailable:
        assert await store.settle(task.task_id, held.fence, DONE) is not None
    assert (await must_get(store, task.task_id)).outputs == DONE.outputs
    await store.close()


async def test_values_that_look_like_mongodbs_own_words_are_kept(mongo: Mongo) -> None:
    store = MongoStore(mongo.url)
    await store.open()
    odd = {"video_url": "$status", "$set": "$$NOW", "a.b": {"$literal": 1}, "": "empty"}
    task = await store.insert(new(inputs=odd, options=odd))
    held = await store.claim(task.task_id, "$owner", 60)
    assert held is not None
    assert held.worker == "$owner"
    await store.renew(task.task_id, held.fence, 60, "$kind", 0.5)
    assert (await must_get(store, task.task_id)).phase == "$kind"
    await store.settle(task.task_id, held.fence, Success(odd, odd))
    done = await must_get(store, task.task_id)
    assert (done.inputs, done.options, done.outputs, done.metadata) == (odd, odd, odd, odd)
    await store.set_webhook(task.task_id, "$owner")
    webhook = (await must_get(store, task.task_id)).webhook
    assert webhook is not None
    assert webhook.url == "$owner"
    await store.close()


async def test_a_server_that_is_no_replica_set_is_refused_with_the_mend(tmp_path: Path) -> None:
    class Lonely(Mongo):
        def run(self, command, environment=None) -> None:  # type: ignore[no-untyped-def]
            words = list(command)
            del words[words.index("--replSet") : words.index("--replSet") + 2]
            del words[words.index("--oplogSize") : words.index("--oplogSize") + 2]
            super().run(words, environment)

        def prepare(self) -> None:
            return

    for server in running(Lonely(tmp_path / "lonely")):
        with pytest.raises(ConfigurationError, match=r"LASTFRAME_STORE_URL.*rs\.initiate"):
            await MongoStore(server.url).open()


async def test_a_url_that_is_wrong_names_the_variable() -> None:
    for url in ("mongodb://", "mongodb://host:99999/x", "mongodb://host/a b?zz", "mongodb://user@:pw@host/x"):
        with pytest.raises(ConfigurationError, match="LASTFRAME_STORE_URL"):
            await MongoStore(url).open()
