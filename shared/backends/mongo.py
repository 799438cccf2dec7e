"""The task store on MongoDB: every step is one update on the server's clock, acknowledged by a majority.

The only file that knows the driver, motor. A replica set is needed (one member is enough): majority writes and
retryable writes are what a lost answer or a lost primary does not break.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from bson import CodecOptions, Int64, encode
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument, WriteConcern
from pymongo.errors import (
    ConfigurationError as DriverConfigurationError,
)
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    WTimeoutError,
)
from pymongo.read_concern import ReadConcern

from shared.backends import mongo_updates as updates
from shared.backends.codec import EPOCH, TaskCodec, from_micros, to_micros
from shared.backends.mongo_updates import FINISHED, NEWEST_FIRST, PENDING, PROCESSING, UNFINISHED, Document, Pipeline
from shared.backends.policy import IDEMPOTENCY_SECONDS, LEASE_LOST, WORKER_LOST, PageRoom, make_cursor, read_cursor
from shared.errors import ConfigurationError, Conflict, Unavailable
from shared.ports import TaskFilter
from shared.tasks import Failure, Idempotency, Outcome, Task, TaskKind, TaskStatus, WebhookAttempt

T = TypeVar("T")

OPERATION_TIMEOUT_MILLISECONDS = 4000
SERVER_SELECTION_TIMEOUT_MILLISECONDS = 3000
DEFAULT_DATABASE = "lastframe"
AUTHENTICATION_ERRORS = (13, 18)  # Unauthorized, AuthenticationFailed

CODEC = TaskCodec(store_time=lambda moment: moment, load_time=lambda value: cast("datetime", value))


class MongoStore:
    """`TaskStore` on `mongodb://host/database` (default database `lastframe`)."""

    def __init__(self, url: str, *, idempotency_seconds: float = IDEMPOTENCY_SECONDS) -> None:
        self._url = url
        self._idempotency_seconds = idempotency_seconds
        self._client: Any = None
        self._tasks: Any = None

    async def open(self) -> None:
        """Connects and makes the indexes. Raises `ConfigurationError` on a URL or server that cannot serve."""
        try:
            self._client = AsyncIOMotorClient(
                self._url,
                timeoutMS=OPERATION_TIMEOUT_MILLISECONDS,
                serverSelectionTimeoutMS=SERVER_SELECTION_TIMEOUT_MILLISECONDS,
                connectTimeoutMS=2000,
                retryWrites=True,
                retryReads=True,
            )
            database = self._client.get_default_database(DEFAULT_DATABASE)
        except (DriverConfigurationError, InvalidURI, ValueError) as error:
            raise ConfigurationError(f"LASTFRAME_STORE_URL: {error}. Set it to mongodb://host/database.") from error
        self._tasks = database.get_collection(
            "tasks",
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            write_concern=WriteConcern("majority"),  # j left unset: False would wait for the 100 ms journal tick
            read_concern=ReadConcern("majority"),
        )
        try:
            hello = await _reach(self._client.admin.command("hello"))
            if "setName" not in hello and hello.get("msg") != "isdbgrid":
                raise ConfigurationError(
                    "LASTFRAME_STORE_URL: this mongod is not a replica set, so its writes could be lost unnoticed."
                    " Start it with --replSet rs0 and run rs.initiate() once."
                )
            await _reach(self._tasks.create_indexes(updates.INDEXES))
        except OperationFailure as error:
            if error.code in AUTHENTICATION_ERRORS:
                raise ConfigurationError("LASTFRAME_STORE_URL: MongoDB refused its user or password.") from error
            raise

    async def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = self._tasks = None

    async def insert(self, task: Task, idempotency: Idempotency | None = None) -> Task:
        tie = Int64(time.time_ns())  # orders the submits of one process within one millisecond
        document = {**CODEC.encode(task), "_id": task.task_id, "status": TaskStatus.PENDING.value, "tie": tie}
        key = None
        if idempotency is not None:
            key = {"owner": idempotency.owner, "key": idempotency.key, "digest": idempotency.digest}
        pipeline = updates.submitted(document, key, self._idempotency_seconds)
        while True:
            try:
                stored = await self._update({"_id": task.task_id}, pipeline, upsert=True)
            except DuplicateKeyError:
                if idempotency is not None and (earlier := await self._earlier(idempotency)):
                    return earlier
                continue  # the key has just become free
            assert stored is not None
            if stored["tie"] != tie:
                raise Conflict("A task with this id exists already.")
            return _task(stored)

    async def _earlier(self, idempotency: Idempotency) -> Task | None:
        """The task that already has this key; None when the key is free, because it ran out or its task is gone."""
        key = {"idempotency.owner": idempotency.owner, "idempotency.key": idempotency.key}
        await self._update(key | updates.passed("idempotency.until"), [{"$unset": "idempotency"}])
        document = await _reach(self._collection.find_one(key))
        if document is None:
            return None
        if document["idempotency"]["digest"] != idempotency.digest:
            raise Conflict("This Idempotency-Key was used for a different request.", word="idempotency_conflict")
        return _task(document)

    async def get(self, task_id: str) -> Task | None:
        document = await _reach(self._collection.find_one({"_id": task_id}))
        return None if document is None else _task(document)

    async def recent(self, limit: int, owner: str | None = None) -> list[Task]:
        tasks, _ = await self.page(TaskFilter(owner=owner), limit)
        return tasks

    async def page(self, which: TaskFilter, limit: int, cursor: str | None = None) -> tuple[list[Task], str | None]:
        conditions = _conditions(which)
        if cursor is not None:
            micros, tie = read_cursor(cursor, 2)
            created = from_micros(min(micros, to_micros(datetime.max.replace(tzinfo=UTC))))
            earlier = [{"created_at": {"$lt": created}}, {"created_at": created, "tie": {"$lt": Int64(tie)}}]
            conditions.append({"$or": earlier})
        query = {"$and": conditions} if conditions else {}
        kept, ended = await _reach(self._page_of(query, limit))
        more = None if ended else make_cursor(to_micros(kept[-1]["created_at"]), kept[-1]["tie"])
        return [_task(document) for document in kept], more

    async def _page_of(self, query: Document, limit: int) -> tuple[list[Document], bool]:
        """The documents that fit into a page, and whether they were the last."""
        kept: list[Document] = []
        room = PageRoom(limit)
        async for document in self._collection.find(query, sort=NEWEST_FIRST, limit=limit + 1):
            if not room.takes(len(encode(document))):
                return kept, False
            kept.append(document)
        return kept, True

    async def counts(self, owner: str | None = None) -> dict[TaskStatus, int]:
        numbers = await asyncio.gather(*(self._count({"status": status.value}, owner) for status in TaskStatus))
        return dict(zip(TaskStatus, numbers, strict=True))

    async def unfinished(self, owner: str | None = None) -> int:
        return await self._count(UNFINISHED, owner)

    async def active(self) -> list[str]:
        return [document["_id"] for document in await self._find(PROCESSING, {"_id": 1})]

    async def oldest_pending_seconds(self) -> float | None:
        projection = {"created_at": 1, "now": updates.NOW}
        found = await self._find(PENDING, projection, sort=[("created_at", 1)], limit=1)
        return (found[0]["now"] - found[0]["created_at"]).total_seconds() if found else None

    async def finished_since(self, moment: datetime, owner: str | None = None) -> int:
        return await self._count({"completed_at": {"$gte": moment}, "status": TaskStatus.COMPLETED.value}, owner)

    async def last_activity(self, owner: str | None = None) -> datetime | None:
        found = await self._find(_owned(owner), {"updated_at": 1}, sort=[("updated_at", -1)], limit=1)
        return found[0]["updated_at"] if found else None

    async def now(self) -> datetime:
        hello = await _reach(self._collection.database.client.admin.command("hello"))
        return cast("datetime", hello["localTime"]).replace(tzinfo=UTC)

    async def claim(self, task_id: str, worker: str, lease_seconds: float) -> Task | None:
        ready = {"_id": task_id} | PENDING | updates.passed("not_before")
        return await self._change(ready, updates.claimed(worker, lease_seconds))

    async def claim_next(self, kinds: Collection[TaskKind], worker: str, lease_seconds: float) -> Task | None:
        ready = PENDING | {"kind": {"$in": [kind.value for kind in kinds]}} | updates.passed("not_before")
        return await self._change(ready, updates.claimed(worker, lease_seconds), sort=updates.CREATED_ORDER)

    async def renew(
        self, task_id: str, fence: int, lease_seconds: float, phase: str | None, progress: float | None
    ) -> bool:
        return await self._change(_held(task_id, fence), updates.renewed(lease_seconds, phase, progress)) is not None

    async def held(self, claims: Sequence[tuple[str, int]]) -> set[str]:
        wanted = set(claims)
        query = PROCESSING | {"_id": {"$in": [task_id for task_id, _ in claims]}}
        found = await self._find(query, {"fence": 1}) if claims else []
        return {document["_id"] for document in found if (document["_id"], document["fence"]) in wanted}

    async def settle(self, task_id: str, fence: int, outcome: Outcome) -> Task | None:
        settled = await self._change(_held(task_id, fence), updates.finished(outcome))
        if settled is not None:
            return settled
        document = await _reach(self._collection.find_one({"_id": task_id, "fence": fence} | FINISHED))
        return None if document is None else _task(document)

    async def give_back(
        self, task_id: str, fence: int, *, delay_seconds: float = 0.0, failure: Failure | None = None
    ) -> Task | None:
        return await self._change(_held(task_id, fence), updates.given_back(delay_seconds, failure))

    async def release_worker(self, worker_prefix: str) -> list[Task]:
        of_worker = PROCESSING | {"worker": {"$regex": f"^{re.escape(worker_prefix)}"}}
        return await self._change_all(of_worker, updates.given_back())

    async def expire_leases(self, max_attempts: int) -> list[Task]:
        lost = PROCESSING | updates.passed("lease_until")
        last = await self._change_all(
            lost | {"attempt": {"$gte": max_attempts}}, updates.finished(WORKER_LOST, new_fence=True)
        )
        back = await self._change_all(lost | {"attempt": {"$lt": max_attempts}}, updates.given_back(0.0, LEASE_LOST))
        return last + back

    async def due_for_dispatch(self, limit: int, again_in_seconds: float) -> list[Task]:
        """In three steps for all of them, because a backlog may be long, and every process asks once a second: whoever
        moves a task's time on, marks it as its own to offer."""
        due = PENDING | updates.passed("dispatch_at")
        listed = [
            document["_id"] for document in await self._find(due, {"_id": 1}, sort=[("dispatch_at", 1)], limit=limit)
        ]
        if not listed:
            return []
        mark = secrets.token_hex(8)
        mine = {"_id": {"$in": listed}}
        await _reach(self._collection.update_many(mine | due, updates.offered_again(again_in_seconds, mark)))
        found = await self._find(mine | PENDING | {"offered": mark}, sort=updates.CREATED_ORDER)
        return [_task(document) for document in found]

    async def cancel(self, task_id: str, failure: Failure) -> Task | None:
        return await self._change({"_id": task_id} | UNFINISHED, updates.finished(failure, new_fence=True))

    async def set_webhook(self, task_id: str, url: str) -> Task | None:
        return await self._change({"_id": task_id}, updates.with_webhook(url))

    async def claim_webhook(self, lease_seconds: float, passing_over: Collection[str] = ()) -> Task | None:
        others: Document = {"owner": {"$nin": list(passing_over)}} if passing_over else {}
        due = updates.WEBHOOK_PENDING | updates.passed("webhook.next_attempt_at") | others
        again: Pipeline = [{"$set": {"webhook.next_attempt_at": updates.in_seconds(lease_seconds)}}]
        return await self._change(due, again, sort=[("webhook.next_attempt_at", 1)])

    async def record_webhook(
        self, task_id: str, url: str, attempt: WebhookAttempt, *, delivered: bool, next_in_seconds: float | None
    ) -> None:
        tried = updates.webhook_tried(
            CODEC.encode_attempt(attempt), delivered=delivered, next_in_seconds=next_in_seconds
        )
        await self._change({"_id": task_id, "webhook.url": url} | updates.WEBHOOK_PENDING, tried)

    async def expired(self, before: datetime, limit: int) -> list[Task]:
        ended = {"completed_at": {"$lt": before, "$gte": EPOCH}}
        return [_task(document) for document in await self._find(ended, sort=[("completed_at", 1)], limit=limit)]

    async def delete(self, task_id: str) -> bool:
        result = await _reach(self._collection.delete_one({"_id": task_id} | FINISHED))
        return bool(result.deleted_count)

    @property
    def _collection(self) -> Any:
        if self._tasks is None:
            raise Unavailable("The task store is closed.")
        return self._tasks

    async def _update(
        self,
        query: Document,
        pipeline: Pipeline,
        *,
        sort: list[tuple[str, int]] | None = None,
        upsert: bool = False,
    ) -> Document | None:
        found = await _reach(
            self._collection.find_one_and_update(
                query, pipeline, sort=sort, upsert=upsert, return_document=ReturnDocument.AFTER
            )
        )
        return cast("Document | None", found)

    async def _change(
        self, query: Document, pipeline: Pipeline, sort: list[tuple[str, int]] | None = None
    ) -> Task | None:
        document = await self._update(query, pipeline, sort=sort)
        return None if document is None else _task(document)

    async def _change_all(self, query: Document, pipeline: Pipeline) -> list[Task]:
        """One after the other, so that each change is atomic and known; the pipeline takes each out of the query."""
        changed: list[Task] = []
        while task := await self._change(query, pipeline):
            changed.append(task)
        return changed

    async def _find(self, query: Document, projection: Document | None = None, **options: Any) -> list[Document]:
        return cast("list[Document]", await _reach(self._collection.find(query, projection, **options).to_list(None)))

    async def _count(self, query: Document, owner: str | None) -> int:
        return cast("int", await _reach(self._collection.count_documents(query | _owned(owner))))


async def _reach(answer: Awaitable[T]) -> T:
    """Awaits the driver; a server that is away or slow becomes `Unavailable`."""
    try:
        return await answer
    except (ConnectionFailure, ExecutionTimeout, WTimeoutError) as error:
        raise Unavailable("The task store cannot be reached at the moment.") from error
    except OperationFailure as error:
        if error.timeout or error.has_error_label("RetryableWriteError"):
            raise Unavailable("The task store cannot be reached at the moment.") from error
        raise


def _task(document: Document) -> Task:
    return CODEC.decode(document["_id"], document)


def _held(task_id: str, fence: int) -> Document:
    return {"_id": task_id, "fence": fence} | PROCESSING


def _owned(owner: str | None) -> Document:
    return {} if owner is None else {"owner": owner}


def _conditions(which: TaskFilter) -> list[Document]:
    conditions: list[Document] = []
    if which.owner is not None:
        conditions.append({"owner": which.owner})
    if which.statuses:
        conditions.append({"status": {"$in": [status.value for status in which.statuses]}})
    if which.kinds:
        conditions.append({"kind": {"$in": [kind.value for kind in which.kinds]}})
    if which.created_after is not None:
        conditions.append({"created_at": {"$gt": which.created_after}})
    return conditions
