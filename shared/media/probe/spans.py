"""From when to when each stream is presented, by its packets."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import av.error
from av.stream import Stream

_RESTART_SECONDS: Final = 1
"""A step back by more than this is a new timeline (chained Ogg, glued TS), not picture reordering."""

_BELOW_ZERO: Final = (1 << 32) - (1 << 20)
"""An Ogg's last packet lasts to the end that its page tells. Where that lies in front of the packet, libavformat has
only 32 bits without a sign for it."""


@dataclass
class Span:
    """What the packets of one stream say, in seconds on the container's timeline.

    Attributes:
        start: earliest presented time, after priming; None where no packet had a timestamp.
        end: latest presented end, after the padding at the end.
        closed: total length of earlier timelines in the same stream.
        counted: sum of the packets' durations, less what decoders drop at both ends.
        last_duration: length of the packet that ends last.
        frame_duration: the most frequent length of a packet: a whole frame.
        packets: how many packets were presented; 0 where those in the middle were not read.
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

    @property
    def frame_rate(self) -> Fraction | None:
        """Of a video: pictures a second on average, by those that were counted; None for fewer than two."""
        shown = (self.length or Fraction(0)) - self.last_duration
        return (self.packets - 1) / shown if self.packets > 1 and shown > 0 else None


class _StreamMeter:
    """Adds up one stream in ticks of its time base: a long file has a hundred thousand packets."""

    def __init__(self, stream: Any, frame_samples: int) -> None:
        self.time_base: Fraction = stream.time_base
        self.is_theora = stream.type == "video" and stream.codec_context.name == "theora"
        self.sample_rate: int = stream.codec_context.sample_rate if stream.type == "audio" else 0
        self.frame_samples = frame_samples if self.sample_rate else 0
        self.frame_ticks = round(self._ticks(self.frame_samples))
        self.restart_ticks = int(_RESTART_SECONDS / self.time_base)
        # Ticks: whole ones, or fractions where a decoder drops samples on a coarse time base.
        self.start: int | Fraction | None = None
        self.end: int | Fraction = 0
        self.closed: int | Fraction = 0
        self.counted: int | Fraction = 0
        self.counted_frames = 0
        self.last_duration: int | Fraction = 0
        self.durations: Counter[int] = Counter()
        self.last_dts: int | None = None
        self.packets = self.undated = 0

    def is_media(self, packet: Any) -> bool:
        """Whether it presents something: not one that flushes a decoder, nor the empty one that ends VLC's Theora."""
        return bool(packet.size) or (packet.pts is not None and not self.is_theora)

    def add(self, packet: Any) -> None:
        duration: int = packet.duration or 0
        if self.sample_rate and duration >= _BELOW_ZERO:
            duration -= 1 << 32
        self.packets += 1
        self.durations[duration] += 1
        if self.sample_rate and packet.has_sidedata("skip_samples"):
            first, last = struct.unpack("<II", bytes(packet.get_sidedata("skip_samples"))[:8])
            skipped, padding = self._ticks(first), self._ticks(last)
            # Ogg and Matroska shorten the last packet's duration, too; mp3 only names the padding.
            presented = min(Fraction(duration), max(self.durations) - padding)
            self.counted += max(Fraction(0), presented - skipped)
            self._extend(packet.pts, packet.dts, skipped, presented)
            return
        if self.frame_ticks and -1 <= duration - self.frame_ticks <= 1:
            self.counted_frames += 1
        else:
            self.counted += duration
        self._extend(packet.pts, packet.dts, 0, duration)

    def _extend(self, pts: int | None, dts: int | None, skipped: int | Fraction, duration: int | Fraction) -> None:
        # Decoding times never step back within a timeline, however far pictures are reordered.
        is_restart = dts is not None and self.last_dts is not None and dts < self.last_dts - self.restart_ticks
        self.last_dts = dts if dts is not None else self.last_dts
        if pts is None:
            self.undated += 1
            return
        start, end = pts + skipped, pts + duration
        if self.start is None:
            self.start, self.end, self.last_duration = start, end, duration
        elif is_restart:
            self.closed += self.end - self.start
            self.start, self.end, self.last_duration = start, end, duration
        else:
            self.start = min(self.start, start)
            if end >= self.end:
                self.end, self.last_duration = end, duration

    def _ticks(self, samples: int) -> Fraction:
        return Fraction(samples, self.sample_rate or 1) / self.time_base

    def span(self) -> Span:
        whole = Fraction(self.frame_samples, self.sample_rate) if self.frame_samples else Fraction(0)
        return Span(
            start=None if self.start is None else self.start * self.time_base,
            end=None if self.start is None else self.end * self.time_base,
            closed=self.closed * self.time_base,
            counted=self.counted * self.time_base + self.counted_frames * whole,
            last_duration=self.last_duration * self.time_base,
            frame_duration=max(self.durations, key=self.durations.__getitem__, default=0) * self.time_base,
            packets=self.packets,
            undated=self.undated,
        )


class SpanMeter:
    """Adds up packets; works on parts of a file (head and tail) as well as on all of it.

    Args:
        streams: the real audio and video streams.
        frame_samples: samples of a whole decoded audio frame by stream index: corrects durations that a coarse time
            base rounded (AC-3 at 44.1 kHz on a 90 kHz clock loses 0.02 %).
    """

    def __init__(self, streams: Iterable[Stream], frame_samples: dict[int, int] | None = None) -> None:
        samples = frame_samples or {}
        self._meters = {stream.index: _StreamMeter(stream, samples.get(stream.index, 0)) for stream in streams}

    def add_all(self, packets: Iterable[Any], *, until_complete: int | None = None) -> None:
        """Count packets to the end, or until every stream was seen or `until_complete` packets were read.

        Flush packets, other streams' packets and those that an edit list hides are passed over.
        """
        meters = self._meters
        for number, packet in enumerate(packets):
            meter = meters.get(packet.stream_index)
            if meter is not None and not packet.is_discard and meter.is_media(packet):
                meter.add(packet)
            if until_complete is not None and (
                number >= until_complete or all(meter.packets for meter in meters.values())
            ):
                return

    def spans(self) -> dict[int, Span]:
        """What is known so far, by stream index."""
        return {index: meter.span() for index, meter in self._meters.items()}


def joined(head: dict[int, Span], tail: dict[int, Span]) -> dict[int, Span]:
    """Starts from the head, ends from the tail (or the head, for a stream that ended early)."""
    for index, span in tail.items():
        first = head[index]
        span.start = first.start if first.start is not None else span.start
        if span.end is None:
            span.end, span.last_duration, span.frame_duration = first.end, first.last_duration, first.frame_duration
        span.packets = 0
    return tail


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
