"""Tasks as rows of the SQLite file: read, written, filtered, paged, inside a transaction of the store's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import apsw

from shared.backends.codec import TaskCodec, from_micros, to_micros
from shared.backends.policy import PageRoom
from shared.errors import Conflict
from shared.ports import TaskFilter
from shared.tasks import Idempotency, Task, WebhookState

CODEC = TaskCodec(store_time=to_micros, load_time=from_micros)
COLUMNS = "task_id, document"


def decode(row: Sequence[Any]) -> Task:
    return CODEC.decode(row[0], json.loads(row[1]))


def select(db: apsw.Connection, sql: str, values: tuple[Any, ...]) -> list[Task]:
    return [decode(row) for row in db.execute(sql, values).fetchall()]


def page_of(rows: Iterable[tuple[Any, ...]], limit: int) -> tuple[list[tuple[Any, ...]], bool]:
    """The rows that fit into a page, and whether they were the last; their document is their last column."""
    kept: list[tuple[Any, ...]] = []
    room = PageRoom(limit)
    for row in rows:
        if not room.takes(len(row[-1])):
            return kept, False
        kept.append(row)
    return kept, True


def load(db: apsw.Connection, task_id: str) -> Task | None:
    found = select(db, f"select {COLUMNS} from tasks where task_id = ?", (task_id,))
    return found[0] if found else None


def change_first(
    db: apsw.Connection,
    sql: str,
    values: tuple[Any, ...],
    change: Callable[[Task], Task],
    not_before: datetime | None = None,
) -> Task | None:
    found = select(db, sql, values)
    return store(db, change(found[0]), not_before=not_before) if found else None


def earlier(db: apsw.Connection, idempotency: Idempotency, now: datetime) -> Task | None:
    """The task that already has this key; a key that ran out is freed."""
    where = "where idempotency_owner = ? and idempotency_key = ?"
    key = (idempotency.owner, idempotency.key)
    row = db.execute(f"select {COLUMNS}, idempotency_digest, idempotency_until from tasks {where}", key).fetchone()
    if row is None:
        return None
    _, _, digest, until = row
    if until <= to_micros(now):
        db.execute(f"update tasks set idempotency_key = null {where}", key)
        return None
    if digest != idempotency.digest:
        raise Conflict("This Idempotency-Key was used for a different request.", word="idempotency_conflict")
    return decode(row[:2])


def insert(db: apsw.Connection, task: Task, idempotency: Idempotency | None, idempotency_until: int) -> None:
    columns = _columns(task) | {"task_id": task.task_id, "not_before": to_micros(task.created_at)}
    if idempotency is not None:
        columns |= {
            "idempotency_owner": idempotency.owner,
            "idempotency_key": idempotency.key,
            "idempotency_digest": idempotency.digest,
            "idempotency_until": idempotency_until,
        }
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    db.execute(f"insert into tasks ({names}) values ({marks})", tuple(columns.values()))


def store(db: apsw.Connection, task: Task, *, not_before: datetime | None = None) -> Task:
    columns = _columns(task)
    if not_before is not None:
        columns["not_before"] = to_micros(not_before)
    assignments = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"update tasks set {assignments} where task_id = ?", (*columns.values(), task.task_id))
    return task


def _columns(task: Task) -> dict[str, Any]:
    document = CODEC.encode(task)
    webhook = task.webhook
    due = webhook is not None and webhook.state is WebhookState.PENDING and webhook.next_attempt_at is not None
    searched = (
        "kind",
        "owner",
        "status",
        "fence",
        "worker",
        "created_at",
        "updated_at",
        "completed_at",
        "lease_until",
        "dispatch_at",
    )
    return {
        **{name: document[name] for name in searched},
        "webhook_at": document["webhook"]["next_attempt_at"] if due else None,
        "document": json.dumps(document, ensure_ascii=False, separators=(",", ":")),
    }


def owned(owner: str | None) -> tuple[str, tuple[Any, ...]]:
    return ("true", ()) if owner is None else ("owner = ?", (owner,))


def conditions(which: TaskFilter) -> tuple[list[str], list[Any]]:
    conditions = ["true"]
    values: list[Any] = []
    if which.owner is not None:
        conditions.append("owner = ?")
        values.append(which.owner)
    for column, chosen in (("status", which.statuses), ("kind", which.kinds)):
        if chosen:
            conditions.append(f"{column} in ({', '.join('?' * len(chosen))})")
            values += [item.value for item in chosen]
    if which.created_after is not None:
        conditions.append("created_at > ?")
        values.append(to_micros(which.created_after))
    return conditions, values
