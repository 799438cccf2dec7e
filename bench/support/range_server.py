"""A file server with Range in a process of its own, with added latency and limited bandwidth.

Latency is added as a network would: once for a new connection, and once before each answer's first byte. The growth
of TCP's window over a long line is not modelled. `sent_bytes` counts what was handed to the kernel, and the send
buffer is small, so a client that hangs up early is charged at most 256 KiB that it did not take.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
SEND_BUFFER_BYTES = 256 * 1024
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Served:
    """What was sent since the count was last taken."""

    sent_bytes: int
    requests: int
    connections: int


@dataclass(frozen=True)
class RangeServer:
    """Answers `GET /NAME?latency=0.05&rate=12500000` (seconds; bytes a second) for files of one directory, and
    `GET /hold` never."""

    port: int

    def url(self, name: str, *, latency_seconds: float = 0.0, bytes_per_second: float = 0.0) -> str:
        query = "&".join(
            f"{key}={value}" for key, value in (("latency", latency_seconds), ("rate", bytes_per_second)) if value
        )
        return f"http://{HOST}:{self.port}/{name}" + (f"?{query}" if query else "")

    def take_count(self) -> Served:
        """The counts since the last call."""
        time.sleep(0.05)  # a hung-up connection is noticed at its next write
        connection = HTTPConnection(HOST, self.port, timeout=10)
        connection.request("GET", "/count")
        counts = json.loads(connection.getresponse().read())
        connection.close()
        return Served(**counts)


@contextmanager
def range_server(directory: Path) -> Iterator[RangeServer]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(directory, theirs), daemon=True)
    process.start()
    theirs.close()  # so that a process that dies early is an EOFError below, not a wait for ever
    try:
        yield RangeServer(ours.recv())
    finally:
        process.terminate()
        process.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = threading.Lock()
        self.counts = {"sent_bytes": 0, "requests": 0, "connections": 0}
        super().__init__((HOST, 0), _Handler)

    def count(self, **more: int) -> None:
        with self.lock:
            for name, number in more.items():
                self.counts[name] += number


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().setup()
        self.is_known = False

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/count":
            return self._answer_count()
        if parts.path.startswith("/hold"):
            return time.sleep(3600)
        query = {name: float(values[0]) for name, values in parse_qs(parts.query).items()}
        latency = query.get("latency", 0.0)
        if not self.is_known:
            self.is_known = True
            self.server.count(connections=1)
            time.sleep(latency)
        time.sleep(latency)
        self.server.count(requests=1)
        with (self.server.directory / Path(parts.path).name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start, stop, status = 0, size, 200
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
                start, stop, status = int(wanted[1]), min(int(wanted[2] or size) + 1, size), 206
            self.send_response(status)
            self.send_header("Content-Type", "video/mp4")
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", f'"{size}"')
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            self.end_headers()
            self.wfile.flush()
            with suppress(OSError):
                self._send(file.fileno(), start, stop, query.get("rate", 0.0))
        return None

    def _send(self, descriptor: int, start: int, stop: int, bytes_per_second: float) -> None:
        begin, first = time.monotonic(), start
        try:
            while start < stop:
                chunk = 32 * 1024 if bytes_per_second else CHUNK_BYTES
                sent = os.sendfile(self.request.fileno(), descriptor, start, min(chunk, stop - start))
                self.server.count(sent_bytes=sent)
                start += sent
                if bytes_per_second:
                    time.sleep(max(0.0, begin + (start - first) / bytes_per_second - time.monotonic()))
        except OSError:
            self.close_connection = True
            raise

    def _answer_count(self) -> None:
        with self.server.lock:
            body = json.dumps(self.server.counts).encode()
            self.server.counts = dict.fromkeys(self.server.counts, 0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        return None


def _serve(directory: Path, port: Connection) -> None:
    with _Server(directory) as server:
        port.send(server.server_address[1])
        server.serve_forever()
