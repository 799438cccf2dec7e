"""The suite as its users have it: started by `python -m services`, spoken to through Envoy."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from bench.support.meter import ProcessTree
from bench.support.peers import ROOT
from deploy.stack.process import free_ports

HOST = "127.0.0.1"
KEY = "bench-key"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Suite:
    """A running suite; not to be shared by threads."""

    def __init__(self, port: int, data_directory: Path, pid: int) -> None:
        self.port = port
        self.data_directory = data_directory
        self.processes = ProcessTree(pid)
        self._connection = HTTPConnection(HOST, port, timeout=900)

    @property
    def rpc_port(self) -> int:
        """The services' own port behind Envoy, from Envoy's configuration."""
        text = next((self.data_directory / "edge").glob("*.yaml")).read_text()
        clusters = yaml.safe_load(text)["static_resources"]["clusters"]
        frames = next(cluster for cluster in clusters if cluster["name"] == "frames")
        endpoint = frames["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        return int(endpoint["address"]["socket_address"]["port_value"])

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer of 200; over one connection that is kept."""
        self._connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
        reply = self._connection.getresponse()
        answer = reply.read()
        if reply.status != 200:
            raise RuntimeError(f"{method} {path} answered {reply.status}: {answer!r}")
        return json.loads(answer)

    def submit(self, video_url: str, **options: Any) -> str:
        """The id of a last-frame task."""
        task_id: str = self.request("POST", "/api/v1/process", {"video_url": video_url, **options})["task_id"]
        return task_id

    def watch(self, task_id: str) -> dict[str, Any]:
        """The finished task, as soon as the event stream says so."""
        connection = HTTPConnection(HOST, self.port, timeout=900)
        connection.request("GET", f"/api/v1/tasks/{task_id}/events", headers=HEADERS)
        last: dict[str, Any] = {}
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                last = json.loads(line[6:])
                if last["status"] in ("completed", "failed"):
                    break
        connection.close()
        return _completed(last)

    def poll(self, task_id: str, every_seconds: float) -> dict[str, Any]:
        """The finished task, seen by asking for its status."""
        while True:
            task = self.request("GET", f"/api/v1/status/{task_id}")
            if task["status"] in ("completed", "failed"):
                return _completed(task)
            time.sleep(every_seconds)


@contextmanager
def running_suite(**settings: str) -> Iterator[Suite]:
    """Starts a suite on an empty data directory; `settings` are `LASTFRAME_` variables without the prefix."""
    port = free_ports(1)[0]
    with tempfile.TemporaryDirectory(prefix="bench-suite-") as directory:
        environment = {
            **os.environ,
            "LASTFRAME_PORT": str(port),
            "LASTFRAME_DATA_DIR": directory,
            "LASTFRAME_API_KEYS": f"bench={KEY}",
            "LASTFRAME_ALLOW_PRIVATE_SOURCES": "1",
            "LASTFRAME_LOG_LEVEL": "warning",
            "LASTFRAME_DRAIN_SECONDS": "0",
            **{f"LASTFRAME_{name}": value for name, value in settings.items()},
        }
        log = Path(directory) / "suite.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "services"],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        try:
            _wait_until_ready(process, log)
            yield Suite(port, Path(directory), process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while b"ready http://" not in log.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the suite did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _completed(task: dict[str, Any]) -> dict[str, Any]:
    if task.get("status") != "completed":
        raise RuntimeError(f"the task did not complete: {task}")
    return task
