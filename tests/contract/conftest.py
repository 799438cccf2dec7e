"""Every implementation of a port, by name: each contract test runs once per implementation."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from deploy.stack.servers import S3
from shared.backends import rabbit_link
from shared.backends.embedded.file_objects import FileObjects
from shared.backends.embedded.local_queue import LocalQueue
from shared.backends.embedded.memory_live import MemoryLive
from shared.backends.embedded.sqlite_store import SqliteStore
from shared.backends.mongo import MongoStore
from shared.backends.rabbit import RabbitQueue
from shared.backends.rabbit_link import Link
from shared.backends.rabbit_topology import DEAD, DELAYS_SECONDS, FEATURES, delay_name, queue_name
from shared.backends.redis_live import RedisLive
from shared.backends.s3 import S3Objects
from shared.ports import JobQueue, LiveState, ObjectStore, TaskStore
from tests.support.servers import mongo_server, rabbit_server, redis_server, s3_server  # noqa: F401  fixtures

OpenStore = Callable[..., Awaitable[TaskStore]]
OpenQueue = Callable[[], Awaitable[JobQueue]]


@dataclass(frozen=True)
class Objects:
    """An object store, and a way to read it that is not the store's own."""

    store: ObjectStore
    public_base_url: str
    read: Callable[[str], bytes]


REAL = pytest.mark.server
PATIENT_SECONDS = 20.0  # what a machine with more to do may take over what is answered at once elsewhere


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=REAL)])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Opens one more handle on the test's own store, as another process would."""
    database = f"test_{secrets.token_hex(6)}"
    server = request.getfixturevalue("mongo_server") if request.param == "mongo" else None
    async with AsyncExitStack() as stack:

        async def open_one(**options: float) -> TaskStore:
            store: TaskStore
            if server is None:
                store = SqliteStore(tmp_path / "tasks.db", **options)
            else:
                store = MongoStore(server.database_url(database), **options)
            await store.open()
            stack.push_async_callback(store.close)
            return store

        yield open_one


@pytest.fixture
async def store(open_store: OpenStore) -> TaskStore:
    return await open_store()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publish waits for a broker that is slow because the machine has more to do."""
    monkeypatch.setattr(rabbit_link, "ANSWER_SECONDS", PATIENT_SECONDS)
    monkeypatch.setattr(rabbit_link, "CONFIRM_SECONDS", PATIENT_SECONDS)


@pytest.fixture(params=["local", pytest.param("rabbit", marks=REAL)])
async def open_queue(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenQueue]:
    """Opens one more handle on the test's own queue, as another process would."""
    server = request.getfixturevalue("rabbit_server") if request.param == "rabbit" else None
    if server is not None:
        request.getfixturevalue("patient")
        await empty_queues(server.url)
    async with AsyncExitStack() as stack:

        async def open_one() -> JobQueue:
            queue: JobQueue = LocalQueue(tmp_path / "queue") if server is None else RabbitQueue(server.url)
            await queue.open()
            stack.push_async_callback(queue.close)
            return queue

        yield open_one


async def empty_queues(url: str) -> None:
    link = await Link.connect(url, confirms=True)
    for name in (DEAD, *map(queue_name, FEATURES), *map(delay_name, DELAYS_SECONDS)):
        await (await link.channel.get_queue(name, ensure=False)).purge()
    await link.close()


@pytest.fixture
async def local_queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    queue = LocalQueue(tmp_path / ("deep" * 25) / "queue")  # a path too long for a socket's name
    await queue.open()
    yield queue
    await queue.close()


@pytest.fixture(params=["memory", pytest.param("redis", marks=REAL)])
async def live(request: pytest.FixtureRequest) -> AsyncIterator[LiveState]:
    live: LiveState = MemoryLive()
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        await empty_redis(server.url)
        live = RedisLive(server.url, call_seconds=PATIENT_SECONDS)
    await live.open()
    yield live
    await live.close()


async def empty_redis(url: str) -> None:
    async with Redis.from_url(url) as client:
        await client.flushall()


@pytest.fixture(params=["file", pytest.param("s3", marks=REAL)])
async def objects(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Objects]:
    base = "https://media.example/media"
    if request.param == "file":
        kept = Objects(
            FileObjects(tmp_path / "media", base), base, lambda name: (tmp_path / "media" / name).read_bytes()
        )
    else:
        server: S3 = request.getfixturevalue("s3_server")
        client, bucket = server.client(), server.bucket
        empty_bucket(client, bucket)
        url = f"s3://{bucket}?endpoint={server.endpoint}&region=auto"
        store = S3Objects(url, base, environment=server.environment)
        kept = Objects(store, base, lambda name: client.get_object(Bucket=bucket, Key=name)["Body"].read())
    await kept.store.open()
    yield kept
    await kept.store.close()


def empty_bucket(client: Any, bucket: str) -> None:
    for item in client.list_objects_v2(Bucket=bucket).get("Contents", ()):
        client.delete_object(Bucket=bucket, Key=item["Key"])
