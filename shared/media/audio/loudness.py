"""Loudness after ITU-R BS.1770-4 and EBU R 128, over streamed blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shared.media.audio import Block
from shared.media.audio.filter_graph import BlockFilter

SILENCE_LUFS = -70.0
"""BS.1770's absolute gate; also what we call the loudness of silence."""

HOPS_PER_SECOND = 100
_HOPS_PER_WINDOW = 40  # gating blocks last 400 ms …
_HOPS_PER_STEP = 10  # … and start every 100 ms (75 % overlap)
_WHISPER = np.float32(2e-9)  # on every other sample: half the sample rate at -180 dB
_SURROUND_WEIGHT = 1.41  # BS.1770-4 table 3


class LoudnessMeter:
    """Measures K-weighted energy in hops of 10 ms; integrated loudness and level curves come from those.

    Feed blocks of at most a few seconds. Any rate from 8 kHz up is fine.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._hop = sample_rate / HOPS_PER_SECOND
        self._filter = BlockFilter(sample_rate, channels, _k_weighting(sample_rate))
        self._weights = _channel_weights(channels)
        self._energies: list[NDArray[np.float64]] = []
        self._rest = np.zeros((0,))
        self._samples = 0
        self._hops = 0

    def add(self, block: Block) -> None:
        """Measure the next samples."""
        samples = block.shape[1]
        if not samples:
            return
        # Silence would ring out into denormal numbers, which cost ten times the time: keep the filters awake.
        awake = block.copy()
        awake[:, ::2] += _WHISPER
        weighted = self._filter(awake)
        energy = self._weights @ np.square(weighted, dtype=np.float64)
        energy = np.concatenate((self._rest, energy))
        first = self._samples - self._rest.shape[0]
        self._samples += samples
        # Hop k covers samples [round(k·hop), round((k+1)·hop)), so rates that 100 does not divide stay in step.
        ready = int(self._samples / self._hop)
        edges = np.rint(np.arange(self._hops, ready + 1) * self._hop).astype(np.int64) - first
        if ready > self._hops and edges[-1] <= energy.shape[0]:
            sums = np.add.reduceat(energy[: edges[-1]], edges[:-1])
            self._energies.append(sums / np.diff(edges))
            self._hops = ready
            energy = energy[edges[-1] :]
        self._rest = energy

    def hop_energies(self) -> NDArray[np.float64]:
        """Mean square of each whole hop of 10 ms so far, K-weighted and summed over channels."""
        return np.concatenate(self._energies) if self._energies else np.zeros(0)

    def integrated_lufs(self) -> float:
        """Gated loudness of all that was added; `SILENCE_LUFS` where nothing passes the gate."""
        return integrated_lufs(self.hop_energies())


def integrated_lufs(hop_energies: NDArray[np.float64]) -> float:
    """Integrated loudness of `LoudnessMeter.hop_energies`: gate at -70 LUFS, then 10 LU under what is left.

    Sound shorter than one gating block of 400 ms is measured as one block.
    """
    count = hop_energies.shape[0]
    if not count:
        return SILENCE_LUFS
    window = min(_HOPS_PER_WINDOW, count)
    total = np.concatenate(([0.0], np.cumsum(hop_energies)))
    starts = np.arange(0, count - window + 1, _HOPS_PER_STEP)
    blocks = (total[starts + window] - total[starts]) / window
    blocks = blocks[blocks > _energy(SILENCE_LUFS)]
    if not blocks.size:
        return SILENCE_LUFS
    blocks = blocks[blocks > 0.1 * blocks.mean()]
    return lufs(float(blocks.mean()))


def lufs(energy: float) -> float:
    """K-weighted mean square → LUFS (BS.1770-4 equation 2)."""
    return -0.691 + 10.0 * math.log10(max(energy, 1e-20))


def _energy(level_lufs: float) -> float:
    return float(10.0 ** ((level_lufs + 0.691) / 10.0))


def _channel_weights(channels: int) -> NDArray[np.float64]:
    weights = np.ones(channels)
    if channels >= 6:
        weights[3] = 0.0  # LFE does not count
        weights[4:] = _SURROUND_WEIGHT
    return weights


def _k_weighting(sample_rate: int) -> list[tuple[str, str]]:
    """The two biquads of BS.1770-4 for any rate.

    The standard tabulates 48 kHz only; these are the analogue prototypes behind its table, as libebur128 has them,
    through the bilinear transform: at 48 kHz they give the table to 10 digits.
    """
    # Stage 1: a shelf, +4 dB above about 1.7 kHz (the head).
    frequency, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k = math.tan(math.pi * min(frequency, 0.45 * sample_rate) / sample_rate)
    high = 10.0 ** (gain_db / 20.0)
    band = high**0.4996667741545416
    a0 = 1.0 + k / quality + k * k
    shelf = (
        (high + band * k / quality + k * k) / a0,
        2.0 * (k * k - high) / a0,
        (high - band * k / quality + k * k) / a0,
        2.0 * (k * k - 1.0) / a0,
        (1.0 - k / quality + k * k) / a0,
    )
    # Stage 2: a high pass at 38 Hz.
    frequency, quality = 38.13547087602444, 0.5003270373238773
    k = math.tan(math.pi * frequency / sample_rate)
    a0 = 1.0 + k / quality + k * k
    high_pass = (1.0, -2.0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / quality + k * k) / a0)
    return [("biquad", _biquad(shelf)), ("biquad", _biquad(high_pass))]


def _biquad(coefficients: tuple[float, float, float, float, float]) -> str:
    b0, b1, b2, a1, a2 = (f"{value:.17g}" for value in coefficients)
    return f"b0={b0}:b1={b1}:b2={b2}:a0=1:a1={a1}:a2={a2}:precision=f64"
