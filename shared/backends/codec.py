"""A task as a plain document and back: one place for both stores, so that both keep every field.

Documents hold what JSON and BSON both hold. Times go through two functions, because SQLite keeps integers and MongoDB
keeps dates; everything else is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.tasks import Failure, Retry, Task, TaskKind, TaskStatus, Webhook, WebhookAttempt, WebhookState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC; exact, which a float of seconds is not."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True)
class TaskCodec:
    """Writes and reads tasks.

    Attributes:
        store_time: a moment as the document keeps it.
        load_time: the way back, to an aware datetime in UTC.
    """

    store_time: Callable[[datetime], Any]
    load_time: Callable[[Any], datetime]

    def encode(self, task: Task) -> dict[str, Any]:
        """Every field of a task under its own name, without the id."""
        return {
            "kind": task.kind.value,
            "owner": task.owner,
            "status": task.status.value,
            "created_at": self.store_time(task.created_at),
            "updated_at": self.store_time(task.updated_at),
            "inputs": plain(task.inputs),
            "options": plain(task.options),
            "outputs": plain(task.outputs),
            "metadata": plain(task.metadata),
            "failure": encode_failure(task.failure),
            "started_at": self._store(task.started_at),
            "completed_at": self._store(task.completed_at),
            "attempt": task.attempt,
            "fence": task.fence,
            "worker": task.worker,
            "lease_until": self._store(task.lease_until),
            "dispatch_at": self._store(task.dispatch_at),
            "phase": task.phase,
            "progress": task.progress,
            "retries": [self._encode_retry(retry) for retry in task.retries],
            "webhook": self._encode_webhook(task.webhook),
            "retry_of": task.retry_of,
            "trace": dict(task.trace),
        }

    def decode(self, task_id: str, document: Mapping[str, Any]) -> Task:
        """A task from its document; fields that an older version did not write take their defaults."""
        return Task(
            task_id=task_id,
            kind=TaskKind(document["kind"]),
            owner=document["owner"],
            status=TaskStatus(document["status"]),
            created_at=self.load_time(document["created_at"]),
            updated_at=self.load_time(document["updated_at"]),
            inputs=document.get("inputs") or {},
            options=document.get("options") or {},
            outputs=document.get("outputs") or {},
            metadata=document.get("metadata") or {},
            failure=decode_failure(document.get("failure")),
            started_at=self._load(document.get("started_at")),
            completed_at=self._load(document.get("completed_at")),
            attempt=document.get("attempt", 0),
            fence=document.get("fence", 0),
            worker=document.get("worker"),
            lease_until=self._load(document.get("lease_until")),
            dispatch_at=self._load(document.get("dispatch_at")),
            phase=document.get("phase"),
            progress=document.get("progress"),
            retries=tuple(self._decode_retry(retry) for retry in document.get("retries") or ()),
            webhook=self._decode_webhook(document.get("webhook")),
            retry_of=document.get("retry_of"),
            trace=document.get("trace") or {},
        )

    def encode_attempt(self, attempt: WebhookAttempt) -> dict[str, Any]:
        return {
            "at": self.store_time(attempt.at),
            "duration_seconds": attempt.duration_seconds,
            "http_status": attempt.http_status,
            "error": attempt.error,
        }

    def _store(self, moment: datetime | None) -> Any:
        return None if moment is None else self.store_time(moment)

    def _load(self, value: Any) -> datetime | None:
        return None if value is None else self.load_time(value)

    def _encode_retry(self, retry: Retry) -> dict[str, Any]:
        return {"attempt": retry.attempt, "at": self.store_time(retry.at), "failure": encode_failure(retry.failure)}

    def _decode_retry(self, document: Mapping[str, Any]) -> Retry:
        failure = decode_failure(document["failure"])
        assert failure is not None
        return Retry(document["attempt"], self.load_time(document["at"]), failure)

    def _encode_webhook(self, webhook: Webhook | None) -> dict[str, Any] | None:
        if webhook is None:
            return None
        return {
            "url": webhook.url,
            "state": webhook.state.value,
            "attempts": [self.encode_attempt(attempt) for attempt in webhook.attempts],
            "next_attempt_at": self._store(webhook.next_attempt_at),
        }

    def _decode_webhook(self, document: Mapping[str, Any] | None) -> Webhook | None:
        if document is None:
            return None
        return Webhook(
            url=document["url"],
            state=WebhookState(document["state"]),
            attempts=tuple(
                WebhookAttempt(self.load_time(item["at"]), item["duration_seconds"], item["http_status"], item["error"])
                for item in document["attempts"]
            ),
            next_attempt_at=self._load(document["next_attempt_at"]),
        )


def plain(value: Any) -> Any:
    """A copy made of dicts and lists only: mappings and tuples of frozen tasks are neither JSON nor BSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def encode_failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {"word": failure.word, "detail": failure.detail, "input_name": failure.input_name}


def decode_failure(document: Mapping[str, Any] | None) -> Failure | None:
    if document is None:
        return None
    return Failure(document["word"], document["detail"], document["input_name"])
