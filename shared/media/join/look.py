"""What the joined picture looks like: the options of a request, and the target that every encoded clip must match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from shared.errors import InvalidRequest
from shared.media.display import displayed_size
from shared.media.join.clip import Clip
from shared.media.join.colour import SDR, Colour

Strategy = Literal["auto", "copy", "reencode"]

STRATEGIES: tuple[Strategy, ...] = ("auto", "copy", "reencode")

RESOLUTIONS = {
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "1440p": (2560, 1440),
    "2160p": (3840, 2160),
    "4k": (3840, 2160),
}
"""Named frame sizes, lying; they stand upright when most of the picture does."""

QUALITIES = {"low": (28, "veryfast"), "medium": (23, "veryfast"), "high": (18, "faster")}
"""x264's constant rate factor and preset. 18 is visually lossless or nearly so (x264's own guide)."""

DEFAULT_QUALITY = "high"
PROFILE_NAMES = {66: "baseline", 77: "main", 100: "high"}
LONGEST_SIDE = 8192


@dataclass(frozen=True)
class Wishes:
    """What the request asked of the picture; None leaves it to the clips."""

    strategy: Strategy = "auto"
    resolution: str | None = None
    frame_rate: Fraction | None = None
    quality: str = DEFAULT_QUALITY


def read_wishes(strategy: str, resolution: str | None, frame_rate: float | None, quality: str | None) -> Wishes:
    """The options of a request, checked.

    Args:
        resolution: `source`, a name of `RESOLUTIONS`, `1280x720`, or None.
        frame_rate: frames a second, 1 to 120; 29.97 and its like are taken for the NTSC rates (30000/1001).

    Raises:
        InvalidRequest: a value outside these.
    """
    if strategy not in STRATEGIES:
        raise InvalidRequest(f"strategy must be one of {', '.join(STRATEGIES)}", input_name="strategy")
    if quality and quality not in QUALITIES:
        raise InvalidRequest(f"quality must be one of {', '.join(QUALITIES)}", input_name="output_settings.quality")
    if frame_rate and not 1 <= frame_rate <= 120:
        raise InvalidRequest("frame_rate must be from 1 to 120", input_name="output_settings.frame_rate")
    resolution = None if resolution in (None, "", "source") else resolution.lower()
    if resolution:
        named_size(resolution)
    rate = _exact_rate(frame_rate) if frame_rate else None
    return Wishes(strategy, resolution, rate, quality or DEFAULT_QUALITY)


def named_size(resolution: str) -> tuple[int, int]:
    """Width and height of `720p` or `1280x720`, made even."""
    if resolution in RESOLUTIONS:
        return RESOLUTIONS[resolution]
    match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", resolution)
    size = (int(match[1]) & ~1, int(match[2]) & ~1) if match else (0, 0)
    if not 16 <= min(size) <= max(size) <= LONGEST_SIDE:
        names = ", ".join(RESOLUTIONS)
        raise InvalidRequest(
            f"resolution must be source, one of {names}, or WIDTHxHEIGHT", input_name="output_settings.resolution"
        )
    return size


def _exact_rate(frame_rate: float) -> Fraction:
    for whole in (24, 30, 48, 60, 120):
        ntsc = Fraction(whole * 1000, 1001)
        if abs(frame_rate - ntsc) < 0.01 and frame_rate != whole:
            return ntsc
    return Fraction(frame_rate).limit_denominator(1000)


@dataclass(frozen=True)
class Look:
    """What every picture of the join is, copied or encoded (8-bit 4:2:0, progressive, upright).

    Attributes:
        width, height: stored pixels; sample_aspect: width of a pixel over its height.
        frame_rate: of encoded clips; None keeps each clip's own times.
        nominal_rate: what encoders are told where `frame_rate` is None.
        profile: `profile_idc` that encoded clips keep to, so that one avcC speaks for all.
    """

    width: int
    height: int
    sample_aspect: Fraction
    colour: Colour
    frame_rate: Fraction | None
    nominal_rate: Fraction
    profile: int

    @property
    def display_size(self) -> tuple[int, int]:
        return displayed_size(self.width, self.height, self.sample_aspect, is_turned=False)


def look_of(clip: Clip, wishes: Wishes) -> Look:
    """The look of a join led by `clip`, before anything is known to be copied: square pixels, SDR, High profile."""
    width, height = (max(2, side & ~1) for side in clip.display_size)
    if wishes.resolution:
        long_side, short_side = named_size(wishes.resolution)
        upright = height > width and wishes.resolution in RESOLUTIONS
        width, height = (short_side, long_side) if upright else (long_side, short_side)
    rate = wishes.frame_rate or clip.times.constant_rate
    return Look(width, height, Fraction(1), SDR, rate, rate or clip.times.average_rate, 100)
