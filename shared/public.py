"""How a task looks from outside: one function renders every kind, for status, webhooks and the live view."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.tasks import Task, TaskKind, TaskStatus, Webhook


def to_the_millisecond(moment: datetime) -> datetime:
    """The moment as it is shown; a whole second is shown as its first millisecond.

    Protobuf's JSON drops a fraction of zero, and a client that reads `%S.%fZ`, as the API guide prints every time,
    would fail on one time in a thousand. No two times change their order by it.
    """
    return moment.replace(microsecond=max(moment.microsecond // 1000, 1) * 1000)


def rfc3339(moment: datetime) -> str:
    """`2025-08-06T10:13:05.833Z`: UTC, always with milliseconds and `Z`."""
    return to_the_millisecond(moment).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def public_task(task: Task) -> dict[str, Any]:
    """The task under the API guide's names; what its kind or state does not have is absent.

    Keys are those of `lastframe.tasks.v1.Task`, values are JSON.
    """
    view: dict[str, Any] = {"task_id": task.task_id, "status": task.status.value, "kind": task.kind.value}
    view.update(task.inputs)
    if task.status is TaskStatus.COMPLETED:
        view.update(task.outputs)
    for name in ("created_at", "updated_at", "started_at", "completed_at", "expires_at"):
        moment = getattr(task, name)
        if moment is not None:
            view[name] = rfc3339(moment)
    if task.status is TaskStatus.PROCESSING:
        view["phase"] = task.phase or "starting"
        view["progress"] = round(task.progress or 0.0, 4)
    if task.failure is not None and task.status is TaskStatus.FAILED:
        view["error"] = task.failure.word
        view["error_message"] = task.failure.detail
        if task.failure.input_name:
            view["error_input"] = task.failure.input_name
    elif task.kind is TaskKind.MOVIE_ASSEMBLY:
        view["error_message"] = None
    if task.retries:
        view["attempt"] = task.attempt
        view["retries"] = [
            {
                "attempt": retry.attempt,
                "at": rfc3339(retry.at),
                "error": retry.failure.word,
                "error_message": retry.failure.detail,
            }
            for retry in task.retries
        ]
    if task.retry_of is not None:
        view["retry_of"] = task.retry_of
    if task.webhook is not None:
        view["webhook"] = public_webhook(task.webhook)
    if task.status is TaskStatus.COMPLETED:
        view["metadata"] = dict(task.metadata)
    return view


def public_webhook(webhook: Webhook) -> dict[str, Any]:
    view: dict[str, Any] = {"url": webhook.url, "state": webhook.state.value, "attempts": []}
    for attempt in webhook.attempts:
        entry: dict[str, Any] = {
            "at": rfc3339(attempt.at),
            "duration_seconds": round(attempt.duration_seconds, 3),
        }
        if attempt.http_status is not None:
            entry["http_status"] = attempt.http_status
        if attempt.error is not None:
            entry["error"] = attempt.error
        view["attempts"].append(entry)
    if webhook.next_attempt_at is not None:
        view["next_attempt_at"] = rfc3339(webhook.next_attempt_at)
    return view


def webhook_payload(task: Task) -> Mapping[str, Any]:
    """The body of the announcement of a task's end, as the API guide shows it."""
    payload: dict[str, Any] = {"task_id": task.task_id, "status": task.status.value, "kind": task.kind.value}
    if task.status is TaskStatus.COMPLETED:
        payload.update(task.outputs)
        payload["metadata"] = dict(task.metadata)
    elif task.failure is not None:
        payload["error"] = task.failure.word
        payload["error_message"] = task.failure.detail
        if task.failure.input_name:
            payload["error_input"] = task.failure.input_name
    return payload
