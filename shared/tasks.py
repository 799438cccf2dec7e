"""The task: the record that a client polls. Frozen, no I/O; every change makes a new value.

A task's life: `pending → processing → completed | failed`, with `processing → pending` when an attempt is given
back (a retry, a drained worker, an expired lease), and `pending → failed` when it is cancelled before. Two numbers
guard it: `attempt` counts how often a worker has begun, `fence` grows with every change of owner, and only the holder
of the newest fence may settle the task.
"""

from __future__ import annotations

import enum
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


class TaskStatus(enum.StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskStatus.COMPLETED, TaskStatus.FAILED)


class TaskKind(enum.StrEnum):
    LAST_FRAME = "last_frame"
    VIDEO_STITCH = "video_stitch"
    AUDIO_STITCH = "audio_stitch"
    MUSIC_TRACK = "music_track"
    MOVIE_ASSEMBLY = "movie_assembly"
    MEDIA_LENGTH = "media_length"

    @property
    def feature(self) -> str:
        """The feature whose queue and workers carry this kind."""
        return FEATURE_OF_KIND[self]


Pool = Literal["cpu", "gpu"]
"""Which workers a task is offered to. Both kinds run every task alike; see `shared.jobs.routing`."""

FEATURE_OF_KIND: Mapping[TaskKind, str] = {
    TaskKind.LAST_FRAME: "frames",
    TaskKind.VIDEO_STITCH: "stitch",
    TaskKind.AUDIO_STITCH: "audio",
    TaskKind.MUSIC_TRACK: "audio",
    TaskKind.MOVIE_ASSEMBLY: "assembly",
    TaskKind.MEDIA_LENGTH: "probe",
}


REENCODING_FEATURES: frozenset[str] = frozenset({"stitch", "assembly"})
"""Whose jobs may decode and encode whole films: what GPU workers are for."""


def new_task_id(kind: TaskKind) -> str:
    """A random id that cannot be guessed: 24 hexadecimal characters (96 bits), 32 for a movie assembly."""
    return secrets.token_hex(16 if kind is TaskKind.MOVIE_ASSEMBLY else 12)


class WebhookState(enum.StrEnum):
    WAITING = "waiting"  # for the task's end
    PENDING = "pending"  # a delivery is due at `next_attempt_at`
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


@dataclass(frozen=True)
class WebhookAttempt:
    """One try to deliver; `http_status` is None when no answer came, `error` None on success."""

    at: datetime
    duration_seconds: float
    http_status: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Webhook:
    """Where a task's end is announced; stored inside the task, so that it ends in the same atomic write."""

    url: str
    state: WebhookState = WebhookState.WAITING
    attempts: tuple[WebhookAttempt, ...] = ()
    next_attempt_at: datetime | None = None


@dataclass(frozen=True)
class Failure:
    """Why a task (or one attempt) failed: a word for machines, a sentence for people, the input at fault."""

    word: str
    detail: str
    input_name: str | None = None


@dataclass(frozen=True)
class Retry:
    """An attempt that ended without settling the task."""

    attempt: int
    at: datetime
    failure: Failure


@dataclass(frozen=True)
class Task:
    """One unit of work.

    Attributes:
        task_id: the client's handle.
        kind: what sort of work.
        owner: the name of the API key that submitted it.
        inputs: the request's public fields under their public names (`video_url`, …).
        options: the rest of the request, as the job wants it; never shown.
        outputs: result URLs under their public names, once completed.
        metadata: facts about inputs and result under their public names, once completed.
        attempt: how often a worker has begun it.
        fence: grows with every change of owner; settling needs the newest.
        worker: who holds the lease while processing.
        lease_until: when others may take it over, on the store's clock.
        dispatch_at: when a pending task is next offered to the queue (a retry's delay, a lost publish's repair).
        phase, progress: what a running job is doing, and how far it is (0-1).
        retry_of: the failed task whose request this one repeats.
        expires_at: when the ledger will delete a finished task; not stored, it follows from the ledger's retention.
        trace: W3C trace context and request id of the submit, to link the job and the webhook to it.
    """

    task_id: str
    kind: TaskKind
    owner: str
    status: TaskStatus
    created_at: datetime
    updated_at: datetime
    inputs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    failure: Failure | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    attempt: int = 0
    fence: int = 0
    worker: str | None = None
    lease_until: datetime | None = None
    dispatch_at: datetime | None = None
    phase: str | None = None
    progress: float | None = None
    retries: tuple[Retry, ...] = ()
    webhook: Webhook | None = None
    retry_of: str | None = None
    expires_at: datetime | None = None
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Idempotency:
    """A client's promise that two submits are one: unique per owner, kept 24 hours.

    `digest` is of the request; the same key with another digest is a conflict.
    """

    owner: str
    key: str
    digest: str


@dataclass(frozen=True)
class Submission:
    """A request that was found valid: what an api role asks the ledger to carry out.

    Attributes:
        inputs: public fields of the request under their public names.
        options: what else the job needs; never shown.
        trace: `x-request-id` and `traceparent` of the submit.
    """

    kind: TaskKind
    owner: str
    inputs: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    webhook_url: str | None = None
    idempotency_key: str | None = None
    retry_of: str | None = None
    trace: Mapping[str, str] = field(default_factory=dict)

    def idempotency(self) -> Idempotency | None:
        if not self.idempotency_key:
            return None
        request = [self.kind.value, self.inputs, self.options, self.webhook_url]
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        return Idempotency(self.owner, self.idempotency_key, digest)


@dataclass(frozen=True)
class Plan:
    """What a request would do, found out without a task: facts under the names of the finished task's metadata."""

    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Success:
    """What a finished job leaves: result URLs and facts, under their public names."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


Outcome = Success | Failure
