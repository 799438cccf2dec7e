"""Where voice or other programme sound is on.

Levels are K-weighted energies in hops of 10 ms (`LoudnessMeter.hop_energies`). What counts as sound is judged against
what surrounds it, not against the whole film: a whisper after a slamming door is a voice, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.media.audio.loudness import HOPS_PER_SECOND, integrated_lufs

_FLOOR_ON_LUFS, _FLOOR_OFF_LUFS = -66.0, -74.0
"""Nothing quieter counts: a recording's own noise."""
_DEEPEST_LU = 44.0
"""What is further under the programme's loudness is not meant to be heard."""
_NOTHING_LUFS = -75.0
"""Digital silence, and what is as good as that: it is no background."""

_REACH_SECONDS = 3.0  # how far to look, to each side
_LIVELY_LU = 9.0
"""Voices move by more than this between syllables; rooms, hiss, hum and wind move by less in three seconds."""
_OVER_GROUND_LU, _OFF_OVER_GROUND_LU = 6.0, 3.0
_NEAR_CREST_LU, _FAR_CREST_LU = 8.0, 20.0
_HYSTERESIS_LU = 6.0

_STEADY_LUFS, _STEADY_LU = -40.0, 6.0
"""A sound that does not move (a held note, an engine) counts if it is louder than this, and no further than this under
the programme's loudness."""

_SMOOTHING_HOPS, _CREST_SMOOTHING_HOPS = 5, 21
_STEP = 5  # surroundings are measured every 50 ms
_SHORTEST_HOPS, _SHORTEST_QUIET_HOPS = 6, 15  # a click does not call for a duck, nor a footstep far under the voices
_QUIET_LU = 22.0
_PREROLL_HOPS = 2  # an onset has begun before it passes the threshold


def find_activity(hop_energies: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each hop of 10 ms, whether voice or other programme sound is on.

    A gate with hysteresis whose thresholds follow the background (the lowest tenth of the levels, on that side where it
    is higher) and the crest (the loudest, on that side where it is lower).
    """
    count = hop_energies.shape[0]
    programme = integrated_lufs(hop_energies) if count else _FLOOR_ON_LUFS
    if programme <= _FLOOR_ON_LUFS:
        return np.zeros(count, np.bool_)
    levels = _levels(_smoothed(hop_energies, _SMOOTHING_HOPS))
    ground = _everywhere(_ground(levels[::_STEP]), count)
    crest = _everywhere(_crest(_levels(_smoothed(hop_energies, _CREST_SMOOTHING_HOPS))[::_STEP]), count)

    on = np.clip(ground + _OVER_GROUND_LU, crest - _FAR_CREST_LU, crest - _NEAR_CREST_LU)
    off = np.maximum(on - _HYSTERESIS_LU, np.minimum(ground + _OFF_OVER_GROUND_LU, on - 1.0))
    steady = crest - ground < _LIVELY_LU
    on[steady] = max(_STEADY_LUFS, programme - _STEADY_LU)
    off[steady] = on[steady] - _OFF_OVER_GROUND_LU
    deepest = programme - _DEEPEST_LU
    active = _hysteresis(levels, np.maximum(on, max(_FLOOR_ON_LUFS, deepest)), np.maximum(off, _FLOOR_OFF_LUFS))

    for start, end in runs(active):
        is_quiet = levels[start:end].max() < programme - _QUIET_LU
        if end - start < (_SHORTEST_QUIET_HOPS if is_quiet else _SHORTEST_HOPS):
            active[start:end] = False
        else:
            active[max(0, start - _PREROLL_HOPS) : start] = True
    return active


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The (start, end) of each stretch of True."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(changes[::2], changes[1::2], strict=True)]


def _ground(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level under which a tenth of what comes before or after each step lies, whichever is higher (a scene with
    another background begins at once); silence left out."""
    reach = round(_REACH_SECONDS * HOPS_PER_SECOND / _STEP)
    heard = np.where(levels > _NOTHING_LUFS, levels, np.inf)
    found = np.full(levels.shape, _NOTHING_LUFS)
    for before, after in ((reach, 0), (0, reach)):
        around = np.sort(_windows(heard, before, after, np.inf), axis=1)
        tenth = np.isfinite(around).sum(axis=1) // 10
        side = np.take_along_axis(around, tenth[:, None], axis=1)[:, 0]
        found = np.maximum(found, np.where(np.isfinite(side), side, _NOTHING_LUFS))
    return found


def _crest(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loudest level before or after each step, whichever is lower."""
    reach = round(_REACH_SECONDS * HOPS_PER_SECOND / _STEP)
    before = _windows(levels, reach, 0, -np.inf).max(axis=1)
    after = _windows(levels, 0, reach, -np.inf).max(axis=1)
    return np.asarray(np.minimum(before, after))


def _windows(values: NDArray[np.float64], before: int, after: int, outside: float) -> NDArray[np.float64]:
    """For each value, itself with so many of its neighbours."""
    padded = np.pad(values, (before, after), constant_values=outside)
    return np.lib.stride_tricks.sliding_window_view(padded, before + after + 1)


def _everywhere(steps: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.repeat(steps, _STEP)[:count]


def _hysteresis(levels: NDArray[np.float64], on: NDArray[np.float64], off: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True from where `levels` passes `on` until it falls under `off`."""
    state = np.where(levels >= on, 1, np.where(levels < off, -1, 0))
    last_decided = np.maximum.accumulate(np.where(state != 0, np.arange(state.size), -1))
    return np.asarray((last_decided >= 0) & (state[last_decided] == 1))


def _smoothed(energies: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    total = np.concatenate(([0.0], np.cumsum(energies)))
    starts = np.clip(np.arange(energies.size) - width // 2, 0, None)
    ends = np.clip(np.arange(energies.size) + width // 2 + 1, None, energies.size)
    return np.asarray((total[ends] - total[starts]) / (ends - starts))


def _levels(energies: NDArray[np.float64]) -> NDArray[np.float64]:
    """LUFS of K-weighted energies."""
    return np.asarray(-0.691 + 10.0 * np.log10(np.maximum(energies, 1e-20)))
