"""A result's way into S3 over a slow line: sent when it is written, and sent while it is written.

    python -m bench.uploads [--clips 4] [--megabits 100] [--rounds 2]

The job's own parts: a confined child re-encodes a stitch of noise (much is written a second), `JobContext` publishes
it through `S3Objects` to SeaweedFS. Between the two stands a proxy that passes on so many bits a second, of all
connections together; rows of a round run one after the other. The transfer behind is from the step's end to the answer.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from bench.support.clips import noise_clip
from bench.support.table import print_table
from deploy.stack.servers import S3
from services.stitch.stitch import FILE_NAME, stitch
from shared.backends.s3 import S3Objects
from shared.jobs.child import ChildPool, LocalSource
from shared.jobs.context import JobContext, JobLimits
from shared.ports import SourceOpener
from shared.tasks import Task, TaskKind, TaskStatus

MEBIBYTE = 1024 * 1024
CHUNK_BYTES = 64 * 1024
ROWS = (("when it is written", 16, False), ("while it is written", 16, True), ("while it is written", 8, True))


@dataclass
class Line:
    """One line to a port of this machine; what is sent through it waits its turn."""

    target: int
    bytes_per_second: float
    port: int = 0
    sent: int = 0
    free_at: float = 0.0

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        with suppress(ConnectionError):
            await asyncio.gather(self._pass(reader, back, slow=True), self._pass(there, writer, slow=False))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, slow: bool) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                if slow:
                    self.sent += len(chunk)
                    self.free_at = max(self.free_at, time.monotonic()) + len(chunk) / self.bytes_per_second
                    await asyncio.sleep(self.free_at - time.monotonic())
                writer.write(chunk)
                await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def slow_line(target: int, megabits: float) -> AsyncIterator[Line]:
    line = Line(target, megabits * 1e6 / 8)
    server = await asyncio.start_server(line.connect, "127.0.0.1", 0, limit=2 * CHUNK_BYTES)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()


async def publish_stitch(
    server: S3, line: Line, children: ChildPool, scratch: Path, clips: int, part_bytes: int, *, grows: bool
) -> tuple[float, float, int]:
    """Seconds of the step, seconds of the transfer behind it, bytes of the result."""
    url = f"s3://{server.bucket}?endpoint=http://127.0.0.1:{line.port}&region=auto"
    store = S3Objects(url, server.public_base_url, part_bytes=part_bytes, environment=server.environment)
    await store.open()
    now = datetime.now(UTC)
    context = JobContext(
        Task("bench", TaskKind.VIDEO_STITCH, "bench", TaskStatus.PROCESSING, now, now, fence=1),
        scratch,
        opener=cast("SourceOpener", None),
        children=children,
        objects=store,
        limits=JobLimits(1 << 30, 600.0, 600.0, os.cpu_count() or 1),
        report=lambda phase, progress: None,
    )
    result = (FILE_NAME, f"{scratch.name}.mp4", "video/mp4")
    sources = [LocalSource(noise_clip(), f"video_urls[{index}]") for index in range(clips)]
    began = time.monotonic()
    await context.run(stitch, grows=[result] if grows else (), sources=sources, strategy="reencode", quality="high")
    stepped = time.monotonic()
    await context.publish(*result)
    ended = time.monotonic()
    await context.withdraw()
    await context.close()
    await store.close()
    return stepped - began, ended - stepped, (scratch / FILE_NAME).stat().st_size


async def measure(clips: int, megabits: float, rounds: int) -> None:
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        server = S3(Path(directory) / "s3")
        server.start()
        children = ChildPool(preload=["services.stitch.stitch"], sandbox="best-effort")
        await children.start()
        try:
            for number in range(rounds):
                for row, (name, part, grows) in enumerate(ROWS):
                    scratch = Path(directory) / f"{number}-{row}"
                    scratch.mkdir()
                    async with slow_line(server.port, megabits) as line:
                        step, behind, size = await publish_stitch(
                            server, line, children, scratch, clips, part * MEBIBYTE, grows=grows
                        )
                    sent, total = f"{line.sent / 1e6:.1f}", f"{step + behind:.1f}"
                    rows.append((name, part, f"{step:.1f}", f"{behind:.1f}", total, f"{size / 1e6:.1f}", sent))
        finally:
            await children.stop()
            server.stop()
    columns = ("sent", "part MiB", "step s", "transfer behind s", "total s", "MB", "MB sent")
    print_table(f"A stitch of {clips} clips, {megabits:g} Mbit/s", columns, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--megabits", type=float, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    asyncio.run(measure(given.clips, given.megabits, given.rounds))
