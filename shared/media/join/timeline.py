"""The clock of a join: every clip's frame times on an exact grid, and the one rounding that each packet gets.

All sums are `Fraction`; a time becomes an integer tick once, when its packet is written, so nothing accumulates.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import gcd, lcm
from statistics import median_low

COMMON_RATES = tuple(
    Fraction(rate)
    for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60", "120", "15", "12", "10")
)
"""Frame rates that millisecond timestamps are tried against."""

MIN_TIMESCALE = 10_000
"""FFmpeg's mov muxer doubles smaller video timescales itself; doing it first keeps the ticks ours."""

MAX_TIMESCALE = 24_000_000
"""Past this the least common multiple is given up: rounding to 1/24 µs is inaudible and invisible."""


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of one clip are shown, counted from its first frame.

    Attributes:
        ticks: one presentation time a frame, in units of `tick`, in decoding order; the smallest is 0.
        tick: seconds in one unit.
        length: the end of the last frame, in units of `tick`.
        start: where the first frame stood on the clip's own clock, in seconds: sound keeps its distance to it.
    """

    ticks: Sequence[int]
    tick: Fraction
    length: int
    start: Fraction

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last."""
        return self.length * self.tick

    @cached_property
    def constant_rate(self) -> Fraction | None:
        """Frames a second where every frame lasts equally long, else None (one frame has its own length)."""
        ordered = sorted(self.ticks)
        steps = {later - earlier for earlier, later in pairwise([*ordered, self.length])}
        return 1 / (self.tick * steps.pop()) if len(steps) == 1 else None

    @property
    def average_rate(self) -> Fraction:
        return len(self.ticks) / self.duration

    def reorder_depth(self) -> int:
        """How many frames the decoder must hold back: the largest distance of a frame behind its display rank."""
        rank = {tick: position for position, tick in enumerate(sorted(self.ticks))}
        return max(position - rank[tick] for position, tick in enumerate(self.ticks))


def frame_times(
    pts: Sequence[int],
    *,
    last_duration: int,
    time_base: Fraction,
    rounded: bool,
    nominal_rate: Fraction | None,
) -> FrameTimes:
    """The frame times of a clip from its packets.

    Args:
        pts: unique presentation timestamps in decoding order, in `time_base` units.
        last_duration: the duration that the container gives the frame shown last, 0 for unknown.
        rounded: the container rounds its clock (Matroska to milliseconds, MPEG-TS to 1/90000 s): timestamps within
            one tick of a regular frame grid are put back on it.
        nominal_rate: the frame rate that the stream declares, tried first.
    """
    ordered = sorted(pts)
    first = ordered[0]
    start = first * time_base
    if rounded and len(pts) > 1:
        rates = ([nominal_rate] if nominal_rate else []) + list(COMMON_RATES)
        for rate in rates:
            grid = _on_grid(ordered, time_base, rate)
            if grid is not None:
                places = dict(zip(ordered, grid, strict=True))
                shown = max(1, round(last_duration * time_base * rate))
                return FrameTimes(array("q", (places[p] for p in pts)), 1 / rate, grid[-1] + shown, start)
    steps = [later - earlier for earlier, later in pairwise(ordered)]
    if last_duration <= 0:
        unknown = 1 / (nominal_rate or Fraction(25)) / time_base
        last_duration = median_low(steps) if steps else max(1, round(unknown))
    unit = gcd(last_duration, *steps)
    ticks = array("q", ((p - first) // unit for p in pts))
    return FrameTimes(ticks, unit * time_base, (ordered[-1] - first + last_duration) // unit, start)


def _on_grid(ordered: Sequence[int], time_base: Fraction, rate: Fraction) -> list[int] | None:
    """Grid positions of timestamps at `rate`, or None where one is a tick or more off, or two fall together."""
    scale, first = time_base * rate, ordered[0]
    tolerance = scale  # one tick of the container's clock, in frames
    if tolerance >= Fraction(1, 2):
        return None
    grid: list[int] = []
    for p in ordered:
        exact = (p - first) * scale
        place = round(exact)
        if abs(exact - place) > tolerance or (grid and place <= grid[-1]):
            return None
        grid.append(place)
    return grid


def regular_times(frames: int, rate: Fraction, start: Fraction = Fraction(0)) -> FrameTimes:
    """`frames` frames, each 1/rate seconds long, in display order."""
    return FrameTimes(range(frames), 1 / rate, frames, start)


def in_display_order(times: FrameTimes) -> FrameTimes:
    return FrameTimes(sorted(times.ticks), times.tick, times.length, times.start)


def common_timescale(all_times: Sequence[FrameTimes]) -> int:
    """Ticks a second that hold every frame time exactly, or to 1/24 µs where no such clock is practical."""
    scale = lcm(*(times.tick.denominator for times in all_times))
    if scale > MAX_TIMESCALE:
        return MAX_TIMESCALE
    while scale < MIN_TIMESCALE:
        scale *= 2
    return scale


def placed_ticks(times: FrameTimes, offset: Fraction, timescale: int) -> Iterator[int]:
    """The clip's presentation ticks on the join's clock, in decoding order; each is rounded exactly once."""
    first, step = offset * timescale, times.tick * timescale
    unit = lcm(first.denominator, step.denominator)  # from here on whole numbers: ten times faster, equally exact
    first_units, step_units = int(first * unit), int(step * unit)
    for tick in times.ticks:
        yield (2 * (first_units + tick * step_units) + unit) // (2 * unit)


def decode_ticks(presentation: Sequence[int], end: int, depth: int) -> Iterator[int]:
    """Decoding ticks for packets in decoding order: the sorted presentation ticks, `depth` frames late.

    Packets of a clip never leave their clip's stretch of the timeline, so the n-th packet of the whole join may be
    decoded when the (n - depth)-th picture is shown: strictly increasing, and never after its own presentation
    while `depth` is at least the reorder depth of each clip. The first `depth` packets come as if the join had
    already played once (`end` is its last tick): decoding then takes as long as showing.
    """
    depth = min(depth, len(presentation))
    for position in range(len(presentation)):
        yield presentation[position - depth] - (end if position < depth else 0)
