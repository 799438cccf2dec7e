"""The whole suite as its users have it: `python -m services` in a process of its own, Envoy in front."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import requests

ROOT = Path(__file__).resolve().parents[2]
KEY = "test-key"
START_SECONDS = 40.0
STOP_SECONDS = 45.0
JOB_SECONDS = 60.0


def free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> set[int]:
    """The processes below this one that live now."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level}
        found |= level
    return found


class RunningSuite:
    """A context manager: started on entering, stopped by SIGTERM on leaving.

    Args:
        directory: the data directory; a suite on the same one goes on with its tasks.
        port: None for a free one.
        settings: `webhook_retry_seconds="0.2"` is `LASTFRAME_WEBHOOK_RETRY_SECONDS=0.2`; None unsets.
    """

    def __init__(self, directory: Path, *, port: int | None = None, **settings: str | None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {"api_keys": f"tests={KEY}", "allow_private_sources": "1"} | settings
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self.stdout: list[str] = []

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LASTFRAME_")}
        wanted = {"port": str(self.port), "data_dir": str(self.directory)} | self._settings
        return clean | {f"LASTFRAME_{name.upper()}": value for name, value in wanted.items() if value is not None}

    def start(self) -> RunningSuite:
        self._launch()
        if not self._ready.wait(START_SECONDS) or not self.stdout:
            status = self.kill()
            raise AssertionError(f"the suite ended with {status} before it was ready:\n{self.log}")
        assert self.stdout[0] == f"ready {self.url}"
        return self

    def start_in_vain(self) -> tuple[int, str]:
        """For settings that cannot work: the exit status, and what was said to the operator on stderr."""
        self._launch()
        assert self._process is not None
        try:
            return self._process.wait(START_SECONDS), self.log
        finally:
            self.kill()

    def _launch(self) -> None:
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        self._ready = threading.Event()
        self.stdout = []
        with self._log_path.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services"],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def _listen(self, stdout: Any) -> None:
        for line in stdout:
            self.stdout.append(line.rstrip("\n"))
            self._ready.set()
        self._ready.set()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit status of a suite that was told to end."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> int:
        """SIGKILL to the suite's own process only; its children have to notice by themselves."""
        assert self._process is not None
        self._process.kill()
        return self._process.wait(STOP_SECONDS)

    def __enter__(self) -> RunningSuite:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            if self._process.poll() is None:
                self.signal(signal.SIGTERM)
                self._process.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._session.close()

    @property
    def _log_path(self) -> Path:
        return self.directory.with_name(self.directory.name + ".log")

    # REST

    def call(self, method: str, path: str, *, key: str | None = KEY, **options: Any) -> requests.Response:
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self._session.request(method, self.url + path, headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> Any:
        """The JSON of a GET that must succeed."""
        reply = self.call("GET", path, **options)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def submit(self, path: str, body: Mapping[str, Any], **options: Any) -> str:
        """The id of a task that must be accepted."""
        reply = self.call("POST", path, json=body, **options)
        assert reply.status_code == 200, reply.text
        return str(reply.json()["task_id"])

    def status(self, task_id: str) -> dict[str, Any]:
        return dict(self.get(f"/api/v1/status/{task_id}"))

    def events(self, task_id: str, *, timeout: float = JOB_SECONDS) -> Iterator[dict[str, Any]]:
        """The task's Server-Sent Events as they come, until the server ends the stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", f"/api/v1/tasks/{task_id}/events", headers={"Authorization": f"Bearer {KEY}"})
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            assert reply.headers["content-type"].startswith("text/event-stream")
            for line in reply:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
        finally:
            connection.close()

    def until(self, task_id: str, *statuses: str) -> dict[str, Any]:
        """The task as soon as it has one of these statuses."""
        for task in self.events(task_id):
            if task["status"] in statuses:
                return task
        raise AssertionError(f"the task never was {statuses}: {self.status(task_id)}")

    def finished(self, task_id: str) -> dict[str, Any]:
        """The task as status tells it once it has ended."""
        self.until(task_id, "completed", "failed")
        return self.status(task_id)

    def completed(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Submits, waits, and expects success."""
        task = self.finished(self.submit(path, body, **options))
        assert task["status"] == "completed", task
        return task

    def failed(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Submits, waits, and expects failure."""
        task = self.finished(self.submit(path, body, **options))
        assert task["status"] == "failed", task
        return task

    # gRPC

    @contextlib.contextmanager
    def channel(self) -> Iterator[grpc.Channel]:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            yield channel


METADATA = (("authorization", f"Bearer {KEY}"),)
