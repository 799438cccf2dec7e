"""Delivers the announcements of finished tasks: durable, signed, retried for a day."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog
from opentelemetry.trace import SpanKind

from shared import metrics
from shared.errors import Unavailable
from shared.jobs.ledger import Ledger
from shared.ports import WebhookReply, WebhookSender
from shared.public import webhook_payload
from shared.tasks import Task, WebhookAttempt
from shared.tracing import context_of, log_fields, mark_failed, span
from shared.webhook_signature import webhook_headers

log = structlog.get_logger(__name__)

# Standard Webhooks' recommended schedule, each ±20 %: the tries span three days and more than the first hour
# that a receiver's deploy may take.
RETRY_DELAYS_SECONDS = (5.0, 60.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
MAX_RETRY_AFTER_SECONDS = 86400.0
RETRIED_STATUSES = frozenset({408, 425, 429})
LEASE_SECONDS = 20.0  # a try takes 15 s at most; one that a crash cut off is repeated after this
IDLE_SECONDS = 0.5
CONCURRENT_DELIVERIES = 64
CONCURRENT_OF_ONE_KEY = 32  # receivers that never answer hold a try for 15 s: one key's must not hold everybody's


def is_retried(reply: WebhookReply) -> bool:
    """Connection errors, 408, 425, 429 and 5xx are tried again; 410 and other answers are final."""
    return reply.status is None or reply.status in RETRIED_STATUSES or reply.status >= 500


def next_delay_seconds(
    attempts_made: int, reply: WebhookReply, delays_seconds: Sequence[float] = RETRY_DELAYS_SECONDS
) -> float | None:
    """Seconds until the next try after `attempts_made`, or None when there is none; Retry-After is a floor."""
    if not is_retried(reply) or attempts_made > len(delays_seconds):
        return None
    delay = delays_seconds[attempts_made - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    return max(delay, min(reply.retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS))


class WebhookDelivery:
    """Takes due webhooks from the store and posts them. A crash between post and record repeats the post,
    with the same `webhook-id`, so that a receiver can tell.

    Args:
        secret: `whsec_…` to sign with, or None.
        retry_delays_seconds: the wait before each further try, before jitter; its length bounds the tries.
    """

    def __init__(
        self,
        ledger: Ledger,
        sender: WebhookSender,
        secret: str | None,
        *,
        retry_delays_seconds: Sequence[float] = RETRY_DELAYS_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._sender = sender
        self._secret = secret
        self._retry_delays_seconds = tuple(retry_delays_seconds)
        metrics.webhook_attempts.labels("given_up")  # from 0 on: a series that begins at 1 has not increased

    async def run(self) -> None:
        slots = asyncio.Semaphore(CONCURRENT_DELIVERIES)
        of_key: Counter[str] = Counter()
        freed = asyncio.Event()

        def ended(owner: str, _: asyncio.Task[None]) -> None:
            of_key[owner] -= 1
            freed.set()
            slots.release()

        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                freed.clear()
                full = [owner for owner, under_way in of_key.items() if under_way >= CONCURRENT_OF_ONE_KEY]
                task: Task | None = None
                try:
                    task = await self._ledger.store.claim_webhook(LEASE_SECONDS, full)
                except Unavailable as error:
                    log.warning("webhook_claim_failed", reason=error.detail)
                if task is None:
                    slots.release()
                    # A full key may have more that are due: its next one goes out when one of its tries has ended.
                    await _within(IDLE_SECONDS, freed) if full else await asyncio.sleep(IDLE_SECONDS)
                    continue
                of_key[task.owner] += 1
                delivery = group.create_task(self._deliver(task))
                delivery.add_done_callback(partial(ended, task.owner))

    async def _deliver(self, task: Task) -> None:
        try:
            await self._try_once(task)
        except Unavailable as away:  # the claim runs out, and the post is tried again
            log.warning("webhook_record_failed", task_id=task.task_id, reason=away.detail)

    async def _try_once(self, task: Task) -> None:
        assert task.webhook is not None
        url, attempts_made = task.webhook.url, len(task.webhook.attempts) + 1
        body = json.dumps(webhook_payload(task), separators=(",", ":")).encode()
        at = await self._ledger.store.now()
        message_id = f"{task.task_id}.{task.status.value}"
        headers = webhook_headers(self._secret, message_id, int(time.time()), body)
        began = time.monotonic()
        with span("webhook", task.trace, SpanKind.PRODUCER, **{"lastframe.task_id": task.task_id}) as current:
            # The receiver's own spans join the trace; the request id is the one that the edge gave.
            headers.update(context_of(current, task.trace))
            reply = await self._sender.send(url, body, headers)
            if reply.status is None or reply.status >= 300:
                mark_failed(current, reply.error or str(reply.status))
        delivered = reply.status is not None and 200 <= reply.status < 300
        error = None if delivered else (reply.error or f"the receiver answered {reply.status}")
        attempt = WebhookAttempt(at, time.monotonic() - began, reply.status, error)
        delay = None if delivered else next_delay_seconds(attempts_made, reply, self._retry_delays_seconds)
        await self._ledger.store.record_webhook(task.task_id, url, attempt, delivered=delivered, next_in_seconds=delay)
        metrics.webhook_attempts.labels("delivered" if delivered else "given_up" if delay is None else "failed").inc()
        log.info(
            "webhook_tried",
            task_id=task.task_id,
            delivered=delivered,
            status=reply.status,
            error=error,
            **log_fields(task.trace),
        )


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Returns when the event is set, or after so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
