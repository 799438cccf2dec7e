"""The sound of a join on one global sample clock: every clip's audio begins with its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from shared.media.audio import Block
from shared.media.audio.channels import channels_for
from shared.media.audio.formats import FORMATS
from shared.media.audio.reader import read_audio
from shared.media.join.plan import JoinPlan

AAC = FORMATS["m4a"]
HIGHEST_RATE = 48_000
"""What every browser and phone plays; higher rates are brought down to it."""

MOST_CHANNELS = 6
LEAST_BITRATE, MOST_BITRATE = 72_000, 96_000
"""Bit/s a channel: what AAC-LC needs to lose next to nothing twice; more only where the clips themselves have more."""


@dataclass(frozen=True)
class SoundShape:
    """Samples a second, channels and AAC bits a second of a join."""

    sample_rate: int
    channels: int
    bitrate: int


@dataclass(frozen=True)
class SoundTrack:
    """Sound for the muxer: `samples` samples a channel, float32 blocks of any length, exactly as many in all.

    `bitrate` is AAC's, in bit/s; None for what is transparent at this rate and layout.
    """

    sample_rate: int
    channels: int
    samples: int
    blocks: Iterator[Block]
    bitrate: int | None = None


def clips_sound(plan: JoinPlan, warn: Callable[[str], None]) -> SoundTrack | None:
    """The clips' own sound, in the best rate and layout among them; None when all are mute.

    A clip's sound keeps its distance to its picture. What would sound before the first or after the last picture of
    the clip is cut, what is missing is silence. Sample n of the join is heard n / `sample_rate` seconds after the
    first picture; each clip's first sample is rounded to that clock once, so nothing drifts.
    """
    shape = sound_shape(plan)
    if shape is None:
        return None
    rate, channels = shape.sample_rate, shape.channels
    return SoundTrack(rate, channels, round(plan.duration * rate), _blocks(plan, shape, warn), shape.bitrate)


def sound_shape(plan: JoinPlan) -> SoundShape | None:
    """The best rate and layout among the clips that AAC carries everywhere; None when all are mute."""
    sounds = [part.clip.sound for part in plan.parts if part.clip.sound]
    if not sounds:
        return None
    rate = min(AAC.sample_rate_for(max(sound.sample_rate for sound in sounds)), HIGHEST_RATE)
    channels = channels_for(max(sound.channels for sound in sounds), MOST_CHANNELS)
    finest = max(sound.bitrate // sound.channels for sound in sounds)
    bitrate = min(max(finest, LEAST_BITRATE), MOST_BITRATE) * channels * rate // HIGHEST_RATE
    return SoundShape(rate, channels, bitrate)


def clock_error_seconds(plan: JoinPlan, sample_rate: int) -> Fraction:
    """The largest distance between a clip's first sample and first picture that rounding to both clocks leaves."""
    return max(
        abs(
            Fraction(round(part.start * sample_rate), sample_rate)
            - Fraction(round(part.start * plan.timescale), plan.timescale)
        )
        for part in plan.parts
    )


def _blocks(plan: JoinPlan, shape: SoundShape, warn: Callable[[str], None]) -> Iterator[Block]:
    rate, channels = shape.sample_rate, shape.channels
    for part in plan.parts:
        wanted = round(part.end * rate) - round(part.start * rate)
        given = 0
        if part.clip.sound:
            for block in read_audio(part.clip.source, rate, channels, origin_seconds=part.clip.times.start):
                piece = block[:, : wanted - given]
                given += piece.shape[1]
                yield piece
                if given == wanted:
                    break
            if given == 0:
                warn(f"{part.clip.label}: no sound could be decoded; silence was put in")
        while given < wanted:
            silence = min(wanted - given, rate)
            given += silence
            yield np.zeros((channels, silence), np.float32)
