"""From when to when each stream is presented, by its packets."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av.error
from av.stream import Stream

_RESTART_SECONDS: Final = 1
"""A step back by more than this is a new timeline (chained Ogg, glued TS), not picture reordering."""


@dataclass
class Span:
    """What the packets of one stream say, in seconds on the container's timeline.

    Attributes:
        start: earliest presented time, after priming; None before the first packet with a timestamp.
        end: latest presented end, after the padding at the end.
        closed: total length of earlier timelines in the same stream.
        counted: sum of the packets' durations, less what decoders drop at both ends.
        last_duration: length of the packet that ends last.
        frame_duration: length of the longest packet: a whole frame.
        packets: how many packets were presented.
        undated: how many of them had no timestamp.
    """

    start: Fraction | None = None
    end: Fraction | None = None
    closed: Fraction = Fraction(0)
    counted: Fraction = Fraction(0)
    last_duration: Fraction = Fraction(0)
    frame_duration: Fraction = Fraction(0)
    packets: int = 0
    undated: int = 0

    @property
    def length(self) -> Fraction | None:
        """Presented seconds from the first to the last instant, over all timelines."""
        if self.start is None or self.end is None:
            return None
        return self.closed + self.end - self.start


class SpanMeter:
    """Adds up packets; works on parts of a file (head and tail) as well as on all of it.

    Args:
        streams: the real audio and video streams.
        frame_samples: samples of a whole decoded audio frame by stream index: corrects durations that a coarse time
            base rounded (AC-3 at 44.1 kHz on a 90 kHz clock loses 0.02 %).
    """

    def __init__(self, streams: Iterable[Stream], frame_samples: dict[int, int] | None = None) -> None:
        self.spans: dict[int, Span] = {stream.index: Span() for stream in streams}
        self._frame_samples = frame_samples or {}

    def add(self, packet: Any) -> None:
        """Count one packet; flush packets and other streams' are ignored."""
        span = self.spans.get(packet.stream_index)
        if span is None or not (packet.size or packet.pts is not None):
            return
        if packet.is_discard:
            return
        skipped, padding = _skipped(packet)
        duration = self._duration(packet)
        span.frame_duration = max(span.frame_duration, duration)
        # Ogg and Matroska shorten the last packet's duration, too; mp3 only names the padding.
        duration = min(duration, span.frame_duration - padding)
        span.packets += 1
        span.counted += max(Fraction(0), duration - skipped)
        if packet.pts is None:
            span.undated += 1
            return
        start = packet.pts * packet.time_base
        end = start + duration
        start += skipped
        if span.end is not None and span.start is not None and start < span.end - _RESTART_SECONDS - duration:
            span.closed += span.end - span.start
            span.start, span.end = start, end
            return
        span.start = start if span.start is None else min(span.start, start)
        if span.end is None or end >= span.end:
            span.end, span.last_duration = end, duration

    def add_all(self, packets: Iterable[Any], *, until_complete: int | None = None) -> None:
        """Count packets to the end, or until every stream was seen or `until_complete` packets were read."""
        for number, packet in enumerate(packets):
            self.add(packet)
            if until_complete is not None and (number >= until_complete or all(s.packets for s in self.spans.values())):
                return

    def _duration(self, packet: Any) -> Fraction:
        duration: Fraction = (packet.duration or 0) * packet.time_base
        samples = self._frame_samples.get(packet.stream_index)
        if samples:
            whole = Fraction(samples, packet.stream.codec_context.sample_rate)
            if abs(whole - duration) <= packet.time_base:
                return whole
        return duration


def _skipped(packet: Any) -> tuple[Fraction, Fraction]:
    """Seconds that the decoder drops at the packet's start and end (AV_PKT_DATA_SKIP_SAMPLES)."""
    if packet.stream.type != "audio" or not packet.has_sidedata("skip_samples"):
        return Fraction(0), Fraction(0)
    start, end = struct.unpack("<II", bytes(packet.get_sidedata("skip_samples"))[:8])
    rate = packet.stream.codec_context.sample_rate or 1
    return Fraction(start, rate), Fraction(end, rate)


@dataclass(frozen=True)
class FirstSound:
    """Where decoded audio begins.

    Attributes:
        start_seconds: PTS of the first decoded frame; None where it has none.
        mute_packets: packets in front of it that decode to nothing.
        frame_samples: samples of a whole frame (of the second, where there is one).
    """

    start_seconds: Fraction | None
    mute_packets: int
    frame_samples: int


def first_sound(stream: Any, packets: Iterable[Any], *, most_packets: int = 16) -> FirstSound | None:
    """Decode the first few packets; None where nothing comes out of them."""
    fed, found = 0, None
    for packet in packets:
        if packet.stream_index != stream.index or not packet.size:
            continue
        try:
            frames = stream.codec_context.decode(packet)
        except av.error.FFmpegError:
            frames = []
        for frame in frames:
            if found is not None:
                return FirstSound(found.start_seconds, found.mute_packets, frame.samples)
            start = frame.pts * frame.time_base if frame.pts is not None and frame.time_base else None
            found = FirstSound(start, fed, frame.samples)
        fed += 1
        if fed >= most_packets:
            break
    return found
