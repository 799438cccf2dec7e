"""The packets at the end of a video stream, and what decoding them proves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_GROUPS_KEPT: Final = 2
_MOST_BYTES_KEPT: Final = 192 * 1024 * 1024
_DISCONTINUITY_SECONDS: Final = 1.0
"""Time stamps that step back further than this start a new timeline (joined transport streams), as in ffmpeg's
handling of discontinuities; smaller steps are reordering."""

# Non-reference pictures of these codecs can be skipped without touching any other picture. Not HEVC: a sub-layer
# non-reference picture may be referred to by a higher temporal layer. Not AV1 or VP9: they have no such flag.
_NONREF_SKIPPABLE: Final = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})


@dataclass
class Tail:
    """The last groups of pictures of a stream, in decode order, the first packet being a key frame.

    Attributes:
        packets: empty where no key frame was found.
        incomplete: how many packets at the very end were cut off.
        unbounded: the groups are too large to be held in memory.
    """

    packets: list[Packet[VideoStream]] = field(default_factory=list)
    incomplete: int = 0
    unbounded: bool = False

    @property
    def last_group_start(self) -> int:
        return max((i for i, packet in enumerate(self.packets) if packet.is_keyframe), default=0)


def media_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The stream's packets from where the container stands, without the flush packet that ends the demuxing."""
    for packet in container.demux(stream):
        if packet.size > 0:
            yield packet


def read_tail(container: InputContainer, stream: VideoStream) -> Tail:
    """Read to the end of the medium and keep the last two groups of pictures."""
    packets: list[Packet[VideoStream]] = []
    starts: list[int] = []
    kept_bytes = 0
    for packet in media_packets(container, stream):
        if packet.is_keyframe:
            starts.append(len(packets))
            if len(starts) > _GROUPS_KEPT:
                surplus = starts[1]
                kept_bytes -= sum(old.size for old in packets[:surplus])
                del packets[:surplus]
                starts = [start - surplus for start in starts[1:]]
        if starts:
            packets.append(packet)
            kept_bytes += packet.size
        if kept_bytes > _MOST_BYTES_KEPT:
            return Tail(unbounded=True)
    tail = Tail(packets)
    while packets and packets[-1].is_corrupt:
        packets.pop()
        tail.incomplete += 1
    return tail


def expected_pts(packets: list[Packet[VideoStream]], seconds_per_tick: float) -> int | None:
    """The PTS of the picture that is displayed last: the greatest of the packets that edit lists let through.

    Returns:
        None where packets without a time stamp make that unknowable.
    """
    best: int | None = None
    last_dts: int | None = None
    for packet in packets:
        if packet.pts is None:
            return None
        if packet.dts is not None:
            if last_dts is not None and (last_dts - packet.dts) * seconds_per_tick > _DISCONTINUITY_SECONDS:
                best = None
            last_dts = packet.dts
        if not packet.is_discard and (best is None or packet.pts >= best):
            best = packet.pts
    return best


@dataclass(frozen=True)
class Decoded:
    """What one pass over packets gave.

    Attributes:
        frame: of the undamaged pictures the last that the decoder put out, which it does in display order; or None.
        errors: how many packets the decoder refused.
        lost: packets at or behind an error that no clean key frame made good.
        proven: `frame` is the picture that the packets say is last, and nothing went wrong on the way.
    """

    frame: VideoFrame | None
    errors: int
    lost: int
    proven: bool


def decode_strictly(decoder: VideoCodecContext, packets: list[Packet[VideoStream]], expected: int) -> Decoded:
    """Decode packets that begin with a key frame, with a decoder that reports errors (`err_detect=explode`).

    Pictures that are neither the wanted one nor referred to are skipped where the codec allows it. After an error no
    picture counts until the next key frame: it may show debris of the one that failed.
    """
    wanted = next((i for i, packet in enumerate(packets) if packet.pts == expected), 0)
    can_skip = decoder.name in _NONREF_SKIPPABLE
    last: VideoFrame | None = None
    damaged_pts: set[int | None] = set()
    errors = 0
    is_damaged = False

    def take(packet: Packet[VideoStream] | None) -> None:
        nonlocal last
        for frame in decoder.decode(packet):
            if not frame.is_corrupt and frame.pts not in damaged_pts:
                last = frame

    decoder.flush_buffers()
    for i, packet in enumerate(packets):
        is_damaged = is_damaged and not packet.is_keyframe
        if can_skip:
            # The neighbours are decoded fully as well: a field of the wanted picture may have a packet of its own.
            decoder.skip_frame = "NONREF" if i < wanted - 1 else "DEFAULT"
        try:
            if is_damaged or packet.is_corrupt:
                damaged_pts.add(packet.pts)
            take(packet)
        except av.error.FFmpegError:
            errors += 1
            is_damaged = True
            damaged_pts.add(packet.pts)
    try:
        take(None)
    except av.error.FFmpegError:
        errors += 1
    proven = errors == 0 and not damaged_pts and last is not None and last.pts == expected
    return Decoded(last, errors, len(damaged_pts), proven)
