"""Deletes tasks, their results and uploads: when their time is over, or when their owner says so."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import structlog

from shared.jobs.ledger import Ledger
from shared.ports import ObjectStore
from shared.tasks import Task
from shared.uploads import PREFIX, expiry_of

log = structlog.get_logger(__name__)

BATCH = 100


def object_names(task: Task) -> list[str]:
    """The names of a completed task's results: the last part of each URL that it shows."""
    return [unquote(urlsplit(url).path.rpartition("/")[2]) for url in task.outputs.values()]


async def delete_task(ledger: Ledger, objects: ObjectStore, task: Task) -> None:
    """Results first: a crash in between leaves a record that is found, and deleted, again."""
    for name in object_names(task):
        await objects.delete(name)
    await ledger.forget(task)


async def delete_expired(ledger: Ledger, objects: ObjectStore) -> int:
    """Deletes what has outlived its retention; returns how many tasks."""
    expired = await ledger.expired(BATCH)
    for task in expired:
        await delete_task(ledger, objects, task)
    if expired:
        log.info("tasks_expired", count=len(expired))
    return len(expired)


async def delete_expired_uploads(objects: ObjectStore, now: datetime | None = None) -> int:
    """Deletes uploads that are due; returns how many. Their names sort by expiry, so the first ones are looked at."""
    now = now or datetime.now(UTC)
    names = await objects.names(PREFIX, BATCH)
    due = [name for name in names if (expiry := expiry_of(name)) is not None and expiry <= now]
    for name in due:
        await objects.delete(name)
    if due:
        log.info("uploads_expired", count=len(due))
    return len(due)
