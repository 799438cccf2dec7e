"""How every api role accepts a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lastframe.tasks.v1 import tasks_pb2

from shared.rpc.call import current_call, current_caller
from shared.tasks import Submission, Task, TaskKind
from shared.urls import OutboundPolicy, check_url


class Submitter:
    """Turns a validated request into a pending task.

    Args:
        accept: the ledger's `submit`.
        policy: where sources and webhooks may be.
    """

    def __init__(self, accept: Callable[[Submission], Awaitable[Task]], policy: OutboundPolicy) -> None:
        self.accept = accept
        self.policy = policy

    def check_source(self, url: str, field: str, word: str) -> None:
        """Raises `InvalidRequest` with `word`, naming `field`, when no source can be fetched from this URL."""
        check_url(url, field=field, word=word, policy=self.policy, is_source=True)

    async def submit(
        self,
        kind: TaskKind,
        *,
        inputs: Mapping[str, Any],
        options: Mapping[str, Any] | None = None,
        webhook_url: str | None = None,
    ) -> Task:
        """Writes the task for the current caller.

        Raises:
            InvalidRequest: the webhook's URL.
            Conflict: the idempotency key belongs to another request.
            Unavailable: nothing was accepted.
        """
        if webhook_url is not None:
            check_url(webhook_url, field="webhook_url", word="invalid_webhook_url", policy=self.policy)
        call = current_call()
        return await self.accept(
            Submission(
                kind=kind,
                owner=current_caller().name,
                inputs=inputs,
                options=options or {},
                webhook_url=webhook_url,
                idempotency_key=call.idempotency_key,
                trace=call.trace,
            )
        )


def accepted(task: Task, message: str) -> tasks_pb2.TaskAccepted:
    return tasks_pb2.TaskAccepted(task_id=task.task_id, status=task.status.value, message=message)


def optional_fields(request: Any, *names: str) -> dict[str, Any]:
    """The named `optional` scalars that the client set."""
    return {name: getattr(request, name) for name in names if request.HasField(name)}
