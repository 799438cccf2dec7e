"""Rate limits by the generic cell rate algorithm (ITU-T I.371): one number per bucket, no timers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_BUCKETS = 10_000  # the least recently used is forgotten first: it is the nearest to full again


class LocalBuckets:
    """Buckets of this process. `clock` counts seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    def take(self, bucket: str, rate_per_second: float, burst: int) -> float:
        """0 when one more is allowed now, else the seconds until it will be."""
        now = self._clock()
        interval = 1.0 / rate_per_second
        arrival = max(self._arrivals.get(bucket, now), now)
        wait = arrival - now - interval * (max(burst, 1) - 1)
        if wait > 1e-9:
            return wait
        self._arrivals[bucket] = arrival + interval
        self._arrivals.move_to_end(bucket)
        if len(self._arrivals) > MAX_BUCKETS:
            self._arrivals.popitem(last=False)
        return 0.0
