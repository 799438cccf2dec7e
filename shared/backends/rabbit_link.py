"""One connection to the broker with one channel, remade when it breaks.

aio-pika's own "robust" connection is not used: after a break it restores consumers whose jobs still run, and some
breaks (a queue deleted, a broker frozen) it notices late. Here a broken link is thrown away whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection
from yarl import URL

from shared.backends.rabbit_topology import VERSION, declare, queue_name
from shared.errors import Unavailable

T = TypeVar("T")

logging.getLogger("aiormq").setLevel(logging.ERROR)  # its stack trace of every broken connection; ours is one line

HEARTBEAT_SECONDS = 10
ANSWER_SECONDS = 2.0  # how long a publish may take, connecting included
REFUSE_SECONDS = 0.5  # how long after a failure nobody tries to connect again
CONFIRM_SECONDS = 1.5  # of those, for the confirm; the rest finds out whether the broker is alive
SILENCES_OF_A_DEAD_QUEUE = 5
BROKEN = (Exception,)  # aiormq fails what waits on a lost connection with whatever it has, down to a bare Exception


class Link:
    """A connection, its channel, and the broker's exchanges declared."""

    def __init__(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        self.connection = connection
        self.channel = channel
        self.silent: set[str] = set()
        """Keys whose queue did not confirm while the broker answered."""

    @classmethod
    async def connect(cls, url: str, *, confirms: bool) -> Link:
        connection = await aio_pika.connect(URL(url).update_query(heartbeat=HEARTBEAT_SECONDS))
        try:
            channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            await declare(channel)
        except BaseException:
            await close_quietly(connection)
            raise
        return cls(connection, channel)

    @property
    def is_open(self) -> bool:
        return not self.connection.is_closed and not self.channel.is_closed

    async def probe(self) -> None:
        """One question that a broker must answer."""
        await self.channel.get_exchange(VERSION, ensure=True)

    async def close(self) -> None:
        await close_quietly(self.connection)


class Publisher:
    """Publishes with confirms on a link of its own, made on first use; consumers must not share it, because a broker
    that is short of memory stops reading from connections that publish."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._link: Link | None = None
        self._connecting = asyncio.Lock()
        self._refuse_until = 0.0
        self._silences: Counter[str] = Counter()

    async def publish(self, exchange: str, key: str, message: aio_pika.Message) -> None:
        """Returns when the broker has the message in a queue; raises `Unavailable` within two seconds otherwise."""

        async def send(link: Link) -> None:
            target = await link.channel.get_exchange(exchange, ensure=False)
            # Returned because its queue was deleted: the next link declares it again, but not at once, since a
            # consumer does not notice a quorum queue that is gone for a moment only (RabbitMQ 3.10).
            try:
                await target.publish(message, key, mandatory=True, timeout=CONFIRM_SECONDS)
            except TimeoutError:
                await link.probe()
                if key not in link.silent:
                    link.silent.add(key)
                    self._silences[key] += 1
                raise
            self._silences.pop(key, None)

        await self.ask(send)

    async def ask(self, question: Callable[[Link], Awaitable[T]]) -> T:
        """Runs an exchange with the broker; raises `Unavailable` when it is away or slower than two seconds."""
        if time.monotonic() < self._refuse_until and (self._link is None or not self._link.is_open):
            raise Unavailable("The queue cannot be reached at the moment.")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await question(await self._open_link())
        except BROKEN as error:
            await self._give_up()
            raise Unavailable("The queue cannot be reached at the moment.") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            await self._give_up()  # aiormq cancels what waits when a connection breaks
            raise Unavailable("The queue cannot be reached at the moment.") from error

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _open_link(self) -> Link:
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                self._link = await Link.connect(self._url, confirms=True)
                await self._replace_dead_queues(self._link)
            return self._link

    async def _replace_dead_queues(self, link: Link) -> None:
        # A broker killed within half a second of declaring a quorum queue can leave it dead for ever: "running", and
        # never confirming (RabbitMQ 3.10). What was in it is offered again by the sweeper.
        for feature in [key for key, count in self._silences.items() if count >= SILENCES_OF_A_DEAD_QUEUE]:
            del self._silences[feature]
            await link.channel.queue_delete(queue_name(feature))
            await declare(link.channel)

    async def _give_up(self) -> None:
        self._refuse_until = time.monotonic() + REFUSE_SECONDS
        await self.close()


async def close_quietly(connection: AbstractConnection) -> None:
    """Closes within a second whatever state the connection is in; a frozen broker never says goodbye."""
    with contextlib.suppress(*BROKEN):
        async with asyncio.timeout(1.0):
            await connection.close()
