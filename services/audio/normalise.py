"""Bring a sound to a wanted loudness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.media.audio import Block
from shared.media.audio.limiter import PeakLimiter
from shared.media.audio.loudness import SILENCE_LUFS, LoudnessMeter
from shared.media.audio.true_peak import TruePeakMeter

CEILING_DBTP = -1.0
"""What a normalised sound may peak at (EBU R 128)."""
MOST_GAIN_DB = 40.0
"""Normalising lifts by no more: what is quieter is noise."""


@dataclass(frozen=True)
class Normalising:
    """The gain that brings one sound to its loudness, and whether its peaks then need a limiter.

    Attributes:
        gain_db: 0 for silence.
        sample_rate, channels: of the sound.
    """

    gain_db: float
    limited: bool
    sample_rate: int
    channels: int

    @classmethod
    def towards(cls, wanted_lufs: float, blocks: Iterator[Block], sample_rate: int, channels: int) -> Normalising:
        """Measures the whole sound."""
        loudness, peak = LoudnessMeter(sample_rate, channels), TruePeakMeter(channels)
        for block in blocks:
            loudness.add(block)
            peak.add(block)
        measured = loudness.integrated_lufs()
        gain_db = min(MOST_GAIN_DB, wanted_lufs - measured) if measured > SILENCE_LUFS else 0.0
        return cls(gain_db, gain_db != 0.0 and peak.dbtp() + gain_db > CEILING_DBTP, sample_rate, channels)

    def applied(self, blocks: Iterator[Block]) -> Iterator[Block]:
        """The same sound again, as long as before."""
        gain = np.float32(10.0 ** (self.gain_db / 20.0))
        limiter = PeakLimiter(self.sample_rate, self.channels, CEILING_DBTP) if self.limited else None
        for block in blocks:
            yield limiter.limit(block * gain) if limiter else block * gain
        if limiter:
            yield limiter.finish()
