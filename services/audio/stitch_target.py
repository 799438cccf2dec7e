"""What an audio stitch writes: its format, rate, channels and depth, chosen from the request and the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.errors import InvalidRequest, LimitExceeded, UnsupportedMedia
from shared.media.audio.channels import channels_for
from shared.media.audio.formats import AudioFormat, audio_format
from shared.media.audio.reader import AudioShape, audio_shape
from shared.media.source import ByteSource

MAX_OUTPUT_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Target:
    """Hz, channels, and the bits a sample that a lossless copy of the finest source needs."""

    format: AudioFormat
    sample_rate: int
    channels: int
    bits_per_sample: int


def choose_target(
    sources: Sequence[ByteSource],
    parts: Sequence[Mapping[str, float]],
    *,
    output_format: str,
    sample_rate: int | None,
    channels: int | None,
    bitrate: int | None,
) -> Target:
    """See `stitch_audio` for arguments and errors."""
    target = audio_format(output_format)
    target.check(sample_rate, channels, bitrate)
    used = sorted({int(part["source"]) for part in parts if "source" in part})
    if not used:
        raise InvalidRequest("at least one item must be a sound", input_name="audio_urls")
    shapes = [_shape(sources[index]) for index in used]
    return Target(
        target,
        sample_rate or target.sample_rate_for(max(shape.sample_rate for shape in shapes)),
        channels or channels_for(max(shape.channels for shape in shapes), min(2, target.most_channels)),
        max(shape.bits_per_sample for shape in shapes),
    )


def refuse_longer(samples: int, sample_rate: int) -> None:
    """Raises `LimitExceeded` over six hours."""
    if samples > MAX_OUTPUT_SECONDS * sample_rate:
        raise LimitExceeded("the parts together are longer than six hours", word="duration_too_long")


def _shape(source: ByteSource) -> AudioShape:
    shape = audio_shape(source)
    if shape is None:
        raise UnsupportedMedia("the file has no sound", input_name=source.label)
    return shape
