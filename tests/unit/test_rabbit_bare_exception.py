"""aiormq fails what waits on a lost connection with a bare `Exception`: to us that is a broker that is away."""

from __future__ import annotations

import asyncio

import pytest

from shared.backends.rabbit import RabbitQueue
from shared.backends.rabbit_link import Link, Publisher
from shared.errors import Unavailable
from shared.tasks import TaskKind

URL = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each try to connect; every one fails."""
    seen: list[bool] = []

    async def connect(url: str, *, confirms: bool) -> Link:
        seen.append(confirms)
        raise Exception  # what aiormq.base.FutureStore.reject_all sets

    monkeypatch.setattr(Link, "connect", connect)
    return seen


async def test_a_publish_is_refused(connects: list[bool]) -> None:
    with pytest.raises(Unavailable):
        await RabbitQueue(URL).publish(TaskKind.MEDIA_LENGTH, "id")
    assert connects == [True]


async def test_a_question_is_refused() -> None:
    with pytest.raises(Unavailable):
        await Publisher(URL).ask(Link.probe)


async def test_a_consumer_tries_again_and_the_store_is_looked_into_meanwhile(connects: list[bool]) -> None:
    hints = RabbitQueue(URL).hints((TaskKind.MEDIA_LENGTH,), 1)
    async with asyncio.timeout(30):
        while len(connects) < 3:
            hint = await anext(hints)
            assert hint.task_id is None
            hint.later(0.0)
    await hints.aclose()
