"""The bare media function: `services.frames.last_frame.extract` over the outbound source, in this very process.

No queue, no store, no confined child, no upload: what remains is fetching ranges, decoding and writing the image.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import uvloop

from services.frames.last_frame import LastFrame, extract
from shared.backends.http import HttpSource, HttpSourceOpener
from shared.backends.outbound import Outbound
from shared.media.step import StepContext
from shared.ports import SourceLimits
from shared.urls import OutboundPolicy

T = TypeVar("T")


class _BlockingSource:
    """A `ByteSource` for this thread over a source that lives on the loop of another."""

    def __init__(self, source: HttpSource, loop: asyncio.AbstractEventLoop) -> None:
        self._source = source
        self._loop = loop
        self.label = source.label

    @property
    def size_bytes(self) -> int | None:
        return self._source.size_bytes

    @property
    def is_local(self) -> bool:
        return self._source.is_local

    def read_at(self, offset: int, length: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._source.read_at(offset, length), self._loop).result()

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        asyncio.run_coroutine_threadsafe(self._source.prefetch(ranges), self._loop).result()


@dataclass(frozen=True)
class Extracted:
    """One call of the bare function."""

    result: LastFrame
    bytes_fetched: int
    wall_seconds: float
    cpu_seconds: float


class BareMedia:
    def __init__(self, opener: HttpSourceOpener, loop: asyncio.AbstractEventLoop) -> None:
        self._opener = opener
        self._loop = loop

    def extract(self, url: str) -> Extracted:
        """CPU seconds are this process's: nothing else may run in it meanwhile."""
        wall, cpu = time.perf_counter(), time.process_time()
        with TemporaryDirectory(prefix="bench-bare-") as scratch:
            opening = self._opener.open(
                url, label="video_url", limits=SourceLimits(max_input_bytes=2**30), spool_directory=Path(scratch)
            )
            source = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
            try:
                result = extract(StepContext(Path(scratch)), _BlockingSource(source, self._loop))
            finally:
                asyncio.run_coroutine_threadsafe(source.close(), self._loop).result()
        return Extracted(result, source.bytes_fetched, time.perf_counter() - wall, time.process_time() - cpu)


@contextmanager
def bare_media() -> Iterator[BareMedia]:
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opener = HttpSourceOpener(Outbound(OutboundPolicy(True, frozenset())))
    try:
        yield BareMedia(opener, loop)
    finally:
        asyncio.run_coroutine_threadsafe(opener.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
