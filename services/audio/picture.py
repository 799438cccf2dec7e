"""The picture of a video on its way into an MP4: copied packet by packet, or encoded where that cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from statistics import median_low
from typing import Any, Final

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from shared.errors import LimitExceeded, UnsupportedMedia
from shared.media.byte_file import ByteFile
from shared.media.container import first_video_stream, only, open_container, packets_of
from shared.media.limits import DURATION_GRACE_SECONDS
from shared.media.pacing import declared_rate, last_picture_ticks
from shared.media.picture import Orientation
from shared.media.probe.sparse_file import sparse_file
from shared.media.source import ByteSource
from shared.media.step import StepContext
from shared.media.tail import has_guessed_times, stored_rate

_MP4_CODECS: Final = ("h264", "hevc", "av1", "vp9", "vvc", "mpeg4", "mpeg2video", "mpeg1video")
"""What MP4 has a registered sample entry for and players take from it (mp4ra.org)."""
_FINEST_CLOCK: Final = 1_000_000
"""A nanosecond clock (WebM's) overflows what players do with timescales; such a picture goes on `_COMMON_CLOCK`."""
_COMMON_CLOCK: Final = Fraction(1, 90_000)
_CRF: Final = "18"
_FALLBACK_RATE: Final = Fraction(25)


@dataclass(frozen=True)
class Picture:
    """When a video's picture is presented, and whether its packets can be copied.

    Attributes:
        codec: FFmpeg's name.
        start_seconds: its first presented frame on the container's clock; zero of the result.
        duration_seconds: from there to the end of the last frame.
        time_base: of the packets; seconds a tick.
        decode_ticks: DTS of every packet in file order, ticks from `start_seconds`, all present and rising.
        last_ticks: how long the last presented frame stays.
        obstacle: why it must be encoded anew, in words; empty where it is copied.
        pixels, frames: of one stored picture, and how many there are; coded_bytes: of all of them.
    """

    codec: str
    start_seconds: Fraction
    duration_seconds: Fraction
    time_base: Fraction
    decode_ticks: list[int]
    last_ticks: int
    obstacle: str
    pixels: int
    frames: int
    coded_bytes: int

    @property
    def fate(self) -> str:
        """`copied`, or why it is encoded anew."""
        return f"encoded as H.264: {self.obstacle}" if self.obstacle else "copied"

    @property
    def start_ticks(self) -> int:
        return round(self.start_seconds / self.time_base)

    @property
    def last_shown_ticks(self) -> int:
        """When the last frame begins, in ticks from `start_seconds`."""
        return round(self.duration_seconds / self.time_base) - self.last_ticks


def inspect_picture(source: ByteSource, context: StepContext, *, sparsely: bool = False) -> Picture:
    """Read every packet's times (and decode nothing).

    Args:
        sparsely: of an mp4 with an index read hardly more than that.

    Raises:
        UnsupportedMedia: no video stream, or an empty one.
        LimitExceeded: longer than the context allows (`duration_too_long`), or too many pixels.
    """
    file = sparse_file(source, max_pixels=context.max_pixels, key_frames=False) if sparsely else ByteFile(source)
    with open_container(file, max_pixels=context.max_pixels) as container:
        stream = first_video_stream(container)
        only(container, [stream])
        base = Fraction(stream.time_base or _COMMON_CLOCK)
        rate = declared_rate(stream) or _FALLBACK_RATE
        sizes: list[int] = []
        times = [
            (packet.pts, packet.dts, packet.duration or 0, packet.is_discard)
            for packet in _counted(packets_of(container, stream), sizes)
        ]
        pixels = stream.codec_context.width * stream.codec_context.height
        codec = stream.codec_context.codec.canonical_name
        guessed = has_guessed_times(container, stream, [pts for pts, *_ in times])
        shown = sorted((pts, duration) for pts, _, duration, hidden in times if pts is not None and not hidden)
        last = last_picture_ticks(container.format.name, stream, *shown[-1]) if shown else 0
    if guessed:
        rate = stored_rate([dts for _, dts, *_ in times], base) or rate
        times, shown = [(None, dts, duration, hidden) for _, dts, duration, hidden in times], []
    obstacle = "" if codec in _MP4_CODECS else f"MP4 does not carry {codec}"
    if not times:
        raise UnsupportedMedia("the video has no picture", input_name=source.label)
    if not shown or any(pts is None for pts, *_ in times):
        obstacle = obstacle or "its frames carry no timestamps"
        start, duration, last = Fraction(0), len(times) / rate, 0
        decode: list[int] = []
    else:
        steps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(shown)]
        last = last or (median_low(steps) if steps else 0) or max(1, round(1 / rate / base))
        start = shown[0][0] * base
        duration = (shown[-1][0] + last) * base - start
        decode = _decode_ticks([pts for pts, *_ in times if pts is not None], [dts for _, dts, *_ in times])
        decode = [ticks - shown[0][0] for ticks in decode]
    limit = context.max_duration_seconds
    if limit is not None and duration > limit + DURATION_GRACE_SECONDS:
        raise LimitExceeded(
            f"the video is longer than {limit:g} seconds", word="duration_too_long", input_name=source.label
        )
    return Picture(codec, start, duration, base, decode, last, obstacle, pixels, len(times), sum(sizes))


def _counted(packets: Iterator[Packet[Any]], sizes: list[int]) -> Iterator[Packet[Any]]:
    for packet in packets:
        if packet.size:
            sizes.append(packet.size)
            yield packet


def picture_packets(
    container: InputContainer, output: OutputContainer, picture: Picture, context: StepContext
) -> Iterator[Packet[Any]]:
    """Add the picture's stream to `output` at once; the iterator gives its packets, ready to mux, from second 0 on."""
    stream = first_video_stream(container)
    only(container, [stream])
    if picture.obstacle:
        encoder = _encoder(output, stream, picture, context)
        return _encoded(container, stream, encoder, picture)
    copy = output.add_stream_from_template(stream, opaque=True)
    copy.time_base = picture.time_base if picture.time_base.denominator <= _FINEST_CLOCK else _COMMON_CLOCK
    if picture.codec == "hevc" and stream.codec_context.extradata:
        copy.codec_context.codec_tag = "hvc1"  # the only one of HEVC's two names that Apple's players take
    return _copied(container, stream, copy, picture)


def _copied(
    container: InputContainer, stream: VideoStream, copy: VideoStream, picture: Picture
) -> Iterator[Packet[Any]]:
    packets = (packet for packet in packets_of(container, stream) if packet.size)
    for packet, decode in zip(packets, picture.decode_ticks, strict=True):
        assert packet.pts is not None
        packet.stream = copy
        packet.pts -= picture.start_ticks
        packet.dts = decode
        if not packet.duration or packet.pts == picture.last_shown_ticks:
            packet.duration = picture.last_ticks
        yield packet


def _decode_ticks(pts: list[int], dts: list[int | None]) -> list[int]:
    """The file's DTS if all are there, rising and not after their PTS; else the sorted PTS, moved back enough."""
    given = [ticks for ticks in dts if ticks is not None]
    rising = all(later > earlier for earlier, later in itertools.pairwise(given))
    if len(given) == len(pts) and rising and all(decode <= show for decode, show in zip(given, pts, strict=True)):
        return given
    ordered = sorted(pts)
    late = max(decode - show for decode, show in zip(ordered, pts, strict=True))
    moved = [ticks - late for ticks in ordered]
    for index in range(1, len(moved)):  # two frames at one instant: keep DTS rising
        moved[index] = max(moved[index], moved[index - 1] + 1)
    return moved


def _encoder(output: OutputContainer, stream: VideoStream, picture: Picture, context: StepContext) -> VideoStream:
    """x264, on GPU workers too. No job of this feature is offered to a GPU pool (shared/jobs/routing.py: whether the
    picture can be copied shows only when it has been read), and hardly anything that MP4 cannot carry is for NVDEC:
    every codec that it takes has a place in MP4, which leaves pictures without timestamps."""
    source = stream.codec_context
    encoder: VideoStream = output.add_stream("libx264", rate=stream.average_rate or _FALLBACK_RATE)
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = picture.time_base if picture.time_base.denominator <= _FINEST_CLOCK else _COMMON_CLOCK
    encoder.codec_context.time_base = encoder.time_base
    for tag in ("color_primaries", "color_trc", "colorspace"):
        setattr(encoder.codec_context, tag, getattr(source, tag))
    encoder.codec_context.thread_count = context.threads
    encoder.codec_context.options = {"preset": "veryfast", "crf": _CRF}
    return encoder


def _encoded(
    container: InputContainer, stream: VideoStream, encoder: VideoStream, picture: Picture
) -> Iterator[Packet[Any]]:
    assert encoder.time_base is not None
    stream.thread_type = "AUTO"
    timed = bool(picture.decode_ticks)
    shown = -1
    upright: _Upright | None = None
    for index, frame in enumerate(_frames(container, stream)):
        if timed and frame.pts is not None and frame.time_base:
            seconds = frame.pts * Fraction(frame.time_base) - picture.start_seconds
        else:
            seconds = index * picture.duration_seconds / picture.frames
        ticks = round(seconds / encoder.time_base)
        if ticks <= shown:
            continue  # before the picture's start, or two at one instant
        shown = ticks
        if upright is None:  # the encoder opens with its first frame: until then its shape can be told
            upright = _Upright(frame)
            encoder.width, encoder.height = upright.width, upright.height
            aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
            if aspect:
                encoder.codec_context.sample_aspect_ratio = 1 / aspect if upright.transposed else aspect
        ready = upright(frame)
        ready.pts, ready.time_base = ticks, encoder.time_base
        ready.pict_type = 0  # or x264 copies the source's frame types
        yield from encoder.encode(ready)
    rest = encoder.encode(None)
    if rest and timed:
        last = max(rest, key=lambda packet: packet.pts or 0)
        last.duration = round(picture.last_ticks * picture.time_base / last.time_base)
    yield from rest


class _Upright:
    """Turns frames as the first one's display matrix says, into 4:2:0 of even size."""

    def __init__(self, first: av.VideoFrame) -> None:
        turn = Orientation.of(first)
        steps = ((turn.transposed, "transpose", "cclock_flip"), (turn.mirrored_horizontally, "hflip", ""))
        self._filters = [
            (name, argument) for wanted, name, argument in (*steps, (turn.mirrored_vertically, "vflip", "")) if wanted
        ]
        self.transposed = turn.transposed
        width, height = first.width // 2 * 2, first.height // 2 * 2
        self._stored = (width, height)
        self.width, self.height = (height, width) if turn.transposed else (width, height)
        self._graph = av.filter.Graph()
        clock = Fraction(first.time_base or _COMMON_CLOCK)
        source = self._graph.add("buffer", f"video_size={width}x{height}:pix_fmt=yuv420p:time_base={clock}")
        self._graph.link_nodes(
            source,
            *(self._graph.add(name, argument or None) for name, argument in self._filters),
            self._graph.add("buffersink"),
        ).configure()

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        flat = frame.reformat(width=self._stored[0], height=self._stored[1], format="yuv420p")
        if not self._filters:
            return flat
        self._graph.vpush(flat)
        return self._graph.vpull()


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    for packet in packets_of(container, stream):
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            continue  # a damaged packet: the frame before it stays a little longer
