"""The live view on Redis: the guide's monitoring keys, a stream per task for watchers, rate limits.

A cache. Every call is bounded to 150 ms, and a breaker keeps calls away from a Redis that failed three times; meanwhile
watchers of this process are still woken, those of others look once a second, and rate limits count per process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.backends import redis_scripts as scripts
from shared.backends.breaker import Breaker
from shared.backends.embedded.memory_live import MemoryLive
from shared.backends.redis_scripts import ACTIVE, STATE_SECONDS, events_key, state_key
from shared.errors import ConfigurationError
from shared.tasks import Task

T = TypeVar("T")

CALL_SECONDS = 0.15
READ_BLOCK_SECONDS = 0.1  # how long a new watcher may wait to join the one read of this process
READ_RETRY_SECONDS = 0.5
MAX_CONNECTIONS = 32
AWAY = (RedisError, OSError, TimeoutError)


class RedisLive:
    """`LiveState` on `redis://host:port/db`.

    Args:
        url: of the server.
        call_seconds: how long any call waits for it.
    """

    def __init__(self, url: str, *, call_seconds: float = CALL_SECONDS) -> None:
        self._url = url
        self._call_seconds = call_seconds
        self._local = MemoryLive()
        self._breaker = Breaker()
        self._watched: Counter[str] = Counter()
        self._reader: asyncio.Task[None] | None = None
        self._doubts: list[str] = []
        self._client: Redis | None = None
        self._reading: Redis | None = None

    async def open(self) -> None:
        """Needs no server. Raises `ConfigurationError` on a URL that names none."""
        try:
            self._client = _client(self._url, self._call_seconds, MAX_CONNECTIONS)
            self._reading = _client(self._url, 1.0, 1)
        except ValueError as error:
            raise ConfigurationError(f"LASTFRAME_LIVE_URL: {error} Set it to redis://host:6379/0.") from error
        self._publish = self._client.register_script(scripts.PUBLISH)
        self._sync = self._client.register_script(scripts.SYNC_ACTIVE)
        self._take = self._client.register_script(scripts.TAKE)

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        for client in (self._client, self._reading):
            if client is not None:
                with contextlib.suppress(*AWAY):
                    await client.aclose()
        self._client = self._reading = None

    async def publish(self, task: Task) -> None:
        await self._local.publish(task)
        fields = flat_state(task)
        arguments: list[str | int] = [task.task_id, task.status.value, fields["updated_at"], STATE_SECONDS]
        arguments += [word for pair in fields.items() for word in pair]
        keys = [state_key(task.task_id), events_key(task.task_id), ACTIVE]
        await self._ask(lambda: self._publish(keys=keys, args=arguments), None)

    async def forget(self, task_id: str) -> None:
        await self._local.forget(task_id)
        client = self._client
        if client is not None:
            await self._ask(lambda: client.delete(state_key(task_id), events_key(task_id)), None)

    async def watch(self, task_id: str) -> AsyncGenerator[None, None]:
        self._watched[task_id] += 1
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read_events())
        try:
            async with contextlib.aclosing(self._local.watch(task_id)) as moments:
                async for moment in moments:
                    yield moment
        finally:
            self._watched[task_id] -= 1
            if self._watched[task_id] <= 0:
                del self._watched[task_id]

    async def take(self, bucket: str, rate_per_second: float, burst: int) -> float:
        arguments: list[str | int] = [f"{1e6 / rate_per_second:.0f}", max(burst, 1)]
        wait = await self._ask(lambda: self._take(keys=[f"rate:{bucket}"], args=arguments), None)
        if wait is None:
            return await self._local.take(bucket, rate_per_second, burst)
        return int(wait) / 1e6

    async def sync_active(self, active: Collection[str]) -> list[str]:
        arguments: list[str | int] = [len(active), *active, *self._doubts]
        answer = await self._ask(lambda: self._sync(keys=[ACTIVE], args=arguments), None)
        if answer is None:
            return []
        self._doubts, unknown = answer
        return list(unknown)

    async def is_up(self) -> bool:
        return bool(await self._ask(lambda: self._connected().ping(), False))

    async def _ask(self, question: Callable[[], Awaitable[T]], otherwise: T) -> T:
        if not self._breaker.allows():
            return otherwise
        try:
            async with asyncio.timeout(self._call_seconds):
                answer = await question()
        except AWAY:
            self._breaker.failed()
            return otherwise
        self._breaker.succeeded()
        return answer

    async def _read_events(self) -> None:
        """One blocking read for all watchers of this process, as long as there are any."""
        seen: dict[str, str] = {}
        while self._watched:
            # From the beginning for one who joins: nothing between its look at the task and this read is missed.
            seen = {task_id: seen.get(task_id, "0-0") for task_id in self._watched}
            try:
                for task_id, last in await self._next_events(seen):
                    seen[task_id] = last
                    self._local.wake(task_id)
            except AWAY:
                await asyncio.sleep(READ_RETRY_SECONDS)

    async def _next_events(self, seen: dict[str, str]) -> list[tuple[str, str]]:
        """Which tasks have news, each with the id of its last event."""
        assert self._reading is not None
        streams: dict[Any, Any] = {events_key(task_id): last for task_id, last in seen.items()}
        found: Any = await self._reading.xread(streams, block=int(READ_BLOCK_SECONDS * 1000))
        pairs = found.items() if isinstance(found, dict) else found or ()
        return [(key.removeprefix("task:").removesuffix(":ev"), events[-1][0]) for key, events in pairs if events]

    def _connected(self) -> Redis:
        if self._client is None:
            raise OSError("closed")
        return self._client


def flat_state(task: Task) -> dict[str, str]:
    """A task's public state as Redis' hash shows it: every value a string, structures as JSON, absent ones left out."""
    fields: dict[str, Any] = {**task.inputs, **task.outputs, **task.metadata}
    fields |= {
        "task_id": task.task_id,
        "kind": task.kind.value,
        "status": task.status.value,
        "attempt": task.attempt,
        "phase": task.phase,
        "progress": task.progress,
        "error": task.failure and task.failure.word,
        "detail": task.failure and task.failure.detail,
        "created_at": _time(task.created_at),
        "updated_at": _time(task.updated_at),
        "started_at": _time(task.started_at),
        "completed_at": _time(task.completed_at),
    }
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _time(moment: datetime | None) -> str | None:
    # Always with microseconds, so that text compares as time does.
    return None if moment is None else moment.isoformat(timespec="microseconds")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _client(url: str, timeout_seconds: float, max_connections: int) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        decode_responses=True,
        protocol=2,
    )
    return Redis(connection_pool=pool)
