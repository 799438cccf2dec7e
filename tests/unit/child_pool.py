"""What the tests of the child share: a started pool, a shortcut to run a step, and a remote source of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.jobs.child import ChildPool
from shared.jobs.sandbox import probe_sandbox

STEPS = "tests.unit.child_steps"

needs_sandbox = pytest.mark.skipif(
    not probe_sandbox().complete, reason=f"this kernel lacks {probe_sandbox().missing}, so nothing can be confined"
)


@asynccontextmanager
async def started_pool(**options: Any) -> AsyncIterator[ChildPool]:
    options = {"preload": [STEPS], "warm": 1, "sandbox": "best-effort"} | options
    pool = ChildPool(**options)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


class BytesSource:
    """A remote source as the pool sees one; raises `fault` at and beyond `fault_offset`."""

    def __init__(
        self, body: bytes, label: str = "video_urls[0]", *, fault: Exception | None = None, fault_offset: int = 0
    ) -> None:
        self.body = body
        self.label = label
        self.size_bytes: int | None = len(body)
        self.prefetched: list[tuple[int, int]] = []
        self.reads: list[tuple[int, int]] = []
        self._fault, self._fault_offset = fault, fault_offset

    async def read_at(self, offset: int, length: int) -> bytes:
        await asyncio.sleep(0)
        self.reads.append((offset, length))
        if self._fault is not None and offset + length > self._fault_offset:
            raise self._fault
        return self.body[offset : offset + length]

    async def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        self.prefetched += [(offset, length) for offset, length in ranges]


class Runner:
    """`await run(step, argument=…)` in a scratch directory of the test's."""

    def __init__(self, pool: ChildPool, scratch: Path) -> None:
        self.pool, self.scratch = pool, scratch
        self.reports: list[tuple[str, float]] = []

    async def __call__(self, step: Callable[..., Any], *, deadline_seconds: float = 20.0, **arguments: Any) -> Any:
        return await self.pool.run(
            step,
            arguments=arguments,
            scratch=self.scratch,
            deadline_seconds=deadline_seconds,
            on_progress=lambda phase, fraction: self.reports.append((phase, fraction)),
        )
