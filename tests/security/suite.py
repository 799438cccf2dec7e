"""A suite of the tests' own, as a process, and what an HTTP client may ask of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.edge.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    json: Any


@dataclass(frozen=True)
class RunningSuite:
    port: int
    data: Path
    process: subprocess.Popen[bytes]

    def call(
        self, method: str, path: str, body: Any = None, *, key: str, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method,
                path,
                None if body is None else json.dumps(body),
                {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})},
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        return Reply(answer.status, answer.headers, json.loads(text) if text else None)

    def submit(self, path: str, body: Any, *, key: str) -> str:
        reply = self.call("POST", path, body, key=key)
        assert reply.status == 200, reply
        return str(reply.json["task_id"])

    def ended(self, task_id: str, *, key: str, within_seconds: float = 60.0) -> Any:
        """The task once it has ended."""
        deadline = time.monotonic() + within_seconds
        while time.monotonic() < deadline:
            task = self.call("GET", f"/api/v1/status/{task_id}", key=key).json
            if task["status"] in ("completed", "failed"):
                return task
            time.sleep(0.05)
        raise AssertionError(f"task {task_id} had no end in {within_seconds} s: {task}")

    def scratch_files(self) -> list[Path]:
        return [path for path in (self.data / "scratch").rglob("*") if path.is_file()]


@contextlib.contextmanager
def running_suite(data: Path, **settings: str) -> Iterator[RunningSuite]:
    """`settings` by their names without `LASTFRAME_`, in any case."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LASTFRAME_")}
    environment |= {"LASTFRAME_PORT": str(port), "LASTFRAME_DATA_DIR": str(data), "LASTFRAME_LOG_LEVEL": "warning"}
    environment |= {f"LASTFRAME_{name.upper()}": value for name, value in settings.items()}
    data.mkdir(parents=True, exist_ok=True)
    log = data / "suite.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "services"], env=environment, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"ready "), log.read_text()[-2000:]
        yield RunningSuite(port, data, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
