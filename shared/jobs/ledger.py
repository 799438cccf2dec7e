"""The sole writer of task state: every change goes to the store first, then to the queue and the live view.

The store's write is what a caller waits for. What the queue and the live view are told of a submit, a claim or an end
follows right behind it: both may be lost anyway, and the sweeper repairs them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from shared import metrics
from shared.errors import Cancelled, Conflict, NotFound, Unavailable
from shared.jobs.routing import pool_for
from shared.ports import JobQueue, LiveState, TaskFilter, TaskStore
from shared.tasks import Failure, Outcome, Submission, Task, TaskKind, TaskStatus, Webhook, new_task_id

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0  # an unchanged task is repeated to its watchers this often
MOST_TELLING = 256  # changes that the queue and the live view may be behind the store


class Ledger:
    """Tasks from submit to end. `owner=None` in reads means "any owner" (an admin key, or the suite itself).

    Args:
        retention: how long finished tasks and their results are kept; None for ever.
        gpu_features: those that have GPU workers.
    """

    def __init__(
        self,
        store: TaskStore,
        queue: JobQueue,
        live: LiveState,
        retention: timedelta | None = None,
        gpu_features: Collection[str] = (),
    ) -> None:
        self.store = store
        self.queue = queue
        self.live = live
        self.retention = retention
        self._gpu_features = gpu_features
        self._telling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Returns when the queue and the live view have been told everything; before they are closed."""
        while self._telling:
            await asyncio.wait(self._telling)

    async def submit(self, submission: Submission) -> Task:
        """Writes a pending task; it is offered to the queue right after.

        One durable write decides; a publish that fails is no failure, because the sweeper repeats it.

        Raises:
            Conflict: the idempotency key was used for another request.
            Unavailable: the store is away, so nothing was accepted.
        """
        now = datetime.now(UTC)  # the store puts its own clock in its place
        task = Task(
            task_id=new_task_id(submission.kind),
            kind=submission.kind,
            owner=submission.owner,
            status=TaskStatus.PENDING,
            created_at=now,
            updated_at=now,
            inputs=submission.inputs,
            options=submission.options,
            webhook=Webhook(submission.webhook_url) if submission.webhook_url else None,
            retry_of=submission.retry_of,
            trace=submission.trace,
        )
        stored = await self.store.insert(task, submission.idempotency())
        if stored.task_id == task.task_id:
            await self._tell(self._announce(stored))
        return stored

    async def get(self, task_id: str, owner: str | None) -> Task:
        """Raises `NotFound` also for another owner's task, so that ids leak nothing."""
        task = await self.store.get(task_id.lower())
        if task is None or (owner is not None and task.owner != owner):
            raise NotFound(f"No task has the id {task_id}", word="task_not_found")
        return self._dated(task)

    async def recent(self, limit: int, owner: str | None) -> list[Task]:
        """The newest tasks first."""
        return [self._dated(task) for task in await self.store.recent(limit, owner)]

    async def page(self, which: TaskFilter, limit: int, cursor: str | None) -> tuple[list[Task], str | None]:
        """The newest tasks first, and the cursor of the next page."""
        tasks, following = await self.store.page(which, limit, cursor)
        return [self._dated(task) for task in tasks], following

    async def resubmission(self, task_id: str, owner: str | None, idempotency_key: str | None) -> Submission:
        """A failed task's request, to be submitted again as a new task.

        Raises:
            NotFound: unknown, or another owner's.
            Conflict: `task_not_failed`.
        """
        task = await self.get(task_id, owner)
        if task.status is not TaskStatus.FAILED:
            raise Conflict(f"Only a failed task can be retried, not a {task.status.value} one", word="task_not_failed")
        return Submission(
            kind=task.kind,
            owner=task.owner,
            inputs=task.inputs,
            options=task.options,
            webhook_url=task.webhook.url if task.webhook else None,
            idempotency_key=idempotency_key,
            retry_of=task.task_id,
            trace=task.trace,
        )

    async def redeliver(self, task_id: str, owner: str | None) -> Task:
        """Makes a finished task's webhook due at once.

        Raises:
            NotFound: unknown, or another owner's.
            Conflict: `no_webhook`, or `not_finished`.
        """
        task = await self.get(task_id, owner)
        if task.webhook is None:
            raise Conflict("The task has no webhook", word="no_webhook")
        if not task.status.is_terminal:
            raise Conflict("The webhook is sent when the task ends", word="not_finished")
        return await self.register_webhook(task_id, owner, task.webhook.url)

    async def watch(self, task_id: str, owner: str | None) -> AsyncIterator[Task]:
        """The task now and after every change, until it has ended; unchanged, again every 15 s."""
        shown: Task | None = None
        silent_ticks = 0
        async for _ in self.live.watch(task_id.lower()):
            task = await self.get(task_id, owner)
            silent_ticks += 1
            if shown is None or _visible(task) != _visible(shown) or silent_ticks >= HEARTBEAT_SECONDS:
                yield task
                shown, silent_ticks = task, 0
            if task.status.is_terminal:
                return

    async def cancel(self, task_id: str, owner: str | None) -> Task:
        """Ends a pending or running task as `failed: cancelled`; its worker notices within half a second.

        Raises:
            NotFound: unknown, or another owner's.
            Conflict: `already_finished`.
        """
        task = await self.get(task_id, owner)
        ended = await self.store.cancel(task.task_id, Failure(Cancelled.default_word, "The task was cancelled"))
        if ended is None:
            raise Conflict(f"The task already ended as {task.status.value}", word="already_finished")
        await self._announce_end(ended)
        return self._dated(ended)

    async def forget(self, task: Task) -> None:
        """Deletes a finished task's record; its results are the caller's to delete first."""
        await self.store.delete(task.task_id)
        await self.live.forget(task.task_id)

    async def expired(self, limit: int) -> list[Task]:
        """Finished tasks whose retention is over, the oldest first."""
        if self.retention is None:
            return []
        return await self.store.expired(await self.store.now() - self.retention, limit)

    async def register_webhook(self, task_id: str, owner: str | None, url: str) -> Task:
        task = await self.get(task_id, owner)
        changed = await self.store.set_webhook(task.task_id, url)
        if changed is None:
            raise NotFound(f"No task has the id {task_id}", word="task_not_found")
        await self.live.publish(changed)
        return changed

    async def claim(self, task_id: str | None, kinds: Collection[TaskKind], worker: str, lease: float) -> Task | None:
        """Takes a lease on this task, or on the oldest one ready when `task_id` is None."""
        if task_id is None:
            task = await self.store.claim_next(kinds, worker, lease)
        else:
            task = await self.store.claim(task_id, worker, lease)
        if task is not None:
            await self._tell(self.live.publish(task))
        return task

    async def renew(self, task: Task, lease: float, phase: str | None, progress: float | None) -> bool:
        kept = await self.store.renew(task.task_id, task.fence, lease, phase, progress)
        if kept:
            current = await self.store.get(task.task_id)
            if current is not None:
                await self.live.publish(current)
        return kept

    async def settle(self, task: Task, outcome: Outcome) -> Task | None:
        """Ends the task, unless this worker was replaced (then None)."""
        ended = await self.store.settle(task.task_id, task.fence, outcome)
        if ended is not None:
            await self._announce_end(ended)
        return ended

    async def retry(self, task: Task, failure: Failure, delay_seconds: float) -> None:
        """Gives the task back after a failure that another attempt may not meet."""
        pending = await self.store.give_back(task.task_id, task.fence, delay_seconds=delay_seconds, failure=failure)
        if pending is not None:
            metrics.task_retries.labels(task.kind, failure.word).inc()
            await self._offer(pending, delay_seconds)
            await self.live.publish(pending)

    async def give_back(self, task: Task) -> None:
        """Gives the task back uncharged: this worker is going away."""
        pending = await self.store.give_back(task.task_id, task.fence)
        if pending is not None:
            await self._offer(pending)
            await self.live.publish(pending)

    async def reoffer(self, tasks: Collection[Task]) -> None:
        """Announces tasks that the store itself moved (expired leases, repaired publishes)."""
        for task in tasks:
            if task.status.is_terminal:
                await self._announce_end(task)
                continue
            await self._tell(self._announce(task) if task.status is TaskStatus.PENDING else self.live.publish(task))

    async def _announce_end(self, task: Task) -> None:
        metrics.tasks_finished.labels(task.kind, task.failure.word if task.failure else "").inc()
        await self._tell(self.live.publish(task))

    def _dated(self, task: Task) -> Task:
        if self.retention is None or task.completed_at is None:
            return task
        return replace(task, expires_at=task.completed_at + self.retention)

    async def _tell(self, news: Coroutine[Any, Any, None]) -> None:
        """Begins this and lets it go on by itself; waits only while too much of it is under way."""
        task = asyncio.create_task(news)
        self._telling.add(task)
        task.add_done_callback(self._told)
        while len(self._telling) > MOST_TELLING:
            await asyncio.wait(self._telling, return_when=asyncio.FIRST_COMPLETED)

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("telling_failed", exc_info=error)

    async def _announce(self, task: Task) -> None:
        """The queue first: a worker waits for it."""
        await self._offer(task)
        await self.live.publish(task)

    async def _offer(self, task: Task, delay_seconds: float = 0.0) -> None:
        try:
            pool = pool_for(task, self._gpu_features)
            await self.queue.publish(task.kind, task.task_id, delay_seconds=delay_seconds, pool=pool)
        except Unavailable as error:
            log.warning("publish_failed", task_id=task.task_id, reason=error.detail)


def _visible(task: Task) -> tuple[object, ...]:
    return (task.status, task.phase, task.progress, task.attempt, task.webhook)
