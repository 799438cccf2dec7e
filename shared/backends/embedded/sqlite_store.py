"""The task store of one machine: one SQLite file, shared by any number of processes.

Every write reads the row, changes the task and writes it back inside one immediate transaction, so each step is
atomic among threads and processes; an answered write is synced to the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import apsw

from shared.backends.codec import from_micros, to_micros
from shared.backends.embedded import changes
from shared.backends.embedded import sqlite_rows as rows
from shared.backends.embedded.sqlite_threads import SqliteThreads
from shared.backends.policy import IDEMPOTENCY_SECONDS, make_cursor, read_cursor
from shared.errors import Conflict
from shared.ports import TaskFilter
from shared.tasks import Failure, Idempotency, Outcome, Task, TaskKind, TaskStatus, WebhookAttempt

CLAIMABLE = "status = 'pending' and kind = ? and not_before <= ?"
EXPIRED_LEASES = "status = 'processing' and lease_until < ?"
DISPATCHABLE = "status = 'pending' and dispatch_at <= ?"
WEBHOOK_DUE = "webhook_at <= ?"


class SqliteStore:
    """`TaskStore` on one SQLite file."""

    def __init__(self, path: Path, *, idempotency_seconds: float = IDEMPOTENCY_SECONDS) -> None:
        self._path = path
        self._threads = SqliteThreads(path)
        self._idempotency_seconds = idempotency_seconds

    async def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        await self._threads.open()

    async def close(self) -> None:
        await self._threads.close()

    async def insert(self, task: Task, idempotency: Idempotency | None = None) -> Task:
        def work(db: apsw.Connection) -> Task:
            now = _now()
            if idempotency is not None:
                earlier = rows.earlier(db, idempotency, now)
                if earlier is not None:
                    return earlier
            new = changes.submitted(task, now)
            try:
                rows.insert(db, new, idempotency, to_micros(now + changes.seconds(self._idempotency_seconds)))
            except apsw.ConstraintError as error:
                raise Conflict("A task with this id exists already.") from error
            return new

        return await self._threads.write(work)

    async def get(self, task_id: str) -> Task | None:
        return await self._threads.read(lambda db: rows.load(db, task_id))

    async def recent(self, limit: int, owner: str | None = None) -> list[Task]:
        tasks, _ = await self.page(TaskFilter(owner=owner), limit)
        return tasks

    async def page(self, which: TaskFilter, limit: int, cursor: str | None = None) -> tuple[list[Task], str | None]:
        conditions, values = rows.conditions(which)
        if cursor is not None:
            conditions.append("sequence < ?")
            values += read_cursor(cursor, 1)
        where = " and ".join(conditions)
        sql = f"select sequence, {rows.COLUMNS} from tasks where {where} order by sequence desc limit ?"
        kept, ended = await self._threads.read(lambda db: rows.page_of(db.execute(sql, (*values, limit + 1)), limit))
        more = None if ended else make_cursor(kept[-1][0])
        return [rows.decode(row[1:]) for row in kept], more

    async def counts(self, owner: str | None = None) -> dict[TaskStatus, int]:
        owned, values = rows.owned(owner)
        sql = f"select status, count(*) from tasks where {owned} group by status"
        found = {row[0]: row[1] for row in await self._rows(sql, values)}
        return {status: found.get(status.value, 0) for status in TaskStatus}

    async def unfinished(self, owner: str | None = None) -> int:
        owned, values = rows.owned(owner)
        sql = f"select count(*) from tasks where status in ('pending', 'processing') and {owned}"
        return cast("int", await self._value(sql, values))

    async def active(self) -> list[str]:
        sql = "select task_id from tasks where status = 'processing' order by sequence"
        return [row[0] for row in await self._rows(sql)]

    async def oldest_pending_seconds(self) -> float | None:
        oldest = await self._value("select min(created_at) from tasks where status = 'pending'")
        return None if oldest is None else max(0.0, (_now() - from_micros(oldest)).total_seconds())

    async def finished_since(self, moment: datetime, owner: str | None = None) -> int:
        owned, values = rows.owned(owner)
        sql = f"select count(*) from tasks where completed_at >= ? and status = 'completed' and {owned}"
        return cast("int", await self._value(sql, (to_micros(moment), *values)))

    async def last_activity(self, owner: str | None = None) -> datetime | None:
        owned, values = rows.owned(owner)
        latest = await self._value(f"select max(updated_at) from tasks where {owned}", values)
        return None if latest is None else from_micros(latest)

    async def now(self) -> datetime:
        await self._value("select count(*) from sqlite_schema")
        return _now()

    async def claim(self, task_id: str, worker: str, lease_seconds: float) -> Task | None:
        def work(db: apsw.Connection) -> Task | None:
            now = _now()
            sql = f"select {rows.COLUMNS} from tasks where task_id = ? and status = 'pending' and not_before <= ?"
            values = (task_id, to_micros(now))
            return rows.change_first(db, sql, values, lambda task: changes.claimed(task, worker, lease_seconds, now))

        return await self._threads.write(work)

    async def claim_next(self, kinds: Collection[TaskKind], worker: str, lease_seconds: float) -> Task | None:
        def work(db: apsw.Connection) -> Task | None:
            now = _now()
            task_id = _oldest_claimable(db, kinds, now)
            task = None if task_id is None else rows.load(db, task_id)
            return None if task is None else rows.store(db, changes.claimed(task, worker, lease_seconds, now))

        # A look that finds nothing is common, and need not wait for the write lock.
        if await self._threads.read(lambda db: _oldest_claimable(db, kinds, _now())) is None:
            return None
        return await self._threads.write(work)

    async def renew(
        self, task_id: str, fence: int, lease_seconds: float, phase: str | None, progress: float | None
    ) -> bool:
        def change(task: Task, now: datetime) -> Task:
            return changes.renewed(task, lease_seconds, phase, progress, now)

        return await self._as_holder(task_id, fence, change) is not None

    async def held(self, claims: Sequence[tuple[str, int]]) -> set[str]:
        sql = "select 1 from tasks where task_id = ? and fence = ? and status = 'processing'"

        def work(db: apsw.Connection) -> set[str]:
            return {task_id for task_id, fence in claims if db.execute(sql, (task_id, fence)).fetchone()}

        return await self._threads.read(work)

    async def settle(self, task_id: str, fence: int, outcome: Outcome) -> Task | None:
        settled = await self._as_holder(task_id, fence, lambda task, now: changes.finished(task, outcome, now))
        if settled is not None:
            return settled
        task = await self.get(task_id)
        return task if task is not None and task.fence == fence and task.status.is_terminal else None

    async def give_back(
        self, task_id: str, fence: int, *, delay_seconds: float = 0.0, failure: Failure | None = None
    ) -> Task | None:
        def change(task: Task, now: datetime) -> Task:
            return changes.given_back(task, now, delay_seconds=delay_seconds, failure=failure)

        return await self._as_holder(task_id, fence, change, delay_seconds=delay_seconds)

    async def release_worker(self, worker_prefix: str) -> list[Task]:
        def work(db: apsw.Connection) -> list[Task]:
            now = _now()
            sql = f"select {rows.COLUMNS} from tasks where status = 'processing' and substr(worker, 1, ?) = ?"
            held = rows.select(db, sql, (len(worker_prefix), worker_prefix))
            return [rows.store(db, changes.given_back(task, now), not_before=now) for task in held]

        return await self._threads.write(work)

    async def expire_leases(self, max_attempts: int) -> list[Task]:
        def work(db: apsw.Connection) -> list[Task]:
            now = _now()
            expired = rows.select(db, f"select {rows.COLUMNS} from tasks where {EXPIRED_LEASES}", (to_micros(now),))
            return [rows.store(db, changes.lease_expired(task, max_attempts, now), not_before=now) for task in expired]

        return await self._threads.write(work) if await self._any(EXPIRED_LEASES) else []

    async def due_for_dispatch(self, limit: int, again_in_seconds: float) -> list[Task]:
        def work(db: apsw.Connection) -> list[Task]:
            now = _now()
            sql = f"select {rows.COLUMNS} from tasks where {DISPATCHABLE} order by dispatch_at limit ?"
            least = changes.seconds(again_in_seconds)
            return [
                # As long again as it has waited already: a long backlog is not offered over and over.
                rows.store(db, changes.dispatched(task, now + max(least, now - task.updated_at)))
                for task in rows.select(db, sql, (to_micros(now), limit))
            ]

        return await self._threads.write(work) if await self._any(DISPATCHABLE) else []

    async def cancel(self, task_id: str, failure: Failure) -> Task | None:
        sql = f"select {rows.COLUMNS} from tasks where task_id = ? and status in ('pending', 'processing')"
        return await self._threads.write(
            lambda db: rows.change_first(db, sql, (task_id,), lambda task: changes.cancelled(task, failure, _now()))
        )

    async def set_webhook(self, task_id: str, url: str) -> Task | None:
        sql = f"select {rows.COLUMNS} from tasks where task_id = ?"
        return await self._threads.write(
            lambda db: rows.change_first(db, sql, (task_id,), lambda task: changes.with_webhook(task, url, _now()))
        )

    async def claim_webhook(self, lease_seconds: float, passing_over: Collection[str] = ()) -> Task | None:
        condition = f"{WEBHOOK_DUE} and owner not in ({', '.join('?' * len(passing_over))})"

        def work(db: apsw.Connection) -> Task | None:
            now = _now()
            sql = f"select {rows.COLUMNS} from tasks where {condition} order by webhook_at limit 1"
            again = now + changes.seconds(lease_seconds)
            values = (to_micros(now), *passing_over)
            return rows.change_first(db, sql, values, lambda task: changes.webhook_claimed(task, again))

        return await self._threads.write(work) if await self._any(condition, *passing_over) else None

    async def record_webhook(
        self, task_id: str, url: str, attempt: WebhookAttempt, *, delivered: bool, next_in_seconds: float | None
    ) -> None:
        def change(task: Task) -> Task:
            return changes.webhook_tried(
                task, url, attempt, delivered=delivered, next_in_seconds=next_in_seconds, now=_now()
            )

        sql = f"select {rows.COLUMNS} from tasks where task_id = ?"
        await self._threads.write(lambda db: rows.change_first(db, sql, (task_id,), change))

    async def expired(self, before: datetime, limit: int) -> list[Task]:
        sql = f"select {rows.COLUMNS} from tasks where completed_at < ? order by completed_at limit ?"
        return await self._threads.read(lambda db: rows.select(db, sql, (to_micros(before), limit)))

    async def delete(self, task_id: str) -> bool:
        sql = "delete from tasks where task_id = ? and status in ('completed', 'failed')"

        def work(db: apsw.Connection) -> bool:
            db.execute(sql, (task_id,))
            return db.changes() > 0

        return await self._threads.write(work)

    async def _as_holder(
        self, task_id: str, fence: int, change: Callable[[Task, datetime], Task], *, delay_seconds: float = 0.0
    ) -> Task | None:
        """The compare-and-set of a lease's holder: changes a processing task that still has this fence."""

        def work(db: apsw.Connection) -> Task | None:
            now = _now()
            sql = f"select {rows.COLUMNS} from tasks where task_id = ? and fence = ? and status = 'processing'"
            not_before = now + changes.seconds(delay_seconds)
            return rows.change_first(db, sql, (task_id, fence), lambda task: change(task, now), not_before)

        return await self._threads.write(work)

    async def _any(self, condition: str, *values: str) -> bool:
        sql = f"select 1 from tasks where {condition} limit 1"
        return await self._value(sql, (to_micros(_now()), *values)) is not None

    async def _value(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        found = await self._rows(sql, values)
        return found[0][0] if found else None

    async def _rows(self, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        return await self._threads.read(lambda db: db.execute(sql, values).fetchall())


def _now() -> datetime:
    # SQLite's own clock is this machine's clock too, but in whole milliseconds.
    return datetime.now(UTC)


def _oldest_claimable(db: apsw.Connection, kinds: Collection[TaskKind], now: datetime) -> str | None:
    # One look per kind, because the index has the kind first and then the order of submits.
    sql = f"select sequence, task_id from tasks where {CLAIMABLE} order by sequence limit 1"
    firsts = [row for kind in kinds if (row := db.execute(sql, (kind.value, to_micros(now))).fetchone())]
    return cast("str", min(firsts)[1]) if firsts else None
