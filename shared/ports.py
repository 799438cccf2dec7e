"""One page of Protocols: what the product needs from the outside, named after the need and not after a driver.

Every implementation passes the same contract suite (tests/contract). All times are the backend's own clock,
so that workers' clocks never matter. All methods are coroutines and raise `Unavailable` when the backend is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from shared.tasks import Failure, Idempotency, Outcome, Plan, Pool, Task, TaskKind, TaskStatus, WebhookAttempt


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks a listing shows; an empty field does not filter."""

    owner: str | None = None
    statuses: Collection[TaskStatus] = ()
    kinds: Collection[TaskKind] = ()
    created_after: datetime | None = None


class TaskStore(Protocol):
    """The truth about every task. Each method is one atomic step."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def insert(self, task: Task, idempotency: Idempotency | None = None) -> Task:
        """Adds a pending task (its times and `dispatch_at` are set by the store's clock) and returns it; with a known
        idempotency key the earlier task instead. Raises `Conflict(word="idempotency_conflict")` on another digest."""
        ...

    async def get(self, task_id: str) -> Task | None: ...

    async def recent(self, limit: int, owner: str | None = None) -> list[Task]:
        """The newest tasks first; of one owner, or of all. As few as fit into a page."""
        ...

    async def page(self, which: TaskFilter, limit: int, cursor: str | None = None) -> tuple[list[Task], str | None]:
        """The newest tasks first, and the cursor of the next page (None at the end). Fewer than `limit` where they are
        so large that a page of them would not fit into memory. A cursor stays good while tasks come and go.
        Raises `InvalidRequest(word="invalid_cursor")`."""
        ...

    async def counts(self, owner: str | None = None) -> dict[TaskStatus, int]:
        """How many tasks have each status; every status is a key."""
        ...

    async def unfinished(self, owner: str | None = None) -> int:
        """How many tasks are pending or processing: what limits are measured by."""
        ...

    async def active(self) -> list[str]:
        """The ids of all processing tasks."""
        ...

    async def oldest_pending_seconds(self) -> float | None:
        """The age of the oldest pending task; None when nothing waits."""
        ...

    async def finished_since(self, moment: datetime, owner: str | None = None) -> int:
        """How many tasks completed since `moment`."""
        ...

    async def last_activity(self, owner: str | None = None) -> datetime | None: ...

    async def now(self) -> datetime:
        """The store's clock; also the cheapest question to ask whether the store is up."""
        ...

    async def claim(self, task_id: str, worker: str, lease_seconds: float) -> Task | None:
        """pending → processing for this worker: attempt + 1, fence + 1, a lease. None when it is not to be had."""
        ...

    async def claim_next(self, kinds: Collection[TaskKind], worker: str, lease_seconds: float) -> Task | None:
        """Claims the oldest pending task whose `not_before` (a retry's delay) has passed. Ties end in submit order."""
        ...

    async def renew(
        self, task_id: str, fence: int, lease_seconds: float, phase: str | None, progress: float | None
    ) -> bool:
        """Extends the lease and stores progress; False when the task is no longer this fence's."""
        ...

    async def held(self, claims: Sequence[tuple[str, int]]) -> set[str]:
        """Which of these `(task_id, fence)` are still processing under that fence; asked twice a second for cancels."""
        ...

    async def settle(self, task_id: str, fence: int, outcome: Outcome) -> Task | None:
        """processing → completed | failed by compare-and-set on the fence; a webhook becomes due in the same write.
        None when the fence is stale: the caller was replaced and drops its output. Asking again is harmless: a holder
        whose first answer was lost gets the task as it ended."""
        ...

    async def give_back(
        self, task_id: str, fence: int, *, delay_seconds: float = 0.0, failure: Failure | None = None
    ) -> Task | None:
        """processing → pending by compare-and-set on the fence. With a failure the attempt is recorded as a retry;
        without one (a drain) it is not charged."""
        ...

    async def release_worker(self, worker_prefix: str) -> list[Task]:
        """Gives back, uncharged, every task held by workers whose name has this prefix: their process is known dead."""
        ...

    async def expire_leases(self, max_attempts: int) -> list[Task]:
        """Every processing task whose lease ran out → pending, or failed (`media_crashed`) at `max_attempts`."""
        ...

    async def due_for_dispatch(self, limit: int, again_in_seconds: float) -> list[Task]:
        """Pending tasks whose `dispatch_at` has passed; moves each one's `dispatch_at` on."""
        ...

    async def cancel(self, task_id: str, failure: Failure) -> Task | None:
        """pending | processing → failed with this failure and a new fence. None when already finished or unknown."""
        ...

    async def set_webhook(self, task_id: str, url: str) -> Task | None:
        """Replaces the webhook; on a finished task it is due at once."""
        ...

    async def claim_webhook(self, lease_seconds: float, passing_over: Collection[str] = ()) -> Task | None:
        """One finished task whose webhook is due; its `next_attempt_at` moves on by the lease while it is tried.
        Those of the owners `passing_over` stay due."""
        ...

    async def record_webhook(
        self, task_id: str, url: str, attempt: WebhookAttempt, *, delivered: bool, next_in_seconds: float | None
    ) -> None:
        """Appends an attempt to the webhook (ignored when its URL was replaced meanwhile); `next_in_seconds` None
        and not delivered means given up."""
        ...

    async def expired(self, before: datetime, limit: int) -> list[Task]:
        """Finished tasks that ended before this moment, the oldest first: what retention may delete."""
        ...

    async def delete(self, task_id: str) -> bool:
        """Removes a finished task's record; False when it is unknown or not finished."""
        ...


@dataclass(frozen=True)
class Hint:
    """Word from the queue that a task may be ready; `task_id` None means "look into the store" (`claim_next`).

    Each hint takes one slot until it is answered, once: `done` when what it announced has been worked on or is over,
    `later` to give it back after a delay in seconds. For a hint without an id `done` brings the next look at once
    (there may be more), and `later(0)` says that the store had nothing: the next look waits for a ring or the half
    second. Both never raise, also when the connection that brought the hint is gone.
    """

    task_id: str | None
    done: Callable[[], object]
    later: Callable[[float], object]


@dataclass(frozen=True)
class DeadLetter:
    """A task id that was buried, with the reason; `kind` None when the message was not ours."""

    task_id: str
    kind: TaskKind | None
    reason: str


class JobQueue(Protocol):
    """Carries hints (task ids) to workers. May lose or repeat them at any time: the store is the truth."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, kind: TaskKind, task_id: str, *, delay_seconds: float = 0.0, pool: Pool = "cpu") -> None:
        """Confirmed by the broker within two seconds, or raises `Unavailable`."""
        ...

    def hints(self, kinds: Collection[TaskKind], slots: int) -> AsyncIterator[Hint]:
        """Hints for these kinds, at most `slots` unacknowledged; never ends by itself, survives reconnects, and
        yields "look into the store" at least twice a second while the broker is away."""
        ...

    async def bury(self, kind: TaskKind, task_id: str, reason: str) -> None:
        """Puts a poison task's id where operators look (the dead-letter queue). Best effort, never raises."""
        ...

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """The oldest buried ids; they stay where they are."""
        ...

    async def take_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """Removes the oldest buried ids and returns them, for an operator who queues them again or drops them."""
        ...

    async def is_up(self) -> bool: ...


class LiveState(Protocol):
    """The live view of tasks. A cache: it may vanish, and never delays a request by more than 200 ms."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def publish(self, task: Task) -> None:
        """Mirrors a task's public state and wakes its watchers; best effort, never raises."""
        ...

    async def forget(self, task_id: str) -> None:
        """Drops what is shown of a deleted task; best effort, never raises."""
        ...

    def watch(self, task_id: str) -> AsyncIterator[None]:
        """Yields whenever the task may have changed, at once and at least once a second; reading is the caller's."""
        ...

    async def take(self, bucket: str, rate_per_second: float, burst: int) -> float:
        """A rate limiter (GCRA): 0 when allowed, else seconds to wait."""
        ...

    async def sync_active(self, active: Collection[str]) -> list[str]:
        """Makes the set of running tasks equal to the store's; best effort. Returns those of them whose state is not
        known here (the cache was lost): publish them again."""
        ...

    async def is_up(self) -> bool: ...


class ObjectStore(Protocol):
    """Finished results. An object is complete or absent, and never changes."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def put(self, path: Path, name: str, content_type: str, *, written: asyncio.Event | None = None) -> str:
        """Stores a file and returns its public URL. A name that exists raises `Conflict` and stays as it was.

        With `written` the file may still grow, or not be there yet; it is final when that is set. Parts of it may be
        sent before; nothing shows until then, and nothing stays of them when the call is cancelled.

        A name has one writer: it carries the task and the fence, or random bits. Of several at once one should win;
        that what is there is one writer's and whole is all that every store can promise.
        """
        ...

    async def url(self, name: str) -> str: ...

    async def delete(self, name: str) -> None:
        """Absent is fine."""
        ...

    async def names(self, prefix: str, limit: int) -> list[str]:
        """The first `limit` (at most 1000) names in ASCII order that begin with `prefix`."""
        ...

    async def is_up(self) -> bool: ...


@dataclass(frozen=True)
class SourceLimits:
    """How much a user's URL may cost."""

    max_input_bytes: int
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 20.0
    stall_timeout_seconds: float = 20.0
    total_timeout_seconds: float = 600.0
    max_redirects: int = 5


class RemoteSource(Protocol):
    """One user URL, opened: judged, pinned, bounded. Reads are ranges; what cannot be ranged is spooled."""

    label: str
    size_bytes: int | None
    bytes_fetched: int

    async def read_at(self, offset: int, length: int) -> bytes: ...

    async def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None: ...

    async def download(self, path: Path, on_progress: Callable[[float], None] | None = None) -> int:
        """The whole body into a file; returns its length in bytes."""
        ...

    async def close(self) -> None: ...


class SourceOpener(Protocol):
    async def open(
        self, url: str, *, label: str, limits: SourceLimits, error_word: str, spool_directory: Path
    ) -> RemoteSource:
        """Raises `SourceUnavailable` (with `error_word` and `label`) or `LimitExceeded`."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class WebhookReply:
    """What a receiver said; `status` None when no answer came, then `error` says why."""

    status: int | None
    error: str | None
    retry_after_seconds: float | None = None


class WebhookSender(Protocol):
    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookReply:
        """Posts once; never raises for what the network or the receiver does."""
        ...

    async def close(self) -> None: ...


class PlanMaker(Protocol):
    """What a job of this kind would do with a request, found out by looking at its sources. No task is made."""

    async def __call__(self, kind: TaskKind, inputs: Mapping[str, Any], options: Mapping[str, Any]) -> Plan:
        """Raises:
        InvalidRequest: what the job would have failed with, by the same word.
        Overloaded: too many plans are being made.
        ProcessingTimeout: the sources were too slow.
        Unavailable: nobody can make one now.
        """
        ...


class GpuMeter(Protocol):
    def utilization_percent(self) -> float | None:
        """The busiest of SM, encoder and decoder over all GPUs; None where there is no GPU."""
        ...
