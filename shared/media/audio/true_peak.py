"""True peaks: what the waveform reaches between its samples (ITU-R BS.1770-4, annex 2: four times oversampled)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shared.media.audio import Block

MARGIN_SAMPLES = 12
"""How far a true peak looks to each side."""

_TAPS = 2 * MARGIN_SAMPLES
# No interpolated value exceeds the samples around it by more than the sum of the filter's magnitudes (2.34).
_MOST_OVERSHOOT = 2.4


def _interpolators() -> NDArray[np.float32]:
    """Windowed sincs for the three instants between two samples (rows); annex 2 asks for 12 taps, these have 24, which
    agrees with FFmpeg's `ebur128` to 0.2 dB even on white noise."""
    offsets = np.arange(_TAPS) - (MARGIN_SAMPLES - 1)
    rows = []
    for phase in (0.25, 0.5, 0.75):
        distance = offsets - phase
        window = np.cos(np.pi * distance / (_TAPS + 1)) ** 2
        row = np.sinc(distance) * window
        rows.append(row / row.sum())
    return np.array(rows, np.float32)


def _bend_overshoot(filters: NDArray[np.float32]) -> float:
    """How far an interpolated value can lie above the samples around it, as a multiple of their greatest second
    difference: each filter is a mean of the two samples beside the instant, and second differences times these sums."""
    beside = slice(MARGIN_SAMPLES - 1, MARGIN_SAMPLES + 1)
    rest = np.asarray(filters, np.float64)
    share = rest @ (np.arange(_TAPS) - (MARGIN_SAMPLES - 1))  # of the later sample, so that no slope is left over
    rest[:, beside] -= np.stack((rest.sum(axis=1) - share, share), axis=1)
    return float(np.abs(rest.cumsum(axis=1).cumsum(axis=1)).sum(axis=1).max())


_FILTERS = _interpolators()
_BEND_OVERSHOOT = _bend_overshoot(_FILTERS)  # 0.42: music bends little, so that few hops need the filters


def hop_peaks(padded: Block, hop: int, floor: float) -> NDArray[np.float32]:
    """The true peak of each hop of `hop` samples, over all channels.

    Args:
        padded: the hops' samples with `MARGIN_SAMPLES` more on each side; a whole number of hops.
        floor: hops that cannot reach this are not oversampled: their sample peak is returned.
    """
    count = (padded.shape[1] - 2 * MARGIN_SAMPLES) // hop
    if not count:
        return np.zeros(0, np.float32)
    inner = padded[:, MARGIN_SAMPLES : MARGIN_SAMPLES + count * hop]
    peaks = np.abs(inner).reshape(padded.shape[0], count, hop).max(axis=(0, 2))
    edges = np.abs(np.concatenate((padded[:, :MARGIN_SAMPLES], padded[:, -MARGIN_SAMPLES:]), axis=1)).max(initial=0.0)
    around = np.concatenate(([edges], peaks, [edges]))
    around = np.maximum(np.maximum(around[:-2], around[1:-1]), around[2:])
    hot = np.flatnonzero(around * _MOST_OVERSHOOT > floor)
    if hot.size:
        spans = np.lib.stride_tricks.sliding_window_view(padded, hop + _TAPS, axis=1)[:, ::hop][:, hot]
        bends = np.abs(np.diff(spans, 2, axis=2)).max(axis=(0, 2))
        rising = around[hot] + _BEND_OVERSHOOT * bends > floor
        hot, spans = hot[rising], spans[:, rising]
        for taps in _FILTERS:
            between = taps[0] * spans[:, :, 1 : 1 + hop]
            for tap in range(1, _TAPS):
                between += taps[tap] * spans[:, :, 1 + tap : 1 + tap + hop]
            peaks[hot] = np.maximum(peaks[hot], np.abs(between).max(axis=(0, 2)))
    return np.asarray(peaks, np.float32)


class TruePeakMeter:
    """The greatest true peak of streamed blocks."""

    _HOP = 64

    def __init__(self, channels: int) -> None:
        self._tail = np.zeros((channels, MARGIN_SAMPLES), np.float32)
        self._peak = 0.0

    def add(self, block: Block) -> None:
        """Measure the next samples."""
        padded = np.concatenate((self._tail, block), axis=1)
        self._measure(padded)
        count = max(0, padded.shape[1] - 2 * MARGIN_SAMPLES) // self._HOP
        self._tail = padded[:, count * self._HOP :].copy()

    def dbtp(self) -> float:
        """The greatest true peak so far in dB of full scale; -inf for silence. Ends the measurement."""
        room = MARGIN_SAMPLES + self._HOP
        self._measure(np.pad(self._tail, ((0, 0), (0, room))))
        return 20.0 * math.log10(self._peak) if self._peak > 0 else -math.inf

    def _measure(self, padded: Block) -> None:
        if padded.shape[1] > 2 * MARGIN_SAMPLES:
            self._peak = max(self._peak, float(hop_peaks(padded, self._HOP, self._peak).max(initial=0.0)))
