"""The reconciler: repairs what a crash or a lost message left. Every process runs one; there is no leader."""

from __future__ import annotations

import asyncio

import structlog

from shared import metrics
from shared.errors import Unavailable
from shared.jobs.ledger import Ledger
from shared.jobs.retention import delete_expired, delete_expired_uploads
from shared.ports import ObjectStore
from shared.tasks import TaskStatus

log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
ACTIVE_SYNC_SECONDS = 5.0
UPLOADS_SECONDS = 300.0  # a bucket's listing costs money
MAX_CRASHES = 10  # attempts that may begin before a task counts as poison
REOFFER_SECONDS = 30.0
BATCH = 200


async def sweep_forever(ledger: Ledger, objects: ObjectStore) -> None:
    """Expires leases, repeats publishes that were lost, keeps the live set of running tasks true, and deletes what
    has outlived its retention."""
    since_sync = ACTIVE_SYNC_SECONDS
    since_uploads = UPLOADS_SECONDS
    while True:
        try:
            await sweep_once(ledger)
            since_sync += INTERVAL_SECONDS
            since_uploads += INTERVAL_SECONDS
            if since_sync >= ACTIVE_SYNC_SECONDS:
                await _restore_live(ledger)
                await _measure(ledger)
                await delete_expired(ledger, objects)
                since_sync = 0.0
            if since_uploads >= UPLOADS_SECONDS:
                await delete_expired_uploads(objects)
                since_uploads = 0.0
        except Unavailable as error:
            log.warning("sweep_failed", reason=error.detail)
        await asyncio.sleep(INTERVAL_SECONDS)


async def sweep_once(ledger: Ledger) -> None:
    expired = await ledger.store.expire_leases(MAX_CRASHES)
    for task in expired:
        metrics.leases_expired.labels(task.kind).inc()
        log.warning("lease_expired", task_id=task.task_id, status=task.status.value, attempt=task.attempt)
        if task.failure is not None and task.status is TaskStatus.FAILED:
            await ledger.queue.bury(task.kind, task.task_id, task.failure.word)
    await ledger.reoffer(expired)
    await ledger.reoffer(await ledger.store.due_for_dispatch(BATCH, REOFFER_SECONDS))


async def _restore_live(ledger: Ledger) -> None:
    """Makes the live set of running tasks true, and shows again what a live state that was lost has forgotten."""
    for task_id in await ledger.live.sync_active(await ledger.store.active()):
        task = await ledger.store.get(task_id)
        if task is not None:
            await ledger.live.publish(task)


async def _measure(ledger: Ledger) -> None:
    for status, count in (await ledger.store.counts()).items():
        metrics.tasks.labels(status).set(count)
    metrics.queue_age_seconds.set(await ledger.store.oldest_pending_seconds() or 0.0)
