"""How every api role accepts a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from lastframe.tasks.v1 import tasks_pb2

from shared.errors import Unavailable
from shared.ports import PlanMaker
from shared.rpc.call import current_call, current_caller
from shared.rpc.plans import plan_message
from shared.tasks import Plan, Submission, Task, TaskKind
from shared.urls import OutboundPolicy, check_url

PLANNED = "planned"
PLAN_MESSAGE = "This is a plan; no task was made"


class Submitter:
    """Turns a validated request into a pending task, or into the plan of one.

    Args:
        accept: the ledger's `submit`.
        policy: where sources and webhooks may be.
        plan: what makes plans; None where the operator has named no workers that do.
    """

    def __init__(
        self,
        accept: Callable[[Submission], Awaitable[Task]],
        policy: OutboundPolicy,
        plan: PlanMaker | None = None,
    ) -> None:
        self.accept = accept
        self.policy = policy
        self._plan = plan

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
        dry_run: bool = False,
    ) -> Task | Plan:
        """Writes the task for the current caller; a dry run only finds out what it would do.

        Raises:
            InvalidRequest: the webhook's URL; in a dry run also what the job would fail with.
            Conflict: the idempotency key belongs to another request.
            Overloaded, ProcessingTimeout: in a dry run, see `PlanMaker`.
            Unavailable: nothing was accepted.
        """
        if webhook_url is not None:
            check_url(webhook_url, field="webhook_url", word="invalid_webhook_url", policy=self.policy)
        if dry_run:
            if self._plan is None:
                raise Unavailable("Plans are not set up here; the operator has to set LASTFRAME_PLANNER_ADDRESS")
            return await self._plan(kind, inputs, options or {})
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


def accepted(answer: Task | Plan, message: str) -> tasks_pb2.TaskAccepted:
    """The answer to a submit; `message` is about a queued task."""
    if isinstance(answer, Plan):
        return tasks_pb2.TaskAccepted(status=PLANNED, message=PLAN_MESSAGE, plan=plan_message(answer))
    return tasks_pb2.TaskAccepted(task_id=answer.task_id, status=answer.status.value, message=message)


def optional_fields(request: Any, *names: str) -> dict[str, Any]:
    """The named `optional` scalars that the client set."""
    return {name: getattr(request, name) for name in names if request.HasField(name)}
