"""A web server that misbehaves to order: ranges or none, no length, drops, drips, lies and endless bodies.

It runs in its own thread with its own loop, so that synchronous and asynchronous tests can use it:

    with NastyServer() as server:
        url = server.serve("/clip.mp4", body, ranges=False)
        ...
        assert server.bytes_sent < 100_000
        assert [seen.range for seen in server.seen] == ["bytes=0-65535"]
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType


@dataclass
class Resource:
    """What one path answers. All off: a well-behaved static file with Range, ETag and keep-alive."""

    body: bytes | Path = b""
    status: int = 200
    statuses: Sequence[int] = ()
    """For the first requests, one each; then `status`."""
    content_type: str = "application/octet-stream"
    headers: Sequence[tuple[str, str]] = ()
    ranges: bool = True
    """False: Range is ignored and the answer is a 200."""
    ranges_until: int | None = None
    """From this request on (0-based) Range is ignored."""
    known_length: bool = True
    """False: a 200 is chunked, a 206 says `/*`."""
    etag: bool = True
    latency_seconds: float = 0.0
    bytes_per_second: float | None = None
    drop_after: Sequence[int] = ()
    """For the first requests, one each: how many bytes of the body come before the connection is cut."""
    stall_after: int | None = None
    """The body stops here and the connection stays open."""
    drip_seconds: float | None = None
    """The body comes one byte at a time, with this pause."""
    endless: bool = False
    """After the body, chunks of zeros for ever; no length."""
    most_per_answer: int | None = None
    """A 206 never holds more than this, whatever was asked."""
    shift_range_by: int = 0
    """A 206 gives bytes this much further on than asked, and says so."""
    raw: bytes | None = None
    """Sent verbatim instead of an answer, then the connection is closed."""
    raw_drip_seconds: float = 0.0
    change: Callable[[Resource, int], None] | None = None
    """Called with the resource and the number of the request before it is answered."""
    requests: int = field(default=0, init=False)

    def read(self) -> bytes:
        return self.body.read_bytes() if isinstance(self.body, Path) else self.body


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def range(self) -> str | None:
        return self.headers.get("range")


class NastyServer:
    """A context manager; `url(path)` names its resources. `seen`, `bytes_sent` and `connections` tell what happened."""

    def __init__(self, *, host: str = "127.0.0.1", ssl_context: ssl.SSLContext | None = None) -> None:
        self.resources: dict[str, Resource] = {}
        self.seen: list[Seen] = []
        self.connections = 0
        self._sent = [0]
        self.port = 0
        self._host = host
        self._ssl = ssl_context
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._run()), daemon=True)

    def __enter__(self) -> NastyServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies handed to the kernel."""
        return self._sent[0]

    def forget(self) -> None:
        """Counts from 0 again; an answer that is still under way goes on unseen."""
        self.seen = []
        self.connections = 0
        self._sent = [0]

    def url(self, path: str, host: str | None = None) -> str:
        return f"{'https' if self._ssl else 'http'}://{host or self._host}:{self.port}{path}"

    def serve(self, path: str, body: bytes | Path = b"", **behaviour: object) -> str:
        """Adds or replaces a resource; `behaviour` are fields of `Resource`. Returns its URL."""
        self.resources[path] = Resource(body=body, **behaviour)  # type: ignore[arg-type]
        return self.url(path)

    def redirect(self, path: str, target: str, status: int = 302) -> str:
        return self.serve(path, status=status, headers=[("Location", target)])

    def to(self, path: str) -> list[Seen]:
        """The requests for one path (its query is not compared)."""
        return [seen for seen in self.seen if seen.target.partition("?")[0] == path]

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve_connection, self._host, 0, ssl=self._ssl, limit=2**20)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self._serve_request(reader, writer, number):
                    pass
        finally:
            writer.transport.abort()

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(method, target, headers, body, number))
        resource = self.resources.get(target.partition("?")[0]) or Resource(b"nothing here", status=404)
        if resource.change is not None:
            resource.change(resource, resource.requests)
        request, resource.requests = resource.requests, resource.requests + 1
        await asyncio.sleep(resource.latency_seconds)
        if resource.raw is not None:
            step = 1 if resource.raw_drip_seconds else len(resource.raw)
            for start in range(0, len(resource.raw), step):
                writer.write(resource.raw[start : start + step])
                await writer.drain()
                await asyncio.sleep(resource.raw_drip_seconds)
            writer.close()
            await writer.wait_closed()
            return False
        return await self._answer(resource, request, headers, writer)

    async def _answer(
        self, resource: Resource, request: int, asked: dict[str, str], writer: asyncio.StreamWriter
    ) -> bool:
        whole = resource.read()
        status = resource.statuses[request] if request < len(resource.statuses) else resource.status
        etag = '"' + hashlib.sha256(whole).hexdigest()[:16] + '"'
        headers = [("Content-Type", resource.content_type), *resource.headers]
        if resource.etag:
            headers.append(("ETag", etag))
        body, chunked = whole, not resource.known_length or resource.endless
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("range", ""))
        ranged = resource.ranges and (resource.ranges_until is None or request < resource.ranges_until)
        if found and ranged and status == 200 and asked.get("if-range", etag) == etag:
            total = str(len(whole)) if resource.known_length else "*"
            start = int(found[1]) + resource.shift_range_by
            stop = min(int(found[2]) + 1 + resource.shift_range_by if found[2] else len(whole), len(whole))
            if resource.most_per_answer is not None:
                stop = min(stop, start + resource.most_per_answer)
            if start >= len(whole):
                status, body = 416, b""
                headers.append(("Content-Range", f"bytes */{total}"))
            else:
                status, body, chunked = 206, whole[start:stop], False
                headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{total}"))
        if chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            headers.append(("Content-Length", str(len(body))))
        lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1"))
        drop = resource.drop_after[request] if request < len(resource.drop_after) else None
        return await self._send_body(resource, body, drop, chunked, writer)

    async def _send_body(
        self, resource: Resource, body: bytes, drop: int | None, chunked: bool, writer: asyncio.StreamWriter
    ) -> bool:
        step = 1 if resource.drip_seconds else 16 * 1024
        sent = self._sent

        async def send(piece: bytes) -> None:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
            sent[0] += len(piece)
            if resource.drip_seconds:
                await asyncio.sleep(resource.drip_seconds)
            elif resource.bytes_per_second:
                await asyncio.sleep(len(piece) / resource.bytes_per_second)

        end = min(len(body), *(n for n in (drop, resource.stall_after) if n is not None), len(body))
        for start in range(0, end, step):
            await send(body[start : min(start + step, end)])
        if drop is not None and drop <= len(body):
            # A FIN after what was sent, not an RST that would discard it on its way.
            writer.close()
            await writer.wait_closed()
            return False
        if resource.stall_after is not None and end < len(body):
            await asyncio.sleep(3600)
        while resource.endless:
            await send(bytes(64 * 1024))
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
