"""A look-ahead limiter that keeps peaks under a ceiling and touches nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.media.audio import Block
from shared.media.audio.true_peak import MARGIN_SAMPLES, hop_peaks


class PeakLimiter:
    """Streams blocks; what comes out is as long as what went in, and aligned with it after `finish`.

    The gain is one curve for all channels (the stereo image stays), falls within `attack_seconds` before a peak
    and recovers at `release_db_per_second`. Where nothing passes the ceiling, samples come out bit-exact.

    The curve: per hop of about a millisecond the gain that its true peak needs; from there back up at the release
    slope (a running minimum); then the least over the look-ahead; then the mean over as much. The mean of minima
    that all contain a peak's own need cannot exceed it, so the ceiling holds.

    Args:
        ceiling_db: the highest peak allowed, dB of full scale.
        true_peaks: judge what the waveform reaches between the samples, too; else the samples alone, to the very
            ceiling.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int,
        ceiling_db: float = -1.0,
        *,
        true_peaks: bool = True,
        attack_seconds: float = 0.005,
        release_db_per_second: float = 60.0,
    ) -> None:
        self._hop = max(8, sample_rate // 1000)
        self._ahead = max(1, round(attack_seconds * sample_rate / self._hop))
        self._release_db = release_db_per_second * self._hop / sample_rate
        # A gain that moves within a hop lifts a true peak by a hair: stay 0.05 dB under.
        self._ceiling = 10.0 ** ((ceiling_db - (0.05 if true_peaks else 0.0)) / 20.0)
        self._floor = self._ceiling if true_peaks else np.inf
        # Samples before the stream: margin for the first peak, and look-ahead for the mean's first window.
        self._pending: Block = np.zeros((channels, 0), np.float32)
        self._margin: Block = np.zeros((channels, MARGIN_SAMPLES), np.float32)
        self._needs = np.zeros(self._ahead + 1, np.float64)  # dB ≤ 0; the last hops before the pending ones
        self._recovering_db = 0.0
        self._measured = 0  # pending hops whose need is known
        self._last_gain = 1.0
        self.deepest_db = 0.0
        """The strongest reduction so far, dB ≤ 0."""

    def limit(self, block: Block) -> Block:
        """Take the next samples; give back those that are settled (may be none)."""
        self._pending = np.concatenate((self._pending, block), axis=1)
        self._measure()
        return self._settle(self._measured - self._ahead - 1)

    def finish(self) -> Block:
        """The rest."""
        length = self._pending.shape[1]
        hops = -(-length // self._hop)
        silence = (hops + self._ahead + 2) * self._hop - length + MARGIN_SAMPLES
        self._pending = np.pad(self._pending, ((0, 0), (0, silence)))
        self._measure()
        return self._settle(hops)[:, :length]

    def _measure(self) -> None:
        start = self._measured * self._hop
        count = (self._pending.shape[1] - start - MARGIN_SAMPLES) // self._hop
        if count <= 0:
            return
        before = self._pending[:, max(0, start - MARGIN_SAMPLES) : start]
        if before.shape[1] < MARGIN_SAMPLES:
            before = np.concatenate((self._margin, before), axis=1)[:, -MARGIN_SAMPLES:]
        padded = np.concatenate((before, self._pending[:, start : start + count * self._hop + MARGIN_SAMPLES]), axis=1)
        peaks = hop_peaks(padded, self._hop, self._floor)
        need = np.minimum(0.0, 20.0 * np.log10(self._ceiling / np.maximum(peaks, 1e-9)))
        # min over j ≤ k of need[j] + slope·(k - j), as a running minimum on a tilted axis
        tilt = self._release_db * np.arange(count)
        need = np.minimum.accumulate(np.minimum(need, 0.0) - tilt)
        need = np.minimum(np.minimum(need, self._recovering_db + self._release_db), 0.0 - tilt) + tilt
        self._recovering_db = float(need[-1])
        self._needs = np.concatenate((self._needs, need))
        self._measured += count

    def _settle(self, hops: int) -> Block:
        if hops <= 0:
            return self._pending[:, :0]
        length = hops * self._hop
        out, self._pending = self._pending[:, :length], self._pending[:, length:]
        self._margin = np.concatenate((self._margin, out), axis=1)[:, -MARGIN_SAMPLES:]
        needs = self._needs
        self._needs, self._measured = needs[hops:], self._measured - hops
        if not needs[: hops + 2 * self._ahead + 2].any() and self._last_gain == 1.0:
            return out
        gains = 10.0 ** (self._curve(needs, hops + 1) / 20.0)
        self.deepest_db = min(self.deepest_db, 20.0 * float(np.log10(gains.min())))
        # A hop runs from the lesser of its own and the previous hop's gain to the lesser of its own and the next's.
        edges = np.concatenate(([min(self._last_gain, gains[0])], np.minimum(gains[:-1], gains[1:])))
        self._last_gain = float(gains[hops - 1])
        ramp = np.arange(self._hop) / self._hop
        curve = (edges[:-1, None] + np.diff(edges)[:, None] * ramp).reshape(-1)
        return np.asarray(out * curve.astype(np.float32), np.float32)

    def _curve(self, needs: NDArray[np.float64], hops: int) -> NDArray[np.float64]:
        """Gains in dB of the first `hops` pending hops."""
        width = self._ahead + 1
        window = np.lib.stride_tricks.sliding_window_view(needs[1 : hops + 2 * width], width).min(axis=1)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(window, width).mean(axis=1)[:hops])


class FullScaleGuard:
    """Keeps samples within full scale: what decoding, resampling and folding overshoot would be clipped in integers.

    Streams blocks, one behind. Until one passes full scale they go through as they are, at the cost of a look.
    """

    _LEAST_HELD = 1024  # samples: more than the limiter looks ahead

    def __init__(self, sample_rate: int, channels: int) -> None:
        self._rate, self._channels = sample_rate, channels
        self._held: Block = np.zeros((channels, 0), np.float32)
        self._limiter: PeakLimiter | None = None

    def limit(self, block: Block) -> Block:
        """Take the next samples; give back those that are settled (may be none)."""
        if self._limiter is None:
            if not block.shape[1] or max(block.max(), -block.min()) <= 1.0:
                return self._pass_on(block)
            self._limiter = PeakLimiter(self._rate, self._channels, 0.0, true_peaks=False)
            block = np.concatenate((self._held, block), axis=1)
        return self._limiter.limit(block)

    def finish(self) -> Block:
        """The rest."""
        return self._held if self._limiter is None else self._limiter.finish()

    def _pass_on(self, block: Block) -> Block:
        held = self._held
        if block.shape[1] < self._LEAST_HELD:
            self._held = np.concatenate((held, block), axis=1)
            return held[:, :0]
        self._held = block
        return held
