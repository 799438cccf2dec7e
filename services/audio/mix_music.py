"""The media step of music track: music under a video, ducked in real decibels, the picture untouched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from numpy.typing import NDArray

from services.audio.activity import find_activity
from services.audio.ducking import duck_curve
from services.audio.mixdown import SAMPLE_RATE, EncodedMix, Mixdown, MixLevels, encode_mix
from services.audio.music_bed import MusicBed
from services.audio.picture import Picture, inspect_picture, picture_packets
from shared.media.audio.channels import channels_for
from shared.media.audio.loudness import HOPS_PER_SECOND, SILENCE_LUFS, LoudnessMeter
from shared.media.audio.reader import audio_shape, read_audio
from shared.media.container import first_video_stream, open_container
from shared.media.mp4_index import index_bytes
from shared.media.source import ByteSource
from shared.media.step import StepContext

MUSIC_TRACK = "music_track.mp4"
CEILING_DBTP = -1.0
"""The highest true peak of the result, after encoding (EBU R 128)."""
SILENCE_DBTP = -120.0
MAX_MUSIC_SECONDS = 6 * 3600.0
"""The limit of ten minutes is for videos; of longer music only what the picture needs is kept."""
MOST_MUSIC_GAIN_DB = 40.0
_CODEC_MARGIN_DB = 0.4  # what AAC usually adds to a limited peak
_STEP_DB = 0.1
_MOST_ATTEMPTS = 4


@dataclass(frozen=True)
class MixedMusic:
    """The file in scratch and what was done.

    Attributes:
        original_duration: of the picture, seconds; the result is as long.
        music_duration: of the music file, seconds.
        duck_db_measured: how much quieter the music is under programme sound than free of it, measured on the
            music as it was mixed; 0 where nothing ducked it.
        ducked_seconds: how long it was all the way down.
        loops: how often the music began again.
        integrated_lufs, true_peak_dbtp: of the result, decoded again after encoding; None for silence.
        picture: `copied`, or why it was encoded anew.
        output_samples: per channel.
        output_sample_rate: Hz.
        output_channels: of the result.
        warnings: sentences for a person.
    """

    file_name: str
    content_type: str
    original_duration: float
    music_duration: float
    duck_db_measured: float
    ducked_seconds: float
    loops: int
    integrated_lufs: float | None
    true_peak_dbtp: float | None
    picture: str
    output_samples: int
    output_sample_rate: int
    output_channels: int
    warnings: list[str]


def mix_music(
    context: StepContext,
    video: ByteSource,
    music: ByteSource,
    *,
    duck_db: float = 12.0,
    attack_seconds: float = 0.15,
    release_seconds: float = 0.6,
    hold_seconds: float = 0.4,
    music_lufs: float = -24.0,
    fade_in_seconds: float = 0.0,
    fade_out_seconds: float = 2.0,
    music_offset_seconds: float = 0.0,
    original_volume_db: float = 0.0,
    music_volume_db: float = 0.0,
) -> MixedMusic:
    """Lay music under a video's sound and write an MP4 that is as long as the picture.

    Args:
        video: its picture is copied bit-exact where MP4 can carry it; its sound keeps its level, or is absent.
        music: anything with sound in it; looped over matched crossfades, or cut.
        duck_db: how far the music goes down under programme sound.
        attack_seconds, release_seconds, hold_seconds: see `duck_curve`.
        music_lufs: integrated loudness that the used part of the music is brought to before ducking.
        fade_in_seconds, fade_out_seconds: of the music, at the picture's start and end.
        music_offset_seconds: where in the music to begin; loops go back to there.
        original_volume_db, music_volume_db: gains on either, after all else.

    Raises:
        UnsupportedMedia: `video` has no picture or `music` no sound.
        InvalidRequest: the offset lies behind the music's end.
        LimitExceeded: either is longer than the context allows (`duration_too_long`), or too many pixels.
    """
    warnings: list[str] = []
    context.progress("analysing", 0.0)
    picture = inspect_picture(video, context)
    samples = round(picture.duration_seconds * SAMPLE_RATE)
    shape = audio_shape(video)
    original = video if shape else None
    channels = max(2, channels_for(shape.channels, 6)) if shape else 2
    active = _activity(original, picture, channels, context)
    curve = duck_curve(
        active,
        duck_db,
        attack_seconds=attack_seconds,
        release_seconds=release_seconds,
        hold_seconds=hold_seconds,
    )
    context.progress("analysing", 1.0)
    with MusicBed(context.scratch / "music.f32", SAMPLE_RATE, channels) as bed:
        bed.load(
            music,
            offset_seconds=music_offset_seconds,
            needed_samples=samples,
            max_duration_seconds=MAX_MUSIC_SECONDS,
            threads=context.threads,
        )
        music_db = _music_gain_db(bed.loudness_lufs, music_lufs, warnings) + music_volume_db
        levels = MixLevels(original_volume_db, music_db, fade_in_seconds, fade_out_seconds)
        mixdown = Mixdown(
            original, picture.start_seconds, bed, curve, levels, channels, samples, threads=context.threads
        )
        path = context.scratch / MUSIC_TRACK
        mix = _write(path, video, picture, mixdown, context)
        music_duration, loops = bed.duration_seconds, bed.loops
    if mix.true_peak_dbtp > CEILING_DBTP:
        warnings.append(f"after encoding, true peaks reach {mix.true_peak_dbtp:.2f} dBTP")
    return MixedMusic(
        file_name=path.name,
        content_type="video/mp4",
        original_duration=float(picture.duration_seconds),
        music_duration=music_duration,
        duck_db_measured=round(mix.duck_db_measured, 2),
        ducked_seconds=round(min(curve.ducked_seconds, float(picture.duration_seconds)), 2),
        loops=loops,
        integrated_lufs=round(mix.integrated_lufs, 2) if mix.integrated_lufs > SILENCE_LUFS else None,
        true_peak_dbtp=round(mix.true_peak_dbtp, 2) if mix.true_peak_dbtp > SILENCE_DBTP else None,
        picture=picture.fate,
        output_samples=mix.samples,
        output_sample_rate=SAMPLE_RATE,
        output_channels=channels,
        warnings=warnings,
    )


def _activity(original: ByteSource | None, picture: Picture, channels: int, context: StepContext) -> NDArray[np.bool_]:
    """Where something sounds in the video, for each 10 ms of the picture; nowhere if it has no sound."""
    hops = int(picture.duration_seconds * HOPS_PER_SECOND) + 1
    active = np.zeros(hops, np.bool_)
    if original is None:
        return active
    meter = LoudnessMeter(SAMPLE_RATE, channels)
    left = round(picture.duration_seconds * SAMPLE_RATE)
    for block in read_audio(
        original, SAMPLE_RATE, channels, origin_seconds=picture.start_seconds, threads=context.threads
    ):
        meter.add(block[:, :left])
        left -= min(left, block.shape[1])
        if not left:
            break
    found = find_activity(meter.hop_energies())[:hops]
    active[: found.size] = found
    return active


def _music_gain_db(measured_lufs: float, wanted_lufs: float, warnings: list[str]) -> float:
    if measured_lufs <= SILENCE_LUFS:
        warnings.append("the part of the music that is used is silent")
        return 0.0
    gain_db = wanted_lufs - measured_lufs
    if gain_db > MOST_MUSIC_GAIN_DB:
        warnings.append(f"the music is very quiet ({measured_lufs:.1f} LUFS): lifted by {MOST_MUSIC_GAIN_DB:g} dB only")
    return min(gain_db, MOST_MUSIC_GAIN_DB)


def _write(path: Path, video: ByteSource, picture: Picture, mixdown: Mixdown, context: StepContext) -> EncodedMix:
    """Encode the mix until its true peaks are right after decoding, then write the movie.

    AAC lifts peaks by some tenths of a dB, more on dense material. Only the sound is encoded again.
    """
    ceiling = CEILING_DBTP - _CODEC_MARGIN_DB
    for attempt in range(1, _MOST_ATTEMPTS + 1):
        with open_container(video, max_pixels=context.max_pixels) as container, ExitStack() as stack:
            extradata = first_video_stream(container).codec_context.extradata or b""
            frames = picture.frames * (2 if picture.obstacle else 1)  # a packet that is decoded may hold two pictures
            room = index_bytes(frames, frames, extradata, mixdown.samples)
            options = {"moov_size": str(room), "movie_timescale": str(SAMPLE_RATE)}  # edit lists exact to the sample
            output = stack.enter_context(av.open(str(path), "w", format="mp4", container_options=options))
            pictures = picture_packets(container, output, picture, context)
            mix = encode_mix(mixdown, output, ceiling, context.progress)
            excess = mix.true_peak_dbtp - CEILING_DBTP
            if excess <= 0 or attempt == _MOST_ATTEMPTS:
                context.progress("writing", 0.0)
                _interleave(output, pictures, mix.packets)
                return mix
            ceiling -= excess + _STEP_DB
    raise AssertionError("unreachable: the last attempt returns")


def _interleave(output: OutputContainer, pictures: Iterator[Packet[Any]], sounds: list[Packet[Any]]) -> None:
    """Mux both in the order in which a player needs them."""
    waiting = deque(sounds)
    tick = float(sounds[0].time_base or 0) if sounds else 0.0
    for packet in pictures:
        now = (packet.dts or 0) * float(packet.time_base or 0)
        while waiting and (waiting[0].dts or 0) * tick <= now:
            output.mux(waiting.popleft())
        output.mux(packet)
    for sound in waiting:
        output.mux(sound)
