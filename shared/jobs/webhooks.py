"""Delivers the announcements of finished tasks: durable, signed, retried for a day."""

from __future__ import annotations

import asyncio
import json
import random
import time

import structlog

from shared.errors import Unavailable
from shared.jobs.ledger import Ledger
from shared.ports import WebhookReply, WebhookSender
from shared.public import webhook_payload
from shared.tasks import Task, WebhookAttempt
from shared.webhook_signature import webhook_headers

log = structlog.get_logger(__name__)

# Standard Webhooks' recommended schedule, each ±20 %: the tries span three days and more than the first hour
# that a receiver's deploy may take.
RETRY_DELAYS_SECONDS = (5, 60, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
GONE = 410
RETRIED_STATUSES = frozenset({408, 425, 429})
LEASE_SECONDS = 60.0
IDLE_SECONDS = 0.5
CONCURRENT_DELIVERIES = 8


def is_retried(reply: WebhookReply) -> bool:
    """Connection errors, 408, 425, 429 and 5xx are tried again; 410 and other answers are final."""
    return reply.status is None or reply.status in RETRIED_STATUSES or reply.status >= 500


def next_delay_seconds(attempts_made: int, reply: WebhookReply) -> float | None:
    """Seconds until the next try after `attempts_made`, or None when there is none; Retry-After is a floor."""
    if not is_retried(reply) or attempts_made > len(RETRY_DELAYS_SECONDS):
        return None
    delay = RETRY_DELAYS_SECONDS[attempts_made - 1] * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    return max(delay, min(reply.retry_after_seconds or 0.0, RETRY_DELAYS_SECONDS[-1]))


class WebhookDelivery:
    """Takes due webhooks from the store and posts them. A crash between post and record repeats the post,
    with the same `webhook-id`, so that a receiver can tell."""

    def __init__(self, ledger: Ledger, sender: WebhookSender, secret: str | None) -> None:
        self._ledger = ledger
        self._sender = sender
        self._secret = secret

    async def run(self) -> None:
        slots = asyncio.Semaphore(CONCURRENT_DELIVERIES)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                task: Task | None = None
                try:
                    task = await self._ledger.store.claim_webhook(LEASE_SECONDS)
                except Unavailable as error:
                    log.warning("webhook_claim_failed", reason=error.detail)
                if task is None:
                    slots.release()
                    await asyncio.sleep(IDLE_SECONDS)
                    continue
                delivery = group.create_task(self._deliver(task))
                delivery.add_done_callback(lambda _: slots.release())

    async def _deliver(self, task: Task) -> None:
        assert task.webhook is not None
        url, attempts_made = task.webhook.url, len(task.webhook.attempts) + 1
        body = json.dumps(webhook_payload(task), separators=(",", ":")).encode()
        at = await self._ledger.store.now()
        message_id = f"{task.task_id}.{task.status.value}"
        headers = webhook_headers(self._secret, message_id, int(time.time()), body)
        headers.update({k: v for k, v in task.trace.items() if k in ("x-request-id", "traceparent")})
        began = time.monotonic()
        reply = await self._sender.send(url, body, headers)
        delivered = reply.status is not None and 200 <= reply.status < 300
        error = None if delivered else (reply.error or f"the receiver answered {reply.status}")
        attempt = WebhookAttempt(at, time.monotonic() - began, reply.status, error)
        delay = None if delivered else next_delay_seconds(attempts_made, reply)
        try:
            await self._ledger.store.record_webhook(
                task.task_id, url, attempt, delivered=delivered, next_in_seconds=delay
            )
        except Unavailable as away:
            log.warning("webhook_record_failed", task_id=task.task_id, reason=away.detail)
        log.info("webhook_tried", task_id=task.task_id, delivered=delivered, status=reply.status, error=error)
