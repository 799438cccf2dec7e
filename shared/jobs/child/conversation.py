"""The parent's half of one run: answers a child's reads, forwards its progress, ends with its result or its error."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Sequence
from typing import Any, NoReturn

from shared.errors import LastFrameError
from shared.jobs.child import faults, wire
from shared.jobs.child.server import Child
from shared.jobs.child.sources import LocalSource, RangedSource, Source
from shared.jobs.child.wire import Frame, ProtocolViolation
from shared.media.step import Progress

_PHASE = re.compile(r"[ -~]{1,64}")
_PROGRESS_BURST, _PROGRESS_PER_SECOND = 50, 20
"""A child that reports faster has to wait: nothing of its is read meanwhile."""
_MAX_PREFETCHES_AT_ONCE = 16
_MAX_FAULTS = 1000
_MAX_OFFSET = 1 << 62

logger = logging.getLogger(__name__)


class Conversation:
    """Trusts nothing that it reads: sources by number, ranges within bounds, no faster than is fair."""

    def __init__(self, child: Child, sources: Sequence[Source], progress: Progress, name: str) -> None:
        self._connection = child.connection
        self._sources = sources
        self._progress = progress
        self._name = name
        self._faults: list[Exception] = []
        self._prefetches: set[asyncio.Task[None]] = set()
        self._reports = 0
        self._started_seconds = time.monotonic()

    async def until_result(self) -> bytes:
        """The result's JSON.

        Raises:
            LastFrameError: what the step raised; a source's fault is the very exception that the source raised.
            ProtocolViolation, ConnectionLost: the child is not to be listened to any more, or is dead.
        """
        try:
            while True:
                # A child that never lets the socket run dry must not starve the loop; and prefetches start here.
                await asyncio.sleep(0)
                frame = await wire.receive(self._connection)
                match frame.header:
                    case {"read": [int(index), int(offset), int(length)]}:
                        await self._read(index, offset, length)
                    case {"prefetch": [int(index), list(ranges)]}:
                        self._prefetch(index, ranges)
                    case {"progress": [str(phase), int() | float() as fraction]}:
                        await self._report(phase, fraction)
                    case {"result": True}:
                        return frame.payload
                    case {"error": _}:
                        self._fail(frame)
                    case _:
                        raise ProtocolViolation("an unknown message")
        finally:
            for task in self._prefetches:
                task.cancel()
            await asyncio.gather(*self._prefetches, return_exceptions=True)

    def _remote(self, index: int) -> RangedSource:
        source = self._sources[index] if 0 <= index < len(self._sources) else None
        if source is None or isinstance(source, LocalSource):
            raise ProtocolViolation("no such source")
        return source

    async def _read(self, index: int, offset: int, length: int) -> None:
        source = self._remote(index)
        if not 0 <= offset < _MAX_OFFSET or not 0 < length <= wire.MAX_READ_BYTES:
            raise ProtocolViolation("a read out of bounds")
        try:
            data = await source.read_at(offset, length)
        except Exception as error:
            reply = wire.encode(self._remember(error))
        else:
            reply = wire.encode({"data": describe(source)}, data[:length])
        await wire.send(self._connection, reply)

    def _remember(self, error: Exception) -> dict[str, Any]:
        if len(self._faults) >= _MAX_FAULTS:
            raise ProtocolViolation("reads on after a thousand faults")
        self._faults.append(error)
        known = error if isinstance(error, LastFrameError) else LastFrameError("the source could not be read")
        return {"fault": faults.to_wire(known), "number": len(self._faults) - 1}

    def _prefetch(self, index: int, ranges: list[object]) -> None:
        source = self._remote(index)
        wanted: list[tuple[int, int]] = []
        for one in ranges:
            match one:
                case [int(offset), int(length)] if 0 <= offset < _MAX_OFFSET and 0 < length < _MAX_OFFSET:
                    wanted.append((offset, length))
                case _:
                    raise ProtocolViolation("a prefetch out of bounds")
        if len(self._prefetches) < _MAX_PREFETCHES_AT_ONCE:
            task = asyncio.create_task(self._prefetch_quietly(source, wanted))
            self._prefetches.add(task)
            task.add_done_callback(self._prefetches.discard)

    async def _prefetch_quietly(self, source: RangedSource, ranges: list[tuple[int, int]]) -> None:
        try:
            await source.prefetch(ranges)
        except Exception as error:  # the read that needs these bytes will meet the same fault, and name it
            logger.debug("prefetch of %s failed: %s", source.label, error)

    async def _report(self, phase: str, fraction: float) -> None:
        if not _PHASE.fullmatch(phase) or not math.isfinite(fraction):
            raise ProtocolViolation("nonsense for progress")
        self._reports += 1
        elapsed_seconds = time.monotonic() - self._started_seconds
        if self._reports > _PROGRESS_BURST + _PROGRESS_PER_SECOND * elapsed_seconds:
            await asyncio.sleep(1 / _PROGRESS_PER_SECOND)
        self._progress(phase, min(max(float(fraction), 0.0), 1.0))

    def _fail(self, frame: Frame) -> NoReturn:
        log, number = frame.header.get("log"), frame.header.get("source_fault")
        logger.info("media step %s failed\n%s", self._name, log if isinstance(log, str) else "")
        if isinstance(number, int) and 0 <= number < len(self._faults):
            raise self._faults[number]
        raise faults.from_child(frame.header["error"])


def describe(source: Source) -> dict[str, Any]:
    """What a child is told of a source."""
    if isinstance(source, LocalSource):
        return {"path": str(source.path.absolute()), "label": source.label}
    return {
        "label": source.label,
        "size_bytes": source.size_bytes,
        "is_local": bool(getattr(source, "is_local", False)),
    }
