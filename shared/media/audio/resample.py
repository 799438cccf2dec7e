"""Sample-rate conversion whose output is exactly as long as it should be."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from shared.media.audio import Block
from shared.media.audio.channels import LAYOUTS


def scaled_samples(samples: int, from_rate: int, to_rate: int) -> int:
    """How many samples at `to_rate` last as long as `samples` at `from_rate`, rounded half up."""
    return (2 * samples * to_rate + from_rate) // (2 * from_rate)


class RateConverter:
    """libswresample over blocks, with its latency and its rounding removed.

    libswresample starts aligned to the sample but ends up to 32 samples early or late (measured), so
    the input is followed by silence and the output cut at `scaled_samples` of what came in.
    """

    _TAIL_SECONDS = 0.05  # longer than the resampling filter at any rate that we meet

    def __init__(self, channels: int, from_rate: int, to_rate: int) -> None:
        self._layout = LAYOUTS[channels]
        self._channels, self._from_rate, self._to_rate = channels, from_rate, to_rate
        self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=to_rate)
        self._taken = 0
        self._given = 0

    def convert(self, block: Block) -> Block:
        """What can be given out after `block`; may be empty."""
        if self._from_rate == self._to_rate or not block.shape[1]:
            return block
        return self._emit(self._push(block))

    def finish(self) -> Block:
        """The rest, so that all blocks together are exactly as long as the input lasted."""
        if self._from_rate == self._to_rate or not self._taken:
            return np.zeros((self._channels, 0), np.float32)
        wanted = scaled_samples(self._taken, self._from_rate, self._to_rate) - self._given
        tail = np.zeros((self._channels, int(self._from_rate * self._TAIL_SECONDS) + 64), np.float32)
        rest = self._push(tail)
        short = max(0, wanted - rest.shape[1])
        return np.pad(rest, ((0, 0), (0, short)))[:, :wanted]

    def _emit(self, block: Block) -> Block:
        self._given += block.shape[1]
        return block

    def _push(self, block: Block) -> Block:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
        frame.sample_rate, frame.time_base, frame.pts = self._from_rate, Fraction(1, self._from_rate), self._taken
        self._taken += block.shape[1]
        parts: list[Block] = [np.asarray(answer.to_ndarray(), np.float32) for answer in self._resampler.resample(frame)]
        if not parts:
            return np.zeros((self._channels, 0), np.float32)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
