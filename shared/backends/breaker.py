"""A circuit breaker: after some failures in a row nobody asks for a while, then one may try."""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 3
OPEN_SECONDS = 2.0


class Breaker:
    """Remembers how the last calls went. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._closed_again_at = 0.0

    def allows(self) -> bool:
        """Whether to call now. While it is open one caller every two seconds may, to find out."""
        if self._failures < FAILURES:
            return True
        if self._clock() < self._closed_again_at:
            return False
        self._closed_again_at = self._clock() + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        self._closed_again_at = self._clock() + OPEN_SECONDS
