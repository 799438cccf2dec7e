"""When the music ducks, and along which curve.

Levels are K-weighted energies in hops of 10 ms (`LoudnessMeter.hop_energies`), so the same numbers give the
programme's loudness and tell where in it something sounds.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.media.audio.loudness import HOPS_PER_SECOND, integrated_lufs

_ON_LU = 14.0
_OFF_LU = 22.0
"""Sound counts from 14 LU under the programme's loudness, and until 22 LU under it: relative, so that a voice is
found at any level. (EBU Tech 3342 takes 20 LU under for the lower edge of what belongs to a programme.)"""
_FLOOR_LUFS = -62.0
"""Nothing quieter counts: a recording's own noise."""
_QUIET_LUFS = -40.0
_STEADY_LU = 4.0
"""A programme that is quiet and never moves by more is a room or a hiss, not a programme."""
_NOISE_STEP_LU = 6.0
_SMOOTHING_HOPS = 5
_SHORTEST_HOPS = 6  # a click of under 60 ms does not call for a duck
_PREROLL_HOPS = 2  # an onset has begun before it passes the threshold


def find_activity(hop_energies: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each hop of 10 ms, whether voice or other programme sound is on.

    A gate with hysteresis whose thresholds hang on the programme's integrated loudness, and in a noisy recording on
    its noise. Digital silence, hum and hiss alone do not open it.
    """
    count = hop_energies.shape[0]
    nothing = np.zeros(count, np.bool_)
    programme = integrated_lufs(hop_energies)
    if count == 0 or programme <= _FLOOR_LUFS:
        return nothing
    noise, loud = _spread(hop_energies)
    if programme < _QUIET_LUFS and loud - noise < _STEADY_LU:
        return nothing
    on, off = programme - _ON_LU, programme - _OFF_LU
    if loud - noise > 2 * _NOISE_STEP_LU:  # there are pauses: what is heard in them is noise
        on = max(on, min(noise + _NOISE_STEP_LU, programme - _NOISE_STEP_LU))
        off = max(off, min(noise + _NOISE_STEP_LU / 2, on - _NOISE_STEP_LU / 2))
    levels = _levels(_smoothed(hop_energies, _SMOOTHING_HOPS))
    active = _hysteresis(levels, max(on, _FLOOR_LUFS), max(off, _FLOOR_LUFS))
    for start, end in _runs(active):
        if end - start < _SHORTEST_HOPS:
            active[start:end] = False
        else:
            active[max(0, start - _PREROLL_HOPS) : start] = True
    return active


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
    runs = _runs(active)
    for (_, end), (start, _) in itertools.pairwise(runs):
        pause = start - end
        if pause <= hold + release + attack:
            down[end:start] = True
    for _, end in _runs(down):
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


def _hysteresis(levels: NDArray[np.float64], on: float, off: float) -> NDArray[np.bool_]:
    """True from where `levels` passes `on` until it falls under `off`."""
    state = np.where(levels >= on, 1, np.where(levels < off, -1, 0))
    last_decided = np.maximum.accumulate(np.where(state != 0, np.arange(state.size), -1))
    return np.asarray((last_decided >= 0) & (state[last_decided] == 1))


def _spread(hop_energies: NDArray[np.float64]) -> tuple[float, float]:
    """The levels under which 10 % and 90 % of the programme's 100 ms stretches lie, digital silence left out."""
    step = HOPS_PER_SECOND // 10
    whole = hop_energies.shape[0] // step * step
    means = hop_energies[:whole].reshape(-1, step).mean(axis=1) if whole else hop_energies.mean(keepdims=True)
    levels = _levels(means[means > 1e-11])
    if not levels.size:
        return 0.0, 0.0
    low, high = np.percentile(levels, (10, 90))
    return float(low), float(high)


def _smoothed(energies: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    total = np.concatenate(([0.0], np.cumsum(energies)))
    starts = np.clip(np.arange(energies.size) - width // 2, 0, None)
    ends = np.clip(np.arange(energies.size) + width // 2 + 1, None, energies.size)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))


def _levels(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """LUFS of K-weighted energies."""
    return np.asarray(-0.691 + 10.0 * np.log10(np.maximum(energies, 1e-20)))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The (start, end) of each stretch of True."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(changes[::2], changes[1::2], strict=True)]
