"""TasksService: status, lists, watching, cancel, retry and webhooks for tasks of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from typing import Any

from lastframe.tasks.v1 import tasks_pb2, tasks_pb2_grpc

from shared.jobs.ledger import Ledger
from shared.jobs.retention import delete_task
from shared.ports import ObjectStore, TaskFilter
from shared.rpc.call import current_call, current_caller
from shared.rpc.limits import Places
from shared.rpc.render import task_message
from shared.rpc.submit import accepted
from shared.tasks import Submission, Task, TaskKind, TaskStatus
from shared.urls import OutboundPolicy, check_url

DEFAULT_RECENT = 50


class TasksService(tasks_pb2_grpc.TasksServiceServicer):
    """The one door to tasks of every kind.

    Args:
        accept: as the Submitter has it: the ledger's `submit` behind the caller's limits.
        watches_of_one_key: at once in this process; 0 for no limit.
    """

    def __init__(
        self,
        ledger: Ledger,
        objects: ObjectStore,
        policy: OutboundPolicy,
        accept: Callable[[Submission], Awaitable[Task]],
        *,
        watches_of_one_key: int = 0,
    ) -> None:
        self._ledger = ledger
        self._accept = accept
        self._objects = objects
        self._policy = policy
        self._watches = Places("watches", of_one_key=watches_of_one_key)

    async def GetTask(self, request: tasks_pb2.GetTaskRequest, context: Any) -> tasks_pb2.Task:
        return task_message(await self._ledger.get(request.task_id, current_caller().visible_owner))

    async def ListRecentTasks(
        self, request: tasks_pb2.ListRecentTasksRequest, context: Any
    ) -> tasks_pb2.ListRecentTasksResponse:
        limit = request.limit if request.HasField("limit") else DEFAULT_RECENT
        tasks = await self._ledger.recent(limit, current_caller().visible_owner)
        return tasks_pb2.ListRecentTasksResponse(tasks=[task_message(task) for task in tasks], count=len(tasks))

    async def RegisterWebhook(
        self, request: tasks_pb2.RegisterWebhookRequest, context: Any
    ) -> tasks_pb2.RegisterWebhookResponse:
        check_url(request.webhook_url, field="webhook_url", word="invalid_webhook_url", policy=self._policy)
        owner = current_caller().visible_owner
        task = await self._ledger.register_webhook(request.task_id, owner, request.webhook_url)
        return tasks_pb2.RegisterWebhookResponse(
            task_id=task.task_id, webhook_url=request.webhook_url, message="Webhook registered successfully"
        )

    async def WatchTask(self, request: tasks_pb2.WatchTaskRequest, context: Any) -> AsyncIterator[tasks_pb2.Task]:
        caller = current_caller()
        with self._watches.held(caller.name):
            async for task in self._ledger.watch(request.task_id, caller.visible_owner):
                yield task_message(task)

    async def CancelTask(self, request: tasks_pb2.CancelTaskRequest, context: Any) -> tasks_pb2.Task:
        owner = current_caller().visible_owner
        task = await self._ledger.get(request.task_id, owner)
        if task.status is TaskStatus.COMPLETED:
            await delete_task(self._ledger, self._objects, task)
            return task_message(task)
        return task_message(await self._ledger.cancel(request.task_id, owner))

    async def ListTasks(self, request: tasks_pb2.ListTasksRequest, context: Any) -> tasks_pb2.ListTasksResponse:
        which = TaskFilter(
            owner=current_caller().visible_owner,
            statuses=(TaskStatus(request.status),) if request.HasField("status") else (),
            kinds=(TaskKind(request.kind),) if request.HasField("kind") else (),
            created_after=request.created_after.ToDatetime(UTC) if request.HasField("created_after") else None,
        )
        limit = request.limit if request.HasField("limit") else DEFAULT_RECENT
        cursor = request.cursor if request.cursor else None
        tasks, following = await self._ledger.page(which, limit, cursor)
        reply = tasks_pb2.ListTasksResponse(tasks=[task_message(task) for task in tasks], count=len(tasks))
        if following is not None:
            reply.next_cursor = following
        return reply

    async def RetryTask(self, request: tasks_pb2.RetryTaskRequest, context: Any) -> tasks_pb2.TaskAccepted:
        owner = current_caller().visible_owner
        submission = await self._ledger.resubmission(request.task_id, owner, current_call().idempotency_key)
        task = await self._accept(submission)
        return accepted(task, f"Task {request.task_id} queued again")

    async def RedeliverWebhook(self, request: tasks_pb2.RedeliverWebhookRequest, context: Any) -> tasks_pb2.Task:
        return task_message(await self._ledger.redeliver(request.task_id, current_caller().visible_owner))
