"""The exchanges and queues on the broker, and how to declare them.

    lastframe.v1            direct    a feature's name as the key → the feature's queue
    lastframe.v1.<feature>  quorum    what workers consume; dead-letters to lastframe.v1.dead
    lastframe.v1.<feature>.gpu        the same for GPU workers, under the key <feature>.gpu
    lastframe.v1.retry.<n>s classic   one a delay: expires into lastframe.v1 under the key it came with
    lastframe.v1.dead       classic   what operators look at

Queue arguments cannot be changed on a broker, so a change of any of them is a new version in every name. All of it may
be deleted at any time: it is declared again, and the store refills it.
"""

from __future__ import annotations

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel

from shared.tasks import FEATURE_OF_KIND, REENCODING_FEATURES, Pool

VERSION = "lastframe.v1"
DEAD = f"{VERSION}.dead"
DELAYS_SECONDS = (1, 2, 5, 10, 30, 60, 120, 600)
"""One queue a delay, because messages expire only at the head of a queue: a long delay would hold up a short one."""

DELIVERY_LIMIT = 50
"""A last resort: attempts are counted in the store, and a drained worker's hints count here too (RabbitMQ 3.10)."""

CONSUMER_TIMEOUT_MILLISECONDS = 24 * 3600 * 1000
"""A hint is acknowledged when its job ends; the broker's own limit of 30 minutes would take long jobs away."""

FEATURES = tuple(sorted(set(FEATURE_OF_KIND.values())))


def routing_key(feature: str, pool: Pool) -> str:
    return feature if pool == "cpu" else f"{feature}.{pool}"


def queue_name(feature: str, pool: Pool = "cpu") -> str:
    return f"{VERSION}.{routing_key(feature, pool)}"


def delay_name(delay_seconds: float) -> str:
    """The exchange (and queue) of the shortest delay that is long enough, else the longest: the store's own
    `not_before` is the truth, and its sweeper offers a task again when that has passed."""
    step = next((step for step in DELAYS_SECONDS if step >= delay_seconds), DELAYS_SECONDS[-1])
    return f"{VERSION}.retry.{step}s"


async def declare(channel: AbstractChannel) -> None:
    """Makes what is missing."""
    main = await channel.declare_exchange(VERSION, ExchangeType.DIRECT, durable=True)
    dead = await channel.declare_exchange(DEAD, ExchangeType.FANOUT, durable=True)
    # Not a quorum queue: looking at a letter counts as a delivery, and those have a limit.
    dead_queue = await channel.declare_queue(DEAD, durable=True)
    await dead_queue.bind(dead)
    keys = [*FEATURES, *(routing_key(feature, "gpu") for feature in sorted(REENCODING_FEATURES))]
    for key in keys:
        queue = await channel.declare_queue(
            f"{VERSION}.{key}",
            durable=True,
            arguments={
                "x-queue-type": "quorum",
                "x-delivery-limit": DELIVERY_LIMIT,
                "x-dead-letter-exchange": DEAD,
                "x-consumer-timeout": CONSUMER_TIMEOUT_MILLISECONDS,
            },
        )
        await queue.bind(main, key)
    for step in DELAYS_SECONDS:
        name = delay_name(step)
        # A fanout keeps the key that the message came with, which is where it goes when it expires.
        exchange = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        queue = await channel.declare_queue(
            name,
            durable=True,
            arguments={"x-message-ttl": step * 1000, "x-dead-letter-exchange": VERSION},
        )
        await queue.bind(exchange)
