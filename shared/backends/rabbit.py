"""The queue on RabbitMQ: it carries hints (task ids), so it may lose, repeat or be rebuilt at any time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from typing import Any

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage
from yarl import URL

from shared.backends.looks import Slots
from shared.backends.rabbit_link import BROKEN, Link, Publisher
from shared.backends.rabbit_topology import DEAD, VERSION, delay_name, queue_name, routing_key
from shared.errors import ConfigurationError, Unavailable
from shared.ports import DeadLetter, Hint
from shared.tasks import Pool, TaskKind

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
PROBE_SECONDS = 1.0  # how often, and how long, a consumer asks whether the broker still answers
RECONNECT_SECONDS = 0.5
SILENCE_SECONDS = 5.0


class RabbitQueue:
    """`JobQueue` on `amqp://user:password@host/`. Opening it does not need the broker: tasks flow without one.

    Args:
        pool: whose queues this process consumes.
    """

    def __init__(self, url: str, pool: Pool = "cpu") -> None:
        self._url = url
        self._pool: Pool = pool
        self._publisher = Publisher(url)
        self._answers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        try:
            host = URL(self._url).host
        except ValueError as error:
            raise ConfigurationError(f"LASTFRAME_QUEUE_URL: {error}. Set it to amqp://user:password@host/.") from error
        if not host:
            raise ConfigurationError("LASTFRAME_QUEUE_URL names no host. Set it to amqp://user:password@host/.")

    async def close(self) -> None:
        if self._answers:
            await asyncio.wait(self._answers, timeout=1.0)
        await self._publisher.close()

    async def publish(self, kind: TaskKind, task_id: str, *, delay_seconds: float = 0.0, pool: Pool = "cpu") -> None:
        exchange = delay_name(delay_seconds) if delay_seconds > 0 else VERSION
        await self._publisher.publish(exchange, routing_key(kind.feature, pool), _message(kind.value, task_id))

    async def hints(self, kinds: Collection[TaskKind], slots: int) -> AsyncIterator[Hint]:
        places = Slots(slots)
        queues = sorted({queue_name(kind.feature, self._pool) for kind in kinds})
        consumer = _Consumer(self._url, queues, slots, places.look.set)
        consuming = asyncio.create_task(consumer.run())
        try:
            while True:
                await places.free.wait()
                if consumer.arrived:
                    yield self._hint(consumer.arrived.popleft(), places)
                elif consumer.is_up:
                    await places.ring_or_tick()
                    if consumer.is_silent():
                        yield _with_done(places.look_hint(), consumer.distrust)
                else:
                    async for hint in places.round():
                        yield hint
                    await places.ring_or_tick()
        finally:
            consuming.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await consuming

    async def bury(self, kind: TaskKind, task_id: str, reason: str) -> None:
        with contextlib.suppress(Unavailable):
            await self._publisher.publish(DEAD, kind.feature, _message(kind.value, task_id, {"reason": reason[:500]}))

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return await self._read_dead(limit, take=False)

    async def take_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return await self._read_dead(limit, take=True)

    async def is_up(self) -> bool:
        try:
            await self._publisher.ask(Link.probe)
        except Unavailable:
            return False
        return True

    async def _read_dead(self, limit: int, *, take: bool) -> list[DeadLetter]:
        async def read(link: Link) -> list[DeadLetter]:
            # What a channel took and did not acknowledge goes back, in order, when it closes.
            async with await link.connection.channel() as channel:
                queue = await channel.get_queue(DEAD, ensure=False)
                letters: list[DeadLetter] = []
                while len(letters) < limit and (message := await queue.get(fail=False)):
                    letters.append(_letter(message))
                    if take:
                        await message.ack()
                return letters

        return await self._publisher.ask(read)

    def _hint(self, message: AbstractIncomingMessage, places: Slots) -> Hint:
        give = places.take()

        def done() -> None:
            if give():
                self._answer(message.ack())

        def later(delay_seconds: float) -> None:
            if give():
                self._answer(self._give_back(message, delay_seconds))

        return Hint(message.body.decode(errors="replace"), done, later)

    async def _give_back(self, message: AbstractIncomingMessage, delay_seconds: float) -> None:
        if delay_seconds <= 0:
            await message.nack(requeue=True)
            return
        with contextlib.suppress(Unavailable):  # then the store's sweeper brings the task back
            again = _message(message.type or "", message.body.decode(errors="replace"))
            await self._publisher.publish(delay_name(delay_seconds), message.routing_key or "", again)
        await message.ack()

    def _answer(self, answer: Coroutine[Any, Any, None]) -> None:
        async def send() -> None:
            with contextlib.suppress(*BROKEN):  # the connection that brought it is gone: the broker delivers it again
                await answer

        task = asyncio.create_task(send())
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)


class _Consumer:
    """Keeps consumers on some queues; what arrives waits in `arrived`."""

    def __init__(self, url: str, queues: Collection[str], slots: int, on_news: Callable[[], None]) -> None:
        self._url = url
        self._queues = queues
        self._prefetch = max(1, slots // len(queues))  # of each queue's consumer: quorum queues have no other
        self._on_news = on_news
        self.arrived: deque[AbstractIncomingMessage] = deque()
        self.is_up = False
        self._heard_at = 0.0
        self._broken = asyncio.Event()

    async def run(self) -> None:
        """Consumes, and begins again whenever the link breaks or the broker takes a consumer away."""
        while True:
            try:
                await self._consume_until_broken()
            except BROKEN as error:
                log.warning("the broker is away, workers claim from the store: %s", _brief(error))
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
            await asyncio.sleep(RECONNECT_SECONDS)

    def is_silent(self) -> bool:
        """Whether it is time to look into the store although the broker seems well; true once in five seconds."""
        now = time.monotonic()
        if not self.is_up or now - self._heard_at < SILENCE_SECONDS:
            return False
        self._heard_at = now
        return True

    def distrust(self) -> None:
        """The store had work of which the broker said nothing: consume anew."""
        self._broken.set()

    async def _consume_until_broken(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            link = await Link.connect(self._url, confirms=False)
        try:
            self._broken.clear()
            await self._subscribe(link)
            self._heard_at = time.monotonic()
            self.is_up = True
            while link.is_open and not self._broken.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROBE_SECONDS):
                        await self._broken.wait()
                # A frozen broker is found out in a second; heartbeats would need half a minute.
                async with asyncio.timeout(PROBE_SECONDS):
                    await link.probe()
        finally:
            self.is_up = False
            self.arrived.clear()  # the broker delivers them again
            self._on_news()
            await link.close()

    async def _subscribe(self, link: Link) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            await link.channel.set_qos(prefetch_count=self._prefetch)
            underlay = await link.channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda *_: self._broken.set())
            for name in self._queues:
                queue = await link.channel.get_queue(name, ensure=False)
                await queue.consume(self._receive)

    async def _receive(self, message: AbstractIncomingMessage) -> None:
        # Only put aside: aio-pika cancels a callback that still runs when the connection breaks.
        self.arrived.append(message)
        self._heard_at = time.monotonic()
        self._on_news()


def _with_done(hint: Hint, also: Callable[[], None]) -> Hint:
    def done() -> None:
        also()
        hint.done()

    return Hint(hint.task_id, done, hint.later)


def _message(kind: str, task_id: str, headers: dict[str, Any] | None = None) -> Message:
    return Message(task_id.encode(), type=kind, headers=headers, delivery_mode=DeliveryMode.PERSISTENT)


def _letter(message: AbstractIncomingMessage) -> DeadLetter:
    reason = message.headers.get("reason")
    if reason is None:  # put there by the broker itself
        deaths = message.headers.get("x-death")
        first = deaths[0] if isinstance(deaths, list) and deaths else None
        reason = first.get("reason") if isinstance(first, dict) else None
    kind = TaskKind(message.type) if message.type in set(TaskKind) else None
    return DeadLetter(message.body.decode(errors="replace"), kind, str(reason or "unknown"))


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200]
