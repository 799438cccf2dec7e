"""What the audio jobs will do, found out without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from services.audio.mixdown import SAMPLE_RATE
from services.audio.music_bed import behind_the_end, expected_loops
from services.audio.picture import inspect_picture
from services.audio.stitch_target import choose_target, refuse_longer
from shared.media.audio.channels import channels_for
from shared.media.audio.formats import FORMATS
from shared.media.audio.reader import audio_shape
from shared.media.probe.sound_length import measure_sound
from shared.media.rates import (
    COPY_SECONDS_PER_SECOND,
    SOUND_SECONDS_PER_SECOND,
    Estimate,
    aac_bytes,
    audio_file_bytes,
    encode_seconds,
    encoded_bytes,
    estimate,
    mp4_index_bytes,
)
from shared.media.source import ByteSource
from shared.media.step import StepContext

_AAC = FORMATS["m4a"]


@dataclass(frozen=True)
class PlannedPart:
    """One item of the output, in order; `source` is None for silence."""

    source: int | None
    start_seconds: float
    duration_seconds: float


@dataclass(frozen=True)
class AudioStitchPlan(Estimate):
    """What `StitchedAudio` will say, as far as it is known before, and what it will cost."""

    total_audio_sources: int
    total_silence_duration: float
    output_audio_duration: float
    output_format: str
    output_sample_rate: int
    output_channels: int
    output_samples: int
    parts: list[PlannedPart]


def plan_stitch_audio(
    context: StepContext,
    sources: Sequence[ByteSource],
    parts: Sequence[Mapping[str, float]],
    *,
    output_format: str = "mp3",
    sample_rate: int | None = None,
    channels: int | None = None,
    bitrate: int | None = None,
    normalize_lufs: float | None = None,
    declick: bool = True,
) -> AudioStitchPlan:
    """What `stitch_audio` would do. Lengths are those that the files present; raises what `stitch_audio` raises."""
    target = choose_target(
        sources, parts, output_format=output_format, sample_rate=sample_rate, channels=channels, bitrate=bitrate
    )
    rate = target.sample_rate
    lengths = [measure_sound(source).seconds for source in sources]
    planned: list[PlannedPart] = []
    start = silence = 0
    for part in parts:
        source = int(part["source"]) if "source" in part else None
        count = round((Fraction(part["silence_seconds"]) if source is None else lengths[source]) * rate)
        planned.append(PlannedPart(source, start / rate, count / rate))
        silence += count if source is None else 0
        start += count
        refuse_longer(start, rate)
    passes = 2 if normalize_lufs is not None else 1  # loudness is measured first
    cost = estimate(
        start / rate * SOUND_SECONDS_PER_SECOND * passes,
        sources=len(sources),
        fetched=sum(source.size_bytes or 0 for source in sources),
        stored=audio_file_bytes(
            target.format, start, rate, target.channels, bitrate=bitrate, bits_per_sample=target.bits_per_sample
        ),
    )
    return AudioStitchPlan(
        **vars(cost),
        total_audio_sources=sum(part.source is not None for part in planned),
        total_silence_duration=silence / rate,
        output_audio_duration=start / rate,
        output_format=target.format.name,
        output_sample_rate=rate,
        output_channels=target.channels,
        output_samples=start,
        parts=planned,
    )


@dataclass(frozen=True)
class MusicPlan(Estimate):
    """What `MixedMusic` will say, as far as it is known before, and what it will cost.

    Attributes:
        expected_loops: how often the music will probably begin again; where it turns is chosen by its sound.
    """

    original_duration: float
    music_duration: float
    expected_loops: int
    picture: str
    output_samples: int
    output_sample_rate: int
    output_channels: int


def plan_music(
    context: StepContext,
    video: ByteSource,
    music: ByteSource,
    *,
    music_offset_seconds: float = 0.0,
    **levels: float,
) -> MusicPlan:
    """What `mix_music` would do; `levels` change nothing of that. Raises what `mix_music` raises."""
    picture = inspect_picture(video, context, sparsely=True)
    shape = audio_shape(video)
    channels = max(2, channels_for(shape.channels, 6)) if shape else 2
    seconds, music_seconds = float(picture.duration_seconds), float(measure_sound(music).seconds)
    if music_offset_seconds >= music_seconds:
        raise behind_the_end(music_offset_seconds, music_seconds)
    samples = round(picture.duration_seconds * SAMPLE_RATE)
    pixels = float(picture.pixels * picture.frames)
    coded = encoded_bytes(picture.coded_bytes, pixels, pixels, "high") if picture.obstacle else picture.coded_bytes
    sound = aac_bytes(samples, SAMPLE_RATE, _AAC.default_bitrate(SAMPLE_RATE, channels) or 0)
    # The video's sound is read twice (for its activity, for the mix), the mix is encoded and decoded again.
    work = (3 * seconds + music_seconds) * SOUND_SECONDS_PER_SECOND
    work += encode_seconds(pixels, "high") if picture.obstacle else seconds * COPY_SECONDS_PER_SECOND
    cost = estimate(
        work,
        sources=2,
        fetched=(video.size_bytes or 0) + (music.size_bytes or 0),
        stored=coded + mp4_index_bytes(picture.frames) + sound,
    )
    return MusicPlan(
        **vars(cost),
        original_duration=seconds,
        music_duration=music_seconds,
        expected_loops=expected_loops(music_seconds - music_offset_seconds, seconds),
        picture=picture.fate,
        output_samples=samples,
        output_sample_rate=SAMPLE_RATE,
        output_channels=channels,
    )
