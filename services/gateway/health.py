"""Which of the suite's parts answer, and since when."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.errors import Unavailable

CHECK_SECONDS = 1.0
PERIOD_SECONDS = 2.0


@dataclass(frozen=True)
class Part:
    is_up: bool
    since: datetime


class HealthWatch:
    """Asks every part again and again, so that a change is known when it happens and not when somebody asks.

    Args:
        questions: a part's name → what it answers, with anything false, late or `Unavailable` when it is away.
    """

    def __init__(self, questions: Mapping[str, Callable[[], Awaitable[object]]]) -> None:
        self._questions = questions
        self._parts: dict[str, Part] = {}
        self._looking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS)

    async def look(self) -> Mapping[str, Part]:
        """How the parts are now, within a second; those who ask together share one look."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)
        return self._parts

    async def _look(self) -> None:
        answers = await asyncio.gather(*(_answers(ask()) for ask in self._questions.values()))
        now = datetime.now(UTC)
        for name, is_up in zip(self._questions, answers, strict=True):
            known = self._parts.get(name)
            if known is None or known.is_up != is_up:
                self._parts[name] = Part(is_up, now)


async def _answers(question: Awaitable[object]) -> bool:
    """Whether a backend answers within a second, and with nothing false."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return bool(await question)
    except (TimeoutError, Unavailable):
        return False
