"""A day of one pool of workers and its autoscaler, simulated.

Arrivals are a Poisson process whose rate follows a day (a sine between trough and peak, `PEAK_OVER_MEAN`), with one
burst on top at the busiest hour. A job is of a kind of the mix and takes its slot-seconds, varied as the lengths
of media are (lognormal). The autoscaler is KEDA's as deployed (deploy/k8s/components/keda): every 10 s it wants
ceil((waiting + running) / slots of a pod), grows by 100 % or 4 pods in 30 s, whichever is more, shrinks by 20 % a
minute once five minutes agreed; a new pod works after `POD_START_SECONDS`, or after a node's start when the nodes at
hand are full. A pod that is told to go finishes its jobs. Every job is followed: first in, first out, each on the slot
that is free first. Everything is seeded: the figures repeat.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

import numpy as np

DAY_SECONDS = 86_400
LARGEST_POOL = 1_000_000
"""Jobs a day; what is larger is simulated as several of these."""
PEAK_OVER_MEAN = 3.0
"""What services for people see between their night and their evening."""
BURST_FACTOR, BURST_SECONDS = 2.0, 600
SERVICE_SIGMA = 0.7
"""Of the logarithm, within a kind: p99 is four times the mean."""

POLL_SECONDS, GROW_SECONDS, GROW_PODS = 10.0, 30.0, 4
SHRINK_SHARE, SHRINK_SECONDS, AGREE_SECONDS = 0.2, 60.0, 300.0
POD_START_SECONDS, NODE_START_SECONDS = 20.0, 120.0
PODS_OF_A_NODE = 7  # 16 cores, two of them for a pod


@dataclass(frozen=True)
class Mix:
    """Kinds of work with their shares; `takes` are slot-seconds."""

    shares: np.ndarray
    takes: np.ndarray
    cpu_seconds: float
    in_bytes: float
    out_bytes: float

    @property
    def slot_seconds(self) -> float:
        return float(self.shares @ self.takes)

    def draw(self, count: int, random: np.random.Generator) -> np.ndarray:
        """Slot-seconds of so many jobs."""
        kinds = random.choice(len(self.shares), count, p=self.shares)
        return self.takes[kinds] * random.lognormal(-(SERVICE_SIGMA**2) / 2, SERVICE_SIGMA, count)


@dataclass(frozen=True)
class Result:
    """One simulated day of one pool."""

    peak_per_second: float
    peak_pods: int
    mean_pods: float
    busy_share: float
    wait_p50_seconds: float
    wait_p99_seconds: float
    worst_wait_seconds: float


def arrivals(jobs_a_day: int, random: np.random.Generator) -> np.ndarray:
    """The moments of a day's jobs, in seconds, sorted. The rate never falls below a twentieth of its usual peak."""
    minutes = np.arange(0, DAY_SECONDS, 60)
    shape = np.maximum(0.05, ((1 - np.cos(2 * math.pi * minutes / DAY_SECONDS)) / 2) ** _exponent(PEAK_OVER_MEAN))
    noon = DAY_SECONDS / 2
    shape = np.where((minutes >= noon) & (minutes < noon + BURST_SECONDS), shape * BURST_FACTOR, shape)
    counts = random.poisson(shape / shape.sum() * jobs_a_day)
    return np.sort(np.repeat(minutes, counts) + random.uniform(0, 60, counts.sum()))


def _exponent(peak_over_mean: float) -> float:
    """The power of a raised cosine whose peak is so many times its mean."""
    grid = 1 - np.cos(np.linspace(0, 2 * math.pi, 2000, endpoint=False))
    low, high = 0.5, 30.0
    for _ in range(40):
        middle = (low + high) / 2
        shape = grid**middle
        low, high = (middle, high) if shape.max() / shape.mean() < peak_over_mean else (low, middle)
    return low


class Pool:
    """Pods of `slots` each, grown and shrunk as KEDA and the HPA would. `free_at` is a heap: when each slot is free."""

    def __init__(self, slots: int, minimum: int, maximum: int) -> None:
        self.slots, self.minimum, self.maximum = slots, minimum, maximum
        self.free_at = [0.0] * (minimum * slots)
        self._ready = minimum
        self._room = max(PODS_OF_A_NODE, minimum)  # pods that fit on the nodes that are there
        self._starting: list[tuple[float, int]] = []
        self._wanted: deque[tuple[float, int]] = deque()
        self._grown = self._shrunk = -math.inf

    @property
    def pods(self) -> int:
        return self._ready + sum(count for _, count in self._starting)

    def poll(self, now: float, waiting: int) -> None:
        """`waiting` and the running jobs are what the broker reports."""
        for start in [start for start in self._starting if start[0] <= now]:
            self._starting.remove(start)
            self._ready += start[1]
            for _ in range(start[1] * self.slots):
                heapq.heappush(self.free_at, start[0])
        jobs = waiting + sum(moment > now for moment in self.free_at)
        wanted = min(self.maximum, max(self.minimum, math.ceil(jobs / self.slots)))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] < now - AGREE_SECONDS:
            self._wanted.popleft()
        if wanted > self.pods and now - self._grown >= GROW_SECONDS:
            self._grown = now
            self._grow(now, min(wanted, self.pods + max(self.pods, GROW_PODS)))
        highest = max(count for _, count in self._wanted)
        if highest < self._ready and now - self._shrunk >= SHRINK_SECONDS:
            self._shrunk = now
            self._shrink(min(self._ready - highest, max(1, math.floor(self._ready * SHRINK_SHARE))))

    def _grow(self, now: float, to: int) -> None:
        fits = max(0, min(to, self._room) - self.pods)
        beyond = to - self.pods - fits
        self._starting.append((now + POD_START_SECONDS, fits))
        self._starting.append((now + NODE_START_SECONDS + POD_START_SECONDS, beyond))
        self._room = max(self._room, math.ceil(to / PODS_OF_A_NODE) * PODS_OF_A_NODE)

    def _shrink(self, by: int) -> None:
        self._ready -= by
        for _ in range(by * self.slots):
            heapq.heappop(self.free_at)  # idle ones first; a busy one finishes its job and takes no other
        self._room = max(PODS_OF_A_NODE, math.ceil(self.pods / PODS_OF_A_NODE) * PODS_OF_A_NODE)


def simulate(jobs_a_day: int, mix: Mix, *, slots: int = 2, minimum: int = 1, maximum: int, seed: int = 1) -> Result:
    """One day of one pool of `minimum` to `maximum` pods."""
    random = np.random.default_rng(seed)
    scale = max(1, math.ceil(jobs_a_day / LARGEST_POOL))
    came = arrivals(jobs_a_day // scale, random)
    takes = mix.draw(len(came), random)
    pool = Pool(slots, minimum, max(minimum, math.ceil(maximum / scale)))
    waits = np.zeros(len(came))
    pods: list[int] = []
    following = 0  # the job that starts next
    for now in np.arange(0, DAY_SECONDS, POLL_SECONDS):
        pool.poll(now, int(np.searchsorted(came, now)) - following)
        pods.append(pool.pods)
        until = now + POLL_SECONDS
        while following < len(came):
            start = max(came[following], pool.free_at[0], now)
            if start >= until:
                break
            heapq.heapreplace(pool.free_at, start + takes[following])
            waits[following] = start - came[following]
            following += 1
    waits = waits[:following]
    per_minute = np.histogram(came, bins=DAY_SECONDS // 60)[0]
    paid = np.mean(pods) * slots * DAY_SECONDS
    return Result(
        per_minute.max() / 60 * scale,
        max(pods) * scale,
        float(np.mean(pods)) * scale,
        float(takes[:following].sum()) / paid,
        *(float(found) for found in (np.quantile(waits, 0.5), np.quantile(waits, 0.99), waits.max())),
    )
