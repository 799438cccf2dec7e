"""What both clients share: settings, requests, how answers are read, when to try again. No I/O."""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx

from lastframe_client.errors import ApiError, ConfigurationError
from lastframe_client.jobs import Job, Source, local_file

URL_VARIABLE, KEY_VARIABLE = "LAST_FRAME_API_URL", "LAST_FRAME_API_KEY"
# Reads wait longer than the 15 s between a watched task's heartbeats.
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
ATTEMPTS = 4
WATCH_ATTEMPTS = 8  # about a minute: the suite may restart under a running task
POLL_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Call:
    """One request. Every call of this API may be sent again: reads change nothing, submits name themselves."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    idempotency_key: str | None = None

    def options(self, key: str) -> dict[str, Any]:
        """For httpx' `request`."""
        headers = authorization(key)
        if self.idempotency_key:
            headers["Idempotency-Key"] = self.idempotency_key
        return {"params": dict(self.query), "json": self.body, "headers": headers}


def settings(url: str | None, key: str | None) -> tuple[str, str]:
    """The URL and the key, from the environment where they are not given.

    Raises:
        ConfigurationError: naming the variable to set.
    """
    url = url or os.environ.get(URL_VARIABLE, "")
    key = key or os.environ.get(KEY_VARIABLE, "")
    if not url:
        raise ConfigurationError(f"{URL_VARIABLE} is not set: set it to the suite's address, as http://127.0.0.1:8000")
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError(f"{URL_VARIABLE} must begin with http:// or https://, not {url!r}")
    if not key:
        raise ConfigurationError(f"{KEY_VARIABLE} is not set: set it to the API key that the suite's operator gave you")
    return url.rstrip("/"), key


def authorization(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def plan_call(job: Job, urls: Mapping[Source, str]) -> Call:
    """A dry run: it makes no task, and so needs no name."""
    body = job.body(lambda source: urls.get(source, str(source)))
    return Call("POST", job.path, body=body | {"dry_run": True})


def submit_call(job: Job, urls: Mapping[Source, str], idempotency_key: str | None) -> Call:
    """Without a name of the caller's own the submit gets one, so that a broken connection never makes two tasks."""
    body = job.body(lambda source: urls.get(source, str(source)))
    return Call("POST", job.path, body=body, idempotency_key=idempotency_key or secrets.token_hex(16))


def tasks_call(
    status: str | None, kind: str | None, created_after: datetime | None, limit: int, cursor: str | None
) -> Call:
    query = {
        "status": status,
        "kind": kind,
        "created_after": created_after.astimezone().isoformat() if created_after else None,
        "limit": str(limit),
        "cursor": cursor,
    }
    return Call("GET", "/api/v1/tasks", {name: value for name, value in query.items() if value})


def task_path(task_id: str, action: str = "") -> str:
    return f"/api/v1/tasks/{quote(task_id, safe='')}{action}"


def status_path(task_id: str) -> str:
    return f"/api/v1/status/{quote(task_id, safe='')}"


def files_of(job: Job) -> list[Source]:
    """The local files among a job's sources, each once."""
    return list(dict.fromkeys(source for source in job.sources() if local_file(source) is not None))


def answer(response: httpx.Response) -> Any:
    """The JSON of a reply that was read.

    Raises:
        ApiError: its status is not 200.
    """
    try:
        data = response.json()
    except json.JSONDecodeError:
        data = {}
    if response.status_code == httpx.codes.OK and data:
        return data
    after = response.headers.get("retry-after", "")
    raise ApiError(
        response.status_code,
        data.get("error", "unknown_error"),
        data.get("detail", f"the server answered {response.status_code}; is {URL_VARIABLE} a Last Frame suite?"),
        float(after) if after.isdigit() else None,
    )


def pause_seconds(error: Exception, attempt: int, attempts: int) -> float | None:
    """How long to wait before the next attempt (the first is 1); None when there should be none."""
    if attempt >= attempts:
        return None
    backoff = min(LONGEST_PAUSE_SECONDS, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
    if isinstance(error, ApiError):
        if error.http_status not in (429, 502, 503, 504):
            return None
        return min(LONGEST_PAUSE_SECONDS, error.retry_after_seconds or backoff)
    return backoff if isinstance(error, httpx.TransportError) else None


def event(line: str) -> Any | None:
    """The JSON of a Server-Sent Events `data:` line; None for other lines."""
    return json.loads(line[5:]) if line.startswith("data:") else None
