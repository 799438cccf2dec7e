"""Hints without an id: when a worker should look into the store itself, and how often.

Used by the embedded queue always, and by a broker's queue while the broker is away.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from shared.ports import Hint

TICK_SECONDS = 0.5


class Slots:
    """Counts hints in flight; each holds one slot until it is answered.

    `free` is set while there is room, `look` when the store may hold something new.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._taken = 0
        self._store_was_empty = False
        self.free = asyncio.Event()
        self.free.set()
        self.look = asyncio.Event()

    def take(self) -> Callable[[], bool]:
        """Takes a slot; returns the function that gives it back, which says whether it was the first to do so."""
        self._taken += 1
        self._update()
        answered = False

        def give() -> bool:
            nonlocal answered
            if answered:
                return False
            answered = True
            self._taken -= 1
            self._update()
            return True

        return give

    def look_hint(self) -> Hint:
        """A hint without an id, on a slot of its own."""
        give = self.take()
        loop = asyncio.get_running_loop()

        def done() -> None:
            if give():
                self.look.set()

        def later(delay_seconds: float) -> None:
            self._store_was_empty = True
            if give() and delay_seconds > 0:
                loop.call_later(delay_seconds, self.look.set)

        return Hint(None, done, later)

    async def round(self) -> AsyncIterator[Hint]:
        """Hints, one a free slot; ends early when the store had nothing."""
        self._store_was_empty = False
        for _ in range(self._slots - self._taken):
            yield self.look_hint()
            if self._store_was_empty or self._taken >= self._slots:
                break

    async def ring_or_tick(self) -> None:
        """Until `look` is set (then cleared), at most half a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TICK_SECONDS):
                await self.look.wait()
        self.look.clear()

    def _update(self) -> None:
        if self._taken < self._slots:
            self.free.set()
        else:
            self.free.clear()
