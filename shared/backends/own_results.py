"""Results of this suite as sources of further jobs: read from the directory that holds them, without HTTP."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.errors import LimitExceeded, SourceUnavailable
from shared.ports import RemoteSource, SourceLimits, SourceOpener
from shared.urls import OutboundPolicy


class OwnResultsOpener:
    """Opens what lies below the suite's own media URL from `directory`, everything else through `others`.

    An embedded suite serves results on a loopback address, which no source may be on: without this a stitched film
    could not be given to the next job.
    """

    def __init__(self, others: SourceOpener, policy: OutboundPolicy, directory: Path) -> None:
        self._others = others
        self._policy = policy
        self._directory = directory

    async def open(
        self, url: str, *, label: str, limits: SourceLimits, error_word: str, spool_directory: Path
    ) -> RemoteSource:
        name = self._policy.own_result(url)
        if name is None:
            return await self._others.open(
                url, label=label, limits=limits, error_word=error_word, spool_directory=spool_directory
            )
        path = self._directory / name
        if not path.is_file():
            raise SourceUnavailable("There is no such result here (any more)", word=error_word, input_name=label)
        source = OwnResult(path, label)
        if source.length > limits.max_input_bytes:
            await source.close()
            raise LimitExceeded(f"The file is larger than the {limits.max_input_bytes} bytes allowed", input_name=label)
        return source

    async def close(self) -> None:
        await self._others.close()


class OwnResult:
    """One stored result as a source; nothing of it is fetched."""

    is_local = True
    bytes_fetched = 0

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self.length = os.fstat(self._descriptor).st_size
        self.size_bytes: int | None = self.length

    async def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    async def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        return None

    async def download(self, path: Path, on_progress: Callable[[float], None] | None = None) -> int:
        await asyncio.to_thread(shutil.copyfile, self._path, path)
        return self.length

    async def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
