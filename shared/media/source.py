"""What a media step reads from: bytes at offsets, wherever they live."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable


@runtime_checkable
class ByteSource(Protocol):
    """Random access to one immutable medium.

    In a job's child process this asks the parent for ranges over a pipe; the parent fetches them over
    HTTP (judged, pinned, bounded, cached). In tests and for downloaded inputs it is a local file.
    """

    label: str
    """The request field that named this medium, e.g. `video_urls[3]`; errors carry it."""

    size_bytes: int | None
    """Total length, or None while the server has not said (then the whole body gets spooled by the first read)."""

    is_local: bool
    """True when a read costs nothing (a file in scratch): then ranges need no planning."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Bytes `[offset, offset + length)`; shorter only at the end of the medium.

        Raises:
            LastFrameError: the source broke, changed, or passed a limit; propagate it unchanged.
        """
        ...

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Hint that these `(offset, length)` runs will be read soon; may be ignored."""
        ...


class FileSource:
    """A `ByteSource` over a local file. The caller closes it."""

    is_local = True

    def __init__(self, path: str | os.PathLike[str], label: str = "source") -> None:
        self.label = label
        self.path = Path(path)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size_bytes: int | None = os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        return None

    def close(self) -> None:
        os.close(self._descriptor)
