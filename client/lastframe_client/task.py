"""What the service tells about tasks and uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

RESULT_NAMES = (
    "image_url",
    "video_result_url",
    "audio_result_url",
    "full_video_url",
    "video_only_url",
    "audio_only_url",
)


@dataclass(frozen=True)
class Task:
    """One task as it was when asked.

    Attributes:
        status: `pending`, `processing`, `completed` or `failed`.
        kind: `last_frame`, `video_stitch`, …; empty right after a submit.
        progress: 0-1 while it is processed, else None.
        results: the result's URLs by their API names (`image_url`, …); empty until completed.
        metadata: facts about inputs and result, as the API names them.
        error, error_message, error_input: once failed: a word for programs, a sentence, the input at fault.
        raw: the whole JSON object.
    """

    task_id: str
    status: str
    kind: str = ""
    phase: str | None = None
    progress: float | None = None
    results: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_message: str | None = None
    error_input: str | None = None
    created_at: datetime | None = None
    completed_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_finished(self) -> bool:
        return self.status in ("completed", "failed")

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        return cls(
            task_id=data["task_id"],
            status=data["status"],
            kind=data.get("kind", ""),
            phase=data.get("phase"),
            progress=data.get("progress"),
            results={name: data[name] for name in RESULT_NAMES if data.get(name)},
            metadata=data.get("metadata") or {},
            error=data.get("error"),
            error_message=data.get("error_message"),
            error_input=data.get("error_input"),
            created_at=_moment(data.get("created_at")),
            completed_at=_moment(data.get("completed_at")),
            raw=data,
        )


@dataclass(frozen=True)
class Plan:
    """What a job would do, found out without a task.

    Attributes:
        estimated_seconds: from submit to result on an idle worker.
        estimated_bytes: of all results together; bytes_to_fetch: of the sources.
        facts: what else is known, under the names of the finished task's metadata (`frames`, `copied`, …).
        warnings: sentences for people.
        raw: the API's JSON.
    """

    estimated_seconds: float
    estimated_bytes: int
    bytes_to_fetch: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        plan = data["plan"]
        costs = ("estimated_seconds", "estimated_bytes", "bytes_to_fetch")
        return cls(
            estimated_seconds=float(plan["estimated_seconds"]),
            estimated_bytes=int(plan["estimated_bytes"]),
            bytes_to_fetch=int(plan["bytes_to_fetch"]),
            facts={name: value for name, value in plan.items() if name not in (*costs, "warnings")},
            warnings=tuple(plan.get("warnings") or ()),
            raw=data,
        )


@dataclass(frozen=True)
class Page:
    """Some tasks, newest first; `next_cursor` asks for the page after, None on the last."""

    tasks: tuple[Task, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class Upload:
    """A stored file: `url` is a source for jobs until `expires_at`."""

    url: str
    size_bytes: int
    sha256: str
    expires_at: datetime

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Upload:
        return cls(data["url"], int(data["size_bytes"]), data["sha256"], datetime.fromisoformat(data["expires_at"]))


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
