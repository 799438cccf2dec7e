"""A web server whose answers a test holds in its hand: it records what was posted, and lets requests wait."""

from __future__ import annotations

import json
import queue
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Post:
    """One request to the receiver."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Receives webhooks on every path. A context manager.

    Args:
        statuses: the answers to the first posts; then 200.
        port: a port to reopen, None for a free one.
    """

    def __init__(self, statuses: Sequence[int] = (), *, port: int | None = None) -> None:
        self._statuses = deque(statuses)
        self._posts: queue.Queue[Post] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = receiver._statuses.popleft() if receiver._statuses else 200
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                receiver._posts.put(Post(self.path, headers, body))

            def log_message(self, *arguments: Any) -> None:
                return None

        self._server = _Server(("127.0.0.1", port or 0), Handler)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def next(self, timeout: float = 30.0) -> Post:
        """The next post, in the order of their coming."""
        return self._posts.get(timeout=timeout)

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        try:
            self._posts.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def __enter__(self) -> Receiver:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class Gate:
    """Serves one body, but only to those let through: a test sees who waits, in which order they came. A context
    manager; on leaving everybody may pass."""

    def __init__(self, body: bytes) -> None:
        self._arrived: queue.Queue[str] = queue.Queue()
        self._permits: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                first, permit = gate._permit(self.path)
                if first:
                    gate._arrived.put(self.path)
                permit.wait(120)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                return None

        self._server = _Server(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def next(self, timeout: float = 30.0) -> str:
        """The path of the next one who came to the gate for the first time."""
        return self._arrived.get(timeout=timeout)

    def is_quiet(self, seconds: float) -> bool:
        try:
            self._arrived.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def let_through(self, path: str) -> None:
        self._permit(path)[1].set()

    def _permit(self, path: str) -> tuple[bool, threading.Event]:
        with self._lock:
            first = path not in self._permits
            return first, self._permits.setdefault(path, threading.Event())

    def __enter__(self) -> Gate:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            permits = list(self._permits.values())
        for permit in permits:
            permit.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        return None  # a client that was killed
