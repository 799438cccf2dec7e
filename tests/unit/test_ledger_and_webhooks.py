"""The ledger's answers to clients, and when a webhook is tried again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Conflict, NotFound, Unavailable
from shared.jobs.webhooks import (
    CONCURRENT_DELIVERIES,
    CONCURRENT_OF_ONE_KEY,
    LEASE_SECONDS,
    RETRY_DELAYS_SECONDS,
    WebhookDelivery,
    is_retried,
    next_delay_seconds,
)
from shared.ports import WebhookReply
from shared.tasks import Submission, Success, TaskKind, TaskStatus, WebhookState
from tests.unit.job_house import KIND, House, Meddled, make_result, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def test_a_queue_that_is_away_refuses_no_work(house: House) -> None:
    async def publish(real: Any, *arguments: Any, **options: Any) -> None:
        raise Unavailable("away")

    house.ledger.queue = Meddled(house.ledger.queue, publish=publish)  # type: ignore[assignment]
    task = await house.submit()
    assert (await house.get(task)).status is TaskStatus.PENDING


async def test_another_owners_task_is_unknown(house: House) -> None:
    task = await house.submit()
    assert (await house.ledger.get(task.task_id.upper(), "tests")).task_id == task.task_id
    for call in (house.ledger.get, house.ledger.cancel):
        with pytest.raises(NotFound, match=task.task_id):
            await call(task.task_id, "others")
    with pytest.raises(NotFound):
        await house.ledger.register_webhook(task.task_id, "others", "http://a/b")
    assert (await house.get(task)).status is TaskStatus.PENDING


async def test_a_pending_task_can_be_cancelled_once(house: House) -> None:
    task = await house.submit()
    assert (await house.ledger.cancel(task.task_id, "tests")).status is TaskStatus.FAILED
    with pytest.raises(Conflict) as refused:
        await house.ledger.cancel(task.task_id, "tests")
    assert refused.value.word == "already_finished"


async def test_an_idempotency_key_belongs_to_its_owner(house: House) -> None:
    def submission(owner: str, url: str) -> Submission:
        return Submission(KIND, owner, {"video_url": url}, idempotency_key="k")

    first = await house.ledger.submit(submission("a", "http://x/1"))
    assert (await house.ledger.submit(submission("a", "http://x/1"))).task_id == first.task_id
    assert (await house.ledger.submit(submission("b", "http://x/2"))).task_id != first.task_id
    with pytest.raises(Conflict) as refused:
        await house.ledger.submit(submission("a", "http://x/2"))
    assert refused.value.word == "idempotency_conflict"


async def test_ids_have_the_length_of_their_kind(house: House) -> None:
    for kind in TaskKind:
        task = await house.ledger.submit(Submission(kind, "tests", {}))
        assert len(task.task_id) == (32 if kind is TaskKind.MOVIE_ASSEMBLY else 24)


@pytest.mark.parametrize(
    ("status", "again"),
    [(None, True), (500, True), (503, True), (408, True), (425, True), (429, True)]
    + [(status, False) for status in (301, 302, 400, 401, 404, 410, 422)],
)
def test_which_answers_are_tried_again(status: int | None, again: bool) -> None:
    reply = WebhookReply(status, None if status else "refused")
    assert is_retried(reply) is again
    assert (next_delay_seconds(1, reply) is not None) is again


def test_the_tries_are_spread_over_more_than_an_hour_and_end() -> None:
    reply = WebhookReply(503, None)
    delays = [next_delay_seconds(number + 1, reply) for number in range(len(RETRY_DELAYS_SECONDS))]
    for delay, planned in zip(delays, RETRY_DELAYS_SECONDS, strict=True):
        assert delay is not None
        assert 0.8 * planned <= delay <= 1.2 * planned
    assert list(RETRY_DELAYS_SECONDS) == sorted(RETRY_DELAYS_SECONDS)
    assert 0.8 * sum(RETRY_DELAYS_SECONDS) > 3600
    assert next_delay_seconds(len(RETRY_DELAYS_SECONDS) + 1, reply) is None
    assert len({next_delay_seconds(5, reply) for _ in range(20)}) > 1, "no jitter"


def test_a_receiver_that_names_a_time_is_not_asked_earlier() -> None:
    assert next_delay_seconds(1, WebhookReply(429, None, retry_after_seconds=900.0)) == 900.0
    delay = next_delay_seconds(1, WebhookReply(503, None, retry_after_seconds=1e9))
    assert delay is not None
    assert delay <= 86400.0


class Receivers:
    """Answers in order; records what came."""

    def __init__(self, *replies: WebhookReply) -> None:
        self.replies = list(replies)
        self.posts: list[tuple[str, dict[str, Any], Mapping[str, str]]] = []

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        self.posts.append((url, json.loads(body), headers))
        return self.replies.pop(0) if self.replies else WebhookReply(200, None)

    async def close(self) -> None:
        return None


async def test_a_store_that_is_away_ends_no_delivery(house: House) -> None:
    """Neither when the webhook is claimed, nor when the try is recorded."""
    away = {"claim_webhook": 1, "now": 1}

    def failing_once(name: str) -> Any:
        async def call(real: Any, *arguments: Any) -> Any:
            away[name] -= 1
            if away[name] >= 0:
                raise Unavailable("away")
            return await real(*arguments)

        return call

    submission = Submission(KIND, "tests", {"video_url": "http://a/b"}, webhook_url="http://hook/1")
    async with house.running(make_result):
        task = await house.ended(await house.ledger.submit(submission))
    real = house.ledger.store
    house.ledger.store = Meddled(real, **{name: failing_once(name) for name in away})  # type: ignore[assignment]
    receivers = Receivers()
    delivery = WebhookDelivery(house.ledger, receivers, None)
    running = asyncio.create_task(delivery.run())
    while min(away.values()) >= 0 and not running.done():  # both were met
        await asyncio.sleep(0.05)
        if away["now"] < 1:
            break
    assert not running.done()
    # The claim of the try that was lost runs out after some seconds; a new registration is due at once.
    await house.ledger.register_webhook(task.task_id, None, "http://hook/2")
    while not receivers.posts:
        await asyncio.sleep(0.02)
    running.cancel()
    url, payload, headers = receivers.posts[0]
    assert url == "http://hook/2"
    assert payload == {
        "task_id": task.task_id,
        "status": "completed",
        "kind": "last_frame",
        "image_url": task.outputs["image_url"],
        "metadata": {"width": 1},
    }
    assert headers["webhook-id"] == f"{task.task_id}.completed"
    assert "webhook-signature" not in headers


async def test_a_webhook_that_is_given_up_is_failed(house: House) -> None:
    async def job(context: Any) -> Success:
        return Success()

    submission = Submission(KIND, "tests", {"video_url": "http://a/b"}, webhook_url="http://hook/1")
    async with house.running(job):
        task = await house.ended(await house.ledger.submit(submission))
    receivers = Receivers(*[WebhookReply(None, "connection refused")] * 3)
    delivery = WebhookDelivery(house.ledger, receivers, None, retry_delays_seconds=(0.01, 0.01))
    running = asyncio.create_task(delivery.run())
    async with asyncio.timeout(30):
        while (webhook := (await house.get(task)).webhook) is None or webhook.state is not WebhookState.FAILED:
            await asyncio.sleep(0.05)
    running.cancel()
    assert [attempt.error for attempt in webhook.attempts] == ["connection refused"] * 3
    assert webhook.next_attempt_at is None


async def test_receivers_that_never_answer_hold_up_nobody_else_s_webhooks(house: House) -> None:
    async def job(context: Any) -> Success:
        return Success()

    class Tarpit(Receivers):
        stuck = 0

        async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
            if "tarpit" not in url:
                return await super().send(url, body, headers)
            self.stuck += 1
            await asyncio.Event().wait()
            raise AssertionError

    async with house.running(job, slots=8):
        for number in range(CONCURRENT_DELIVERIES + 1):
            submission = Submission(KIND, "mallory", {"video_url": "http://a/b"}, webhook_url=f"http://tarpit/{number}")
            task = await house.ledger.submit(submission)
        submission = Submission(KIND, "bob", {"video_url": "http://a/b"}, webhook_url="http://hook/bob")
        for waited in (task, await house.ledger.submit(submission)):
            await house.ended(waited)
    receivers = Tarpit()
    running = asyncio.create_task(WebhookDelivery(house.ledger, receivers, None).run())
    async with asyncio.timeout(30):
        while not receivers.posts:
            await asyncio.sleep(0.02)
    assert receivers.posts[0][0] == "http://hook/bob"
    assert receivers.stuck == CONCURRENT_OF_ONE_KEY
    running.cancel()


async def test_a_burst_of_one_key_s_webhooks_waits_for_nothing_but_its_own_tries(house: House) -> None:
    async def job(context: Any) -> Success:
        return Success()

    class Slow(Receivers):
        async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
            await asyncio.sleep(0.3)
            return await super().send(url, body, headers)

    burst = 3 * CONCURRENT_OF_ONE_KEY
    async with house.running(job, slots=8):
        submission = Submission(KIND, "ann", {"video_url": "http://a/b"}, webhook_url="http://hook/ann")
        tasks = [await house.ledger.submit(submission) for _ in range(burst)]
        for task in tasks:
            await house.ended(task)
    receivers = Slow()
    running = asyncio.create_task(WebhookDelivery(house.ledger, receivers, None).run())
    async with asyncio.timeout(LEASE_SECONDS / 2):  # a claim that was dropped comes again after a whole one
        while len(receivers.posts) < burst:
            await asyncio.sleep(0.02)
    running.cancel()
    assert {payload["task_id"] for _, payload, _ in receivers.posts} == {task.task_id for task in tasks}
