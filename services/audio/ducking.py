"""The curve along which the music ducks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.audio.activity import runs
from shared.media.audio.loudness import HOPS_PER_SECOND


@dataclass(frozen=True)
class DuckCurve:
    """The music's gain over time: straight lines in dB between the edges of hops of 10 ms.

    Attributes:
        edges_db: gain in dB (0 or less) at each hop's start, and at the last one's end.
        duck_db: the depth, dB.
    """

    edges_db: NDArray[np.float64]
    duck_db: float

    @property
    def ducked_seconds(self) -> float:
        """How long the music is all the way down."""
        down = self.edges_db <= -self.duck_db + 1e-6
        return float(np.count_nonzero(down[:-1] & down[1:])) / HOPS_PER_SECOND if self.duck_db > 0 else 0.0

    def gains_db(self, first_sample: int, samples: int, sample_rate: int) -> NDArray[np.float64] | float:
        """Gain in dB of each of `samples` samples from `first_sample` on; one number where it does not move."""
        start = first_sample * HOPS_PER_SECOND / sample_rate
        end = (first_sample + samples) * HOPS_PER_SECOND / sample_rate
        around = self.edges_db[int(start) : int(end) + 2]
        if around.size == 0:
            return float(self.edges_db[-1]) if self.edges_db.size else 0.0
        if np.ptp(around) == 0.0:
            return float(around[0])
        places = start + np.arange(samples) * (HOPS_PER_SECOND / sample_rate)
        return np.asarray(np.interp(places, np.arange(self.edges_db.size), self.edges_db))


def duck_curve(
    active: NDArray[np.bool_],
    duck_db: float,
    *,
    attack_seconds: float,
    release_seconds: float,
    hold_seconds: float,
) -> DuckCurve:
    """The gain that is all the way down while there is activity.

    The fall takes `attack_seconds` and ends where activity begins (we know the future); the rise takes
    `release_seconds` and begins `hold_seconds` after activity ends. A pause that is too short for the music to come
    all the way up and down again is held: it would only pump.
    """
    attack, release, hold = (seconds * HOPS_PER_SECOND for seconds in (attack_seconds, release_seconds, hold_seconds))
    down = active.copy()
    sounding = runs(active)
    for (_, end), (start, _) in itertools.pairwise(sounding):
        pause = start - end
        if pause <= hold + release + attack:
            down[end:start] = True
    for _, end in runs(down):
        down[end : end + round(hold)] = True
    edges = np.zeros(active.shape[0] + 1)
    edges[:-1][down] = -duck_db
    edges[1:][down] = -duck_db
    # The lower envelope of one ramp per edge: running minima on tilted axes, forwards for the release …
    places = np.arange(edges.shape[0])
    if release > 0:
        tilt = duck_db / release * places
        edges = np.minimum.accumulate(edges - tilt) + tilt
    if attack > 0:  # … and backwards for the attack
        tilt = duck_db / attack * places
        edges = np.minimum.accumulate((edges + tilt)[::-1])[::-1] - tilt
    edges = np.clip(edges, -duck_db, 0.0)
    edges[np.abs(edges) < 1e-9] = 0.0
    edges[np.abs(edges + duck_db) < 1e-9] = -duck_db
    return DuckCurve(edges, duck_db)
