"""The client for programs without asyncio."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from lastframe_client import protocol
from lastframe_client.errors import ApiError, TaskFailed, Unreachable, WaitTimeout
from lastframe_client.jobs import Job, Source, local_file
from lastframe_client.protocol import Call
from lastframe_client.task import Page, Plan, Task, Upload

OnTask = Callable[[Task], object]
OnBytes = Callable[[int, int | None], object]


class Client:
    """Talks to one suite; a context manager, safe to use from several threads.

    Args:
        url, key: default to `LAST_FRAME_API_URL` and `LAST_FRAME_API_KEY`; there is no other fallback.

    Every method raises `ApiError` when the service refuses, `Unreachable` when it cannot be reached; what may pass
    (429, 503, a broken connection) is tried again first.

    Raises:
        ConfigurationError: the URL or the key is missing.
    """

    def __init__(self, url: str | None = None, key: str | None = None) -> None:
        self._url, self._key = protocol.settings(url, key)
        self._http = httpx.Client(timeout=protocol.TIMEOUT)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def submit(self, job: Job, *, idempotency_key: str | None = None, on_upload: OnBytes | None = None) -> Task:
        """Uploads the job's local files and queues it. Submitting the same job under the same key again within a day
        gives the same task. Raises `OSError` for files that cannot be read."""
        urls = self._uploaded(job, on_upload)
        return Task.from_json(self._call(protocol.submit_call(job, urls, idempotency_key)))

    def plan(self, job: Job, *, on_upload: OnBytes | None = None) -> Plan:
        """Uploads the job's local files and finds out what the job would do; nothing is queued. What it would fail with
        is raised as `ApiError`, by the same word."""
        urls = self._uploaded(job, on_upload)
        return Plan.from_json(self._call(protocol.plan_call(job, urls)))

    def run(self, job: Job, *, timeout_seconds: float | None = None, on_change: OnTask | None = None) -> Task:
        """Submits and waits. Raises `TaskFailed` and `WaitTimeout`."""
        return self.wait(self.submit(job).task_id, timeout_seconds=timeout_seconds, on_change=on_change)

    def wait(self, task_id: str, *, timeout_seconds: float | None = None, on_change: OnTask | None = None) -> Task:
        """The completed task; `on_change` sees it on the way. Raises `TaskFailed` and `WaitTimeout`."""
        seen = self.watch(task_id) if timeout_seconds is None else self._poll(task_id, timeout_seconds)
        for task in seen:
            if on_change is not None:
                on_change(task)
            if task.status == "failed":
                raise TaskFailed(task)
            if task.is_finished:
                return task
        raise AssertionError("a watch ends with a finished task")

    def watch(self, task_id: str) -> Iterator[Task]:
        """The task now and after each change (at least every 15 s), until it has ended; survives broken streams."""
        failures = 0
        while True:
            try:
                for task in self._events(task_id):
                    failures = 0
                    yield task
                    if task.is_finished:
                        return
                broken: Exception = httpx.ReadError("the stream of events ended early")
            except (ApiError, httpx.TransportError) as error:
                broken = error
            failures += 1
            self._pause(broken, failures, protocol.WATCH_ATTEMPTS)

    def status(self, task_id: str) -> Task:
        return Task.from_json(self._call(Call("GET", protocol.status_path(task_id))))

    def tasks(
        self,
        *,
        status: str | None = None,
        kind: str | None = None,
        created_after: datetime | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """One page of your tasks, newest first."""
        data = self._call(protocol.tasks_call(status, kind, created_after, limit, cursor))
        return Page(tuple(Task.from_json(task) for task in data["tasks"]), data.get("next_cursor"))

    def cancel(self, task_id: str) -> Task:
        """Stops a task that has not ended; deletes a completed one with its results."""
        return Task.from_json(self._call(Call("DELETE", protocol.task_path(task_id))))

    def retry(self, task_id: str) -> Task:
        """Queues a failed task's request again, as a new task."""
        call = Call("POST", protocol.task_path(task_id, "/retry"), body={}, idempotency_key=secrets.token_hex(16))
        return Task.from_json(self._call(call))

    def redeliver_webhook(self, task_id: str) -> Task:
        return Task.from_json(self._call(Call("POST", protocol.task_path(task_id, "/webhook/redeliver"), body={})))

    def upload(self, path: str | Path, *, on_progress: OnBytes | None = None) -> Upload:
        """Stores a local file for a day; `on_progress` gets the bytes sent and the file's size."""
        path = Path(path)

        def send() -> Any:
            with path.open("rb") as file:
                size = path.stat().st_size
                response = self._http.post(
                    f"{self._url}/api/v1/uploads",
                    params={"filename": path.name},
                    headers=protocol.authorization(self._key) | {"Content-Length": str(size)},
                    content=_pieces(file.read, size, on_progress),
                )
            return protocol.answer(response)

        return Upload.from_json(self._again(send))

    def download(self, url: str, path: str | Path, *, on_progress: OnBytes | None = None) -> Path:
        """Saves a result; the file appears whole or not at all. The key is not sent: results may be elsewhere."""
        path = Path(path)
        partial = path.with_name(path.name + ".part")

        def fetch() -> None:
            with self._http.stream("GET", url, follow_redirects=True) as response, partial.open("wb") as file:
                if response.status_code != httpx.codes.OK:
                    response.read()
                    protocol.answer(response)
                size = int(response.headers.get("content-length", 0)) or None
                for piece in response.iter_bytes(protocol.PIECE_BYTES):
                    file.write(piece)
                    if on_progress is not None:
                        on_progress(file.tell(), size)

        try:
            self._again(fetch)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _uploaded(self, job: Job, on_upload: OnBytes | None) -> dict[Source, str]:
        """The URL of each local file of the job."""
        urls: dict[Source, str] = {}
        for source in protocol.files_of(job):
            path = local_file(source)
            assert path is not None
            urls[source] = self.upload(path, on_progress=on_upload).url
        return urls

    def _poll(self, task_id: str, timeout_seconds: float) -> Iterator[Task]:
        """As `watch` within a time limit: a blocking read of a stream could not be left when it is over."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            yield self.status(task_id)
            left = deadline - time.monotonic()
            if left <= 0:
                raise WaitTimeout(task_id, timeout_seconds)
            time.sleep(min(protocol.POLL_SECONDS, left))

    def _events(self, task_id: str) -> Iterator[Task]:
        with self._http.stream(
            "GET", self._url + protocol.task_path(task_id, "/events"), headers=protocol.authorization(self._key)
        ) as response:
            if response.status_code != httpx.codes.OK:
                response.read()
                protocol.answer(response)
            for line in response.iter_lines():
                if (data := protocol.event(line)) is not None:
                    yield Task.from_json(data)

    def _call(self, call: Call) -> Any:
        return self._again(
            lambda: protocol.answer(self._http.request(call.method, self._url + call.path, **call.options(self._key)))
        )

    def _again(self, work: Callable[[], Any]) -> Any:
        attempt = 1
        while True:
            try:
                return work()
            except (ApiError, httpx.TransportError) as error:
                self._pause(error, attempt, protocol.ATTEMPTS)
                attempt += 1

    def _pause(self, error: Exception, attempt: int, attempts: int) -> None:
        """Waits before the next attempt; raises the error when there should be none."""
        seconds = protocol.pause_seconds(error, attempt, attempts)
        if seconds is None:
            if isinstance(error, httpx.TransportError):
                raise Unreachable(f"{self._url} cannot be reached: {error}") from error
            raise error
        time.sleep(seconds)


def _pieces(read: Callable[[int], bytes], size: int, on_progress: OnBytes | None) -> Iterator[bytes]:
    sent = 0
    while piece := read(protocol.PIECE_BYTES):
        yield piece
        sent += len(piece)
        if on_progress is not None:
            on_progress(sent, size)
