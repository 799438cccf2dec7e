"""The packets at the end of a video stream, and what decoding them proves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain, pairwise, takewhile
from typing import Final

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from shared.media.container import packets_of

_GROUPS_KEPT: Final = 2
_MOST_BYTES_KEPT: Final = 192 * 1024 * 1024
_DISCONTINUITY_SECONDS: Final = 1.0
"""Time stamps that step back further than this start a new timeline (joined transport streams), as in ffmpeg's
handling of discontinuities; smaller steps are reordering."""

# Non-reference pictures of these codecs can be skipped without touching any other picture. Not HEVC: a sub-layer
# non-reference picture may be referred to by a higher temporal layer. Not AV1 or VP9: they have no such flag.
_NONREF_SKIPPABLE: Final = frozenset({"h264", "mpeg1video", "mpeg2video", "mpeg4"})

_WAITS_FOR_RECOVERY: Final = frozenset({"h264", "hevc"})
"""Their decoders put nothing out before a random access point, which need not be an intra picture."""


@dataclass
class Tail:
    """The last groups of pictures of a stream, in decode order, the first packet being a key frame.

    Attributes:
        packets: empty where no key frame was found.
        incomplete: how many packets at the very end are cut off.
        unbounded: the groups are too large to be held in memory.
        is_whole: the packets are all that the stream has.
        counted_ticks: the lengths of all the stream's packets together; None where not all were read.
    """

    packets: list[Packet[VideoStream]] = field(default_factory=list)
    incomplete: int = 0
    unbounded: bool = False
    is_whole: bool = False
    counted_ticks: int | None = None

    @property
    def last_group_start(self) -> int:
        return max((i for i, packet in enumerate(self.packets) if packet.is_keyframe), default=0)

    @property
    def is_reordered(self) -> bool:
        """Whether pictures are stored in another order than they are shown in."""
        times = [packet.pts for packet in self.packets if packet.pts is not None]
        return times != sorted(times)

    @property
    def last_decoding_time(self) -> int | None:
        """The greatest DTS: where the container has no presentation times, the last picture's turn.

        Where no packet has any time (elementary streams), by the lengths of those before. None where some have a DTS
        and some have none.
        """
        times = [packet.dts for packet in self.packets if packet.dts is not None]
        if self.counted_ticks and not times and all(packet.pts is None for packet in self.packets):
            return self.counted_ticks - (self.packets[-1].duration or 0)
        return max(times) if times and len(times) == len(self.packets) else None


def media_packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The stream's packets from where the container stands, without the flush packet that ends the demuxing."""
    for packet in packets_of(container, stream):
        if packet.size > 0:
            yield packet


def read_tail(container: InputContainer, stream: VideoStream, *, from_start: bool = False) -> Tail:
    """Read to the end of the medium and keep the last two groups of pictures.

    Args:
        from_start: the container stands in front of the stream's first packet.
    """
    packets: list[Packet[VideoStream]] = []
    starts: list[int] = []
    kept_bytes = 0
    is_whole = from_start
    counted_ticks = 0
    for packet in media_packets(container, stream):
        counted_ticks += packet.duration or 0
        is_whole = is_whole and (packet.is_keyframe or bool(starts))
        if packet.is_keyframe:
            starts.append(len(packets))
            if len(starts) > _GROUPS_KEPT:
                surplus = starts[1]
                kept_bytes -= sum(old.size for old in packets[:surplus])
                del packets[:surplus]
                is_whole = False
                starts = [start - surplus for start in starts[1:]]
        if starts:
            packets.append(packet)
            kept_bytes += packet.size
        if kept_bytes > _MOST_BYTES_KEPT:
            return Tail(unbounded=True)
    tail = Tail(packets, is_whole=is_whole, counted_ticks=counted_ticks if from_start else None)
    tail.incomplete = sum(1 for _ in takewhile(lambda packet: packet.is_corrupt, reversed(packets)))
    return tail


def shows_in_stored_order(container: InputContainer) -> bool:
    """Whether this container has no presentation times: AVI. libavformat's own are guesses there."""
    return container.format.name == "avi"


def has_guessed_times(container: InputContainer, stream: VideoStream, pts: Sequence[int | None]) -> bool:
    """Whether pictures that are stored out of order were given times in stored order: libavformat's guess in AVI.

    Args:
        pts: of all packets, in stored order.
    """
    return (
        shows_in_stored_order(container)
        and bool(stream.codec_context.has_b_frames)
        and all(pts is None or earlier is None or pts > earlier for earlier, pts in pairwise(pts))
    )


def stored_rate(dts: Sequence[int | None], time_base: Fraction | None) -> Fraction | None:
    """Pictures a second by when they are decoded: an AVI may tell twice its rate and leave every second place empty.

    Args:
        dts: of all packets, in stored order.

    Returns:
        None where the times do not tell.
    """
    given = [time for time in dts if time is not None]
    if time_base is None or len(given) < 2 or given[-1] <= given[0]:
        return None
    return (len(given) - 1) / ((given[-1] - given[0]) * time_base)


def has_presentation_times(container: InputContainer, packets: list[Packet[VideoStream]]) -> bool:
    """Whether every packet tells when it is shown; some MXF files and elementary streams do not."""
    return not shows_in_stored_order(container) and all(packet.pts is not None for packet in packets)


def expected_pts(packets: list[Packet[VideoStream]], seconds_per_tick: float) -> int | None:
    """The PTS of the picture that is displayed last: the greatest of the packets that edit lists let through.

    Returns:
        None where the edit lists let none through.
    """
    best: int | None = None
    last_dts: int | None = None
    for packet in packets:
        if packet.dts is not None:
            if last_dts is not None and (last_dts - packet.dts) * seconds_per_tick > _DISCONTINUITY_SECONDS:
                best = None
            last_dts = packet.dts
        if packet.pts is not None and not packet.is_discard and (best is None or packet.pts >= best):
            best = packet.pts
    return best


@dataclass(frozen=True)
class Decoded:
    """What one pass over packets gave.

    Attributes:
        frame: of the undamaged pictures the last that the decoder put out, which it does in display order; or None.
        errors: how many packets the decoder refused.
        lost: packets at or behind an error that no clean key frame made good.
        first_error: the position of the first refused packet; None where none was.
        proven: `frame` is the picture that the packets say is last, and nothing went wrong on the way.
    """

    frame: VideoFrame | None
    errors: int
    lost: int
    first_error: int | None
    proven: bool


def decode_strictly(decoder: VideoCodecContext, packets: list[Packet[VideoStream]], expected: int | None) -> Decoded:
    """Decode packets that begin with a key frame, with a decoder that reports errors (`err_detect=explode`).

    Pictures that are neither the wanted one nor referred to are skipped where the codec allows it. After an error no
    picture counts until the next key frame: it may show debris of the one that failed. No picture counts either before
    the decoder put out a key frame: some demuxers flag every packet as one. Pictures that are displayed before the
    first key frame but stored behind it (an open group) may refer to pictures in front of it: their errors are none.
    Where times do not tell which these are, errors count as theirs only before a later key frame starts afresh.

    Args:
        expected: the PTS of the picture that is displayed last; None where the container has no presentation times:
            then it is the last that a decoder without errors puts out.
    """
    wanted = next((i for i, packet in enumerate(packets) if packet.pts == expected), 0)
    can_skip = decoder.name in _NONREF_SKIPPABLE and expected is not None
    first_pts = packets[0].pts if packets else None
    last_key = max((i for i, packet in enumerate(packets) if packet.is_keyframe), default=0)
    last: VideoFrame | None = None
    damaged_pts: set[int | None] = set()
    lost = errors = 0
    first_error: int | None = None
    is_started, is_damaged = decoder.name in _WAITS_FOR_RECOVERY, False

    def take(packet: Packet[VideoStream] | None) -> None:
        nonlocal last, is_started
        for frame in decoder.decode(packet):
            is_started = is_started or bool(frame.key_frame) or frame.pict_type == PictureType.I
            if is_started and not frame.is_corrupt and (frame.pts is None or frame.pts not in damaged_pts):
                last = frame

    decoder.flush_buffers()
    for i, packet in enumerate(packets):
        is_damaged = is_damaged and not packet.is_keyframe
        if expected is None:
            is_leading = last is None and i < last_key
        else:
            is_leading = packet.pts is not None and first_pts is not None and packet.pts < first_pts
        if can_skip:
            # The neighbours are decoded fully as well: a field of the wanted picture may have a packet of its own.
            decoder.skip_frame = "NONREF" if i < wanted - 1 else "DEFAULT"
        try:
            if is_damaged or packet.is_corrupt:
                first_error = i if first_error is None else first_error
                lost += 1
                damaged_pts.add(packet.pts)
            take(packet)
        except av.error.FFmpegError:
            if is_leading:
                continue
            errors += 1
            lost += not (is_damaged or packet.is_corrupt)
            first_error = i if first_error is None else first_error
            is_damaged = True
            damaged_pts.add(packet.pts)
    try:
        take(None)
    except av.error.FFmpegError:
        errors += 1
        first_error = len(packets) - 1 if first_error is None else first_error
    is_last = last is not None and (expected is None or last.pts == expected)
    return Decoded(last, errors, lost, first_error, proven=errors == lost == 0 and is_last)


def decode_leniently(decoder: VideoCodecContext, packets: list[Packet[VideoStream]]) -> VideoFrame | None:
    """The last picture that a player shows of these packets: damage is concealed by the decoder, or skipped."""
    last: VideoFrame | None = None
    for packet in chain(packets, [None]):
        with suppress(av.error.FFmpegError):
            for last in decoder.decode(packet):  # noqa: B007
                pass
    return last
