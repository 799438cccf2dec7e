"""The sole writer of task state: every change goes to the store first, then to the queue and the live view."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

import structlog

from shared.errors import Cancelled, Conflict, NotFound, Unavailable
from shared.ports import JobQueue, LiveState, TaskStore
from shared.tasks import Failure, Outcome, Submission, Task, TaskKind, TaskStatus, Webhook, new_task_id

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0  # an unchanged task is repeated to its watchers this often


class Ledger:
    """Tasks from submit to end. `owner=None` in reads means "any owner" (an admin key, or the suite itself)."""

    def __init__(self, store: TaskStore, queue: JobQueue, live: LiveState) -> None:
        self.store = store
        self.queue = queue
        self.live = live

    async def submit(self, submission: Submission) -> Task:
        """Writes a pending task and offers it to the queue.

        One durable write decides; a publish that fails is no failure, because the sweeper repeats it.

        Raises:
            Conflict: the idempotency key was used for another request.
            Unavailable: the store is away, so nothing was accepted.
        """
        now = await self.store.now()
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
            trace=submission.trace,
        )
        stored = await self.store.insert(task, submission.idempotency())
        if stored.task_id == task.task_id:
            await self._offer(stored)
            await self.live.publish(stored)
        return stored

    async def get(self, task_id: str, owner: str | None) -> Task:
        """Raises `NotFound` also for another owner's task, so that ids leak nothing."""
        task = await self.store.get(task_id.lower())
        if task is None or (owner is not None and task.owner != owner):
            raise NotFound(f"No task has the id {task_id}", word="task_not_found")
        return task

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
        word = Cancelled.default_word
        ended = await self.store.cancel(task.task_id, Failure(word, "The task was cancelled"))
        if ended is None:
            raise Conflict(f"The task already ended as {task.status.value}", word="already_finished")
        await self.live.publish(ended)
        return ended

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
            await self.live.publish(task)
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
            await self.live.publish(ended)
        return ended

    async def retry(self, task: Task, failure: Failure, delay_seconds: float) -> None:
        """Gives the task back after a failure that another attempt may not meet."""
        pending = await self.store.give_back(task.task_id, task.fence, delay_seconds=delay_seconds, failure=failure)
        if pending is not None:
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
            if task.status is TaskStatus.PENDING:
                await self._offer(task)
            await self.live.publish(task)

    async def _offer(self, task: Task, delay_seconds: float = 0.0) -> None:
        try:
            await self.queue.publish(task.kind, task.task_id, delay_seconds=delay_seconds)
        except Unavailable as error:
            log.warning("publish_failed", task_id=task.task_id, reason=error.detail)


def _visible(task: Task) -> tuple[object, ...]:
    return (task.status, task.phase, task.progress, task.attempt, task.webhook)
