"""What work costs and how large its results become: measured rates, the one home of every estimate."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

import numpy as np

from shared.media.audio.formats import AudioFormat
from shared.media.join.clip import Clip
from shared.media.join.plan import JoinPlan, Part

# Seconds, on two idle cores: half the CPU seconds of bench/assembly.py's scenes.
_TASK_SECONDS: Final = 1.0
"""Queue, claim, publish."""
_SOURCE_SECONDS: Final = 0.3
"""Connect, measure."""
COPY_SECONDS_PER_SECOND: Final = 0.002
"""Demux once, mux twice."""
SOUND_SECONDS_PER_SECOND: Final = 0.03
"""Decode, stretch, AAC and MP3 side by side."""
_TRANSFER_SECONDS_PER_BYTE: Final = 8e-8
"""100 Mbit/s, in or out."""
_ENCODE_SECONDS_PER_SECOND: Final = {"low": 0.8, "medium": 0.9, "high": 1.4}
"""Decode and encode 1080p at 30 frames a second."""
_DECODE_SECONDS_PER_PICTURE: Final = 0.01
"""1080p: 4 ms (H.264 whose unreferenced pictures are skipped) to 20 ms (AV1 of 10 bits) over real last groups."""
_FULL_HD_PIXELS: Final = 1920 * 1080
_FULL_HD_PIXELS_PER_SECOND: Final = _FULL_HD_PIXELS * 30

# x264's bits a pixel from the source's own: k · bits^0.7, fitted to 25 real clips (H.264, HEVC, VP8, VP9, AV1; live
# pictures, films, animation) by bench/plans.py. 61 of 75 results are within a factor of two, all within 3.1.
BITS_EXPONENT: Final = 0.7
_BITS_FACTOR: Final = {"low": 0.21, "medium": 0.40, "high": 0.77}
_MP4_BYTES_PER_FRAME: Final = 16
"""The index of one picture or AAC frame: size, place, times."""
_AAC_FRAME_SAMPLES: Final = 1024
# Bytes a pixel by quality, between these points in proportion: medians of 27 real last frames
# (bench/plans.py).
_IMAGE_QUALITIES: Final = (1, 50, 80, 95, 100)
_IMAGE_BYTES_PER_PIXEL: Final = {"jpg": (0.03, 0.072, 0.12, 0.27, 0.45), "webp": (0.01, 0.03, 0.047, 0.133, 0.25)}
_PNG_BYTES_PER_PIXEL: Final = 0.89
_FLAC_SHARE: Final = 0.6
"""Of the PCM: speech 0.4 to 0.6, music 0.5 to 0.75."""


@dataclass(frozen=True)
class Estimate:
    """What a job will probably cost.

    Attributes:
        estimated_seconds: from submit to result on an idle worker.
        estimated_bytes: of all results together.
        bytes_to_fetch: of the sources.
    """

    estimated_seconds: float
    estimated_bytes: int
    bytes_to_fetch: int


def estimate(work_seconds: float, *, sources: int, fetched: int, stored: int) -> Estimate:
    """`work_seconds` for the media step itself; bytes that are fetched from `sources` and stored."""
    seconds = _TASK_SECONDS + _SOURCE_SECONDS * sources + (fetched + stored) * _TRANSFER_SECONDS_PER_BYTE + work_seconds
    return Estimate(round(seconds, 1), stored, fetched)


def join_seconds(plan: JoinPlan) -> float:
    """For the picture of a join: copies are demuxed and muxed, the rest is decoded and encoded."""
    copied = sum(float(part.clip.duration) for part in plan.copied)
    encoded = sum(encode_seconds(_pixels(part, plan), plan.quality) for part in plan.encoded)
    return copied * COPY_SECONDS_PER_SECOND + encoded


def join_bytes(plan: JoinPlan) -> int:
    """Of the picture track of a join, its index included."""
    copied = sum(part.clip.coded_bytes for part in plan.copied)
    encoded = sum(_encoded_bytes(part.clip, _pixels(part, plan), plan.quality) for part in plan.encoded)
    return copied + encoded + mp4_index_bytes(plan.frames)


def mp4_index_bytes(frames: int) -> int:
    """Of a track in an mp4."""
    return frames * _MP4_BYTES_PER_FRAME


def decode_seconds(pixels: float) -> float:
    """For decoding so many pixels, over all frames."""
    return pixels * _DECODE_SECONDS_PER_PICTURE / _FULL_HD_PIXELS


def encode_seconds(pixels: float, quality: str) -> float:
    """For decoding and encoding so many pixels, over all frames."""
    return pixels * _ENCODE_SECONDS_PER_SECOND[quality] / _FULL_HD_PIXELS_PER_SECOND


def encoded_bytes(source_bytes: int, source_pixels: float, pixels: float, quality: str) -> int:
    """What x264 makes of a picture that has so many bytes for so many pixels, over all frames."""
    if not source_pixels:
        return 0
    bits: float = _BITS_FACTOR[quality] * (source_bytes * 8 / source_pixels) ** BITS_EXPONENT
    return ceil(bits * pixels / 8)


def aac_bytes(samples: int, sample_rate: int, bitrate: int) -> int:
    """Of an AAC track, its index included."""
    return ceil(samples * bitrate / sample_rate / 8) + mp4_index_bytes(samples // _AAC_FRAME_SAMPLES + 1)


def image_bytes(pixels: int, image_format: str, quality: int) -> int:
    """Of a picture of so many pixels."""
    if image_format == "png":
        return ceil(pixels * _PNG_BYTES_PER_PIXEL)
    return ceil(pixels * float(np.interp(quality, _IMAGE_QUALITIES, _IMAGE_BYTES_PER_PIXEL[image_format])))


def audio_file_bytes(
    target: AudioFormat, samples: int, sample_rate: int, channels: int, *, bitrate: int | None, bits_per_sample: int
) -> int:
    """Of a whole audio file; `bitrate` None for the format's default."""
    bitrate = bitrate or target.default_bitrate(sample_rate, channels)
    if not target.lossless and bitrate is not None:
        return ceil(samples * bitrate / sample_rate / 8)
    pcm = samples * channels * bits_per_sample // 8
    return ceil(pcm * _FLAC_SHARE) if target.name == "flac" else pcm


def _pixels(part: Part, plan: JoinPlan) -> float:
    """Of an encoded part, over all its frames."""
    assert plan.look is not None
    return float(plan.look.width * plan.look.height * len(part.times.ticks))


def _encoded_bytes(clip: Clip, pixels: float, quality: str) -> int:
    return encoded_bytes(clip.coded_bytes, clip.width * clip.height * len(clip.times.ticks), pixels, quality)
