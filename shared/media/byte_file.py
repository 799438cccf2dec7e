"""A `ByteSource` as the file object that libavformat reads from.

libavformat never learns a name: an object without `.name` gives relative and sibling references (playlists, `dref`
atoms, `.sub` files) nothing to stand on. How many bytes are asked of a remote source is decided here.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from shared.errors import LastFrameError
from shared.media.source import ByteSource

FIRST_WINDOW_BYTES: Final = 64 * 1024
LARGEST_WINDOW_BYTES: Final = 2 * 1024 * 1024
LARGEST_PLANNED_READ_BYTES: Final = 8 * 1024 * 1024
TAKE_WHOLE_BYTES: Final = 256 * 1024
"""A medium this small is fetched in one further request: planning would cost more than it saves."""

MERGED_GAP_BYTES: Final = 128 * 1024
"""Two runs of samples closer than this are fetched as one: a request costs more than the gap."""

Range = tuple[int, int]
"""`(start, end)`, the end excluded."""


def merged(runs: Iterable[Range], *, gap_bytes: int = 0) -> list[Range]:
    """The runs in order, those that overlap or lie at most `gap_bytes` apart made one."""
    joined: list[Range] = []
    for start, end in sorted(runs):
        if joined and start - joined[-1][1] <= gap_bytes:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


class ByteFile:
    """Read, seek and tell over a source, with a bounded read-through cache for remote ones.

    A miss fetches a window: 64 KiB, doubling to 2 MiB while reads are sequential, back to 64 KiB on a jump. Inside a
    planned run it fetches exactly that run. A `LastFrameError` of the source is remembered in `failure` and raised
    again by every later read, so that no demuxer can take a broken source for the end of the file.

    Args:
        source: borrowed, not closed.
        cache_bytes: how much of a remote source to keep in memory; the oldest reads go first.
    """

    def __init__(self, source: ByteSource, *, cache_bytes: int = 64 * 1024 * 1024) -> None:
        self.source = source
        self.failure: LastFrameError | None = None
        self._position = 0
        self._size = source.size_bytes
        self._cache_limit = cache_bytes
        self._starts: list[int] = []
        self._chunks: dict[int, bytes] = {}  # in order of arrival
        self._cached_bytes = 0
        self._fetched_bytes = 0
        self._window = FIRST_WINDOW_BYTES
        self._next_offset = 0
        self._planned: list[Range] = []
        self._held: list[Range] = []

    # What PyAV calls ------------------------------------------------------------------------------------------

    def read(self, length: int) -> bytes:
        """Up to `length` bytes at the position; never more (PyAV copies the answer without a bound), b"" at the end."""
        if length <= 0 or self._is_held(self._position):
            return b""
        data = self._some_at(self._position, length)
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; beyond the end is allowed, and reads nothing there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = max(0, (self.size_bytes if base is None else base) + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    # What the engine calls ------------------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """Total length; where the server has not said it, the source is read to its end once."""
        if self._size is None:
            self._some_at(0, FIRST_WINDOW_BYTES)
            self._size = self.source.size_bytes
        if self._size is None:
            self._size = self._measure()
        return self._size

    def cost_bytes(self, more_bytes: int) -> int:
        """What reading has cost so far and `more_bytes` will; all of a source that came whole."""
        return self.size_bytes if self.source.is_local else min(self.size_bytes, self._fetched_bytes + more_bytes)

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Bytes `[offset, offset + length)`, shorter only at the end; fetches exactly what is missing."""
        parts = []
        while length > 0:
            part = self._some_at(offset, length, exactly=True)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)

    def plan(self, runs: Sequence[Range]) -> None:
        """Say which runs will be read soon: a miss inside one fetches the rest of it, not a window."""
        self._planned = sorted(runs)
        if not self.source.is_local:
            missing = [(start, end - start) for start, end in self._planned if self._chunk_at(start) is None]
            if missing:
                self.source.prefetch(missing)

    def hold(self, ranges: Sequence[Range]) -> None:
        """Read as empty inside these ranges until `release`: opening then costs no sample data."""
        self._held = list(ranges)

    def release(self) -> None:
        self._held = []

    # How bytes come -------------------------------------------------------------------------------------------

    def _is_held(self, offset: int) -> bool:
        return any(start <= offset < end for start, end in self._held)

    def _some_at(self, offset: int, length: int, *, exactly: bool = False) -> bytes:
        if self.source.is_local:
            return self._fetch(offset, length)
        chunk_start = self._chunk_at(offset)
        if chunk_start is None:
            if self._size is not None and offset >= self._size:
                return b""
            self._load(offset, length if exactly else self._window_at(offset, length))
            chunk_start = self._chunk_at(offset)
            if chunk_start is None:
                return b""
        skip = offset - chunk_start
        return self._chunks[chunk_start][skip : skip + length]

    def _chunk_at(self, offset: int) -> int | None:
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return None
        start = self._starts[at]
        return start if offset < start + len(self._chunks[start]) else None

    def _window_at(self, offset: int, length: int) -> int:
        for start, end in self._planned:
            if start <= offset < end:
                return min(end - offset, LARGEST_PLANNED_READ_BYTES)
        if self._size is not None and self._size <= TAKE_WHOLE_BYTES:
            return self._size - offset
        sequential = offset == self._next_offset and offset > 0
        self._window = min(self._window * 2, LARGEST_WINDOW_BYTES) if sequential else FIRST_WINDOW_BYTES
        return max(self._window, length)

    def _load(self, offset: int, length: int) -> None:
        following = bisect_right(self._starts, offset)
        if following < len(self._starts):
            length = min(length, self._starts[following] - offset)
        if self._size is not None:
            length = min(length, self._size - offset)
        data = self._fetch(offset, length)
        if not data:
            return
        self._starts.insert(following, offset)
        self._chunks[offset] = data
        self._cached_bytes += len(data)
        self._fetched_bytes += len(data)
        self._next_offset = offset + len(data)
        while self._cached_bytes > self._cache_limit and len(self._chunks) > 1:
            oldest = next(iter(self._chunks))
            self._cached_bytes -= len(self._chunks.pop(oldest))
            self._starts.remove(oldest)

    def _fetch(self, offset: int, length: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        try:
            data = self.source.read_at(offset, length)
        except LastFrameError as error:
            self.failure = error
            raise
        if self._size is None:
            self._size = self.source.size_bytes
        return data[:length]

    def _measure(self) -> int:
        """The length of a source that never says it: such a source is spooled whole, so reading on is free."""
        offset = 0
        while chunk := self._fetch(offset, LARGEST_WINDOW_BYTES):
            offset += len(chunk)
        return offset
