"""What one key may ask of the suite: calls a second, calls that last, and tasks that are not finished."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from shared.errors import Overloaded
from shared.rpc.call import Call
from shared.tasks import Submission, Task

RECOUNT_SECONDS = 1.0
TASKS_RETRY_SECONDS = 5.0
PLACES_RETRY_SECONDS = 5.0

Take = Callable[[str, float, int], Awaitable[float]]
Unfinished = Callable[[str | None], Awaitable[int]]
Accept = Callable[[Submission], Awaitable[Task]]


class RateLimit:
    """The interceptor's `admit`: calls of one key, over all methods that need one. A rate of 0 admits everything.

    Args:
        take: `LiveState.take`, shared by all processes when the live state is.
    """

    def __init__(self, take: Take, rate_per_second: float, burst: int) -> None:
        self._take = take
        self._rate_per_second = rate_per_second
        self._burst = burst

    async def __call__(self, method: str, call: Call) -> None:
        """Raises `Overloaded` with the seconds to wait."""
        if call.caller is None or self._rate_per_second <= 0:
            return
        wait = await self._take(f"calls:{call.caller.name}", self._rate_per_second, self._burst)
        if wait > 0:
            raise Overloaded(
                f"This key may make {self._rate_per_second:g} calls a second; come back in {wait:.3g} s",
                retry_after_seconds=wait,
            )


class Places:
    """Room for calls that last, in this process: the rate of calls does not bound how many of them there are at once.

    Args:
        what: the calls, for the client: `uploads`.
        of_one_key: 0 for no limit.
        of_all: of all keys together; 0 for no limit.
    """

    def __init__(self, what: str, *, of_one_key: int, of_all: int = 0) -> None:
        self._what = what
        self._of_one_key = of_one_key
        self._of_all = of_all
        self._held: Counter[str] = Counter()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """A place until the end of the block. Raises `Overloaded`."""
        if self._of_one_key and self._held[key] >= self._of_one_key:
            self._refuse(f"This key has {self._of_one_key} {self._what} under way, the most that are allowed at once")
        if self._of_all and self._held.total() >= self._of_all:
            self._refuse(f"There are {self._of_all} {self._what} under way, the most that are taken at once")
        self._held[key] += 1
        try:
            yield
        finally:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]

    def _refuse(self, detail: str) -> None:
        raise Overloaded(detail, retry_after_seconds=PLACES_RETRY_SECONDS)


class _Owner:
    """What is known of one key.

    Attributes:
        room: submits that surely fit before the store has to be asked again.
        counted_at: when it was asked, on the monotonic clock.
        begun, underway: submits that were let through; those of them that may not be in the store yet.
    """

    def __init__(self) -> None:
        self.room = 0
        self.counted_at = -RECOUNT_SECONDS
        self.begun = 0
        self.underway = 0
        self.counting = asyncio.Lock()

    @property
    def is_known(self) -> bool:
        return self.room > 0 and time.monotonic() - self.counted_at < RECOUNT_SECONDS


class TaskLimit:
    """Submits within a limit of unfinished tasks per key.

    The store is asked at most about once a second and key while there is room: the room it reported can only shrink by
    this process's own submits, which are counted here, and by other processes'. One process never passes the limit;
    several may together, by what they take in during one second.

    Args:
        most: pending and processing tasks of one key; 0 for no limit, which costs nothing.
        unfinished: `TaskStore.unfinished`.
        accept: carries the submission out.
    """

    def __init__(self, most: int, unfinished: Unfinished, accept: Accept) -> None:
        self._most = most
        self._unfinished = unfinished
        self._accept = accept
        self._owners: dict[str, _Owner] = {}

    async def __call__(self, submission: Submission) -> Task:
        """Raises `Overloaded("too_many_tasks")`, and what `accept` raises."""
        if self._most <= 0:
            return await self._accept(submission)
        owner = self._owners.setdefault(submission.owner, _Owner())
        if not owner.is_known:
            async with owner.counting:
                if not owner.is_known:  # somebody else may have asked while this one waited
                    await self._count(submission.owner, owner)
        if owner.room <= 0:
            raise Overloaded(
                f"This key has {self._most} unfinished tasks, the most that are allowed; wait for some to end",
                word="too_many_tasks",
                retry_after_seconds=TASKS_RETRY_SECONDS,
            )
        owner.room -= 1
        owner.begun += 1
        owner.underway += 1
        try:
            return await self._accept(submission)
        finally:
            owner.underway -= 1

    async def _count(self, name: str, owner: _Owner) -> None:
        """What was underway may be in the store's count or not, so it is subtracted: the error is on the safe side."""
        unsure, begun, owner.counted_at = owner.underway, owner.begun, time.monotonic()
        unfinished = await self._unfinished(name)
        owner.room = self._most - unfinished - unsure - (owner.begun - begun)
