"""The legal steps of a task's life as pure functions: a task and the store's time in, the changed task out.

Each checks nothing but what it changes; who may take the step (status, fence) is the store's compare-and-set.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.backends.policy import LEASE_LOST, WORKER_LOST, publish_repair
from shared.tasks import Failure, Outcome, Retry, Success, Task, TaskStatus, Webhook, WebhookAttempt, WebhookState


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def submitted(task: Task, now: datetime) -> Task:
    return replace(task, status=TaskStatus.PENDING, created_at=now, updated_at=now, dispatch_at=now + publish_repair())


def dispatched(task: Task, again_at: datetime) -> Task:
    return replace(task, dispatch_at=again_at)


def claimed(task: Task, worker: str, lease_seconds: float, now: datetime) -> Task:
    return replace(
        task,
        status=TaskStatus.PROCESSING,
        worker=worker,
        attempt=task.attempt + 1,
        fence=task.fence + 1,
        lease_until=now + seconds(lease_seconds),
        dispatch_at=None,
        started_at=now,
        updated_at=now,
        phase=None,
        progress=None,
    )


def renewed(task: Task, lease_seconds: float, phase: str | None, progress: float | None, now: datetime) -> Task:
    return replace(task, lease_until=now + seconds(lease_seconds), phase=phase, progress=progress, updated_at=now)


def given_back(task: Task, now: datetime, *, delay_seconds: float = 0.0, failure: Failure | None = None) -> Task:
    """Pending again. With a failure the attempt counts and is recorded, without one it is not charged."""
    retry = () if failure is None else (Retry(task.attempt, now, failure),)
    return replace(
        task,
        status=TaskStatus.PENDING,
        worker=None,
        attempt=task.attempt if failure is not None else task.attempt - 1,
        fence=task.fence + 1,
        lease_until=None,
        dispatch_at=now + seconds(delay_seconds) + publish_repair(),
        started_at=None,
        updated_at=now,
        phase=None,
        progress=None,
        retries=task.retries + retry,
    )


def finished(task: Task, outcome: Outcome, now: datetime) -> Task:
    """Completed or failed; its webhook becomes due."""
    ended = replace(
        task,
        worker=None,
        lease_until=None,
        dispatch_at=None,
        completed_at=now,
        updated_at=now,
        phase=None,
        webhook=None if task.webhook is None else due(task.webhook, now),
    )
    if isinstance(outcome, Success):
        return replace(
            ended,
            status=TaskStatus.COMPLETED,
            outputs=outcome.outputs,
            metadata=outcome.metadata,
            progress=1.0,
        )
    return replace(ended, status=TaskStatus.FAILED, failure=outcome)


def cancelled(task: Task, failure: Failure, now: datetime) -> Task:
    """Failed from pending or processing, with a new fence, so that a worker that still runs it is a stranger."""
    return finished(replace(task, fence=task.fence + 1), failure, now)


def lease_expired(task: Task, max_attempts: int, now: datetime) -> Task:
    """Pending again, the attempt charged; failed when it was the last."""
    if task.attempt >= max_attempts:
        return finished(replace(task, fence=task.fence + 1), WORKER_LOST, now)
    return given_back(task, now, failure=LEASE_LOST)


def with_webhook(task: Task, url: str, now: datetime) -> Task:
    webhook = Webhook(url)
    return replace(task, webhook=due(webhook, now) if task.status.is_terminal else webhook)


def due(webhook: Webhook, now: datetime) -> Webhook:
    return replace(webhook, state=WebhookState.PENDING, next_attempt_at=now)


def webhook_claimed(task: Task, again_at: datetime) -> Task:
    assert task.webhook is not None
    return replace(task, webhook=replace(task.webhook, next_attempt_at=again_at))


def webhook_tried(
    task: Task, url: str, attempt: WebhookAttempt, *, delivered: bool, next_in_seconds: float | None, now: datetime
) -> Task:
    """The task unchanged when its webhook was replaced meanwhile."""
    webhook = task.webhook
    if webhook is None or webhook.url != url or webhook.state is not WebhookState.PENDING:
        return task
    if delivered:
        state, again = WebhookState.DELIVERED, None
    elif next_in_seconds is None:
        state, again = WebhookState.FAILED, None
    else:
        state, again = WebhookState.PENDING, now + seconds(next_in_seconds)
    changed = replace(webhook, state=state, attempts=(*webhook.attempts, attempt), next_attempt_at=again)
    return replace(task, webhook=changed)
