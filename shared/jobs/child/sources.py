"""Sources on both sides of the pipe: what the parent offers, and the `ByteSource` that a step sees of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from shared.errors import LastFrameError
from shared.jobs.child import faults
from shared.jobs.child.wire import MAX_READ_BYTES, ChildConnection

MAX_PREFETCH_RANGES = 4000
"""In one hint; more would not fit a header."""


@dataclass(frozen=True)
class LocalSource:
    """A source that lies on this machine already. The child opens it before it is confined."""

    path: Path
    label: str = "source"


@runtime_checkable
class RangedSource(Protocol):
    """What a child needs of `shared.ports.RemoteSource`, which the parent reads on its behalf.

    An attribute `is_local` (a body that was spooled), where there is one, is passed on.
    """

    @property
    def label(self) -> str: ...

    @property
    def size_bytes(self) -> int | None: ...

    async def read_at(self, offset: int, length: int) -> bytes: ...

    async def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None: ...


Source = LocalSource | RangedSource


class SourceFault(Exception):
    """Marks, as the cause of a re-raised error, which of the parent's own exceptions it stands for."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class PipeSource:
    """A `ByteSource` whose bytes the parent fetches. Threads may share it."""

    def __init__(
        self, connection: ChildConnection, asking: threading.Lock, index: int, description: dict[str, Any]
    ) -> None:
        self.label: str = description["label"]
        self.size_bytes: int | None = description["size_bytes"]
        self.is_local: bool = description["is_local"]
        self._connection = connection
        self._asking = asking
        self._index = index

    def read_at(self, offset: int, length: int) -> bytes:
        """See `ByteSource.read_at`.

        Raises:
            LastFrameError: what the parent met, as the same class and word.
        """
        if length > MAX_READ_BYTES and not self.is_local:
            self.prefetch([(offset, length)])  # so that the parent fetches in one piece what is asked for in several
        parts: list[bytes] = []
        while length > 0:
            wanted = min(length, MAX_READ_BYTES)
            part = self._read(offset, wanted)
            parts.append(part)
            if len(part) < wanted:
                break
            offset, length = offset + wanted, length - wanted
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._connection.send({"prefetch": [self._index, ranges[:MAX_PREFETCH_RANGES]]})

    def _read(self, offset: int, length: int) -> bytes:
        with self._asking:
            self._connection.send({"read": [self._index, offset, length]})
            header, payload = self._connection.receive()
        if "fault" in header:
            error: LastFrameError = faults.from_parent(header["fault"])
            raise error from SourceFault(header["number"])
        self.size_bytes, self.is_local = header["data"]["size_bytes"], header["data"]["is_local"]
        return payload


def find_source_fault(error: BaseException) -> int | None:
    """The number of the parent's exception that lies at the root of `error`, if one does."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        if isinstance(current, SourceFault):
            return current.number
        seen.add(id(current))
        current = current.__cause__ or current.__context__
    return None
