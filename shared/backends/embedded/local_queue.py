"""The queue of one machine: there is none. The task store is searched, and a doorbell says when.

Hints carry no id ("look into the store"), so nothing can be lost with them; a retry's delay is the store's
`not_before`, and the delayed ring only saves the wait for the next half second.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from shared.backends.embedded.doorbell import Doorbell
from shared.backends.looks import Slots
from shared.ports import DeadLetter, Hint
from shared.tasks import Pool, TaskKind


class LocalQueue:
    """`JobQueue` for all processes that share a directory."""

    def __init__(self, directory: Path) -> None:
        self._doorbell = Doorbell(directory)
        self._dead_letters = directory / "dead-letters.jsonl"
        self._timers: set[asyncio.TimerHandle] = set()

    async def open(self) -> None:
        self._doorbell.open()

    async def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._doorbell.close()

    async def publish(self, kind: TaskKind, task_id: str, *, delay_seconds: float = 0.0, pool: Pool = "cpu") -> None:
        if delay_seconds <= 0:
            self._doorbell.ring(kind.value.encode())
            return
        self._timers = {timer for timer in self._timers if not timer.cancelled() and timer.when() > _loop_time()}
        self._timers.add(asyncio.get_running_loop().call_later(delay_seconds, self._doorbell.ring, kind.value.encode()))

    async def hints(self, kinds: Collection[TaskKind], slots: int) -> AsyncIterator[Hint]:
        wanted = {kind.value.encode() for kind in kinds}
        places = Slots(slots)
        name = self._doorbell.listen(lambda word: places.look.set() if word in wanted else None)
        try:
            while True:
                await places.free.wait()
                async for hint in places.round():
                    yield hint
                await places.ring_or_tick()
        finally:
            self._doorbell.silence(name)

    async def bury(self, kind: TaskKind, task_id: str, reason: str) -> None:
        line = json.dumps({"task_id": task_id, "kind": kind.value, "reason": reason})
        try:
            with self._dead_letters.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            return  # the failed task itself is in the store

    async def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        return [_letter(line) for line in self._lines()[:limit]]

    async def take_dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        lines = self._lines()
        rest = self._dead_letters.with_suffix(".rest")
        rest.write_text("".join(line + "\n" for line in lines[limit:]), encoding="utf-8")
        rest.replace(self._dead_letters)
        return [_letter(line) for line in lines[:limit]]

    async def is_up(self) -> bool:
        return True

    def _lines(self) -> list[str]:
        try:
            return self._dead_letters.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []


def _letter(line: str) -> DeadLetter:
    fields = json.loads(line)
    return DeadLetter(fields["task_id"], TaskKind(fields["kind"]), fields["reason"])


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
